"""The front end's rooms: each imports only the ones listed before it, and lists its files."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import specc.frontend

ROOT = Path(specc.frontend.__file__).parent
ROW = re.compile(r"^(\w+) {2,}\S", re.MULTILINE)
ROOMS = ROW.findall(specc.frontend.__doc__ or "")


def imported(path: Path) -> set[str]:
    """The rooms that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return {name.split(".")[2] for name in found if name.startswith("specc.frontend.")}


def test_the_page_of_the_front_end_lists_its_rooms():
    assert sorted(ROOMS) == sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_those_before_it(room):
    before = {*ROOMS[: ROOMS.index(room)], room}
    for path in (ROOT / room).rglob("*.py"):
        assert imported(path) <= before, path.name


@pytest.mark.parametrize("room", ROOMS)
def test_the_page_of_a_room_lists_its_files(room):
    page = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8")))
    files = {path.stem for path in (ROOT / room).iterdir() if path.stem[0] not in "_."}
    assert files == set(ROW.findall(page or ""))
