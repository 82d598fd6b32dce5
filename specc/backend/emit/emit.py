"""From a plan to kernel calls: every group becomes loop nests, register tiles or an op's own kernel.

calls = emit(plan, "float32", shard=0)     # the program of one shard, in order
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add

from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import WHOLE, Part
from specc.backend.emit import feed
from specc.backend.emit.calls import ELEMENT, Address, Call, Turns, Value, element_bytes
from specc.backend.emit.nest import Access, Nest, Read, kernel_of
from specc.backend.emit.products import own_rows_calls, product_calls, repeats, rows_calls
from specc.backend.machine import this_machine
from specc.backend.numba import printer
from specc.ir import sizes
from specc.ir.graph import Node
from specc.ir.plan import ALIGNMENT, Place, Plan, Repeated, Step, share
from specc.ops.broadcast import Sum
from specc.ops.contract import Contract
from specc.ops.gather import Put, put_rows
from specc.ops.leaf import REPEATED, Const, Input
from specc.ops.reduce import AllReduce, Max
from specc.ops.shape import Frame, Pad, c_strides
from specc.ops.views import parts_read
from specc.target import parse
from specc.target.expressions import Expression, Integer, Name, Real, Truth
from specc.target.sharing import named

PIECE = (
    256 << 10
)  # bytes of a gradient's rows that are computed before the weights are updated by them
# Bytes of an operand that are asked for ahead: fewer are there soon, more would not stay in a near cache.
ASKED = range(1 << 13, 1 << 18)
ASKED_AGAIN = range(1 << 8, 1 << 18)  # in each turn of a loop: all of it has just been written
ANY = 1 << 31  # classes, where nothing says how many there are


def emit(plan: Plan, dtype: str, shard: int, columns: Mapping[str, str]) -> list[Call]:
    """The calls of one shard, phase by phase: inputs first, outputs and the record last.

    `columns` gives the element type of each port's data and of each batched output.
    """
    shard_of = _Shard(plan, dtype, shard, columns)
    calls = list(shard_of.inputs())
    steps = list(plan.steps)
    while steps:
        step = steps.pop(0)
        if step.mode == "rows":
            reader = steps.pop(0) if steps and reads_rows(steps[0], step) else None
            calls.extend(shard_of.rows(step, reader))
        elif shard == 0:
            calls.extend(shard_of.step(step))
        elif step.mode != "single":
            calls.extend(shard_of.step(step.within_arena if step.mode == "each" else step))
    calls.extend(shard_of.outputs())
    return calls


def _is_by_rows(node: Node) -> bool:
    """Whether each shard of a team has a part of the value, of its own rows of the weights."""
    return isinstance(node.op, Contract) and node.op.by_rows


def reads_rows(reader: Step, step: Step) -> bool:
    """Whether a step of the same phase is divided as the rows are that another one completes."""
    (node,) = step.group.nodes
    return (
        reader.mode == "split"
        and reader.phase == step.phase
        and reader.group.domain == node.type.shape
        and any(node in each.inputs for each in reader.group.nodes)
    )


@dataclass(eq=False)
class _Shard:
    plan: Plan
    dtype: str
    shard: int
    columns: Mapping[str, str]
    lasting_bytes: int = 0

    @cached_property
    def target(self) -> Target:
        """The elements' type and the machine that contractions are made for."""
        return Target(self.dtype, this_machine())

    @cached_property
    def parts_read(self) -> dict[Node, tuple[tuple[int, int], ...]]:
        """Of which products not all is read, and what is."""
        if any(step.group.kind == "loop" for step in self.plan.steps):
            return {}
        return parts_read(self.plan.graph)

    # What comes in and goes out.

    def inputs(self) -> Iterator[Call]:
        plan = self.plan
        for node, place in plan.places.items():
            if not isinstance(node.op, Input):
                continue
            role, label = node.op.role, node.op.label
            out = self.address(node, place)
            lanes = (("lanes", plan.lanes), ("examples", plan.examples))
            is_divided = (
                plan.team
                and plan.lanes > 1
                and role in ("input", "target")
                and node.type.kind == "float"
            )
            if plan.team and self.shard and not is_divided:
                continue
            if role in ("input", "target"):
                gather = {
                    "float": feed.gather_float,
                    "int": feed.gather_int,
                    "bool": feed.gather_bool,
                }[node.type.kind]
                skipped, size = self._features(node) if is_divided else (0, node.type.elements)
                out = out.moved(skipped * self.lane_step(node) * self.item(node))
                arguments = (
                    ("frame", Address("frame")),
                    ("out", out),
                    ("slot", Address("slot", name=label)),
                    ("size", size),
                )
                if node.type.kind == "float":
                    arguments += (("skipped", skipped), ("first_example", self.first_example))
                if node.type.kind == "int":
                    known = isinstance(node.type.classes, int)
                    arguments += (("classes", node.type.classes if known else ANY),)
                arguments += lanes
                yield Call(
                    feed.kernel(gather, self.dtype, column=self.columns[label]),
                    arguments,
                    0,
                    (node,),
                )
            elif role == "weight_of_example":
                arguments = (("frame", Address("frame")), ("out", out), *lanes)
                yield Call(feed.kernel(feed.weigh_examples, self.dtype), arguments, 0, (node,))
            elif role == "setting" and self.shard == 0:
                arguments = (
                    ("frame", Address("frame")),
                    ("out", out),
                    ("number", int(label)),
                    ("settings", Address("settings")),
                )
                yield Call(feed.kernel(feed.read_setting, self.dtype), arguments, 0, (node,))

    def _features(self, node: Node) -> tuple[int, int]:
        """The features of an example that this shard of a team brings in: how many are skipped, and how many
        they are, in whole vectors but for the last."""
        width, size = this_machine().lanes(self.dtype), node.type.elements
        start, count = share(-(-size // width), self.shard, self.plan.shards)
        start = min(start * width, size)
        return start, min(count * width, size - start)

    @property
    def first_example(self) -> int:
        """The number in the batch of this shard's first example."""
        return 0 if self.plan.team else self.shard * self.plan.examples

    def outputs(self) -> Iterator[Call]:
        plan = self.plan
        last = max((step.phase for step in plan.steps), default=0) + plan.team
        if plan.team and self.shard:
            return
        if plan.records and self.shard == 0:
            records = {node for name, node in plan.graph.outputs.items() if name in plan.records}
            # a record that another shard completes is there after a barrier
            late = any(
                step.mode == "split"
                for step in plan.steps
                if records & {node for node, _ in step.stores}
            )
            arguments = (
                ("frame", Address("frame")),
                ("values", Address("record")),
                ("records", plan.record_width),
            )
            yield Call(feed.kernel(feed.write_record, self.dtype), arguments, last + late)
        for name, node in plan.emits:
            arguments = (
                ("frame", Address("frame")),
                ("values", self.viewed(node)),
                ("slot", Address("slot", name=name)),
                ("size", node.type.elements),
                ("lanes", plan.lanes),
                ("examples", plan.examples),
            )
            width = this_machine().lanes(self.dtype)
            squares = plan.lanes % width == 0 and node.type.elements >= width
            turned = squares and node.type.kind == "float" and self.columns[name] == self.dtype
            write = feed.write_turned if turned else feed.write_rows
            kernel = feed.kernel(
                write, self.dtype, column=self.columns[name], element=ELEMENT[node.type.kind]
            )
            yield Call(kernel, arguments, last, (node,))

    # Places.

    def address(self, node: Node, place: Place | None = None, shard: int | None = None) -> Address:
        place = place or self.plan.places[node]
        if shard is None and self.plan.team and not _is_by_rows(node):
            shard = 0
        return Address(place.space, place.offset, node.origin.name, shard, place.stride)

    def viewed(self, node: Node, shard: int | None = None) -> Address:
        """Where a value that lies in C order begins, in the calling shard or in one of a number."""
        seen = self.plan.views[node]
        return self.address(seen.root, shard=shard).moved(
            seen.offset * self.lane_step(seen.root) * self.item(seen.root)
        )

    def item(self, node: Node) -> int:
        return element_bytes(node.type.kind, self.dtype)

    def lane_step(self, node: Node) -> int:
        return self.plan.lanes if node.type.batched else 1

    # Groups.

    def step(self, step: Step, loop: Repeated | None = None) -> Iterator[Call]:
        group = step.group
        if group.kind == "loop":
            yield from self.loop(step)
        elif group.kind == "nest":
            yield self.nest(step, self.elementwise(step))
        elif group.kind == "concat":
            yield from self.concat(step)
        elif group.kind == "contract":
            yield from self.contract(step, loop)
        else:
            yield self.own_kernel(step)

    def loop(self, step: Step) -> Iterator[Call]:
        """The states as they begin, then the calls of one turn, to be repeated."""
        alone = self.shard == 0 or not self.plan.team
        for node, place in step.stores if alone else ():
            (initial,) = node.inputs
            body = _Body(self, node.op.shape, True)
            value = body.read(initial)
            step_, item = self.plan.lanes, self.item(node)
            strides = tuple(stride * step_ for stride in c_strides(node.op.shape)) + (1,)
            body.accesses.append(
                Access(
                    "out",
                    "float",
                    self.address(node, place),
                    strides,
                    "store",
                    value,
                    sizes.product(node.op.shape) * step_,
                    item,
                )
            )
            nest = Nest("copy", body.extents, body.accesses, body.lines)
            yield replace(self.nest(step, nest), nodes=(node,))
        turns = Turns(step.turns, step.group.nodes, step.phases)
        calls = [
            call
            for each in step.steps
            if alone or each.mode == "split"
            for call in self.step(each, step.group.loop)
        ]
        yield from (call for call in calls if call.lasting)
        yield from (replace(call, loop=turns) for call in calls if not call.lasting)

    def rows(self, step: Step, reader: Step | None) -> Iterator[Call]:
        """This shard's rows of a sum over all examples, and what reads them, piece by piece: so these
        are still in a near cache, and what else is read then comes while the products run."""
        (node,) = step.group.nodes
        ((_, place),) = step.stores
        start, count = self._part(node.type.shape[0])
        if isinstance(node.op, Put):
            yield from self.put_rows(node, place, step.phase, start, count)
            if reader is not None:
                yield from self.step(reader)
            return
        row = sizes.product(node.type.shape[1:]) * self.item(node)
        pieces = -(-count * row // PIECE) if reader is not None else 1
        piece = max(-(-count // max(pieces, 1) // 12) * 12, 1)
        out = self.address(node, place)
        last: Call | None = None
        for at in range(start, start + count, piece):
            rows = min(piece, start + count - at)
            soon = (
                [
                    self.address(each, there).moved(at * row)
                    for each, there in reader.stores
                    if each.type.shape == node.type.shape
                ]
                if reader is not None
                else []
            )
            calls = rows_calls(
                node, self, out, step.phase, at, rows, soon, rows * row if soon else 0
            )
            if last is not None and repeats(calls[0], last):
                del calls[0]
            else:
                last = calls[0]
            yield from calls
            if reader is not None:
                nest = self.elementwise(reader)
                self._take_rows(nest, 0, at, rows)
                kernel, arguments = kernel_of(nest, self.dtype)
                yield Call(kernel, tuple(arguments), reader.phase, reader.group.nodes)

    def nest(self, step: Step, nest: Nest) -> Call:
        if step.mode == "split":
            self._take_part(nest)
        elif step.mode == "lanes":
            width = this_machine().lanes(self.dtype)
            start, count = self._part(self.plan.lanes // width)
            self._take_rows(nest, len(nest.extents) - 1, start * width, count * width)
        kernel, arguments = kernel_of(nest, self.dtype)
        return Call(kernel, tuple(arguments), step.phase, step.group.nodes)

    def _take_part(self, nest: Nest) -> None:
        """Keep this shard's part of a nest over shared memory: a range of its longest outer axis."""
        axis = (
            0
            if self.plan.team
            else max(range(len(nest.extents)), key=lambda a: (nest.extents[a] >= 64, -a))
        )
        size = nest.extents[axis]
        self._take_rows(nest, axis, *self._part(size))

    @staticmethod
    def _take_rows(nest: Nest, axis: int, start: int, count: int) -> None:
        """Keep `count` entries of an axis, from `start` on."""
        size = nest.extents[axis]
        nest.extents = (*nest.extents[:axis], count, *nest.extents[axis + 1 :])
        for each in nest.accesses:
            shift = start * each.strides[axis] * each.item
            each.address = each.address.moved(shift)
            each.elements = each.elements // size * count

    def _part(self, size: int) -> tuple[int, int]:
        """Where this shard's part of so many entries starts, and how many they are."""
        if self.plan.team:
            return share(size, self.shard, self.plan.shards)
        part = -(-size // self.plan.shards)
        part = -(-part // 16) * 16 if part >= 16 else part
        start = min(self.shard * part, size)
        return start, min(part, size - start)

    def elementwise(self, step: Step) -> Nest:
        group = step.group
        body = _Body(self, group.domain, group.batched)
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
                    lane = (getattr(node.op, "batch", False),) if group.batched else ()
                    reduced = (
                        tuple(axis in node.op.axes for axis in range(len(group.domain))) + lane
                    )
            else:
                members[node] = body.let(named(node.op.formula(*operands), operands, body.let))
        for node, place in step.stores:
            body.write(node, place, members[node])
        return Nest(_title(group.nodes), body.extents, body.accesses, body.lines, reduced)

    def concat(self, step: Step) -> Iterator[Call]:
        (node,) = step.group.nodes
        axis, start = node.op.axis, 0
        for each in node.inputs:
            for _, place in step.stores if each not in self.plan.strides else ():
                there = replace(
                    place,
                    offset=place.offset
                    + start
                    * self.item(node)
                    * (c_strides(node.type.shape)[axis] * self.lane_step(node)),
                )
                if axis == 0 and self.plan.places.get(each) == there:
                    continue  # it was computed in its place
                body = _Body(self, each.type.shape, node.type.batched)
                value = body.read(each)
                strides = c_strides(node.type.shape)
                body.store(node, place, value, strides, start * strides[axis])
                nest = Nest("concat", body.extents, body.accesses, body.lines)
                yield self.nest(step, nest)
            start += each.type.shape[axis]

    def contract(self, step: Step, loop: Repeated | None = None) -> Iterator[Call]:
        (node,) = step.group.nodes
        ((_, place),) = step.stores
        if node.op.by_rows:
            yield from own_rows_calls(node, self, self.address(node, place), step.phase)
            return
        divided = step.mode == "split"
        part = Part(self.shard, self.plan.shards, step.by_channels) if divided else WHOLE
        calls = product_calls(node, self, self.address(node, place), step.phase, loop, part)
        if calls and step.mode == "split" and self.plan.team and not calls[-1].asks:
            yield from self.asked(node, step.phase, ASKED if loop is None else ASKED_AGAIN)
        if calls:
            yield from calls
        elif part.number == 0:
            whole, nest = replace(step, mode="single"), self.product_nest(node, place)
            strides = self.plan.strides.get(node)
            if strides:  # what lies between its elements is another value's
                body = _Body(self, node.type.shape, node.type.batched)
                body.store(node, place, Real(0.0), strides, 0)
                yield self.nest(whole, Nest("zero", body.extents, body.accesses, body.lines))
                nest.accesses[-1].elements = 0
            yield self.nest(whole, nest)

    def asked(self, node: Node, phase: int, sizes_: range) -> Iterator[Call]:
        """Calls that ask for the parts of a product's operands that the other shards have made."""
        for root in dict.fromkeys(self.plan.views[each].root for each in node.inputs):
            size = root.type.elements * self.item(root)
            if root.type.batched and root.type.rank and size in sizes_:
                start, count = self._part(root.type.shape[0])
                line = size // root.type.shape[0]
                arguments = (
                    ("x", self.address(root)),
                    ("start", start * line),
                    ("stop", (start + count) * line),
                    ("size", size),
                )
                yield Call(feed.kernel(feed.ask, self.dtype), arguments, phase, (node,), packs=True)

    def lasting(self, size: int) -> Address:
        """Memory of this shard that nothing else uses."""
        address = Address("lasting", self.lasting_bytes)
        self.lasting_bytes += -(-size // ALIGNMENT) * ALIGNMENT
        return address

    def product_nest(self, node: Node, place: Place) -> Nest:
        """The contraction as plain loops: for products that no tile fits."""
        op: Contract = node.op
        batched = any(each.type.batched for each in node.inputs)
        out_indices = [i for expression in op.out for i, _ in expression.terms]
        order = sorted(range(len(op.extents)), key=lambda i: (i not in out_indices, i))
        body = _Body(self, tuple(op.extents[i] for i in order), batched)

        def strides_of(map_, strides):
            steps, offset = [0] * len(order), 0
            for expression, stride in zip(map_, strides, strict=True):
                offset += expression.constant * stride
                for i, coefficient in expression.terms:
                    steps[order.index(i)] += coefficient * stride
            return tuple(steps), offset

        operands = []
        for each, map_ in zip(node.inputs, (op.left, op.right), strict=True):
            seen = self.plan.views[each]
            steps, offset = strides_of(map_, seen.strides)
            operands.append(body.access(seen.root, steps, seen.offset + offset))
        strides = self.plan.strides.get(node) or c_strides(op.shape)
        steps, offset = strides_of(op.out, strides)
        body.store(node, place, operands[0] * operands[1], steps, offset, mode="sum")
        lane = (not node.type.batched,) if batched else ()
        reduced = tuple(i not in out_indices for i in order) + lane
        nest = Nest("product", body.extents, body.accesses, body.lines, reduced)
        nest.accesses[-1].fill, nest.accesses[-1].overlaps = True, op.overlaps
        return nest

    def own_kernel(self, step: Step) -> Call:
        (node,) = step.group.nodes
        ((_, place),) = step.stores
        types = tuple(each.type for each in node.inputs)
        lanes = self.plan.lanes if any(type_.batched for type_ in (node.type, *types)) else 1
        width = this_machine().lanes(self.dtype) if lanes > 1 else 1  # lanes that are done at once
        function = node.op.kernel(types, lanes, width)
        numbers = {**node.op.arguments(types, lanes), "vector": width, "item": self.item(node)}
        addresses = []
        for each in () if node.op.awaits_only else node.inputs:
            addresses.append(self.viewed(each))
        addresses.append(self.address(node, place))
        numbers |= {"first_example": self.first_example, "skipped": 0}
        if step.mode == "split":  # an op on each channel by itself
            channels = numbers["channels"]
            numbers["skipped"], numbers["channels"] = self._part(channels)
            values = (node,) if node.op.awaits_only else (*node.inputs, node)
            addresses = [
                address.moved(
                    each.type.elements
                    // channels
                    * numbers["skipped"]
                    * self.lane_step(each)
                    * self.item(each)
                )
                for address, each in zip(addresses, values, strict=True)
            ]
        arguments: list[tuple[str, Value]] = []
        arrays = iter(addresses)
        known = {**numbers, "frame": Address("frame"), "examples": self.plan.examples}
        for name in parse.parameters(function):
            if name != "control":
                arguments.append((name, known[name] if name in known else next(arrays)))
        sizes_ = {"width": width, "vector": width, "repeated": REPEATED[self.dtype]}
        own = {"dtype": self.dtype, **sizes_}
        constants = {name: own[name] for name in parse.constants(function)}
        kernel = printer.written(function, function.__name__, self.dtype, **constants)
        return Call(kernel, tuple(arguments), step.phase, (node,))

    def put_rows(
        self, node: Node, place: Place, phase: int, start: int, rows: int
    ) -> Iterator[Call]:
        """Rows of what all shards put into a table, shard by shard."""
        dy, index = node.inputs
        rest = sizes.product(node.type.shape[1:])
        numbers = {
            "start": start,
            "rows": rows,
            "count": index.type.elements,
            "rest": rest,
            "lanes": self.plan.lanes,
        }
        kernel = printer.written(put_rows, put_rows.__name__, self.dtype)
        out = self.address(node, place).moved(start * rest * self.item(node))
        for shard in range(self.plan.arenas if rows else 0):
            known = {
                **numbers,
                "fresh": int(shard == 0),
                "dy": self.viewed(dy, shard),
                "index": self.viewed(index, shard),
                "out": out,
            }
            names = parse.parameters(put_rows)
            yield Call(kernel, tuple((name, known[name]) for name in names), phase, (node,))


class _Body:
    """The accesses and lines of one nest, collected."""

    def __init__(self, shard: _Shard, domain, batched: bool):
        self.shard, self.batched = shard, batched
        self.lanes = (shard.plan.lanes,) if batched else ()
        self.extents = tuple(domain) + self.lanes
        self.accesses: list[Access] = []
        self.lines: list[tuple[str, Expression]] = []
        self._known: dict[tuple, str] = {}

    def let(self, value: Expression) -> Name:
        """A variable with the value of an expression."""
        name = f"v{len(self.lines)}"
        self.lines.append((name, value))
        return Name(name)

    def read(self, node: Node) -> Expression:
        """The expression that reads a value at the loop's position."""
        seen = self.shard.plan.views[node]
        if isinstance(seen.root.op, Const):
            return literal(seen.root.op.value, seen.root.type.kind)
        return self.access(seen.root, seen.strides, seen.offset)

    def access(self, root: Node, strides, offset: int, shard: int | None = None) -> Read:
        step, item = self.shard.lane_step(root), self.shard.item(root)
        place = self.shard.plan.places[root]
        address = self.shard.address(root, place, shard).moved(offset * step * item)
        steps = tuple(stride * step for stride in strides)
        if self.batched:
            steps += (1 if root.type.batched else 0,)
        key = (address.space, address.offset, address.stride, shard, steps)
        if key not in self._known:
            name = _letters(len(self.accesses))
            self._known[key] = name
            self.accesses.append(Access(name, root.type.kind, address, steps, item=item))
        return Read(self._known[key])

    def all_shards(self, node: Node) -> Expression:
        """The sum of a value's parts."""
        seen, plan = self.shard.plan.views[node], self.shard.plan
        shards = plan.shards if _is_by_rows(seen.root) else plan.arenas
        parts = [
            self.access(seen.root, seen.strides, seen.offset, shard) for shard in range(shards)
        ]
        return self.let(reduce(add, parts)) if len(parts) > 1 else parts[0]

    def write(self, node: Node, place: Place, value: Expression) -> None:
        op = node.op
        if isinstance(op, (Sum, Max)):
            inner = c_strides(node.type.shape)
            left = iter(inner)
            rank = node.inputs[0].type.rank
            strides = tuple(0 if axis in op.axes else next(left) for axis in range(rank))
            self.store(node, place, value, strides, 0, "sum" if isinstance(op, Sum) else "max")
        elif isinstance(op, Pad):
            strides = list(c_strides(node.type.shape))
            offset = op.start * strides[op.axis]
            strides[op.axis] *= op.step
            self.store(node, place, value, tuple(strides), offset)
            self.accesses[-1].fill = True
            self.accesses[-1].filling = literal(op.fill, "float")
        elif isinstance(op, Frame):
            strides = c_strides(node.type.shape)
            offset = sum(a * b for a, b in zip(op.starts, strides, strict=True))
            self.store(node, place, value, strides, offset)
            # shared memory is given out for good, and begins with zeros
            self.accesses[-1].fill = place.space != "shared"
        else:
            self.store(node, place, value, c_strides(node.type.shape), 0)

    def store(
        self,
        node: Node,
        place: Place,
        value: Expression,
        strides,
        offset: int,
        mode: str = "store",
    ) -> None:
        step, item = self.shard.lane_step(node), self.shard.item(node)
        address = self.shard.address(node, place)
        steps = tuple(stride * step for stride in strides)
        if self.batched:
            steps += (1 if node.type.batched else 0,)
        elements = node.type.elements * step
        name = (
            "out"
            if not any(each.mode != "read" for each in self.accesses)
            else (f"out_{_letters(len(self.accesses))}")
        )
        self.accesses.append(
            Access(
                name,
                node.type.kind,
                address,
                steps,
                mode,
                value,
                elements,
                item,
                start=offset * step,
            )
        )


def literal(value: float | int | bool, kind: str) -> Expression:
    """A constant of a kind of values."""
    if kind == "float":
        return Real(float(value))
    return Truth(bool(value)) if kind == "bool" else Integer(int(value))


def _letters(number: int) -> str:
    """a, b, ..., z, ba_, bb_, ... without i, n and v, which name indices, extents and values.

    The underscore keeps longer names apart from keywords (`or`) and functions (`max`).
    """
    alphabet = "abcdefghjklmopqrstuwxyz"
    text = ""
    while True:
        text = alphabet[number % len(alphabet)] + text
        number //= len(alphabet)
        if not number:
            return text if len(text) == 1 else f"{text}_"


def _title(nodes) -> str:
    """A kernel's name from the ops it joins: `each_add_maximum`."""
    names: list[str] = []
    for node in nodes:
        name = node.op.name.lower()
        if name not in names and name not in ("copy", "allreduce"):
            names.append(name)
    return "_".join(["each", *names[:4]]) + ("_more" if len(names) > 4 else "") if names else "copy"
