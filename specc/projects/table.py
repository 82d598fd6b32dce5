"""Writes a first model for a table: each column that was looked at becomes an input.

    found = looked_at(Path("houses.csv"))               # see `specc.projects.look`
    text = model_for(found, "houses", target=None)      # the text of houses.dl

Words become one-hot vectors, or an embedding if there are many. Numbers are standardized. Dates
become days, months and weekdays. Gaps are filled and marked. Columns that identify rows are left
out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from unicodedata import normalize

from specc.diagnostics import closest
from specc.frontend.syntax.grammar import tables
from specc.projects.look import FEW_WORDS, Look, TableLook, raw_name
from specc.runtime.given import source

FEW_CLASSES = 20  # largest number of distinct integers that are treated as classes
OF_A_CLASS = 5  # least mean number of rows of each integer that is treated as a class
USUAL_TARGETS = (
    "target", "label", "class", "y", "outcome", "result", "species", "kind", "price", "churn",
    "survived", "quality",
)  # fmt: skip


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
