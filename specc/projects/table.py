"""Writes a first model for a table: analyzes each column and turns it into an input.

    found = looked_at(Path("houses.csv"))
    text = model_for(found, "houses", target=None)      # the text of houses.dl

Words become one-hot vectors, or an embedding if there are many. Numbers are standardized. Dates
become days, months and weekdays. Gaps are filled and marked. Columns that identify rows are left
out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import numpy as np

from specc.diagnostics import closest
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
FEW_CLASSES = 20  # largest number of distinct integers that are treated as classes
OF_A_CLASS = 5  # least mean number of rows of each integer that is treated as a class
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
USUAL_TARGETS = (
    "target", "label", "class", "y", "outcome", "result", "species", "kind", "price", "churn",
    "survived", "quality",
)  # fmt: skip


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


def target_of(look: TableLook, name: str | None) -> Look:
    """Return the column to predict: the named one, one with a usual name, or the last one.

    Raises ValueError for an unknown name.
    """
    by_name = {each.name: each for each in look.columns}
    if name is not None:
        if name not in by_name:
            near = closest(name, by_name)
            hint = f"did you mean `{near}`?" if near else f"it has {', '.join(by_name)}"
            raise ValueError(f"`{look.path.name}` has no column `{name}`; {hint}")
        return by_name[name]
    usual = {each.name.lower(): each for each in look.columns}
    for each in USUAL_TARGETS:
        if each in usual:
            return usual[each]
    able = [each for each in look.columns if each.role in ("input", "constant")]
    if not able:
        raise ValueError(f"`{look.path.name}` has no column to predict")
    return able[-1]


def is_classes(target: Look, rows: int) -> bool:
    """Return whether a target of so many rows is predicted as a class, and not as a number."""
    if target.holds in ("words", "truth"):
        return True
    few = min(FEW_CLASSES, max(2, rows // OF_A_CLASS))
    return target.holds == "numbers" and target.is_whole and target.count <= few


def identifier(name: str, taken: Sequence[str] = ()) -> str:
    """Return a unique identifier for a column."""
    plain = normalize("NFKD", name.strip().casefold()).encode("ascii", "ignore").decode()
    found = re.sub(r"\W+", "_", plain, flags=re.ASCII).strip("_") or "value"
    if found[0].isdigit() or found in tables().keywords:
        found = f"the_{found}"
    number, plain = 2, found
    while found in taken:
        found, number = f"{plain}_{number}", number + 1
    return found


def raw_name(name: str) -> str:
    """Return a column as a formula: its plain name, or `columns("...")` with quotes."""
    is_plain = re.fullmatch(r"[A-Za-z_]\w*", name, flags=re.ASCII)
    if is_plain and name not in tables().keywords and name not in WORDS:
        return name
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'columns("{quoted}")'


def parts_of(each: Look) -> list[str]:
    """Return the formulas of a column that are concatenated in the input `x`."""
    name = raw_name(each.name)
    found = []
    if each.holds == "numbers":
        value = each.form or name
        inner = f"fill({value}; median)" if each.gaps else value
        found = [f"standardize(log(1 + {inner}))" if each.is_long else f"standardize({inner})"]
    elif each.holds == "truth":
        found = [f"truth(fill({name}; most))" if each.gaps else f"truth({name})"]
    elif each.holds == "dates":
        inner = f"fill({name}; most)" if each.gaps else name
        inner = f"{inner}; {each.form}" if each.form else inner
        found = [f"standardize(days({inner}))"]
        found += [f"onehot(month({inner}))", f"onehot(weekday({inner}))"]
        found += [f"onehot(hour({inner}))"] if each.has_time else []
    else:
        found = [f"onehot({name}; least = 5)"]
    if each.gaps and each.holds != "words":  # a missing word is already a vector of zeros
        found.append(f"missing({name if each.empty is None else each.form})")
    return found


def model_for(look: TableLook, name: str, file: str, target: str | None = None) -> str:
    """Return the text of a model that predicts a column from all others.

    `file` is the path of the table in the model. Raises ValueError if there is no such column, or
    no other column to predict it from.
    """
    wanted = target_of(look, target)
    if wanted.empty is not None:
        raise ValueError(
            f"`{wanted.name}` has numbers, and `{wanted.empty}` in place of some: remove these rows"
        )
    others = [each for each in look.columns if each is not wanted]
    embedded = [
        each
        for each in others
        if each.role == "input" and each.holds == "words" and each.count > FEW_WORDS
    ]
    wide = [each for each in others if each.role == "input" and each not in embedded]
    if not wide and not embedded:
        texts = [f"`{each.name}`" for each in others if each.holds == "words"]
        raise ValueError(
            f"`{look.path.name}` has no column to predict `{wanted.name}` from"
            + (f"; if {texts[0]} has sentences, start with models/sentiment.dl" if texts else "")
        )
    names: dict[str, str] = {}
    taken = ["x", "all_inputs", "hidden", "features", "scores", "guess", "center", "spread"]
    for each in (wanted, *embedded):
        names[each.name] = identifier(each.name, taken)
        taken.append(names[each.name])
    lines = _head(look, name, wanted, others, embedded)
    parts = [part for each in wide for part in parts_of(each)]
    is_number = len(parts) == 1 and not parts[0].startswith("onehot")
    features = 1 if is_number else len(parts) and None
    is_class = is_classes(wanted, look.rows)
    lines += _model(name, wanted, embedded, features, names, is_class)
    lines += _train(look, file, wanted, wide, embedded, names)
    return "\n".join(lines) + "\n"


def _head(
    look: TableLook, name: str, wanted: Look, others: list[Look], embedded: list[Look]
) -> list[str]:
    width = max(len(each.name) for each in look.columns)
    used = {
        "names": "left out: it identifies the row",
        "text": "left out: a text (`symbols` can read it)",
        "constant": "left out: all values are equal",
    }
    lines = [
        f"# {name}: predicts `{wanted.name}` from the other columns of {look.path.name}"
        f" ({look.rows:,} rows).",
        "#",
        f"#   {'column':<{width}}  holds",
    ]
    for each in look.columns:
        note = "the target" if each is wanted else used.get(each.role, "")
        lines.append(f"#   {each.name:<{width}}  {each.said}{f': {note}' if note else ''}")
    return [*lines, ""]


def _model(
    name: str,
    wanted: Look,
    embedded: list[Look],
    features: int | None,
    names: dict[str, str],
    is_class: bool,
) -> list[str]:
    """Return the lines of the declarations and the model.

    `features` is the size of `x`: 0 if there is no `x`, None if it follows from the data.
    """
    label, has_x = names[wanted.name], features != 0
    sizes = [f"{names[each.name]}_words" for each in embedded]
    size = " = 1" if features else ""
    lines = [f"dim features{size}                 # the width of `x`"] * has_x
    lines += [f"dim {size}" for size in sizes]
    if is_class:
        lines.append(f"dim {label}_classes")
    lines.append("dim hidden = 64              # `specc train FILE hidden=128` tries another width")
    if not is_class:
        lines.append(f"const center = {wanted.center:.6g}    # mean of `{wanted.name}`,")
        lines.append(f"const spread = {wanted.spread:.6g}    # and its deviation")
    lines += ["", f"model {name} {{"]
    lines += ["  input  x: float[features]"] * has_x
    for each, size in zip(embedded, sizes, strict=True):
        lines.append(f"  input  {names[each.name]}: class({size})")
    kind = f"class({label}_classes)" if is_class else "float"
    lines += [f"  target {label}: {kind}", ""]
    values = ["x"] * has_x + [f"embed({names[each.name]}; 8)" for each in embedded]
    start = values[0]
    if len(values) > 1:
        lines.append(f"  let all_inputs = concat({', '.join(values)})")
        start = "all_inputs"
    layers = f"{start} -> 2 * (dense(hidden) -> relu -> dropout(0.1))"
    if is_class:
        lines += [
            f"  let scores = {layers} -> dense({label}_classes)",
            "",
            "  output scores",
            f"  loss   cross_entropy(scores, {label})",
            f"  metric accuracy(scores, {label})",
            *([f"  metric macro_f1(scores, {label})"] if wanted.has_rare else []),
        ]
    else:
        lines += [
            f"  let standard = {layers} -> dense(1) -> flatten",
            "  let guess = center + spread * standard[0]",
            "",
            "  output guess",
            f"  loss   squared_error = ((guess - {label}) / spread) ^ 2",
            f"  metric mae(guess, {label})",
        ]
    return [*lines, "}", ""]


def _train(
    look: TableLook,
    file: str,
    wanted: Look,
    wide: list[Look],
    embedded: list[Look],
    names: dict[str, str],
) -> list[str]:
    label = names[wanted.name]
    is_class, formula = is_classes(wanted, look.rows), wanted.form
    if wanted.holds != "numbers":
        formula = ""
    elif is_class and not wanted.is_counted:
        formula = f"class({wanted.form or raw_name(wanted.name)})"
    settings = []
    if label != wanted.name and not formula:
        settings.append(f'{label} = "{wanted.name}"')
    if wanted.gaps:
        settings.append('missing = "drop"')
    call = source(look.path, None)
    given = "; ".join([f'"{file}"', *([", ".join(settings)] if settings else [])])
    lines = ["train {", f"  data      {call.word}({given})"]
    if wide:
        parts = [part for each in wide for part in parts_of(each)]
        if len(parts) == 1:
            lines.append(f"  column    x = {parts[0]}")
        else:
            lines += ["  column    x = concat(", *(f"    {each}," for each in parts[:-1])]
            lines += [f"    {parts[-1]}", "  )"]
    if formula:
        lines.append(f"  column    {label} = {formula}")
    for each in embedded:
        name = names[each.name]
        formula = f"class({raw_name(each.name)}; unknown = true, least = 5)"
        lines.append(f"  column    {name} = {formula}")
    if is_class and wanted.has_rare:
        word, share = wanted.rarest
        named = raw_name(wanted.name)
        column = named.removeprefix("columns(").removesuffix(")")
        lines += [
            f"  # Only {share:.2g} of the rows are `{word}`. Without this, accuracy is higher,",
            "  # and rare classes are hardly found.",
            f"  stratify = {column}    # each part has the same share of each class",
            f"  balance  = {label}    # all classes count alike in the loss",
            "  monitor  = macro_f1    # the mean of the classes' F1 chooses the best epoch",
        ]
    batch = 128 if look.rows >= 2000 else 32 if look.rows >= 500 else 16
    steps = max(1, 4 * look.rows // (5 * batch))  # of an epoch, which are few for a small table
    epochs = min(max(60, 1000 // steps), max(8, 4000 // steps), 200)
    patience = min(max(10, 200 // steps), 40)
    lines += [
        "  validate  split = 0.8        # 20% of the rows measure how good the model is",
        "  optimizer adamw(lr = cosine(0.003, 0), weight_decay = 0.01)",
        f"  epochs   = {epochs}",
        f"  batch    = {batch}",
        f"  patience = {patience:<18}# stops when the validation loss no longer falls",
        "}",
    ]
    return lines
