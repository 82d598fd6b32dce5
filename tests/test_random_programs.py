"""Random programs: compiled code against the interpreter, and whether the comparison itself can
tell.

`python -m pytest -m long tests/test_random_programs.py -s` compares 20,000; in pieces, and to see a
single one: `python tests/random_programs.py --help`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from generator.campaign import run
from generator.cases import Case, case, case_of_pairs, is_valid
from generator.child import Child
from generator.oracle import Oracle
from generator.program import Program
from generator.shrink import shrunk

from specc import driver, pipeline
from specc.ir.kind import Kind
from specc.passes.chunk import chunk
from specc.passes.regions import CutLimits
from specc.pipeline import Job
from specc.source import Source

# at least 300 programs run each time
USUAL, BLOCK, LONG, PAIRS = 300, 15, 20_000, 5
ONCE_WRONG = (7000150, 9000080)  # one of five programs from each on failed once
UNMENDED: frozenset[str] = frozenset()
"""Features of which bugs are known."""


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """A process for all programs, with the cache folder of the other tests."""
    with Child() as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, USUAL, BLOCK))
def test_compiled_programs_compute_what_the_interpreter_computes(first, child):
    report = run(range(first, first + BLOCK), off=UNMENDED, child=child, small=True)
    assert not report.failures, "\n\n".join(report.failures)
    assert report.counts == {"ok": BLOCK}
    assert report.compared >= BLOCK


def cut_case(seed: int) -> Case:
    """The usual case of a seed, with values in chunks of few rows wherever they can be."""
    return replace(case(seed, UNMENDED, whole=False, small=True), cut=1 + seed % 2)


@pytest.mark.slow
@pytest.mark.parametrize("first", [*range(0, PAIRS, 5), *ONCE_WRONG])
@pytest.mark.parametrize("make", [case_of_pairs, cut_case])
def test_programs_in_chunks_compute_what_the_interpreter_computes(make, first, child):
    report = run(range(first, first + 5), make=make, child=child)
    assert not report.failures, "\n\n".join(report.failures)
    assert report.counts == {"ok": 5}


@pytest.mark.long
@pytest.mark.parametrize("make", [case_of_pairs, cut_case])
def test_very_many_programs_in_chunks(make):
    report = run(range(2000), driver.processors(), make=make, every=100)
    assert not report.failures, f"{len(report.failures)} programs failed"


def is_cut(seed: int) -> bool:
    """Whether values of the program with a seed are computed in chunks."""
    made = case_of_pairs(seed)
    program = driver.load(Source("x.dl", made.program.text))
    graph = pipeline.run(Job(program, Kind.GRADIENTS), through="push_slices").graph
    return chunk(graph, CutLimits(1, 0, made.cut)) is not graph


def test_values_of_programs_with_pairs_of_steps_are_cut():
    assert all(map(is_cut, range(40)))


@pytest.mark.long
def test_very_many_compiled_programs_compute_what_the_interpreter_computes():
    first = int(os.environ.get("SPECC_PROGRAMS_FROM", "1000000"))
    report = run(range(first, first + LONG), driver.processors(), UNMENDED, every=100)
    assert not report.failures, (
        f"{len(report.failures)} of {report.counts.total():,} programs failed"
    )
    assert report.counts == {"ok": LONG}


def test_a_seed_always_makes_the_same_case():
    assert [case(seed) for seed in range(20)] == [case(seed) for seed in range(20)]
    assert len({case(seed).text for seed in range(20)}) == 20
    assert Case.from_json(case(3).to_json()) == case(3)


# The oracle.

TEXT = """model m {
  input x: float[3]
  param p: float[3] = 1
  output y = sum(x * p) - 1000000
}
"""


def oracle(x: list[float], dtype: str) -> Oracle:
    graph = pipeline.forward(driver.load(Source("m.dl", TEXT)), training=False)
    return Oracle(graph, {("input", "x"): np.array([x]), ("param", "p"): np.ones(3)}, 0, 0, dtype)


def test_the_oracle_refuses_what_rounding_does_not_explain():
    good = oracle([1.0, 2.0, 3.0], "float64")
    assert good.disagreement("output.y", np.array([-999994.0])) is None
    assert "-999993.0" in good.disagreement("output.y", np.array([-999993.0]))
    assert "shape" in good.disagreement("output.y", np.zeros((1, 1)))
    for wrong in (np.nan, np.inf):
        assert good.disagreement("output.y", np.array([wrong]))


def test_the_oracle_allows_the_error_of_a_difference_of_nearly_equal_numbers():
    x = [1e6, 1e-3, 1e-3]
    assert oracle(x, "float32").disagreement("output.y", np.float32([0.0])) is None
    assert oracle(x, "float32").disagreement("output.y", np.float32([9.0]))
    assert oracle(x, "float64").disagreement("output.y", np.array([0.0]))
    assert oracle(x, "float64").disagreement("output.y", np.array([2e-3 + 1e-10])) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_oracle_tells_infinite_numbers_and_no_numbers_apart(value):
    bad = oracle([value, 1.0, 2.0], "float32")
    assert bad.disagreement("output.y", np.float32([value])) is None
    for other in {0.0, np.inf, -np.inf} - {value}:
        assert bad.disagreement("output.y", np.float32([other]))


# Failures.

FAILING = Case(
    Program(
        (),
        (
            "input x1: float[5, 5]",
            "let v2 = tanh(x1)",
            "let v3 = sin(v2)",
            "let v4 = concat(v3, v3; axis=0)",
            "let v5 = v4 + 1",
        ),
        ("output v2", "output v5"),
    ),
    seed=1,
    rows=7,
    batch=7,
    threads=2,
    dtype="float32",
    special="ties",
    stages=("forward",),
)


def test_a_failing_case_is_made_small():
    small = shrunk(FAILING, lambda other: "sin(" in other.program.text, 200)
    assert is_valid(small.program)
    assert (
        small.program.text
        == "model m {\n  input x1: float[1, 1]\n  let v3 = sin(x1)\n  output v3\n}\n"
    )
    assert (small.rows, small.batch, small.threads, small.special) == (1, 1, 1, "")
    assert len(small.forward) == 1 and small.dtype == "float64"


def test_a_process_that_ends_or_hangs_is_reported_and_started_again(monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, time\nfrom generator import verdict\n"
        "def made(case):\n"
        "    os.kill(os.getpid(), 11) if case.seed == 1 else time.sleep(60)\n"
        "verdict.verdict = made\n"
    )
    import generator.child

    monkeypatch.setattr(generator.child, "PATHS", [str(tmp_path), *generator.child.PATHS])
    with Child(seconds=300) as child:
        assert child.ask(FAILING).stage == "crash"
        assert "SIGSEGV" in child.ask(FAILING).message
    with Child(seconds=6) as child:
        assert child.ask(case(2)).stage == "hang"
