"""What the training loop calls of a compiled model: its weights, programs and rows of columns.

    data = net.examples({"x": x, "label": label}, ["x", "label"])   # checked columns
    records = net.train(data, np.arange(len(x)), first_step=0, steps_per_epoch=1, total_steps=1)

Columns are encoded: numbers, and integers for classes. `specc.net.net.Net` takes tables, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from specc.backend.run.program import CompiledProgram
from specc.ir.graph import Graph
from specc.ir.kind import Kind
from specc.ir.names import OutputKind, kind_of
from specc.ir.plan import Plan
from specc.ir.program import Program
from specc.net.arrays import completed, examples
from specc.net.metrics import MetricColumns
from specc.net.prediction import Prediction
from specc.net.programs import Clock, Programs
from specc.net.ready import Ready
from specc.net.training import Training
from specc.net.weights import Weights
from specc.recipe import Column
from specc.runtime.compiled import Divided
from specc.runtime.encoding import Encoding
from specc.system.lazy import cached_property
from specc.system.locks import Mutex

if TYPE_CHECKING:
    from specc.net.decoding import Decoding
    from specc.net.divergence import WordedCause
    from specc.net.gradients_of import GradientsOf
    from specc.net.inspection import Inspection


class RowNet:
    """A model in machine code over encoded columns, for batches of `batch` on `threads` threads.

    `order` are the rows of the columns that a call takes, in their order.
    """

    def __init__(
        self,
        program: Program,
        batch: int,
        dtype: str,
        threads: int,
        seed: int,
        values: Mapping[str, np.ndarray] | None = None,
        shards: int | None = None,
        accumulate: int = 1,
    ):
        self.program, self.batch, self.dtype = program, batch, dtype
        self.threads, self.seed = threads, seed
        self.examples_per_step = batch * accumulate
        self.name, self.ports = program.name, program.ports
        self.on_divergence = "raise"  # or "warn"
        self.weights = Weights(program, batch, dtype, seed, values)
        self.params, self.states = self.weights.params, self.weights.states
        self.slots = self.weights.slots
        self.programs = Programs(program, self.weights, batch, threads, Clock(), shards)
        self.prediction = Prediction(self.programs)
        self.training = Training(self.programs, accumulate)
        self.encoding = Encoding()  # vocabularies and statistics of columns of the training data
        self.epochs_done = 0  # the epochs that `fit` has done
        self.metrics = MetricColumns(program)
        self.columns, self.record_width = self.metrics.columns, self.metrics.record_width
        self._gradients, self._ready = Mutex(), Ready(self.programs, Kind.GRADIENTS)
        self._names = tuple(port.name for port in program.ports)

    # Parts that not every model needs are imported when they are used, for a quick start.

    @cached_property
    def decoding(self) -> Decoding:
        from specc.net.decoding import Decoding

        return Decoding(self.programs, self.prediction)

    @cached_property
    def inspection(self) -> Inspection:
        from specc.net.inspection import Inspection

        return Inspection(self.training)

    @cached_property
    def gradients_of(self) -> GradientsOf:
        from specc.net.gradients_of import GradientsOf

        return GradientsOf(self.programs)

    def __getstate__(self) -> dict[str, Any]:
        """Return the program, weights and states: a copy compiles its own machine code."""
        with self.weights.lock.reading:
            arrays = {
                name: array.copy()
                for name, array in self.weights.arrays.items()
                if kind_of(name) in (OutputKind.PARAM, OutputKind.STATE)
            }
            return {
                "program": self.program,
                "batch": self.batch,
                "dtype": self.dtype,
                "threads": self.threads,
                "seed": self.seed,
                "values": arrays,
                "shards": self.programs.shards,
                "accumulate": self.examples_per_step // self.batch,
                "slots": {label: array.copy() for label, array in self.slots.items()},
                "steps_done": self.steps_done,
                "on_divergence": self.on_divergence,
                "encoding": self.encoding,
                "epochs_done": self.epochs_done,
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        made = ("program", "batch", "dtype", "threads", "seed", "values", "shards", "accumulate")
        RowNet.__init__(self, **{name: state[name] for name in made})
        for label, array in state["slots"].items():
            self.slots[label][...] = array
        self.steps_done, self.on_divergence = state["steps_done"], state["on_divergence"]
        self.encoding, self.epochs_done = state["encoding"], state["epochs_done"]

    def __repr__(self) -> str:
        count = sum(each.size for each in dict.values(self.params))
        return f"<Net {self.name}: {count:,} parameters, {self.dtype}, batch {self.batch}>"

    def set_params(self, values: Mapping[str, np.ndarray]) -> None:
        """Set parameters by path, all or none.

        Raises ValueError for an unknown path, another shape, or values that are not real numbers.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> net.set_params({"b": np.arange(10)})
        >>> net.params["b"][:3]
        array([0., 1., 2.], dtype=float32)
        """
        self.params.put(values)

    @property
    def steps_done(self) -> int:
        """The number of training steps so far; schedules and random numbers continue from it.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> loss = net.step(x=np.zeros((3, 64)), label=[0, 1, 2])
        >>> net.steps_done
        1
        """
        return self.training.steps_done

    @steps_done.setter
    def steps_done(self, steps: int) -> None:
        self.training.steps_done = steps

    # The programs.

    @property
    def compile_seconds(self) -> float:
        """The seconds that compiling has taken.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> before = net.compile_seconds
        >>> scores = net.forward(x=np.zeros((3, 64)))
        >>> net.compile_seconds > before
        True
        """
        return self.programs.clock.seconds

    @property
    def working_threads(self) -> int:
        """The number of threads that work on a batch: `threads`, or fewer if it is small.

        >>> net = specc.compile(specc.load("models/linear.dl"), batch=1, threads=2)
        >>> net.working_threads
        1
        """
        return self.programs.working_threads

    @property
    def settings_graph(self) -> Graph:
        """Return the optimizer's settings, as a graph over step, epoch, progress and stale.

        >>> net = specc.compile(specc.load("models/digits.dl"))
        >>> any("progress" in str(node.op) for node in net.settings_graph.nodes)
        True
        """
        return self.programs.settings_graph

    def graph(self, kind: str) -> Graph:
        """Return the optimized graph of one program: the planner's input.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> net.graph("predict").outputs["output.f"].type.shape
        (10,)
        """
        return self.programs.graph(kind)

    def plan(self, kind: str, examples: int | None = None, shards: int | None = None) -> Plan:
        """Return the plan of one program, for batches of `examples` in so many shards.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> [step.group.kind.value for step in net.plan("predict").steps]
        ['contract', 'nest']
        """
        return self.programs.plan(kind, examples, shards)

    def compiled(
        self, kind: str, examples: int | None = None, shards: int | None = None
    ) -> CompiledProgram:
        """Return one program, ready to run on batches of at most `examples`, in so many shards.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> net.compiled("predict").ports
        ('x',)
        """
        return self.programs.compiled(kind, examples, shards)

    # Methods for the training loop.

    def train(
        self,
        data: Mapping[str, Column],
        order: np.ndarray,
        first_step: int,
        steps_per_epoch: int,
        total_steps: int,
        stale: float = 0,
    ) -> np.ndarray:
        """Run optimizer steps over the rows `order`, `examples_per_step` at a time.

        The last step may have fewer. Returns float64 [steps, record_width]: the means over the
        examples of each step, before its update; the first is the loss. `report` makes metrics of
        their mean over many steps.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> data = net.examples({"x": np.zeros((3, 64)), "label": [0, 1, 2]}, ["x", "label"])
        >>> records = net.train(data, np.arange(3), first_step=0, steps_per_epoch=1, total_steps=1)
        >>> records.shape, round(float(records[0, 0]), 4)
        ((1, 4), 2.3026)
        """
        return self.training.run(data, order, first_step, steps_per_epoch, total_steps, stale)

    def lengths(self, data: Mapping[str, Column], total_steps: int) -> np.ndarray | None:
        """Return the time steps of each example, if a training of `total_steps` uses bucketing.

        None if it does not.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> data = net.examples({"x": np.zeros((3, 64)), "label": [0, 1, 2]}, ["x", "label"])
        >>> net.lengths(data, total_steps=1) is None
        True
        """
        return self.training.lengths(data, total_steps)

    def divided(self, examples: int, training: bool = True) -> Divided:
        """Return how a batch of so many examples is divided, in training or in an evaluation.

        >>> net = specc.compile(specc.load("models/linear.dl"), batch=64, shards=2)
        >>> net.divided(64)
        Divided(size=32, own=range(0, 64))
        """
        kinds = self.training.kinds if training else (Kind.EVALUATE,)
        found = [self.programs.divided(kind, examples) for kind in kinds]
        own = [each.own for each in found if each.own]
        first = min((each.start for each in own), default=0)
        return Divided(found[0].size, range(first, max((each.stop for each in own), default=0)))

    def evaluate_rows(
        self, data: Mapping[str, Column], order: np.ndarray
    ) -> dict[str, float | np.ndarray]:
        """Return the exact losses and metrics over all rows of `order`, in inference mode.

        See `report`.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> data = net.examples({"x": np.zeros((3, 64)), "label": [0, 1, 2]}, ["x", "label"])
        >>> round(net.evaluate_rows(data, np.arange(3))["loss"], 4)
        2.3026
        """
        return self.report(self.means_of(data, order))

    def means_of(self, data: Mapping[str, Column], order: np.ndarray) -> np.ndarray:
        """Return the means of the records over all rows of `order`, in inference mode.

        `report` makes losses and metrics of them.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> data = net.examples({"x": np.zeros((3, 64)), "label": [0, 1, 2]}, ["x", "label"])
        >>> net.columns[-1], net.means_of(data, np.arange(3)).round(4).tolist()
        ('metric.accuracy', [2.3026, 2.3026, 0.0, 0.3333])
        """
        programs = self.programs.all_ready(Kind.EVALUATE, data, self.batch, len(order))
        with self.weights.lock.reading:
            records, _ = self.programs.run_all(programs, data, order)
        counts = np.full(len(records), self.batch)
        counts[-1] = len(order) - self.batch * (len(records) - 1)
        return np.asarray(counts @ records / len(order))

    def report(self, means: np.ndarray) -> dict[str, float | np.ndarray]:
        """Return losses and metrics from means over the data: `columns`, and metrics with axes.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> data = net.examples({"x": np.zeros((3, 64)), "label": [0, 1, 2]}, ["x", "label"])
        >>> round(net.report(net.means_of(data, np.arange(3)))["metric.accuracy"], 4)
        0.3333
        """
        return self.metrics.report(means)

    def watched(self, values: Mapping[str, float | np.ndarray]) -> float:
        """Return the value that chooses the best epoch.

        It is the one that `monitor` names, or the loss without penalties on weights. `values` are
        those of `evaluate`, with the current weights.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> data = net.examples({"x": np.zeros((3, 64)), "label": [0, 1, 2]}, ["x", "label"])
        >>> round(net.watched(net.evaluate_rows(data, np.arange(3))), 4)
        2.3026
        """
        return self.metrics.watched(values, self.weights)

    def predict_rows(
        self, data: Mapping[str, Column], slots: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Return the outputs for all rows, in inference mode: name -> `[n, *shape]`.

        `slots` maps each state of a stream to an array [batch, *shape]. Prediction continues from
        it and updates it in place.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> net.predict_rows(net.examples({"x": np.zeros((3, 64))}, ["x"]))["f"].shape
        (3, 10)
        """
        return self.prediction.run(data, slots)

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
        """Say why a training step or an evaluation is not finite: see `Inspection.diagnose`.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> data = net.examples({"x": np.full((3, 64), np.inf), "label": [0, 1, 2]}, ["x", "label"])
        >>> net.diagnose(data, np.arange(3), step=0).what
        'inf in the data'
        """
        return self.inspection.diagnose(
            data, rows, step, steps_per_epoch, total_steps, stale, training
        )

    def examples(
        self, arrays: Mapping[str, np.ndarray], needed: Iterable[str], begin: bool = True
    ) -> dict[str, Column]:
        """Return the given arrays as checked columns; `begin`: whether a stream begins anew.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> net.examples({"x": np.zeros((3, 64))}, ["x"])["x"].array.shape
        (3, 64)
        """
        return examples(self.name, self.ports, completed(self.ports, arrays, begin), needed)
