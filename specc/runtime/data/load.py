"""The parts of the data that a recipe names: read, checked, and cut.

    data = load(recipe, ports, folder)
    data.training, data.validation       # Part(columns, rows)

`validate split = 0.9` keeps nine tenths of the examples for training; which ones is drawn at random
from the recipe's seed, so it is the same in each run and on each machine. Rows are only numbered:
the parts share their arrays. All mistakes of all sources come in one `DataError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from specc.columns import Column
from specc.diagnostics import Diagnostic, closest
from specc.recipe import DataCall, Port, Recipe
from specc.runtime.data import bind, csv, digits, idx, npz, text
from specc.runtime.data.field import Field, Rows
from specc.runtime.data.request import Request, listed
from specc.runtime.errors import AllMissing, DataError, data_error
from specc.runtime.order import SPLIT, permutation
from specc.sources import PLANNED, port_type

READERS = {"digits": digits.read, "idx": idx.read, "csv": csv.read, "npz": npz.read}

Vocabularies = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows (int64) of columns, which are known by the names of their ports."""

    columns: dict[str, Column]
    rows: np.ndarray
    is_stream: bool = False  # the rows have an order, and go on from batch to batch
    fields: dict[str, Field] = field(default_factory=dict)  # of samples: where the values stand
    source: Rows | None = None  # where rows of the file were left out

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Data:
    """The parts that were asked for: "training", "validation" and "test".

    `vocabularies` are the words of "class" ports, in order. `ends` has the last symbol of the
    training texts of a port, if all texts have the same one, and only at the end. `partial`
    describes the part that was read of each file that a `limit` cut short. `counts` has the number
    of examples in each source that was read ("data", "validate", "test"), or of symbols in each of
    its texts. `left_out` describes the rows of each file that were left out.
    """

    parts: Mapping[str, Part]
    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    partial: tuple[str, ...] = ()
    counts: dict[str, list[int]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def training(self) -> Part:
        """The examples to train on, which must be among the parts that were asked for."""
        return self.parts["training"]

    @property
    def validation(self) -> Part | None:
        return self.parts.get("validation")


def load(
    recipe: Recipe,
    ports: Sequence[Port],
    folder: Path,
    *,
    parts: Sequence[str] = ("training", "validation"),
    vocabularies: Vocabularies | None = None,
    limit: int | None = None,
    counts: Mapping[str, Sequence[int]] | None = None,
) -> Data:
    """The `parts` of the data, of "training", "validation" and "test", where the recipe has them.

    `vocabularies` are those of the training part where that is not loaded. Relative paths start at
    `folder`. Raises `DataError` with every mistake found.

    With a `limit` no more than about that many bytes of each file or array are read. What is said
    of them holds for the whole; the parts of what was not read as a whole hold its beginning.

    With `counts`, which an earlier `Data` had, examples after so many are left out: the parts are
    those of that time, if rows were only added since.
    """
    counts, held = dict(counts or {}), {}
    if recipe.data is None:
        raise data_error(
            "`train` names no data",
            recipe.span,
            help='add `data csv("train.csv")`, `data digits()` or another source',
        )
    if recipe.data.word == "text":
        return _load_text(
            recipe, recipe.data, ports, folder, parts, dict(vocabularies or {}), limit, counts
        )
    found: list[Diagnostic] = []
    vocabularies = dict(vocabularies or {})
    loaded: dict[str, Part] = {}
    ends: dict[str, str] = {}
    held_out = recipe.validate if isinstance(recipe.validate, float) else None
    is_part = False
    partial: list[str] = []
    left_out: list[str] = []
    reads_training = "training" in parts or ("validation" in parts and held_out is not None)
    if reads_training:
        with _collected(found):
            request = request_of(recipe.data, ports, folder, limit)
            fields = _fields(request)
            partial += _extents(request, fields)
            left_out += _left_out(request, fields)
            held["data"] = [len(_any(fields).array)]
            fields = _first(request, fields, counts.get("data"))
            is_part = any(each.is_part for each in fields.values())
            training, validation = _split(
                request, len(_any(fields).array), None if is_part else held_out, recipe.seed
            )
            for port in request.ports:
                rows = np.arange(len(fields[port.name].array)) if is_part else training
                if (words := bind.words(fields[port.name], rows)) is not None:
                    vocabularies.setdefault(port.name, words)
                if (end := bind.end(fields[port.name], training)) is not None:
                    ends[port.name] = end
            columns = _columns(request, fields, vocabularies, found)
            sampled = {} if limit is None else fields
            loaded = {
                name: Part(columns, rows, fields=sampled, source=_any(fields).rows)
                for name, rows in (("training", training), ("validation", validation))
            }
    for name, call in (("validation", recipe.validate), ("test", recipe.test)):
        if name in parts and isinstance(call, DataCall):
            with _collected(found):
                request = request_of(call, ports, folder, limit)
                fields = _fields(request)
                partial += _extents(request, fields)
                left_out += _left_out(request, fields)
                source = "validate" if name == "validation" else name
                held[source] = [len(_any(fields).array)]
                fields = _first(request, fields, counts.get(source))
                # words cannot be compared with those of a training part that was not read
                is_open = is_part or (reads_training and "training" not in loaded)
                known = _with_own_words(fields, vocabularies) if is_open else vocabularies
                columns = _columns(request, fields, known, found)
                loaded[name] = Part(columns, np.arange(len(_any(fields).array)))
    if found:
        raise DataError(found)
    return Data(
        {name: part for name, part in loaded.items() if name in parts and len(part)},
        vocabularies=vocabularies,
        ends=ends,
        partial=tuple(partial),
        counts=held,
        left_out=tuple(left_out),
    )


def _load_text(
    recipe: Recipe,
    data: DataCall,
    ports: Sequence[Port],
    folder: Path,
    parts: Sequence[str],
    vocabularies: dict[str, tuple[str, ...]],
    limit: int | None = None,
    counts: Mapping[str, Sequence[int]] | None = None,
) -> Data:
    """The parts of texts: the validation part of a split is the end of the text."""
    found: list[Diagnostic] = []
    loaded: dict[str, Part] = {}
    held_out = recipe.validate if isinstance(recipe.validate, float) else None
    own = [port for port in ports if not port.length_of and not port.begin_of]
    names = [port.name for port in own if port.kind == "class"]
    known = next((vocabularies[name] for name in names if name in vocabularies), None)
    partial: list[str] = []
    counts = counts or {}
    held: dict[str, list[int]] = {}

    def read(source: str, call: DataCall) -> text.Text:
        whole = text.read(request_of(call, ports, folder, limit))
        held[source] = list(map(len, whole.documents))
        return whole.first(counts[source]) if source in counts else whole

    def part(name: str, source: text.Text, known: tuple[str, ...]) -> None:
        with _collected(found):
            if source.is_part:
                what = "characters" if source.level == "char" else "words"
                partial.append(
                    f"{listed(path.name for path in source.paths)}: the first"
                    f" {sum(map(len, source.documents)):,} {what}"
                )
            if source.is_part or is_part:
                text.check_vocabulary(source, known)
                return
            columns, is_stream = text.columns(source, known, recipe.batch)
            loaded[name] = Part(
                columns, np.arange(len(next(iter(columns.values())).array)), is_stream
            )

    is_part = False
    if known is None or "training" in parts or ("validation" in parts and held_out is not None):
        with _collected(found):
            whole = read("data", data)
            is_part = whole.is_part
            training, validation = whole.cut(held_out) if held_out else (whole, None)
            known = known or training.vocabulary()
            if "training" in parts:
                part("training", training, known)
            if "validation" in parts and validation is not None:
                part("validation", validation, known)
    for name, call in (("validation", recipe.validate), ("test", recipe.test)):
        if name in parts and isinstance(call, DataCall) and known is not None:
            with _collected(found):
                part(name, read("validate" if name == "validation" else name, call), known)
    if found:
        raise DataError(found)
    assert known is not None, "the text of the training part was read, or its symbols are given"
    return Data(
        loaded,
        vocabularies=dict.fromkeys(names, known),
        partial=tuple(partial),
        counts=held,
    )


def _first(
    request: Request, fields: dict[str, Field], count: Sequence[int] | None
) -> dict[str, Field]:
    """Return the first `count` examples of the fields; raises `DataError` if there are fewer."""
    held = len(_any(fields).array)
    if count is None or list(count) == [held]:
        return fields
    (before,) = count
    if held < before:
        raise request.error(
            f"{_any(fields).name} holds {held:,} examples, but held {before:,} when the run was"
            " made",
            argument=0,
            help="restore the file",
        )
    return {
        name: replace(
            each,
            array=each.array[:before],
            texts=each.texts and replace(each.texts, parts=each.texts.parts[:before]),
        )
        for name, each in fields.items()
    }


def _extents(request: Request, fields: dict[str, Field]) -> list[str]:
    """What was read of a source, if not all: "`a.csv`: the first 9,000 of 60,000 examples"."""
    parts = [each for each in fields.values() if each.is_part]
    if not parts:
        return []
    rows = min(len(each.array) for each in parts)
    count = f" of {parts[0].examples:,}" if parts[0].examples >= 0 else ""
    names = listed(Path(each).name for each in request.call.arguments)
    return [f"{names}: the first {rows:,}{count} examples"]


def _left_out(request: Request, fields: dict[str, Field]) -> list[str]:
    """What a source left out: "`a.csv`: left out 2 of 150 rows, which have missing values"."""
    rows = _any(fields).rows
    if rows is None:
        return []
    verb = "has" if rows.left_out == 1 else "have"
    names = listed(Path(each).name for each in request.call.arguments)
    return [
        f"{names}: left out {rows.left_out:,} of {rows.count:,} rows, which {verb} missing values"
    ]


def _with_own_words(fields: dict[str, Field], vocabularies: Vocabularies) -> Vocabularies:
    """The vocabularies with the words of some fields, where those of training are not all known."""
    found = dict(vocabularies)
    for name, each in fields.items():
        own = bind.words(each, np.arange(len(each.array)))
        if own is None:
            continue
        known, texts = vocabularies.get(name, ()), each.texts
        is_limited = texts is not None and texts.limit is not None
        found[name] = own if is_limited else tuple(sorted({*known, *own}))
    return found


def request_of(
    call: DataCall, ports: Sequence[Port], folder: Path, limit: int | None = None
) -> Request:
    """What a source is asked for: the ports whose values do not follow from another port's."""
    derived = tuple(port for port in ports if port.length_of or port.begin_of)
    own = tuple(port for port in ports if port not in derived)
    return Request(call, own, folder, derived, limit)


def open_sizes(
    recipe: Recipe, ports: Sequence[Port], folder: Path, limit: int | None = None
) -> dict[str, int]:
    """The sizes that the training data give to ports whose sizes are open, by name.

    `float[n]` takes its `n` from the shape of an example, `class(k)` its `k` from the number of
    words or the largest integer. A size that is an expression, such as `2 * n`, gives nothing. With
    a `limit` a number of classes, or of steps, is that of the beginning of the data.
    """
    if recipe.data is None:
        return {}
    request = request_of(recipe.data, ports, folder, limit)
    found = _Sizes(request)
    if recipe.data.word == "text":
        source = text.read(request)
        if isinstance(recipe.validate, float):
            source, _ = source.cut(recipe.validate)
        for port in request.ports:
            if port.kind == "class":
                found.add(port, port.classes, len(source.vocabulary()), source.is_part)
        return found.sizes
    for name, each in _fields(request).items():
        found.add_field(next(port for port in ports if port.name == name), each)
    return found.sizes


class _Sizes:
    """The sizes that data give to symbolic dimensions, by name."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.sizes: dict[str, int] = {}

    def add(self, port: Port, size: object, value: int, is_least: bool = False) -> None:
        """Set a size of a port, if it is a name. Raises `DataError` if it has another value.

        With `is_least` the size is `value` or more.
        """
        name = str(size)
        if not name.isidentifier() or size is None:
            return
        if is_least:
            self.sizes[name] = max(value, self.sizes.get(name, 0))
        elif self.sizes.setdefault(name, value) != value:
            raise self.request.error(
                f"`{name}` is {self.sizes[name]} elsewhere, but {value} in the data of"
                f" `{port.name}: {port_type(port)}`",
                port=port,
            )

    def add_field(self, port: Port, field: Field) -> None:
        """Set the sizes that follow from the values of a port."""
        if field.texts is not None:
            self.add(port, port.shape[0], max(map(len, field.texts.parts)), field.is_part)
            words = field.texts.vocabulary(range(len(field.texts.parts)))
            self.add(port, port.classes, len(words), field.is_part)
            return
        shape = field.shape
        if field.is_image and len(port.shape) == 1:
            shape = (int(np.prod(shape)),)
        while len(shape) < len(port.shape) and port.shape[len(port.shape) - len(shape) - 1] == 1:
            shape = (1, *shape)
        if len(shape) == len(port.shape):
            for size, value in zip(port.shape, shape, strict=True):
                self.add(port, size, value)
        if port.kind == "class" and field.array.dtype.kind in "uiU" and field.array.size:
            is_words = field.array.dtype.kind == "U"
            count = len(np.unique(field.array)) if is_words else int(field.array.max()) + 1
            self.add(port, port.classes, count, field.is_part)


@contextmanager
def _collected(found: list[Diagnostic]) -> Iterator[None]:
    """Collect the diagnostics of a `DataError` in `found`; `AllMissing` is raised on."""
    try:
        yield
    except AllMissing:
        raise
    except DataError as error:
        found.extend(error.diagnostics)


def _fields(request: Request) -> dict[str, Field]:
    word = request.call.word
    if word in PLANNED:
        raise request.error(
            f"the data source `{word}` is not available in this version of specc",
            help=f"it has {listed(READERS)}; `npz` takes any arrays",
        )
    if word not in READERS:
        near = closest(word, READERS)
        raise request.error(
            f"there is no data source `{word}`",
            help=f"did you mean `{near}`?" if near else f"there are {listed(READERS)}",
        )
    fields = READERS[word](request)
    if not _any(fields).examples:
        raise request.error(f"{_any(fields).name} holds no examples", argument=0)
    return fields


def _columns(
    request: Request, fields: dict[str, Field], vocabularies: Vocabularies, found: list[Diagnostic]
) -> dict[str, Column]:
    columns = {}
    by_name = {port.name: port for port in request.ports}
    for port in request.ports:
        with _collected(found):
            columns[port.name] = bind.column(
                request, port, fields[port.name], vocabularies.get(port.name)
            )
            _check_lengths(request, port, fields[port.name])
    for port in request.derived:
        if port.length_of:
            first = by_name[port.length_of]
            lengths = bind.lengths(first, fields[first.name])
            columns[port.name] = Column(lengths)
            for other in request.ports:
                if other.sequence == first.sequence and fields[other.name].texts is not None:
                    _check_equal(request, first, lengths, other, fields[other.name], found)
        elif port.begin_of:  # without an order each example is a stream of its own
            columns[port.name] = Column(np.ones(len(fields[port.begin_of].array), np.uint8))
    return columns


def _check_equal(
    request: Request,
    first: Port,
    lengths: np.ndarray,
    other: Port,
    field: Field,
    found: list[Diagnostic],
) -> None:
    """What runs over the same sequence is equally long."""
    own = bind.lengths(other, field)
    lengths = lengths[: len(own)]  # of samples the one may be longer
    wrong = own[: len(lengths)] != lengths
    if wrong.any():
        row = int(np.argmax(wrong))
        found.extend(
            request.error(
                f"{field.place(row, 0)}: `{other.name}` has {own[row]} steps there, but"
                f" `{first.name}` has {lengths[row]}",
                argument=0,
                help=f"both run over `{first.sequence}`: declare another `seq` for one of them",
            ).diagnostics
        )


def _check_lengths(request: Request, port: Port, field: Field) -> None:
    """Refuses texts without a symbol, and texts of another length where it does not vary."""
    if field.texts is None:
        return
    names = {each.length_of for each in request.derived}
    lengths = bind.lengths(port, field)
    varies = any(each.name in names and each.sequence == port.sequence for each in request.ports)
    wrong = lengths < 1 if varies else lengths != port.shape[0]
    if wrong.any():
        row = int(np.argmax(wrong))
        raise request.error(
            f"{field.place(row, 0)}: `{port.name}` has {lengths[row]} steps there"
            + ("" if varies else f", and not {port.shape[0]}"),
            argument=0,
            port=port,
            help="leave out such examples"
            if varies
            else f"`class(..)[<= {port.sequence}]` is a sequence of varying length",
        )


def _split(
    request: Request, count: int, held_out: float | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the training part, and those of the validation part (a share of `held_out`)."""
    if held_out is None:
        return np.arange(count), np.arange(0)
    kept = count - round(count * held_out)
    if not 0 < kept < count:
        raise request.error(
            f"{count} examples cannot be split: one of the two parts would be empty"
        )
    order = permutation(seed, SPLIT, count)
    return np.sort(order[:kept]), np.sort(order[kept:])


def _any(fields: dict[str, Field]) -> Field:
    return next(iter(fields.values()))
