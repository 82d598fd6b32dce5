"""The examples in docstrings of the Python API do what they say."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = ("specc", "specc.runs.run", "specc.sklearn.classifier", "specc.sklearn.regressor")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    if name.startswith("specc.sklearn"):
        pytest.importorskip("sklearn")
    found = doctest.testmod(import_module(name))
    assert found.attempted and not found.failed
