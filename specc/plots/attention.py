"""Where each step of a sequence looks: the weights of attention.

    found = weights(subject.program)        # [Attention("attention1", node, "time", "time", 2)]
    attention(subject, example=0)           # a panel for each head

Attention is recognized by what it computes: a softmax over steps, at each step. So formulas of a
user's own are drawn like those of the library.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from specc.ir.graph import Node, topological
from specc.ir.program import Program
from specc.ir.sizes import same
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.contract import Affine, Contract
from specc.ops.elementwise import Div
from specc.ops.leaf import Input
from specc.ops.reduce import Max
from specc.ops.shape import Reshape, Transpose
from specc.plots.marks import Axis, Figure, Heatmap, Panel, Part
from specc.plots.subject import Subject
from specc.plots.through_time import symbols

MOST_STEPS, MOST_PANELS = 60, 12

Axes = tuple[str, ...]
"""For each axis of a value the sequence whose steps it has, or ""."""


@dataclass(frozen=True, eq=False)
class AttentionWeights:
    """The weights that steps of `steps` give to those of `looked_at`, which is axis `axis`."""

    path: str
    node: Node
    steps: str
    looked_at: str
    axis: int


def attention(subject: Subject, example: int = 0) -> Figure:
    """Where each step of an example looks, for each head: weights from 0 to 1, rows sum to 1.

    After Bahdanau, Cho and Bengio, Neural machine translation by jointly learning to align and
    translate, 2015.
    """
    parts: list[Part] = []
    row = subject.rows[example : example + 1]
    found = weights(subject.program)
    nodes = {str(k): each.node for k, each in enumerate(found)}
    values = subject.net.inspection.values(subject.data, row, nodes)
    for number, each in enumerate(found):
        value = np.moveaxis(values[str(number)][0], each.axis, -1)
        heads = value.reshape(len(value), -1, value.shape[-1])
        down, across = (_names(subject, name, example) for name in (each.steps, each.looked_at))
        rows = min(MOST_STEPS, _length(subject, each.steps, example, heads.shape[0]))
        columns = min(MOST_STEPS, _length(subject, each.looked_at, example, heads.shape[2]))
        for head in range(heads.shape[1]):
            title = each.path + (f", head {head + 1}" if heads.shape[1] > 1 else "")
            table = Heatmap(heads[:rows, head, :columns], scale="counts", low=0.0, high=1.0)
            x = Axis("" if across else each.looked_at, names=_axis(across, columns))
            y = Axis("" if down else each.steps, names=_axis(down, rows))
            parts.append(Panel((table,), title, x, y, is_square=True))
    shown = tuple(parts[:MOST_PANELS])
    caption = (
        "Each row is a step, and says how much it takes from the step of each column; a row sums"
        f" to 1. Example {subject.rows[example] + 1:,} of the data."
    )
    if len(parts) > len(shown):
        caption += f" The first {len(shown)} of {len(parts)} heads."
    return Figure("attention", "Attention", shown, caption, columns=2)


def _axis(names: list[str], count: int) -> tuple[str, ...]:
    return tuple(names[:count]) or tuple(str(k + 1) for k in range(count))


def _names(subject: Subject, sequence: str, example: int) -> list[str]:
    """The symbols of a sequence of an example; none if they are not classes with names."""
    for role in ("input", "target"):
        for port in subject.ports(role):
            if port.sequence == sequence and port.kind == "class" and len(port.shape) == 1:
                return [each.strip() or each for each in symbols(subject, port, example)]
    return []


def _length(subject: Subject, sequence: str, example: int, most: int) -> int:
    """The steps of an example, without padding."""
    for port in subject.net.ports:
        of = next((each for each in subject.net.ports if each.name == port.length_of), None)
        if of is not None and of.sequence == sequence and port.name in subject.data:
            return int(subject.values(port.name, np.array([example]))[0])
    return most


def weights(program: Program) -> list[AttentionWeights]:
    """The softmaxes over steps at each step. Raises LookupError if there is none."""
    everything = topological([term.node for term in (*program.outputs, *program.losses)])
    axes = step_axes(program, everything)
    found = []
    for node in everything:
        over = _softmax_axis(node)
        if over is None or over == 0 or len(axes[node]) <= over:
            continue
        steps, looked_at = axes[node][0], axes[node][over]
        if steps and looked_at:
            path = node.origin.word or node.origin.name or "attention"
            found.append(AttentionWeights(path, node, steps, looked_at, over))
    if not found:
        raise LookupError("no step of a sequence looks at other steps: there is no attention")
    return found


def _softmax_axis(node: Node) -> int | None:
    """The axis of a softmax, exp(x) / sum(exp(x)), where the sum may be kept from being 0."""
    if not isinstance(node.op, Div) or not isinstance(node.inputs[1].op, Broadcast):
        return None
    top, below = node.inputs
    waiting = [below.inputs[0]]
    for each in waiting:
        if isinstance(each.op, Sum) and each.inputs[0] is top and len(each.op.axes) == 1:
            return each.op.axes[0] if top.op.name == "Exp" else None
        if len(waiting) < 4 and each.op.name in ("Maximum", "Add", "Select"):
            waiting += each.inputs
    return None


def step_axes(program: Program, everything: Iterable[Node]) -> dict[Node, Axes]:
    """Which axes of each value are steps, and of which sequence."""
    sequences = {port.name: port.sequence for port in program.ports if port.sequence}
    found: dict[Node, Axes] = {}
    for node in everything:
        found[node] = _axes(node, found, sequences)
    return found


def _axes(node: Node, found: dict[Node, Axes], sequences: dict[str, str]) -> Axes:
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
