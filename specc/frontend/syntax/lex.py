"""From text to tokens.

In: a source. Out: its tokens, its comments, and the doc comment above each declaration.

    lex(Source("a.dl", "dim n = 3  # sizes"), Report()).tokens
    # [Token("dim", "dim", 0, 3), Token("NAME", "n", 4, 5), Token("=", ...), Token("NUMBER", "3",
    # ...), $END]

A sign of another language is reported and read as its equivalent. Unknown characters become a token
of the kind ERROR, which no rule accepts.
"""

from __future__ import annotations

import re
from dataclasses import field
from functools import cache
from typing import Any

from specc.diagnostics import Edit, Fix, Report
from specc.frontend.syntax import ast
from specc.frontend.syntax.build_indices import Token
from specc.frontend.syntax.grammar import CONTEXTUAL, tables
from specc.source import Source, Span
from specc.system.records import dataclass

# Signs of other languages, and their equivalents.
FOREIGN = {
    "**": "^", "&&": "and", "||": "or", "!": "not", ":=": "=", "|>": "->",
    "→": "->", "×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "≤": "<=", "≥": ">=", "≠": "!=",
}  # fmt: skip

QUOTES = {"'": "'", "`": "`", "“": "”", "‘": "’"}

BEFORE_STATEMENTS = frozenset(["{", "}", ")", "]", "NAME", "NUMBER", "STRING", "true", "false"])
"""The kinds of tokens that may end the statement before another one, and `{`."""

MOST = 100
"""The most errors that are reported for one file; reading stops after so many."""


@dataclass(slots=True)
class Lexed:
    """The tokens of a file. `docs` maps offsets of declarations to their doc comments; `errors`
    are the offsets of ERROR tokens."""

    tokens: list[Token] = field(default_factory=list)
    comments: list[ast.Comment] = field(default_factory=list)
    docs: dict[int, str] = field(default_factory=dict)
    errors: list[int] = field(default_factory=list)


@cache
def _pattern() -> Any:  # `scanner` of a pattern has no type
    foreign = "|".join(map(re.escape, FOREIGN)).replace("!", "!(?!=)")
    return re.compile(f"(?P<FOREIGN>{foreign})|{tables().lexer}|(?P<OTHER>.)")


def lex(source: Source, report: Report, start: int = 0, end: int | None = None) -> Lexed:
    """Return the tokens of a source, or of the part between two offsets, followed by $END."""
    text = source.text if end is None else source.text[:end]
    lexed = Lexed()
    tokens, docs = lexed.tokens, []
    keywords = tables().keywords
    scan = _pattern().scanner(text, start).match
    add = tokens.append
    while piece := scan():
        kind = piece.lastgroup
        if kind == "SPACE":
            continue
        start, end = piece.span()
        word = text[start:end]
        if kind == "COMMENT":
            lexed.comments.append(ast.Comment(word, Span(source, start, end)))
            # a doc comment is alone on its lines, and belongs to the declaration below it
            if word.startswith("##") and not text[text.rfind("\n", 0, start) + 1 : start].strip():
                docs.append(word[2:].removeprefix(" ").rstrip())
            continue
        if docs:
            lexed.docs[start] = "\n".join(docs)
            docs.clear()
        if kind == "MARK" or word in keywords:
            add(Token(word, word, start, end))
        elif kind == "OTHER" or kind == "FOREIGN":
            if len(report) > MOST:
                break
            token = _unknown(source, report, start, end)
            if token.kind == "ERROR":
                lexed.errors.append(start)
            add(token)
            if token.end > end:
                scan = _pattern().scanner(text, token.end).match
        else:
            if kind == "NAME" and _begins_statement(tokens):
                word_before = tokens[-1]
                tokens[-1] = Token(word_before.text, *word_before[1:])
            add(Token(kind, word, start, end))
    tokens.append(Token("$END", "", len(text), len(text)))
    return lexed


def _begins_statement(tokens: list[Token]) -> bool:
    """Return whether the last token, which a name follows, is a word that only means something at
    the beginning of a statement, and is there."""
    return (
        len(tokens) > 1
        and tokens[-1].kind == "NAME"
        and tokens[-1].text in CONTEXTUAL
        and tokens[-2].kind in BEFORE_STATEMENTS
    )


def _unknown(source: Source, report: Report, start: int, end: int) -> Token:
    """Report characters that start no token. Return a token in their place."""
    text = source.text
    word = text[start:end]
    if word in FOREIGN:
        meant = FOREIGN[word]
        span = Span(source, start, end)
        edit = Edit(span, f" {meant} " if meant.isalpha() else meant)
        report.error(
            "syntax",
            f"`{word}` is written `{meant}` here",
            span,
            fixes=[Fix(f"write `{meant}`", (edit,))],
        )
        return Token(meant, meant, start, end)
    line_end = text.find("\n", start)
    line_end = len(text) if line_end < 0 else line_end
    if word == '"':
        rest = text[start:line_end].rstrip()
        end = start + len(rest)
        report.error(
            "syntax",
            'this string is not closed: a `"` is missing in its line',
            Span(source, start, end),
        )
        return Token("ERROR", rest, start, end)
    if word in QUOTES:
        close = text.find(QUOTES[word], end, line_end)
        if close >= 0:
            inner = text[end:close]
            span = Span(source, start, close + 1)
            edit = Edit(span, f'"{inner}"')
            report.error(
                "syntax",
                'use double quotes for a string: `"`',
                span,
                fixes=[Fix("use double quotes", (edit,))],
            )
            return Token(
                "STRING", '"' + inner.replace('"', "").replace("\\", "") + '"', start, close + 1
            )
    if word.isdigit() and word.isascii():
        end = re.compile(r"[\w.]*").match(text, start).end()  # type: ignore[union-attr]
        number, help = _shortened(text[start:end]), None
        if re.fullmatch(r"[0-9]+\.", text[start:end]):
            help = f"write `{number}0`"
        elif re.fullmatch(r"[0-9_]+", text[start:end]):
            help = "write the digits without `_`"
        message = f"`{number}` is neither a number nor a name"
        report.error("syntax", message, Span(source, start, end), help=help)
        return Token("ERROR", text[start:end], start, end)
    if word.isidentifier() or word.isalpha() or not word.isprintable():
        end = re.compile(r"\w+|\W").match(text, start).end()  # type: ignore[union-attr]
        first = start
        while (
            word.isprintable()
            and first
            and text[first - 1].isidentifier()
            and text[first - 1].isascii()
        ):
            first -= 1  # the letters before it were read as a name
        shown = _shortened(text[first:end])
        if word.isprintable():
            message = (
                f"`{shown}` is not a name: names have the letters a to z and A to Z, digits and `_`"
            )
        else:
            message = f"the character U+{ord(word):04X} is not allowed here"
        report.error("syntax", message, Span(source, first, end))
        return Token("ERROR", shown, start, end)
    while end < line_end and text[end] == word:
        end += 1
    report.error("syntax", f"`{word}` is not allowed here", Span(source, start, end))
    return Token("ERROR", word, start, end)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"
