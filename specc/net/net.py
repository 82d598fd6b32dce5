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

from specc.ir.kind import Kind
from specc.net.answers import Meaning, meanings
from specc.net.arrays import beginnings, count
from specc.net.rows import RowNet
from specc.net.training import StepDiverged, untrainable
from specc.recipe import Column, Port
from specc.system import plotter
from specc.system.lazy import cached_property

if TYPE_CHECKING:
    from specc.backend.measure.timing import StepTimes
    from specc.flow import Flow
    from specc.net.fitting import Callback
    from specc.runtime.metrics import Epoch


class Net(RowNet):
    """A model in machine code, for batches of `batch` examples on `threads` threads.

    `params` and `states` map paths to live arrays in C order, in the layouts of the library:
    assigning one, or into one, changes the model. `states` are the optimizer's memory and running
    statistics.

    Threads may share a model: predictions, evaluations and gradients run side by side, and a call
    that changes the model waits for them and then has it for itself. Writing into an array of
    `params` or `states` is no call: nothing else may run meanwhile.
    """

    # Methods that take and return tables.

    @cached_property
    def meanings(self) -> dict[str, Meaning]:
        """Return the target that each output scores, by the output's name: see `net.answers`.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> net.meanings["f"].target.name, net.meanings["f"].holds
        ('label', 'scores')
        """
        return meanings(self.program)

    def predict(self, data: object, temperature: float = 0.0, seed: int = 0) -> Any:
        """Return predictions for the rows of a table: a row for each, the classes by their names.

        `data` is a frame (pandas, polars, pyarrow), a dict of arrays, a list of dicts or the path
        of a file; its columns are found by name and encoded as in the training. A frame gives a
        frame of the same kind, all else a dict of arrays. For an output that scores the classes of
        a target `kind` there are `kind`, the most likely class, and `kind_NAME`, the probability
        of each; other outputs are as `forward` returns them. A decoder generates its targets with
        `temperature`. Raises DataError for data that does not fit.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> found = net.predict({"x": np.zeros((3, 64))})
        >>> found["label"], round(float(found["label_7"][0]), 3)
        (array([0, 0, 0]), 0.1)
        """
        from specc.net import tables

        return tables.in_kind(tables.predict(self, data, temperature, seed), data)

    def evaluate(self, data: object) -> dict[str, float | np.ndarray]:
        """Return the loss and the metrics over the rows of a table, by name, in inference mode.

        `data` is as for `predict`, with the targets. Raises DataError for data that does not fit.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> found = net.evaluate({"x": np.zeros((3, 64)), "label": [0, 1, 2]})
        >>> round(found["loss"], 4), round(found["accuracy"], 4)
        (2.3026, 0.3333)
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
        for it. If the net still has its initial weights, it begins with those that `start` names.
        With validation the model ends with the weights of its best epoch. Each of
        `callbacks` is called with the `Epoch` after each epoch; one that returns True stops the
        training. Returns the epochs, with their metrics.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> epochs = net.fit({"x": np.zeros((3, 64)), "label": [0, 1, 2]}, epochs=2)
        >>> [round(each.training["loss"], 4) for each in epochs]
        [2.3026, 2.1889]
        """
        from specc.net import fitting

        return fitting.fit(self, data, validate, epochs, callbacks)

    def plot(self, kind: str, data: object = None, **options: Any) -> Any:
        """A figure of the model, which a notebook shows: `net.plot("confusion", frame)`.

        See `specc.plot`, which also draws what a net does not know: the history of a run.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> net.plot("weights")
        <Figure weights: Weights>
        """
        return plotter.draw(self, kind, data, **options)

    def save(self, folder: str | Path) -> Path:
        """Write the model with its weights to a new folder, from which `specc.open` reads it.

        Raises `RunError` if there is something else in the folder, or it cannot be written.

        >>> import tempfile
        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> folder = net.save(tempfile.mkdtemp())
        >>> specc.open(folder)
        <Net linear: 650 parameters, float32, batch 32>
        """
        from specc.net import saving

        return saving.save(self, Path(folder))

    def gradients(self, /, of: str, by: str, **arrays: np.ndarray) -> np.ndarray:
        """Return the gradient of a number that the model computes, in inference mode.

        `of` is an element of an output, `scores[3]`, or `loss`; `by` an input or a parameter. By an
        input it is `[n, *shape]`: for each of the n given examples the gradient of its own number.
        By a parameter it is the gradient of the mean over the examples.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> net.gradients("f[3]", "x", x=np.zeros((2, 64))).shape
        (2, 64)
        >>> net.gradients("loss", "b", x=np.zeros((1, 64)), label=[0])[:2].round(4)
        array([-0.9,  0.1], dtype=float32)
        """
        needed = self.gradients_of.needed(of, by)
        data = self.examples(arrays, needed)
        return self.gradients_of(of, by, data, count(data, least=1))

    # Methods that take and return arrays.

    def forward(self, /, **arrays: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs for n examples (also 0), in inference mode: name -> `[n, *shape]`.

        Only targets that an output reads (`previous(word)`) are needed; `decode` generates them.
        Raises ValueError for arrays that do not fit, and for a model without an output.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> net.forward(x=np.zeros((2, 64)))["f"].shape
        (2, 10)
        """
        if (found := self.prediction.quick(arrays)) is not None:
            return found
        if not self.program.outputs:
            raise ValueError(f"{self.name} has no `output`, so there is nothing to compute forward")
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

        >>> text = "model m { target y: float[2] param w: float[2] = 7 output w loss mse(w, y) }"
        >>> net = specc.compile(specc.loads(text))
        >>> net.draw(1)
        {'w': array([[7., 7.]], dtype=float32)}
        """
        inputs = [port.name for port in self.ports if port.role == "input"]
        if inputs:
            raise ValueError(f"{self.name} has the input `{inputs[0]}`: `net.forward` takes it")
        arrays = {port.name: np.zeros((count, *port.shape)) for port in self.ports}
        return self.prediction.run(self.examples(arrays, arrays), seed=seed)

    @property
    def written(self) -> list[Port]:
        """The targets that the outputs read, and that `decode` generates.

        >>> text = "seq steps = 3 model speller { input x: float[2] target word: class(5)[steps]"
        >>> text += " let scores = previous(word) -> embed(3) -> gru(h=dense(x; 4); 4) -> dense(5)"
        >>> text += " output scores loss cross_entropy(scores, word) }"
        >>> net = specc.compile(specc.loads(text))
        >>> [port.name for port in net.written]
        ['word']
        """
        return self.decoding.written

    def decode(
        self, temperature: float = 0.0, seed: int = 0, /, **arrays: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the targets that the model generates for n examples: name -> int `[n, steps]`.

        The outputs of such a model score, at each time step, the next symbol of a target that it
        reads one step late (`previous(word)`). With `temperature` 0 the most likely symbol is
        taken, otherwise one is drawn with p = softmax(scores / temperature). All steps of a
        variable-length sequence are generated; its text ends at its end symbol. A target that is
        given is the beginning of its text: a list with the first symbols of each example, which may
        differ in number, or an array `[n, k]`. Raises ValueError for arrays that do not fit, and
        for a model that generates nothing.

        >>> text = "seq steps = 3 model speller { input x: float[2] target word: class(5)[steps]"
        >>> text += " let scores = previous(word) -> embed(3) -> gru(h=dense(x; 4); 4) -> dense(5)"
        >>> text += " output scores loss cross_entropy(scores, word) }"
        >>> net = specc.compile(specc.loads(text))
        >>> net.decode(x=np.zeros((2, 2)))["word"].shape
        (2, 3)
        >>> net.decode(x=np.zeros((2, 2)), word=[[4], [1, 3]])["word"][:, 0]
        array([4, 1], dtype=int32)
        """
        targets = self.written
        if not targets:
            raise ValueError(
                f"no output of {self.name} reads a target of classes, so there is nothing to write:"
                " `net.forward(...)` computes its outputs"
            )
        given = {
            port.name: beginnings(
                port, arrays.pop(port.name), arrays.pop(f"{port.name}.length", None)
            )
            for port in targets
            if port.name in arrays
        }
        data = self.examples(arrays, self.decoding.needed())
        rows = {len(each.counts) for each in given.values()} or {count(data)}
        if data:
            rows.add(count(data))
        if len(rows) > 1:
            said = " and ".join(map(str, sorted(rows)))
            raise ValueError(f"the arrays must have equally many examples, but there are {said}")
        return self.decoding.write(data, temperature, seed, beginnings=given)

    def write(
        self,
        data: Mapping[str, Column],
        temperature: float = 0.0,
        seed: int = 0,
        ends: Mapping[str, int] | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the targets that the model generates: see `specc.runtime.decode.decode`.

        >>> text = "seq steps = 3 model speller { input x: float[2] target word: class(5)[steps]"
        >>> text += " let scores = previous(word) -> embed(3) -> gru(h=dense(x; 4); 4) -> dense(5)"
        >>> text += " output scores loss cross_entropy(scores, word) }"
        >>> net = specc.compile(specc.loads(text))
        >>> net.write(net.examples({"x": np.zeros((2, 2))}, ["x"]))["word"].shape
        (2, 3)
        """
        return self.decoding.write(data, temperature, seed, ends)

    def loss_and_gradients(self, /, **arrays: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
        """Return the mean loss over n examples, in training mode, and its gradients by path.

        Raises ValueError for arrays that do not fit, and for a model without a loss.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> loss, gradients = net.loss_and_gradients(x=np.zeros((1, 64)), label=[0])
        >>> round(loss, 4), gradients["b"][:2].round(4)
        (2.3026, array([-0.9,  0.1], dtype=float32))
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

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> [round(net.step(x=np.zeros((3, 64)), label=[0, 1, 2]), 4) for _ in range(2)]
        [2.3026, 2.1889]
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
        if self.slots and (rows % self.batch or rows > self.examples_per_step):
            raise ValueError(
                f"{self.name} reads a stream in {self.batch} slots: a step takes as many"
                f" examples, not {rows}"
            )
        given = {port.name for port in self.ports if port.name in arrays}
        for port in self.ports:
            if port.begin_of and port.name not in given:  # later windows of a step go on
                data[port.name].array[self.batch :] = False
        return self.training.step(data, rows, self.diagnose)

    def _columns(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Column]:
        return self.examples(arrays, self._names)

    def time(self, data: Mapping[str, Column], order: np.ndarray) -> StepTimes:
        """Return the time of each kernel of a training step over the rows `order`.

        Without an optimizer it is an evaluation, or a prediction. The model does not change.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> data = net.examples({"x": np.zeros((3, 64)), "label": [0, 1, 2]}, ["x", "label"])
        >>> times = net.time(data, np.arange(3))
        >>> times.step > 0, times.calls[0].kernel
        (True, 'gather_float')
        """
        return self.inspection.time(data, order)

    def measure(self, examples: int | None = None) -> int:
        """Time the kernels that could compute each product, and remember the fastest.

        They are those of a training step, without an optimizer of an evaluation or a prediction;
        with `examples`, those of a prediction of so many. Nets that are compiled later use them, in
        other processes too. Only kernels that give the same numbers replace each other. Returns the
        number of products that were timed, which is 0 if all are known. A training of more than 20
        seconds does the same in the background.

        >>> net = specc.compile(specc.load("models/linear.dl"), batch=64)
        >>> net.measure() >= 0
        True
        """
        kind = Kind.main(self.program) if examples is None else Kind.PREDICT
        if kind == Kind.TRAIN and self.training.accumulate > 1:
            kind = Kind.ACCUMULATE
        return self.programs.measure(kind, examples)

    def flow(self, /, **arrays: np.ndarray) -> Flow:
        """Return how gradients flow on the n given examples, in training mode: see `flow.Flow`.

        A stream begins anew.

        Raises ValueError for arrays that do not fit, and for a model without a loss.

        >>> net = specc.compile(specc.load("models/linear.dl"))
        >>> net.flow(x=np.zeros((3, 64)), label=[0, 1, 2]).verdict
        ['the norm of all gradients is 0.483']
        """
        self._check_loss()
        data = self.examples(arrays, self._names)
        return self.inspection.flow(data, count(data, least=1))

    def _check_loss(self) -> None:
        if not self.program.losses:
            raise ValueError(f"{self.name} has no `loss`, so there are no gradients")
