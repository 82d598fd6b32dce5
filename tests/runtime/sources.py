"""Data sources in recipes, and the errors of those that do not fit."""

from __future__ import annotations

import pytest

from specc.diagnostics import SpecError
from specc.recipe import DataCall, Port, Recipe
from specc.runtime.data import load
from specc.runtime.errors import DataError
from specc.source import Source, Span

X = Port("x", "input", "float", (2,))
Y = Port("y", "target", "class", (), 3)


def recipe(word, *arguments, validate=None, test=None, seed=0, **settings):
    """Return a recipe with one source, whose spans are in a separate file."""
    source = Source("a.dl", f"data {word}()")
    span = Span(source, 5, len(source.text))
    spans = tuple(span for _ in arguments)
    return Recipe(DataCall(word, arguments, settings, span, spans), validate, test, seed=seed)


def columns(folder, ports, word, *arguments, **settings):
    return load(recipe(word, *arguments, **settings), ports, folder).training.columns


def refusal(folder, ports, word, *arguments, **settings) -> str:
    """Return the text of an error: the messages with help and notes."""
    with pytest.raises(DataError) as caught:
        load(recipe(word, *arguments, **settings), ports, folder)
    assert isinstance(caught.value, SpecError)
    for each in caught.value.diagnostics:
        assert each.name in ("data", "missing-data") and each.severity == "error"
        assert each.span.source.name == "a.dl"
    return "\n".join(
        f"{each.message}\n{each.help or ''}\n{' '.join(each.notes)}"
        for each in caught.value.diagnostics
    )


def write_csv(folder, text, name="a.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return name
