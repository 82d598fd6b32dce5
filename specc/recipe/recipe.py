"""The content of a `train` block as plain data, for the runtime.

    Recipe(epochs=10, batch=64, seed=0, data=DataCall("digits", (), {}))

It is independent of graphs: the front end creates it, and the runtime reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace
from typing import Any

from specc.source import Span
from specc.system.records import dataclass

LARGEST_FLOAT = 3.4028234663852886e38
"""The largest number of float32, the default dtype of a compiled model."""

PRECISIONS = ("float32", "bfloat16")
"""The values of `precision` in a `train` block: the format to which operands of products are
rounded."""


BALANCE = "{}.balance"
"""The suffix of the state with the class weights of a target."""


@dataclass(frozen=True)
class Port:
    """An input or target of the model, to which a column of the data is bound.

    `kind` is "float", "class" or "bool", `shape` is the shape of one example, and `classes` the
    number of classes of a "class" port.
    """

    name: str
    role: str  # "input" or "target"
    kind: str
    shape: tuple[int, ...]
    classes: int | None = None
    span: Span | None = None
    sequence: str | None = None  # the name of its time axis, if it is a sequence
    length_of: str | None = None  # the port whose length per example it is
    begin_of: str | None = None  # the stream that is reset by the examples for which it is true

    @property
    def class_count(self) -> int:
        """Return the number of classes of a "class" port."""
        assert self.classes is not None, f"`{self.name}` is of type {self.kind}"
        return self.classes


@dataclass(frozen=True)
class DataCall:
    """A call of a data source in a file: `idx("images.gz", "labels.gz"; scale = 1/255)`."""

    word: str
    arguments: tuple[Any, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    span: Span | None = None
    argument_spans: tuple[Span, ...] = ()
    setting_spans: dict[str, Span] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Formula:
    """A formula of a column: a function with its inputs and settings.

    `word` is "constant" (its `value`), "name" (the column called `value`), an operator such as "+",
    or a function of `words.WORDS`. `key` names its statistics of the training part, such as
    "standardize1" for the first `standardize` of its column.
    """

    word: str
    inputs: tuple[Formula, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    value: Any = None
    key: str = ""
    span: Span | None = field(default=None, compare=False)
    setting_spans: dict[str, Span] = field(default_factory=dict, compare=False, repr=False)

    def walk(self) -> Iterator[Formula]:
        """Yield the formula and all formulas in it."""
        yield self
        for each in self.inputs:
            yield from each.walk()


@dataclass(frozen=True)
class ColumnRule:
    """A rule `column NAME = formula`, which computes an input or a target from raw columns."""

    name: str
    formula: Formula
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Split:
    """The rule that divides the examples of a source into parts.

    `by` is "random"; "stratify": the parts have the same distribution of `column`; "group": all
    examples with the same value of `column` are in the same part; or "time": the held-out parts
    have the latest values of `column`.
    """

    by: str = "random"
    column: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Monitor:
    """The value that selects the best epoch: one of a model's `columns`."""

    column: str  # "loss", "loss.<name>" or "metric.<name>"
    is_max: bool = False  # whether a higher value is better


@dataclass(frozen=True)
class StartingWeights:
    """Weights from elsewhere: those of the layers or parameters `paths`, of all if there are none,
    are taken from `source`, the name of a run, a folder or a file."""

    paths: tuple[str, ...]
    source: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    `monitor` selects the best epoch and, with `patience`, the end of training; None stands for the
    loss without penalties on weights. `validate` is a source, or the part of `data` that is
    held out for it. `clip_value` bounds every element of the gradients, then `clip_norm` the
    norm of all gradients. With `recompute` the backward pass recomputes values of the forward
    pass to save memory. With `average` the moving means of all weights are used for prediction;
    its value is their decay per step. With the `precision` "bfloat16" the operands of products
    are rounded. Checkpoints within an epoch are written every `checkpoint_seconds`. Training is
    saved and ends after `max_time` seconds. With a limit on `memory`, in MB, examples are read
    from disk during training. During training the model generates texts of `sample` symbols
    that start with `prompt`, at a `temperature`, and keeps about `snapshots` snapshots of the
    weights. `columns` are the formulas of columns, in order. `starts` are the weights that
    training starts with. `spans` has the values of the settings in the file.

    A training step averages the gradients of `accumulate` batches of `batch` examples.

    `validate` and `test` are sources, or shares of all examples of `data`; `split` says how these
    are chosen. With `folds` the validation part is fold `fold` (from 1) of that many. `balance`
    names the target whose classes get equal weight, by `balance_by` ("weights" or "oversampling").
    """

    data: DataCall | None = None
    validate: DataCall | float | None = None
    test: DataCall | float | None = None
    split: Split = Split()
    folds: int | None = None
    fold: int | None = None
    balance: str | None = None
    balance_by: str = "weights"
    columns: tuple[ColumnRule, ...] = ()
    epochs: int = 10
    batch: int = 32
    accumulate: int = 1
    seed: int = 0
    starts: tuple[StartingWeights, ...] = ()
    patience: int | None = None
    monitor: Monitor | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    average: float | None = None
    recompute: bool = False
    precision: str = PRECISIONS[0]
    checkpoint_seconds: float = 30
    max_time: float | None = None
    memory: float | None = None
    validate_every: int | None = None
    sample: int | None = None
    prompt: str = ""
    temperature: float = 1.0
    snapshots: int | None = None
    span: Span | None = None
    spans: dict[str, Span] = field(default_factory=dict, compare=False, repr=False)

    @property
    def examples_per_step(self) -> int:
        """The most examples of a training step."""
        return self.batch * self.accumulate

    def whole(self, data: DataCall) -> Recipe:
        """Return the recipe that reads all examples of a source as one part."""
        return replace(
            self,
            data=data,
            validate=None,
            test=None,
            split=Split(),
            folds=None,
            fold=None,
            balance=None,
        )
