"""From rules to nodes, for formulas with indices: `let y[k] = ...`, `sum(i: ...)`.

IndexBuilder is the part of `Builder` for them. In the parentheses of a call, only indices may
precede a colon; anything else is reported here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from specc.diagnostics import Edit, Fix, Report
from specc.frontend.syntax import ast
from specc.source import Source, Span

REDUCTIONS = (
    "sum", "mean", "max", "min", "prod", "any", "all", "norm", "logsumexp", "softmax",
    "log_softmax", "argmax", "argmin", "concat",
)  # fmt: skip
"""The functions that reduce a formula over indices: `sum(i: x[i])`."""


class Token(NamedTuple):
    """A piece of the text. `kind` is the text itself, or NAME, NUMBER, STRING, ERROR, $END.

    In a token of the kind BROKEN, `text` is the node in place of what could not be parsed.
    """

    kind: str
    text: Any
    start: int
    end: int


class Reduced(NamedTuple):
    """The content of the parentheses of `sum(i, j; i != j: formula)`."""

    indices: tuple[Any, ...]
    conditions: tuple[Any, ...]
    colon: Token
    value: Any


def is_name(part: Any) -> bool:
    return type(part) is Token and part.kind == "NAME"


def nodes(parts: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(part for part in parts if isinstance(part, ast.Node))


def has_semicolon(parts: Iterable[Any]) -> bool:
    return any(type(part) is Token and part.kind == ";" for part in parts)


def around_semicolon(parts: Iterable[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    before: tuple[Any, ...] = ()
    after: tuple[Any, ...] = ()
    is_after = False
    for part in parts:
        if type(part) is list:
            if is_after:
                after = nodes(part)
            else:
                before = nodes(part)
        elif part.kind == ";":
            is_after = True
    return before, after


def listed(words: Iterable[str], joint: str) -> str:
    """Return words as a list in a sentence: "`a`, `b` and `c`"."""
    *most, last = [f"`{word}`" for word in words]
    return f"{', '.join(most)} {joint} {last}" if most else last


class IndexBuilder:
    """The rules for indices; `Builder` has the others."""

    source: Source
    report: Report

    def name(self, token: Token) -> ast.Name:
        return ast.Name(token.text, Span(self.source, token.start, token.end))

    def _statement(self, cls: type[Any], span: Span, *fields: Any) -> Any:
        raise NotImplementedError

    def let_indexed(
        self, span: Span, _: Token, name: Token, opening: Token, indices: Any, *rest: Any
    ) -> Any:
        names = (self.name(name),)
        return self._statement(ast.Let, span, names, nodes(indices), rest[-1])

    def bind(self, span: Span, name: Token, *rest: Any) -> ast.Bind:
        start, stop = (rest[1], rest[3]) if rest else (None, None)
        return ast.Bind(self.name(name), start, stop, span)

    def call(self, span: Span, word: Any, arguments: Any) -> ast.Call | ast.Over:
        if isinstance(arguments, Reduced) and word.text in REDUCTIONS:
            return self._over(span, word, arguments)
        if isinstance(arguments, Reduced) and _reads_what_it_binds(arguments):
            colon = Span(self.source, arguments.colon.start, arguments.colon.end)
            self._no_indices(word, colon)
            return ast.Over(word, (), (), arguments.value, span)
        inputs, settings, has_semicolon = self._without_indices(word, arguments)
        return ast.Call(word, inputs, settings, has_semicolon, span)

    def _over(self, span: Span, word: ast.Path, given: Reduced) -> ast.Over:
        indices = tuple(self._index(each) for each in given.indices)
        conditions = tuple(self._index(each) for each in given.conditions)
        for each in conditions:
            if isinstance(each, ast.Bind):
                self.report.error(
                    "syntax",
                    "indices must be bound before the semicolon; only conditions follow it",
                    each.span,
                    help=f"write `{word.text}({each.name.text}, ...: ...)`",
                )
        return ast.Over(word, indices, conditions, given.value, span)

    def _index(self, argument: Any) -> Any:
        """Return an item before the colon of a reduction: an index or a condition."""
        if isinstance(argument, ast.Bind):
            return argument
        if argument.name is not None:
            self.report.error(
                "syntax",
                f"only indices may precede the `:`, but `{argument.name.text} = ...` is a setting",
                argument.span,
                help="`i in 0:3` sets the range of an index",
            )
        value = argument.value
        is_name = isinstance(value, ast.Path) and len(value.names) == 1
        return ast.Bind(value.names[0], None, None, value.span) if is_name else value

    def _without_indices(self, word: Any, arguments: Any) -> tuple[Any, Any, bool]:
        """Return the arguments of a function that binds no indices; report a colon in them."""
        inputs: Any
        settings: Any
        if isinstance(arguments, Reduced):
            inputs, settings = arguments.indices, arguments.conditions
            has_semicolon = bool(settings)
            last = (settings or inputs)[-1]
            self._colon_in_arguments(word, last, arguments)
            if isinstance(last, ast.Argument) and isinstance(last.value, ast.Path):
                last = ast.Argument(last.value.names[0], arguments.value, last.span)
            if settings:
                settings = (*settings[:-1], last)
            else:
                inputs = (*inputs[:-1], last)
        else:
            inputs, settings, has_semicolon = arguments
        kept = []
        for part in (inputs, settings):
            for each in part:
                if isinstance(each, ast.Bind) and not isinstance(arguments, Reduced):
                    self._index_without_colon(word, each)
            kept.append(
                tuple(
                    ast.Argument(None, ast.Path((each.name,), each.name.span), each.span)
                    if isinstance(each, ast.Bind)
                    else each
                    for each in part
                )
            )
        return kept[0], kept[1], has_semicolon

    def _index_without_colon(self, word: ast.Path, index: ast.Bind) -> None:
        self.report.error(
            "syntax",
            f"`{index.name.text}` has a range, but no formula follows it",
            index.span,
            help=f"add a formula after a colon: `sum({index.span.text}: ...)`",
        )

    def _colon_in_arguments(self, word: ast.Path, last: Any, arguments: Reduced) -> None:
        colon = Span(self.source, arguments.colon.start, arguments.colon.end)
        is_name = isinstance(last, ast.Argument) and isinstance(last.value, ast.Path)
        if is_name and word.text not in REDUCTIONS:
            self.report.error(
                "syntax",
                f"`{last.span.text}` is set with `=`, not `:`",
                colon,
                fixes=[Fix("write `=`", (Edit(colon, "="),))],
            )
            return
        self._no_indices(word, colon)

    def _no_indices(self, word: ast.Path, colon: Span) -> None:
        self.report.error(
            "syntax",
            f"`{word.text}` takes no indices",
            colon,
            help=f"{listed(REDUCTIONS, 'and')} take them, as in `sum(i: x[i])`, not in pipelines",
        )

    def over(self, span: Span, *parts: Any) -> Reduced:
        *given, colon, value, _ = parts
        return Reduced(*around_semicolon(given), colon, value)


def _reads_what_it_binds(given: Reduced) -> bool:
    """Return whether an item before the colon is used as an index in the formula after it."""
    last = (given.conditions or given.indices)[-1]
    name = last.name if isinstance(last, ast.Bind) else getattr(last.value, "text", None)
    items = [
        item for each in ast.walk(given.value) if isinstance(each, ast.Index) for item in each.items
    ]
    paths = [p.text for item in items for p in ast.walk(item) if isinstance(p, ast.Path)]
    return str(name) in paths
