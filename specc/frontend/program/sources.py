"""The data of a `train` block: sources, and the parts that are split off.

In: `ast.Data`, `ast.Validate` or `ast.Test`. Out: a `DataCall`, or the share of a part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specc.diagnostics import closest, spelled
from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import POISON, describe
from specc.frontend.syntax import ast
from specc.frontend.words.messages import SOURCE_SYNONYMS
from specc.recipe import DataCall, Port
from specc.recipe.call_errors import call_errors, misfits
from specc.recipe.sources import SOURCES
from specc.source import Span


def source_or_share(
    frame: BodyFrame, statement: ast.Data | ast.Validate | ast.Test, ports: list[Port]
) -> DataCall | float | None:
    """Return a source, or the held-out share: 0.1 for `split = 0.9`."""
    if statement.source is not None:
        return _data_call(frame, statement.source, ports)
    assert not isinstance(statement, ast.Data), "data has a source; please report this"
    assert statement.split is not None, "a part is split off, or has a source; please report this"
    value = evaluate(frame, statement.split)
    if value is POISON:
        return None
    is_good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1
    if not is_good or not isinstance(value, int | float):
        frame.error(
            "bad-setting",
            f"`split` must be a number between 0 and 1, not {describe(value)}",
            statement.split.span,
            help="`split = 0.9` trains on 90% of the data",
        )
        return None
    return round(1 - value, 12)


def _data_call(frame: BodyFrame, tree: ast.Call, ports: list[Port]) -> DataCall | None:
    """Return a data source, `idx("images.gz", "labels.gz"; scale = 1/255)`, with its values."""
    word = tree.word.text
    if word not in SOURCES:
        near = closest(word, SOURCES, SOURCE_SYNONYMS)
        fixes = spelled(near, tree.word.span)
        listed = ", ".join(f"`{each}`" for each in SOURCES)
        frame.error(
            "unknown-name",
            f"unknown data source `{word}`",
            tree.word.span,
            fixes=fixes,
            help=f"did you mean `{near}`?" if near else f"there are {listed}",
        )
        return None
    positional, settings, spans = [], {}, []
    names: dict[str, Span] = {}
    values: dict[str, Span] = {}
    good = True
    for argument in (*tree.inputs, *tree.settings):
        value = _choice(word, argument) or evaluate(frame, argument.value)
        if value is POISON:
            good = False
        elif not isinstance(value, (int, float, str)):
            frame.error(
                "wrong-kind",
                f"a data source takes strings and numbers, not {describe(value)}",
                argument.value.span,
            )
            good = False
        elif argument.name is None:
            positional.append(value)
            spans.append(argument.value.span)
        else:
            name = argument.name.text
            frame.once(names, name, argument.name.span)
            settings[name] = value
            values[name] = argument.value.span
    call = DataCall(word, tuple(positional), settings, tree.span, tuple(spans), values)
    for wrong in call_errors(call, ports):
        place = tree.span
        if wrong.argument is not None:
            place = spans[wrong.argument]
        elif wrong.setting is not None:
            place = (names if wrong.name == "unknown-setting" else values)[wrong.setting]
        elif not good:
            continue  # it is treated as a missing argument
        near = wrong.near
        fixes = spelled(near, place)
        frame.error(
            wrong.name,
            wrong.message,
            place,
            notes=wrong.notes,
            help=wrong.help,
            fixes=fixes,
        )
    return call


def _choice(word: str, argument: ast.Argument) -> str | None:
    """Return the option of a setting that is written without quotes: `level=char`."""
    known = SOURCES[word].all_settings(()) if argument.name is not None else {}
    setting = known.get(argument.name.text) if argument.name is not None else None
    tree = argument.value
    if (
        setting is None
        or not setting.words
        or not isinstance(tree, ast.Path)
        or len(tree.names) > 1
    ):
        return None
    return tree.text if tree.text in setting.words else None


def check_parts(frame: BodyFrame, known: dict[str, Any], spans: dict[str, Span]) -> None:
    """Report parts that are split off without data."""
    for what, part in (("validate", "validation"), ("test", "test")):
        if isinstance(known.get(what), float) and "data" not in known:
            frame.error(
                "misplaced",
                f"`split` needs `data`, from which the {part} part is taken",
                spans[what],
                help='name the data, as in `data csv("train.csv")`; in Python,'
                f" `specc.train(FILE, data=frame, {what}=0.2)` needs no `{what}` here",
            )


def check_sources(frame: BodyFrame, ports: list[Port], calls: Sequence[Any]) -> None:
    """Report data sources that do not fit the model's ports."""
    for call in calls:
        if isinstance(call, DataCall) and not call_errors(call, ports):
            for wrong in misfits(call, ports):
                assert call.span is not None, "a source has a location; please report this"
                frame.error(wrong.name, wrong.message, call.span, help=wrong.help)
