"""`parquet(file)` and `feather(file)`: tables with types, read with pyarrow (extra `tables`).

    parquet("houses.parquet"; x = "rooms, area")

Columns are matched to ports as for `csv`. They may have numbers, booleans, strings, categories and
dates; lists of equally many numbers in each row become vectors. Only the needed columns are read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from specc.runtime.data.frames import table_of
from specc.runtime.data.request import Request
from specc.runtime.data.table import Columns, Table

SAMPLED = 2**14  # rows of a Parquet file that a partial read takes
MODULES = {"parquet": "pyarrow.parquet", "feather": "pyarrow.feather"}


def table(request: Request) -> Table:
    """Return the table in a file. Raises `DataError` if it cannot be read."""
    (path,) = request.files()
    word = request.call.word
    module = _module(request, MODULES[word])
    names = _names(request, module, path)

    def read(wanted: Sequence[str], texts: Collection[str]) -> Columns:
        import pyarrow as pa

        count = None
        try:
            if request.limit is not None and word == "parquet":
                found, count = _beginning(module, path, list(wanted))
            else:
                found = module.read_table(path, columns=list(wanted))
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(request, path, error) from None
        if request.limit is not None:
            size = max(1, found.nbytes // max(1, found.num_rows))
            rows = max(1, request.limit * max(1, len(wanted)) // size)
            if rows < found.num_rows:
                count, found = count or found.num_rows, found.slice(0, rows)
        columns = table_of(found, f"`{path.name}`").read(wanted, texts)

        def location(row: int, name: str, element: int = 0) -> str:
            return f"`{path.name}`, row {row + 1}, column `{name}`"

        return Columns(columns.raw, columns.examples, location, count)

    return Table(f"`{path.name}`", names, read)


def _beginning(module: Any, path: Path, names: list[str]) -> tuple[Any, int | None]:
    """Return the first rows of a Parquet file, and the total number of rows if there are more."""
    import pyarrow as pa

    with module.ParquetFile(path) as file:
        batch = next(file.iter_batches(batch_size=SAMPLED, columns=names), None)
        if batch is None:
            return file.read(names), None
        total = file.metadata.num_rows
        return pa.Table.from_batches([batch]), total if total > batch.num_rows else None


def _module(request: Request, name: str) -> Any:
    """Import a module of pyarrow. Raises `DataError` if pyarrow is not installed."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise request.error(
            f"`{request.call.word}` needs pyarrow, which is not installed",
            help='install it with `pip install "specc-nn[tables]"`, or save the table as csv',
        ) from None


def _names(request: Request, module: Any, path: Path) -> list[str]:
    """Return the names of the columns."""
    import pyarrow as pa

    try:
        if request.call.word == "parquet":
            return list(module.read_schema(path).names)
        import pyarrow.dataset as datasets

        return list(datasets.dataset(path, format="feather").schema.names)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(request, path, error) from None


def _unreadable(request: Request, path: Path, error: Exception) -> Exception:
    reason = str(error).partition("\n")[0].rstrip(". ")
    return request.error(
        f"cannot read `{path}` as {request.call.word}: {reason}",
        argument=0,
        help="write the file again",
    )
