"""Checked programs in the cache folder: a file that was compiled before is not checked again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from model_files import BENCHMARKS, MODELS

import specc
from specc import driver
from specc.frontend.program import check as checker
from specc.ir import stored
from specc.ir.pickled import packed
from specc.ir.show import show_program
from specc.source import Source
from specc.system import folders

ROOT = Path(__file__).resolve().parents[2]
TEXT = "model m { input x: float[size] target y: float let f = x -> dense(1) loss mse(f[0], y) }"
TRAIN = "train { optimizer sgd(lr = 0.1) batch = 4 }"
WHOLE = f"dim size = 3\n{TEXT}\n{TRAIN}"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """An empty cache folder of checked programs."""
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(stored, "private", folders.private)
    return tmp_path / "cache" / "checked"


@pytest.fixture
def checks_nothing(monkeypatch):
    """After it is called, no file is checked."""

    def fail(*_, **__):
        raise AssertionError("a file was checked")

    return lambda: monkeypatch.setattr(checker, "check", fail)


def stored_files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def facts(program) -> tuple[object, ...]:
    """What can be seen of a program."""
    made = program.resized
    return (
        show_program(program),
        repr(program),
        program.digest,
        [each.page() for each in program.warnings],
        [(each.path, each.text, each.span.line) for each in program.layers],
        repr(program.recipe),
        made.source.name,
        made.texts(),
        dict(made.overrides),
    )


@pytest.mark.parametrize("path", [*MODELS.values(), *BENCHMARKS.values()], ids=lambda p: p.stem)
def test_a_stored_program_is_the_checked_one(path, folder, checks_nothing):
    program, found = driver.check(path)
    assert program is not None
    program.resized.store()
    is_alone = "use " not in path.read_text() and driver.SEARCH not in path.read_text()
    assert len(stored_files(folder)) == is_alone
    if is_alone:
        checks_nothing()
        again, others = driver.check(path)
        assert again is not program
        assert facts(again) == facts(program)
        assert [each.page() for each in others] == [each.page() for each in found]
        del vars(again)["digest"]
        assert again.digest == program.digest


def test_a_stored_program_has_its_warnings_and_other_sizes(folder, checks_nothing):
    text = WHOLE.replace("dense(1)", "dense(4) -> dense(1)")
    with pytest.warns(specc.SpecWarning, match="linear"):
        net = specc.compile(specc.loads(text))
    assert len(stored_files(folder)) == 1
    checks_nothing()
    with pytest.warns(specc.SpecWarning, match="linear"):
        again = specc.loads(text)
    assert again.digest == net.program.digest
    with pytest.raises(AssertionError, match="was checked"):
        again.resized({"size": 5})


def test_a_stored_program_can_be_made_for_other_sizes():
    specc.compile(specc.loads(WHOLE))
    again = specc.loads(WHOLE)
    other = again.resized({"size": 5})
    assert other is not None
    assert other.ports[0].shape == (5,)


@pytest.mark.parametrize(
    "change",
    [
        lambda: driver.check(Source("m.dl", WHOLE.replace("0.1", "0.2"))),
        lambda: driver.check(Source("m.dl", f"{WHOLE}\n")),
        lambda: driver.check(Source("n.dl", WHOLE)),
        lambda: driver.check(Source("m.dl", WHOLE), {"size": 4}),
        lambda: driver.check(Source("m.dl", WHOLE), {"size": 3}),
        lambda: driver.check(Source("m.dl", WHOLE), {"size": "3"}),
    ],
)
def test_what_a_check_follows_from_decides_what_is_found(change, checks_nothing):
    program, _ = driver.check(Source("m.dl", WHOLE))
    program.resized.store()
    checks_nothing()
    driver.check(Source("m.dl", WHOLE))
    with pytest.raises(AssertionError, match="was checked"):
        change()


def test_a_changed_file_of_specc_checks_again(monkeypatch, checks_nothing):
    program, _ = driver.check(Source("m.dl", WHOLE))
    program.resized.store()
    monkeypatch.setattr(stored, "fingerprint", lambda: "of changed files")
    checks_nothing()
    with pytest.raises(AssertionError, match="was checked"):
        driver.check(Source("m.dl", WHOLE))


def test_a_program_that_uses_other_files_is_checked_again(tmp_path, folder):
    (tmp_path / "own.dl").write_text("dim size = 3")
    file = tmp_path / "m.dl"
    file.write_text(f'use "own.dl"\n{TEXT}\n{TRAIN}')
    assert specc.compile(specc.load(file)).params["dense1.weight"].shape == (1, 3)
    assert stored_files(folder) == []
    (tmp_path / "own.dl").write_text("dim size = 4")
    assert specc.compile(specc.load(file)).params["dense1.weight"].shape == (1, 4)


def test_a_program_with_a_search_is_checked_again(folder):
    text = WHOLE.replace("lr = 0.1", "lr = search(0.1, 0.2)")
    specc.compile(specc.loads(text, lr=0.1))
    assert stored_files(folder) == []


def test_only_the_checked_program_is_stored(folder):
    program = driver.with_precision(specc.loads(WHOLE), "bfloat16")
    specc.compile(program)
    assert len(stored_files(folder)) == 1
    assert specc.loads(WHOLE).recipe.precision != "bfloat16"


def test_a_check_alone_stores_nothing(folder):
    driver.check(Source("m.dl", WHOLE))
    driver.check_all(Source("m.dl", WHOLE))
    assert stored_files(folder) == []


@pytest.mark.parametrize("damage", [b"", b"specc program 1\n", None, packed({})])
def test_a_damaged_file_is_checked_again(damage, folder):
    first = specc.loads(WHOLE)
    specc.compile(first)
    (path,) = stored_files(folder)
    content = path.read_bytes()
    path.write_bytes(content[:-3] if damage is None else damage)
    assert facts(specc.loads(WHOLE)) == facts(first)
    specc.compile(specc.loads(WHOLE))
    assert path.stat().st_size == len(content)


def test_a_file_of_another_user_is_not_read(folder, monkeypatch):
    specc.compile(specc.loads(WHOLE))
    for path in stored_files(folder):
        path.chmod(0o666)
    monkeypatch.setattr(stored, "unpacked", lambda _: pytest.fail("it was read"))
    specc.loads(WHOLE)


FIRST_STEP = """
import json, sys
import numpy as np
import specc

net = specc.compile(specc.load(sys.argv[1]))
arrays = {port.name: np.zeros((net.batch, *port.shape), int) for port in net.ports}
net.step(**arrays)
print(json.dumps(sorted(sys.modules)))
"""
FRONT = {"specc.frontend", "specc.frontend.syntax", "specc.frontend.syntax.reading"}
"""The parts of the front end that read a file."""
COLD = (
    "specc.frontend",
    "specc.pipeline",
    "specc.backend.contraction",
    "specc.backend.emit.emit",
    "specc.backend.llvm.compile",
    "specc.backend.llvm.lower",
    "specc.backend.numba",
    "specc.backend.toolchain.workers",
    "specc.flow",
    "specc.runs",
    "lark",
    "numba",
    "jsonschema",
    "click",
    "subprocess",
)
"""Modules, with those in them, that only a cold start needs, or none."""


def test_a_warm_start_imports_neither_the_front_end_nor_the_compiler(tmp_path):
    def imported() -> set[str]:
        done = subprocess.run(
            [sys.executable, "-P", "-c", FIRST_STEP, str(BENCHMARKS["lenet"])],
            env={**os.environ, "PYTHONPATH": str(ROOT), "SPECC_CACHE_DIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            check=True,
        )
        return set(json.loads(done.stdout))

    def cold(names: set[str]) -> set[str]:
        return {
            name
            for name in names - FRONT
            if any(f"{name}.".startswith(f"{each}.") for each in COLD)
        }

    assert cold(imported())
    assert cold(imported()) == set()
