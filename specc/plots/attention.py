"""Plots attention weights: how much each time step reads from each other step.

    found = weights(subject.program)        # [Attention("attention1", node, "time", "time", 2)]
    attention(subject, example=0)           # a panel for each head

Attention is recognized by its computation, a softmax over time steps at each time step. A user's
own formulas are therefore plotted like those of the library.
"""

from __future__ import annotations

import numpy as np

from specc.ir.graph import Node, topological
from specc.ir.program import Program
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.elementwise import Div
from specc.ops.step_axes import step_axes
from specc.plots.marks import Axis, Figure, Heatmap, Panel, Part
from specc.plots.subject import Subject
from specc.plots.through_time import symbols
from specc.system.records import dataclass

MOST_STEPS, MOST_PANELS = 60, 12


@dataclass(frozen=True, eq=False)
class AttentionWeights:
    """Attention weights: each step of sequence `steps` weights the steps of `looked_at`.

    The weights over `looked_at` are axis `axis` of the node.
    """

    path: str
    node: Node
    steps: str
    looked_at: str
    axis: int


def attention(subject: Subject, example: int = 0) -> Figure:
    """Plot the attention weights of an example for each head; rows sum to 1.

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
        "Each row is a time step; its colors show how much it reads from the step of each column."
        f" A row sums to 1. Example {subject.rows[example] + 1:,} of the data."
    )
    if len(parts) > len(shown):
        caption += f" The first {len(shown)} of {len(parts)} heads."
    return Figure("attention", "Attention", shown, caption, columns=2)


def _axis(names: list[str], count: int) -> tuple[str, ...]:
    return tuple(names[:count]) or tuple(str(k + 1) for k in range(count))


def _names(subject: Subject, sequence: str, example: int) -> list[str]:
    """Return the symbols of an example's sequence; empty if they are not classes."""
    for role in ("input", "target"):
        for port in subject.ports(role):
            if port.sequence == sequence and port.kind == "class" and len(port.shape) == 1:
                return [each.strip() or each for each in symbols(subject, port, example)]
    return []


def _length(subject: Subject, sequence: str, example: int, most: int) -> int:
    """Return the number of time steps of an example, without padding."""
    for port in subject.net.ports:
        of = next((each for each in subject.net.ports if each.name == port.length_of), None)
        if of is not None and of.sequence == sequence and port.name in subject.data:
            return int(subject.values(port.name, np.array([example]))[0])
    return most


def weights(program: Program) -> list[AttentionWeights]:
    """Return all softmaxes over time steps at each time step. Raises LookupError if none."""
    everything = topological([term.node for term in (*program.outputs, *program.losses)])
    sequences = {port.name: port.sequence for port in program.ports if port.sequence}
    axes = step_axes(everything, sequences)
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
        raise LookupError("the model has no attention")
    return found


def _softmax_axis(node: Node) -> int | None:
    """Return the axis of a softmax, exp(x) / sum(exp(x)); None if the node is not one.

    The sum may be guarded against 0.
    """
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
