"""What the cache folder keeps of a program besides machine code: its plan, and its kernels' calls.

    kept = Kept(digest, "train", 64)     # a dict of what was kept under these facts
    kept.keep(plan=plan)                 # for later processes

So a warm start neither transforms graphs nor emits calls. The facts must be all that the values
follow from. The version of specc and of its compiler, and the processor, are always among them.
"""

from __future__ import annotations

import numpy as np

from specc.backend.llvm.kernel import toolchain
from specc.backend.machine import this_machine
from specc.ir.stored import StoredValues


class Kept(StoredValues):
    """The values that are kept under some facts, by name.

    Without a cache folder, it is empty in each new process.
    """

    def __init__(self, *facts: object) -> None:
        machine = this_machine()
        own = (toolchain(machine.vector_bits), machine, np.__version__)
        super().__init__("programs", *facts, *own)
