"""The laws: what an activation, a loss and an optimizer are, each once, in a few lines of scalar Python.

A law is a plain function of numbers that reads like the textbook; `activations`, `losses` and `optimizers` are its
tables, and importing them takes no compiler.  `units` makes machine code of a law: a pass over a block of numbers, that
kernels call by its address.  So a law is compiled when it is used, beside the kernels and not within them, and a user's
own is as fast as one of the table.  `elementary` has exp, log and tanh as the machine code has them.

To add a law, add it to its table, and its line to `fastnn.reference`.
"""
