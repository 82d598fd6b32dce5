"""The choice of the compiler that makes machine code of kernels.

chosen()        # "llvm", specc's own; or "numba", with SPECC_COMPILER=numba
"""

from __future__ import annotations

import os

from specc.diagnostics import Diagnostic, SpecError
from specc.source import Source, Span

NAMES = ("llvm", "numba")


def chosen() -> str:
    """Return the name of the compiler. Raises SpecError for an unknown SPECC_COMPILER."""
    name = os.environ.get("SPECC_COMPILER") or NAMES[0]
    if name not in NAMES:
        message = f"SPECC_COMPILER must be llvm or numba, not `{name}`"
        place = Span(Source("environment", ""), 0, 0)
        raise SpecError([Diagnostic("bad-setting", "error", message, place)])
    return name
