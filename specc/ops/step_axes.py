"""Which axes of a value are steps of a sequence.

    step_axes(nodes, {"text": "time"})[node]        # ("time", "", "time"): a number for each pair

A size alone cannot tell: a sequence of 64 steps may have 64 features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from specc.ir.graph import Node
from specc.ir.sizes import same
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.contract import Affine, Contract
from specc.ops.gather import Take
from specc.ops.leaf import Input
from specc.ops.reduce import Max
from specc.ops.shape import Reshape, Transpose

Axes = tuple[str, ...]
"""For each axis the sequence whose steps it has, or ""."""


def step_axes(everything: Iterable[Node], sequences: Mapping[str, str]) -> dict[Node, Axes]:
    """Which axes of each value are steps, and of which sequence.

    `everything` has each node after its inputs, and `sequences` the name of the sequence that an
    input or target runs over.
    """
    found: dict[Node, Axes] = {}
    for node in everything:
        found[node] = _axes(node, found, sequences)
    return found


def _axes(node: Node, found: dict[Node, Axes], sequences: Mapping[str, str]) -> Axes:
    op, rank = node.op, node.type.rank
    inputs = [found[each] for each in node.inputs]
    if isinstance(op, Input):
        name = sequences.get(op.label, "") if op.role in ("input", "target") else ""
        return (name, *("" for _ in range(rank - 1))) if rank else ()
    if isinstance(op, Broadcast):
        named = dict(zip(op.axes, inputs[0], strict=True))
        return tuple(named.get(axis, "") for axis in range(rank))
    if isinstance(op, Transpose):
        return tuple(inputs[0][axis] for axis in op.order)
    if isinstance(op, (Sum, Max)):
        return tuple(name for axis, name in enumerate(inputs[0]) if axis not in op.axes)
    if isinstance(op, Contract):
        return _of_contract(op, inputs, rank)
    if isinstance(op, Take):
        rows, chosen = inputs[:2]
        names = (*chosen, *rows[op.lead + 1 :])
        return names if len(names) == rank else ("",) * rank
    if isinstance(op, Reshape):
        return _of_reshape(node, inputs[0])
    return tuple(
        next(
            (
                names[axis]
                for each, names in zip(node.inputs, inputs, strict=True)
                if len(names) == rank and names[axis]
                and same(each.type.shape[axis], node.type.shape[axis])
            ),
            "",
        )
        for axis in range(rank)
    )  # fmt: skip


def _of_contract(op: Contract, inputs: list[Axes], rank: int) -> Axes:
    """An axis of the result that one index runs along has the name of that index elsewhere."""
    names: dict[int, str] = {}
    for map_, axes in zip((op.left, op.right), inputs, strict=True):
        for place, name in zip(map_, axes, strict=False):
            index = _single(place)
            if index is not None and name:
                names[index] = name
    own = [_single(place) for place in op.out]
    return tuple(names.get(index, "") if index is not None else "" for index in own[:rank])


def _single(place: Affine) -> int | None:
    """The index that a place consists of, if it is one alone."""
    is_one = len(place.terms) == 1 and place.terms[0][1] == 1 and not place.constant
    return place.terms[0][0] if is_one else None


def _of_reshape(node: Node, before: Axes) -> Axes:
    """The first axes keep their names, and the last ones, as long as their sizes stay."""
    old, new = node.inputs[0].type.shape, node.type.shape
    names = [""] * len(new)
    for axis, (a, b) in enumerate(zip(old, new, strict=False)):
        if not same(a, b):
            break
        names[axis] = before[axis]
    for back in range(1, min(len(old), len(new)) + 1):
        if not same(old[-back], new[-back]) or names[-back]:
            break
        names[-back] = before[-back]
    return tuple(names)
