"""With lanes: tiles over columns of the batched operand that are copied first.

Columns with a large stride map to few sets of the L1 cache, or come from beyond the L2 cache for
each block of rows. A contiguous copy of one slice stays in the caches.
"""

from __future__ import annotations

from functools import partial

from specc.backend.contraction.forms import contract, packed
from specc.backend.contraction.problem import ContractionKind, KernelForm

CONTRACT = KernelForm("copied", ContractionKind.LANES, partial(contract.tiles_of, copied=True))
PACKED = KernelForm("packed_copied", ContractionKind.LANES, partial(packed.tiles_of, copied=True))
