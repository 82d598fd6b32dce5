"""`jsonl(file)`: a JSON object on each line, whose members are matched to ports by name.

    {"rooms": 3, "city": "Ulm", "sold": "2024-01-31"}

Members may be numbers, booleans, strings, null, or lists of numbers or of equally long vectors.
Lists whose length differs between lines are variable-length sequences. A member that a line leaves
out is a missing value. The text is UTF-8, plain or compressed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from specc.runtime.data.frames import column_of
from specc.runtime.data.request import Request
from specc.runtime.data.table import Columns, Table, coded

TAKEN = (int, float, str, bool, type(None))


def table(request: Request) -> Table:
    """Return the table in a file. Raises `DataError` if it cannot be read."""
    (path,) = request.files()
    content = request.read(path)
    is_part = request.is_part(content)
    if is_part and b"\n" in content:
        del content[content.rfind(b"\n") + 1 :]
    return table_of(request, path, bytes(content), is_part=is_part)


def table_of(
    request: Request, path: Path, content: bytes, first: int = 1, is_part: bool = False
) -> Table:
    """Return the table in some lines of a file, starting at line `first`."""
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(content.split(b"\n"), first):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else "it is not UTF-8 text"
            raise request.error(
                f"`{path.name}`, line {number}: this is not JSON: {what}",
                argument=0,
                help="each line must have one JSON object",
            ) from None
        if not isinstance(record, dict):
            raise request.error(
                f"`{path.name}`, line {number}: this is not an object, but {type(record).__name__}",
                argument=0,
                help='each line must have one JSON object, such as {"x": 1, "y": "a"}',
            )
        records.append(record)
        lines.append(number)
    names = list(dict.fromkeys(name for record in records for name in record))

    def location(row: int, name: str, element: int = 0) -> str:
        return f"`{path.name}`, line {lines[row]}, column `{name}`"

    def read(wanted: Sequence[str], texts: Collection[str]) -> Columns:
        raw = {}
        for name in wanted:
            values = [record.get(name) for record in records]
            for row, value in enumerate(values):
                if not isinstance(value, TAKEN) and not _is_vector(value):
                    raise request.error(
                        f"{location(row, name)}: an input cannot be {type(value).__name__}",
                        argument=0,
                        help="use numbers, strings or lists of numbers",
                    )
            if name in texts and not any(isinstance(each, list) for each in values):
                gaps = np.array([each is None for each in values], bool)
                shown = ["" if each is None else str(each) for each in values]
                raw[name] = coded(shown, gaps if gaps.any() else None)
                continue
            try:
                raw[name] = column_of(values, name)
            except (TypeError, ValueError) as error:
                raise request.error(f"`{path.name}`: {error}", argument=0) from None
        return Columns(raw, len(records), location, -1 if is_part else None)

    if not records:
        raise request.error(f"`{path.name}` has no examples", argument=0)
    return Table(f"`{path.name}`", names, read)


def _is_vector(value: object) -> bool:
    if not isinstance(value, list):
        return False
    return all(
        _is_vector(each) or (isinstance(each, int | float) and not isinstance(each, bool))
        for each in value
    )
