"""The memory that a training takes at least, told from shapes; and what the machine has.

    footprint(program)      # Footprint(examples=8_413_184, ..., parameters=1_048_576, ...)
    machine_memory()        # 33_554_432_000, or None where the system does not say

What products read is kept for their gradients, and so are states; all else is joined to them by the
compiler, is known from them or takes no room for long. The arena of the models in models/ is mostly
1.2 to 4 times that.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from specc.ir.graph import Node
from specc.ir.program import Program
from specc.ir.types import element_bytes
from specc.ops.carry import Carry, closed
from specc.ops.contract import Contract

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much memory the processes of a container may take."""


@dataclass(frozen=True)
class Footprint:
    """Bytes for the values of a batch, and for parameters with their gradients and states.

    `recomputed` are those for a batch with `recompute = true`; `largest` is the node whose values
    take the most of a batch. Open sizes count as nothing.
    """

    examples: int
    recomputed: int
    parameters: int
    largest: Node | None = None

    @property
    def bytes(self) -> int:
        return self.examples + self.parameters


def footprint(program: Program) -> Footprint:
    """Return the memory that a training step of the program takes at least."""
    kept: set[Node] = set()
    at_once = 0  # what a product reads and makes
    nodes = program.loss_nodes
    if program.carries:  # with what is behind the states
        outputs = {term.name: term.node for term in program.losses}
        nodes = closed(outputs, dict(program.carries)).nodes
    for node in nodes:
        if isinstance(node.op, Carry):
            kept.add(node)
        elif isinstance(node.op, Contract):
            read = {each for each in node.inputs if each.type.batched}
            kept |= read
            made = _elements(node) if node.type.batched else 0
            at_once = max(at_once, made + sum(map(_elements, read)))
    largest = max(kept, key=_elements, default=None)
    states = {node for node in kept if isinstance(node.op, Carry)}  # these are always kept
    total, fixed = (sum(map(_elements, each)) for each in (kept, states))
    # of n equal values sqrt(2 n) are held: every k-th, and fewer and fewer that are computed again
    again = math.isqrt(2 * (total - fixed) * _elements(largest)) if largest is not None else 0
    least = min(total, fixed + again)
    trained = {each.path for each in program.updates}
    parameters = sum(
        (1 + (each.path in trained)) * size
        for each in program.parameters
        if isinstance(size := each.type.elements, int)
    )
    memory = sum(size for each in program.updates if isinstance(size := each.elements, int))
    each = element_bytes("float") * program.recipe.batch
    return Footprint(
        each * max(least if program.recipe.recompute else total, at_once),
        each * max(least, at_once),
        element_bytes("float") * (parameters + memory),
        largest,
    )


def _elements(node: Node) -> int:
    """Return the elements of a value of known size; 0 for others."""
    return size if isinstance(size := node.type.elements, int) else 0


def machine_memory() -> int | None:
    """Return the bytes of memory that this process may take."""
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
