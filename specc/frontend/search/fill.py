"""A file with values in place of its searches: as a tree, and as text.

In the tree every node keeps its location in the file, at which errors are shown. The text is the
model of a trial.
"""

from __future__ import annotations

from collections.abc import Mapping

from specc.diagnostics import Report
from specc.frontend.program.uses import words_of
from specc.frontend.search.find import searches
from specc.frontend.search.space import Chosen, Search, Space
from specc.frontend.syntax import ast
from specc.frontend.syntax.lex import lex
from specc.source import Source, Span

Values = Mapping[str, Chosen]


def filled(space: Space, values: Values, file: ast.File | None = None) -> ast.File:
    """Return the tree with a value for each search; the default is its first value."""
    return _Filler(space, values).file(file or space.file)


def written(space: Space, values: Values) -> str:
    """Return the text of the file with a value for each search, as in `filled`.

    A file in the layout of `specc fmt` is written in that layout.
    """
    from specc.frontend.layout.format import formatted

    source = space.file.source
    text = _Writer(space, values).text(0, len(source.text))
    is_tidy = formatted(source) == source.text
    return formatted(Source(source.name, text)) if is_tidy else text


def value_of(search: Search, values: Values) -> Chosen:
    """Return the given value of a search, or else its first one."""
    return values.get(search.name, search.corners[0])


def shown(value: Chosen) -> str:
    """Return a value as the language writes it."""
    return value if isinstance(value, str) else repr(value)


def decided(
    file: ast.File,
    overrides: Mapping[str, str | int | float],
    report: Report,
    values: Values | None,
) -> ast.File | None:
    """Return a file with values for its searches; None after an error in one of them.

    Without `values`, a search that no override replaces is an error.
    """
    before = len(report.errors)
    space = searches(file, words_of(file), report, overrides)
    for each in space.searches if values is None else ():
        key = f"`{each.key}=...` sets its value, and " if each.key else ""
        report.error(
            "open-search",
            f"`{each.name}` is a search and has no value yet",
            each.call.span,
            help=f"{key}`specc sweep` tries its values",
        )
    return None if len(report.errors) > before else filled(space, values or {})


class _Filler:
    def __init__(self, space: Space, values: Values) -> None:
        self.values = values
        self.searches = {each.call: each for each in (*space.searches, *space.overridden)}

    def file(self, file: ast.File) -> ast.File:
        found = self.node(file)
        assert isinstance(found, ast.File)
        return found

    def node(self, node: ast.Node, is_word: bool = False) -> ast.Node:
        if isinstance(node, ast.Call) and node in self.searches:
            return self._chosen(self.searches[node], is_word)
        changed, fields = False, []
        for each in ast.fields_of(node):
            old = getattr(node, each.name)
            new = old if each.name == "comments" else self._field(old, each.name)
            changed |= new is not old
            fields.append(new)
        return type(node)(*fields) if changed else node

    def _field(self, value, name: str):
        is_word = name in ("stages", "optimizer")
        if isinstance(value, ast.Node):
            return self.node(value, is_word)
        if isinstance(value, tuple):
            found = tuple(
                self.node(each, is_word) if isinstance(each, ast.Node) else each for each in value
            )
            is_same = all(new is old for new, old in zip(found, value, strict=True))
            return value if is_same else found
        return value

    def _chosen(self, search: Search, is_word: bool) -> ast.Node:
        value, call = value_of(search, self.values), search.call
        if search.range is not None:
            return _number(value, call.span)
        option = self.node(search.option(value))
        if call.options:
            assert isinstance(option, ast.Path)
            inputs = self._field(call.inputs, "inputs")
            settings = self._field(call.settings, "settings")
            return ast.Call(option, inputs, settings, call.has_semicolon, call.span)
        return _as_stage(option) if is_word else option


def _as_stage(option: ast.Node) -> ast.Node:
    """Return an option as a stage: a name, or a call whose arguments are settings."""
    if isinstance(option, ast.Path):
        return ast.Call(option, (), (), False, option.span)
    if isinstance(option, ast.Call) and not option.has_semicolon:
        settings = (*option.inputs, *option.settings)
        return ast.Call(option.word, (), settings, False, option.span, option.options)
    return option


def _number(value: Chosen, span: Span) -> ast.Expression:
    assert not isinstance(value, str)
    number = ast.Number(abs(value), repr(abs(value)), span)
    return ast.Unary(ast.Operator("-", span), number, span) if value < 0 else number


class _Writer:
    def __init__(self, space: Space, values: Values) -> None:
        self.values, self.source = values, space.file.source
        found = (*space.searches, *space.overridden)
        self.searches = sorted(found, key=lambda each: each.call.span.start)
        self.tokens = lex(self.source, Report()).tokens

    def text(self, start: int, end: int) -> str:
        """Return the text between two offsets with its searches replaced."""
        found, at = [], start
        for each in self.searches:
            place = each.call.word.span.start
            if at <= place < end:
                stop = self._end(each)
                found += [self.source.text[at:place], self._replacement(each)]
                at = stop
        return "".join([*found, self.source.text[at:end]])

    def _end(self, search: Search) -> int:
        """Return where a search ends; the settings of a chosen function follow it."""
        if not search.call.options:
            return search.call.span.end
        last = search.options[-1].span.end
        return next(each.end for each in self.tokens if each.start >= last and each.kind == ")")

    def _replacement(self, search: Search) -> str:
        value = value_of(search, self.values)
        if search.range is not None:
            text, is_loose = shown(value), not isinstance(value, str) and value < 0
        else:
            option = search.option(value)
            text = self.text(option.span.start, option.span.end)
            loose = ast.Unary | ast.Binary | ast.Conditional | ast.Pipeline
            is_loose = isinstance(option, loose)
        return f"({text})" if is_loose and not search.is_alone else text
