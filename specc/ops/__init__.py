"""The ops: one class each, with its shape rule, gradient, NumPy reference, and formula or kernel.

If an op has a kernel of its own, the kernel is in `kernels`, in the file of the op's name.
"""

from specc.ops import (  # noqa: F401
    after,
    alike,
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
    rows,
    shape,
    window,
)
