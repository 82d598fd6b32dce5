"""A compiled model: its weights, and the machine code that runs and trains it.

    net = specc.compile(specc.load("models/lenet.dl"), batch=64)
    loss = net.step(image=images, label=labels)
    scores = net.forward(image=images)["scores"]

Arrays go in and come out with the batch first, `[n, *shape]`.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from functools import cached_property
from threading import get_ident
from typing import TYPE_CHECKING

import numpy as np

from specc.backend.machine import this_machine
from specc.backend.reference import evaluate
from specc.backend.run.prepared import Fastest, Prepared
from specc.backend.run.program import CompiledProgram
from specc.backend.run.storage import aligned
from specc.collection import uncollected
from specc.columns import Column
from specc.diagnostics import Diagnostic, Diverged, Label, SpecError
from specc.ir import sizes
from specc.ir.graph import Graph, topological
from specc.ir.plan import Plan
from specc.ir.program import Limit, Program
from specc.locks import COMPILER, Mutex, ReadWriteLock
from specc.net.arrays import Arrays, completed, count, examples
from specc.net.bucketing import Sizes, shorter, steps_of, stretches
from specc.net.rollback import Rollback
from specc.net.step_by_step import StepByStep
from specc.ops.flops import flops
from specc.ops.peers import sees_peers
from specc.ops.random import Uniform
from specc.passes import lower
from specc.passes.prediction_batch import prediction_batch
from specc.passes.stepwise import stepwise
from specc.passes.team import suits
from specc.pipeline import Batch, Job, Kind, after, forward, optimized, planned, run
from specc.recipe import Port
from specc.runtime.decode import Scores, decode, scores_name, targets_read

if TYPE_CHECKING:
    from specc.backend.measure.timing import StepTimes
    from specc.flow import Flow
    from specc.net.divergence import Finding

# What runs over some rows: programs, each with the examples of its batches.
Programs = tuple[tuple[CompiledProgram, int], ...]

# The programs of a model, each compiled when it is first needed.
TRAIN, GRADIENTS, EVALUATE, PREDICT = Kind
FLOPS_WORTH_A_TEAM = 4e5  # of one example, from which threads share the work on it
# Numbers of rows for which a prediction is kept ready, the most of them, and the elements of the inputs.
MOST_PREPARED, QUICK, QUICK_ELEMENTS = 16, 1024, 1 << 23
FEW = 3  # rows that are predicted one by one: a vector of lanes for so few would be nearly empty
MOST_OF_PEERS = (
    16  # programs, each for another number of examples that see each other, that are kept
)

# Programs over fewer steps, for batches of short examples, are compiled for so long a training.
STEPS_WORTH_PROGRAMS = 1000


class Net:
    """A model in machine code, for batches of `batch` examples on `threads` threads.

    `params` and `states` map paths to live arrays in C order, in the layouts of the library:
    assigning one, or into one, changes the model. `states` are the optimizer's memory and running
    statistics.

    Threads may share a model: predictions, evaluations and gradients run side by side, and a call that
    changes the model waits for them and then has it for itself. Writing into an array of `params` or
    `states` is no call: nothing else may run meanwhile.
    """

    def __init__(
        self,
        program: Program,
        batch: int,
        dtype: str,
        threads: int,
        seed: int,
        values: Mapping[str, np.ndarray] | None = None,
    ):
        self.program, self.batch, self.dtype = program, batch, dtype
        self.threads, self.seed = threads, seed
        self.name, self.ports = program.name, program.ports
        self.compile_seconds = 0.0
        self.steps_done = 0
        self.on_divergence = "raise"  # or "warn"
        self._lock, self._gradients = ReadWriteLock(), Mutex()
        self._arrays: dict[str, np.ndarray] = {}
        self._programs: dict[tuple[str, int, bool], CompiledProgram] = {}
        self._steps: dict[tuple[str, int], StepByStep | None] = {}
        self._shorter: dict[Sizes, Net] = {}
        self._graphs: dict[str, Graph] = {}
        self._settings: Graph | None = None
        self._prepared: dict[int, Fastest] = {}
        self._with_peers: dict[str, bool] = {}
        self._initialize(values)
        self._means, self._metrics = lower.metric_means(program)
        self.columns = (
            *(["loss"] if program.losses else []),
            *(f"loss.{term.name}" for term in program.losses),
            *(name for name, node in self._metrics.outputs.items() if node.type.shape == ()),
        )
        self.record_width = (
            bool(program.losses)
            + len(program.losses)
            + sum(node.type.elements for node in self._means.values())
        )
        self._by_name = {port.name: port for port in program.ports}

    # Weights.

    def _initialize(self, values: Mapping[str, np.ndarray] | None) -> None:
        program = self.program
        states = [
            *program.states,
            *(state for update in program.updates for state in update.states),
        ]
        wanted = {f"param.{each.path}": each for each in program.parameters}
        wanted.update({f"state.{each.path}": each for each in states})
        if values is None:
            initial = Graph({name: each.initial for name, each in wanted.items()})
            values = evaluate(initial, {}, self.seed)
        for name, each in wanted.items():
            self._arrays[name] = self._array(each.type.shape)
            self._arrays[name][...] = values[name]
        self.params = Arrays(
            {each.path: self._arrays[f"param.{each.path}"] for each in program.parameters},
            f"{self.name} has no parameter",
            self._lock.writing,
        )
        # what the streams have left after the last training step, for each lane of the batch
        self.lanes = {
            label: np.zeros((self.batch, *self._lane_shape(label)), self.dtype)
            for label, _ in program.streams
        }
        lasting = {each.path: self._arrays[f"state.{each.path}"] for each in states}
        self.states = Arrays(
            {**lasting, **{f"stream.{label}": array for label, array in self.lanes.items()}},
            f"{self.name} has no state",
            self._lock.writing,
        )
        self.params.settle()

    def _array(self, shape) -> np.ndarray:
        item = np.dtype(self.dtype).itemsize
        size = int(np.prod(shape, dtype=np.int64))
        return aligned(item * size).view(self.dtype).reshape(shape)

    def __getstate__(self) -> dict:
        """The program, weights and states: a copy compiles for itself."""
        with self._lock.reading:
            arrays = {
                name: array.copy()
                for name, array in self._arrays.items()
                if name.startswith(("param.", "state."))
            }
            return {
                "program": self.program,
                "batch": self.batch,
                "dtype": self.dtype,
                "threads": self.threads,
                "seed": self.seed,
                "values": arrays,
                "lanes": {label: array.copy() for label, array in self.lanes.items()},
                "steps_done": self.steps_done,
                "on_divergence": self.on_divergence,
            }

    def __setstate__(self, state: dict) -> None:
        made = ("program", "batch", "dtype", "threads", "seed", "values")
        self.__init__(**{name: state[name] for name in made})
        for label, array in state["lanes"].items():
            self.lanes[label][...] = array
        self.steps_done, self.on_divergence = state["steps_done"], state["on_divergence"]

    def set_params(self, values: Mapping[str, np.ndarray]) -> None:
        """Set parameters by path, all or none.

        Raises ValueError for an unknown path, another shape, or values that are no real numbers.
        """
        self.params.put(values)

    # The programs.

    @uncollected
    def graph(self, kind: str) -> Graph:
        """The optimized graph of one program: what the planner gets."""
        if kind not in self._graphs:
            with COMPILER:
                if kind not in self._graphs:
                    self._graphs[kind] = self._made_graph(kind)
        return self._graphs[kind]

    def _made_graph(self, kind: str) -> Graph:
        made = optimized(Job(self.program, Kind(kind)), self._batch(self.batch, False))
        if kind == Kind.TRAIN:
            self._settings = made.settings
        return made.graph

    @property
    def settings_graph(self) -> Graph:
        """What the optimizer's settings are, as a graph over step, epoch, progress and stale."""
        if not self.program.updates:
            return Graph({})
        self.graph(TRAIN)
        return self._settings

    def plan(self, kind: str, examples: int | None = None, team: bool = False) -> Plan:
        """The plan of one program, for batches of `examples`; a `team` of threads shares one."""
        examples = examples or self.batch
        with COMPILER:
            is_alone = (kind, examples) == (Kind.PREDICT, 1)
            return planned(self.graph(kind), self._batch(examples, is_alone, team))

    def _batch(self, examples: int, is_alone: bool, team: bool = False) -> Batch:
        return Batch.on_this_machine(examples, self.threads, self.dtype, is_alone, team)

    @property
    def shards(self) -> int:
        """The threads that work on a batch: `threads`, or fewer where it is small."""
        kind = TRAIN if self.program.updates else PREDICT
        program = self._programs.get((kind, self.batch, False))
        return (program.plan if program else self.plan(kind)).shards

    @uncollected
    def compiled(
        self, kind: str, examples: int | None = None, team: bool = False
    ) -> CompiledProgram:
        """One program, ready to run on batches of at most `examples` (of 1: see `plan`), or of exactly so many
        if they see each other."""
        key = kind, max(examples or 0, self.batch), False
        if kind == PREDICT and examples:
            key = PREDICT, examples, team
        elif examples and self._sees_peers(kind):
            key = kind, examples, False
        found = self._programs.get(key)
        if found is None:
            with COMPILER:
                found = self._programs.get(key)
                if found is None:
                    found = self._programs[key] = self._made_program(*key)
        return found

    def _made_program(self, kind: str, examples: int, team: bool) -> CompiledProgram:
        start = time.perf_counter()
        self._make_room(kind)
        if kind == GRADIENTS:
            for each in self.program.parameters:
                self._arrays.setdefault(f"gradient.{each.path}", self._array(each.type.shape))
        made = self._made(self.plan(kind, examples, team))
        self.compile_seconds += time.perf_counter() - start
        return made

    def _sees_peers(self, kind: str) -> bool:
        """Whether the examples of a batch see each other: then a program is for one number of examples."""
        if kind not in self._with_peers:
            self._with_peers[kind] = sees_peers(self.graph(kind))
        return self._with_peers[kind]

    def _make_room(self, kind: str) -> None:
        """Forgets the oldest of too many programs that are each for one number of examples."""
        if self._sees_peers(kind):
            others = [key for key in self._programs if key[0] == kind and key[1] != self.batch]
            for key in others[: len(others) + 1 - MOST_OF_PEERS]:
                del self._programs[key]

    def step_by_step(self, port: Port, data: Mapping[str, Column]) -> Scores | None:
        """What scores the symbols of a target one step after the other, for the examples of `data`,
        without going over the steps before again; None where a step is no formula of its own."""
        batch = 1 if count(data) <= FEW else self.batch
        key = port.name, batch
        if key not in self._steps:
            with COMPILER:
                if key not in self._steps:
                    start = time.perf_counter()
                    self._steps[key] = self._made_steps(port, batch)
                    self.compile_seconds += time.perf_counter() - start
        steps = self._steps[key]
        return steps and steps.over(data)

    def _made_steps(self, port: Port, batch: int) -> StepByStep | None:
        shapes = {term.name: term.node.type.shape for term in self.program.outputs}
        name = scores_name(port, shapes)
        job = Job(self.program, Kind.EVALUATE)
        graph = run(job, after("select", forward(self.program, training=False)), "simplify").graph
        parts = stepwise(graph, port.name, f"output.{name}")
        return parts and StepByStep(parts, port, batch, self.dtype, self.seed, self._program_of)

    def _program_of(self, graph: Graph, batch: int) -> CompiledProgram:
        graph = run(Job(), after("select", graph), "prepare").graph
        return self._made(planned(graph, self._batch(batch, batch == 1)))

    def _made(self, plan: Plan) -> CompiledProgram:
        params = self.params
        return CompiledProgram(plan, self.dtype, self._arrays, lambda: params.version)

    def _lane_shape(self, label: str) -> tuple[int, ...]:
        (then,) = (node for name, node in self.program.carries if name == label)
        return then.type.shape[1:]

    def _new_lanes(self, batch: int) -> dict[str, np.ndarray]:
        return {
            label: np.zeros((batch, *array.shape[1:]), self.dtype)
            for label, array in self.lanes.items()
        }

    def _ready(self, kind: str, data: Mapping[str, Column], batch: int) -> CompiledProgram:
        """One program, with nothing left to compile for runs on data like this."""
        program = self.compiled(kind, batch)
        if not program.is_linked(data):
            with COMPILER:
                start = time.perf_counter()
                program.link(data)
                self.compile_seconds += time.perf_counter() - start
        return program

    def _run(
        self,
        program: CompiledProgram,
        data: Mapping[str, Column],
        order: np.ndarray,
        batch: int,
        settings: np.ndarray | None = None,
        first: int = 0,
        lanes=None,
    ):
        lanes = self._new_lanes(batch) if lanes is None else lanes
        if program.changes_weights:
            self.params.written()
        return program.run(data, order, batch, settings, self.seed, first, lanes)

    def _all_ready(self, kind: str, data: Mapping[str, Column], batch: int, rows: int) -> Programs:
        """What runs over so many rows: one program, or another one for the last batch, if fewer examples see
        each other there."""
        rest = rows % batch if self._sees_peers(kind) else 0
        sizes = [batch] if rows >= batch or not rest else []
        return tuple(
            (self._ready(kind, data, size), size) for size in (*sizes, *([rest] if rest else []))
        )

    def _run_all(
        self,
        programs: Programs,
        data: Mapping[str, Column],
        order: np.ndarray,
        settings: np.ndarray | None = None,
        first: int = 0,
        lanes=None,
    ):
        if len(programs) == 1:
            return self._run(programs[0][0], data, order, programs[0][1], settings, first, lanes)
        found, start, step = [], 0, 0
        for program, batch in programs:
            stop = start + (len(order) - start) // batch * batch
            own = lanes and {label: array[:batch] for label, array in lanes.items()}
            found.append(
                self._run(
                    program,
                    data,
                    order[start:stop],
                    batch,
                    None if settings is None else settings[step:],
                    first + step,
                    own,
                )
            )
            start, step = stop, step + len(found[-1][0])
        outputs = {name: np.concatenate([each[name] for _, each in found]) for name in found[0][1]}
        return np.concatenate([records for records, _ in found]), outputs

    # What the training loop uses.

    def train(
        self,
        data: Mapping[str, Column],
        order: np.ndarray,
        first_step: int,
        steps_per_epoch: int,
        total_steps: int,
        stale: float = 0,
    ) -> np.ndarray:
        """Optimizer steps over the rows `order`, a batch at a time; the last may be partial.

        Returns float64 [steps, record_width]: the means over each batch, before its update; the first
        is the loss. `report` makes figures of their mean over many steps.
        """
        assert self.program.updates, "a model without an optimizer cannot be trained"
        batch = self.batch
        steps = -(-len(order) // batch)
        self.graph(TRAIN)
        settings = self._schedule(first_step, steps, steps_per_epoch, total_steps, stale)
        parts = [((), 0, len(order))]
        if self.lengths(data, total_steps) is not None:
            parts = list(stretches(self.ports, data, order, batch))
        programs = []
        for sizes, start, stop in parts:
            net = self._over(sizes)
            before = net.compile_seconds
            programs.append(net._all_ready(TRAIN, data, batch, stop - start))
            if net is not self:
                self.compile_seconds += net.compile_seconds - before
        records = []
        with self._lock.writing:
            for each, (_, start, stop) in zip(programs, parts, strict=True):
                first = start // batch
                found, _ = self._run_all(
                    each, data, order[start:stop], settings[first:], first_step + first, self.lanes
                )
                records.append(found)
            self.steps_done = first_step + steps
        return np.concatenate(records)

    def lengths(self, data: Mapping[str, Column], total_steps: int) -> np.ndarray | None:
        """The steps of each example, where in a training of `total_steps` batches of examples of like
        length are worth it: they run on programs over fewer steps. None where they are not."""
        is_long = total_steps >= STEPS_WORTH_PROGRAMS and not self.lanes
        return steps_of(self.ports, data) if is_long else None

    def _over(self, sizes: Sizes) -> Net:
        """This model over fewer steps, with the same arrays; itself where that is another model."""
        if not sizes:
            return self
        if sizes not in self._shorter:
            with COMPILER:
                start = time.perf_counter()
                program = shorter(self.program, sizes)
                other = self
                if program is not None:
                    other = object.__new__(Net)
                    other.__dict__.update(self.__dict__, program=program, ports=program.ports)
                    other._programs, other._graphs, other._steps, other._prepared = {}, {}, {}, {}
                    other.graph(TRAIN)
                self._shorter[sizes] = other
                self.compile_seconds += time.perf_counter() - start
        return self._shorter[sizes]

    def _schedule(
        self, first: int, steps: int, steps_per_epoch: int, total: int, stale: float = 0
    ) -> np.ndarray:
        """The optimizer's settings for each step, float64 [steps, settings]."""
        step = np.arange(first, first + steps, dtype=float)
        moments = {
            ("schedule", "step"): step,
            ("schedule", "epoch"): step / steps_per_epoch if steps_per_epoch else 0 * step,
            ("schedule", "progress"): step / total if total else 0 * step,
            ("schedule", "stale"): 0 * step + stale,
        }
        for limit in self.program.limits:
            found = evaluate(Graph({"value": limit.node}), moments)["value"]
            check_limit(limit, np.broadcast_to(found, steps), first)
        values = evaluate(self._settings, moments)
        table = np.empty((steps, len(values)))
        for name, value in values.items():
            table[:, int(name)] = value
        return table

    def evaluate(
        self, data: Mapping[str, Column], order: np.ndarray
    ) -> dict[str, float | np.ndarray]:
        """The exact figures over all rows of `order`, in inference mode: see `report`."""
        programs = self._all_ready(EVALUATE, data, self.batch, len(order))
        with self._lock.reading:
            records, _ = self._run_all(programs, data, order)
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

    def watched(self, values: Mapping[str, float | np.ndarray]) -> float:
        """The value that chooses the best epoch: the one that `monitor` names, or the loss without
        penalties on weights. `values` are those of `evaluate`, with the weights of now."""
        monitor = self.program.recipe.monitor
        if monitor is not None:
            return float(values[monitor.column])
        whole, added = lower.penalties(self.program)
        if (not whole and not added.outputs) or len(whole) == len(self.program.losses):
            return float(values["loss"])
        with self._lock.reading:
            penalties = evaluate(
                added, {("param", path): array for path, array in self.params.items()}
            )
        return sum(
            float(values[f"loss.{term.name}"])
            for term in self.program.losses
            if term.name not in whole
        ) - float(sum(penalties.values()))

    def predict(
        self, data: Mapping[str, Column], lanes: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """The outputs for all rows, in inference mode: name -> `[n, *shape]`.

        `lanes`, [batch, *shape] for each state of a stream, are where it goes on; they are changed.
        """
        rows = count(data)
        batch = self._at_once(rows) if lanes is None else self.batch
        programs = self._all_ready(PREDICT, data, batch, rows)
        is_own = lanes is not None and any(
            np.may_share_memory(array, self.lanes[label]) for label, array in lanes.items()
        )
        with self._lock.writing if is_own else self._lock.reading:
            _, found = self._run_all(programs, data, np.arange(rows), lanes=lanes)
            outputs = {}
            for term in self.program.outputs:
                array = found.get(f"output.{term.name}")
                if array is None:  # the same for every example
                    array = np.broadcast_to(
                        self._constant(term.node), (rows, *term.node.type.shape)
                    )
                outputs[term.name] = array.view(bool) if array.dtype == np.uint8 else array
            return outputs

    def _at_once(self, rows: int) -> int:
        """The rows of a step of a prediction for so many."""
        if self._sees_peers(PREDICT):
            return max(1, min(rows, self.batch))
        is_random = any(isinstance(node.op, Uniform) for node in self.graph(PREDICT).nodes)
        if rows <= (1 if is_random else FEW):
            return 1
        if self.lanes or is_random:
            return self.batch  # what comes out depends on it
        vector, item = this_machine().lanes(self.dtype), np.dtype(self.dtype).itemsize
        return prediction_batch(
            rows, vector, self.threads, lambda batch: self.plan(PREDICT, batch), item
        )

    def _is_for_team(self, plan: Plan, batch: int) -> bool:
        """Whether a team may be faster than a plan at a prediction for so many rows at once."""
        if self.threads == 1:
            return False
        if batch == 1:
            return flops(plan.graph.nodes) >= FLOPS_WORTH_A_TEAM
        return suits(plan.graph, batch, self.threads, this_machine().lanes(self.dtype))

    def _constant(self, node) -> np.ndarray:
        """The value of a node that no input goes into."""
        leaves = {("param", path): array for path, array in self.params.items()}
        leaves.update({("state", path): array for path, array in self.states.items()})
        value = evaluate(Graph({"value": node}), leaves, self.seed)["value"]
        return value.astype(self.dtype) if node.type.kind == "float" else value

    # What people use.

    def forward(self, /, **arrays) -> dict[str, np.ndarray]:
        """The outputs for n examples (0 too), in inference mode: name -> `[n, *shape]`.

        Targets may be left out, but for those that an output reads (`previous(word)`): without them
        `decode` writes them. Raises ValueError for arrays that do not fit, and for a model without
        an output.
        """
        if not self.program.outputs:
            raise ValueError(f"{self.name} has no `output`, so there is nothing to compute forward")
        if (found := self._quick(arrays)) is not None:
            return found
        for port in self.written:
            if port.name not in arrays:
                raise ValueError(
                    f"the outputs of {self.name} read its target `{port.name}`: give it too, or"
                    f" let `net.decode(...)` write it step by step"
                )
        return self.predict(self._columns(arrays, self.compiled(PREDICT).ports))

    def _quick(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """The outputs for up to a batch of rows, of arrays that need no conversion; None: take the
        long way."""
        first = next(iter(arrays.values()), None)
        rows = len(first) if type(first) is np.ndarray and first.ndim else 0
        call = self._prepared.get(rows)
        if call is None:
            call = self._prepare(rows)
            if call is None:
                return None
        lock, me = self._lock, get_ident()
        try:  # what `with lock.reading` does, in a third of the time
            lock.readers.append(me)
            if lock.closed is not None:
                lock.wait(me)
            return call(arrays)
        finally:
            lock.readers.remove(me)
            if lock.closed is not None:
                lock.tell()

    def _prepare(self, rows: int) -> Fastest | None:
        """A call for so many rows that is kept ready; None where there is none."""
        if (
            not 0 < rows <= max(QUICK, self.batch)
            or self.lanes
            or len(self._prepared) >= MOST_PREPARED
        ):
            return None
        batch = self._at_once(rows)
        if rows % batch and self._sees_peers(PREDICT):
            return None  # the last step takes another program
        program = self.compiled(PREDICT, batch)
        ports = [self._by_name[name] for name in program.ports]
        names = {f"output.{term.name}": term.name for term in self.program.outputs}
        emitted = {name for name, node in program.plan.emits if node.type.kind == "float"}
        if set(names) != emitted or any(port.kind == "bool" for port in ports):
            return None
        if rows > self.batch and rows * sum(map(_elements, ports)) > QUICK_ELEMENTS:
            return None  # memory that is kept
        with COMPILER:
            if rows not in self._prepared:
                programs = [program]
                if self._is_for_team(program.plan, batch):
                    programs.append(self.compiled(PREDICT, batch, team=True))
                self._prepared[rows] = Fastest(
                    [Prepared(each, ports, names, rows, batch, self.seed) for each in programs]
                )
            return self._prepared[rows]

    @property
    def written(self) -> list[Port]:
        """The targets that the outputs read, and that `decode` writes."""
        return targets_read(self.ports, self.compiled(PREDICT).ports)

    def decode(self, temperature: float = 0.0, seed: int = 0, /, **arrays) -> dict[str, np.ndarray]:
        """The targets that the model writes itself, for n examples: name -> integers `[n, steps]`.

        It is for a model whose outputs score, at each step, the next symbol of a target that it reads
        one step late (`previous(word)`). With `temperature` 0 the likeliest symbol is taken, otherwise one
        is drawn with p = softmax(scores / temperature). All steps of a sequence of varying length are
        written: its text ends where its end symbol stands. Raises ValueError for arrays that do not
        fit, and for a model that writes nothing.
        """
        targets = self.written
        if not targets:
            raise ValueError(
                f"no output of {self.name} reads a target of classes, so there is nothing to write:"
                " `net.forward(...)` computes its outputs"
            )
        if given := [port.name for port in targets if port.name in arrays]:
            raise ValueError(f"{self.name} writes `{given[0]}` itself: `net.forward(...)` takes it")
        own = {name for port in targets for name in (port.name, *_lengths_of(self.ports, port))}
        needed = [name for name in self.compiled(PREDICT).ports if name not in own]
        data = self._columns(arrays, needed)
        count(data)
        return self.write(data, temperature, seed)

    def write(
        self,
        data: Mapping[str, Column],
        temperature: float = 0.0,
        seed: int = 0,
        ends: Mapping[str, int] | None = None,
    ) -> dict[str, np.ndarray]:
        """The targets that the model writes itself: see `specc.runtime.decode.decode`."""
        with self._lock.reading:
            return decode(
                self.predict,
                self.written,
                self.ports,
                data,
                temperature,
                seed,
                ends,
                self.step_by_step,
            )

    def loss_and_gradients(self, /, **arrays) -> tuple[float, dict[str, np.ndarray]]:
        """The mean loss over the n given examples, in training mode, and its gradients by path.

        Raises ValueError for arrays that do not fit, and for a model without a loss.
        """
        if not self.program.losses:
            raise ValueError(f"{self.name} has no `loss`, so there are no gradients")
        data = self._columns(arrays, tuple(self._by_name))
        rows = count(data, least=1)
        program = self._ready(GRADIENTS, data, rows)
        with self._lock.reading, self._gradients:
            records, _ = self._run(program, data, np.arange(rows), rows, first=self.steps_done)
            gradients = {
                each.path: self._arrays[f"gradient.{each.path}"].copy()
                for each in self.program.parameters
            }
        return float(records[0, 0]), gradients

    def step(self, /, **arrays) -> float:
        """One optimizer step on the n given examples; the loss before it.

        `epoch`, `progress` and `stale` of a schedule stay 0 here: there is no epoch. A stream goes on
        where the last step stopped (`**{"text.begin": ...}`, a truth value for each lane, lets it
        begin anew). Raises ValueError for arrays that do not fit, and for a model that cannot be trained.

        If the loss is not finite, the weights, states and `steps_done` go back to those from before the
        step, or to the last copy of them (`specc.net.rollback`), and `Diverged` is raised, which names the
        operation; with `net.on_divergence = "warn"` it is a RuntimeWarning.
        """
        if reason := untrainable(self.program):
            raise ValueError(f"{self.name} cannot be trained: {reason}")
        data = self._columns(arrays, tuple(self._by_name), begin=not self.steps_done)
        rows = count(data, least=1)
        if self.lanes and rows != self.batch:
            raise ValueError(
                f"{self.name} reads a stream in {self.batch} lanes: a step takes as many"
                f" examples, not {rows}"
            )
        program = self._ready(TRAIN, data, rows)
        with self._lock.writing:
            settings = self._schedule(self.steps_done, 1, 0, 0)
            if not self._rollback.keep(self.steps_done, self.params.version):
                return self._diverged(None, data, rows)
            records, _ = self._run(
                program, data, np.arange(rows), rows, settings, self.steps_done, self.lanes
            )
            self._rollback.stepped(self.params.version)
            loss = float(records[0, 0])
            if not math.isfinite(loss):
                return self._diverged(loss, data, rows)
            self.steps_done += 1
        return loss

    @cached_property
    def _rollback(self) -> Rollback:
        nodes = [term.node for term in (*self.program.losses, *self.program.outputs)]
        of_example = sizes.bind(flops(topological(nodes)), {"the batch": self.batch})
        return Rollback(self._arrays, self.lanes, 3 * self.batch * of_example)

    def _diverged(self, loss: float | None, data: Mapping[str, Column], rows: int) -> float:
        """Put back the last copy of the weights; raise `Diverged`, or warn and return the loss.

        `loss` is that of the step, or None if the weights were not finite before it.
        """
        step = self.steps_done
        self.steps_done = self._rollback.restore()
        self.params.written()
        found = self.diagnose(data, np.arange(rows), step)
        back = step - self.steps_done
        kept = (
            "the weights are again those from before it"
            if not back
            else (f"the weights are again those from before step {self.steps_done + 1}")
        )
        diagnostic = Diagnostic(
            "diverged", "error", f"the weights are not finite before step {step + 1}" if loss is None
            else f"the loss is {loss:g} at step {step + 1}",
            (found.span if found else None) or self.program.recipe.span,
            (Label(found.span, found.what),) if found and found.span else (),
            (*(found.notes if found else ()), kept),
            Diverged.HELP)  # fmt: skip
        error = Diverged([diagnostic], step + 1)
        if self.on_divergence == "warn":
            warnings.warn(str(error), RuntimeWarning, stacklevel=3)
            return math.nan if loss is None else loss
        raise error

    def time(self, data: Mapping[str, Column], order: np.ndarray) -> StepTimes:
        """Where the time of a training step over the rows `order` goes, kernel by kernel (without an
        optimizer: of an evaluation, or of a prediction). The model is the same afterwards."""
        from specc.backend.measure.timing import time_calls

        kind = TRAIN if self.program.updates else EVALUATE if self.program.losses else PREDICT
        batch = min(self.batch, len(order)) if self._sees_peers(kind) else self.batch
        program = self._ready(kind, data, batch)
        with self._lock.writing:
            settings = self._schedule(self.steps_done, 1, 0, 0) if kind == TRAIN else None
            kept = {name: array.copy() for name, array in self._arrays.items()}
            try:
                return time_calls(
                    program,
                    {name: data[name] for name in program.ports},
                    order,
                    batch,
                    settings,
                    self.seed,
                )
            finally:
                for name, array in kept.items():
                    self._arrays[name][...] = array

    def flow(self, /, **arrays) -> Flow:
        """How gradients flow on the n given examples, in training mode, with the weights as they are:
        see `specc.flow.Flow`. A stream begins anew.

        Raises ValueError for arrays that do not fit, and for a model without a loss.
        """
        from specc.flow import measure

        if not self.program.losses:
            raise ValueError(f"{self.name} has no `loss`, so there are no gradients")
        data = self._columns(arrays, tuple(self._by_name))
        rows = count(data, least=1)
        with self._lock.reading:
            leaves = self._leaves(data, np.arange(rows), self._new_lanes(rows))
            leaves.update(
                {
                    ("schedule", name): np.zeros(())
                    for name in ("step", "epoch", "progress", "stale")
                }
            )
            leaves["weight_of_example", ""] = np.full(rows, 1 / rows)
            return measure(self.program, leaves, rows, self.seed, self.steps_done)

    def diagnose(
        self,
        data: Mapping[str, Column],
        rows: np.ndarray,
        step: int,
        steps_per_epoch: int = 0,
        total_steps: int = 0,
        stale: float = 0,
        training: bool = True,
    ) -> Finding | None:
        """Why the training step `step` (from 0) over one batch, `rows`, is not finite; without
        `training`, why an evaluation is not.

        The model must be as it was before the step. The interpreter repeats the step, and the first
        operation whose result is not finite is returned; None if there is none.
        """
        from specc.net.divergence import explain

        with self._lock.reading:
            lanes = self.lanes if training else self._new_lanes(len(rows))
            leaves = self._leaves(data, rows, lanes)
            if training and self.program.updates:
                self.graph(TRAIN)
                settings = self._schedule(step, 1, steps_per_epoch, total_steps, stale)
                leaves.update({("setting", str(k)): value for k, value in enumerate(settings[0])})
            return explain(self.program, leaves, rows, self.dtype, self.seed, step, training)

    def _leaves(
        self, data: Mapping[str, Column], rows: np.ndarray, lanes: Mapping[str, np.ndarray]
    ) -> dict[tuple[str, str], np.ndarray]:
        """The values that the interpreter reads: those of some rows, the weights, and the states."""
        leaves = {(port.role, port.name): data[port.name].values(rows) for port in self.ports}
        leaves.update({("param", path): array for path, array in self.params.items()})
        leaves.update({("state", path): array for path, array in self.states.items()})
        leaves.update({("lane", label): array for label, array in lanes.items()})
        return leaves

    def _columns(self, arrays: Mapping[str, np.ndarray], needed, begin=True) -> dict[str, Column]:
        return examples(self.name, self.program.ports, completed(self.ports, arrays, begin), needed)


def _elements(port: Port) -> int:
    return int(np.prod(port.shape, dtype=np.int64))


def _lengths_of(ports, port) -> list[str]:
    """The port of a target's length, if that is its own."""
    return [each.name for each in ports if each.length_of == port.name]


def untrainable(program: Program) -> str | None:
    """Why a model cannot be trained; None if it can."""
    if not program.ports:
        return "it has no inputs"
    if not program.losses:
        return "it has no `loss`"
    if not program.parameters:
        return "it has no parameters"
    if program.recipe.span is None:
        return "its file has no `train` block that names an optimizer"
    if not program.updates:
        return "all of its parameters are frozen"
    return None


def check_limit(limit: Limit, values: np.ndarray, first: int) -> None:
    """Raises SpecError where a scheduled setting leaves its bounds; `first` is the step of `values[0]`."""
    holds = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}
    rules = [
        (f"must be {sign} {bound:g}", holds[sign](values, bound)) for sign, bound in limit.bounds
    ]
    for rule, is_good in [("must be a finite number", np.isfinite(values)), *rules]:
        if not is_good.all():
            at = int(np.argmin(is_good))
            message = f"`{limit.setting}` {rule}, but is {values[at]:.4g} at step {first + at}"
            raise SpecError([Diagnostic("bad-setting", "error", message, limit.span)])
