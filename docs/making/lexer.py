"""Colours for programs: a lexer for Pygments, which takes its words from the grammar."""

from __future__ import annotations

from pygments.lexer import RegexLexer, words
from pygments.lexers import _mapping
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text

from specc.frontend.explain import statements
from specc.frontend.syntax.grammar import tables

__all__ = ["DlLexer"]  # Pygments asks for it


class DlLexer(RegexLexer):
    """Statements, types, numbers, strings and comments of a model file."""

    name = "specc"
    aliases = ["dl"]  # noqa: RUF012
    filenames = ["*.dl"]  # noqa: RUF012
    tokens = {  # noqa: RUF012
        "root": [
            (r"#[^\n]*", Comment),
            (r"\s+", Text),
            (words(sorted(tables().keywords), prefix=r"\b", suffix=r"\b"), Keyword),
            (words(sorted(statements.types()), prefix=r"\b", suffix=r"\b"), Keyword.Type),
            (r"[A-Za-z_]\w*(?=\s*\()", Name.Function),
            (r"[A-Za-z_]\w*", Name),
            (r"\d+(\.\d+)?([eE][+-]?\d+)?", Number),
            (r'"(\\.|[^"\\\n])*"', String),
            (r"->|//|[-+*/%^@<>=!]+", Operator),
            (r".", Punctuation),
        ]
    }


def register() -> None:
    """Let Pygments know the language `dl`."""
    _mapping.LEXERS["DlLexer"] = (__name__, DlLexer.name, ("dl",), ("*.dl",), ())
