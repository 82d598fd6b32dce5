"""What is wrong at a token that does not fit.

In: a `Recovery`, and the number of the token. Out: a diagnostic, and the token to go on with. A usual slip whose
meaning is plain (`==` for `=`, a missing `)`) is reported and read as what was meant; for all else the
statement is left out.

    let y = f(x, 3        error[syntax]: a `)` is missing after `3`
    output y
"""

from __future__ import annotations

from specc.diagnostics import Edit, Label, closest
from specc.frontend.syntax import ast
from specc.frontend.syntax.build import DEEPEST, PLACES, Token, is_name, keyword_of, listed
from specc.frontend.syntax.expectations import Expectation, expectations
from specc.frontend.syntax.lex import MOST
from specc.frontend.syntax.parser import DEFINITIONS, STATEMENTS
from specc.frontend.syntax.recovery import BINARY, COMPARISONS, OPERANDS, Recovery
from specc.source import Span

BEFORE_VALUES = ("output", "loss", "metric", "data", "validate", "test", "optimizer")
CLOSING = {"(": ")", "[": "]", "{": "}"}
# Where the statement that starts with a word stands.
PLACE = {keyword_of(cls): places for cls, places in PLACES.items() if cls is not ast.Setting}
WORDS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a text in double quotes",
    "$END": "the end of the file",
}
# What other languages call the words that definitions and statements start with.
SYNONYMS = {
    "def": "fn", "func": "fn", "function": "fn", "net": "model", "network": "model", "import": "use",
    "include": "use", "training": "train", "optimiser": "optimizer", "size": "dim", "dimension": "dim",
    "var": "let", "val": "let", "dataset": "data", "criterion": "loss", "objective": "loss",
    "validation": "validate", "label": "target", "parameter": "param", "weight": "param",
    "module": "block", "inputs": "input", "outputs": "output",
}  # fmt: skip


def after(recovery: Recovery, at: int) -> int:
    """Reports what is wrong at a token that does not fit; returns where to go on."""
    parser = recovery.parser
    recovery.tries = recovery.tries + 1 if at == recovery.last else 0
    recovery.last = at
    if len(parser.report) > MOST:
        return recovery.give_up(at)
    before = parser.values[-1]
    is_behind_body = type(before) is Token and before.kind == "}"
    if is_behind_body or (recovery.is_first(at) and not recovery.is_within_body):
        parser.reduce("dim")  # the definition before this token has ended, if it is whole
    if recovery.tries <= DEEPEST:  # each slip makes progress; this holds even if one does not
        for slip in SLIPS:
            if (next_at := slip(recovery, at)) is not None:
                return next_at
    return unexpected(recovery, at)


# Slips. Each returns where to go on, or None if it is not the one.


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
        help=f"choose another name, such as `{token.text}_`",
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
    behind = Span(recovery.source, before.end, before.end)
    recovery.report(
        at,
        f"a `,` is missing between {recovery.shown(before)} and {recovery.shown(token)}",
        fix=("write a comma", Edit(behind, ",")),
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
        f"what a word is given stands in parentheses: `{before.text}({token.text})`",
        Span(recovery.source, before.start, token.end),
    )
    return recovery.leave_out(at)


def missing_operator(recovery: Recovery, at: int) -> int | None:
    # `let y = relu x`: the last name was taken for the start of a setting.
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
        help=f"`{before.text}({name.text})` applies a word to a value" if is_name(before) else None,
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
        fix=("write a zero before it", Edit(Span(recovery.source, token.start, token.start), "0")),
    )
    return recovery.leave_out(at)


def misspelt_keyword(recovery: Recovery, at: int) -> int | None:
    parser, height = recovery.parser, recovery.height
    if not recovery.is_within_body:
        if len(parser.states) > height or not is_name(recovery.tokens[at]):
            return None
        word, known = recovery.tokens[at], DEFINITIONS
    else:
        # `lett y`: the first name was taken for that of a setting.
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
        "`=` gives a name to a value; two values are compared by `==`"
        if other == "=="
        else "`==` compares two values; a name is given by `=`",
        fix=(f"write `{other}`", Edit(recovery.span(token), other)),
    )
    recovery.parser.feed(Token(other, other, token.start, token.end))
    return at + 1


def colon_for_brace(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    if token.kind != ":" or not recovery.parser.accepts("{"):
        return None
    help = (
        "write `= ...` for a formula, or `{` and `}` around statements"
        if recovery.parser.accepts("=")
        else None
    )
    recovery.report(at, "a body stands in braces `{ }`, not behind a `:`", help=help)
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
            fix=("leave it out", Edit(recovery.span(token), "")),
        )
        return at + 1
    if token.kind != ":" or not recovery.parser.accepts("="):
        return None
    before = recovery.shown(recovery.before(at))
    recovery.report(at, f"what {before} is stands behind `=`, not `:`",
                    fix=("write `=`", Edit(recovery.span(token), "=")))  # fmt: skip
    recovery.parser.feed(Token("=", "=", token.start, token.end))
    return at + 1


def equals_behind_keyword(recovery: Recovery, at: int) -> int | None:
    before = recovery.before(at)
    if recovery.tokens[at].kind != "=" or before.kind not in BEFORE_VALUES or recovery.is_first(at):
        return None
    word = before.kind
    named = f", or `{word} name = ...`" if word in ("output", "loss", "metric") else ""
    recovery.report(
        at,
        f"`{word}` is followed by its value, without `=`",
        help=f"write `{word} ...`{named}",
        fix=("leave it out", Edit(recovery.span(recovery.tokens[at]), "")),
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
        fix=("write `else if`", Edit(recovery.span(token), "else if")),
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
        "`validate` takes a source of data, or the part of `data` that is trained on: `split = ...`",
        fix=("write `split =` before it", Edit(start, "split = ")),
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
        fix=("leave it out", Edit(recovery.span(token), "")),
    )
    return at + 1


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
    recovery.parser.reduce("}")  # the statement before it is whole
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
    # The definition is a statement of its own: a mistake in it is none of this one's.
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
        recovery.report(at, "this `}` closes nothing")
        return at + 1
    if token.kind not in (")", "]"):
        return None
    if opened is None:
        if not recovery.parser.accepts("let" if recovery.is_within_body else "dim"):
            return None
        recovery.report(at, f"this `{token.kind}` closes nothing")
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
        token.kind not in PLACE
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
        f"`{token.text}` stands outside of a definition",
        labels=labels,
        help=f"`{token.text}` has its place in {listed(PLACE[token.kind], 'or')}",
    )
    return recovery.leave_out(at)


def several_values(recovery: Recovery, at: int) -> int | None:
    values, height = recovery.parser.values, recovery.height
    if recovery.tokens[at].kind != "," or recovery.opened() or len(values) <= height:
        return None
    first = values[height]
    if type(first) is not Token or first.kind not in ("output", "loss", "metric"):
        return None
    recovery.report(
        at, f"`{first.kind}` takes one value", help=f"write `{first.kind}` once for each value"
    )
    return recovery.leave_out(at)


def chained_comparison(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    if token.kind not in COMPARISONS or not recovery.parser.accepts("+"):
        return None
    recovery.report(at, "comparisons do not chain", help="write `a < b and b < c`")
    return recovery.leave_out(at)


def word_within_formula(recovery: Recovery, at: int) -> int | None:
    token = recovery.tokens[at]
    if token.kind not in ("if", "not") or not recovery.parser.accepts("("):
        return None
    if recovery.before(at).kind not in BINARY | {"if", "then", "-"}:
        return None
    recovery.report(
        at, f"`{token.kind}` within a formula stands in parentheses: `({token.kind} ...)`"
    )
    return recovery.leave_out(at)


def missing_else(recovery: Recovery, at: int) -> int | None:
    ends = recovery.is_next_statement(at) or recovery.tokens[at].kind in (")", "]", ",", ";", "->")
    if not ends or not recovery.parser.accepts("else"):
        return None
    values = recovery.parser.values
    start = next((v for v in reversed(values) if type(v) is Token and v.kind == "if"), None)
    labels = [Label(recovery.span(start), "of this `if`")] if start else []
    recovery.report(
        at, "the `else` is missing: an `if` always has a value", recovery.place(at), labels=labels
    )
    return recovery.leave_out(at)


def unexpected(recovery: Recovery, at: int) -> int:
    """Says what was expected; leaves the statement out."""
    token, before = recovery.tokens[at], recovery.before(at)
    if len(recovery.parser.states) == 1:
        recovery.report(
            at,
            f"a file is made of definitions, and {recovery.shown(token)} does not start one",
            help=f"a definition starts with {listed(sorted(DEFINITIONS), 'or')}",
        )
        return recovery.leave_out(at)
    expected = recovery.parser.expected()
    expectation = expectations().get(recovery.parser.states[-1], ANY)
    wanted = f"expected {filled(expectation.what, expected)}"
    if recovery.height < len(recovery.parser.states):
        wanted += f" after {recovery.shown(before)}"
    found = f", found {recovery.shown(token)}"
    if recovery.is_next_statement(at) and recovery.height < len(recovery.parser.states):
        found = f", but the {'file' if token.kind == '$END' else 'statement'} ends there"
    help = expectation.help
    starts_list = token.kind == "[" and "NUMBER" in expected
    if starts_list or (
        token.kind == "," and before.kind == "NUMBER" and "," not in expected and ")" in expected
    ):
        help = "there are no lists: a setting is one value, such as `kernel=3` or `kernel_width=5`"
    elif token.kind == "(" and before.kind == "let":
        help = "names stand without parentheses: `let a, b = ...`"
    opened = recovery.opened() if recovery.is_first(at) else None
    labels = (
        [Label(recovery.span(opened), f"this `{opened.kind}` is not closed yet")] if opened else []
    )
    recovery.report(at, wanted + found, recovery.place(at), labels=labels, help=help)
    return recovery.leave_out(at)


ANY = Expectation("{ends}", None)
"""In a state that no text without a mistake leads to."""


def filled(what: str, expected: set[str]) -> str:
    """The words of an expectation with the kinds of tokens that end the formula, list or type:
    "an operator or {ends}" is "an operator, `,` or `)`"."""
    left = expected - {"BROKEN"}
    if "{ends}" in what:
        left -= BINARY | {"->", "(", "[", ".", "=", "for", "NUMBER", "STRING"}
    said = []
    for kinds, each in ((STATEMENTS, "statement"), (DEFINITIONS, "definition")):
        if len(left & kinds) > 3:
            said.append(f"the next {each}")
            left -= kinds | {"NAME", "$END"}
    said += [WORDS.get(kind) or f"`{kind}`" for kind in sorted(left)]
    ends = f"{', '.join(said[:-1])} or {said[-1]}" if len(said) > 1 else "".join(said) or "its end"
    if len(said) > 1:
        what = what.replace(" or {ends}", ", {ends}")
    return what.replace("{ends}", ends).replace("{all}", ends)


SLIPS = (
    unknown_sign,
    brace_not_closed,
    definition_in_open_body,
    bracket_not_closed,
    bracket_not_opened,
    statement_outside,
    reserved_word,
    missing_comma,
    missing_parentheses,
    missing_operator,
    point_before_digits,
    misspelt_keyword,
    equal_sign,
    colon_for_brace,
    colon_for_equals,
    else_if,
    comment_sign,
    share_without_name,
    equals_behind_keyword,
    end_sign,
    several_values,
    chained_comparison,
    word_within_formula,
    missing_else,
)
"""In this order: what a slip explains, the ones behind it need not look at."""
