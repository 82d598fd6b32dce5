"""Formulas of one time step applied to all time steps, and back.

    lift([y], {x: xs}, 50)      # y[k], a formula of x[n], for xs[50, n]: ys[50, k]
    one_step(node, inputs)      # one time step of a node that has an axis of time steps

The time steps are the first axis. A node that does not depend on a lifted leaf is not changed,
because its value is equal at all time steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from specc.ir.graph import Node, apply, topological
from specc.ir.op import ShapeError
from specc.ir.sizes import Size
from specc.ops.broadcast import Broadcast
from specc.ops.carry import Carry, Loop
from specc.ops.leaf import Input, Role, leaf
from specc.ops.shape import Concat, Slice
from specc.system.records import dataclass


class NoStep(ShapeError):
    """Raised for an op that cannot be applied per time step; `node` is the node with that op."""

    def __init__(self, node: Node):
        super().__init__(f"`{node.op.name.lower()}` cannot be applied at each step of a sequence")
        self.node = node


def lift(
    roots: Sequence[Node], sequences: Mapping[Node, Node], steps: Size, in_loop: bool = False
) -> list[Node]:
    """Return the roots, formulas of one time step, for all `steps`: [steps, *shape].

    `sequences` maps a leaf of one time step to the node that holds all steps. Raises NoStep for an
    op that cannot be applied per time step.
    """
    found = _lifted(roots, sequences, steps, in_loop)
    return [node if moves else every_step(node, steps) for node, moves in found]


def lift_one(root: Node, sequences: Mapping[Node, Node], steps: Size) -> tuple[Node, bool]:
    """Return a formula of one time step for all steps, and whether it has an axis of steps."""
    return _lifted([root], sequences, steps, False)[0]


def _lifted(
    roots: Sequence[Node], sequences: Mapping[Node, Node], steps: Size, in_loop: bool
) -> list[tuple[Node, bool]]:
    moved: dict[Node, Node] = dict(sequences)
    still: dict[Node, Node] = {}
    for node in topological(roots):
        if node in moved:
            continue
        if node.op.differs_by_step:
            op = node.op.over_steps(steps, ())
            assert op is not None
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
    return [(moved[root], True) if root in moved else (still[root], False) for root in roots]


def every_step(node: Node, steps: Size) -> Node:
    """Broadcast a value to all time steps: [steps, *shape]."""
    shape = (steps, *node.type.shape)
    return apply(Broadcast(shape, tuple(range(1, len(shape)))), node, origin=node.origin)


def lifted(
    node: Node, inputs: Sequence[Node], moving: Sequence[bool], steps: Size, in_loop: bool = False
) -> tuple[Node, bool]:
    """Lift a node of one time step over `inputs`; return it, and whether it has an axis of steps.

    `moving` says which of the inputs have an axis of steps.
    """
    op = node.op.over_steps(steps, moving)
    if op is not None:
        full = [
            every_step(each, steps) if op.reads_step(position) and not moves else each
            for position, (each, moves) in enumerate(zip(inputs, moving, strict=True))
        ]
        return apply(op, *full, origin=node.origin), True
    shared = None if in_loop else node.op.for_all_steps(node, inputs, steps)
    if shared is None:
        raise NoStep(node)
    return shared, False


def one_step(node: Node, inputs: Sequence[Node]) -> Node:
    """Return one time step of a loop's node.

    Each input is a value of one time step, or one that is equal at all steps.
    """
    op = node.op.one_step(node)
    assert op is not None, f"{node.op.name} cannot run step by step (a bug of specc)"
    return apply(op, *inputs, origin=node.origin)


def moved_by_one(node: Node) -> tuple[Node, Node] | None:
    """Return (start, value) if a node is `value` shifted by one time step, after `start`.

    None for any other node.
    """
    if not isinstance(node.op, Concat) or node.op.axis != 0 or len(node.inputs) != 2:
        return None
    start, rest = node.inputs
    if start.type.shape[0] != 1 or not isinstance(rest.op, Slice):
        return None
    (value,) = rest.inputs
    if rest.op != Slice(0, 0, value.type.shape[0] - 1) or value.type.shape[0] != node.type.shape[0]:
        return None
    return start, value


@dataclass(frozen=True, eq=False)
class OneStep:
    """The formula of one time step of a loop.

    `nodes` maps each node of the loop to its node of one time step; a Carry becomes a leaf. `reads`
    maps the other leaves to the value outside the loop that they stand for, and whether they stand
    for the current step of that value only.
    """

    nodes: dict[Node, Node]
    reads: dict[Node, tuple[Node, bool]]


def step_of(loop: Loop) -> OneStep:
    """Return the formula of one time step of a loop."""
    own: dict[Node, Node] = {}
    reads: dict[Node, tuple[Node, bool]] = {}
    known: dict[tuple[Node, bool], Node] = {}

    def substitute_for(node: Node, each_step: bool) -> Node:
        if (node, each_step) not in known:
            type_ = replace(node.type, shape=node.type.shape[1:]) if each_step else node.type
            made = leaf(Input(Role.STEP, str(len(known)), type_), node.origin)
            known[node, each_step] = made
            reads[made] = node, each_step
        return known[node, each_step]

    for carry in loop.carried:
        type_ = replace(carry.type, shape=carry.type.shape[1:])
        own[carry] = leaf(Input(Role.STEP, carry.op_as(Carry).label, type_), carry.origin)
    for node in loop.nodes:
        if not isinstance(node.op, Carry):
            own[node] = one_step(
                node,
                [
                    own[each] if each in own else substitute_for(each, node.op.reads_step(position))
                    for position, each in enumerate(node.inputs)
                ],
            )
    return OneStep(own, reads)
