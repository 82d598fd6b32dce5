"""Turn a plan into calls: of loop nests, of register tiles and of ops' own kernels.

calls = emit(plan, "float32", 0, columns)     # the calls of shard 0, in order
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace

from specc.backend.contraction.tiling import WHOLE, Part
from specc.backend.emit import feed
from specc.backend.emit.access import Access, AccessMode, Nest
from specc.backend.emit.body import Body, title
from specc.backend.emit.calls import Iterations, KernelCall
from specc.backend.emit.nest import kernel_of
from specc.backend.emit.own import own_kernel, put_rows_calls
from specc.backend.emit.ports import inputs, outputs
from specc.backend.emit.products import own_rows_calls, product_calls, repeats, rows_calls
from specc.backend.emit.shard import Common, Shard
from specc.backend.machine import this_machine
from specc.ir import sizes
from specc.ir.graph import Node
from specc.ir.plan import Allocation, Group, GroupKind, Mode, Plan, Repeated, Step
from specc.ops.broadcast import Sum
from specc.ops.carry import Carry
from specc.ops.contract import Contract, Map
from specc.ops.elementwise import Elementwise
from specc.ops.gather import Put
from specc.ops.leaf import Input, Role
from specc.ops.reduce import AllReduce, Max
from specc.ops.shape import Concat, Frame, Pad, c_strides
from specc.target.expressions import Expression, Real, call
from specc.target.sharing import named

# The smallest operand, in bytes, that is prefetched; smaller ones arrive quickly anyway. The second
# number is for loops, in each iteration of which a larger part has just been written.
PREFETCHED_FROM, PREFETCHED_IN_LOOPS = 1 << 13, 1 << 8


def emit(
    plan: Plan,
    dtype: str,
    shard: int,
    columns: Mapping[str, str],
    common: Common | None = None,
    has_examples: bool = True,
) -> list[KernelCall]:
    """Return the calls of one shard, phase by phase: inputs first, outputs and the record last.

    `columns` gives the element type of each port's data and of each batched output. The shards of a
    plan share `common`. Without `has_examples`, the shard has no examples, and only computes its
    part of values that the whole batch shares.
    """
    common = common or Common(plan)
    shard_of = _Emitter(plan, dtype, shard, columns, common, common.lasting_bytes)
    calls = [each for each in inputs(shard_of) if has_examples or _is_setting(each)]
    steps = list(plan.steps)
    while steps:
        step = steps.pop(0)
        if step.mode == Mode.SHARD and not has_examples:
            continue
        if step.mode == Mode.ROWS:
            reader = steps.pop(0) if steps and reads_rows(steps[0], step) else None
            calls.extend(shard_of.rows(step, reader))
        elif step in common.calls:
            calls.extend(map(shard_of.own, common.calls[step]))
        elif shard == 0:
            made = list(shard_of.step(step))
            if step.once:
                made = [replace(call, once=True) for call in made]
            elif step.mode == Mode.SHARD:
                common.calls[step] = made
            calls.extend(made)
        elif step.mode != Mode.SINGLE:
            calls.extend(shard_of.step(step.within_arena if step.mode == Mode.EACH else step))
    calls.extend(each for each in outputs(shard_of) if has_examples or not each.nodes)
    if shard == 0:
        common.lasting_bytes = shard_of.lasting_bytes
    return calls


def _is_setting(call: KernelCall) -> bool:
    return all(node.op_as(Input).role == Role.SETTING for node in call.nodes)


def reads_rows(reader: Step, step: Step) -> bool:
    """Return whether `reader` splits its domain into the rows that `step` computes."""
    (node,) = step.group.nodes
    return (
        reader.mode == Mode.SPLIT
        and reader.phase == step.phase
        and reader.group.domain == node.type.shape
        and any(node in each.inputs for each in reader.group.nodes)
    )


def _made_of(group: Group, step: Step) -> Hashable:
    """Return the identity of a nest's formulas: its nodes, and those of them that are stored."""
    return tuple(map(id, group.nodes)), tuple(id(node) for node, _ in step.stores)


class _Emitter(Shard):
    """The calls of a shard, group by group."""

    def own(self, call: KernelCall) -> KernelCall:
        """Return another shard's call, changed for this shard's examples."""
        if not any(name == "first_example" for name, _ in call.arguments):
            return call
        arguments = tuple(
            (name, self.first_example if name == "first_example" else value)
            for name, value in call.arguments
        )
        return replace(call, arguments=arguments)

    def step(self, step: Step, loop: Repeated | None = None) -> Iterator[KernelCall]:
        group = step.group
        if group.kind == GroupKind.LOOP:
            yield from self.loop(step)
        elif group.kind == GroupKind.NEST:
            yield self.nest(step, self.elementwise(step), _made_of(group, step))
        elif group.kind == GroupKind.CONCAT:
            yield from self.concat(step)
        elif group.kind == GroupKind.CONTRACT:
            yield from self.contract(step, loop)
        else:
            yield own_kernel(self, step)

    def loop(self, step: Step) -> Iterator[KernelCall]:
        """Yield the calls for the initial states, then those of one iteration, to be repeated."""
        leads = self.plan.sharing.leads(self.shard)
        for node, allocation in step.stores if leads else ():
            (initial,) = node.inputs
            shape = tuple(map(sizes.bound, node.op_as(Carry).shape))
            body = Body(self, shape, True)
            value = body.read(initial)
            step_, item = self.plan.lanes, self.item(node)
            strides = (*(stride * step_ for stride in c_strides(shape)), 1)
            body.accesses.append(
                Access(
                    "out",
                    "float",
                    self.address(node, allocation),
                    strides,
                    AccessMode.STORE,
                    value,
                    sizes.count(shape) * step_,
                    item,
                )
            )
            nest = Nest("copy", body.extents, body.accesses, body.lines)
            yield replace(self.nest(step, nest), nodes=(node,))
        iterations = Iterations(step.iterations, step.group.nodes, step.phases)
        calls = [
            call
            for each in step.steps
            if leads or each.mode == Mode.SPLIT
            for call in self.step(each, step.group.loop)
        ]
        yield from (call for call in calls if call.lasting)
        yield from (replace(call, loop=iterations) for call in calls if not call.lasting)

    def rows(self, step: Step, reader: Step | None) -> Iterator[KernelCall]:
        """Yield the calls for this shard's rows of a batch sum, and for the step that reads them.

        They are interleaved piece by piece. Each piece is then still in the L2 cache when it is
        read, and the reader's other operands are prefetched during the products.
        """
        (node,) = step.group.nodes
        ((_, allocation),) = step.stores
        start, count = self.part(node.type.bound_shape[0])
        if isinstance(node.op, Put):
            yield from put_rows_calls(self, node, allocation, step.phase, start, count)
            if reader is not None:
                yield from self.step(reader)
            return
        row = sizes.count(node.type.shape[1:]) * self.item(node)
        # a piece is small enough to stay in the L2 cache until the weights are updated
        pieces = -(-count * row // self._cached) if reader is not None else 1
        piece = max(-(-count // max(pieces, 1) // 12) * 12, 1)
        out = self.address(node, allocation)
        packs: list[KernelCall] = []  # the packing calls of the previous piece
        for at in range(start, start + count, piece):
            rows = min(piece, start + count - at)
            prefetched = (
                [
                    self.address(each, there).moved(at * row)
                    for each, there in reader.stores
                    if each.type.shape == node.type.shape
                ]
                if reader is not None
                else []
            )
            calls = rows_calls(
                node, self, out, step.phase, at, rows, prefetched, rows * row if prefetched else 0
            )
            yield from (
                each for each in calls if not any(repeats(each, before) for before in packs)
            )
            packs = [each for each in calls if each.packs]
            if reader is not None:
                nest = self.elementwise(reader)
                self._take_rows(nest, 0, at, rows)
                kernel, arguments = kernel_of(nest, self.dtype)
                yield KernelCall(kernel, tuple(arguments), reader.phase, reader.group.nodes)

    def nest(self, step: Step, nest: Nest, made_of: Hashable = None) -> KernelCall:
        """Return the call of a nest; `made_of`, if it is given, identifies its formulas."""
        if step.mode == Mode.SPLIT:
            self._take_part(nest)
        elif step.mode == Mode.LANES:
            width = this_machine().lanes(self.dtype)
            start, count = self.part(self.plan.lanes // width)
            self._take_rows(nest, len(nest.extents) - 1, start * width, count * width)
        kernels = None if made_of is None else self.common.kernels
        kernel, arguments = kernel_of(nest, self.dtype, made_of, kernels)
        return KernelCall(kernel, tuple(arguments), step.phase, step.group.nodes)

    def _take_part(self, nest: Nest) -> None:
        """Keep this shard's part of a nest over shared memory: a range of one axis."""
        axis = self.plan.sharing.divided_axis(nest.extents)
        self._take_rows(nest, axis, *self.part(nest.extents[axis]))

    @staticmethod
    def _take_rows(nest: Nest, axis: int, start: int, count: int) -> None:
        """Keep `count` entries of an axis, from `start` on."""
        size = nest.extents[axis]
        nest.extents = (*nest.extents[:axis], count, *nest.extents[axis + 1 :])
        for each in nest.accesses:
            shift = start * each.strides[axis] * each.item
            each.address = each.address.moved(shift)
            each.elements = each.elements // size * count

    def elementwise(self, step: Step) -> Nest:
        group = step.group
        body = Body(self, group.domain, group.batched)
        members: dict[Node, Expression] = {}
        reduced: tuple[bool, ...] = ()
        for node in group.nodes:
            if isinstance(node.op, AllReduce):
                members[node] = body.all_shards(node.inputs[0])
                continue
            operands = [
                members[each] if each in members else body.read(each) for each in node.inputs
            ]
            if isinstance(node.op, (Sum, Max, Pad, Frame)):
                members[node] = operands[0]
                if isinstance(node.op, (Sum, Max)):
                    lane = (node.op.sums_batch,) if group.batched else ()
                    reduced = (
                        tuple(axis in node.op.axes for axis in range(len(group.domain))) + lane
                    )
            else:
                assert isinstance(node.op, Elementwise)
                formula = node.op.formula(*operands)
                members[node] = body.let(named(formula, operands, body.let))
        for node, allocation in step.stores:
            body.write(node, allocation, members[node])
        return Nest(title(group.nodes), body.extents, body.accesses, body.lines, reduced)

    def concat(self, step: Step) -> Iterator[KernelCall]:
        (node,) = step.group.nodes
        axis, start = node.op_as(Concat).axis, 0
        for each in node.inputs:
            for _, allocation in step.stores if each not in self.plan.strides else ():
                there = replace(
                    allocation,
                    offset=allocation.offset
                    + start
                    * self.item(node)
                    * (c_strides(node.type.bound_shape)[axis] * self.lane_step(node)),
                )
                if axis == 0 and self.plan.allocations.get(each) == there:
                    continue  # it was computed there
                body = Body(self, each.type.shape, node.type.batched)
                value = body.read(each)
                strides = c_strides(node.type.bound_shape)
                body.store(node, allocation, value, strides, start * strides[axis])
                nest = Nest("concat", body.extents, body.accesses, body.lines)
                yield self.nest(step, nest)
            start += each.type.bound_shape[axis]

    def contract(self, step: Step, loop: Repeated | None = None) -> Iterator[KernelCall]:
        (node,) = step.group.nodes
        ((_, allocation),) = step.stores
        if node.op.sums_own_rows:
            yield from own_rows_calls(node, self, self.address(node, allocation), step.phase)
            return
        divided = step.mode == Mode.SPLIT
        part = Part(self.shard, self.plan.shards, step.by_channels) if divided else WHOLE
        calls = product_calls(node, self, self.address(node, allocation), step.phase, loop, part)
        if calls and divided and not calls[-1].prefetches:
            yield from self.prefetching(
                node, step.phase, PREFETCHED_FROM if loop is None else PREFETCHED_IN_LOOPS
            )
        if calls:
            yield from calls
        elif part.number == 0:
            whole, nest = replace(step, mode=Mode.SINGLE), self.product_nest(node, allocation)
            strides = self.plan.strides.get(node)
            if strides:  # the memory between its elements belongs to another value
                body = Body(self, node.type.shape, node.type.batched)
                body.store(node, allocation, Real(0.0), strides, 0)
                yield self.nest(whole, Nest("zero", body.extents, body.accesses, body.lines))
                nest.accesses[-1].elements = 0
            yield self.nest(whole, nest)

    @property
    def _cached(self) -> int:
        """The bytes of one operand that stay in the L2 cache beside all other data."""
        return self.target.profile.l2 // 4

    def prefetching(self, node: Node, phase: int, least: int) -> Iterator[KernelCall]:
        """Yield calls that prefetch the parts of a product's operands that other shards computed.

        Only operands of at least `least` bytes that fit in the L2 cache are prefetched.
        """
        for root in dict.fromkeys(self.plan.views[each].root for each in node.inputs):
            size = root.type.bound_elements * self.item(root)
            if root.type.batched and root.type.rank and least <= size < self._cached:
                start, count = self.part(root.type.bound_shape[0])
                line = size // root.type.bound_shape[0]
                arguments = (
                    ("x", self.address(root)),
                    ("start", start * line),
                    ("stop", (start + count) * line),
                    ("size", size),
                )
                yield KernelCall(
                    feed.kernel(feed.prefetch_parts, self.dtype),
                    arguments,
                    phase,
                    (node,),
                    packs=True,
                )

    def product_nest(self, node: Node, allocation: Allocation) -> Nest:
        """Return a contraction as a nest of plain loops, for products that no tile fits."""
        op = node.op_as(Contract)
        batched = any(each.type.batched for each in node.inputs)
        out_indices = [i for expression in op.out for i, _ in expression.terms]
        order = sorted(range(len(op.extents)), key=lambda i: (i not in out_indices, i))
        body = Body(self, tuple(op.extents[i] for i in order), batched)

        def strides_of(map_: Map, strides: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
            steps, offset = [0] * len(order), 0
            for expression, stride in zip(map_, strides, strict=True):
                offset += expression.constant * stride
                for i, coefficient in expression.bound_terms:
                    steps[order.index(i)] += coefficient * stride
            return tuple(steps), offset

        operands = []
        for each, map_ in zip(node.inputs, (op.left, op.right), strict=True):
            seen = self.plan.views[each]
            steps, offset = strides_of(map_, seen.strides)
            operands.append(body.access(seen.root, steps, seen.offset + offset))
        strides = self.plan.strides.get(node) or c_strides(node.type.bound_shape)
        steps, offset = strides_of(op.out, strides)
        left, right = (call("bfloat16", each) if op.rounded else each for each in operands)
        body.store(node, allocation, left * right, steps, offset, mode=AccessMode.SUM)
        lane = (not node.type.batched,) if batched else ()
        reduced = tuple(i not in out_indices for i in order) + lane
        nest = Nest("product", body.extents, body.accesses, body.lines, reduced)
        nest.accesses[-1].fill, nest.accesses[-1].overlaps = True, op.overlaps
        return nest
