"""Backpropagation through time: the gradient of a state, step by step on its way back.

    v[t] = J[t]^T v[t + 1],    J[t] = d state before step t + 1 / d state before step t

In: a loop of the forward graph and the values of one batch. One step of the loop is a formula. Its
gradient for any seeds is a product with J; unit vectors as seeds give J itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np

from specc.backend.reference import evaluate
from specc.flow.figures import CellFlow, Matrix, rms
from specc.ir.graph import Graph, Node, apply, topological
from specc.ir.sizes import bound
from specc.ir.types import Type
from specc.ops.broadcast import Sum, sum_batch
from specc.ops.carry import Carry, Loop
from specc.ops.contract import Contract
from specc.ops.elementwise import add, mul
from specc.ops.leaf import Input, Role, leaf
from specc.ops.shape import Concat, Slice
from specc.ops.steps import one_step, step_of
from specc.passes.autodiff import gradients
from specc.system.records import dataclass

LARGEST_JACOBIAN = 512
"""The most elements of a state whose Jacobian is computed: eigenvalues take cubic time."""
SAMPLES = 3
"""The number of steps whose Jacobian is computed, each for another example."""


Arrays = Mapping[Node, np.ndarray]


@dataclass(frozen=True, eq=False)
class _State:
    """A state of a cell: its Carry, and its label and shape."""

    node: Node
    label: str
    shape: tuple[int, ...]

    @property
    def seed(self) -> str:
        """The label of the input that the state after a step is multiplied by."""
        return f"seed of {self.label}"

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def _state(node: Node) -> _State:
    assert isinstance(node.op, Carry), "a loop is carried by nodes of Carry"
    return _State(node, node.op.label, tuple(map(bound, node.op.shape)))


class Recurrence:
    """A loop of the forward graph. `needed` are the nodes whose values `flow` takes."""

    def __init__(self, loop: Loop):
        self.loop, self.one = loop, step_of(loop)
        self.states = [_state(carry) for carry in loop.carried]
        self.carries = list(loop.carried)
        self.products = _products(loop)
        parts = []
        for state in self.states:
            seed = Input(Role.STEP, state.seed, Type("float", state.shape, True))
            product = mul(leaf(seed), self.one.nodes[loop.carried[state.node]])
            rank = product.type.rank
            parts.append(apply(Sum(tuple(range(rank))), product) if rank else product)
        states = [self.one.nodes[carry] for carry in self.carries]
        found, _ = gradients(sum_batch(reduce(add, parts)), states)
        self.graph = Graph({str(k): each for k, each in enumerate(found)})
        outside = [node for node, _ in self.one.reads.values()]
        self.needed = list(dict.fromkeys([*outside, *(matrix for _, matrix in self.products)]))

    def flow(
        self,
        values: Arrays,
        before: Arrays,
        gradient: Arrays,
    ) -> CellFlow:
        """Return the flow of the cell.

        `values` are those of `needed`. `before` are the states before each step and `gradient` the
        gradients of an example's loss for them, [examples, steps, *shape] each.
        """
        steps, labels = bound(self.loop.steps), [state.label for state in self.states]
        total = [rms(*(gradient[each][:, t] for each in self.carries)) for t in range(steps)]
        start = max((t for t in range(steps) if total[t] > 0), default=0)
        carried = [0.0] * steps
        carried[start] = total[start]
        back = [gradient[each][:, start] for each in self.carries]
        for t in reversed(range(start)):
            now = {each: before[each][:, t] for each in self.carries}
            back = self._back(values, now, back, t, slice(None))
            carried[t] = rms(*back)
        prefix, dot, _ = labels[0].rpartition(".")
        own = [each.removeprefix(prefix + dot) for each in labels]
        return CellFlow(
            prefix or labels[0],
            tuple(own),
            steps,
            start + 1,
            total,
            carried,
            _decay(carried[: start + 1]),
            self._matrices(values),
            self._radius(values, before),
        )

    def _back(
        self,
        values: Arrays,
        before: Arrays,
        seeds: Sequence[np.ndarray],
        t: int,
        rows: slice,
    ) -> list[np.ndarray]:
        """Return J^T times the seeds at step t, for the examples `rows`.

        `before` are the states before the step.
        """
        leaves: dict[tuple[str, str], np.ndarray] = {}
        for made, (node, each_step) in self.one.reads.items():
            value = values[node]
            if node.type.batched:
                value = value[rows]
                if len(value) == 1:
                    value = np.broadcast_to(value, (len(seeds[0]), *value.shape[1:]))
                value = value[:, t] if each_step else value
            elif each_step:
                value = value[t]
            assert isinstance(made.op, Input), "a step reads values from outside as inputs"
            leaves["step", made.op.label] = value
        for state, seed in zip(self.states, seeds, strict=True):
            leaves["step", state.label] = np.broadcast_to(before[state.node], seed.shape)
            leaves["step", state.seed] = seed
        found = evaluate(self.graph, leaves)
        return [np.broadcast_to(found[str(k)], seed.shape) for k, seed in enumerate(seeds)]

    def jacobian(self, values: Arrays, before: Arrays, example: int, t: int) -> np.ndarray:
        """Return d state after / d state before step t of one example, all states in one vector."""
        unit, first, seeds = np.eye(self._elements), 0, []
        for each in self.states:
            seeds.append(unit[:, first : first + each.elements].reshape(-1, *each.shape))
            first += each.elements
        state = {each: before[each][example, t] for each in self.carries}
        rows = self._back(values, state, seeds, t, slice(example, example + 1))
        return np.concatenate([each.reshape(len(unit), -1) for each in rows], axis=1)

    @property
    def _elements(self) -> int:
        """The number of elements of all states together."""
        return sum(state.elements for state in self.states)

    def _radius(self, values: Arrays, before: Arrays) -> float | None:
        """Return the median of some Jacobians' largest |eigenvalue|; None for large states."""
        if self._elements > LARGEST_JACOBIAN:
            return None
        examples = len(before[self.carries[0]])
        steps = np.linspace(0, bound(self.loop.steps) - 1, SAMPLES + 2).astype(int)[1:-1]
        found = [
            _spectral(self.jacobian(values, before, k % examples, int(t)))
            for k, t in enumerate(steps)
        ]
        return float(np.median(found))

    def _matrices(self, values: Arrays) -> tuple[Matrix, ...]:
        """Return the square blocks of the matrices that multiply a state, ordered by their rows."""
        found = []
        for product, matrix in self.products:
            array = _by_rows(self.loop, product, matrix, values[matrix])
            if array is None or len(array) % array.shape[1]:
                continue
            size = array.shape[1]
            parameter = next(
                (
                    each.op.label
                    for each in topological([matrix])
                    if isinstance(each.op, Input) and each.op.role == Role.PARAM
                ),
                "",
            )
            names = _block_names(self.loop, product, size)
            for k in range(len(array) // size):
                block = array[k * size : (k + 1) * size]
                one = len(array) == size
                name = parameter if one else f"{parameter}, {names.get(k, k + 1)}"
                found.append(Matrix(name, _spectral(block)))
        return tuple(found)


def _products(loop: Loop) -> list[tuple[Node, Node]]:
    """Return the products of a state with a value that all examples and steps share, and the value.

    The state may be one part of the factor: `concat(x, h) -> dense(...)`.
    """
    own = set(loop.nodes)
    found = []
    for node in loop.nodes:
        if isinstance(node.op, Contract):
            for state, other in (node.inputs, node.inputs[::-1]):
                if _state_within(loop, state) and other not in own and not other.type.batched:
                    found.append((node, other))
    return found


def _state_within(loop: Loop, node: Node) -> tuple[int, int] | None:
    """Return the range of the state in the last axis of a node, or None if it has no state."""
    if node in loop.carried:
        return 0, node.type.bound_shape[-1]
    if isinstance(node.op, Concat) and node.op.axis == node.type.rank - 1:
        start = 0
        for part in node.inputs:
            end = start + part.type.bound_shape[-1]
            if part in loop.carried:
                return start, end
            start = end
    return None


def _by_rows(loop: Loop, product: Node, matrix: Node, array: np.ndarray) -> np.ndarray | None:
    """Return the factor as [outputs, elements of the state]; None if it is not a matrix."""
    substitutes = [
        leaf(
            Input(
                Role.STEP,
                str(k),
                each.type if each is matrix else Type("float", each.type.shape[1:], True),
            )
        )
        for k, each in enumerate(product.inputs)
    ]
    op = one_step(product, substitutes).op
    assert isinstance(op, Contract), "a step of a matrix product is a matrix product"
    first = product.inputs[0] is matrix
    of_matrix, of_state = (op.left, op.right) if first else (op.right, op.left)
    own = _state_within(loop, product.inputs[1] if first else product.inputs[0])
    assert own is not None, "one factor of `_products` has a state in it"
    if len(of_matrix) != 2 or len(of_state) != 1 or len(op.out) != 1:
        return None
    if of_matrix == (*of_state, *op.out):
        array = array.T
    elif of_matrix != (*op.out, *of_state):
        return None
    return array[:, slice(*own)]


def _block_names(loop: Loop, product: Node, size: int) -> dict[int, str]:
    """Return the names that the cell gives to parts of a product: `let i, f = split(z; 2)`."""
    after = {product}
    names = {}
    for node in loop.nodes:
        if any(each in after for each in node.inputs) and node.type.shape == product.type.shape:
            after.add(node)
        op = node.op
        if isinstance(op, Slice) and node.inputs[0] in after and op.axis == 1 and op.count == size:
            names[bound(op.start) // size] = node.origin.name
    return {k: name for k, name in names.items() if name}


def _spectral(matrix: np.ndarray) -> float:
    """Return the largest |eigenvalue| of a matrix."""
    if not np.isfinite(matrix).all():
        return float("inf")
    return float(np.abs(np.linalg.eigvals(matrix)).max(initial=0.0))


def _decay(carried: list[float]) -> float | None:
    """Return the factor per step: exp of the slope of the line that fits log(carried) best."""
    steps = [t for t, size in enumerate(carried) if 0 < size < np.inf]
    if len(steps) < 2:
        return None
    slope = np.polyfit(steps, np.log([carried[t] for t in steps]), 1)[0]
    return float(np.exp(-slope))
