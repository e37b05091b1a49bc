"""Ways of doing a step: how the work is cut, and which products do it.  The loop is in `run`."""
