"""The table of the names of all errors is complete, and has no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from specc.frontend.words.messages import ERRORS, WARNINGS

PACKAGE = Path(__file__).resolve().parent.parent / "specc"
REPORTING = {"error", "warning", "OperandError", "Diagnostic", "diagnostic", "_error", "Wrong"}
SEVERITIES = {"error", "warning"}


def named(tree: ast.AST) -> set[str]:
    """The names of the errors that calls in a file report: the first argument, or `name=`."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
        if function in REPORTING:
            first = node.args[:1] + [each.value for each in node.keywords if each.arg == "name"]
            texts = [each.value for each in first if isinstance(each, ast.Constant)]
            found |= {each for each in texts if re.fullmatch(r"[a-z]+(-[a-z]+)*", str(each))}
    return found - SEVERITIES


def test_every_name_in_use_is_in_the_table_and_every_name_of_the_table_is_in_use():
    used = {name for path in PACKAGE.rglob("*.py") for name in named(ast.parse(path.read_text()))}
    assert used == set(ERRORS) | set(WARNINGS)


def test_the_tables_are_in_the_order_of_the_alphabet():
    for table in (ERRORS, WARNINGS):
        assert list(table) == sorted(set(table))
        assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in table)
