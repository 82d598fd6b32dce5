"""Error recovery of the parser: the context of an error, and where parsing continues.

In: a parser, and the number of a token that does not fit. Out: the context of that token, a span
for the report, and, after the statement is replaced by an `ast.Broken`, the first token of the
next statement. `errors.py` finds out what the error is.

    let y = x + * 3       # Broken(keyword="let", names=(y,))
    output y              # Output(...)
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import pairwise

from specc.diagnostics import About, Edit, Fix, Label
from specc.frontend.syntax import ast
from specc.frontend.syntax.build import DEEPEST
from specc.frontend.syntax.build_indices import Token, is_name
from specc.frontend.syntax.parser import DEFINITIONS, STATEMENTS, Parser
from specc.source import Span

STARTS = DEFINITIONS | STATEMENTS
COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))
BINARY = COMPARISONS | frozenset(["+", "-", "*", "/", "//", "%", "^", "@", "and", "or"])
OPERANDS = frozenset(("NAME", "NUMBER", "STRING", "(", "-", "true", "false", "if", "not"))
# A reserved word before one of these is meant as a name: no statement continues like that.
AFTER_NAMES = (
    frozenset(
        [
            "=",
            ",",
            ")",
            "]",
            ".",
            "->",
            ";",
            ":",
            "*",
            "/",
            "//",
            "%",
            "^",
            "@",
            "+",
            "and",
            "or",
            "then",
            "else",
        ]
    )
    | COMPARISONS
)
# ... and so is one after one of these on the same line.
BEFORE_NAMES = BINARY | frozenset(["(", "[", ",", ";", "=", "->"]) | (STARTS - {"train"})
# One of these is followed by a name on the same line.
NAMING = STARTS - set(
    [
        "use",
        "train",
        "return",
        "output",
        "loss",
        "metric",
        "data",
        "validate",
        "test",
        "start",
        "freeze",
    ]
)


class Recovery:
    """The error recovery for one file. `parser.tokens[at]` is the token that does not fit."""

    def __init__(self, parser: Parser) -> None:
        self.parser = parser
        self.source = parser.source
        self.tokens = parser.tokens
        self.lists = frozenset(
            state for state, row in enumerate(parser.tables.actions) if row.get("BROKEN", -1) >= 0
        )
        self.reported: set[int] = set()  # offsets of the statements with a reported error
        self.implied: set[int] = set()  # offsets of `{` that are not in the text
        self.last = -1
        self.tries = 0

    # Context

    @property
    def height(self) -> int:
        """Return the height of the stack at the start of the current statement."""
        states = self.parser.states
        return next(n for n in range(len(states), 0, -1) if states[n - 1] in self.lists)

    def start(self, at: int) -> int:
        """Return the offset of the current statement."""
        height, starts = self.height, self.parser.starts
        return starts[height] if height < len(starts) else self.tokens[at].start

    def start_token(self, at: int) -> int:
        """Return the number of the statement's first token."""
        offset = self.start(at)
        while at > 0 and self.tokens[at].start > offset:
            at -= 1
        return at

    @property
    def is_within_body(self) -> bool:
        return "model" not in self.parser.tables.actions[self.parser.states[self.height - 1]]

    def opened(self) -> Token | None:
        """Return the innermost open bracket of the statement."""
        closed = 0
        for value in reversed(self.parser.values[self.height :]):
            if type(value) is Token and value.kind in (")", "]"):
                closed += 1
            elif type(value) is Token and value.kind in ("(", "["):
                closed -= 1
                if closed < 0:
                    return value
        return None

    def open_brace(self) -> tuple[Token, str]:
        """Return the `{` of the current body, and the keyword of its definition."""
        tokens = [value for value in self.parser.values[: self.height] if type(value) is Token]
        brace = next(
            number for number in reversed(range(len(tokens))) if tokens[number].kind == "{"
        )
        keyword = next(
            (t.kind for t in reversed(tokens[:brace]) if t.kind in DEFINITIONS), "definition"
        )
        return tokens[brace], keyword

    def before(self, at: int) -> Token:
        return self.tokens[at - 1] if at else Token("", "", 0, 0)

    def following(self, at: int) -> Token:
        return self.tokens[min(at + 1, len(self.tokens) - 1)]

    def is_first(self, at: int) -> bool:
        """Return whether a token is the first of its line, as a hint to what was meant."""
        return (
            at == 0
            or at >= len(self.tokens)
            or "\n" in self.source.text[self.tokens[at - 1].end : self.tokens[at].start]
        )

    def is_word_as_name(self, at: int) -> bool:
        """Return whether a reserved word can only be meant as a name."""
        kind, is_first = self.tokens[at].kind, self.is_first(at)
        if kind not in self.parser.tables.keywords:
            return False
        if kind not in STARTS:
            return self.before(at).kind in NAMING and not is_first
        after = self.following(at).kind
        starts_line = is_first and (
            after == ":" or (after == "=" and self.before(at).kind not in ("(", ",", ";"))
        )
        if after in AFTER_NAMES and not starts_line:
            return True
        return self.before(at).kind in BEFORE_NAMES and not is_first

    def is_definition(self, at: int) -> bool:
        """Return whether a definition starts here; `optimizer ... {` is one, unlike a statement."""
        kind = self.tokens[at].kind
        if kind not in DEFINITIONS or self.is_word_as_name(at):
            return False
        return kind != "optimizer" or self.is_optimizer_definition(at)

    def is_optimizer_definition(self, at: int) -> bool:
        for token in self.tokens[at + 1 : at + 200]:
            if token.kind in ("{", "}", "$END") or token.kind in STARTS:
                return token.kind == "{"
        return False

    def is_next_statement(self, at: int) -> bool:
        """Return whether the current statement ends before this token."""
        kind = self.tokens[at].kind
        if kind in ("}", "$END"):
            return True
        return kind in STARTS and not self.is_word_as_name(at)

    # Reports

    def span(self, token: Token) -> Span:
        return Span(self.source, token.start, token.end)

    def location(self, at: int) -> Span:
        """Return the span of the token, or, if it starts a line, that after the previous token."""
        token = self.tokens[at]
        if at and (token.kind == "$END" or self.is_first(at)):
            end = self.before(at).end
            return Span(self.source, end, end)
        return self.span(token)

    def report(
        self,
        at: int,
        message: str,
        span: Span | None = None,
        *,
        labels: Iterable[Label] = (),
        help: str | None = None,
        fix: tuple[str, Edit] | None = None,
        about: About | None = None,
    ) -> None:
        """Report an error, unless the statement already has one, as it may be a consequence."""
        start, token = self.start(at), self.tokens[at]
        line_end = self.source.text.find("\n", token.start) % (len(self.source.text) + 1)
        if self.is_first(at) and at:
            line_end = self.before(at).end  # the statement has ended on the line before
        errors = self.parser.errors
        known = start in self.reported or bisect_left(errors, start) < bisect_right(
            errors, line_end
        )
        self.reported.add(start)
        if not known:
            fixes = [Fix(fix[0], (fix[1],))] if fix else []
            self.parser.report.error(
                "syntax",
                message,
                span or self.span(token),
                labels=labels,
                help=help,
                fixes=fixes,
                about=about,
            )

    def shown(self, token: Token) -> str:
        text = token.text if len(token.text) <= 40 else token.text[:40] + "…"
        if token.kind == "$END":
            return "the end of the file"
        return text if token.kind == "STRING" else f"`{text}`"

    # Continuing

    def nested_too_deep(self, at: int) -> int:
        """Report brackets that are nested too deeply, and skip their statement."""
        token = self.tokens[at]
        self.reported.add(self.start(at))
        self.parser.report.error(
            "too-deep",
            f"brackets are nested more than {DEEPEST} deep",
            self.span(token),
            help="name parts of the formula with `let`",
        )
        return self.leave_out(at)

    def leave_out(self, at: int) -> int:
        """Replace the statement by a `Broken`, and return the first token of the next one."""
        parser = self.parser
        first, within = self.start_token(at), self.is_within_body
        stop = self.next_start(at, first, within)
        # If nothing of the statement was parsed, `stop` is after its first token.
        tokens = self.tokens[first:stop]
        keyword = tokens[0].text if tokens[0].kind in STARTS else ""
        names = []
        for before, token in pairwise(tokens[:60]):
            if is_name(token) and (before.kind in STARTS or before.kind == ","):
                names.append(parser.builder.name(token))
            elif token.kind != ",":
                break
        if not keyword:
            names = []
        end = self.tokens[stop - 1].end
        node = ast.Broken(keyword, tuple(names), Span(self.source, tokens[0].start, end))
        parser.drop(self.height)
        fed = parser.feed(Token("BROKEN", node, tokens[0].start, end))
        assert fed, "a broken statement fits where a statement fits; please report this"
        return stop

    def next_start(self, at: int, first: int, within: bool) -> int:
        """Return the first token of the next statement, at `at` or later, and after `first`."""
        tokens = self.tokens
        braces, at = 0, max(at, first + 1) if tokens[first].kind != "$END" else at
        brackets = 0
        for token in tokens[first:at]:
            brackets += (token.kind in "([") - (token.kind in ")]")
        while tokens[at].kind != "$END":
            kind = tokens[at].kind
            if kind == "{":
                if not within and not braces:
                    return at
                braces += 1
            elif kind == "}":
                if within and not braces:
                    return at
                braces = max(0, braces - 1)
            elif self.is_definition(at):
                return at
            elif within and not braces:
                if kind in STARTS and not self.is_word_as_name(at):
                    return at
                # a setting, or a misspelt keyword
                if (
                    kind == "NAME"
                    and tokens[at + 1].kind in ("=", "NAME")
                    and brackets <= 0
                    and self.is_first(at)
                ):
                    return at
            brackets += (kind in "([") - (kind in ")]")
            at += 1
        return at

    def give_up(self, at: int) -> int:
        """Skip the rest of a file with very many errors."""
        parser = self.parser
        definitions_read = len(parser.states) > 1 and parser.states[1] in self.lists
        parser.drop(2 if definitions_read else 1)
        start, end = self.tokens[at].start, self.tokens[-1].end
        parser.feed(Token("BROKEN", ast.Broken("", (), Span(self.source, start, end)), start, end))
        return len(self.tokens) - 1
