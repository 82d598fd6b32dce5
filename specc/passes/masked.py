"""Which columns of a chunk are computed: those of causal attention before its last row.

    columns(stage)                    # what masks columns, or None if no condition does
    found.range(start=0, count=64)    # (0, 64): all others are masked in the rows of this chunk

A condition on positions alone, as u > t, masks a value: it is -inf there, so its exponential is 0,
and so is what a sum or a product adds up. Where that holds for all columns outside of a range, the
values of the chunk are computed within the range alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING

from specc.ir.graph import Node
from specc.ir.op import Cut, Form
from specc.ops.broadcast import Sum
from specc.ops.contract import Contract
from specc.ops.elementwise import Elementwise, Select
from specc.ops.leaf import Const, Iota
from specc.ops.reduce import Max
from specc.ops.views import is_view, root_of
from specc.passes.regions import Stage, result_axis
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np

PROBES = (-2.25, 0.75, 5.5)
"""Numbers in place of a value that is not known, to see whether a formula depends on it."""


@dataclass(eq=False)
class MaskedColumns:
    """The axis of the columns of each value of a stage, and the nodes that reduce them.

    `reduced` has the input and its axis that a node sums over, or takes the largest of.
    """

    stage: Stage
    size: int
    axes: dict[Node, int] = field(default_factory=dict)
    reduced: dict[Node, tuple[int, int]] = field(default_factory=dict)
    masks: dict[Node, bool] = field(default_factory=dict)  # Select -> where it is masked

    def range(self, start: int, count: int) -> tuple[int, int]:
        """Return the columns that some rows need: the first, and their number."""
        import numpy as np

        live = np.zeros(self.size, bool)
        for mask, masked in self.masks.items():
            rows = _numbers(mask.inputs[0], self.stage, start, count)
            axes = tuple(axis for axis in range(rows.ndim) if axis != self.axes[mask])
            live |= (rows != masked).any(axes)
        found = np.flatnonzero(live)
        return (int(found[0]), int(found[-1] - found[0] + 1)) if len(found) else (0, self.size)

    def cut(self, node: Node, rows: Node, first: int, count: int) -> Cut:
        """Return what computes some columns of a value whose `rows` are cut already."""
        if node in self.axes:
            cut = rows.op.cut(rows, self.axes[node], first, count)
        elif isinstance(node.op, Max):
            cut = Cut(rows.op, (self.reduced[node][1],))
        else:
            cut = rows.op.summand(rows, *self.reduced[node], count)
        assert cut is not None, f"{node!r} has no columns (a bug of specc)"
        return cut


def columns(stage: Stage) -> MaskedColumns | None:
    """Return the columns of a stage that conditions on positions mask; None if they mask none."""
    region = stage.region
    masks = [
        node
        for node in stage.inside
        if isinstance(node.op, Select) and _is_of_positions(node.inputs[0], stage)
    ]
    for first in masks:
        for axis, size in enumerate(first.type.bound_shape):
            found = MaskedColumns(stage, size, {first: axis})
            if axis == region.axes[first] or not _spread_axes(found):
                continue
            found.masks = {}
            for mask in masks:
                _mask(found, mask)
            if found.masks and _masks_what_is_reduced(found):
                return found
    return None


def _is_of_positions(node: Node, stage: Stage) -> bool:
    """Return whether a condition follows from positions alone."""
    stack, seen = [node], {node}
    while stack:
        each = stack.pop()
        known = isinstance(each.op, (Elementwise, Const, Iota)) or is_view(each)
        if each.type.batched or not known:
            return False
        stack += [value for value in each.inputs if value not in seen]
        seen.update(each.inputs)
    return node in stage.inside


def _numbers(node: Node, stage: Stage, start: int, count: int) -> np.ndarray:
    """Return some rows of a condition on positions, as numbers."""
    known: dict[tuple[Node, bool], np.ndarray] = {}

    def value(node: Node, is_cut: bool) -> np.ndarray:
        if (node, is_cut) not in known:
            cut = stage.region.cut(node, start, count) if is_cut else Cut(node.op, ())
            axes = cut.axes or (None,) * len(node.inputs)
            inputs = []
            for each, axis in zip(node.inputs, axes, strict=True):
                beside = axis is not None and each in inside
                found = value(each, beside)
                rows = range(start, start + count)
                inputs.append(found if beside or axis is None else found.take(rows, axis))
            types = tuple(
                replace(each.type, shape=found.shape)
                for each, found in zip(node.inputs, inputs, strict=True)
            )
            known[node, is_cut] = cut.op.reference(types, *inputs)
        return known[node, is_cut]

    inside = set(stage.inside)
    return value(node, node in inside)


def _spread_axes(found: MaskedColumns) -> bool:
    """Follow the columns to all values of the stage; return False if they get lost."""
    stage, axes = found.stage, found.axes
    inside = set(stage.inside)
    users: dict[Node, list[Node]] = {}
    for node in stage.inside:
        for each in node.inputs:
            users.setdefault(each, []).append(node)
    stack = list(axes)

    def add(node: Node, axis: int) -> bool:
        if node not in axes:
            axes[node] = axis
            stack.append(node)
        return axes[node] == axis

    while stack:
        node = stack.pop()
        cut = node.op.cut(node, axes[node], 0, 1)
        is_row = stage.region.axes.get(node) == axes[node]
        if cut is None or is_row or node in stage.kept:
            return False
        for (each, _, is_beside), axis in zip(stage.region.reads(node), cut.axes, strict=True):
            if axis is not None and is_beside and each in inside and not add(each, axis):
                return False
        for user in () if stage.region.is_shared(node) else users.get(node, ()):
            for position, each in enumerate(user.inputs):
                if each is node and not _follow(found, user, position, axes[node], add):
                    return False
    return all(not (node in found.reduced and node in axes) for node in stage.inside)


def _follow(
    found: MaskedColumns, user: Node, position: int, axis: int, add: Callable[[Node, int], bool]
) -> bool:
    """Follow the columns of a value to a node that reads it: its columns, or what reduces them."""
    own = result_axis(user, position, axis)
    if own is not None:
        return add(user, own)
    is_largest = isinstance(user.op, Max) and axis in user.op.axes
    if not is_largest and user.op.summand(user, position, axis, 1) is None:
        return False
    return found.reduced.setdefault(user, (position, axis)) == (position, axis) or (
        user.op.summand(user, position, axis, 1) == user.op.summand(user, *found.reduced[user], 1)
    )


def _mask(found: MaskedColumns, mask: Node) -> None:
    """Note which value of a condition masks, if one of the two values is known there."""
    if mask not in found.axes:
        return
    _, chosen, other = mask.inputs
    for masked, value in ((True, chosen), (False, other)):
        if isinstance(root_of(value).op, Const):
            found.masks[mask] = masked
            return


def _masks_what_is_reduced(found: MaskedColumns) -> bool:
    """Return whether what is left out of every reduction changes nothing, and sums are 0 there."""
    value: dict[Node, float | None] = {}
    for node in found.stage.inside:
        value[node] = _masked_value(node, found, value)
    for node, (position, _) in found.reduced.items():
        neutral = -float("inf") if isinstance(node.op, Max) else 0.0
        inputs = node.inputs if isinstance(node.op, Contract) else [node.inputs[position]]
        if not any(value.get(each) == neutral for each in inputs if each in found.axes):
            return False
    return all(value[node] == 0 for node in found.stage.sums if node in found.axes)


def _masked_value(
    node: Node, found: MaskedColumns, value: Mapping[Node, float | None]
) -> float | None:
    """Return the one number that a value is outside of the range; None if it is not known."""
    if node not in found.axes:
        return None
    inputs = [
        _number(root_of(each)) if isinstance(root_of(each).op, Const) else value.get(each)
        for each in node.inputs
    ]
    if node in found.masks:
        return inputs[1] if found.masks[node] else inputs[2]
    if isinstance(node.op, Contract):
        return 0.0 if 0.0 in inputs else None
    if isinstance(node.op, Sum):
        return 0.0 if inputs[0] == 0.0 else None
    if isinstance(node.op, Select):
        return inputs[1] if inputs[1] == inputs[2] else None
    if node.op.form is Form.VIEW:
        return inputs[0]
    if not isinstance(node.op, Elementwise) or node.type.kind != "float":
        return None
    return _formula(node.op, inputs)


def _number(node: Node) -> float | None:
    constant = node.op_as(Const).value
    return float(constant) if isinstance(constant, (int, float)) else None


def _formula(op: Elementwise, inputs: list[float | None]) -> float | None:
    """Return the value of a formula whose known inputs alone decide it."""
    import numpy as np

    results = set()
    with np.errstate(all="ignore"):
        for probe in PROBES:
            given = (np.array(probe if each is None else each) for each in inputs)
            results.add(float(op.reference((), *given)))
    return results.pop() if len(results) == 1 else None
