"""The examples in docstrings of the Python API do what they say."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import specc
from specc.net.net import Net
from specc.runs.run import Metrics, Run
from specc.sweeps.result import Result

ROOT = Path(__file__).resolve().parent.parent
MODULES = (
    "specc",
    "specc.net.net",
    "specc.net.rows",
    "specc.runs.run",
    "specc.sklearn.classifier",
    "specc.sklearn.regressor",
    "specc.sweeps.result",
)
NEEDS = {"specc": "optuna", "specc.sweeps.result": "optuna"}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("error")
def test_the_examples_of_a_module_hold(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    pytest.importorskip("sklearn" if "sklearn" in name else NEEDS.get(name, "numpy"))
    found = doctest.testmod(import_module(name), extraglobs={"specc": specc, "np": np})
    assert found.attempted and not found.failed


def public() -> dict[str, object]:
    """The functions of `specc`, and the methods and properties of what they return."""
    found = {name: getattr(specc, name) for name in specc.__all__}
    found = {name: each for name, each in found.items() if inspect.isfunction(each)}
    for of in (Net, Run, Metrics, Result):
        for name, each in inspect.getmembers_static(of):
            own = inspect.isfunction(each) or isinstance(each, property)
            if own and not name.startswith("_"):
                found[f"{of.__name__}.{name}"] = each
    return found


@pytest.mark.parametrize("name", public())
def test_a_public_function_has_an_example(name):
    assert ">>>" in (public()[name].__doc__ or "")
