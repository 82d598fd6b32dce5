"""The primitives. One class each: shape rule, gradient, scalar code or kernel, NumPy reference."""

from specc.ops import (  # noqa: F401
    after,
    broadcast,
    carry,
    contract,
    elementwise,
    functions,
    gather,
    leaf,
    peers,
    random,
    reduce,
    rounding,
    shape,
    window,
)
