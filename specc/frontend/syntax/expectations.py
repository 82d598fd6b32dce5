"""Descriptions of the tokens that the parser expects in each of its states.

In: `grammars/dl.messages`. Out: for a state of the automaton its `Expectation`.

    stopped("dim")          # (12, 1): in state 12, before token 1, which is the end of the text
    expectations()[12]      # Expectation("the name of a size", "such as `dim classes = 10`")

The numbers of states change with the grammar, so the table names each state by a text that leads to
it. It is read when a file has an error that `repairs.py` does not explain.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from specc.diagnostics import Report
from specc.frontend.syntax.grammar import read, tables
from specc.frontend.syntax.lex import lex
from specc.source import Source
from specc.system.records import dataclass


@dataclass(frozen=True, slots=True)
class Expectation:
    """`what` follows "expected"; {ends} in it is replaced by the tokens that may end the formula,
    list or type."""

    what: str
    help: str | None


@cache
def expectations() -> dict[int, Expectation]:
    """Return the expectation of each state."""
    found: dict[int, Expectation] = {}
    for text, expectation in examples():
        state, _ = stopped(text)
        assert state is not None, f"dl.messages: nothing is wrong with {text!r}; please report this"
        found.setdefault(state, expectation)
    return found


def examples() -> Iterator[tuple[str, Expectation]]:
    """Yield the texts of the table, and the expectation in the state to which each leads."""
    what, help = "", None
    for line in read("dl.messages").splitlines():
        if line.startswith("    "):
            yield line.strip(), Expectation(what, help)
        elif line.startswith("help: "):
            help = line.removeprefix("help: ")
        elif line and not line.startswith("#"):
            what, help = line, None


def stopped(text: str) -> tuple[int | None, int]:
    """Return the state and the number of the first token of `text` that does not fit."""
    tokens = lex(Source("dl.messages", text), Report()).tokens
    actions, gotos, rules = tables().actions, tables().gotos, tables().rules
    states = [tables().start]
    for number, token in enumerate(tokens):
        while (action := actions[states[-1]].get(token.kind)) is not None and action < 0:
            rule = rules[~action]
            del states[len(states) - rule.parts :]
            states.append(gotos[states[-1]][rule.name])
            if states[-1] == tables().end:
                return None, number
        if action is None:
            return states[-1], number
        states.append(action)
    return None, len(tokens)
