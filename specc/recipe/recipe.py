"""What a `train` block says, as plain data: the part of a program that the runtime works from.

    Recipe(epochs=10, batch=64, seed=0, data=DataCall("digits", (), {}))

Nothing here knows graphs: the front end fills these in, the runtime reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace
from typing import Any

from specc.source import Span
from specc.system.records import dataclass

LARGEST_FLOAT = 3.4028234663852886e38
"""The largest number of float32, the precision that a model has unless it is compiled for another.
"""

PRECISIONS = ("float32", "bfloat16")
"""What `precision` may be in a `train` block: the format that operands of products are rounded to.
"""


BALANCE = "{}.balance"
"""The state of a model that holds the weights of the classes of a target."""


@dataclass(frozen=True)
class Port:
    """An input or target of the model: what a column of the data must provide.

    `kind` is "float", "class" or "bool"; `shape` that of one example; `classes` the number of
    classes of a "class" port.
    """

    name: str
    role: str  # "input" or "target"
    kind: str
    shape: tuple[int, ...]
    classes: int | None = None
    span: Span | None = None
    sequence: str | None = None  # the name of its first axis, if that is a sequence
    length_of: str | None = None  # the port whose number of steps it is, for each example
    begin_of: str | None = (
        None  # the stream that begins anew with the examples for which it is true
    )

    @property
    def class_count(self) -> int:
        """The number of classes, of a "class" port."""
        assert self.classes is not None, f"`{self.name}` is of type {self.kind}"
        return self.classes


@dataclass(frozen=True)
class DataCall:
    """A source of examples as the file calls it: `idx("images.gz", "labels.gz"; scale = 1/255)`."""

    word: str
    arguments: tuple[Any, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    span: Span | None = None
    argument_spans: tuple[Span, ...] = ()
    setting_spans: dict[str, Span] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Formula:
    """A formula of a column: a word with its inputs and settings.

    `word` is "constant" (its `value`), "name" (the column called `value`), an operator such as "+",
    or a word of `words.WORDS`. `key` names what it remembers of the training part, such as
    "standardize1", the first `standardize` of its column.
    """

    word: str
    inputs: tuple[Formula, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    value: Any = None
    key: str = ""
    span: Span | None = field(default=None, compare=False)
    setting_spans: dict[str, Span] = field(default_factory=dict, compare=False, repr=False)

    def walk(self) -> Iterator[Formula]:
        """Return the formula and all within it."""
        yield self
        for each in self.inputs:
            yield from each.walk()


@dataclass(frozen=True)
class ColumnRule:
    """`column NAME = formula`: how the raw columns of the data become an input or a target."""

    name: str
    formula: Formula
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Split:
    """How the examples of one source are divided into parts.

    `by` is "random"; or "stratify": each value of `column` is shared out alike between the parts;
    "group": all examples with one value of `column` are in one part; "time": the parts that are
    held out have the latest values of `column`.
    """

    by: str = "random"
    column: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Monitor:
    """The value that tells which epoch is the best: one of a model's `columns`."""

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

    `monitor` chooses the best epoch, and with `patience` the end of the training; None stands for
    the loss without penalties on weights. `validate` is a source, or the part of `data` that is
    kept for it. `clip_value` bounds every element of the gradients, then `clip_norm` the norm of
    them all. With `recompute` the backward pass computes values of the forward pass again, where
    keeping them takes more memory. With `average` the moving means of all weights predict; that is
    the share of what they were that they keep in each step. With the `precision` "bfloat16" the
    operands of products are
    rounded. A checkpoint is written every `checkpoint_seconds` within an epoch, too. A training
    is saved and ends after `max_time` seconds. With a bound on `memory`, in MB, examples are read
    from the disk while the model trains. During training the model generates texts of `sample`
    symbols that begin with `prompt`, at a `temperature`, and keeps about as many `snapshots` of the
    weights. `columns` are the formulas of columns, in their order. `starts` are the weights that
    training begins with. `places` has the values of the settings that the file gives.

    A training step averages the gradients of `accumulate` batches of `batch` examples.

    `validate` and `test` are sources, or shares of all examples of `data`; `split` says how these
    are chosen. With `folds` the validation part is fold `fold` (from 1) of that many. `balance`
    names the target whose classes weigh alike, by `balance_by` ("weights" or "oversampling").
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
    places: dict[str, Span] = field(default_factory=dict, compare=False, repr=False)

    @property
    def examples_per_step(self) -> int:
        """The most examples of a training step."""
        return self.batch * self.accumulate

    def whole(self, data: DataCall) -> Recipe:
        """Return the recipe for all examples of a source, which are one part."""
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
