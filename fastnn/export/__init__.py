"""A fitted model in other programs: what it computes, and how that is written for them.

``description`` says what a model computes, ``expressions`` what a law does; both are the same for all programs.
``onnx``, ``c`` and ``torch`` write it for ONNX, C and PyTorch.
"""
