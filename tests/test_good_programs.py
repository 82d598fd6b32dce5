"""Small valid programs, each showing one feature: `good/<name>.dl`."""

from __future__ import annotations

from pathlib import Path

import pytest

from specc import driver, pipeline
from specc.ir.verify import verify
from specc.source import Source

GOOD = sorted((Path(__file__).parent / "good").glob("*.dl"))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_program_has_no_diagnostics_and_a_sound_graph(path):
    program, diagnostics = driver.check(path)
    assert diagnostics == []
    if program is None:
        return  # definitions alone
    graph = (
        pipeline.with_gradients(program)
        if program.losses
        else pipeline.forward(program, training=True)
    )
    verify(graph, "lower")


def test_there_are_many():
    assert len(GOOD) >= 150


def test_a_model_that_computes_nothing_is_listed():
    text = driver.build(driver.load(Source("x.dl", "model m { input x: float[8] }")), batch=3)
    compile(text, "x.py", "exec")


def test_fused_formulas_are_listed():
    # a value that is read twice within one call, and has no place of its own
    for name in ("block", "equal_or_not", "shadow_of_nothing"):
        compile(
            driver.build(driver.load(Path(__file__).parent / "good" / f"{name}.dl"), batch=3),
            name,
            "exec",
        )
