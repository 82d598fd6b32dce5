"""Through time: what a state's gradient becomes on its way back, step after step.

    v[t] = J[t]^T v[t + 1],    J[t] = d state before step t + 1 / d state before step t

In: a loop of the forward graph and the values of one batch. One step of the loop is a formula; its
gradient with free seeds gives both products with J, and J itself where the seeds are the unit vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np

from specc.backend.reference import evaluate
from specc.flow.figures import CellFlow, Matrix, rms
from specc.ir.graph import Graph, Node, apply, topological
from specc.ir.types import Type
from specc.ops.broadcast import Sum, sum_batch
from specc.ops.carry import Loop
from specc.ops.contract import Contract
from specc.ops.elementwise import add, mul
from specc.ops.leaf import Input, leaf
from specc.ops.shape import Concat, Slice
from specc.ops.steps import one_step, step_of
from specc.passes.autodiff import gradients

LARGEST_JACOBIAN = 512  # elements of the state; its eigenvalues take the cube of that in time
SAMPLES = 3  # steps whose Jacobian is taken, each of another example


class Recurrence:
    """A loop of the forward graph. `needed` are the values that `flow` has to be given."""

    def __init__(self, loop: Loop):
        self.loop, self.one = loop, step_of(loop)
        self.carries = list(loop.carried)
        self.products = _products(loop)
        seeds, parts = {}, []
        for carry in self.carries:
            after = self.one.nodes[loop.carried[carry]]
            seeds[carry] = leaf(
                Input("step", f"seed of {carry.op.label}", Type("float", carry.op.shape, True))
            )
            product = mul(seeds[carry], after)
            rank = product.type.rank
            parts.append(apply(Sum(tuple(range(rank))), product) if rank else product)
        self.seeds = seeds
        states = [self.one.nodes[carry] for carry in self.carries]
        found, _ = gradients(sum_batch(reduce(add, parts)), states)
        self.graph = Graph({str(k): each for k, each in enumerate(found)})
        outside = [node for node, _ in self.one.reads.values()]
        self.needed = list(dict.fromkeys([*outside, *(matrix for _, matrix in self.products)]))

    def flow(
        self,
        values: Mapping[Node, np.ndarray],
        before: Mapping[Node, np.ndarray],
        gradient: Mapping[Node, np.ndarray],
    ) -> CellFlow:
        """The figures, from the values of `needed`, of the states before each step, and the gradients
        of an example's loss for these ([examples, steps, *shape])."""
        steps, labels = self.loop.steps, [each.op.label for each in self.carries]
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

    def _back(self, values, state, seeds, t: int, rows) -> list[np.ndarray]:
        """J^T times the seeds at step t, for the examples `rows`; `state` is that before the step."""
        leaves = {}
        for made, (node, each_step) in self.one.reads.items():
            value = values[node]
            if node.type.batched:
                value = value[rows]
                if len(value) == 1:
                    value = np.broadcast_to(value, (len(seeds[0]), *value.shape[1:]))
                value = value[:, t] if each_step else value
            elif each_step:
                value = value[t]
            leaves["step", made.op.label] = value
        for carry, seed in zip(self.carries, seeds, strict=True):
            leaves["step", carry.op.label] = np.broadcast_to(state[carry], seed.shape)
            leaves["step", self.seeds[carry].op.label] = seed
        found = evaluate(self.graph, leaves)
        return [np.broadcast_to(found[str(k)], seed.shape) for k, seed in enumerate(seeds)]

    def jacobian(self, values, before, example: int, t: int) -> np.ndarray:
        """d state after / d state before step t of one example, all states in one vector."""
        sizes = [int(np.prod(each.op.shape, dtype=int)) for each in self.carries]
        unit, first, seeds = np.eye(sum(sizes)), 0, []
        for carry, size in zip(self.carries, sizes, strict=True):
            seeds.append(unit[:, first : first + size].reshape(-1, *carry.op.shape))
            first += size
        state = {each: before[each][example, t] for each in self.carries}
        rows = self._back(values, state, seeds, t, slice(example, example + 1))
        return np.concatenate([each.reshape(len(unit), -1) for each in rows], axis=1)

    def _radius(self, values, before) -> float | None:
        size = sum(int(np.prod(each.op.shape, dtype=int)) for each in self.carries)
        if size > LARGEST_JACOBIAN:
            return None
        examples = len(before[self.carries[0]])
        steps = np.linspace(0, self.loop.steps - 1, SAMPLES + 2).astype(int)[1:-1]
        found = [
            _spectral(self.jacobian(values, before, k % examples, int(t)))
            for k, t in enumerate(steps)
        ]
        return float(np.median(found))

    def _matrices(self, values) -> tuple[Matrix, ...]:
        """The square blocks of all that multiplies a state, in the order of its rows."""
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
                    if isinstance(each.op, Input) and each.op.role == "param"
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
    """The products of a state with a value that all examples and steps share, and that value.

    The state may be one part of what is multiplied: `concat(x, h) -> dense(...)`.
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
    """Where the state begins and ends in the last axis of a node that is a state, or joins one to others."""
    if node in loop.carried:
        return 0, node.type.shape[-1]
    if isinstance(node.op, Concat) and node.op.axis == node.type.rank - 1:
        start = 0
        for part in node.inputs:
            end = start + part.type.shape[-1]
            if part in loop.carried:
                return start, end
            start = end
    return None


def _by_rows(loop: Loop, product: Node, matrix: Node, array: np.ndarray) -> np.ndarray | None:
    """The factor as [outputs, elements of the state]; None where it is no matrix."""
    stand_ins = [
        leaf(
            Input(
                "step",
                str(k),
                each.type if each is matrix else Type("float", each.type.shape[1:], True),
            )
        )
        for k, each in enumerate(product.inputs)
    ]
    op = one_step(product, stand_ins).op
    first = product.inputs[0] is matrix
    of_matrix, of_state = (op.left, op.right) if first else (op.right, op.left)
    state = product.inputs[1] if first else product.inputs[0]
    if len(of_matrix) != 2 or len(of_state) != 1 or len(op.out) != 1:
        return None
    if of_matrix == (*of_state, *op.out):
        array = array.T
    elif of_matrix != (*op.out, *of_state):
        return None
    return array[:, slice(*_state_within(loop, state))]


def _block_names(loop: Loop, product: Node, size: int) -> dict[int, str]:
    """The names that the cell gives to parts of a product: `let i, f, o, g = split(z; 4)`."""
    after = {product}
    names = {}
    for node in loop.nodes:
        if any(each in after for each in node.inputs) and node.type.shape == product.type.shape:
            after.add(node)
        op = node.op
        if isinstance(op, Slice) and node.inputs[0] in after and op.axis == 1 and op.count == size:
            names[op.start // size] = node.origin.name
    return {k: name for k, name in names.items() if name}


def _spectral(matrix: np.ndarray) -> float:
    """The largest |eigenvalue|."""
    if not np.isfinite(matrix).all():
        return float("inf")
    return float(np.abs(np.linalg.eigvals(matrix)).max(initial=0.0))


def _decay(carried: list[float]) -> float | None:
    """The factor a step going back: exp of the slope of the line that fits log(carried) best."""
    steps = [t for t, size in enumerate(carried) if 0 < size < np.inf]
    if len(steps) < 2:
        return None
    slope = np.polyfit(steps, np.log([carried[t] for t in steps]), 1)[0]
    return float(np.exp(-slope))
