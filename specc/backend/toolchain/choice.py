"""The chosen compiler, specc's own or Numba, as one function."""

from __future__ import annotations

from specc.backend.compilers import chosen
from specc.backend.llvm.kernel import Kernel
from specc.system.locks import NATIVE


def object_code(kernel: Kernel) -> bytes:
    """Return the object file that defines `kernel.symbol`."""
    with NATIVE:
        from specc.backend.llvm import compile as own
    if chosen() == "llvm":
        return own.object_code(kernel)
    with NATIVE:
        from specc.backend.numba import compile as by_numba
    return by_numba.object_code(kernel)


def warm_up() -> None:
    """Load the modules that compiling the first kernel needs."""
    from specc.backend.llvm import compile as own

    own.warm_up()
    if chosen() == "numba":
        from specc.backend.numba import compile as by_numba  # noqa: F401
