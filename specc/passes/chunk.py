"""Compute large values some rows at a time, so that they are never in memory as a whole.

    s = q @ k.T    a = softmax(s)    y = a @ v         # [T, T] for T steps, and again for gradients

    for each chunk of rows of q:                       # [64, T]
        y rows = softmax(q rows @ k.T) @ v

This is attention with memory that is linear in the steps (Rabe and Staats, Self-attention does not
need O(n^2) memory, 2021; Dao et al., FlashAttention, 2022), but no pass knows of attention: any
formula is cut whose large values all have the rows of one axis, and whose rows are compared with
all of another value (see `regions`). The chunks are parts of the graph, each after the one before.
The backward pass computes the large values of its rows again, from the small values that are kept,
such as the maximum and the sum of a softmax; sums over the rows, such as the gradients of k and v,
are added up chunk by chunk, in their order. Columns that a mask leaves out of a chunk are not
computed (see `masked`).

In and out: a simplified graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from specc.ir.graph import Graph, Node, apply, over
from specc.ir.op import Form, Op
from specc.ops.after import After
from specc.ops.alike import Alike
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.contract import Contract
from specc.ops.elementwise import add
from specc.ops.gather import Put
from specc.ops.leaf import Const, Input, Role, leaf
from specc.ops.random import Uniform
from specc.ops.shape import Concat, Pad, Slice
from specc.ops.views import root_of
from specc.passes import regions
from specc.passes.masked import columns
from specc.passes.regions import CutLimits, Stage, stages


def chunk(graph: Graph, limits: CutLimits | None = None) -> Graph:
    """Return the graph in which large values are computed some rows at a time."""
    limits = limits or regions.LIMITS
    found = stages(graph, limits)
    return _rebuilt(graph, found, limits.rows) if found else graph


def chunks(rows: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield the first row and the number of rows of each chunk, of `most` rows at most."""
    size = -(-rows // -(-rows // most))
    for start in range(0, rows, size):
        yield start, min(size, rows - start)


def _rebuilt(graph: Graph, found: list[Stage], most: int) -> Graph:
    """Return the graph with the chunks of each stage in place of its values."""
    stage_of = {node: stage for stage in found for node in (*stage.kept, *stage.sums)}
    new: dict[Node, Node] = {}
    opened: set[Stage | Node] = set()
    leaves = (node for node in graph.nodes if isinstance(node.op, Input) and node.type.batched)
    example = next(leaves)
    for root in graph.outputs.values():
        stack = [root]
        while stack:
            node = stack[-1]
            stage = stage_of.get(node)
            needed = stage.outside if stage else node.inputs
            waiting = [each for each in needed if each not in new]
            if node in new:
                stack.pop()
            elif waiting:
                opened.add(stage or node)
                assert not any((stage_of.get(each) or each) in opened for each in waiting), (
                    "two stages wait for each other (a bug of specc)"
                )
                stack += waiting
            elif stage:
                new.update(_Chunks(stage, new, example).made(most))
            else:
                new[node] = over(node, tuple(new[each] for each in node.inputs))
    return Graph({name: new[node] for name, node in graph.outputs.items()})


class ChunkPart(NamedTuple):
    """Rows of a chunk, from `start` on, and the columns that they need, if not all of them."""

    start: int
    rows: int
    first: int = 0
    columns: int | None = None


class _Chunks:
    """The chunks of a stage, as they are made one after the other."""

    def __init__(self, stage: Stage, new: dict[Node, Node], example: Node) -> None:
        self.stage, self.region, self.new, self.example = stage, stage.region, new, example
        self.inside = set(stage.inside)
        self.columns = columns(stage)
        self.own = [node for node in stage.inside if not stage.region.is_shared(node)]
        self.before: tuple[Node, ...] = ()  # the results of the chunk before

    def made(self, most: int) -> dict[Node, Node]:
        """Return what the stage gives: rows of all chunks joined, and sums over them."""
        parts: dict[Node, list[Node]] = {node: [] for node in self.stage.kept}
        totals: dict[Node, Node] = {}
        for start, count in chunks(self.region.rows, most):
            rows = self._rows(start, count)
            for node in self.stage.kept:
                parts[node].append(rows[node])
            for node in self.stage.sums:
                totals[node] = add(totals[node], rows[node]) if node in totals else rows[node]
            self.before = (*(rows[node] for node in self.stage.kept), *totals.values())
        joined = {
            node: apply(Concat(self.region.axes[node]), *each, origin=node.origin)
            for node, each in parts.items()
        }
        for node, total in totals.items():
            joined[node] = (
                apply(Sum((), batch=True), total, origin=node.origin)
                if node.op.sums_batch
                else total
            )
        return joined

    def _rows(self, start: int, count: int) -> dict[Node, Node]:
        """Return some rows of each value inside, or their share of a sum."""
        made: dict[Node, Node] = {}
        part = ChunkPart(start, count)
        if self.columns is not None:
            part = ChunkPart(start, count, *self.columns.range(start, count))
        for node in self.own:
            op, places = self._cut(node, part)
            again: dict[Node, Node] = {}
            inputs = []
            for each, (has_rows, slices) in zip(node.inputs, places, strict=True):
                if has_rows and each in made:
                    inputs.append(made[each])
                elif has_rows and each in self.inside:
                    own = part if self._has_columns(node) else ChunkPart(start, count)
                    inputs.append(self._shared(each, own, again))
                else:
                    inputs.append(_sliced(self._late(self.new[each]), slices))
            if isinstance(op, Uniform) and self.before:
                inputs = [self._late(self.example)]
            if node in self.region.sums:
                op = _of_each_example(op)
            made[node] = apply(op, *inputs, origin=node.origin)
        for node in self.stage.sums:
            made[node] = self._whole(node, made[node], part)
        return made

    def _has_columns(self, node: Node) -> bool:
        found = self.columns
        return found is not None and (node in found.axes or node in found.reduced)

    def _cut(self, node: Node, part: ChunkPart) -> tuple[Op, list[tuple[bool, list[Slice]]]]:
        """Return the op for a part of a value, and what it reads of each input.

        That is whether it reads some rows of it, and the slices.
        """
        cut = self.region.cut(node, part.start, part.rows)
        slices = [[] if axis is None else [Slice(axis, part.start, part.rows)] for axis in cut.axes]
        if self.columns is None or part.columns is None or not self._has_columns(node):
            return cut.op, [(bool(own), own) for own in slices]
        has_rows = [bool(own) for own in slices]
        few = Node(
            cut.op,
            tuple(
                _sliced(leaf(Input(Role.STEP, "", each.type)), own)
                for each, own in zip(node.inputs, slices, strict=True)
            ),
            node.type,
        )
        cut = self.columns.cut(node, few, part.first, part.columns)
        for axis, own in zip(cut.axes, slices, strict=True):
            if axis is not None:
                own.append(Slice(axis, part.first, part.columns))
        return cut.op, list(zip(has_rows, slices, strict=True))

    def _whole(self, node: Node, share: Node, part: ChunkPart) -> Node:
        """Return the share of a sum with zeros in the columns that are left out."""
        if self.columns is None or node not in self.columns.axes:
            return share
        axis, size = self.columns.axes[node], self.columns.size
        return share if part.columns == size else apply(Pad(axis, part.first, size), share)

    def _shared(self, root: Node, part: ChunkPart, made: dict[Node, Node]) -> Node:
        """Return a part of a formula that is one for all examples, for a node that reads it."""
        stack = [root]
        while stack:
            node = stack[-1]
            op, places = self._cut(node, part)
            waiting = [
                each
                for each, (has_rows, _) in zip(node.inputs, places, strict=True)
                if has_rows and each in self.inside and each not in made
            ]
            if node in made or waiting:
                stack = [*stack, *waiting] if node not in made else stack[:-1]
                continue
            inputs = [
                made[each]
                if has_rows and each in self.inside
                else self._alike(_sliced(self.new[each], slices))
                for each, (has_rows, slices) in zip(node.inputs, places, strict=True)
            ]
            made[node] = (
                _spread(op, inputs[0])
                if isinstance(op, Broadcast)
                else apply(op, *inputs, origin=node.origin)
            )
        return made[root]

    def _alike(self, value: Node) -> Node:
        """Return a value that is one for all examples as one of each example."""
        is_known = isinstance(root_of(value).op, Const)
        return value if is_known else apply(Alike(), value, self.example)

    def _late(self, value: Node) -> Node:
        """Return a value as a chunk reads it: once the chunk before it is done."""
        is_known = isinstance(root_of(value).op, Const)
        return apply(After(), value, *self.before) if self.before and not is_known else value


def _sliced(value: Node, slices: Iterable[Slice]) -> Node:
    for each in slices:
        value = apply(each, value)
    return value


def _spread(op: Broadcast, value: Node) -> Node:
    """Return the formula of spread values in place of a formula that is spread.

    So it joins the loops that read it, and its value is nowhere in memory.
    """
    if isinstance(value.op, Broadcast):
        op = Broadcast(op.shape, tuple(op.axes[axis] for axis in value.op.axes))
        value = value.inputs[0]
    if value.op.form is not Form.ELEMENT or not value.type.batched:
        return apply(op, value, origin=value.origin)
    return apply(value.op, *(_spread(op, each) for each in value.inputs), origin=value.origin)


def _of_each_example(op: Op) -> Op:
    """Return a sum over the batch without it: the shares are added up first."""
    if isinstance(op, Sum):
        return replace(op, batch=False)
    return replace(op, sum_batch=False) if isinstance(op, (Contract, Put)) else op
