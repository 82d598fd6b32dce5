"""`text(file, ..; level=char)`: a text as a sequence of classes, with its next symbols as target.

    text("shakespeare.txt")                            # characters
    text("a.txt", "b.txt"; level=word, limit=10000)    # words; each file is a separate document

The vocabulary has the symbols of the training part; `dim vocab` without a number is their count. A
character in another part that is not in the vocabulary is an error, unless it is replaced with
`unknown = "?"`. Unknown words become `<unk>`.

For an `input`, the text is cut into consecutive windows, each of which is an example. For a
`stream`, the text is divided into as many slots as a batch has examples; each batch has the next
window of every slot, and the model carries its state over. A rest of less than one window per slot
is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from specc.recipe import Column, Port
from specc.recipe.binding import port_type
from specc.runtime.data import tokens
from specc.runtime.data.request import Request
from specc.system.records import dataclass


@dataclass(frozen=True, eq=False)
class Documents:
    """The documents of a source, split into symbols."""

    request: Request
    paths: list[Path]
    documents: list[list[str]]
    level: str
    limit: int | None
    unknown: str | None
    before: tuple[str, ...]  # the text in each file that precedes its document
    is_part: bool = False  # whether the files were read only in part

    def cut(self, held_out: float) -> tuple[Documents, Documents]:
        """Split off the end of the text, a share of `held_out`; return the training text and the
        end.
        """
        total = sum(map(len, self.documents))
        keep = total - round(total * held_out)
        first, second = [], []
        for document in self.documents:
            first.append(document[:keep])
            second.append(document[keep:])
            keep = max(0, keep - len(document))
        before = tuple(tokens.joined(document, self.level) for document in first)
        return replace(self, documents=first), replace(self, documents=second, before=before)

    def first(self, lengths: Sequence[int]) -> Documents:
        """Return the beginning of each document. Raises `DataError` if one is too short."""
        if len(lengths) != len(self.documents):
            raise self.request.error(
                f"there are {len(self.documents)} texts, but there were"
                f" {len(lengths)} when the run was made"
            )
        for number, (document, length) in enumerate(zip(self.documents, lengths, strict=True)):
            if len(document) < length:
                what = "characters" if self.level == "char" else "words"
                raise self.request.error(
                    f"`{self.paths[number].name}` has {len(document):,} {what}, but had"
                    f" {length:,} when the run was made",
                    argument=number,
                    help="restore the file",
                )
        cut = [document[:length] for document, length in zip(self.documents, lengths, strict=True)]
        return replace(self, documents=cut)

    def vocabulary(self) -> tuple[str, ...]:
        """Return the symbols in the order of their class indices."""
        return tokens.alphabet(
            (each for document in self.documents for each in document),
            self.level,
            self.limit,
            self.unknown,
        )


def read(request: Request) -> Documents:
    """Read the documents. Raises `DataError` if a file cannot be read."""
    paths = request.files()
    settings = request.settings()
    level, limit, unknown = settings["level"], settings["limit"], settings["unknown"]
    documents, is_part = [], False
    for position, path in enumerate(paths):
        content = request.read(path, position)
        if request.is_part(content):
            is_part = True
            del content[content.rfind(b"\n") + 1 or len(content) :]
        try:
            text = content.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise request.error(
                f"`{path.name}`, line {line}: this is not UTF-8 text",
                argument=position,
                help="save the text as UTF-8",
            ) from None
        documents.append(tokens.symbols(text, level))
    limit = None if limit is None else int(limit)
    return Documents(request, paths, documents, level, limit, unknown, ("",) * len(paths), is_part)


def check_vocabulary(text: Documents, vocabulary: tuple[str, ...]) -> None:
    """Raise `DataError` if the vocabulary has more symbols than the ports have classes."""
    for port in filter(None, _ports(text.request)):
        if isinstance(port.classes, int) and port.classes < len(vocabulary):
            what = "characters" if text.level == "char" else "words"
            raise text.request.error(
                f"the text has {len(vocabulary)} different {what}, but `{port.name}` is"
                f" {port_type(port)}",
                argument=0,
                port=port,
                help=f"declare `dim vocab` without a number, or set `vocab={len(vocabulary)}`",
            )


def columns(
    text: Documents, vocabulary: tuple[str, ...], batch: int
) -> tuple[dict[str, Column], bool]:
    """Return the columns of all ports, and whether their rows have the order of a stream."""
    request = text.request
    source, target = _ports(request)
    steps = source.shape[0]
    check_vocabulary(text, vocabulary)
    windows, shifted, begins = [], [], []
    places = tokens.places(vocabulary)
    for number, document in enumerate(text.documents):
        ids = tokens.numbers(document, places, text.unknown)
        _check_known(text, number, ids)
        count = max(0, (len(ids) - 1) // steps)
        windows.append(ids[: count * steps].reshape(count, steps))
        shifted.append(ids[1 : count * steps + 1].reshape(count, steps))
        begins.append(np.arange(count) == 0)
    x, y, begin = np.concatenate(windows), np.concatenate(shifted), np.concatenate(begins)
    is_stream = any(port.begin_of == source.name for port in request.derived)
    slots = batch if is_stream else 1
    each = len(x) // slots
    if not each:
        raise request.error(
            f"the text is too short: {len(x)} windows of {steps} steps cannot fill a batch of"
            f" {slots}"
            if len(x)
            else f"the text is shorter than one window of {steps} steps",
            argument=0,
            help="make `batch` or the sequence smaller",
        )
    if is_stream:
        # row w * slots + s is window w of slot s
        order = (np.arange(slots) * each + np.arange(each)[:, None]).reshape(-1)
        x, y, begin = x[order], y[order], begin[order]
        begin[:slots] = True
    found = {source.name: Column(np.ascontiguousarray(x))}
    if target is not None:
        found[target.name] = Column(np.ascontiguousarray(y))
    for port in request.derived:
        if port.begin_of:
            found[port.name] = Column(begin)
        else:
            found[port.name] = Column(np.full(len(x), steps, np.int32))
    return found, is_stream


def _ports(request: Request) -> tuple[Port, Port | None]:
    """Return the port of the text, and the port of the next symbols if there is one."""
    fitting = [port for port in request.ports if port.kind == "class" and len(port.shape) == 1]
    other = next((port for port in request.ports if port not in fitting), None)
    sources = [port for port in fitting if port.role == "input"]
    targets = [port for port in fitting if port.role == "target"]
    if other is not None or len(sources) != 1 or len(targets) > 1:
        wrong = other or (sources + targets)[-1] if request.ports else None
        raise request.error(
            "`text` provides one sequence of classes, and the next symbols as target"
            + (f", but nothing for `{wrong.name}: {port_type(wrong)}`" if wrong else ""),
            help="declare `stream text: class(vocab)[time]` and, to train on it,"
            " `target following: class(vocab)[time]`",
        )
    if targets and targets[0].shape != sources[0].shape:
        raise request.error(f"`{sources[0].name}` and `{targets[0].name}` must be equally long")
    return sources[0], targets[0] if targets else None


def _check_known(text: Documents, number: int, ids: np.ndarray) -> None:
    """Raise `DataError` at the first character of a document that is not in the vocabulary."""
    if not len(ids) or ids.min() >= 0:
        return
    document, at = text.documents[number], int(np.argmin(ids))
    before = text.before[number] + "".join(document[:at])
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    raise text.request.error(
        f"`{text.paths[number].name}`, line {line}, column {column}: the character"
        f" {document[at]!r} does not occur in the training part",
        argument=number,
        help='`unknown = "?"` replaces such symbols by a question mark',
    )
