"""A compiled model: its weights, and the machine code that runs and trains it.

    net = specc.compile(specc.load("models/lenet.dl"), batch=64)
    loss = net.step(image=images, label=labels)
    scores = net.forward(image=images)["scores"]

Arrays go in and come out with the batch first, `[n, *shape]`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specc.backend.run.program import CompiledProgram
from specc.ir.graph import Graph
from specc.ir.names import OutputKind, kind_of
from specc.ir.plan import Plan
from specc.ir.program import Program
from specc.net.answers import Meaning, meanings
from specc.net.arrays import completed, count, examples
from specc.net.metrics import MetricColumns
from specc.net.prediction import Prediction
from specc.net.programs import Clock, Programs
from specc.net.ready import Ready
from specc.net.training import StepDiverged, Training, untrainable
from specc.net.weights import Weights
from specc.pipeline import Kind
from specc.recipe import Column, Port
from specc.runtime.encoding import Encoding
from specc.system import plotter
from specc.system.lazy import cached_property
from specc.system.locks import Mutex

if TYPE_CHECKING:
    from specc.backend.measure.timing import StepTimes
    from specc.flow import Flow
    from specc.net.decoding import Decoding
    from specc.net.divergence import WordedCause
    from specc.net.fitting import Callback
    from specc.net.gradients_of import GradientsOf
    from specc.net.inspection import Inspection
    from specc.runtime.metrics import Epoch


class Net:
    """A model in machine code, for batches of `batch` examples on `threads` threads.

    `params` and `states` map paths to live arrays in C order, in the layouts of the library:
    assigning one, or into one, changes the model. `states` are the optimizer's memory and running
    statistics.

    Threads may share a model: predictions, evaluations and gradients run side by side, and a call
    that changes the model waits for them and then has it for itself. Writing into an array of
    `params` or `states` is no call: nothing else may run meanwhile.
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
    ):
        self.program, self.batch, self.dtype = program, batch, dtype
        self.threads, self.seed = threads, seed
        self.name, self.ports = program.name, program.ports
        self.on_divergence = "raise"  # or "warn"
        self.weights = Weights(program, batch, dtype, seed, values)
        self.params, self.states = self.weights.params, self.weights.states
        self.slots = self.weights.slots
        self.programs = Programs(program, self.weights, batch, threads, Clock(), shards)
        self.prediction = Prediction(self.programs)
        self.training = Training(self.programs)
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
                "slots": {label: array.copy() for label, array in self.slots.items()},
                "steps_done": self.steps_done,
                "on_divergence": self.on_divergence,
                "encoding": self.encoding,
                "epochs_done": self.epochs_done,
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        made = ("program", "batch", "dtype", "threads", "seed", "values", "shards")
        Net.__init__(self, **{name: state[name] for name in made})
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
        """
        self.params.put(values)

    @property
    def steps_done(self) -> int:
        """The number of training steps so far; schedules and random numbers continue from it."""
        return self.training.steps_done

    @steps_done.setter
    def steps_done(self, steps: int) -> None:
        self.training.steps_done = steps

    # The programs.

    @property
    def compile_seconds(self) -> float:
        """The seconds that compiling has taken."""
        return self.programs.clock.seconds

    @property
    def working_threads(self) -> int:
        """The number of threads that work on a batch: `threads`, or fewer if it is small."""
        return self.programs.working_threads

    @property
    def settings_graph(self) -> Graph:
        """Return the optimizer's settings, as a graph over step, epoch, progress and stale."""
        return self.programs.settings_graph

    def graph(self, kind: str) -> Graph:
        """Return the optimized graph of one program: the planner's input."""
        return self.programs.graph(kind)

    def plan(self, kind: str, examples: int | None = None, shards: int | None = None) -> Plan:
        """Return the plan of one program, for batches of `examples` in so many shards."""
        return self.programs.plan(kind, examples, shards)

    def compiled(
        self, kind: str, examples: int | None = None, shards: int | None = None
    ) -> CompiledProgram:
        """Return one program, ready to run on batches of at most `examples`, in so many shards."""
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
        """Run optimizer steps over the rows `order`, a batch at a time; the last may be partial.

        Returns float64 [steps, record_width]: the means over each batch, before its update; the
        first is the loss. `report` makes metrics of their mean over many steps.
        """
        return self.training.run(data, order, first_step, steps_per_epoch, total_steps, stale)

    def lengths(self, data: Mapping[str, Column], total_steps: int) -> np.ndarray | None:
        """Return the time steps of each example, if a training of `total_steps` uses bucketing.

        None if it does not.
        """
        return self.training.lengths(data, total_steps)

    def evaluate_rows(
        self, data: Mapping[str, Column], order: np.ndarray
    ) -> dict[str, float | np.ndarray]:
        """Return the exact losses and metrics over all rows of `order`, in inference mode.

        See `report`.
        """
        return self.report(self.means_of(data, order))

    def means_of(self, data: Mapping[str, Column], order: np.ndarray) -> np.ndarray:
        """Return the means of the records over all rows of `order`, in inference mode.

        `report` makes losses and metrics of them.
        """
        programs = self.programs.all_ready(Kind.EVALUATE, data, self.batch, len(order))
        with self.weights.lock.reading:
            records, _ = self.programs.run_all(programs, data, order)
        counts = np.full(len(records), self.batch)
        counts[-1] = len(order) - self.batch * (len(records) - 1)
        return np.asarray(counts @ records / len(order))

    def report(self, means: np.ndarray) -> dict[str, float | np.ndarray]:
        """Return losses and metrics from means over the data: `columns`, and metrics with axes."""
        return self.metrics.report(means)

    def watched(self, values: Mapping[str, float | np.ndarray]) -> float:
        """Return the value that chooses the best epoch.

        It is the one that `monitor` names, or the loss without penalties on weights. `values` are
        those of `evaluate`, with the current weights.
        """
        return self.metrics.watched(values, self.weights)

    def predict_rows(
        self, data: Mapping[str, Column], slots: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Return the outputs for all rows, in inference mode: name -> `[n, *shape]`.

        `slots` maps each state of a stream to an array [batch, *shape]. Prediction continues from
        it and updates it in place.
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
        """Say why a training step or an evaluation is not finite: see `Inspection.diagnose`."""
        return self.inspection.diagnose(
            data, rows, step, steps_per_epoch, total_steps, stale, training
        )

    # Methods that take and return tables.

    @cached_property
    def meanings(self) -> dict[str, Meaning]:
        """Return the target that each output scores, by the output's name: see `net.answers`."""
        return meanings(self.program)

    def predict(self, data: object, temperature: float = 0.0, seed: int = 0) -> Any:
        """Return predictions for the rows of a table: a row for each, the classes by their names.

        `data` is a frame (pandas, polars, pyarrow), a dict of arrays, a list of dicts or the path
        of a file; its columns are found by name and encoded as in the training. A frame gives a
        frame of the same kind, all else a dict of arrays. For an output that scores the classes of
        a target `kind` there are `kind`, the most likely class, and `kind_NAME`, the probability
        of each; other outputs are as `forward` returns them. A decoder generates its targets with
        `temperature`. Raises DataError for data that does not fit.
        """
        from specc.net import tables

        return tables.in_kind(tables.predict(self, data, temperature, seed), data)

    def evaluate(self, data: object) -> dict[str, float | np.ndarray]:
        """Return the loss and the metrics over the rows of a table, by name, in inference mode.

        `data` is as for `predict`, with the targets. Raises DataError for data that does not fit.
        """
        from specc.net import tables

        return tables.evaluate(self, data)

    def fit(
        self,
        data: object,
        validate: object = None,
        epochs: int | None = None,
        callbacks: Iterable[Callback] = (),
    ) -> list[Epoch]:
        """Train for `epochs` more epochs (by default as many as the file says), in memory.

        `data` and `validate` are what `evaluate` takes; `validate=0.2` keeps a fifth of the data
        for it. With validation the model ends with the weights of its best epoch. Each of
        `callbacks` is called with the `Epoch` after each epoch; one that returns True stops the
        training. Returns the epochs, with their figures.
        """
        from specc.net import fitting

        return fitting.fit(self, data, validate, epochs, callbacks)

    def plot(self, kind: str, data: object = None, **options: Any) -> Any:
        """A figure of the model, which a notebook shows: `net.plot("confusion", frame)`.

        See `specc.plot`, which also draws what a net does not know: the history of a run.
        """
        return plotter.draw(self, kind, data, **options)

    def save(self, folder: str | Path) -> Path:
        """Write the model with its weights to a new folder, from which `specc.open` reads it.

        Raises `RunError` if there is something else in the folder, or it cannot be written.
        """
        from specc.net import saving

        return saving.save(self, Path(folder))

    def gradients(self, /, of: str, by: str, **arrays: np.ndarray) -> np.ndarray:
        """Return the gradient of a number that the model computes, in inference mode.

        `of` is an element of an output, `scores[3]`, or `loss`; `by` an input or a parameter. By an
        input it is `[n, *shape]`: for each of the n given examples the gradient of its own number.
        By a parameter it is the gradient of the mean over the examples.
        """
        needed = self.gradients_of.needed(of, by)
        data = self.examples(arrays, needed)
        return self.gradients_of(of, by, data, count(data, least=1))

    # Methods that take and return arrays.

    def forward(self, /, **arrays: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs for n examples (also 0), in inference mode: name -> `[n, *shape]`.

        Only targets that an output reads (`previous(word)`) are needed; `decode` generates them.
        Raises ValueError for arrays that do not fit, and for a model without an output.
        """
        if not self.program.outputs:
            raise ValueError(f"{self.name} has no `output`, so there is nothing to compute forward")
        if (found := self.prediction.quick(arrays)) is not None:
            return found
        for port in self.written:
            if port.name not in arrays:
                raise ValueError(
                    f"the outputs of {self.name} read its target `{port.name}`: give it too, or"
                    f" let `net.decode(...)` write it step by step"
                )
        return self.predict_rows(self.examples(arrays, self.compiled(Kind.PREDICT).ports))

    def draw(self, count: int, seed: int = 0) -> dict[str, np.ndarray]:
        """The outputs of `count` examples of a model that has no input: name -> `[count, *shape]`.

        What it draws follows from the seed. Raises ValueError for a model with an input.
        """
        inputs = [port.name for port in self.ports if port.role == "input"]
        if inputs:
            raise ValueError(f"{self.name} has the input `{inputs[0]}`: `net.forward` takes it")
        arrays = {port.name: np.zeros((count, *port.shape)) for port in self.ports}
        return self.prediction.run(self.examples(arrays, arrays), seed=seed)

    @property
    def written(self) -> list[Port]:
        """The targets that the outputs read, and that `decode` generates."""
        return self.decoding.written

    def decode(
        self, temperature: float = 0.0, seed: int = 0, /, **arrays: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the targets that the model generates for n examples: name -> int `[n, steps]`.

        The outputs of such a model score, at each time step, the next symbol of a target that it
        reads one step late (`previous(word)`). With `temperature` 0 the most likely symbol is
        taken, otherwise one is drawn with p = softmax(scores / temperature). All steps of a
        variable-length sequence are generated; its text ends at its end symbol. Raises ValueError
        for arrays that do not fit, and for a model that generates nothing.
        """
        targets = self.written
        if not targets:
            raise ValueError(
                f"no output of {self.name} reads a target of classes, so there is nothing to write:"
                " `net.forward(...)` computes its outputs"
            )
        if given := [port.name for port in targets if port.name in arrays]:
            raise ValueError(f"{self.name} writes `{given[0]}` itself: `net.forward(...)` takes it")
        data = self.examples(arrays, self.decoding.needed())
        count(data)
        return self.write(data, temperature, seed)

    def write(
        self,
        data: Mapping[str, Column],
        temperature: float = 0.0,
        seed: int = 0,
        ends: Mapping[str, int] | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the targets that the model generates: see `specc.runtime.decode.decode`."""
        return self.decoding.write(data, temperature, seed, ends)

    def loss_and_gradients(self, /, **arrays: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
        """Return the mean loss over n examples, in training mode, and its gradients by path.

        Raises ValueError for arrays that do not fit, and for a model without a loss.
        """
        self._check_loss()
        if (call := self._ready.call(arrays)) is not None:
            with self.weights.lock.reading, self._gradients:
                loss = call(arrays, self.steps_done)
                if loss is not None:
                    return loss, self.weights.gradients()
        data = self.examples(arrays, self._names)
        rows = count(data, least=1)
        program = self.programs.ready(Kind.GRADIENTS, data, rows)
        with self.weights.lock.reading, self._gradients:
            order = np.arange(rows)
            records, _ = self.programs.run(program, data, order, rows, first=self.steps_done)
            gradients = self.weights.gradients()
        return float(records[0, 0]), gradients

    def step(self, /, **arrays: np.ndarray) -> float:
        """Do one optimizer step on the n given examples; return the loss before it.

        `epoch`, `progress` and `stale` of a schedule stay 0 here, because there is no epoch. A
        stream carries its state from the last step, unless `**{"text.begin": ...}`, a boolean for
        each slot, lets it begin anew. Raises ValueError for arrays that do not fit, and for a model
        that cannot be trained.

        If the loss is not finite, the weights, states and `steps_done` go back to those from before
        the step, or to the last copy of them (`specc.net.rollback`), and `Diverged` is raised,
        which names the operation; with `net.on_divergence = "warn"` it is a RuntimeWarning.
        """
        try:
            loss = self.training.quick(arrays, self._columns, self.diagnose)
            return loss if loss is not None else self._checked_step(arrays)
        except StepDiverged as found:
            diverged = found
        if self.on_divergence == "warn":
            warnings.warn(str(diverged.error), RuntimeWarning, stacklevel=2)
            return diverged.loss
        raise diverged.error

    def _checked_step(self, arrays: Mapping[str, np.ndarray]) -> float:
        """Do one step on arrays that are still to be checked."""
        if reason := untrainable(self.program):
            raise ValueError(f"{self.name} cannot be trained: {reason}")
        data = self.examples(arrays, self._names, begin=not self.steps_done)
        rows = count(data, least=1)
        if self.slots and rows != self.batch:
            raise ValueError(
                f"{self.name} reads a stream in {self.batch} slots: a step takes as many"
                f" examples, not {rows}"
            )
        return self.training.step(data, rows, self.diagnose)

    def _columns(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Column]:
        return self.examples(arrays, self._names)

    def time(self, data: Mapping[str, Column], order: np.ndarray) -> StepTimes:
        """Return the time of each kernel of a training step over the rows `order`.

        Without an optimizer it is an evaluation, or a prediction. The model does not change.
        """
        return self.inspection.time(data, order)

    def flow(self, /, **arrays: np.ndarray) -> Flow:
        """Return how gradients flow on the n given examples, in training mode: see `flow.Flow`.

        A stream begins anew.

        Raises ValueError for arrays that do not fit, and for a model without a loss.
        """
        self._check_loss()
        data = self.examples(arrays, self._names)
        return self.inspection.flow(data, count(data, least=1))

    def _check_loss(self) -> None:
        if not self.program.losses:
            raise ValueError(f"{self.name} has no `loss`, so there are no gradients")

    def examples(
        self, arrays: Mapping[str, np.ndarray], needed: Iterable[str], begin: bool = True
    ) -> dict[str, Column]:
        """Return the given arrays as checked columns; `begin`: whether a stream begins anew."""
        return examples(self.name, self.ports, completed(self.ports, arrays, begin), needed)
