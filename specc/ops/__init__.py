"""The primitives. One class each: shape rule, gradient, scalar code or kernel, NumPy reference."""

from specc.ops import contract, elementwise, gather, leaf, peers, random, reduce, shape, window  # noqa: F401
