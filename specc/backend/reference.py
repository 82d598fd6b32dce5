"""The NumPy interpreter of graphs, for the tests (as their oracle) and for initial values.

    evaluate(graph, {("param", "w"): array, ("input", "x"): batch}, seed=0)   # name -> array

Batched arrays have the batch as their first axis. All numbers are float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from specc.ir.graph import Graph, Node
from specc.ir.sizes import bound
from specc.ops.carry import Carry, Loop, loops, ordered, straightened
from specc.ops.leaf import Input, Random
from specc.ops.random import Uniform
from specc.ops.steps import step_of

Leaves = Mapping[tuple[str, str], np.ndarray]
Watch = Callable[[Node, Sequence[np.ndarray], np.ndarray], np.ndarray]
"""Takes a node, the values of its inputs and its own, and returns the value that is used."""


def evaluate(
    graph: Graph,
    leaves: Leaves,
    seed: int = 0,
    step: int = 0,
    step_by_step: bool = False,
    watch: Watch | None = None,
) -> dict[str, np.ndarray]:
    """Return the value of every output; `leaves` gives the inputs by (role, name).

    Random numbers are those of training step `step` with this `seed`. A loop is computed as the
    fixed point of its formula, in time quadratic in its steps; with `step_by_step` it runs as it is
    compiled. `watch` is called with every value in the order of the computation, and may replace
    it; values within a loop are only watched with `step_by_step`, one time step at a time.

    Raises KeyError if an input that the outputs need is missing.
    """
    graph = straightened(graph)
    values: dict[Node, np.ndarray] = {}
    batched = [node.op for node in graph.nodes if isinstance(node.op, Input) and node.type.batched]
    examples = max((len(leaves[op.role, op.label]) for op in batched), default=1)
    looped = {node: loop for loop in loops(graph) for node in loop.nodes}
    for node in ordered(graph, looped):
        op = node.op
        if node in looped:
            if step_by_step:
                _run_steps(looped[node], values, examples, watch)
            else:
                _run_loop(looped[node], values, examples)
            continue
        if isinstance(op, Input):
            given = np.asarray(leaves[op.role, op.label])
            values[node] = given.astype(np.float64) if node.type.kind == "float" else given
        elif isinstance(op, Random):
            values[node] = op.draw(seed)
        elif isinstance(op, Uniform):
            values[node] = op.draw(seed, step, examples)
        else:
            types = tuple(each.type for each in node.inputs)
            values[node] = op.reference(types, *(values[each] for each in node.inputs))
        if watch is not None:
            values[node] = watch(node, [values[each] for each in node.inputs], values[node])
    return {name: values[node] for name, node in graph.outputs.items()}


def _run_loop(loop: Loop, values: dict[Node, np.ndarray], examples: int) -> None:
    """Run a loop as a fixed point: after k passes over all time steps, the first k are right."""
    for then in loop.carried.values():
        values[then] = np.zeros((examples, *then.type.shape))
    for _ in range(loop.steps):
        for node in loop.nodes:
            more = (values[loop.carried[node]],) if node in loop.carried else ()
            types = tuple(each.type for each in node.inputs)
            values[node] = node.op.reference(types, *(values[each] for each in node.inputs), *more)


def _run_steps(
    loop: Loop, values: dict[Node, np.ndarray], examples: int, watch: Watch | None = None
) -> None:
    """Run a loop step by step."""
    one = step_of(loop)
    found: dict[Node, list[np.ndarray]] = {node: [] for node in loop.nodes}
    state = {
        carry: np.broadcast_to(
            values[carry.inputs[0]], (examples, *map(bound, carry.op_as(Carry).shape))
        )
        for carry in loop.carried
    }
    for t in reversed(range(loop.steps)) if loop.backward else range(loop.steps):
        now = {
            leaf: values[node][:, t]
            if each_step and node.type.batched
            else values[node][t]
            if each_step
            else values[node]
            for leaf, (node, each_step) in one.reads.items()
        }
        now.update((one.nodes[carry], value) for carry, value in state.items())
        for node in loop.nodes:
            made = one.nodes[node]
            if made not in now:
                types = tuple(each.type for each in made.inputs)
                now[made] = made.op.reference(types, *(now[each] for each in made.inputs))
                if watch is not None:
                    now[made] = watch(node, [now[each] for each in made.inputs], now[made])
            found[node].append(now[made])
        state = {carry: now[one.nodes[then]] for carry, then in loop.carried.items()}
    for node, steps in found.items():
        values[node] = np.stack(steps[::-1] if loop.backward else steps, axis=1)
