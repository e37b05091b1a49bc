"""Of each way of doing a step, its half in Python: what it can train, what room it needs, and the kernel."""
