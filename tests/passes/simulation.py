"""A plan carried out on memory in which every byte knows whose value lies there, and who wrote it
when.

    simulate(plan, item=4)      # raises Clash at the first read of another value than is meant

Nothing is compiled: of each step only what it reads and writes matters, shard by shard. A value
must lie where its reader looks for it, and no shard may read or write in the same phase what
another one writes: which of them comes first is chance.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from specc.ir.graph import Node
from specc.ir.plan import ALIGNMENT, Allocation, GroupKind, Mode, Plan, Step
from specc.ir.sharing import share
from specc.ops.contract import Contract
from specc.ops.leaf import Const, Input
from specc.ops.random import Uniform
from specc.ops.reduce import AllReduce, Max, Sum
from specc.ops.shape import Frame, Pad
from specc.ops.views import c_strides

NOBODY, SEVERAL = -1, -2
BYTES = {"int": 4, "bool": 1, "byte": 1}


class Clash(AssertionError):
    """A value does not lie where it is read, or shards are in each other's way."""


@dataclass
class _Memory:
    """Bytes: the value and element they are part of, and who last wrote and read them, when."""

    value: np.ndarray
    element: np.ndarray
    wrote: np.ndarray  # phase
    writer: np.ndarray  # shard
    read: np.ndarray
    reader: np.ndarray

    @classmethod
    def of(cls, size: int) -> _Memory:
        return cls(*(np.full(size, start) for start in (-1, -1, -9, NOBODY, -9, NOBODY)))

    def extend(self, size: int) -> _Memory:
        more = _Memory.of(size - len(self.value))
        for name, array in vars(self).items():
            setattr(self, name, np.concatenate([array, getattr(more, name)]))
        return self


@dataclass
class _Simulation:
    plan: Plan
    item: int  # bytes of a float
    vector: int  # lanes of a vector register
    memory: dict = field(default_factory=dict)
    number: dict[Node, int] = field(default_factory=dict)
    shift: dict[Node, int] = field(default_factory=dict)  # of a Carry: it lies over what it carries

    def bytes_of(self, node: Node) -> int:
        return BYTES.get(node.type.kind, self.item)

    def space(self, place: Allocation, shard: int, size: int) -> _Memory:
        """The memory that a place lies in: an arena is one of each shard, or of all shards."""
        plan = self.plan
        key = (place.space, shard) if place.space in ("arena", "slot") else (place.space, 0)
        if place.space.startswith("slot."):
            key = place.space, shard
        known = {"arena": plan.arena_bytes, "shared": plan.shared_bytes}
        made = self.memory.setdefault(key, _Memory.of(known.get(place.space, 0)))
        if place.offset < 0 or (place.space in known and size > len(made.value)):
            raise Clash(f"{place} is behind the end of its memory")
        return made if size <= len(made.value) else made.extend(size)

    def elements(self, node: Node, strides, offset: int) -> np.ndarray:
        """The number of each element as it is read: an array [..., lanes] over its shape."""
        found = np.full((), offset)
        for size, stride in zip(node.type.shape, strides, strict=True):
            found = found[..., None] + np.arange(size) * stride
        lanes = self.plan.lanes if node.type.batched else 1
        return found[..., None] * lanes + np.arange(lanes)

    def touch(self, root: Node, place: Allocation, elements: np.ndarray, shard: int):
        """The memory of some elements, and the first byte of each."""
        item = self.bytes_of(root)
        first = place.offset + elements.reshape(-1) * item
        return self.space(place, shard, int(first.max(initial=-item)) + item), first

    def arena_of(self, node: Node, shard: int) -> int:
        by_rows = node.op.sums_own_rows
        return shard if by_rows or not self.plan.sharing.same_examples else 0

    def load(self, root, place, elements, shard: int, by: int, phase: int, meant=None) -> None:
        """A shard reads elements of a value.

        `meant` are their numbers, where it lies in another way.
        """
        memory, at = self.touch(root, place, elements, shard)
        meant = (elements if meant is None else meant).reshape(-1) + self.shift.get(root, 0)
        wrong = (memory.value[at] != self.number[root]) | (memory.element[at] != meant)
        if wrong.any():
            held = memory.value[at][wrong][0]
            other = next((node for node, number in self.number.items() if number == held), None)
            raise Clash(f"phase {phase}: {root} is read at {place}, where {other} lies")
        late = (memory.wrote[at] >= phase) & (memory.writer[at] != by)
        if late.any():
            raise Clash(f"phase {phase}: a shard reads {root} while another one writes it")
        again = (memory.read[at] == phase) & (memory.reader[at] != by)
        memory.reader[at] = np.where(again, SEVERAL, by)
        memory.read[at] = phase

    def store(self, node, place, elements, meant, shard: int, by: int, phase: int) -> None:
        memory, at = self.touch(node, place, elements, shard)
        for when, who, does in (
            (memory.wrote, memory.writer, "writes"),
            (memory.read, memory.reader, "reads"),
        ):
            if ((when[at] >= phase) & (who[at] != by)).any():
                raise Clash(f"phase {phase}: {node} is written where another shard {does}")
        memory.value[at] = self.number[node]
        memory.element[at] = meant.reshape(-1) + self.shift.get(node, 0)
        memory.wrote[at], memory.writer[at] = phase, by

    # The program.

    def run(self) -> None:
        plan = self.plan
        for node, place in plan.allocations.items():
            shared = isinstance(node.op, Input) and node.op.role == "step"
            if place.space == "shared" and place.offset % ALIGNMENT and not shared:
                raise Clash(f"{node} does not begin at a cache line: {place}")
        for node in (*plan.graph.nodes, *plan.allocations):
            self.number.setdefault(node, len(self.number))
        for loop in (step.group.loop for step in plan.steps if step.group.loop):
            for carry, then in loop.carried.items():
                self.number[carry] = self.number[then]
                size = then.type.elements // loop.steps * plan.lanes
                self.shift[carry] = size if loop.backward else -size
        for shard in range(plan.shards):
            self.inputs(shard)
        for step in plan.steps:  # ahead of all runs, by one thread
            if step.once:
                self.step(replace(step, phase=-1), 0)
        last = max((step.phase for step in plan.steps), default=0)
        for phase in range(last + 1):
            self.forget_passing(phase)
            for shard in range(plan.shards):
                for step in plan.steps:
                    if step.phase == phase and not step.once:
                        self.step(step, shard)
        for shard in range(plan.arenas):
            for _, node in plan.emits:
                self.load_view(node, None, shard, shard, last + plan.sharing.same_examples)

    def forget_passing(self, phase: int) -> None:
        """Another shard of the same thread has written to a shard's passing memory by a phase."""
        for (space, _), memory in self.memory.items():
            if space == "arena" and phase:
                memory.value[: self.plan.passing_bytes] = -1

    def inputs(self, shard: int) -> None:
        plan, is_shared = self.plan, self.plan.sharing.same_examples
        for node, place in plan.allocations.items():
            role = node.op.role if isinstance(node.op, Input) else "step"
            if role == "step":  # within a loop
                continue
            elements = self.elements(node, c_strides(node.type.shape), 0)
            phase = -1 if role in ("param", "state", "slot") else 0
            is_divided = is_shared and plan.lanes > 1 and role in ("input", "target")
            if is_divided and node.type.kind == "float":
                # whole vectors of an example's features
                start, count = share(-(-node.type.elements // self.vector), shard, plan.shards)
                own = slice(start * self.vector, (start + count) * self.vector)
                elements = elements.reshape(-1, plan.lanes)[own]
            elif shard >= (1 if role in ("param", "state", "setting") else plan.arenas):
                continue
            self.store(
                node,
                place,
                elements,
                elements,
                0 if plan.sharing.same_examples else shard,
                shard,
                phase,
            )

    def load_view(self, node: Node, rows, shard: int, by: int, phase: int) -> np.ndarray:
        """A shard reads a value, or some rows of it, from the arena of a shard.

        Where its elements lie.
        """
        seen = self.plan.views[node]
        place = self.plan.allocations[seen.root]
        meant = self.elements_of_view(node)
        elements = meant
        if seen.root in self.plan.strides:
            assert seen.root is node
            elements = self.elements(node, self.plan.strides[node], 0)
        if rows is not None:
            meant, elements = meant[rows], elements[rows]
        self.load(seen.root, place, elements, self.arena_of(seen.root, shard), by, phase, meant)
        return place.offset + elements * self.bytes_of(seen.root)

    def elements_of_view(self, node: Node) -> np.ndarray:
        seen = self.plan.views[node]
        lanes = self.plan.lanes if seen.root.type.batched else 1
        found = np.full((), seen.offset)
        for size, stride in zip(node.type.shape, seen.strides, strict=True):
            found = found[..., None] + np.arange(size) * stride
        return found[..., None] * lanes + np.arange(lanes)

    def step(self, step: Step, shard: int) -> None:
        if step.mode == Mode.SINGLE and shard:
            return
        if step.mode == Mode.EACH and shard:
            step = step.within_arena
        kind = step.group.kind
        if kind == GroupKind.NEST:
            self.nest(step, shard)
        elif kind == GroupKind.LOOP:
            self.loop(step, shard)
        elif kind == GroupKind.CONCAT and step.mode == Mode.SPLIT:
            self.side_by_side(step, shard)
        else:
            self.product(step, shard)

    def part(self, step: Step, size: int, shard: int) -> slice:
        start, count = share(size, shard, self.plan.shards)
        return slice(start, start + count)

    def nest(self, step: Step, shard: int) -> None:
        """Formulas: element by element, so that a result may lie over an operand."""
        plan, members = self.plan, set(step.group.nodes)
        rows: slice | tuple | None = None
        if step.mode == Mode.SPLIT:
            rows = self.part(step, step.group.domain[0], shard)
        elif step.mode == Mode.LANES:
            rows = (..., self.part(step, plan.lanes, shard))
        read: list[tuple[tuple, np.ndarray]] = []
        for each in dict.fromkeys(
            (each, isinstance(node.op, AllReduce))
            for node in step.group.nodes
            for each in node.inputs
            if each not in members
        ):
            value, of_all = each
            root = plan.views[value].root
            if isinstance(root.op, Const):
                continue
            by_rows = root.op.sums_own_rows
            count = plan.shards if by_rows else plan.arenas
            for arena in range(count) if of_all else (shard,):
                at = self.load_view(value, rows, arena, shard, step.phase)
                read.append(((plan.allocations[root].space, self.arena_of(root, arena)), at))
        for node, place in step.stores:
            shape = node.type.shape
            if isinstance(node.op, (Sum, Max)):
                left = iter(c_strides(shape))
                shape = node.inputs[0].type.shape
                strides = tuple(
                    0 if axis in node.op.axes else next(left) for axis in range(len(shape))
                )
            elif isinstance(node.op, (Pad, Frame)):
                strides = None
            else:
                strides = c_strides(shape)
            own = self.elements(node, c_strides(node.type.shape), 0)
            if strides is not None and rows is not None:
                summed = isinstance(node.op, (Sum, Max)) and 0 in node.op.axes
                own = own if summed and step.mode == Mode.SPLIT else own[rows]
            elif rows is not None:
                own = own[rows] if node.type.shape[0] == step.group.domain[0] else own
            self.over(node, place, strides, shape, rows, read, shard, step.phase)
            self.store(node, place, own, own, self.arena_of(node, shard), shard, step.phase)

    def over(self, node, place, strides, shape, rows, read, shard: int, phase: int) -> None:
        """Whether a result lies over operands only where it is computed from the same element."""
        lanes = self.plan.lanes if node.type.batched else 1
        space = place.space, self.arena_of(node, shard)
        if strides is None:
            written = self.elements(node, c_strides(node.type.shape), 0)
        else:
            written = np.zeros((), int)
            for size, stride in zip(shape, strides, strict=True):
                written = written[..., None] + np.arange(size) * stride
            written = written[..., None] * lanes + np.arange(lanes)
            written = written if rows is None else written[rows]
        at = place.offset + written * self.bytes_of(node)
        for where, elements in read:
            if where != space or not _meet(elements, at):
                continue
            if strides is None or elements.shape != at.shape or (elements != at).any():
                raise Clash(f"phase {phase}: {node} is written over what it has yet to read")

    def product(self, step: Step, shard: int) -> None:
        """A product, an op's own kernel, or values side by side.

        All is read before it is written.
        """
        plan, (node,) = self.plan, step.group.nodes
        places = [place for _, place in step.stores]
        before: list[tuple[tuple, np.ndarray]] = []
        rows = by = None
        whole = step.mode != Mode.SPLIT and step.mode != Mode.ROWS
        by_rows = node.op.sums_own_rows
        is_part = step.mode == Mode.ROWS or (
            step.mode == Mode.SPLIT and step.by_channels and not by_rows
        )
        if is_part and node.type.shape:
            rows, by = self.part(step, node.type.shape[0], shard), shard
        for each in node.inputs if not isinstance(node.op, Uniform) else ():
            root = plan.views[each].root
            if isinstance(root.op, Const):
                continue
            for arena in range(plan.arenas) if step.mode == Mode.ROWS else (shard,):
                own = None
                if by_rows:
                    own = self.own_rows(node, each, shard)
                elif (
                    step.mode == Mode.SPLIT
                    and step.by_channels
                    and each.type.shape
                    and not isinstance(node.op, Contract)
                ):
                    own = self.part(step, each.type.shape[0], shard)
                at = self.load_view(each, own, arena, shard, step.phase)
                before.append(((plan.allocations[root].space, self.arena_of(root, arena)), at))
        if step.mode == Mode.SPLIT and by is None and not by_rows:
            by = SEVERAL if shard == 0 else None  # who computes what is the emitter's affair
            if by is None:
                return
        by = shard if by is None else by
        strides = plan.strides.get(node) or c_strides(node.type.shape)
        elements = self.elements(node, strides, 0)
        meant = self.elements(node, c_strides(node.type.shape), 0)
        if rows is not None:
            elements, meant = elements[rows], meant[rows]
        for place in places:
            space = place.space, self.arena_of(node, shard)
            at = place.offset + elements * self.bytes_of(node)
            if step.group.kind != GroupKind.CONCAT and whole:
                for where, read in before:
                    if where == space and _meet(read, at):
                        raise Clash(f"{node} is written over what it reads")
            self.store(node, place, elements, meant, self.arena_of(node, shard), by, step.phase)

    def side_by_side(self, step: Step, shard: int) -> None:
        """Values that are copied side by side: of each one the shards divide the first axis."""
        (node,), start = step.group.nodes, 0
        axis = node.op.axis
        whole = self.elements(node, c_strides(node.type.shape), 0)
        for each in node.inputs:
            size = each.type.shape[axis]
            own = np.take(whole, range(start, start + size), axis)
            rows = self.part(step, each.type.shape[0], shard)
            if not isinstance(self.plan.views[each].root.op, Const):
                self.load_view(each, rows, shard, shard, step.phase)
            for _, place in step.stores:
                arena = self.arena_of(node, shard)
                self.store(node, place, own[rows], own[rows], arena, shard, step.phase)
            start += size

    def own_rows(self, node: Node, each: Node, shard: int) -> slice | tuple:
        """The rows of the weights that a shard has, and the entries of the other operand beside
        them.
        """
        op: Contract = node.op
        left = each is node.inputs[0]
        i = op.summed_row(not node.inputs[0].type.batched)
        map_ = op.left if left else op.right
        axis = next(a for a, expression in enumerate(map_) if i in dict(expression.terms))
        start, count = share(op.extents[i], shard, self.plan.shards)
        return (*(slice(None),) * axis, slice(start, start + count))

    def loop(self, step: Step, shard: int) -> None:
        """A loop as a whole: what its iterations use of the arena is nobody's afterwards."""
        plan, loop = self.plan, step.group.loop
        members = set(step.group.nodes)
        for each in dict.fromkeys(
            each for node in step.group.nodes for each in node.inputs if each not in members
        ):
            root = plan.views[each].root
            if not isinstance(root.op, Const) and root not in members:
                self.load_view(each, None, shard, shard, step.phase)
        for inner in step.steps:
            for node, place in inner.stores:
                elements = self.elements(node, c_strides(node.type.shape), 0)
                moved = Allocation(place.space, place.offset)
                for iteration in range(loop.steps if place.stride else 1):
                    moved = Allocation(place.space, place.offset + iteration * place.stride)
                    nothing = np.full(elements.shape, -1)
                    self.store(node, moved, elements, nothing, shard, shard, step.phase)
        for node in (*loop.carried, *step.group.stored):
            elements = self.elements(node, c_strides(node.type.shape), 0)
            place = plan.allocations[node]
            self.store(node, place, elements, elements, shard, shard, step.phase)
        for node in step.group.stored:
            self.load_view(
                node, None, shard, shard, step.phase
            ) if node not in loop.carried else None


def _meet(a: np.ndarray, b: np.ndarray) -> bool:
    if not a.size or not b.size or a.max() < b.min() or b.max() < a.min():
        return False
    return bool(np.intersect1d(a, b).size)


def simulate(plan: Plan, item: int, vector: int) -> None:
    """Carries out a plan for floats of so many bytes, and raises Clash where it goes wrong."""
    _Simulation(plan, item, vector).run()


def is_simulated(plan: Plan) -> bool:
    """Whether a plan is one of those that are understood: loops of tensor parallelism are not."""
    return not any(step.phases for step in plan.steps)
