"""The error at a token that does not fit.

In: a `Recovery`, and the number of the token. Out: a diagnostic, and the token to continue with. A
common error (`==` for `=`, a missing `)`) is reported and parsed as it was meant; for any other
error the statement is skipped.

    let y = f(x, 3        error[syntax]: a `)` is missing after `3`
    output y
"""

from __future__ import annotations

from specc.diagnostics import Label
from specc.frontend.syntax import brackets, repairs
from specc.frontend.syntax.build import DEEPEST
from specc.frontend.syntax.build_indices import Token, listed
from specc.frontend.syntax.expectations import Expectation, expectations
from specc.frontend.syntax.lex import MOST
from specc.frontend.syntax.parser import DEFINITIONS, STATEMENTS
from specc.frontend.syntax.recovery import BINARY, Recovery

WORDS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a string in double quotes",
    "$END": "the end of the file",
}


def after(recovery: Recovery, at: int) -> int:
    """Report the error at a token that does not fit. Return the token to continue with."""
    parser = recovery.parser
    recovery.tries = recovery.tries + 1 if at == recovery.last else 0
    recovery.last = at
    if len(parser.report) > MOST:
        return recovery.give_up(at)
    before = parser.values[-1]
    is_after_body = type(before) is Token and before.kind == "}"
    if is_after_body or (recovery.is_first(at) and not recovery.is_within_body):
        parser.reduce("dim")  # ends the definition before this token, if it is complete
    if recovery.tries <= DEEPEST:  # guards against a repair that makes no progress
        for repair in REPAIRS:
            if (next_at := repair(recovery, at)) is not None:
                return next_at
    return unexpected(recovery, at)


def unexpected(recovery: Recovery, at: int) -> int:
    """Report what was expected, and skip the statement."""
    token, before = recovery.tokens[at], recovery.before(at)
    if len(recovery.parser.states) == 1:
        recovery.report(
            at,
            f"a file consists of definitions, but {recovery.shown(token)} does not start one",
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
    elif token.kind == "=" and before.kind == "NAME" and {"->", ")"} <= expected:
        help = "a repetition is written `3 * (stage -> stage)`"
    elif token.kind == "(" and before.kind == "let":
        help = "write names without parentheses: `let a, b = ...`"
    opened = recovery.opened() if recovery.is_first(at) else None
    labels = (
        [Label(recovery.span(opened), f"this `{opened.kind}` is not closed yet")] if opened else []
    )
    recovery.report(at, wanted + found, recovery.location(at), labels=labels, help=help)
    return recovery.leave_out(at)


ANY = Expectation("{ends}", None)
"""For a state that no valid text leads to."""


def filled(what: str, expected: set[str]) -> str:
    """Return an expectation with the tokens that may end the formula, list or type.

    "an operator or {ends}" becomes "an operator, `,` or `)`".
    """
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


REPAIRS = (
    repairs.unknown_sign,
    brackets.brace_not_closed,
    brackets.definition_in_open_body,
    brackets.bracket_not_closed,
    brackets.bracket_not_opened,
    brackets.statement_outside,
    repairs.reserved_word,
    repairs.missing_comma,
    repairs.missing_parentheses,
    repairs.missing_operator,
    repairs.point_before_digits,
    repairs.misspelt_keyword,
    repairs.equal_sign,
    repairs.colon_for_brace,
    repairs.colon_for_equals,
    repairs.else_if,
    repairs.comment_sign,
    repairs.share_without_name,
    repairs.equals_after_keyword,
    repairs.end_sign,
    repairs.several_values,
    repairs.chained_comparison,
    repairs.word_within_formula,
    repairs.missing_else,
)
"""The functions are tried in this order, until one explains the error."""
