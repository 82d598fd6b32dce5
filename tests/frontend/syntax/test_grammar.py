"""The grammar and the tables that are made of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from lark import Lark
from lark.exceptions import LarkError

from specc.frontend.syntax import grammar
from specc.frontend.syntax.parse import parse
from specc.frontend.syntax.parser import DEFINITIONS, STATEMENTS
from specc.source import Source

RESERVED = """dim seq const use fn block cell optimizer model train input stream target let layer
param state next return output loss metric data validate test column augment freeze for in if then
else and or not true false"""

TEXTS = [
    "",
    "dim n",
    'dim n = 3 seq t = 4 const c = 1e-4 use "blocks.dl"',
    "fn f(x) = x ^ 2 ^ -3 -> relu -> 3 * (dense(3) -> relu)",
    "fn f(; a) { return a }",
    (
        "block b(x: float[<= t, 3]; k: int > 0 < 9 = 3, r: exact or floor = exact) { return x[1:3,"
        " :, ::2] }"
    ),
    "model m { output a loss b = c metric d }",
    (
        'train { data csv("a"; b = 1) validate split = 0.9 optimizer adam for a.b, c e = 1 freeze'
        " a, b }"
    ),
    "fn f(x = 3",
    "fn f(x) = a < b < c",
    "fn f(x) = 1 + if a then b else c",
    "model m { let = 3 }",
    "model m { let loss = 3 }",
    "model m { output a, b }",
    "dim n = 3 4",
    "fn f(x) = x ** 2",
    "fn f(x) = 3x",
    "x = 3",
    "use blocks",
    "}",
]


TABLES = Path(__file__).parents[3] / "grammars" / "dl.tables.json"


@pytest.fixture
def anew():
    """Tables that nothing has read yet, here and afterwards."""
    grammar.tables.cache_clear()
    yield
    grammar.tables.cache_clear()


def test_the_grammar_has_no_conflicts():
    Lark(grammar.text(), parser="lalr", start="file")


def test_no_two_terminals_match_the_same_text():
    pytest.importorskip("interegular")
    Lark(grammar.text(), parser="lalr", start="file", strict=True)


def test_the_reserved_words_are_those_of_the_language():
    assert grammar.tables().keywords == set(RESERVED.split())


def test_statements_and_definitions_start_with_the_words_the_parser_goes_on_at():
    tables = grammar.tables()
    lists = [row for row in tables.actions if row.get("BROKEN", -1) >= 0]
    starts = [{kind for kind in row if row[kind] >= 0} for row in lists]
    outside = [kinds & tables.keywords for kinds in starts if "model" in kinds]
    words = tables.keywords | grammar.CONTEXTUAL
    within = [kinds & words for kinds in starts if "model" not in kinds]
    assert all(kinds == DEFINITIONS for kinds in outside) and outside
    assert all(kinds == STATEMENTS for kinds in within) and within


@pytest.fixture(scope="module")
def lark() -> Lark:
    # The basic lexer, for a reserved word is one wherever it stands.
    return Lark(grammar.text(), parser="lalr", start="file", lexer="basic")


@pytest.mark.parametrize("text", TEXTS)
def test_the_parser_takes_what_lark_takes(text, lark):
    try:
        lark.parse(text)
        is_good = True
    except LarkError:
        is_good = False
    assert (parse(Source("x.dl", text))[1] == []) == is_good


def test_the_tables_at_hand_are_those_of_the_grammar(golden, anew, monkeypatch):
    golden(TABLES, grammar.written(grammar.text()))
    monkeypatch.setattr(grammar, "compute", None)
    assert "let" in grammar.tables().keywords


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"of": 3}', "null", None])
def test_tables_that_are_not_of_the_grammar_are_computed(anew, monkeypatch, content):
    expected = grammar.tables()
    grammar.tables.cache_clear()
    if content is None:  # those of another grammar
        content = TABLES.read_text().replace('"of": "', '"of": "0')
    read = grammar.read
    monkeypatch.setattr(
        grammar, "read", lambda name: content if name == "dl.tables.json" else read(name)
    )
    computed = grammar.compute
    done = []
    monkeypatch.setattr(grammar, "compute", lambda text: done.append(text) or computed(text))
    assert grammar.tables() == expected
    assert done == [grammar.text()]


def test_tables_that_are_not_there_are_computed(anew, monkeypatch):
    expected = grammar.tables()
    grammar.tables.cache_clear()
    read = grammar.read

    def missing(name):
        assert name != "dl.tables.json"
        return read(name)

    monkeypatch.setattr(grammar, "read", missing)
    assert grammar.tables() == expected


def test_lark_is_not_imported_where_the_tables_are_at_hand():
    code = """
import sys
from specc.frontend.syntax.parse import parse
from specc.source import Source
assert parse(Source("a.dl", "dim n = 3 +"))[1]
assert not {"lark", "numpy", "numba", "jsonschema"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
