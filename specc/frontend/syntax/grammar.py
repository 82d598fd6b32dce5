"""The grammar, as tables that a parser runs on.

In: `grammars/dl.lark`. Out: `Tables`, which Lark computes once: they stand beside the grammar, in
`dl.tables.json`.

    tables().keywords        # {"let", "model", ...}
    tables().actions[0]      # {"let": 17, ...}: in state 0, the word `let` leads to state 17

Lark makes the tables, and is not even imported where they are at hand: importing it takes 0.1 s,
computing them 0.3, reading them 2 ms. They name the text that they were made of: those of another
grammar are not used, but computed anew in each process.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from specc.system.records import dataclass

LAYOUT = 1
"""Changes with what `compute` returns."""


@dataclass(frozen=True, slots=True)
class GrammarRule:
    """`parts` values on the stack become one value of the rule `name`, built by `builder`.

    Without a builder the value of a single part is handed on as it is.
    """

    name: str
    parts: int
    builder: str | None


@dataclass(frozen=True, slots=True)
class Tables:
    """An LALR(1) parser. The kind of a token is its own text, or NAME, NUMBER, STRING, BROKEN,
    $END.

    A number in `actions` is the state to go to with the token, or, if negative, `~` of the rule
    that ends before the token. `gotos` says where to go with the value of a rule.
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
    """Return a file of `grammars/`: beside the package in a repository, within it where
    installed."""
    package = Path(__file__).parents[2]
    for folder in (package, package.parent):
        file = folder / "grammars" / name
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise AssertionError(f"grammars/{name} is not installed; please report this")


@cache
def tables() -> Tables:
    """Return the tables: those beside the grammar, or, where they are not of this text, computed
    ones."""
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
        if isinstance(value, list):  # an entry a line, so that a change of the grammar can be read
            lines = ",\n".join(json.dumps(each, separators=(",", ":")) for each in value)
            entries.append(f"{json.dumps(name)}: [\n{lines}\n]")
        else:
            entries.append(f"{json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def _identity(grammar: str) -> str:
    # The tables depend on the grammar alone: there is one LALR(1) parser for it, and JSON is the
    # same for all versions of Python and Lark.
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
    """Return the tables of a grammar as plain data. Raises Lark's GrammarError if it has a
    conflict."""
    from lark import Lark
    from lark.grammar import Rule as LarkRule
    from lark.lexer import TerminalDef

    lark = Lark(grammar, parser="lalr", start="file", maybe_placeholders=False)
    # The plain data of which Lark's own saved and stand-alone parsers are made, too.
    data, memo = lark.memo_serialize([TerminalDef, LarkRule])
    parser, lexer = data["parser"]["parser"], data["parser"]["lexer_conf"]

    terminals = [memo[entry["@"]] for entry in lexer["terminals"]]
    signs = {
        t["name"]: t["pattern"]["value"]
        for t in terminals
        if t["pattern"]["__type__"] == "PatternStr"
    }
    patterns = {t["name"]: t["pattern"]["value"] for t in terminals if t["name"] not in signs}
    keywords = sorted(sign for sign in signs.values() if sign.isalpha())
    marks = sorted(set(signs.values()) - set(keywords), key=lambda mark: (-len(mark), mark))
    patterns["MARK"] = "|".join(map(re.escape, marks))

    names = {number: signs.get(name, name) for number, name in parser["tokens"].items()}
    is_rule = {
        number
        for number, name in parser["tokens"].items()
        if not (name.isupper() or name.startswith("$") or name in signs)
    }
    # States and rules are numbered in the order in which they are reached, so that the tables of a
    # grammar are always the same.
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
