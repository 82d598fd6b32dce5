"""The tool that changes the compiler's code: which changes it finds, and that they take effect."""

from __future__ import annotations

import linecache
import os
import sys
import types

import pytest

from tests.code_mutants.changes import changes
from tests.code_mutants.report import arguments, is_argued, stale
from tests.code_mutants.run import sample
from tests.code_mutants.swap import swap

SOURCE = '''"""A module."""
LIMIT = 5

def first(values, limit):
    """The first value."""
    assert limit > 0
    for each in values:
        if each < limit and each != 3:
            return each - 1
    return None

def twice(x): return (lambda y: y *
                      2)(x)
'''


def test_each_change_of_a_module_is_found_once():
    found = {each.name for each in changes(SOURCE)}
    assert found == {
        "first: `each < limit and each != 3` -> `each < limit or each != 3`",
        "first: `each < limit and each != 3` -> `each < limit`",
        "first: `each < limit and each != 3` -> `each != 3`",
        "first: `each < limit` -> `each <= limit`",
        "first: `each < limit` -> `each >= limit`",
        "first: `each != 3` -> `each == 3`",
        "first: `3` -> `4`",
        "first: `3` -> `2`",
        "first: `if each < limit and each != 3` -> `if not (each < limit and each != 3)`",
        "first: `if each < limit and each != 3` -> `if False`",
        "first: `each - 1` -> `each + 1`",
        "first: `1` -> `2`",
        "first: `1` -> `0`",
        "twice.<lambda>: `y * 2` -> `y + 2`",
        "twice.<lambda>: `2` -> `3`",
        "twice.<lambda>: `2` -> `1`",
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="mutants are processes that are forked")
@pytest.mark.parametrize(("name", "wanted"), [
    ("first: `each < limit` -> `each <= limit`", (4, 8)),
    ("first: `each - 1` -> `each + 1`", (3, 8)),
    ("twice.<lambda>: `y * 2` -> `y + 2`", (1, 6)),
])  # fmt: skip
def test_a_change_takes_effect_in_code_and_text(name, wanted, monkeypatch):
    module = types.ModuleType("specimen")
    module.__file__ = "specimen.py"
    exec(compile(SOURCE, module.__file__, "exec", dont_inherit=True), module.__dict__)
    monkeypatch.setitem(sys.modules, "specimen", module)
    monkeypatch.setattr(linecache, "cache", {})
    assert (module.first([5, 2], 5), module.twice(4)) == (1, 8)
    change = next(each for each in changes(SOURCE) if each.name == name)
    assert swap(change, "specimen")
    assert (module.first([5, 2], 5), module.twice(4)) == wanted
    text = "".join(linecache.getlines("specimen.py"))
    again = types.ModuleType("again")
    exec(text, again.__dict__)
    assert (again.first([5, 2], 5), again.twice(4)) == wanted
    assert text.count("\n") == SOURCE.count("\n")


def test_every_change_has_a_name_of_its_own_and_every_pattern_an_argument():
    names = [f"{file.removeprefix('specc/')} {change.name}" for file, change in sample(0)]
    assert len(names) == len(set(names)) > 5000
    for pattern, argument in arguments():
        assert argument and ".py " in pattern and not is_argued("", [pattern]), pattern


def test_arguments_about_no_change_are_reported():
    assert stale(["a.py f: *", "a.py g: `1` -> *"], ["a.py f: `1` -> `2`"]) == ["a.py g: `1` -> *"]
