"""One step of a model over a sequence, as a graph: from a symbol to the scores of the next one.

    parts = stepwise(graph, "word", "output.scores", room=64)
    parts.before       # outputs "kept.0", ..: values that do not depend on the word, computed once
    parts.step         # "output.scores" [classes] of one step; "slot.LABEL": the states after it

The graph of the model holds all steps at once. It can be taken apart if no step depends on a symbol
that is not known yet (`specc.ops.causal`). Then each value is computed at one step. A value that
later steps read, such as the keys and values of attention, is kept: each step writes a row of it
into a buffer for `room` steps. Formulas give nothing for the rows that are not written yet, or 0,
so a short text needs few rows. Otherwise `stepwise` returns None, and each new symbol takes a pass
over all steps.
"""

from __future__ import annotations

from dataclasses import field, replace

from specc.ir.graph import Graph, Node, apply, topological
from specc.ir.op import Form
from specc.ir.sizes import Shape, bound
from specc.ir.types import Type
from specc.ops.along import RunningSum
from specc.ops.broadcast import Broadcast
from specc.ops.carry import PREFIX, Carry, closed, following, straightened, varying
from specc.ops.causal import dependence_of, dependence_through, exists
from specc.ops.contract import Affine, Contract, index
from specc.ops.dependence import NUMBER as NO_AXIS
from specc.ops.dependence import Dependence
from specc.ops.elementwise import Maximum, ToFloat, ToInt, add, select, sub
from specc.ops.gather import Take
from specc.ops.leaf import Input, Iota, Role, constant, leaf
from specc.ops.read import ReadAt
from specc.ops.rows import SetRow
from specc.ops.shape import Concat, Pad, Reshape, Slice, Transpose
from specc.ops.steps import moved_by_one
from specc.passes.narrow import NotNarrow, narrowed
from specc.system.records import dataclass

BEGIN = "step.begin"  # the port that is true at the first step
NUMBER = "step.number"
KEPT = "kept."


@dataclass(frozen=True, eq=False)
class Stepwise:
    """The two graphs of a model with `steps` steps.

    The step reads the symbol as the port of the sequence, without its axis of steps, and "kept.N":
    whole, as a slot that it does not change or an input, or for those in `by_step` one step of it.
    """

    before: Graph
    step: Graph
    by_step: frozenset[str]
    steps: int
    room: int  # the rows of its buffers
    buffers: frozenset[str]  # the slots that are buffers

    @property
    def is_bounded(self) -> bool:
        """Whether the step's number matters, so that there is none past those of the model."""
        return bool(self.by_step) or any(
            isinstance(node.op, Input) and node.op.label == NUMBER for node in self.step.nodes
        )


def stepwise(graph: Graph, port: str, scores: str, room: int | None = None) -> Stepwise | None:
    """Return the step of a graph in inference mode that computes the output `scores`, or None.

    A step reads the symbol of an input, or the symbol before it of a target, which the scores
    choose. By default there is `room` for all steps.
    """
    graph = straightened(closed({scores: graph.outputs[scores]}, following(graph)))
    symbols = [
        node
        for node in graph.nodes
        if isinstance(node.op, Input)
        and node.op.role in (Role.INPUT, Role.TARGET)
        and node.op.label == port
    ]
    streams = any(isinstance(node.op, Input) and node.op.role == Role.SLOT for node in graph.nodes)
    if len(symbols) != 1 or streams:
        return None
    dependences = dependence_of(graph.nodes, following(graph), port)
    steps = symbols[0].type.bound_shape[0]
    for rows in dict.fromkeys((steps if room is None else min(room, steps), steps)):
        try:
            return _Walk(graph, symbols[0], dependences, steps, rows).parts(scores)
        except NotNarrow:
            continue  # with room for all steps
        except _NotStepwise:
            break
    return None


class _NotStepwise(Exception):
    """A value cannot be computed step by step."""


class _Needs(Exception):
    """A value is needed that is not computed yet."""

    def __init__(self, value: AtStep):
        self.value = value


AtStep = tuple[Node, int, int]
"""A node at a step along an axis: the current one, or 1 before it."""


@dataclass(eq=False)
class _Walk:
    """A graph that is taken apart, from its output down.

    In a decoder, which reads its own target, the current symbol is not chosen yet. What depends on
    it is known for the step before alone.
    """

    graph: Graph
    symbols: Node
    dependences: dict[Node, Dependence]
    steps: int
    room: int
    found: dict[AtStep, Node] = field(default_factory=dict)
    wholes: dict[Node, Node] = field(default_factory=dict)
    kept: dict[tuple[Node, bool], Node] = field(default_factory=dict)
    # label -> the next value, once made
    slots: dict[str, Node | None] = field(default_factory=dict)
    states: list[tuple[str, Node]] = field(default_factory=list)  # slots of values still to be made
    buffers: set[str] = field(default_factory=set)
    windowed: dict[tuple[Node, int], Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.is_late = self.symbols.op_as(Input).role == Role.TARGET
        self.begin = leaf(Input(Role.INPUT, BEGIN, Type("bool", (), True)))
        self.number = leaf(Input(Role.INPUT, NUMBER, Type("int", (), True, self.steps)))

    def parts(self, scores: str) -> Stepwise:
        output = self.graph.outputs[scores]
        if output.type.shape[:1] != (self.steps,) or not self.dependences[output].is_causal(0):
            raise _NotStepwise
        outputs = {scores: self._made(output)}
        while self.states:
            label, value = self.states.pop()
            self.slots[label] = self._made(value)
        if outputs[scores].type.shape != output.type.shape[1:]:
            raise NotNarrow
        outputs |= {f"slot.{label}": node for label, node in self.slots.items() if node is not None}
        kept = {made.op_as(Input).label: varying(node) for (node, _), made in self.kept.items()}
        return Stepwise(
            closed(kept, following(self.graph)),
            Graph({name: varying(node) for name, node in outputs.items()}),
            frozenset(
                made.op_as(Input).label for (_, by_step), made in self.kept.items() if by_step
            ),
            self.steps,
            self.room,
            frozenset(self.buffers),
        )

    def _made(self, node: Node) -> Node:
        """Return the value of a node at the current step, after the values that it needs.

        Without recursion, because graphs are deep: what needs a value that is not there yet is
        begun anew once it is.
        """
        goal = node, 0, 0
        stack = [goal]
        while stack:
            if stack[-1] not in self.found:
                try:
                    self.found[stack[-1]] = self._computed(*stack[-1])
                except _Needs as missing:
                    assert missing.value not in stack, "a value needs itself (a bug of specc)"
                    stack.append(missing.value)
                    continue
            stack.pop()
        return self.found[goal]

    # A value at one step.

    def at(self, node: Node, axis: int, ago: int) -> Node:
        """Return the value of a node at the current step along an axis, or at the one before."""
        value = node, axis, ago
        if value not in self.found:
            raise _Needs(value)
        return self.found[value]

    def _computed(self, node: Node, axis: int, ago: int) -> Node:
        if self.dependences[node].steps == {}:
            return self._still(node, axis, ago)
        if self.is_late and not ago and self._reads_now(node, axis):
            raise _NotStepwise
        return self._moving(node, axis, ago)

    def _reads_now(self, node: Node, axis: int) -> bool:
        """Return whether the value at a step depends on the symbol of that step."""
        dependence = self.dependences[node].steps
        return dependence is None or dependence.get(axis, -1) >= 0

    def _moving(self, node: Node, axis: int, ago: int) -> Node:
        """Return one step of a value that depends on symbols."""
        if node is self.symbols:
            type_ = replace(node.type, shape=node.type.shape[1:])
            return leaf(replace(node.op_as(Input), type=type_), node.origin)
        if exists(node, self.symbols.op_as(Input).label):
            return constant(True, "bool")
        if node.type.shape[axis : axis + 1] != (self.steps,):
            raise _NotStepwise
        if not ago and (found := self._remembered(node, axis)) is not None:
            return found
        return self._one(node, axis, ago)

    def _remembered(self, node: Node, axis: int) -> Node | None:
        """Return the step of a node that earlier steps leave; None if the node is not such."""
        op = node.op
        if isinstance(op, Carry) and axis == 0:
            return self._state(node)
        if axis == 0 and (moved := moved_by_one(node)) is not None:
            return self._earlier(*moved)
        if isinstance(op, RunningSum) and axis == op.axis:
            return self._sum_so_far(node, axis)
        if isinstance(op, Pad) and axis == op.axis:
            return self._recent(node, axis, 1)
        return None

    def _one(self, node: Node, axis: int, ago: int) -> Node:
        """Return one step of a node, over its inputs."""
        if isinstance(node.op, Contract):
            if (node, axis) not in self.windowed:
                self.windowed[node, axis] = self._with_windows(node, axis)
            node = self.windowed[node, axis]
        if isinstance(node.op, ReadAt) and (window := self._window(node, axis, ago)) is not None:
            return window
        found = node.op.one_at(node, axis)
        if found is None:
            raise _NotStepwise
        op, axes = found
        inputs, wanted = [], []
        for each, along in zip(node.inputs, axes, strict=True):
            shape = each.type.bound_shape
            if along is not None:
                inputs.append(self.at(each, along, ago))
                shape = (*shape[:along], *shape[along + 1 :])
            else:
                inputs.append(self._whole(each, ago))
            wanted.append(shape)
        empty = tuple(
            self._values_to_come(each, along) for each, along in zip(node.inputs, axes, strict=True)
        )
        return narrowed(op, inputs, wanted, empty, node.origin)

    def _values_to_come(self, node: Node, axis: int | None) -> dict[int, float]:
        """Return the number that a value of one step is at later steps, by its axis of them."""
        if axis is None:
            return {}
        return {
            q - (q > axis): value
            for (p, q, distance), value in self.dependences[node].known.items()
            if p == axis and distance <= 1
        }

    # What does not depend on symbols.

    def _still(self, node: Node, axis: int, ago: int) -> Node:
        """Return one step of a value that does not depend on symbols."""
        op = node.op
        if isinstance(op, Iota):
            return self._number(ago)
        found = op.one_at(node, axis) if node.inputs else None
        if found is not None and (op.form in (Form.VIEW, Form.ELEMENT)):
            new, axes = found
            if not node.type.batched or axes == (None,):
                inputs = [
                    self._whole(each, ago) if along is None else self.at(each, along, ago)
                    for each, along in zip(node.inputs, axes, strict=True)
                ]
                return apply(new, *inputs, origin=node.origin)
        if isinstance(op, ReadAt) and not node.type.batched:
            window = self._window(node, axis, ago)
            if window is not None:
                return window
        if not node.type.batched and node.type.kind == "float":
            rows = _first(node, axis)
            return apply(Take(), rows, self._number(ago), origin=node.origin)
        if ago:
            raise _NotStepwise
        return self._kept(_first(node, axis), True)

    def _number(self, ago: int) -> Node:
        """Return the number of the current step, or of the one before; 0 if there is none."""
        if not ago:
            return self.number
        before = sub(apply(ToFloat(), self.number), constant(1.0))
        return apply(ToInt(self.steps), apply(Maximum(), before, constant(0.0)))

    def _kept(self, node: Node, by_step: bool) -> Node:
        """Return the leaf for a value that is computed once, or for one step of it."""
        if (node, by_step) not in self.kept:
            shape = node.type.shape[1:] if by_step else node.type.shape
            type_ = replace(node.type, shape=shape, batched=True)
            if not node.type.batched and node.type.kind != "float":
                raise _NotStepwise
            role = Role.SLOT if node.type.kind == "float" and not by_step else Role.INPUT
            label = f"{KEPT}{len(self.kept)}"
            self.kept[node, by_step] = leaf(Input(role, label, type_), node.origin)
        return self.kept[node, by_step]

    # All steps of a value.

    def _whole(self, node: Node, ago: int) -> Node:
        """Return all steps of a value, as far as they are known."""
        if node not in self.wholes:
            self.wholes[node] = self._all_of(node)
        if ago and self.dependences[node].steps != {}:
            raise _NotStepwise
        return self.wholes[node]

    def _all_of(self, node: Node) -> Node:
        dependence = self.dependences[node].steps
        if dependence == {}:
            return self._kept(node, False) if self._is_per_example(node) else node
        if exists(node, self.symbols.op_as(Input).label):
            return apply(Broadcast(node.type.shape), constant(True, "bool"))
        if isinstance(node.op, (Broadcast, Transpose, Reshape, ToFloat)):
            whole = self._whole(node.inputs[0], 0)
            shape = node.inputs[0].type.bound_shape
            return narrowed(node.op, [whole], [shape], ({},), node.origin)
        return self._buffer(node)

    def _is_per_example(self, node: Node) -> bool:
        return any(each.type.batched for each in topological([node]))

    def _buffer(self, node: Node) -> Node:
        """Return the rows of a value that the steps so far have written, the current one too."""
        steps = self.dependences[node].steps or {}
        axes = [axis for axis in steps if axis != NO_AXIS]
        most = -1 if self.is_late else 0
        if len(axes) != 1 or max(steps.values()) > most or node.type.kind != "float":
            raise _NotStepwise
        (axis,) = axes
        row = self.at(node, axis, 0)
        label = f"rows.{len(self.slots)}"
        type_ = Type("float", (self.room, *row.type.shape), True)
        last = leaf(Input(Role.SLOT, label, type_))
        rows = apply(SetRow(), last, row, self.number, origin=node.origin)
        self.slots[label] = rows
        self.buffers.add(label)
        return _moved(rows, axis)

    # What steps leave for the next one.

    def _slot(self, label: str, start: Node) -> Node:
        """Return what the step before has left in a slot, or `start` at the first step."""
        last = leaf(Input(Role.SLOT, label, Type("float", start.type.shape, True)), start.origin)
        return select(_for_all(self.begin, start), start, last)

    def _later(self, label: str, value: Node) -> None:
        """Compute a value at this step, once its inputs are known, and leave it in a slot."""
        self.slots[label] = None
        self.states.append((label, value))

    def _state(self, node: Node) -> Node:
        """Return the state that the previous step left, or its initial value at the first step."""
        op = node.op_as(Carry)
        (start,) = node.inputs
        if op.backward or op.steps != self.steps or self.dependences[start].steps != {}:
            raise _NotStepwise
        if op.label not in self.slots:
            self._later(op.label, self.graph.outputs[PREFIX + op.label])
        return self._slot(op.label, self._whole(start, 0))

    def _earlier(self, start: Node, value: Node) -> Node:
        """Return the value of a node at the previous step."""
        if self.dependences[start].steps != {} or value.type.kind != "float":
            raise _NotStepwise
        first = apply(Reshape(start.type.shape[1:]), self._whole(start, 0))
        if self.is_late and self._reads_now(value, 0):
            return select(_for_all(self.begin, first), first, self.at(value, 0, 1))
        label = f"moved.{len(self.slots)}"
        self._later(label, value)
        return self._slot(label, first)

    def _sum_so_far(self, node: Node, axis: int) -> Node:
        now = self.at(node.inputs[0], axis, 0)
        label = f"sum.{len(self.slots)}"
        total = add(self._slot(label, _zeros(now.type.shape)), now)
        self.slots[label] = total
        return total

    # Windows of steps.

    def _with_windows(self, node: Node, axis: int) -> Node:
        """Return a product that reads x[t + u] as one of a value w[t, u], a view of x."""
        op = node.op_as(Contract)
        place = op.out[axis]
        time = place.terms[0][0] if len(place.terms) == 1 else -1
        inputs, maps = list(node.inputs), [op.left, op.right]
        for position, map_ in enumerate(maps):
            mixed = [each for each in map_ if len(each.terms) > 1 and time in dict(each.terms)]
            if len(mixed) == 1:
                used = sorted({i for each in map_ for i, _ in each.terms})
                at = {i: k for k, i in enumerate(used)}
                places = tuple(
                    Affine(tuple((at[i], c) for i, c in each.terms), each.constant) for each in map_
                )
                extents = tuple(op.extents[i] for i in used)
                window = apply(ReadAt(extents, places), inputs[position])
                self.dependences[window] = dependence_through(
                    window, [self.dependences[inputs[position]]]
                )
                inputs[position] = window
                maps[position] = tuple(index(i) for i in used)
        if tuple(inputs) == node.inputs:
            return node
        new = replace(op, left=maps[0], right=maps[1])
        made = apply(new, *inputs, origin=node.origin)
        self.dependences[made] = self.dependences[node]
        return made

    def _window(self, node: Node, axis: int, ago: int) -> Node | None:
        """Return x[t + u, ..] at one t over all u; None if no place has another index beside t."""
        op = node.op_as(ReadAt)
        (x,) = node.inputs
        places = [k for k, each in enumerate(op.positions) if axis in dict(each.terms)]
        if len(places) != 1 or len(op.positions[places[0]].terms) < 2 or ago:
            return None
        place = op.positions[places[0]]
        if dict(place.terms)[axis] != 1:
            raise _NotStepwise
        others = ((i, factor) for i, factor in place.bound_terms if i != axis)
        last = place.constant + sum(factor * (bound(op.extents[i]) - 1) for i, factor in others)
        rows = self._rows(x, places[0], last + 1)  # x[t], .., x[t + last] in front
        new = ReadAt(
            (*op.extents[:axis], *op.extents[axis + 1 :]),
            tuple(each.without(axis) for each in op.positions),
        )
        return apply(new, _moved(rows, places[0]), origin=node.origin)

    def _rows(self, x: Node, axis: int, count: int) -> Node:
        """Return [count, ..]: the rows of x along an axis from the current step on."""
        if self.dependences[x].steps != {}:
            return self._recent(x, axis, count)
        if self._is_per_example(x) or x.type.kind != "float":
            raise _NotStepwise
        number = add(
            apply(Broadcast((count,)), apply(ToFloat(), self.number)),
            apply(ToFloat(), leaf(Iota(count))),
        )
        size = x.type.shape[axis]
        return apply(Take(), _first(x, axis), apply(ToInt(size), number))

    def _recent(self, x: Node, axis: int, count: int) -> Node:
        """Return rows of a padded sequence from the current step on: steps so far, kept in a slot.

        With one row the axis is left out.
        """
        op = x.op
        if not isinstance(op, Pad) or op.axis != axis or op.step != 1 or count > op.start + 1:
            raise _NotStepwise
        (value,) = x.inputs
        before = op.start
        if not isinstance(before, int) or value.type.shape[axis] != self.steps:
            raise _NotStepwise
        now = self.at(value, axis, 0)
        shape = now.type.shape
        if not before:
            return now
        label = f"recent.{len(self.slots)}"
        last = self._slot(label, _zeros((before, *shape), op.fill))
        every = apply(Concat(0), last, apply(Reshape((1, *shape)), varying(now)))
        self.slots[label] = apply(Slice(0, 1, before), every)
        rows = apply(Slice(0, 0, count), every)
        return apply(Reshape(shape), rows) if count == 1 else rows


def _first(node: Node, axis: int) -> Node:
    """Return a value with an axis in front of the others."""
    rest = (each for each in range(node.type.rank) if each != axis)
    return apply(Transpose((axis, *rest)), node) if axis else node


def _moved(node: Node, axis: int) -> Node:
    """Return a value with its first axis as axis number `axis`: undoes `_first`."""
    order = (*range(1, axis + 1), 0, *range(axis + 1, node.type.rank))
    return apply(Transpose(order), node) if axis else node


def _zeros(shape: Shape, value: float = 0.0) -> Node:
    return apply(Broadcast(shape), constant(value)) if shape else constant(value)


def _for_all(begin: Node, like: Node) -> Node:
    return apply(Broadcast(like.type.shape), begin) if like.type.shape else begin
