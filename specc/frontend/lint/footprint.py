"""The memory that a training takes if all parts of a batch are computed at once, from shapes.

    footprint(program)      # Footprint(examples=8_413_184, ..., parameters=1_048_576, ...)

The operands of products are kept for their gradients, and so are states; of two that vary over the
batch, it counts the smaller one alone. Other values are fused
with them, follow from them, or are needed only briefly. The arena of the models in models/ is
mostly 1.2 to 4 times this bound.
"""

from __future__ import annotations

import math

from specc.ir.graph import Node
from specc.ir.program import Program
from specc.ir.types import element_bytes
from specc.ops.carry import Carry, closed
from specc.ops.contract import Contract
from specc.system.records import dataclass


@dataclass(frozen=True)
class Footprint:
    """The bytes of the values of a batch, and of parameters with their gradients and states.

    `recomputed` are the bytes for a batch with `recompute = true`. `largest` is the node whose
    values take the most. A symbolic dimension counts as 0.
    """

    examples: int
    recomputed: int
    parameters: int
    largest: Node | None = None

    @property
    def bytes(self) -> int:
        return self.examples + self.parameters


def footprint(program: Program) -> Footprint:
    """Return a lower bound of the memory of a training step, if each shard has a thread."""
    kept: set[Node] = set()
    at_once = 0  # most elements of a product's operands and result together
    nodes = program.loss_nodes
    if program.carries:  # also the nodes that the states of earlier steps depend on
        outputs = {term.name: term.node for term in program.losses}
        nodes = closed(outputs, dict(program.carries)).nodes
    for node in nodes:
        if isinstance(node.op, Carry):
            kept.add(node)
        elif isinstance(node.op, Contract):
            read = {each for each in node.inputs if each.type.batched}
            if len(read) > 1:  # of attention, the larger one is computed again some rows at a time
                kept.add(min(read, key=_elements))
                continue
            kept |= read
            made = _elements(node) if node.type.batched else 0
            at_once = max(at_once, made + sum(map(_elements, read)))
    largest = max(kept, key=_elements, default=None)
    states = {node for node in kept if isinstance(node.op, Carry)}  # recomputing keeps these, too
    total, fixed = (sum(map(_elements, each)) for each in (kept, states))
    # of n equal values sqrt(2 n) are held at once: every k-th, and those between two of them
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
