"""What the columns of a table hold, for its first model.

found = looked_at(Path("houses.csv"))
found.columns[0].said       # "numbers, 13% missing"
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from specc.frontend.syntax.grammar import tables
from specc.recipe.words import WORDS
from specc.runtime.data.columns.dates import parsed
from specc.runtime.data.columns.numerals import NumberForm, form_of
from specc.runtime.data.readers import request_of, table_of_source
from specc.runtime.data.table import TRUTH, Raw
from specc.runtime.given import source
from specc.system.records import dataclass

SAMPLE = 2**24  # number of bytes that are analyzed
FEW_WORDS = 20  # largest number of words for one-hot vectors
MOST_CLASSES = 50  # largest number of classes among which a rare one is looked for
MANY_WORDS = 1000  # 20 times this many words are too many for an embedding
SKEWED = 3.0  # least skewness of numbers with a long tail; that of an exponential distribution is 2
RARE = 0.2  # a class is rare if it has less than this part of an equal share of the rows
DATES = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y",
    "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d %b %Y",
    "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%Y%m%d",
)  # fmt: skip
"""Date formats that are recognized; the first that fits is used."""


@dataclass(frozen=True)
class Look:
    """One column: its kind ("numbers", "words", "dates", "truth") and statistics.

    `role` is "input", "names" (a different value in each row), "text" or "constant". `gaps` is the
    share of missing values, `count` the number of distinct values. `form` is the setting that
    parses dates, or the formula that parses numbers.
    """

    name: str
    holds: str
    role: str
    gaps: float
    count: int
    has_time: bool = False
    is_whole: bool = False
    center: float = 0.0
    spread: float = 1.0
    form: str = ""
    empty: str | None = None  # the text that stands for a missing number
    is_long: bool = False  # numbers from 0 on with a long tail, which a logarithm shortens
    is_counted: bool = False  # numbers that are the integers from 0 on, written so
    rarest: tuple[str, float] = ("", 1.0)  # of few values the rarest one, and its share of the rows

    @property
    def has_rare(self) -> bool:
        """Whether a value is rare among the others."""
        return self.rarest[1] < RARE / max(self.count, 1)

    @property
    def said(self) -> str:
        """The content of the column as text for a comment."""
        what = {
            "numbers": "numbers" if not self.is_whole else f"integers, {self.count} different",
            "words": f"{self.count} words",
            "dates": "dates",
            "truth": "yes or no",
        }[self.holds]
        how = "missing" if self.empty is None else f"missing or `{self.empty}`"
        return f"{what}, {self.gaps:.0%} {how}" if self.gaps else what


@dataclass(frozen=True)
class TableLook:
    """A table: the path of its file, its number of rows, and its columns."""

    path: Path
    rows: int
    columns: list[Look]


def looked_at(path: Path) -> TableLook:
    """Analyze the columns of a table. Raises `DataError` if it cannot be read."""
    call = source(path, None)
    table = table_of_source(request_of(call, (), Path(), SAMPLE))
    read = table.read()
    columns = [
        replace(_look(name, read.raw[name]), rarest=_rarest(read.raw[name])) for name in table.names
    ]
    rows = read.examples if read.count is None or read.count < 0 else read.count
    return TableLook(path, rows, columns)


def _rarest(raw: Raw) -> tuple[str, float]:
    """Return the rarest of few values and its share of the rows that have one."""
    if raw.shape:
        return "", 1.0
    there = raw.array[~raw.gaps()]
    values, counts = np.unique(there, return_counts=True)
    if not 1 < len(values) <= MOST_CLASSES:
        return "", 1.0
    at = int(counts.argmin())
    shown = str(raw.words[values[at]]) if raw.words is not None else f"{values[at]}"
    return shown.removesuffix(".0"), float(counts[at] / len(there))


def _look(name: str, raw: Raw) -> Look:
    gaps = raw.gaps()
    share, there = float(gaps.mean()) if len(raw) else 0.0, raw.array[~gaps]
    if raw.shape:
        return Look(name, "numbers", "input", share, len(there))
    count = len(np.unique(there))
    if raw.kind == "words":
        return _words(name, raw, there, share, count)
    if raw.kind == "dates":
        return Look(name, "dates", "input", share, count, has_time=True)
    if raw.kind == "truth":
        return Look(name, "truth", "input", share, count)
    numbers = there.astype(float)
    is_whole = bool((numbers == np.floor(numbers)).all())
    role = "input"
    if count <= 1:
        role = "constant"
    elif is_whole and count == len(raw) > 20 and re.search(r"(^|_| )(id|nr|no|key)$", name.lower()):
        role = "names"
    spread = float(numbers.std()) if len(numbers) else 1.0
    center = float(numbers.mean()) if len(numbers) else 0.0
    is_counted = is_whole and bool(np.array_equal(np.unique(numbers), np.arange(count)))
    is_counted &= raw.array.dtype.kind in "iu" or share > 0  # gaps make floats of integers
    return Look(
        name,
        "numbers",
        role,
        share,
        count,
        False,
        is_whole,
        center,
        spread or 1.0,
        is_long=_is_long(numbers),
        is_counted=is_counted,
    )


def _is_long(numbers: np.ndarray) -> bool:
    """Return whether numbers from 0 on are skewed, and their logarithms much less so."""
    if not len(numbers) or numbers.min() < 0:
        return False
    skewness = _skewness(numbers)
    return skewness > SKEWED and abs(_skewness(np.log1p(numbers))) < skewness / 2


def _skewness(numbers: np.ndarray) -> float:
    """Return the third moment of standardized numbers; 0 for equal ones."""
    centered = numbers - numbers.mean()
    deviation = float(centered.std())
    return float(np.mean((centered / deviation) ** 3)) if deviation else 0.0


def _words(name: str, raw: Raw, there: np.ndarray, share: float, count: int) -> Look:
    """Analyze a column of words, which may be dates, numbers or booleans."""
    assert raw.words is not None
    used = [str(raw.words[place]) for place in np.unique(there).tolist()]
    role = "input" if count > 1 else "constant"
    date_form = date_form_of(used)
    if date_form is not None:
        has_time = any(":" in word for word in used)
        form = f'format = "{date_form}"' if date_form else ""
        return Look(name, "dates", role, share, count, has_time, form=form)
    if (numerals := form_of(used)) is not None:
        return _numerals(name, raw, there, share, count, numerals)
    if used and all(word.strip().lower() in TRUTH for word in used):
        return Look(name, "truth", "input" if count > 1 else "constant", share, count)
    spaces = sum(word.count(" ") for word in used) / max(len(used), 1)
    role = "input"
    if count <= 1:
        role = "constant"
    elif count > FEW_WORDS and spaces > 4:
        role = "text"
    elif count > max(FEW_WORDS, 0.5 * len(raw)) or count > MANY_WORDS * 20:
        role = "names"
    return Look(name, "words", role, share, count)


def _numerals(
    name: str, raw: Raw, there: np.ndarray, share: float, count: int, form: NumberForm
) -> Look:
    """Analyze a column of numbers with other decimal or thousands signs."""
    assert raw.words is not None
    texts = [str(raw.words[place]) for place in there.tolist()]
    empty = texts.count(form.empty or "")
    values = np.array([form.parsed(each) for each in texts if each != form.empty], float)
    share, count = share + empty / max(len(raw), 1), count - bool(empty)
    role = "input" if count > 1 else "constant"
    is_whole = bool((values == np.floor(values)).all())
    return Look(
        name,
        "numbers",
        role,
        share,
        count,
        False,
        is_whole,
        float(values.mean()),
        float(values.std()) or 1.0,
        f"number({raw_name(name)}{form.settings})",
        form.empty,
        _is_long(values),
    )


def date_form_of(words: Sequence[str]) -> str | None:
    """Return the date format of all words: "" for ISO dates, None if no format fits."""
    for form in ("", *DATES):
        if words and all(parsed(word, form or None) is not None for word in words):
            return form
    return None


def raw_name(name: str) -> str:
    """Return a column as a formula: its plain name, or `columns("...")` with quotes."""
    is_plain = re.fullmatch(r"[A-Za-z_]\w*", name, flags=re.ASCII)
    if is_plain and name not in tables().keywords and name not in WORDS:
        return name
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'columns("{quoted}")'
