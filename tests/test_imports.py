"""Imports run one way, and `check` pays for what it needs alone."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "specc"

# Each part may import itself, and the parts named here.
BASE = {"system", "source", "diagnostics", "recipe"}
MIDDLE = BASE | {"target", "ir", "ops"}
MAY_IMPORT = {
    **{name: BASE for name in BASE},
    "ir": BASE,
    "target": set(),
    "ops": BASE | {"target", "ir"},
    "frontend": MIDDLE,
    "passes": MIDDLE,
    "backend": MIDDLE,
    "pipeline": MIDDLE | {"passes", "backend"},
    "runtime": BASE,
    "flow": MIDDLE | {"passes", "backend", "pipeline"},
    "net": MIDDLE | {"passes", "backend", "pipeline", "flow", "runtime"},
    "notebook": MIDDLE | {"frontend", "driver", "drawing", "runs"},
    "driver": MIDDLE | {"frontend", "passes", "backend", "pipeline", "net"},
    "runs": MIDDLE | {"frontend", "passes", "backend", "pipeline", "net", "driver", "runtime"},
    "sweeps": MIDDLE | {"frontend", "driver", "runtime", "runs"},
    "plots": MIDDLE
    | {"frontend", "passes", "backend", "pipeline", "flow", "net", "driver", "runtime", "runs"},
    "drawing": MIDDLE,
    "board": MIDDLE | {"report", "runs"},
    "report": MIDDLE | {"frontend", "drawing", "plots", "runs", "runtime", "sweeps"},
    "sklearn": MIDDLE | {"passes", "net", "driver", "runtime", "runs"},
    "projects": BASE | {"frontend", "runtime", "recipe"},
    "cli": MIDDLE
    | {"frontend", "passes", "backend", "flow", "pipeline", "net", "driver", "runtime", "runs"}
    | {"plots", "drawing", "report", "board", "projects", "sweeps"},
}


def part(path: Path) -> str:
    """The part of the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


IN_TEXT = re.compile(r"^\s*(?:from|import) (specc(?:\.\w+)+)", re.MULTILINE)
"""An import that a string holds, to be run later."""


@dataclass(frozen=True)
class Content:
    """What a file imports of the package, in functions and in strings too, and its classes.

    Imports for annotations alone are left out: they never run.
    """

    imported: set[str]
    classes: list[str]


@cache
def content(path: Path) -> Content:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    ignored = {
        inner
        for node in nodes
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    ignored |= {  # docstrings, and strings under a name's definition that explain it
        node.value for node in nodes if isinstance(node, ast.Expr)
    }
    names: set[str] = set()
    for node in nodes:
        if node in ignored:
            continue
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path.name}: a relative import"
            names |= {f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= set(IN_TEXT.findall(node.value))
    return Content(
        {name for name in names if name.startswith("specc.")},
        [node.name for node in nodes if isinstance(node, ast.ClassDef)],
    )


def imported(path: Path) -> set[str]:
    """The files and names of the package that a file imports."""
    return content(path).imported


def parts_imported(path: Path) -> set[str]:
    """The parts of the package that a file imports."""
    return {name.split(".")[1] for name in imported(path)}


def module(path: Path) -> str:
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


@cache
def files_imported() -> dict[str, set[str]]:
    """For each file of the package, those that it imports, by the names of modules."""
    modules = {module(path): path for path in PACKAGE.rglob("*.py")}
    found: dict[str, set[str]] = {}
    for name, path in modules.items():
        found[name] = set()
        for each in imported(path):
            while each not in modules:
                each = each.rpartition(".")[0]
            if each not in (name, "specc"):
                found[name].add(each)
    return found


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """The sets of names each of which leads to all the others."""

    def reached(start: str) -> set[str]:
        seen, stack = set(), [start]
        while stack:
            for each in arrows[stack.pop()]:
                if each not in seen:
                    seen.add(each)
                    stack.append(each)
        return seen

    reach = {name: reached(name) for name in arrows}
    together = {
        tuple(sorted(other for other in reach[name] if name in reach[other]))
        for name in arrows
        if name in reach[name]
    }
    return [list(each) for each in sorted(together)]


def test_imports_in_functions_and_in_strings_count(tmp_path):
    file = tmp_path / "file.py"
    file.write_text(
        '"""from specc.cli import main is how it runs"""\n'
        "from typing import TYPE_CHECKING\n"
        "from specc.ir import sizes\n"
        "if TYPE_CHECKING:\n    from specc.ops.leaf import Input\n"
        "def f():\n    import specc.ops.window\n"
        "TEXT = 'import math\\nfrom specc.backend.machine import profile'\n"
    )
    assert imported(file) == {"specc.ir.sizes", "specc.ops.window", "specc.backend.machine"}


def test_a_circle_is_found():
    arrows = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert circles(arrows) == [["a", "b", "c"], ["d", "e"]]


def test_no_files_import_each_other_in_a_circle():
    assert circles(files_imported()) == []


def test_no_folders_import_each_other_in_a_circle():
    folders = {module(path.parent / "__init__.py") for path in PACKAGE.rglob("*.py")}

    def folder(name: str) -> str:
        return name if name in folders else name.rpartition(".")[0]

    arrows: dict[str, set[str]] = {name: set() for name in folders}
    for name, others in files_imported().items():
        own = folder(name)
        for other in map(folder, others):
            if not f"{own}.".startswith(f"{other}.") and not f"{other}.".startswith(f"{own}."):
                arrows[own].add(other)
    assert circles(arrows) == []


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_a_module_imports_only_what_stands_before_it(path):
    name = part(path)
    if name in ("__init__", "__main__"):
        return
    beyond = parts_imported(path) - MAY_IMPORT[name] - {name, "__version__"}
    assert not beyond, f"{path.name} imports {beyond}"


SYNTAX = PACKAGE / "frontend" / "syntax" / "ast"
"""Classes of the syntax tree have the names of the grammar's rules. They are written `ast.Name`."""


def test_a_name_is_given_to_one_class():
    homes: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if SYNTAX in path.parents:
            continue
        for name in content(path).classes:
            if not name.startswith("_"):
                homes.setdefault(name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_classes_of_the_syntax_tree_are_written_with_the_name_of_their_module():
    tree = f"specc.frontend.syntax.{SYNTAX.name}"
    for path in PACKAGE.rglob("*.py"):
        bare = [name for name in imported(path) if name.startswith(f"{tree}.")]
        # the files of the tree are imported, not their classes
        bare = [name for name in bare if name.rpartition(".")[2][0].isupper()]
        assert SYNTAX in path.parents or not bare, f"{path.name} imports {bare}"


def test_the_table_of_packages_names_each_after_those_that_it_may_import():
    table = re.findall(r"^\| `specc/(\w+)", (ROOT / "docs/architecture.md").read_text(), re.M)
    assert sorted(table) == sorted(MAY_IMPORT)
    for place, name in enumerate(table):
        later = MAY_IMPORT[name] & set(table[place + 1 :]) - (BASE if name in BASE else set())
        assert not later, f"{name} may import {later}, which the table names after it"


def test_checking_a_model_imports_neither_numpy_nor_numba():
    code = (
        "import sys; from specc import driver;"
        f"program, found = driver.check({str(ROOT / 'models' / 'lenet.dl')!r});"
        "assert program is not None, found;"
        "heavy = {'numpy', 'numba', 'llvmlite', 'rich'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_check_command_imports_neither_numpy_nor_numba():
    code = (
        "import sys; from specc.cli.main import main\n"
        "try:\n"
        f"    main(['check', '--no-data', {str(ROOT / 'models' / 'lenet.dl')!r}])\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = {'numpy', 'numba', 'llvmlite', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
