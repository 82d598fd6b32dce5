"""Compiled code against the interpreter, for one case.

verdict(case)          # Outcome(judged=0), or raises Mismatch with the stage and the place
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np

import specc
from specc import driver, pipeline
from specc.backend.reference import evaluate
from specc.ir.graph import topological
from specc.ir.kind import Kind
from specc.net.arrays import completed, examples
from specc.ops.leaf import Input
from specc.ops.peers import Peers, bind_batch
from specc.ops.random import Uniform
from specc.ops.reduce import BatchMean
from specc.passes import lower, regions, tensor_parallel
from specc.passes.regions import CutLimits
from specc.source import Source

from .cases import Case, numbers
from .oracle import Oracle

# The work that is divided by rows: usually much, and next to none where a case asks for it.
USUAL = {
    name: getattr(tensor_parallel, name)
    for name in ("WORTH_MEETING", "PRODUCTS_FROM", "SPLIT_FROM")
}
SMALLEST = 2


class Mismatch(AssertionError):
    """Compiled code computes something else than the interpreter; `stage` says where."""

    def __init__(self, stage: str, message: str):
        super().__init__(f"{stage}: {message}")
        self.stage = stage


@dataclass(frozen=True)
class Outcome:
    """How many arrays were compared, and how many of them needed the samples with rounding
    noise."""

    compared: int
    judged: int


class _Comparison:
    def __init__(self, case: Case):
        self.case = case
        # with a ratio of 0 every value is large enough
        regions.LIMITS = CutLimits(1, 0, case.cut) if case.cut else CutLimits()
        for name, usual in USUAL.items():
            setattr(tensor_parallel, name, SMALLEST if case.by_rows else usual)
        self.program = driver.load(Source("x.dl", case.program.text))
        self.net = specc.compile(
            self.program,
            batch=case.batch,
            dtype=case.dtype,
            threads=case.threads,
            shards=case.threads,
            seed=case.seed,
        )
        self.given = numbers(case, self.program, self.net)
        self.compared = self.judged = 0

    def leaves(self, rows: int, anew: bool = False) -> dict:
        net, ports = self.net, self.program.ports
        arrays = completed(ports, self.some(rows, anew=anew), begin=True)
        data = examples("m", ports, arrays, [port.name for port in ports])
        found = {("param", path): array for path, array in net.params.items()}
        found |= {("state", path): array for path, array in net.states.items()}
        found |= {
            ("slot", label): np.zeros((rows, *array.shape[1:])) if anew else array
            for label, array in net.slots.items()
        }
        found |= {(port.role, port.name): data[port.name].array for port in ports}
        found["weight_of_example", ""] = np.full(rows, 1 / rows)
        return {key: np.array(value) for key, value in found.items()}

    def some(
        self, rows: int, roles=("input", "target"), anew: bool = False
    ) -> dict[str, np.ndarray]:
        """The first rows; `anew` without what says which of them go on where a stream stopped."""
        named = {port.name: port for port in self.program.ports}
        return {
            name: array[:rows]
            for name, array in self.given.items()
            if named[name].role in roles and not (anew and name.endswith(".begin"))
        }

    def oracle(self, graph, rows: int, anew: bool = False) -> Oracle:
        leaves = self.leaves(rows, anew)
        return Oracle(bind_batch(graph, rows), leaves, self.case.seed, 0, self.case.dtype)

    def in_chunks(self, graph, rows: int, size: int) -> Oracle:
        """The oracle of a prediction of `size` rows at a time, with random numbers for each."""
        leaves = self.leaves(rows, anew=True)
        batched = [
            node.op for node in graph.nodes if isinstance(node.op, Input) and node.type.batched
        ]
        names = {(op.role, op.label) for op in batched}
        oracle = self.oracle(graph, rows, anew=True)
        parts = []
        for step, start in enumerate(range(0, rows, size)):
            part = {
                key: value[start : start + size] if key in names else value
                for key, value in leaves.items()
            }
            each = Oracle(graph, part, self.case.seed, step, self.case.dtype)
            parts.append((each.values, each.samples))
        joined = [
            {
                name: np.concatenate([values[name] for values in found])
                if node.type.batched
                else found[0][name]
                for name, node in graph.outputs.items()
            }
            for found in zip(*([values, *samples] for values, samples in parts), strict=True)
        ]
        oracle.values, oracle.samples = joined[0], joined[1:]
        return oracle

    def check(self, stage: str, oracle: Oracle, name: str, found, rows: int | None = None) -> None:
        self.compared += 1
        before = oracle.judged
        message = oracle.disagreement(name, found, rows)
        self.judged += oracle.judged - before
        if message is not None:
            raise Mismatch(stage, message)

    def forward(self) -> None:
        """Each number of rows; without random numbers, rows do not depend on those beside them.

        Rows that go on where a stream stopped would: which row they follow depends on the batch.
        """
        count = max(self.case.forward)
        graph = pipeline.forward(self.program, training=False)
        outputs = {name: node for name, node in graph.outputs.items() if name.startswith("output.")}
        graph = lower.closed(outputs, lower.following(graph))
        is_random = any(isinstance(node.op, Uniform) for node in graph.nodes)
        oracles = [self.oracle(graph, count, anew=True)]
        for rows in self.case.forward:
            found = self.net.forward(**self.some(rows, ("input",), anew=True))
            if is_random:
                sizes = sorted({1, min(rows, self.case.batch), rows})
                oracles = [self.in_chunks(graph, rows, size) for size in sizes]
            for name, array in found.items():
                before = sum(each.judged for each in oracles)
                wrong = [each.disagreement(f"output.{name}", array, rows) for each in oracles]
                self.compared += 1
                self.judged += sum(each.judged for each in oracles) > before
                if all(wrong):
                    raise Mismatch(f"forward of {rows}", wrong[0])

    def evaluate(self) -> None:
        """The losses and metrics over more rows than a batch has, each as if there was no batch."""
        rows, net = max(self.case.forward), self.net
        graph = pipeline.forward(self.program, training=False)
        kept = {
            name: node for name, node in graph.outputs.items() if name.startswith(("loss", "mean."))
        }
        graph = lower.closed(kept, lower.following(graph))
        alone = (BatchMean, Peers, Uniform)
        terms = (*self.program.losses, *self.program.metrics)
        if net.slots or any(
            isinstance(node.op, alone) for node in topological([term.node for term in terms])
        ):
            return  # the figures depend on the batch
        _, final = lower.metric_means(self.program)
        # a metric that depends on no example is not a mean of anything
        fixed = {
            name: node for name, node in final.outputs.items() if not isinstance(node.op, Input)
        }
        oracle = self.oracle(replace(graph, outputs={**graph.outputs, **fixed}), rows)
        data = net.examples(self.some(rows), tuple(port.name for port in self.program.ports))
        for name, figure in net.evaluate_rows(data, np.arange(rows)).items():
            mean = name
            if name.startswith("metric.") and name not in fixed:
                mean = final.outputs[name].op.label
            self.check(f"evaluation, {name}", oracle, mean, figure)

    def gradients(self) -> None:
        rows = self.case.rows
        graph = pipeline.with_gradients(self.program)
        kept = {
            name: node
            for name, node in graph.outputs.items()
            if name == "loss" or name.startswith("gradient.")
        }
        oracle = self.oracle(lower.closed(kept, lower.following(graph)), rows)
        loss, gradients = self.net.loss_and_gradients(**self.some(rows))
        self.check("loss", oracle, "loss", loss)
        for path, array in gradients.items():
            self.check("gradients", oracle, f"gradient.{path}", array)
        if self.case.differences and self.case.special in ("", "large"):
            self.differences(oracle)

    def differences(self, oracle: Oracle) -> None:
        """The interpreter's gradients against its own finite differences, in a random direction."""
        rng = np.random.default_rng(self.case.seed)
        paths = [key for key in oracle.leaves if key[0] == "param"]
        directions = {key: rng.standard_normal(oracle.leaves[key].shape) for key in paths}
        slope = sum(
            float((oracle.values[f"gradient.{key[1]}"] * way).sum())
            for key, way in directions.items()
        )

        def slope_with(h: float) -> tuple[float, float]:
            """The central difference, and how much those of both sides differ (at a kink, say)."""
            sides = []
            for sign in (1, -1):
                moved = {
                    **oracle.leaves,
                    **{key: oracle.leaves[key] + sign * h * way for key, way in directions.items()},
                }
                with np.errstate(all="ignore"):
                    sides.append(float(evaluate(oracle.graph, moved, oracle.seed, 0, True)["loss"]))
            here = float(oracle.values["loss"])
            return (sides[0] - sides[1]) / (2 * h), abs(sides[0] - 2 * here + sides[1]) / h

        found = [slope_with(h) for h in (1e-4, 1e-5, 1e-6)]
        if not np.isfinite([slope, *(each for each, _ in found)]).all():
            return
        bound = max(bend for _, bend in found) + 1e-4 * (1 + abs(slope))
        if _is_blocked(oracle.graph):
            return
        nearest = min(abs(each - slope) for each, _ in found)
        self.compared += 1
        if nearest > bound:
            raise Mismatch(
                "finite differences", f"slope {slope} instead of {[each for each, _ in found]}"
            )

    def step(self) -> None:
        rows, net = self.case.rows, self.net
        graph = pipeline.training_step(self.program).graph
        leaves = self.leaves(rows)
        net.graph(Kind.TRAIN)
        settings = net.training.schedule(0, 1, 0, 0)[0]
        leaves |= {("setting", str(number)): value for number, value in enumerate(settings)}
        oracle = Oracle(bind_batch(graph, rows), leaves, self.case.seed, 0, self.case.dtype)
        net.on_divergence = "warn"
        with warnings.catch_warnings(action="ignore"):
            loss = net.step(**self.some(rows))
        self.check("step, loss", oracle, "loss", loss)
        if not np.isfinite(loss):
            return  # then the weights are again those from before
        for kind, arrays in (("param", net.params), ("state", net.states)):
            for path, array in arrays.items():
                if f"{kind}.{path}" in graph.outputs:
                    self.check("step", oracle, f"{kind}.{path}", array)


def _is_blocked(graph) -> bool:
    """Whether the gradient leaves something out on purpose: stop_gradient, and steps of no
    slope."""
    from specc.ops import elementwise, functions

    steps = (elementwise.Detach, functions.Floor, elementwise.FloorDiv, functions.Sign)
    return any(isinstance(node.op, steps) for node in graph.nodes)


def verdict(case: Case) -> Outcome:
    """Compares all stages of the case. Raises Mismatch, or whatever the compiler raises."""
    comparison = _Comparison(case)
    for stage in case.stages:
        getattr(comparison, stage)()
    return Outcome(comparison.compared, comparison.judged)
