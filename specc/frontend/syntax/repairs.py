"""Common syntax errors: each is reported, and usually parsed as it was meant.

    let y == 3          error[syntax]: `==` compares two values; `=` defines a name

Each function checks the token that does not fit, and returns the token to continue with, or None if
it is another error.
"""

from __future__ import annotations

from specc.diagnostics import About, Edit, Label, closest
from specc.frontend.syntax.build_indices import Token, is_name
from specc.frontend.syntax.parser import DEFINITIONS, STATEMENTS
from specc.frontend.syntax.recovery import BINARY, COMPARISONS, OPERANDS, Recovery
from specc.source import Span

BEFORE_VALUES = ("output", "loss", "metric", "data", "validate", "test", "optimizer")
# Keywords of other languages, and their equivalents.
SYNONYMS = {
    "def": "fn",
    "func": "fn",
    "function": "fn",
    "net": "model",
    "network": "model",
    "import": "use",
    "include": "use",
    "training": "train",
    "optimiser": "optimizer",
    "size": "dim",
    "dimension": "dim",
    "var": "let",
    "val": "let",
    "dataset": "data",
    "criterion": "loss",
    "objective": "loss",
    "validation": "validate",
    "label": "target",
    "parameter": "param",
    "weight": "param",
    "module": "block",
    "inputs": "input",
    "outputs": "output",
}


def unknown_sign(recovery: Recovery, at: int) -> int | None:
    if recovery.tokens[at].kind != "ERROR":
        return None
    return recovery.leave_out(at)


def reserved_word(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    if not recovery.is_word_as_name(at) or not recovery.parser.accepts("NAME"):
        return None
    recovery.report(
        at,
        f"`{token.text}` is a reserved word and cannot be a name",
        help=f"use another name, such as `{token.text}_`",
    )
    recovery.parser.feed(Token("NAME", token.text, token.start, token.end))
    return at + 1


def missing_comma(recovery: Recovery, at: int) -> int | None:
    token, before = recovery.tokens[at], recovery.before(at)
    if (
        token.kind not in ("NAME", "NUMBER", "STRING")
        or not recovery.opened()
        or recovery.is_first(at)
    ):
        return None
    if not recovery.parser.accepts(",", token.kind):
        return None
    after = Span(recovery.source, before.end, before.end)
    recovery.report(
        at,
        f"a `,` is missing between {recovery.shown(before)} and {recovery.shown(token)}",
        fix=("add a comma", Edit(after, ",")),
        about=About.MISSING_BETWEEN,
    )
    recovery.parser.feed(Token(",", ",", before.end, before.end))
    return at


def missing_parentheses(recovery: Recovery, at: int) -> int | None:
    token, before = recovery.tokens[at], recovery.before(at)
    if token.kind not in ("NUMBER", "STRING") or not is_name(before) or recovery.is_first(at):
        return None
    if not recovery.parser.accepts("("):
        return None
    recovery.report(
        at,
        f"arguments go in parentheses: `{before.text}({token.text})`",
        Span(recovery.source, before.start, token.end),
    )
    return recovery.leave_out(at)


def missing_operator(recovery: Recovery, at: int) -> int | None:
    # `let y = relu x`: the last name was read as the start of a setting.
    parser, name = recovery.parser, recovery.parser.values[-1]
    if (
        not recovery.is_within_body
        or len(parser.states) != recovery.height + 1
        or not is_name(name)
    ):
        return None
    first = recovery.start_token(at)
    before = recovery.before(first)
    if recovery.is_first(first) or not (before.kind in OPERANDS or before.kind in (")", "]")):
        return None
    recovery.report(
        at,
        f"an operator is missing between {recovery.shown(before)} and `{name.text}`",
        recovery.span(name),
        help=f"`{before.text}({name.text})` applies a function" if is_name(before) else None,
        about=About.MISSING_BETWEEN,
    )
    return recovery.leave_out(at)


def point_before_digits(recovery: Recovery, at: int) -> int | None:
    token, following = recovery.tokens[at], recovery.following(at)
    if token.kind != "." or following.kind != "NUMBER" or following.start != token.end:
        return None
    span = Span(recovery.source, token.start, following.end)
    recovery.report(
        at,
        "a number starts with a digit",
        span,
        help=f"write `0.{following.text}`",
        fix=("add a zero before it", Edit(Span(recovery.source, token.start, token.start), "0")),
    )
    return recovery.leave_out(at)


def misspelt_keyword(recovery: Recovery, at: int) -> int | None:
    parser, height = recovery.parser, recovery.height
    if not recovery.is_within_body:
        if len(parser.states) > height or not is_name(recovery.tokens[at]):
            return None
        word, known = recovery.tokens[at], DEFINITIONS
    else:
        # `lett y`: the first name was read as that of a setting.
        if (
            len(parser.states) != height + 1
            or not is_name(parser.values[-1])
            or recovery.is_first(at)
        ):
            return None
        word, known = parser.values[-1], STATEMENTS
    meant = closest(word.text, known, SYNONYMS)
    what = "statement" if recovery.is_within_body else "definition"
    if meant is None:
        if recovery.is_within_body and not is_name(recovery.tokens[at]):
            return None
        help = None
        if not recovery.is_within_body and recovery.following(at).kind == "=":
            help = f"`const {word.text} = ...` names a number, `dim {word.text} = ...` a size"
        recovery.report(at, f"no {what} starts with `{word.text}`", recovery.span(word), help=help)
        return recovery.leave_out(at)
    recovery.report(
        at,
        f"no {what} starts with `{word.text}`",
        recovery.span(word),
        help=f"did you mean `{meant}`?",
        fix=(f"write `{meant}`", Edit(recovery.span(word), meant)),
    )
    keyword = Token(meant, meant, word.start, word.end)
    if not recovery.is_within_body:
        parser.feed(keyword)
        return at + 1
    parser.drop(height)
    parser.feed(keyword)
    return at


def equal_sign(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    other = {"=": "==", "==": "="}.get(token.kind)
    if other is None or not recovery.parser.accepts(other):
        return None
    recovery.report(
        at,
        (
            "`=` defines a name; `==` compares two values"
            if other == "=="
            else "`==` compares two values; `=` defines a name"
        ),
        fix=(f"write `{other}`", Edit(recovery.span(token), other)),
    )
    recovery.parser.feed(Token(other, other, token.start, token.end))
    return at + 1


def colon_for_brace(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    if token.kind != ":" or not recovery.parser.accepts("{"):
        return None
    help = (
        "use `= ...` for a formula, or `{` and `}` around statements"
        if recovery.parser.accepts("=")
        else None
    )
    recovery.report(at, "a body goes in braces `{ }`, not after a `:`", help=help)
    if recovery.parser.accepts("=") and recovery.following(at).kind not in STATEMENTS | {"{"}:
        recovery.parser.feed(Token("=", "=", token.start, token.end))
    elif recovery.following(at).kind != "{":
        recovery.implied.add(token.start)
        recovery.parser.feed(Token("{", "{", token.start, token.end))
    return at + 1


def colon_for_equals(recovery: Recovery, at: int) -> int | None:
    token, word = recovery.tokens[at], recovery.before(at).kind
    if token.kind == ":" and word in BEFORE_VALUES and not recovery.is_first(at):
        named = f", or `{word} name = ...`" if word in ("output", "loss", "metric") else ""
        recovery.report(
            at,
            f"`{word}` is followed by its value, without `:`",
            help=f"write `{word} ...`{named}",
            fix=("remove it", Edit(recovery.span(token), "")),
        )
        return at + 1
    if token.kind != ":" or not recovery.parser.accepts("="):
        return None
    before = recovery.shown(recovery.before(at))
    recovery.report(
        at,
        f"{before} is set with `=`, not `:`",
        fix=("write `=`", Edit(recovery.span(token), "=")),
    )
    recovery.parser.feed(Token("=", "=", token.start, token.end))
    return at + 1


def equals_after_keyword(recovery: Recovery, at: int) -> int | None:
    before = recovery.before(at)
    if recovery.tokens[at].kind != "=" or before.kind not in BEFORE_VALUES or recovery.is_first(at):
        return None
    word = before.kind
    named = f", or `{word} name = ...`" if word in ("output", "loss", "metric") else ""
    recovery.report(
        at,
        f"`{word}` is followed by its value, without `=`",
        help=f"write `{word} ...`{named}",
        fix=("remove it", Edit(recovery.span(recovery.tokens[at]), "")),
    )
    return at + 1


def else_if(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    is_one = is_name(token) and token.text in ("elif", "elsif", "elseif")
    if not is_one or not recovery.parser.accepts("else"):
        return None
    recovery.report(
        at,
        f"`{token.text}` is written `else if` here",
        fix=("use `else if`", Edit(recovery.span(token), "else if")),
    )
    recovery.parser.feed(Token("else", "else", token.start, token.end))
    recovery.parser.feed(Token("if", "if", token.start, token.end))
    return at + 1


def comment_sign(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    if token.kind != "//" or not recovery.is_first(at):
        return None
    fix = ("write `#`", Edit(recovery.span(token), "#"))
    recovery.report(at, "a comment starts with `#`, not with `//`", fix=fix)
    return recovery.leave_out(at)


def share_without_name(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    if token.kind != "NUMBER" or recovery.before(at).kind != "validate":
        return None
    start = Span(recovery.source, token.start, token.start)
    recovery.report(
        at,
        "`validate` takes a data source, or the share of `data` to train on: `split = ...`",
        fix=("add `split =` before it", Edit(start, "split = ")),
    )
    for kind, text in (("NAME", "split"), ("=", "=")):
        recovery.parser.feed(Token(kind, text, token.start, token.start))
    return at


def end_sign(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    follows = recovery.following(at).kind in ("}", "$END") or recovery.is_first(at + 1)
    if token.kind not in (";", ",") or recovery.opened() or not follows:
        return None
    if not recovery.parser.accepts("let" if recovery.is_within_body else "dim"):
        return None
    recovery.report(
        at,
        f"a statement ends without a `{token.kind}`",
        fix=("remove it", Edit(recovery.span(token), "")),
    )
    return at + 1


def several_values(recovery: Recovery, at: int) -> int | None:
    values, height = recovery.parser.values, recovery.height
    if recovery.tokens[at].kind != "," or recovery.opened() or len(values) <= height:
        return None
    first = values[height]
    if type(first) is not Token or first.kind not in ("output", "loss", "metric"):
        return None
    recovery.report(
        at, f"`{first.kind}` takes one value", help=f"write one `{first.kind}` per value"
    )
    return recovery.leave_out(at)


def chained_comparison(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    if token.kind not in COMPARISONS or not recovery.parser.accepts("+"):
        return None
    recovery.report(at, "comparisons cannot be chained", help="write `a < b and b < c`")
    return recovery.leave_out(at)


def word_within_formula(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    if token.kind not in ("if", "not") or not recovery.parser.accepts("("):
        return None
    if recovery.before(at).kind not in BINARY | {"if", "then", "-"}:
        return None
    recovery.report(at, f"`{token.kind}` inside a formula needs parentheses: `({token.kind} ...)`")
    return recovery.leave_out(at)


def missing_else(recovery: Recovery, at: int) -> int | None:
    ends = recovery.is_next_statement(at) or recovery.tokens[at].kind in (")", "]", ",", ";", "->")
    if not ends or not recovery.parser.accepts("else"):
        return None
    values = recovery.parser.values
    start = next((v for v in reversed(values) if type(v) is Token and v.kind == "if"), None)
    labels = [Label(recovery.span(start), "of this `if`")] if start else []
    recovery.report(
        at,
        "the `else` is missing: an `if` always has a value",
        recovery.location(at),
        labels=labels,
    )
    return recovery.leave_out(at)
