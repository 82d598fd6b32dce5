"""Large tables of text, read with pyarrow: the same columns as `csv` makes, many times as fast.

    read(path, ",", header, ["age", "city"], texts=())      # {"age": Raw, "city": Raw}, or None

None stands for a table that pyarrow does not read, or not as `csv` does: `csv` then reads it line
by line, and says which line is wrong.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from specc.runtime.data.table import MISSING, Raw, coded
from specc.system.records import dataclass

HEAD = 2**16  # bytes of a file in which its header is looked for
BLOCK = 2**20  # bytes of a file that pyarrow reads as one piece
MOST_WORDS = 2**16  # different words of a column for which pyarrow keeps their numbers alone
NULLS = sorted({form(each) for each in MISSING for form in (str, str.upper, str.title)} | {"NaN"})


def read(
    path: Path,
    separator: str,
    header: list[str],
    names: Sequence[str],
    texts: Collection[str],
    vectors: Sequence[Sequence[str]] = (),
) -> dict[str, Raw] | None:
    """Return the columns of some names; None if they must be read line by line.

    The numbers of each of `vectors` lie side by side, in one array.
    """
    compression = "gzip" if _is_gzip(path) else None

    def opened() -> Any:
        import pyarrow as pa

        return pa.input_stream(str(path), compression=compression)

    def is_broken() -> bool:
        if compression is not None:
            return True
        with path.open("rb") as file:
            return cuts_a_cell(file)

    form = _Form(separator, header, opened, is_broken, skipped=1)
    return _columns(form, names, texts, (), path.name, vectors)


def read_bytes(
    content: bytes,
    separator: str,
    header: list[str],
    names: Sequence[str],
    texts: Collection[str],
    words: Collection[str],
    title: str,
) -> dict[str, Raw] | None:
    """Return the columns of some lines without a header, those in `words` as words.

    None if they must be read line by line.
    """

    def opened() -> Any:
        import pyarrow as pa

        return pa.BufferReader(content)

    form = _Form(separator, header, opened, lambda: cuts_a_cell(io.BytesIO(content)))
    return _columns(form, names, texts, words, title)


@dataclass(frozen=True)
class _Form:
    """A text as pyarrow reads it: opened anew for each reading."""

    separator: str
    header: list[str]
    opened: Callable[[], Any]
    is_broken: Callable[[], bool]  # whether a quoted cell goes over the end of a block
    skipped: int = 0  # lines before the first row


def _columns(
    form: _Form,
    names: Sequence[str],
    texts: Collection[str],
    words: Collection[str],
    title: str,
    vectors: Sequence[Sequence[str]] = (),
) -> dict[str, Raw] | None:
    """Return some columns; None if they must be read line by line."""
    try:
        import pyarrow as pa
    except ImportError:
        return None
    chosen = {name: pa.string() for name in names if name in texts or name in words}
    while True:
        table = _table(form, names, chosen)
        if table is None:
            return None
        others = [name for name in names if name not in chosen and not _is_plain(table, name)]
        if not others:
            break
        chosen.update(dict.fromkeys(others, pa.string()))
    found: dict[str, Raw] = {}
    for vector in vectors:
        made = _side_by_side(table, vector, f"`{title}`")
        if made is None:
            return None
        found |= made
    for name in names:
        if name in found:
            continue
        raw = raw_of(table.column(name), f"`{title}`", is_text=name in texts)
        if raw is None:
            return None
        found[name] = raw
    return found


def _side_by_side(table: Any, names: Sequence[str], title: str) -> dict[str, Raw] | None:
    """Return columns of numbers without gaps as views of one array, which pyarrow's pieces are
    written into; nothing if they are others. None if a number is not finite.
    """
    import pyarrow as pa

    if len(set(names)) != len(names) or not set(names) <= set(table.column_names):
        return {}
    chosen = table.select(names)
    kinds = {each.type for each in chosen.columns}
    has_gaps = any(each.null_count for each in chosen.columns)
    if has_gaps or not kinds <= {pa.int64(), pa.float64()} or not len(chosen):
        return {}
    whole = np.empty((len(chosen), len(names)), np.int64 if kinds == {pa.int64()} else np.float64)
    start = 0
    for batch in chosen.to_batches():  # all columns of a piece are in a near cache
        part = whole[start : start + len(batch)]
        for place, column in enumerate(batch.columns):
            part[:, place] = column.to_numpy()
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            return None
        start += len(batch)
    return {
        name: Raw(whole[:, place], None, None, title, is_finite=True)
        for place, name in enumerate(names)
    }


def _table(form: _Form, names: Sequence[str], chosen: dict[str, Any]) -> Any:
    """Return pyarrow's table; None if it cannot read the text."""
    import pyarrow as pa
    from pyarrow import csv

    is_broken = form.is_broken()
    try:
        with form.opened() as stream:
            return csv.read_csv(
                stream,
                csv.ReadOptions(column_names=form.header, skip_rows=form.skipped, block_size=BLOCK),
                csv.ParseOptions(delimiter=form.separator, newlines_in_values=is_broken),
                csv.ConvertOptions(
                    column_types=chosen,
                    include_columns=list(names),
                    null_values=NULLS,
                    strings_can_be_null=False,
                    timestamp_parsers=["none"],
                    true_values=[],
                    false_values=[],
                    auto_dict_encode=True,
                    auto_dict_max_cardinality=MOST_WORDS,
                ),
            )
    except (pa.ArrowException, ValueError, OSError):
        return None


def cuts_a_cell(file: BinaryIO) -> bool:
    """Return whether a quoted cell goes on over the last line break of a block of the file.

    pyarrow cuts the file there, to read the blocks in parallel.
    """
    odd = 0  # whether the quotes so far, up to the last line break, are odd in number
    while content := file.read(BLOCK):
        signs = np.frombuffer(content, np.uint8)
        last = max(content.rfind(b"\n"), content.rfind(b"\r")) + 1
        odd ^= int(np.count_nonzero(signs[:last] == ord('"')) & 1)
        if last and odd:
            return True
        odd ^= int(np.count_nonzero(signs[last:] == ord('"')) & 1)
    return False


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _is_plain(table: Any, name: str) -> bool:
    """Return whether pyarrow has found integers or numbers in a column, or its words."""
    import pyarrow as pa

    kind = table.column(name).type
    return bool(
        pa.types.is_int64(kind)
        or pa.types.is_float64(kind)
        or pa.types.is_string(kind)
        or pa.types.is_dictionary(kind)
    )


def raw_of(column: Any, title: str, is_text: bool = False) -> Raw | None:
    """Return a column of pyarrow; None if a number in it is not finite."""
    import pyarrow as pa

    is_encoded = pa.types.is_dictionary(column.type)
    if not (is_encoded or pa.types.is_string(column.type)):
        missing = column.is_null().to_numpy() if column.null_count else None
        values = column.to_numpy()
        if values.dtype.kind == "f":
            finite = np.isfinite(values) if missing is None else np.isfinite(values) | missing
            if not finite.all():
                return None
        return Raw(values, None, missing, title)
    encoded = column if is_encoded else column.dictionary_encode()
    encoded = encoded.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], encoded.type)
    words = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy()
    # spaces are no part of a word
    own = coded([each if is_text else each.strip() for each in words])
    gaps = np.array([each.strip().lower() in MISSING for each in words], bool)
    missing = gaps[codes] if gaps.any() else None
    array = own.array[codes].astype(np.int32, copy=False)
    return Raw(array, own.words, missing, title)
