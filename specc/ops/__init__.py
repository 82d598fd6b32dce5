"""The primitives. One class each: shape rule, gradient, scalar code or kernel, NumPy reference.

Kernels of ops that have one of their own are in `kernels`, in a file of the same name.
"""

from specc.ops import (  # noqa: F401
    after,
    along,
    broadcast,
    carry,
    contract,
    derivative,
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
