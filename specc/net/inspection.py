"""Inspect a model with its current weights: time by kernel, flow of gradients, divergence.

inspection = Inspection(training)
inspection.time(data, order)                # StepTimes; the model does not change
inspection.flow(data, rows)                 # Flow
inspection.diagnose(data, rows, step=12)    # Finding, or None
inspection.values(data, rows, nodes)        # the values of nodes of the program for some examples
inspection.slopes(data, rows, node, ports)  # the value of a node, and its gradient by inputs
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from specc import pipeline
from specc.backend.reference import evaluate
from specc.ir.graph import Graph, Node, apply
from specc.ir.kind import Kind
from specc.ir.types import Type
from specc.net.divergence import WordedCause, explain
from specc.net.training import Training
from specc.ops.broadcast import Sum, sum_batch
from specc.ops.carry import closed, following
from specc.ops.elementwise import mul
from specc.ops.leaf import Input, Role, leaf
from specc.ops.peers import bind_batch
from specc.passes.autodiff import gradients
from specc.recipe import Column
from specc.runtime.snapshot import Snapshot

if TYPE_CHECKING:
    from specc.backend.measure.timing import StepTimes
    from specc.flow import Flow

Slots = Mapping[str, np.ndarray]


class Inspection:
    """Calls that explain how a model behaves; none of them changes it."""

    def __init__(self, training: Training) -> None:
        self._training, self._programs = training, training.programs
        self._program, self._weights = training.program, training.weights
        # the arguments and the graph of the last `slopes`: an ascent asks for the same many times
        self._slopes: tuple[Any, tuple[Graph, list[Node]]] | None = None

    def time(
        self, data: Mapping[str, Column], order: np.ndarray, repeats: int | None = None
    ) -> StepTimes:
        """Return the time of each kernel of a training step over the rows `order`.

        Without an optimizer it is an evaluation, and without a loss a prediction. `repeats` says
        how often stretches of steps are timed; the least time counts.
        """
        from specc.backend.measure.timing import REPEATS, time_calls

        programs, training, kind = self._programs, self._training, Kind.main(self._program)
        batches = training.accumulate if kind == Kind.TRAIN else 1
        kind = Kind.ACCUMULATE if batches > 1 else kind
        batch = min(programs.batch, len(order)) if programs.sees_peers(kind) else programs.batch
        program = programs.ready(kind, data, batch)
        update = programs.ready(Kind.UPDATE, {}, batch) if batches > 1 else None
        fixed = programs.seed, repeats or REPEATS
        with self._weights.lock.writing:
            settings = None
            if kind == Kind.TRAIN:
                settings = training.schedule(training.steps_done, 1)
            elif update is not None:  # the share of a batch, and that it is not the first
                settings = np.array([[1 / batches, 1.0]])
            columns = {name: data[name] for name in program.ports}
            kept = Snapshot(self._weights.arrays.items())
            try:
                times = time_calls(program, columns, order, batch, settings, *fixed)
                if update is None:
                    return times
                accumulation, again = training.accumulation, None
                if accumulation.evaluates_again and settings is not None:
                    second = programs.ready(Kind.AGAIN, data, batch)
                    places = accumulation.schedule_again(training.steps_done, 1)
                    places = np.hstack([settings, places])
                    again = time_calls(second, columns, order, batch, places, *fixed)
                settings = accumulation.schedule(training.steps_done, 1)
                alone = time_calls(update, {}, np.zeros(1, np.int64), 1, settings, *fixed)
                return times.accumulated(batches, alone, again)
            finally:
                kept.restore(self._weights.arrays)

    def flow(self, data: Mapping[str, Column], rows: int) -> Flow:
        """Return how gradients flow on the first `rows` examples, in training mode.

        A stream begins anew.
        """
        from specc.flow import measure

        with self._weights.lock.reading:
            leaves = self._leaves(data, np.arange(rows), self._weights.new_slots(rows))
            moments = ("step", "epoch", "progress", "stale")
            leaves.update({("schedule", name): np.zeros(()) for name in moments})
            leaves["weight_of_example", ""] = np.full(rows, 1 / rows)
            seed, steps_done = self._programs.seed, self._training.steps_done
            return measure(self._program, leaves, rows, seed, steps_done)

    def diagnose(
        self,
        data: Mapping[str, Column],
        rows: np.ndarray,
        step: int,
        steps_per_epoch: int = 0,
        total_steps: int = 0,
        stale: float = 0,
        training: bool = True,
    ) -> WordedCause | None:
        """Why the training step `step` (from 0) over one batch, `rows`, is not finite; without
        `training`, why an evaluation is not.

        The model must be as it was before the step. The interpreter repeats the step, and the first
        operation whose result is not finite is returned; None if there is none.
        """
        weights, programs = self._weights, self._programs
        batches = self._training.accumulate
        if training and batches > 1 and len(rows) > programs.batch:
            starts = range(0, len(rows), programs.batch)
            parts = (rows[start : start + programs.batch] for start in starts)
            moment = step, steps_per_epoch, total_steps, stale
            return next(filter(None, (self.diagnose(data, each, *moment) for each in parts)), None)
        with weights.lock.reading:
            slots = weights.slots if training else weights.new_slots(len(rows))
            leaves = self._leaves(data, rows, slots)
            if training and self._program.updates:
                schedule = self._training.schedule
                settings = schedule(step, 1, steps_per_epoch, total_steps, stale)
                leaves.update({("setting", str(k)): value for k, value in enumerate(settings[0])})
            return explain(
                self._program, leaves, rows, programs.dtype, programs.seed, step, training
            )

    def values(
        self, data: Mapping[str, Column], rows: np.ndarray, nodes: Mapping[str, Node]
    ) -> dict[str, np.ndarray]:
        """Return the values of nodes for some examples, in inference mode and float64.

        They are arrays `[n, *shape]` by the names of the nodes, without the first axis if all
        examples share the value. A stream begins anew.
        """
        more = {f"value.{name}": node for name, node in nodes.items()}
        graph = pipeline.forward(self._program, False, more)
        graph = closed({name: graph.outputs[name] for name in more}, following(graph))
        with self._weights.lock.reading:
            leaves = self._leaves(data, rows, self._weights.new_slots(len(rows)))
            found = evaluate(bind_batch(graph, len(rows)), leaves, self._programs.seed)
        return {name: found[f"value.{name}"] for name in nodes}

    def slopes(
        self,
        data: Mapping[str, Column],
        rows: np.ndarray,
        node: Node,
        ports: Sequence[str],
        weight: np.ndarray | None = None,
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return a node's value for some examples, [n, *shape], and gradients of its sum by inputs.

        The gradients are [n, *shape of the input]: each example's own. The sum is over the elements
        of the node, each times its `weight` [*shape]. In inference mode and float64; a stream
        begins anew.
        """
        asked = node, tuple(ports), weight is not None, len(rows)
        known = self._slopes
        if known is None or known[0] != asked:
            known = self._slopes = asked, self._slope_graph(*asked)
        graph, wanted = known[1]
        with self._weights.lock.reading:
            leaves = self._leaves(data, rows, self._weights.new_slots(len(rows)))
            leaves["weight_of_example", ""] = np.ones(len(rows))
            if weight is not None:
                leaves["step", "weight of elements"] = np.broadcast_to(
                    weight, (len(rows), *np.shape(weight))
                )
            values = evaluate(graph, leaves, self._programs.seed)
        return values["value"], {
            port: np.broadcast_to(values[port], (len(rows), *each.type.bound_shape))
            for port, each in zip(ports, wanted, strict=True)
        }

    def _slope_graph(
        self, node: Node, ports: Sequence[str], is_weighted: bool, examples: int
    ) -> tuple[Graph, list[Node]]:
        """Return the graph of a node's value and slopes, and the leaves of the ports."""
        graph = pipeline.forward(self._program, False, {"value": node})
        value = graph.outputs["value"]
        total = value
        if is_weighted:
            given = Type("float", value.type.shape, batched=True)
            total = mul(value, leaf(Input(Role.STEP, "weight of elements", given)))
        if total.type.rank:
            total = apply(Sum(tuple(range(total.type.rank))), total)
        leaves_of = {
            each.op.label: each
            for each in graph.nodes
            if isinstance(each.op, Input) and each.op.label in ports and each.type.batched
        }
        wanted = [leaves_of[port] for port in ports]
        one = leaf(Input(Role.WEIGHT_OF_EXAMPLE, "", Type("float", (), batched=True)))
        found, through_time = gradients(sum_batch(mul(one, total)), wanted, following(graph))
        outputs = {"value": value, **dict(zip(ports, found, strict=True))}
        whole = closed(outputs, {**following(graph), **through_time})
        return bind_batch(whole, examples), wanted

    def _leaves(
        self, data: Mapping[str, Column], rows: np.ndarray, slots: Slots
    ) -> dict[tuple[str, str], np.ndarray]:
        """Return the values that the interpreter reads.

        They are some rows of data, the weights and states, and each example's share in a mean.
        """
        ports = self._program.ports
        leaves = {(port.role, port.name): data[port.name].values(rows) for port in ports}
        leaves.update(self._weights.leaves())
        leaves.update({("slot", label): array for label, array in slots.items()})
        leaves["weight_of_example", ""] = np.full(len(rows), 1 / max(len(rows), 1))
        return leaves
