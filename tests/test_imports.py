"""Imports run one way, and `check` pays for what it needs alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "specc"

# Each part may import itself, and the parts named here.
BASE = {
    "collection",
    "locks",
    "source",
    "excerpt",
    "diagnostics",
    "folders",
    "reading",
    "recipe",
    "columns",
    "sources",
}
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
    "driver": MIDDLE | {"frontend", "passes", "backend", "pipeline", "net"},
    "cli": MIDDLE | {"frontend", "passes", "backend", "flow", "net", "driver", "runtime"},
}


def part(path: Path) -> str:
    """The part of the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The parts of the package that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "specc":
                names = [f"specc.{each.name}" for each in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("specc.")}
    return found


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_a_module_imports_only_what_stands_before_it(path):
    name = part(path)
    if name in ("__init__", "__main__"):
        return
    beyond = imported(path) - MAY_IMPORT[name] - {name, "__version__"}
    assert not beyond, f"{path.name} imports {beyond}"


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
