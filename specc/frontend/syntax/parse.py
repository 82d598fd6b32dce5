"""From source text to the syntax tree.

In: a source. Out: an `ast.File`, and a diagnostic for each syntax error. A statement that could not
be parsed is an `ast.Broken` in the tree.

    file, diagnostics = parse(Source("a.dl", "dim n = 3"))
    file.definitions        # (Dim(name=Name(text='n'), value=Number(value=3, text='3')),)

`parser.py` has the automaton. After an error, `errors.py` reports it and decides where to continue.
"""

from __future__ import annotations

from dataclasses import replace

from specc.diagnostics import Diagnostic, Report
from specc.frontend.syntax import ast
from specc.frontend.syntax.build import DEEPEST
from specc.frontend.syntax.build_indices import Token
from specc.frontend.syntax.lex import MOST
from specc.frontend.syntax.parser import DEFINITIONS, STATEMENTS, Parser
from specc.source import Source


def parse(
    source: Source, start: int = 0, end: int | None = None
) -> tuple[ast.File, list[Diagnostic]]:
    """Return the tree of a source and its syntax errors, in the order of the text.

    With `start` and `end`, only the definitions between these offsets are parsed.
    """
    report = Report()
    file = _file(Parser(source, report, start, end))
    found = report.diagnostics
    if len(found) > MOST:
        message = f"this file has more than {MOST} errors; the first {MOST} are shown"
        found[MOST:] = [Diagnostic("syntax", "error", message, found[MOST].span)]
    return file, found


def _file(parser: Parser) -> ast.File:
    """Feed all tokens to a parser, and return the tree."""
    tokens = parser.tokens
    too_deep = _too_deep(tokens)
    recovery = None
    at = 0
    while at < len(tokens):
        if at not in too_deep and parser.feed(tokens[at]):
            at += 1
            continue
        if recovery is None:  # only files with errors need these imports
            from specc.frontend.syntax import errors
            from specc.frontend.syntax.recovery import Recovery

            recovery = Recovery(parser)
        at = recovery.nested_too_deep(at) if at in too_deep else errors.after(recovery, at)
    file = parser.values[-1]
    assert isinstance(file, ast.File), "the parser ended without a file; please report this"
    return replace(file, comments=tuple(parser.comments))


def _too_deep(tokens: list[Token]) -> set[int]:
    """Return the outermost opening brackets that are nested too deeply."""
    found = set()
    depth = 0
    for at, token in enumerate(tokens):
        kind = token.kind
        if kind == "(" or kind == "[":
            depth += 1
            if depth == DEEPEST + 1:
                found.add(at)
        elif kind == ")" or kind == "]":
            depth = max(0, depth - 1)
        elif kind == "{" or kind == "}" or kind in STATEMENTS or kind in DEFINITIONS:
            depth = 0
    return found
