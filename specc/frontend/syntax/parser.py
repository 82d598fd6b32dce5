"""The LALR(1) automaton, which reads tokens and builds the nodes of completed rules.

In: a source. Out: a `Parser`, whose stack of states and values is the state of the parse.

    parser = Parser(source, report, 0, None)
    parser.feed(parser.tokens[0])       # True: the token fits
    parser.expected()                   # {"NAME"}: what fits now

It has no recursion. `parse.py` runs it, and `recovery.py` repairs its state after an error.
"""

from __future__ import annotations

from typing import Any

from specc.diagnostics import Report
from specc.frontend.syntax.build import Builder
from specc.frontend.syntax.build_indices import Token
from specc.frontend.syntax.grammar import tables
from specc.frontend.syntax.lex import lex
from specc.source import Source, Span

# The reserved words that statements and definitions start with.
DEFINITIONS = frozenset(
    ["dim", "seq", "const", "use", "fn", "block", "cell", "optimizer", "model", "train"]
)
STATEMENTS = frozenset(
    [
        "input",
        "stream",
        "target",
        "let",
        "layer",
        "param",
        "state",
        "next",
        "return",
        "output",
        "loss",
        "metric",
        "data",
        "validate",
        "test",
        "column",
        "augment",
        "start",
        "freeze",
        "optimizer",
    ]
)


class Parser:
    """The state of a parse.

    `states` is the stack of the automaton, `values` are the tokens and nodes on it, and `starts`
    and `ends` are the offsets of each value (those of `(x)` include the parentheses).
    """

    def __init__(self, source: Source, report: Report, start: int, end: int | None) -> None:
        lexed = lex(source, report, start, end)
        self.source = source
        self.report = report
        self.tokens = lexed.tokens
        self.comments = lexed.comments
        self.errors = lexed.errors
        self.builder = Builder(source, report, lexed.docs)
        self.tables = tables()
        self.rules = [
            (rule.name, rule.parts, self.builder[rule.builder] if rule.builder else None)
            for rule in self.tables.rules
        ]
        self.handed: dict[tuple[int, int, str], int] = {}
        self.states = [self.tables.start]
        self.values: list[Any] = [None]
        self.starts = [0]
        self.ends = [0]

    def feed(self, token: Token, is_taken: bool = True) -> bool:
        """Read a token, and return whether it fits. The last one, $END, leaves the file on the
        stack.

                If `is_taken` is false, only the rules that end before the token are built.
        """
        states, values, starts, ends = self.states, self.values, self.starts, self.ends
        actions, gotos, rules = self.tables.actions, self.tables.gotos, self.rules
        handed = self.handed
        kind = token.kind
        while True:
            action = actions[states[-1]].get(kind)
            if action is None:
                return False
            if action >= 0:
                if is_taken:
                    states.append(action)
                    values.append(token)
                    starts.append(token.start)
                    ends.append(token.end)
                return True
            name, parts, build = rules[~action]
            if build is None:  # the value of a single part is kept, often by ten rules in a row
                way = (states[-2], states[-1], kind)
                state = handed.get(way)
                if state is None:
                    state = handed[way] = self._handed_on(*way)
                states[-1] = state
                continue
            start, end, taken = token.start, token.start, []
            if parts:
                start, end, taken = starts[-parts], ends[-1], values[-parts:]
                del states[-parts:], values[-parts:], starts[-parts:], ends[-parts:]
            values.append(build(Span(self.source, start, end), *taken))
            starts.append(start)
            ends.append(end)
            states.append(gotos[states[-1]][name])
            if states[-1] == self.tables.end:
                return True

    def _handed_on(self, below: int, state: int, kind: str) -> int:
        """Return the state above `below` after all rules with a single part have ended."""
        while (action := self.tables.actions[state].get(kind)) is not None and action < 0:
            name, _, build = self.rules[~action]
            if build is not None:
                break
            state = self.tables.gotos[below][name]
        return state

    def accepts(self, *kinds: str) -> bool:
        """Return whether tokens of these kinds would fit."""
        states = self.states.copy()
        actions, gotos, rules = self.tables.actions, self.tables.gotos, self.tables.rules
        for kind in kinds:
            while True:
                action = actions[states[-1]].get(kind)
                if action is None:
                    return False
                if action >= 0:
                    states.append(action)
                    break
                rule = rules[~action]
                if rule.parts:
                    del states[-rule.parts :]
                states.append(gotos[states[-1]][rule.name])
                if states[-1] == self.tables.end:
                    return True
        return True

    def expected(self) -> set[str]:
        """Return the kinds of tokens that fit."""
        return {kind for kind in self.tables.actions[self.states[-1]] if self.accepts(kind)}

    def reduce(self, kind: str) -> None:
        """Build the rules that end before a token of this kind, if it would fit."""
        if self.accepts(kind):
            self.feed(Token(kind, "", self.ends[-1], self.ends[-1]), is_taken=False)

    def drop(self, height: int) -> None:
        """Remove values from the stack until it has this height."""
        for stack in (self.states, self.values, self.starts, self.ends):
            del stack[height:]
