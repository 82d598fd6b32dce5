"""The same models in specc, PyTorch and Keras: their tokens, and that each text trains."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import tokens

STEP = Path(__file__).with_name("one_step.py")
STEPS = {"gan": 2, "wgan_gp": 2}  # an optimizer each
TEXTS = [
    (library, path)
    for library in tokens.OTHERS
    for path in sorted((tokens.HERE / library).iterdir())
]


def test_only_what_says_something_is_counted(tmp_path):
    python = tmp_path / "a.py"
    python.write_text("# nothing\n\nif a:\n    b.c = 'd e'  # more\n")
    assert tokens.tokens(python) == len(["if", "a", ":", "b", ".", "c", "=", "'d_e'"])
    model = tmp_path / "a.dl"
    model.write_text("# nothing\ndim n = 3  # more\n\n")
    assert tokens.tokens(model) == 4


def test_each_model_has_both_texts_and_no_text_is_without_a_model():
    models = {path.stem for path in tokens.MODELS.glob("*.dl")}
    for library in tokens.OTHERS:
        assert {path.stem for path in (tokens.HERE / library).glob("*.py")} == models


def test_the_table_is_what_is_counted():
    assert tokens.table() in (tokens.HERE / "README.md").read_text(encoding="utf-8")


def test_specc_needs_the_fewest_tokens():
    found = tokens.counts()
    assert all(own < min(others) for own, *others in found.values())
    assert tokens.shares(found)[0] <= 0.5


@pytest.mark.long
@pytest.mark.parametrize(("library", "path"), TEXTS, ids=lambda each: getattr(each, "stem", each))
def test_a_text_makes_a_training_step(library, path, tmp_path):
    module = {"pytorch": "torch", "keras": "keras"}[library]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    steps = STEPS.get(path.stem, 1) if library == "pytorch" else 1
    command = [sys.executable, STEP, library, path, str(steps), tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and f"{steps} steps" in done.stdout, done.stdout + done.stderr
