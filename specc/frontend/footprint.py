"""The memory that a training takes at least, told from shapes; and what the machine has.

    footprint(program)      # Footprint(examples=8_413_184, parameters=1_048_576)
    machine_memory()        # 33_554_432_000, or None where the system does not say

What products, windows and states read and make is kept for the gradients; all else is joined to
them by the compiler or takes no room for long. The arena of the models in models/ is 1.2 to 2.5
times that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from specc.ir.graph import Node
from specc.ir.program import Program
from specc.ops.carry import Carry
from specc.ops.contract import Contract
from specc.ops.window import WindowMax

BYTES = 4
"""Of a float32."""
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much memory the processes of a container may take."""


@dataclass(frozen=True)
class Footprint:
    """Bytes for the values of a batch, and for parameters with their gradients and states.

    `largest` is the node whose values take the most of the former. Open sizes count as nothing.
    """

    examples: int
    parameters: int
    largest: Node | None = None

    @property
    def bytes(self) -> int:
        return self.examples + self.parameters


def footprint(program: Program) -> Footprint:
    """The memory that a training step of the program takes at least."""
    kept: set[Node] = set()
    for node in program.loss_nodes:
        if isinstance(node.op, (Contract, WindowMax, Carry)):
            kept.update(each for each in (node, *node.inputs) if each.type.batched)
    counts = {node: each for node in kept if isinstance(each := node.type.elements, int)}
    trained = {each.path for each in program.updates}
    parameters = sum(
        (1 + (each.path in trained)) * size
        for each in program.parameters
        if isinstance(size := each.type.elements, int)
    )
    states = sum(size for each in program.updates if isinstance(size := each.elements, int))
    return Footprint(
        BYTES * program.recipe.batch * sum(counts.values()),
        BYTES * (parameters + states),
        max(counts, key=counts.__getitem__, default=None),
    )


def machine_memory() -> int | None:
    """The bytes of memory that this process may take."""
    try:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    for path in LIMITS:
        try:
            found.append(int(Path(path).read_bytes()))
        except (OSError, ValueError):  # there is no such file, or it says "max"
            continue
    return min(found)
