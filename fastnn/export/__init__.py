"""A fitted model in other programs: what it computes, and how that is written for them.

``description`` says what a model computes, ``expressions`` what a law does; both are the same for all programs.  ``c``
and ``torch`` write it for C and for PyTorch.
"""
