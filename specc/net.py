"""A compiled model: its weights, and the machine code that runs and trains it.

    net = specc.compile(specc.load("models/lenet.dl"), batch=64)
    loss = net.step(image=images, label=labels)
    scores = net.forward(image=images)["scores"]

Arrays go in and come out with the batch first, `[n, *shape]`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from specc.backend.machine import this_machine
from specc.backend.program import CompiledProgram, aligned
from specc.backend.reference import evaluate
from specc.columns import Column
from specc.ir.graph import Graph
from specc.ir.plan import Plan
from specc.ir.program import Program
from specc.ir.verify import verify
from specc.ops.peers import Peers, bind_batch
from specc.passes import lower
from specc.passes.fuse import prepare
from specc.passes.plan import plan, shares
from specc.passes.simplify import simplify

if TYPE_CHECKING:
    from specc.backend.timing import StepTimes

# The programs of a model, each compiled when it is first needed.
TRAIN, GRADIENTS, EVALUATE, PREDICT = "train", "gradients", "evaluate", "predict"


class Net:
    """A model in machine code, for batches of `batch` examples on `threads` threads.

    `params` and `states` map paths to live arrays: assigning into one changes the model. `states`
    are the optimizer's memory and running statistics.
    """

    def __init__(self, program: Program, batch: int, dtype: str, threads: int, seed: int):
        self.program, self.batch, self.dtype = program, batch, dtype
        self.threads, self.seed = threads, seed
        self.name, self.ports = program.name, program.ports
        self.compile_seconds = 0.0
        self.steps_done = 0
        self._arrays: dict[str, np.ndarray] = {}
        self._programs: dict[tuple[str, int], CompiledProgram] = {}
        self._graphs: dict[str, Graph] = {}
        self._settings: Graph | None = None
        self._initialize()
        self._means, self._metrics = lower.metric_means(program)
        self.columns = (*(["loss"] if program.losses else []),
                        *(f"loss.{term.name}" for term in program.losses),
                        *(name for name, node in self._metrics.outputs.items()
                          if node.type.shape == ()))
        self.record_width = bool(program.losses) + len(program.losses) + sum(
            node.type.elements for node in self._means.values())
        self._by_name = {port.name: port for port in program.ports}

    # Weights.

    def _initialize(self) -> None:
        program = self.program
        states = [*program.states, *(state for update in program.updates for state in update.states)]
        wanted = {f"param.{each.path}": each for each in program.parameters}
        wanted.update({f"state.{each.path}": each for each in states})
        values = evaluate(Graph({name: each.initial for name, each in wanted.items()}), {}, self.seed)
        for name, each in wanted.items():
            self._arrays[name] = self._array(each.type.shape)
            self._arrays[name][...] = values[name]
        self.params = {each.path: self._arrays[f"param.{each.path}"] for each in program.parameters}
        self.states = {each.path: self._arrays[f"state.{each.path}"] for each in states}

    def _array(self, shape) -> np.ndarray:
        item = np.dtype(self.dtype).itemsize
        size = int(np.prod(shape, dtype=np.int64))
        return aligned(item * size).view(self.dtype).reshape(shape)

    def set_params(self, values: Mapping[str, np.ndarray]) -> None:
        """Set parameters by path. Raises ValueError for an unknown path or another shape."""
        checked = {}
        for path, value in values.items():
            if path not in self.params:
                known = ", ".join(self.params)
                raise ValueError(f"{self.name} has no parameter {path!r}; it has {known}")
            array = np.asarray(value)
            if array.shape != self.params[path].shape:
                raise ValueError(f"{path} has the shape {list(self.params[path].shape)},"
                                 f" not {list(array.shape)}")
            checked[path] = array
        for path, array in checked.items():
            self.params[path][...] = array

    # The programs.

    def graph(self, kind: str) -> Graph:
        """The optimized graph of one program: what the planner gets."""
        if kind not in self._graphs:
            made = _graph(self.program, kind)
            if kind == TRAIN:
                self._settings = made.settings
                made = made.graph
            made = verify(simplify(verify(made, "lower")), "simplify")
            self._graphs[kind] = verify(prepare(made), "prepare")
        return self._graphs[kind]

    @property
    def settings_graph(self) -> Graph:
        """What the optimizer's settings are, as a graph over step, epoch, progress and stale."""
        self.graph(TRAIN)
        return self._settings

    def plan(self, kind: str, examples: int | None = None) -> Plan:
        """The plan of one program, for batches of `examples`."""
        examples = examples or self.batch
        item = np.dtype(self.dtype).itemsize
        vector = this_machine().vector_bits // (8 * item)
        graph = self.graph(kind)
        if any(isinstance(node.op, Peers) for node in graph.nodes):
            _, lanes = shares(examples, self.threads, vector)
            graph = verify(bind_batch(graph, lanes * self.threads), "bind_batch")
        return plan(graph, examples, self.threads, vector, item)

    def compiled(self, kind: str, examples: int | None = None) -> CompiledProgram:
        """One program, ready to run on batches of at most `examples`."""
        key = kind, max(examples or 0, self.batch)
        if key not in self._programs:
            start = time.perf_counter()
            if kind == GRADIENTS:
                for each in self.program.parameters:
                    self._arrays.setdefault(f"gradient.{each.path}", self._array(each.type.shape))
            self._programs[key] = CompiledProgram(self.plan(*key), self.dtype, self._arrays)
            self.compile_seconds += time.perf_counter() - start
        return self._programs[key]

    def _run(self, kind: str, data: Mapping[str, Column], order: np.ndarray, batch: int,
             settings: np.ndarray | None = None, first: int = 0):
        program = self.compiled(kind, batch)
        start = time.perf_counter()
        program.link({name: data[name] for name in program.ports})
        self.compile_seconds += time.perf_counter() - start
        return program.run(data, order, batch, settings, self.seed, first)

    # What the training loop uses.

    def train(self, data: Mapping[str, Column], order: np.ndarray, first_step: int,
              steps_per_epoch: int, total_steps: int, stale: float = 0) -> np.ndarray:
        """Optimizer steps over the rows `order`, a batch at a time; the last may be partial.

        Returns float64 [steps, record_width]: the means over each batch, before its update; the first
        is the loss. `report` makes figures of their mean over many steps.
        """
        assert self.program.updates, "a model without an optimizer cannot be trained"
        steps = -(-len(order) // self.batch)
        self.graph(TRAIN)
        settings = self._schedule(first_step, steps, steps_per_epoch, total_steps, stale)
        records, _ = self._run(TRAIN, data, order, self.batch, settings, first_step)
        self.steps_done = first_step + steps
        return records

    def _schedule(self, first: int, steps: int, steps_per_epoch: int, total: int,
                  stale: float = 0) -> np.ndarray:
        """The optimizer's settings for each step, float64 [steps, settings]."""
        step = np.arange(first, first + steps, dtype=float)
        values = evaluate(self._settings, {
            ("schedule", "step"): step,
            ("schedule", "epoch"): step / steps_per_epoch if steps_per_epoch else 0 * step,
            ("schedule", "progress"): step / total if total else 0 * step,
            ("schedule", "stale"): 0 * step + stale})
        table = np.empty((steps, len(values)))
        for name, value in values.items():
            table[:, int(name)] = value
        return table

    def evaluate(self, data: Mapping[str, Column], order: np.ndarray) -> dict[str, float | np.ndarray]:
        """The exact figures over all rows of `order`, in inference mode: see `report`."""
        records, _ = self._run(EVALUATE, data, order, self.batch)
        counts = np.full(len(records), self.batch)
        counts[-1] = len(order) - self.batch * (len(records) - 1)
        return self.report(counts @ records / len(order))

    def report(self, means: np.ndarray) -> dict[str, float | np.ndarray]:
        """The figures that follow from means over the data: `columns`, and metrics that are arrays."""
        losses = len(self.program.losses)
        names = [name for name in self.columns if not name.startswith("metric.")]
        figures = dict(zip(names, means.tolist(), strict=False))
        start = losses + bool(losses)
        leaves = {}
        for name, node in self._means.items():
            count = node.type.elements
            leaves["mean", name] = means[start : start + count].reshape(node.type.shape)
            start += count
        for name, value in evaluate(self._metrics, leaves).items():
            figures[name] = float(value) if np.ndim(value) == 0 else value
        return figures

    def predict(self, data: Mapping[str, Column]) -> dict[str, np.ndarray]:
        """The outputs for all rows, in inference mode: name -> `[n, *shape]`."""
        program = self.compiled(PREDICT)
        rows = len(data[program.ports[0]].array)
        _, outputs = self._run(PREDICT, data, np.arange(rows), self.batch)
        return {name.removeprefix("output."): array for name, array in outputs.items()}

    # What people use.

    def forward(self, **arrays) -> dict[str, np.ndarray]:
        """The outputs for n examples, in inference mode: name -> `[n, *shape]`."""
        needed = self.compiled(PREDICT).ports
        return self.predict(self._columns(arrays, needed))

    def loss_and_gradients(self, **arrays) -> tuple[float, dict[str, np.ndarray]]:
        """The mean loss over the n given examples, in training mode, and its gradients by path."""
        data = self._columns(arrays, tuple(self._by_name))
        rows = self._rows(data)
        records, _ = self._run(GRADIENTS, data, np.arange(rows), rows, first=self.steps_done)
        gradients = {each.path: self._arrays[f"gradient.{each.path}"].copy()
                     for each in self.program.parameters}
        return float(records[0, 0]), gradients

    def step(self, **arrays) -> float:
        """One optimizer step on the n given examples; the loss before it.

        `epoch`, `progress` and `stale` of a schedule stay 0 here: there is no epoch.
        """
        data = self._columns(arrays, tuple(self._by_name))
        rows = self._rows(data)
        self.graph(TRAIN)
        settings = self._schedule(self.steps_done, 1, 0, 0)
        records, _ = self._run(TRAIN, data, np.arange(rows), rows, settings, self.steps_done)
        self.steps_done += 1
        return float(records[0, 0])

    def time(self, data: Mapping[str, Column], order: np.ndarray) -> StepTimes:
        """Where the time of a training step over the rows `order` goes, kernel by kernel (without an
        optimizer: of an evaluation, or of a prediction). The model is the same afterwards."""
        from specc.backend.timing import time_calls

        kind = TRAIN if self.program.updates else EVALUATE if self.program.losses else PREDICT
        settings = None
        if kind == TRAIN:
            self.graph(TRAIN)
            settings = self._schedule(self.steps_done, 1, 0, 0)
        program = self.compiled(kind)
        kept = {name: array.copy() for name, array in self._arrays.items()}
        try:
            return time_calls(program, {name: data[name] for name in program.ports}, order,
                              self.batch, settings, self.seed)
        finally:
            for name, array in kept.items():
                self._arrays[name][...] = array

    def _columns(self, arrays: Mapping[str, np.ndarray], needed) -> dict[str, Column]:
        unknown = [name for name in arrays if name not in self._by_name]
        missing = [name for name in needed if name not in arrays]
        if unknown or missing:
            asked = f"unknown: {', '.join(unknown)}" if unknown else f"missing: {', '.join(missing)}"
            raise ValueError(f"{self.name} takes {', '.join(needed)}; {asked}")
        columns = {}
        for name in needed:
            port, array = self._by_name[name], np.asarray(arrays[name])
            if array.shape[1:] != tuple(port.shape) or array.ndim != len(port.shape) + 1:
                shape = ", ".join(["n", *map(str, port.shape)])
                raise ValueError(f"{name} must be [{shape}], not {list(array.shape)}")
            if port.kind == "class":
                if not np.issubdtype(array.dtype, np.integer):
                    raise ValueError(f"{name} must be integers, not {array.dtype}")
                if array.size and not 0 <= array.min() <= array.max() < port.classes:
                    raise ValueError(f"{name} must be 0 to {port.classes - 1},"
                                     f" but goes from {array.min()} to {array.max()}")
            columns[name] = Column(np.ascontiguousarray(array))
        lengths = {name: len(column.array) for name, column in columns.items()}
        if len(set(lengths.values())) > 1 or 0 in lengths.values():
            raise ValueError(f"the arrays must have equally many examples, and at least one: {lengths}")
        return columns

    @staticmethod
    def _rows(data: Mapping[str, Column]) -> int:
        return len(next(iter(data.values())).array)


def _graph(program: Program, kind: str):
    """The graph of one program before any pass (for "train": with its schedule)."""
    if kind == TRAIN:
        return lower.training_step(program)
    if kind == GRADIENTS:
        graph = lower.with_gradients(program)
        kept = ("loss", "gradient.")
    else:
        graph = lower.forward(program, training=False)
        kept = ("output.",) if kind == PREDICT else ("loss", "mean.")
    return Graph({name: node for name, node in graph.outputs.items() if name.startswith(kept)})
