"""Recurrence: values that one time step computes and the next one reads.

    p = apply(Carry("lstm1.h", 50, (128,)), h0)      # [50, 128]: h0, then h of the previous step
    h = ...                                          # [50, 128], computed from p
    graph = closed({"output.h": h}, {"lstm1.h": h})  # closes the cycle: output "carry.lstm1.h"

Time steps are the first axis of a value, and a node holds all of them. The nodes of a recurrent
network are ordinary nodes; some of them form a cycle through a `Carry`. Only those run step by step
(see `loops`). All others run for all time steps at once, including the gradients of the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from specc.ir import sizes
from specc.ir.graph import Graph, Node, apply, rewrite, topological
from specc.ir.names import OutputKind, kind_of, label_of
from specc.ir.op import Form, Gradients, Op, ShapeError, Types, WithoutArithmetic, WithoutSteps
from specc.ir.sizes import Shape, Size
from specc.ir.types import Type
from specc.ops.broadcast import Broadcast, broadcast_scalar
from specc.ops.elementwise import add, mul
from specc.ops.leaf import Input, Role, leaf
from specc.ops.shape import Concat, Reshape, Slice
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np

PREFIX = f"{OutputKind.CARRY}."


@dataclass(frozen=True)
class Carry(WithoutSteps, WithoutArithmetic):
    """The graph's output "carry.LABEL", [steps, *shape], delayed by one time step.

    The input is the value before the first time step. With `backward`, the time steps run from last
    to first, and the input is the value at the last one.
    """

    label: str
    steps: Size
    shape: Shape
    backward: bool = False
    form = Form.CARRY

    def infer(self, initial: Type) -> Type:
        if initial.kind != "float":
            raise ShapeError(f"a state is of type float, not {initial}", 0)
        if len(initial.shape) != len(self.shape) or not all(
            sizes.same(a, b) for a, b in zip(initial.shape, self.shape, strict=True)
        ):
            raise ShapeError(
                f"a state of {sizes.show(self.shape)} cannot start as {sizes.show(initial.shape)}",
                0,
            )
        return Type("float", (self.steps, *self.shape), True)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        first = self.steps - 1 if self.backward else 0
        return (apply(Reshape(self.shape), apply(Slice(0, first, 1), dy)),)

    def reference(
        self, types: Types, initial: np.ndarray, following: np.ndarray | None = None
    ) -> np.ndarray:
        """Return `following`, the current value of "carry.LABEL", delayed by one time step.

        The interpreter repeats this until the values of a loop no longer change.
        """
        import numpy as np

        assert following is not None
        examples = len(following)
        initial = np.broadcast_to(initial, (examples, *map(sizes.bound, self.shape)))[:, None]
        if self.backward:
            return np.concatenate([following[:, 1:], initial], 1)
        return np.concatenate([initial, following[:, :-1]], 1)

    def reads_step(self, position: int) -> bool:
        return False  # the input is the value before the first step

    def first_steps(self, node: Node, result: Type) -> Op | None:
        return None if self.backward else replace(self, steps=result.shape[0])

    def suits_tensor_parallel(self, node: Node) -> bool:
        return False


def carries(graph: Graph) -> dict[Node, Node]:
    """Map each Carry of a graph to the node that it delays."""
    return {
        node: graph.outputs[PREFIX + node.op.label]
        for node in graph.nodes
        if isinstance(node.op, Carry)
    }


def closed(outputs: Mapping[str, Node], following: Mapping[str, Node]) -> Graph:
    """Return the graph of some outputs and of every "carry.LABEL" that they depend on."""
    wanted = {name: node for name, node in outputs.items() if kind_of(name) != OutputKind.CARRY}
    roots = list(wanted.values())
    found: dict[str, Node] = {}
    while True:
        new = {
            node.op.label
            for node in topological(roots)
            if isinstance(node.op, Carry) and PREFIX + node.op.label not in found
        }
        if not new:
            return Graph({**wanted, **found})
        for label in sorted(new):
            found[PREFIX + label] = following[label]
            roots.append(following[label])


def following(graph: Graph) -> dict[str, Node]:
    """Return the outputs "carry.LABEL" by their label."""
    return {
        label_of(name): node
        for name, node in graph.outputs.items()
        if kind_of(name) == OutputKind.CARRY
    }


@dataclass(frozen=True, eq=False)
class Loop:
    """Nodes that are computed step by step, each after its inputs of the same time step."""

    carried: dict[Node, Node]  # Carry -> the node that it delays
    nodes: tuple[Node, ...]

    @property
    def steps(self) -> int:
        return sizes.bound(next(iter(self.carried)).op_as(Carry).steps)

    @property
    def backward(self) -> bool:
        return next(iter(self.carried)).op_as(Carry).backward


def loops(graph: Graph) -> list[Loop]:
    """Return the loops of a graph.

    They are the strongly connected components of its nodes, with an edge from each "carry.LABEL"
    to its Carry.
    """
    tied = carries(graph)
    if not tied:
        return []
    position = {node: i for i, node in enumerate(graph.nodes)}
    after = {node: _reached([node], graph.users) for node in tied}
    before = {node: set(topological([then])) for node, then in tied.items()}
    leads = {a: {b for b in tied if tied[b] in after[a]} for a in tied}  # a is read to compute b
    closure = _closure(leads)
    found, done = [], set()
    for carry in tied:
        if carry in done:
            continue
        together = [b for b in tied if b is carry or (b in closure[carry] and carry in closure[b])]
        done.update(together)
        if carry not in closure[carry]:
            continue  # nothing depends on its own past: see `straightened`
        nodes: set[Node] = set(together)
        for a in together:
            for b in together:
                nodes |= after[a] & before[b]
        found.append(
            Loop(
                {each: tied[each] for each in together},
                tuple(sorted(nodes, key=position.__getitem__)),
            )
        )
    return found


def ordered(graph: Graph, looped: Mapping[Node, Loop]) -> list[Node]:
    """Return the nodes in topological order, with only the first node of each loop."""
    order: list[Node] = []
    done: set[Node] = set()
    for root in graph.nodes:
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node in done:
                continue
            loop = looped.get(node)
            if ready:
                order.append(loop.nodes[0] if loop else node)
                done.update(loop.nodes if loop else (node,))
                continue
            stack.append((node, True))
            if loop:
                stack.extend(
                    (each, False)
                    for member in reversed(loop.nodes)
                    for each in reversed(member.inputs)
                    if looped.get(each) is not loop
                )
            else:
                stack.extend((each, False) for each in reversed(node.inputs) if each not in done)
    return order


def _reached(start: Iterable[Node], users: Mapping[Node, Iterable[Node]]) -> set[Node]:
    seen, stack = set(start), list(start)
    while stack:
        for each in users[stack.pop()]:
            if each not in seen:
                seen.add(each)
                stack.append(each)
    return seen


def _closure(leads: dict[Node, set[Node]]) -> dict[Node, set[Node]]:
    return {
        start: set().union(*(_reached([each], leads) for each in leads[start]))
        if leads[start]
        else set()
        for start in leads
    }


def _replaced(graph: Graph, carry: Node, by: Node) -> Graph:
    return rewrite(graph, lambda node: by if node.op == carry.op else node)


def straightened(graph: Graph) -> Graph:
    """Return the graph with every Carry that is not on a cycle replaced by a shift in time."""
    while True:
        tied = carries(graph)
        within = {node for loop in loops(graph) for node in loop.carried}
        plain = next((node for node in tied if node not in within), None)
        if plain is None:
            return closed(graph.outputs, following(graph))
        graph = _replaced(graph, plain, _moved(plain, tied[plain]))
        graph = closed(graph.outputs, following(graph))


def _moved(carry: Node, then: Node) -> Node:
    op = carry.op_as(Carry)
    first = apply(Broadcast((1, *op.shape), tuple(range(1, len(op.shape) + 1))), carry.inputs[0])
    if op.steps == 1:
        return varying(first)
    rest = apply(Slice(0, 1 if op.backward else 0, op.steps - 1), varying(then))
    return apply(Concat(0), *((rest, first) if op.backward else (first, rest)))


def varying(node: Node) -> Node:
    """Return a node that differs between examples, as carried values do, with the same values."""
    if node.type.batched:
        return node
    nothing = mul(leaf(Input(Role.WEIGHT_OF_EXAMPLE, "", Type("float", (), batched=True))), 0.0)
    return add(node, broadcast_scalar(nothing, node.type.shape))
