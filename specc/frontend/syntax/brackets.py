"""Unmatched brackets and braces, and statements outside of a body.

    let y = f(x, 3      error[syntax]: a `)` is missing after `3`

Each function checks the token that does not fit, and returns the token to continue with, or None if
it is another error.
"""

from __future__ import annotations

from specc.diagnostics import About, Label
from specc.frontend.syntax import ast
from specc.frontend.syntax.build import ALLOWED_IN, keyword_of
from specc.frontend.syntax.build_indices import Token, is_name, listed
from specc.frontend.syntax.recovery import Recovery
from specc.source import Span

CLOSING = {"(": ")", "[": "]", "{": "}"}
# The definitions whose bodies allow the statement that starts with a keyword.
KEYWORD_ALLOWED_IN = {
    keyword_of(cls): places for cls, places in ALLOWED_IN.items() if cls is not ast.Setting
}


def bracket_not_closed(recovery: Recovery, at: int) -> int | None:
    opened = recovery.opened()
    is_setting = (
        is_name(recovery.tokens[at])
        and recovery.following(at).kind == "="
        and recovery.is_first(at)
        and recovery.is_within_body
    )
    if opened is None or not (is_setting or recovery.is_next_statement(at)):
        return None
    closing = CLOSING[opened.kind]
    before = recovery.before(at)
    recovery.report(
        at,
        f"a `{closing}` is missing after {recovery.shown(before)}",
        Span(recovery.source, before.end, before.end),
        labels=[Label(recovery.span(opened), f"this `{opened.kind}` is not closed")],
    )
    if not recovery.parser.feed(Token(closing, closing, before.end, before.end)):
        return recovery.leave_out(at)
    return at


def brace_not_closed(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    ends = token.kind == "$END" or recovery.is_definition(at)
    if not ends or not recovery.is_within_body or not recovery.parser.accepts("}"):
        return None
    recovery.parser.reduce("}")  # the statement before it is complete
    brace, keyword = recovery.open_brace()
    whose = f"the `{{` of this `{keyword}`"
    if brace.start in recovery.implied:
        pass
    elif token.kind == "$END":
        recovery.report(at, f"{whose} is never closed", recovery.span(brace))
    else:
        label = Label(recovery.span(brace), f"{whose} is not closed")
        recovery.report(at, f"a `}}` is missing before {recovery.shown(token)}", labels=[label])
    end = recovery.before(at).end
    recovery.parser.feed(Token("}", "}", end, end))
    # Errors in the next definition are not consequences of this one.
    recovery.reported.discard(token.start)
    return at


def definition_in_open_body(recovery: Recovery, at: int) -> int | None:
    # `optimizer adam(w, g; lr) {` in a body: the body's `}` is missing before it.
    values, height = recovery.parser.values, recovery.height
    if recovery.tokens[at].kind != "{" or not recovery.is_within_body or len(values) <= height:
        return None
    first = values[height]
    if not (type(first) is Token and first.kind == "optimizer"):
        return None
    start = recovery.start_token(at)
    recovery.parser.drop(height)
    return brace_not_closed(recovery, start)


def bracket_not_opened(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    opened = recovery.opened()
    if token.kind == "}" and not recovery.is_within_body:
        if len(recovery.parser.states) > recovery.height:
            return None
        recovery.report(at, "this `}` closes nothing", about=About.CLOSES_NOTHING)
        return at + 1
    if token.kind not in (")", "]"):
        return None
    if opened is None:
        if not recovery.parser.accepts("let" if recovery.is_within_body else "dim"):
            return None
        recovery.report(at, f"this `{token.kind}` closes nothing", about=About.CLOSES_NOTHING)
        return at + 1
    closing = CLOSING[opened.kind]
    if token.kind == closing or not recovery.parser.accepts(closing):
        return None
    recovery.report(
        at,
        f"expected `{closing}`, found `{token.kind}`",
        labels=[Label(recovery.span(opened), f"this `{opened.kind}` is closed by `{closing}`")],
    )
    recovery.parser.feed(Token(closing, closing, token.start, token.end))
    return at + 1


def statement_outside(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    if (
        token.kind not in KEYWORD_ALLOWED_IN
        or recovery.is_within_body
        or len(recovery.parser.states) > recovery.height
    ):
        return None
    labels = []
    for number in range(at - 1, -1, -1):
        if recovery.tokens[number].kind == "}":
            labels = [
                Label(recovery.span(recovery.tokens[number]), "the definition before it ends here")
            ]
            break
    recovery.report(
        at,
        f"`{token.text}` is not inside a definition",
        labels=labels,
        help=f"`{token.text}` belongs in {listed(KEYWORD_ALLOWED_IN[token.kind], 'or')}",
    )
    return recovery.leave_out(at)
