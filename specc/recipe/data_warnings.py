"""Warnings about readable data from which a model cannot learn well.

    large_batch(recipe, 50)        # a `large-batch` warning if a batch has room for more than 50

`specc check` issues them for the declarations of a file, and the survey of the data for its values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from specc.diagnostics import Diagnostic, Label
from specc.recipe.binding import port_type
from specc.recipe.recipe import DataCall, Port, Recipe
from specc.recipe.sources import SOURCES
from specc.source import Span
from specc.system.records import dataclass


@dataclass(frozen=True)
class Reach:
    """The range of a function's values; `subject` starts a sentence about it."""

    subject: str  # such as "`sigmoid` gives"
    low: float
    high: float
    span: Span  # where the function is used


def large_batch(recipe: Recipe, count: int) -> Diagnostic | None:
    """Return the warning about a batch with more room than there are examples."""
    span = recipe.spans.get("batch") or (recipe.data.span if recipe.data else None) or recipe.span
    if recipe.examples_per_step <= count or span is None:
        return None
    return Diagnostic(
        "large-batch",
        "warning",
        f"a batch of {recipe.examples_per_step:,} is larger than the training data, which has"
        f" {count:,} example{'s' * (count > 1)}",
        span,
        help=f"an epoch would be a single step; `batch = {count // 10}` makes it"
        f" {-(-count // (count // 10))}"
        if count >= 10
        else f"`batch = {count}` has all examples",
    )


def large_data(recipe: Recipe, needed: int, there: int) -> Diagnostic | None:
    """Return the warning about data that takes `needed` bytes, where memory has only `there`."""
    data = recipe.data
    if data is None or data.span is None or needed <= there:
        return None
    quarter = max(1, there // 4_000_000)
    digits = 10 ** max(0, len(str(quarter)) - 2)
    return Diagnostic(
        "large-data",
        "warning",
        f"the examples take at least {needed / 1e9:,.1f} GB as numbers, but this machine has"
        f" {there / 1e9:,.1f} GB",
        data.span,
        help=f"`memory = {quarter // digits * digits}` in `train` reads them from the disk while"
        " the model trains",
    )


def same_data(recipe: Recipe, is_same: Callable[[str, str], bool]) -> list[Diagnostic]:
    """Return the warnings about validation and test data that is the training data.

    Two calls have the same data if they have a file in common, as `is_same` says of two names, or
    name the same source without files.
    """
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
                f"the {what} data is the training data, so its results do not apply to new"
                " examples",
                call.span,
                (Label(data.span, "the training data"),) if data.span is not None else (),
                help="`validate split = 0.9` trains on 90% of the data and validates on the rest"
                if name == "validate"
                else "use a file with other examples",
            )
        )
    return found


def missing_classes(call: DataCall, port: Port, missing: Sequence[int]) -> Diagnostic | None:
    """Return the warning about classes that no example has; `missing` lists them in order."""
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
    """Return the warning about an unscaled input; `what` completes its message."""
    data = recipe.data
    if port.span is None or data is None:
        return None
    formula = next((each.formula for each in recipe.columns if each.name == port.name), None)
    if data.word in ("idx", "images", "cifar10", "npy", "npz") and formula is None:
        help_ = f"`scale = 1/255` in `{data.word}` scales bytes to the range 0 to 1"
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


def padded(recipe: Recipe, port: Port, count: int, of: int) -> Diagnostic | None:
    """Return the warning about series of which `count` end in zeros, as if these were values."""
    data = recipe.data
    if port.span is None or data is None:
        return None
    labels = (Label(data.span, "this data"),) if data.span is not None else ()
    return Diagnostic(
        "padded",
        "warning",
        f"{count:,} of {of:,} examples of `{port.name}` end in zeros, so padding counts as values",
        port.span,
        labels,
        ("zeros are nowhere else in them, and their numbers differ",),
        f"declare `[<= {port.sequence}]`, and end shorter examples with NaN; in Python, give a list"
        " of arrays",
    )


def unreachable(port: Port, reach: Reach, place: str, value: float) -> Diagnostic | None:
    """Return the warning about a target outside the range of the output it is compared with."""
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
        f"scale the targets in the data to {what}, or change the output",
    )
