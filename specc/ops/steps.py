"""One step and all steps: the same formula with the axis of the steps in front, or without it.

    lift([y], {x: xs}, 50)      # y[k], a formula of x[n], for xs[50, n]: ys[50, k]
    one_step(node, inputs)      # the op of one step of a node that holds all

A node that does not depend on what is lifted stays as it is: it is the same at every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from specc.ir.graph import Node, apply, topological
from specc.ir.op import Op, ShapeError
from specc.ir.sizes import Size
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.carry import Carry, Loop
from specc.ops.contract import Affine, Contract, index
from specc.ops.elementwise import Elementwise, div
from specc.ops.gather import Put, Take
from specc.ops.leaf import Input, leaf
from specc.ops.random import Uniform
from specc.ops.reduce import ArgMax, BatchMean, Max
from specc.ops.shape import Concat, Pad, Reshape, Slice, Transpose
from specc.ops.window import WindowArgMax, WindowMax, WindowMaxGradient


class NoStep(ShapeError):
    """An op that has no meaning step by step, and the node that applies it."""

    def __init__(self, node: Node):
        super().__init__(f"`{node.op.name.lower()}` cannot be applied at each step of a sequence")
        self.node = node


def lift(
    roots: Sequence[Node], sequences: Mapping[Node, Node], steps: Size, in_loop: bool = False
) -> list[Node]:
    """The roots, formulas of one step, for all `steps`: [steps, *shape].

    `sequences` gives for leaves of one step the node that holds all. Raises NoStep for what has no
    meaning step by step.
    """
    moved: dict[Node, Node] = dict(sequences)
    still: dict[Node, Node] = {}
    for node in topological(roots):
        if node in moved:
            continue
        if isinstance(node.op, Uniform):
            op = replace(node.op, shape=(steps, *node.op.shape))
            moved[node] = Node(op, (), op.infer(), node.origin)
            continue
        inputs = [moved[each] if each in moved else still[each] for each in node.inputs]
        moving = [each in moved for each in node.inputs]
        if not any(moving):
            same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
            still[node] = node if same else Node(node.op, tuple(inputs), node.type, node.origin)
            continue
        made, moves = lifted(node, inputs, moving, steps, in_loop)
        (moved if moves else still)[node] = made
    return [moved[root] if root in moved else every_step(still[root], steps) for root in roots]


def every_step(node: Node, steps: Size) -> Node:
    """One value at every step: [steps, *shape]."""
    shape = (steps, *node.type.shape)
    return apply(Broadcast(shape, tuple(range(1, len(shape)))), node, origin=node.origin)


def lifted(
    node: Node, inputs: Sequence[Node], moving: Sequence[bool], steps: Size, in_loop: bool = False
) -> tuple[Node, bool]:
    """A node of one step for all steps, over such inputs, and whether it has one value for each step.

    `moving` says which of the inputs have the axis of the steps.
    """
    op = node.op

    def made(op: Op, *inputs: Node) -> Node:
        return apply(op, *inputs, origin=node.origin)

    def full() -> list[Node]:
        return [
            each if moves else every_step(each, steps)
            for each, moves in zip(inputs, moving, strict=True)
        ]

    def shifted(axes) -> tuple[int, ...]:
        return tuple(axis + 1 for axis in axes)

    match op:
        case Elementwise():
            return made(op, *full()), True
        case Broadcast():
            return made(Broadcast((steps, *op.shape), (0, *shifted(op.axes))), *inputs), True
        case Reshape():
            return made(Reshape((steps, *op.shape)), *inputs), True
        case Transpose():
            return made(Transpose((0, *shifted(op.order))), *inputs), True
        case Slice() | Pad() | Concat():
            return made(replace(op, axis=op.axis + 1), *full()), True
        case Sum() if not op.batch:
            return made(Sum(shifted(op.axes)), *inputs), True
        case Max():
            return made(Max(shifted(op.axes)), *inputs), True
        case ArgMax():
            return made(op, *inputs), True
        case Contract() if not op.sum_batch:
            time = (index(len(op.extents)),)
            new = Contract(
                (*op.extents, steps),
                time + op.out,
                (time if moving[0] else ()) + op.left,
                (time if moving[1] else ()) + op.right,
                (steps, *op.shape),
            )
            return made(new, *inputs), True
        case Take() if not moving[0] and not op.lead:
            return made(op, *inputs), True
        case Take():
            return made(Take(op.lead + 1), *full()), True
        case Put() if not op.sum_batch:
            return made(replace(op, lead=op.lead + 1), *full()), True
        case WindowMax() | WindowArgMax() | WindowMaxGradient():
            return made(op, *full()), True
        case BatchMean() if not in_loop:
            mean = div(made(Sum((0,)), *inputs), float(steps)) if isinstance(steps, int) else None
            if mean is not None:
                return made(op, mean), False
    raise NoStep(node)


def one_step(node: Node, inputs: Sequence[Node]) -> Node:
    """One step of a node of a loop, over inputs of one step (or that are the same at every step)."""
    op = node.op

    def less(axes) -> tuple[int, ...]:
        return tuple(axis - 1 for axis in axes if axis)

    match op:
        case Elementwise() | ArgMax() | WindowMax() | WindowArgMax() | WindowMaxGradient():
            new: Op = op
        case Broadcast():
            new = Broadcast(op.shape[1:], less(op.axes))
        case Reshape():
            new = Reshape(op.shape[1:])
        case Transpose():
            new = Transpose(less(op.order))
        case Slice() | Pad() | Concat():
            new = replace(op, axis=op.axis - 1)
        case Sum() | Max():
            new = replace(op, axes=less(op.axes))
        case Contract():
            new = _one_product(op)
        case Take() if not op.lead:  # of a table that is the same at every step
            new = op
        case Take() | Put():
            new = replace(op, lead=op.lead - 1)
        case _:
            raise AssertionError(f"{op.name} cannot run step by step")
    return apply(new, *inputs, origin=node.origin)


def has_steps(node: Node, position: int) -> bool:
    """Whether the input at `position` of a node of a loop has an axis of steps, too."""
    op = node.op
    if isinstance(op, Carry):  # what it begins with
        return False
    if isinstance(op, Contract):
        map_ = (op.left, op.right)[position]
        return bool(map_) and map_[0] == op.out[0]
    return not isinstance(op, Take) or position == 1 or op.lead > 0


def _one_product(op: Contract) -> Contract:
    """The product without the index of the steps, which is the first axis of the result."""
    ((time, _),) = op.out[0].terms

    def without(map_):
        if map_ and map_[0] == op.out[0]:
            map_ = map_[1:]
        return tuple(
            Affine(tuple((i - (i > time), c) for i, c in each.terms), each.constant)
            for each in map_
        )

    extents = tuple(size for i, size in enumerate(op.extents) if i != time)
    return Contract(
        extents, without(op.out), without(op.left), without(op.right), op.shape[1:], op.sum_batch
    )


def moved_by_one(node: Node) -> tuple[Node, Node] | None:
    """What stands before the first step, and the value whose earlier steps follow it."""
    if not isinstance(node.op, Concat) or node.op.axis != 0 or len(node.inputs) != 2:
        return None
    start, rest = node.inputs
    if start.type.shape[0] != 1 or not isinstance(rest.op, Slice):
        return None
    (value,) = rest.inputs
    if rest.op != Slice(0, 0, value.type.shape[0] - 1) or value.type.shape[0] != node.type.shape[0]:
        return None
    return start, value


def counts_steps(op: Contract) -> bool:
    """Whether the first index of the result counts the operands' steps, and nothing else does."""
    first = op.out[0]
    if first.constant or len(first.terms) != 1 or first.terms[0][1] != 1:
        return False
    time = first.terms[0][0]
    if op.extents[time] != op.shape[0]:
        return False
    return not any(
        time in dict(each.terms)
        for map_ in (op.out, op.left, op.right)
        for axis, each in enumerate(map_)
        if axis or each != first
    )


@dataclass(frozen=True, eq=False)
class OneStep:
    """One step of a loop: `nodes` has for each of its nodes that of one step, a leaf for each Carry.

    `reads` tells what the other leaves stand for: a value from outside, and whether of this step alone
    or all of it.
    """

    nodes: dict[Node, Node]
    reads: dict[Node, tuple[Node, bool]]


def step_of(loop: Loop) -> OneStep:
    """The formula of one step of a loop."""
    own: dict[Node, Node] = {}
    reads: dict[Node, tuple[Node, bool]] = {}
    known: dict[tuple[Node, bool], Node] = {}

    def standing_for(node: Node, each_step: bool) -> Node:
        if (node, each_step) not in known:
            type_ = replace(node.type, shape=node.type.shape[1:]) if each_step else node.type
            made = leaf(Input("step", str(len(known)), type_), node.origin)
            known[node, each_step] = made
            reads[made] = node, each_step
        return known[node, each_step]

    for carry in loop.carried:
        type_ = replace(carry.type, shape=carry.type.shape[1:])
        own[carry] = leaf(Input("step", carry.op.label, type_), carry.origin)
    for node in loop.nodes:
        if not isinstance(node.op, Carry):
            own[node] = one_step(
                node,
                [
                    own[each] if each in own else standing_for(each, has_steps(node, position))
                    for position, each in enumerate(node.inputs)
                ],
            )
    return OneStep(own, reads)
