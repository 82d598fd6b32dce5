"""The axes of values that are time steps of a sequence.

    step_axes(nodes, {"text": "time"})[node]        # ("time", "", "time"): a number for each pair

The size of an axis does not decide this: a sequence of 64 time steps may have 64 features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from specc.ir.graph import Node
from specc.ir.sizes import same
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.contract import Contract
from specc.ops.gather import Take
from specc.ops.leaf import Input
from specc.ops.reduce import Max
from specc.ops.shape import Concat, Reshape, Slice, Transpose

Axes = tuple[str, ...]
"""For each axis, the name of the sequence whose time steps it counts, or ""."""


def step_axes(everything: Iterable[Node], sequences: Mapping[str, str]) -> dict[Node, Axes]:
    """Return for each node which of its axes are time steps, and of which sequence.

    `everything` lists each node after its inputs. `sequences` maps the name of an input or target
    to the sequence that its first axis runs along.
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
    names = _of_elements(node, inputs)
    if isinstance(op, Concat) and (moved := _moved(node, op.axis, found)):
        names = (*names[: op.axis], moved, *names[op.axis + 1 :])
    return names


def _moved(node: Node, axis: int, found: dict[Node, Axes]) -> str:
    """The sequence whose steps a concatenation moves by some, as `previous` does: it has a part of
    a sequence of the same length."""
    for each in node.inputs:
        of = each.inputs[0] if isinstance(each.op, Slice) and each.op.axis == axis else None
        if of is not None and same(of.type.shape[axis], node.type.shape[axis]):
            return found[of][axis]
    return ""


def _of_elements(node: Node, inputs: list[Axes]) -> Axes:
    """An axis has the name that it has in an operand of the same size there."""
    rank = node.type.rank
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
    """Name an axis of the result like the axes of the operands that the same index runs along."""
    names: dict[int, str] = {}
    for map_, axes in zip((op.left, op.right), inputs, strict=True):
        for position, name in zip(map_, axes, strict=False):
            index = position.sole_index
            if index is not None and name:
                names[index] = name
    own = [position.sole_index for position in op.out]
    return tuple(names.get(index, "") if index is not None else "" for index in own[:rank])


def _of_reshape(node: Node, before: Axes) -> Axes:
    """Keep the names of the first axes and of the last axes, up to the first size that differs."""
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
