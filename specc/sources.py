"""The sources of data that `train` may name: the files and settings that each takes.

    SOURCES["idx"].files                  # ("the file of the images", "the file of the labels")
    mistakes(DataCall("idx", ()), ())     # [Wrong("wrong-arguments", "`idx` takes the file ...")]

`specc check` asks here before anything runs, and the reader of a source before it reads; what the
files hold is the reader's business.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specc.diagnostics import Diagnostic, Label, closest
from specc.recipe import DataCall, Port, Recipe
from specc.recipe.settings import Setting
from specc.recipe.sources import FRAME, SOURCES, TEXT, DataSource, source_of
from specc.source import Span

__all__ = [
    "FRAME",
    "SOURCES",
    "TEXT",
    "DataSource",
    "Reach",
    "Setting",
    "misfits",
    "mistakes",
    "nearest_file",
    "source_of",
]


# What the field calls the settings of sources.
SETTING_SYNONYMS = {
    "sep": "separator", "delimiter": "separator", "delim": "separator", "na": "missing",
    "na_values": "missing", "nan": "missing", "rescale": "scale", "normalize": "scale",
    "divide": "scale", "offset": "shift", "usecols": "columns", "features": "columns",
    "inputs": "columns", "mode": "level", "tokens": "level", "tokenizer": "level",
    "num_words": "limit", "max_words": "limit", "vocab_size": "limit", "max_tokens": "limit",
    "unk": "unknown", "oov": "unknown", "oov_token": "unknown",
}  # fmt: skip
NO_DATA = (".dl", ".py", ".md")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a call: with one of its arguments, with a setting, or as a whole."""

    name: str  # of the diagnostic
    message: str
    help: str | None = None
    argument: int | None = None
    setting: str | None = None
    near: str | None = None  # what is probably meant in the place of the setting
    notes: tuple[str, ...] = ()


def mistakes(call: DataCall, ports: Sequence[Port]) -> list[Wrong]:
    """What is wrong with the call of a source that there is, for a model with such ports."""
    source, found = source_of(call.word), []
    count, most = len(call.arguments), len(source.files)
    if source.more_files:
        most = max(most, count)
    if not most - source.optional <= count <= most:
        takes = " and ".join(source.files) or "no file"
        has = f"{count} argument" + ("" if count == 1 else "s") if count else "none"
        found.append(Wrong("wrong-arguments", f"`{call.word}` takes {takes}, but has {has}",
                           argument=most if count > most else None))  # fmt: skip
    for position, each in enumerate(call.arguments[:most] if call.word != FRAME else ()):
        if not isinstance(each, str) or not each:
            given = f"`{each}`" if each != "" else "an empty text"
            found.append(
                Wrong(
                    "wrong-arguments",
                    f"`{call.word}` takes the name of a file here, not {given}",
                    "put the name between quotes",
                    argument=position,
                )
            )
        elif URL.match(each):
            found.append(
                Wrong(
                    "wrong-arguments",
                    f"`{call.word}` reads files, not addresses such as `{each}`",
                    "fetch the file first and name it here: a training does not change with what a"
                    " server sends",
                    argument=position,
                )
            )
    known = source.all_settings(ports)
    for name, value in call.settings.items():
        if name not in known:
            near = closest(name, known, SETTING_SYNONYMS)
            listed = ", ".join(f"`{each}`" for each in known.values())
            listed = f"its settings are {listed}" if listed else f"`{call.word}` has no settings"
            found.append(Wrong(
                "unknown-setting", f"`{call.word}` has no setting `{name}`",
                f"did you mean `{near}`?" if near else listed, setting=name, near=near,
                notes=(listed,) if near else (),
            ))  # fmt: skip
        elif (needed := known[name].wrong(value)) is not None:
            given = f'the string "{value}"' if isinstance(value, str) else f"`{str(value).lower()}`"
            help_ = "put it between quotes" if needed == "a string" and value != "" else None
            found.append(
                Wrong(
                    "bad-setting",
                    f"`{name}` of `{call.word}` is {needed}, not {given}",
                    help_,
                    setting=name,
                )
            )
    return found


def nearest_file(path: Path) -> str | None:
    """The name of the file beside `path` that was probably meant."""
    try:
        beside = list(path.parent.iterdir())
    except OSError:
        return None
    return closest(path.name, [each.name for each in beside if each.suffix not in NO_DATA])


def misfits(call: DataCall, ports: Sequence[Port]) -> list[Wrong]:
    """Return the ports that cannot take the fields of the source, as far as that is known ahead."""
    source = SOURCES[call.word]
    if not source.fields:
        return []
    names = source.fields if source.more_files else source.fields[: len(call.arguments)]
    names = names if source.files else source.fields
    bound = by_kind(names, ports)
    if bound.doubtful:
        listed = ", ".join(f"`{each}`" for each in bound.ports)
        return [
            Wrong(
                "wrong-kind",
                f"the {bound.doubtful}s of `{call.word}` could be any of {listed}",
                f"call the right one `{bound.doubtful}`, or take the data from an `npz`, with"
                " names",
            )
        ]
    found = []
    for port in ports:
        field = bound.fields.get(port.name)
        if field is None:
            message = f"`{call.word}` has nothing for `{port.name}: {port_type(port)}`"
            help_ = "it gives images to a `float` port and labels to a `class` port"
            if len(names) < len(source.fields):
                help_ = f"give it {source.files[len(names)]}, too"
            found.append(Wrong("wrong-kind", message, help_))
        elif (
            field == "image" and source.shape and not fits(source.shape, port.shape, is_image=True)
        ):
            listed = ", ".join(map(str, source.shape))
            found.append(
                Wrong(
                    "shape-mismatch",
                    f"`{call.word}` holds images of shape [{listed}], but"
                    f" `{port.name}` is {port_type(port)}",
                    f"declare `{port.name}: float[1, {listed}]`",
                )
            )
        elif (
            field == "label"
            and source.classes
            and port.kind == "class"
            and (isinstance(port.classes, int) and port.classes < source.classes)
        ):
            found.append(Wrong("shape-mismatch", f"`{call.word}` has {source.classes} classes, but"
                               f" `{port.name}` is {port_type(port)}",
                               f"declare `{port.name}: class({source.classes})`"))  # fmt: skip
    return found


@dataclass(frozen=True)
class Bound:
    """The field of each port, by the port's name; or a field that could go to any of `ports`."""

    fields: dict[str, str]
    doubtful: str = ""
    ports: tuple[str, ...] = ()


def by_kind(fields: Iterable[str], ports: Sequence[Port]) -> Bound:
    """Bind fields to ports: by name, else images to "float" and labels to "class" or "bool".

    A model without such a port may take the labels as a scalar "float".
    """
    fields = tuple(fields)
    bound = {port.name: port.name for port in ports if port.name in fields}
    for name in fields:
        if name in bound.values():
            continue
        free = [port for port in ports if port.name not in bound]
        if name == "image":
            fitting = [port for port in free if port.kind == "float" and port.shape]
        else:
            fitting = [port for port in free if port.kind in ("class", "bool")]
            fitting = fitting or [port for port in free if port.kind == "float" and not port.shape]
        if len(fitting) > 1:
            return Bound(bound, name, tuple(port.name for port in fitting))
        if fitting:
            bound[fitting[0].name] = name
    return Bound(bound)


def fits(shape: tuple[int, ...], wanted: tuple[Any, ...], is_image: bool) -> bool:
    """Whether examples of `shape` fit a port of shape `wanted`, which may have open sizes."""

    def without_ones(sizes: Iterable[object]) -> list[object]:
        return [size for size in sizes if size != 1]

    if not all(isinstance(size, int) for size in wanted):
        return True
    flat = is_image and len(wanted) == 1 and math.prod(shape) == wanted[0]
    return flat or without_ones(shape) == without_ones(wanted)


def port_type(port: Port) -> str:
    """The type of a port as a .dl file writes it: `float[1, 28, 28]`, `class(10)`."""
    kind = f"class({port.classes})" if port.kind == "class" else port.kind
    return f"{kind}[{', '.join(map(str, port.shape))}]" if port.shape else kind


# Doubts about data that fit


@dataclass(frozen=True)
class Reach:
    """From where to where the values reach that a word makes; `subject` begins a sentence on it."""

    subject: str  # "`sigmoid` gives"
    low: float
    high: float
    span: Span  # of the word's use


def large_batch(recipe: Recipe, count: int) -> Diagnostic | None:
    """The warning of a batch that has more room than there are examples."""
    span = recipe.places.get("batch") or (recipe.data.span if recipe.data else None) or recipe.span
    if recipe.batch <= count or span is None:
        return None
    return Diagnostic(
        "large-batch",
        "warning",
        f"a batch of {recipe.batch:,} is larger than the training data, which has {count:,}"
        f" example{'s' * (count > 1)}",
        span,
        help=f"an epoch would be a single step; `batch = {count // 10}` gives about ten"
        if count >= 10
        else f"`batch = {count}` holds all examples",
    )


def same_data(recipe: Recipe, is_same: Callable[[str, str], bool]) -> list[Diagnostic]:
    """The warnings of validation and test data that are the training data: one file in common, as
    `is_same` says of two names, or the same source without files."""
    found, data = [], recipe.data
    for name in ("validate", "test"):
        call = getattr(recipe, name)
        if (
            not isinstance(call, DataCall)
            or data is None
            or call.word != data.word
            or call.span is None
        ):
            continue
        pairs = [
            (a, b)
            for a in call.arguments
            for b in data.arguments
            if isinstance(a, str) and isinstance(b, str)
        ]
        if not any(is_same(a, b) for a, b in pairs) and (pairs or SOURCES[call.word].files):
            continue
        what = "validation" if name == "validate" else "test"
        found.append(
            Diagnostic(
                "same-data",
                "warning",
                f"the {what} data is the training data, so its results say nothing about new"
                " examples",
                call.span,
                (Label(data.span, "the training data"),) if data.span is not None else (),
                help="`validate split = 0.9` trains on 90% of the data and validates on the rest"
                if name == "validate"
                else "give it a file of examples that no other part has",
            )
        )
    return found


def missing_classes(call: DataCall, port: Port, missing: Sequence[int]) -> Diagnostic | None:
    """The warning of classes that no example has; `missing` are those, in order."""
    if not missing or port.span is None:
        return None
    held = port.class_count - len(missing)
    first = port.class_count - 1
    while first in missing:
        first -= 1
    if list(missing) == list(range(first + 1, port.class_count)):
        what = f"only classes 0 to {first}"
        help_ = f"declare `class({held})` if there are no others"
    elif missing[0] == 0 and len(missing) == 1:
        what = f"only classes 1 to {port.class_count - 1}"
        help_ = f"classes count from 0: subtract 1 in the data, and declare `class({held})`"
    else:
        shown = ", ".join(map(str, missing[:8])) + (", .." if len(missing) > 8 else "")
        what = f"no example of class {shown}"
        help_ = (
            f"number the {held} classes without gaps, or ignore this if more examples will follow"
        )
    labels = (Label(call.span, "this data"),) if call.span is not None else ()
    return Diagnostic(
        "missing-classes",
        "warning",
        f"the data contains {what}, but `{port.name}` is {port_type(port)}",
        port.span,
        labels,
        help=help_,
    )


def unscaled(recipe: Recipe, port: Port, what: str, notes: tuple[str, ...]) -> Diagnostic | None:
    """The warning of an input whose scale will hurt; `what` is said of it."""
    data = recipe.data
    if port.span is None or data is None:
        return None
    formula = next((each.formula for each in recipe.columns if each.name == port.name), None)
    if data.word in ("idx", "images", "cifar10", "npy", "npz") and formula is None:
        help_ = f"`scale = 1/255` in `{data.word}` brings bytes to 0 to 1"
    elif formula is not None and formula.span is not None:
        help_ = f"`column {port.name} = standardize({formula.span.text})` scales it"
    elif port.shape:
        help_ = f'`column {port.name} = standardize(columns(".."))` scales each element'
    else:
        help_ = f"`column {port.name} = standardize({port.name})` scales it"
    labels = (Label(data.span, "this data"),) if data.span is not None else ()
    return Diagnostic(
        "unscaled",
        "warning",
        f"`{port.name}` {what}, so training will be slow or diverge",
        port.span,
        labels,
        notes,
        help_,
    )


def unreachable(port: Port, reach: Reach, place: str, value: float) -> Diagnostic | None:
    """The warning of a target beyond what the output that it is compared with can become."""
    high = "" if math.isinf(reach.high) else f" .. {reach.high:g}"
    what = f"{reach.low:g}{high}" if high else f"{reach.low:g} or more"
    labels: tuple[Label, ...] = ()
    if port.span is not None:
        labels = (Label(port.span, f"`{port.name}` is declared here"),)
    return Diagnostic(
        "unreachable-target",
        "warning",
        f"{reach.subject} {what}, but its target `{port.name}` is {value:g} in the data",
        reach.span,
        labels,
        (f"{place}: {value:g}",),
        f"scale the targets to {what} where the data are made, or change the output",
    )
