"""Names that nothing uses: values, layers, parameters, inputs, sizes.

let h = x -> dense(3)       # warning[unused], if no output, loss or metric depends on `h`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from specc.diagnostics import Report
from specc.frontend.syntax import ast


def unused(file: ast.File, model: ast.Model | None, report: Report) -> None:
    mentions = cache(_mentions)  # each statement is looked at twice
    for definition in file.definitions:
        body = getattr(definition, "body", None)
        if isinstance(definition, ast.Model):
            roots: list[ast.Node] = [
                s for s in definition.body if isinstance(s, (ast.Output, ast.Loss, ast.Metric))
            ]
            if roots:
                _unused_in(definition.body, roots, "no output, loss or metric", mentions, report)
        elif body and isinstance(definition, (ast.Fn, ast.Block, ast.Cell, ast.Optimizer)):
            roots = [s for s in body if isinstance(s, (ast.Return, ast.Next))]
            _unused_in(body, roots, "nothing that is returned", mentions, report)
    numbers = [each for each in file.definitions if isinstance(each, (ast.Dim, ast.Seq, ast.Const))]
    if model is None or not numbers:
        return
    parts = (part for each in file.definitions for part in ast.children(each))
    used = {name for part in parts for name in mentions(part)}
    for definition in numbers:
        if definition.name.text not in used:
            word = type(definition).__name__.lower()
            report.warning(
                "unused",
                f"nothing uses the {word} `{definition.name}`",
                definition.name.span,
                help="changing it would change nothing",
            )


def _unused_in(
    body: Iterable[ast.Statement],
    roots: Iterable[ast.Node],
    what: str,
    mentions: Callable[[ast.Node], list[str]],
    report: Report,
) -> None:
    """Report the names of a body that its roots do not reach."""
    meaning: dict[str, ast.Statement] = {}
    for statement in body:
        for name in _names(statement):
            meaning.setdefault(name.text, statement)
    reached: set[str] = set()
    waiting: list[ast.Node] = list(roots)
    while waiting:
        for used in mentions(waiting.pop()):
            if used in meaning and used not in reached:
                reached.add(used)
                waiting.append(meaning[used])
    for statement in body:
        names = _names(statement)
        if names and not any(each.text in reached or each.text.startswith("_") for each in names):
            kind = type(statement).__name__.lower()
            kind = {"let": "value", "param": "parameter"}.get(kind, kind)
            report.warning(
                "unused",
                f"{what} depends on the {kind} `{names[0]}`",
                names[0].span,
                help=(
                    "use it or remove it"
                    if kind != "input"
                    else "use it or remove it: the data need not have it"
                ),
            )


def _names(statement: ast.Statement) -> tuple[ast.Name, ...]:
    if isinstance(statement, ast.Let):
        return statement.names
    if isinstance(statement, (ast.Input, ast.Target, ast.Stream, ast.Param, ast.Layer)):
        return (statement.name,)
    return ()


def _mentions(node: ast.Node) -> list[str]:
    """Return the first names of all paths in a node."""
    return [each.names[0].text for each in ast.walk(node) if type(each) is ast.Path]
