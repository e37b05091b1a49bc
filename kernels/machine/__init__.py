"""What the kernels stand on, and what knows of no network: vectors, threads, the compiler, kept machine code."""
