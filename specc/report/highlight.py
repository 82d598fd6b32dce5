"""Syntax highlighting of a model as HTML.

highlighted(Source("a.dl", "dim n = 3  # sizes"))
# '<span class="keyword">dim</span> n = <span class="number">3</span>  <span class="comment">...'
"""

from __future__ import annotations

from html import escape

from specc.diagnostics import Report
from specc.frontend.syntax.lex import lex
from specc.source import Source

NAMED = {"NUMBER": "number", "STRING": "string"}


def highlighted(source: Source) -> str:
    """Return the text with a <span> around each keyword, number, string and comment."""
    lexed = lex(source, Report())
    pieces = [(each.span.start, each.span.end, "comment") for each in lexed.comments]
    for token in lexed.tokens:
        kind = NAMED.get(token.kind)
        if kind is None and token.kind == token.text and token.kind.isalpha():
            kind = "keyword"
        if kind is not None:
            pieces.append((token.start, token.end, kind))
    out, at = [], 0
    for start, end, kind in sorted(pieces):
        if start < at:
            continue
        out.append(escape(source.text[at:start]))
        out.append(f'<span class="{kind}">{escape(source.text[start:end])}</span>')
        at = end
    return "".join(out) + escape(source.text[at:])
