"""The grammar as tables for a parser.

In: `grammars/dl.lark`. Out: `Tables`, which Lark computes once and which are stored beside the
grammar, in `dl.tables.json`.

    tables().keywords        # {"let", "model", ...}
    tables().actions[0]      # {"let": 17, ...}: in state 0, the word `let` leads to state 17

Lark is imported only to compute the tables: importing it takes 0.1 s, computing them 0.3 s, and
reading the stored ones 2 ms. The stored tables contain a hash of their grammar; if it does not
match, each process computes the tables.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from specc.system.records import dataclass

CONTEXTUAL = frozenset(["start"])
"""Words of the grammar that are names everywhere but at the beginning of a statement, before a
name."""
LAYOUT = 2
"""The version of the data that `compute` returns."""


@dataclass(frozen=True, slots=True)
class GrammarRule:
    """`parts` values on the stack become one value of the rule `name`, built by `builder`.

    Without a builder the rule has a single part, whose value is kept.
    """

    name: str
    parts: int
    builder: str | None


@dataclass(frozen=True, slots=True)
class Tables:
    """An LALR(1) parser. The kind of a token is its own text, or NAME, NUMBER, STRING, BROKEN,
    $END.

    A number in `actions` is the next state after the token, or, if negative, `~` of the rule that
    ends before the token. `gotos` has the next state after the value of a rule.
    """

    lexer: str
    keywords: frozenset[str]
    actions: tuple[dict[str, int], ...]
    gotos: tuple[dict[str, int], ...]
    rules: tuple[GrammarRule, ...]
    start: int
    end: int


def text() -> str:
    """Return the text of the grammar."""
    return read("dl.lark")


def read(name: str) -> str:
    """Return the text of a file in `grammars/`, which is beside the package or, if installed, in
    it.
    """
    package = Path(__file__).parents[2]
    for folder in (package, package.parent):
        file = folder / "grammars" / name
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise AssertionError(f"grammars/{name} is not installed; please report this")


@cache
def tables() -> Tables:
    """Return the stored tables, or computed ones if the stored ones are of another grammar."""
    grammar = text()
    try:
        record = json.loads(read("dl.tables.json"))
        if record["of"] == _identity(grammar):
            return _tables(record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError):
        pass
    return _tables(compute(grammar))


def written(grammar: str) -> str:
    """Return the text of `dl.tables.json` for a grammar."""
    record = {"of": _identity(grammar), **compute(grammar)}
    entries = []
    for name, value in record.items():
        if isinstance(value, list):  # one entry per line, for readable diffs
            lines = ",\n".join(json.dumps(each, separators=(",", ":")) for each in value)
            entries.append(f"{json.dumps(name)}: [\n{lines}\n]")
        else:
            entries.append(f"{json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def _identity(grammar: str) -> str:
    # The tables depend only on the grammar: its LALR(1) parser is unique, and JSON is the same for
    # all versions of Python and Lark.
    from hashlib import sha256

    return sha256(f"{LAYOUT}\n{grammar}".encode()).hexdigest()


def _tables(record: dict[str, Any]) -> Tables:
    return Tables(
        record["lexer"],
        frozenset(record["keywords"]),
        tuple(record["actions"]),
        tuple(record["gotos"]),
        tuple(GrammarRule(*rule) for rule in record["rules"]),
        int(record["start"]),
        int(record["end"]),
    )


def compute(grammar: str) -> dict[str, Any]:
    """Return the tables of a grammar as plain data. Raises Lark's GrammarError for conflicts."""
    from lark import Lark
    from lark.grammar import Rule as LarkRule
    from lark.lexer import TerminalDef

    lark = Lark(grammar, parser="lalr", start="file", maybe_placeholders=False)
    # Lark's own saved and stand-alone parsers use the same plain data.
    data, memo = lark.memo_serialize([TerminalDef, LarkRule])
    parser, lexer = data["parser"]["parser"], data["parser"]["lexer_conf"]

    terminals = [memo[entry["@"]] for entry in lexer["terminals"]]
    signs = {
        t["name"]: t["pattern"]["value"]
        for t in terminals
        if t["pattern"]["__type__"] == "PatternStr"
    }
    patterns = {t["name"]: t["pattern"]["value"] for t in terminals if t["name"] not in signs}
    words = {sign for sign in signs.values() if sign.isalpha()}
    keywords = sorted(words - CONTEXTUAL)
    marks = sorted(set(signs.values()) - words, key=lambda mark: (-len(mark), mark))
    patterns["MARK"] = "|".join(map(re.escape, marks))

    names = {number: signs.get(name, name) for number, name in parser["tokens"].items()}
    is_rule = {
        number
        for number, name in parser["tokens"].items()
        if not (name.isupper() or name.startswith("$") or name in signs)
    }
    # States and rules are numbered in the order in which they are reached, so that the tables are
    # reproducible.
    start, end = parser["start_states"]["file"], parser["end_states"]["file"]
    numbers: dict[Any, int] = {start: 0}
    rules: dict[Any, int] = {}
    actions: list[dict[str, int]] = []
    gotos: list[dict[str, int]] = []
    reached = [start]
    for state in reached:
        actions.append({})
        gotos.append({})
        row = parser["states"][state]
        for token in sorted(row, key=lambda token: (token in is_rule, names[token])):
            is_reduction, argument = row[token]
            if is_reduction:
                action = ~rules.setdefault(argument["@"], len(rules))
            else:
                if argument not in numbers:
                    numbers[argument] = len(reached)
                    reached.append(argument)
                action = numbers[argument]
            (gotos if token in is_rule else actions)[-1][names[token]] = action
    return {
        "lexer": "|".join(f"(?P<{name}>{pattern})" for name, pattern in sorted(patterns.items())),
        "keywords": keywords,
        "actions": actions,
        "gotos": gotos,
        "rules": [_rule(memo[key]) for key in rules],
        "start": numbers[start],
        "end": numbers[end],
    }


def _rule(rule: dict[str, Any]) -> tuple[str, int, str | None]:
    name, parts = rule["origin"]["name"], len(rule["expansion"])
    if name.startswith("_"):
        builder = "_parts"
    elif rule["options"]["expand1"] and parts == 1 and not rule["alias"]:
        builder = None
    else:
        builder = rule["alias"] or name
    return name, parts, builder
