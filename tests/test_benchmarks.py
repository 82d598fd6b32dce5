"""The benchmark's models match their descriptions; no test contains a time."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import specc
from benchmarks import choices, report
from benchmarks.cases import CASES, CELLS, LOOPED
from benchmarks.drive import Figures, Stretch
from benchmarks.sweep import Measured, marked
from specc import driver, pipeline
from specc.backend.contraction.plan import by_name, candidates
from specc.backend.machine.profile import Profile
from specc.backend.reference import evaluate
from specc.ops.contract import Contract

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
RECURRENT = {"rnn", "lstm", "lstm2"}  # may wait for cells
SAID = [case for case in CASES.values() if case.gap() is None]
FLAT = [case for case in SAID if case.name not in RECURRENT]
SMALL = 2


def names(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def test_every_model_of_the_benchmark_has_a_case_and_no_mistake():
    assert {path.stem for path in (FOLDER / "models").glob("*.dl")} == set(CASES)
    assert {case.name for case in CASES.values() if case.gap()} <= RECURRENT


@names(SAID)
def test_a_case_trains_as_its_file_says(case):
    program = driver.load(case.path)
    assert program.recipe.batch == case.batch
    assert re.search(rf"optimizer {case.optimizer}\(", case.path.read_text())


@names(FLAT)
def test_the_products_of_a_case_are_those_of_its_graph(case):
    graph = pipeline.with_gradients(driver.load(case.path))
    products = [node.op for node in graph.nodes if isinstance(node.op, Contract)]
    flops = sum(2 * int(np.prod(op.extents)) for op in products)
    assert flops * case.batch == case.training_flops


def few(case):
    return {name: array[:SMALL] for name, array in case.data().items()}


@names(FLAT)
def test_the_first_loss_is_that_of_the_interpreter(case):
    program = driver.load(case.path)
    net = specc.compile(program, batch=SMALL, threads=1)
    loss, _ = net.loss_and_gradients(**few(case))
    leaves = {("param", path): np.asarray(array, float) for path, array in net.params.items()}
    leaves |= {("state", path): np.asarray(array, float) for path, array in net.states.items()}
    leaves |= {(port.role, port.name): few(case)[port.name] for port in net.ports}
    leaves["weight_of_example", ""] = np.full(SMALL, 1 / SMALL)
    wanted = evaluate(pipeline.forward(program, training=True), leaves)["loss"]
    assert loss == pytest.approx(float(wanted), rel=1e-4)


@names([*SAID, *CELLS.values()])
@pytest.mark.parametrize("before", [False, True], ids=["", "hoisted"])
def test_pytorch_calculates_the_same_loss(case, before):
    if before and case.name not in CELLS:
        pytest.skip("it has no loop of its own")
    torch = pytest.importorskip("torch")
    from benchmarks.peers import torch_models

    torch.set_num_threads(1)  # two would wait for each other on a busy machine
    net = specc.compile(driver.load(case.path), batch=SMALL, threads=1)
    loss, _ = net.loss_and_gradients(**few(case))
    model = torch_models.model(case.name, net.params, before)
    data = [torch.from_numpy(array) for array in few(case).values()]
    assert float(torch_models.loss(case.name, model, data).detach()) == pytest.approx(
        loss, rel=1e-3
    )


def test_cells_of_ones_own_are_those_of_the_library():
    from benchmarks.cells import PAIRS, _program

    assert {path.stem for path in LOOPED.glob("*.dl")} == {"own", *CELLS}
    for own, library in PAIRS.items():
        first, second = (pipeline.with_gradients(_program(word)) for word in (own, library))
        assert [node.op.name for node in first.nodes] == [node.op.name for node in second.nodes]


def test_words_of_ones_own_take_five_lines_at_most():
    text = (FOLDER / "words" / "own.dl").read_text()
    assert driver.check(FOLDER / "words" / "own.dl")[1] == []
    words = [each for each in re.split(r"\n\s*\n", text) if not each.startswith("#")]
    assert all(len(each.strip().splitlines()) <= 5 for each in words)


def test_disturbed_stretches_do_not_count_where_there_are_enough_quiet_ones():
    quiet = [Stretch(1.0, 0.0)] * 5
    assert Figures.of([*quiet, Stretch(9.0, 0.5), Stretch(8.0, 0.4)]).seconds == 1.0
    noisy = Figures.of([Stretch(3.0, 0.5), Stretch(2.0, 0.0), Stretch(9.0, 0.5)] * 3)
    assert not noisy.is_quiet and noisy.seconds == 2.0
    alone = Figures.of([Stretch(3.0, 0.5, 1.1), Stretch(2.0, 0.5, 1.0), Stretch(9.0, 0.5, 1.2)])
    assert alone.seconds == 1.1  # of one thread the processor's own time is known


def test_goals_below_their_mark_are_named():
    def figures(seconds):
        return {
            "seconds": seconds,
            "median": seconds,
            "low": seconds,
            "high": seconds,
            "least": seconds,
            "is_quiet": True,
            "peak_bytes": 1e8,
            "warm_seconds": 0.3,
        }

    results = [
        {
            "model": name,
            "threads": 2,
            "batch": 1,
            "training_flops": 1e9,
            "training": {"specc": figures(own), "pytorch": figures(3.0), "xla": {"failed": "x"}},
        }
        for name, own in (("tiny", 1.0), ("vgg", 3.0))
    ]
    found = {
        "machine": {"processor": "p", "processors": 2, "load": [0]},
        "versions": {},
        "missing": {"inductor": "no compiler"},
        "gaps": {"lstm": "not yet"},
        "limits": {"2": {"gflops": 1.0, "memory_gbytes": 1.0}},
        "results": results,
    }
    lines = report.goals(found)
    assert "vgg 1.00" in lines[0] and "tiny" not in lines[0] and lines[0].startswith("NO")
    text = report.tables(found)
    assert "torch.compile: left out: no compiler" in text and "lstm: left out" in text
    assert "failed" in text


def test_a_sweep_marks_what_does_not_grow_with_its_work():
    def flags(*times):
        points = [Measured("batch", 1 << i, 1, time, 1 << i) for i, time in enumerate(times)]
        return [each.flag for each in marked(points)]

    assert flags(5, 6, 8, 16) == ["", "", "", ""]  # a step has a cost of its own
    assert flags(1, 2, 7, 14) == ["", "", "cliff", "slide"]
    assert flags(1, 2.6, 6.6, 16) == ["", "", "slide", "slide"]
    assert flags(5, 3, 4, 8) == ["cliff", "", "", ""]


def test_tiles_and_contractions_have_names_that_no_estimate_decides():
    profile = Profile.read(Path(__file__).parent / "backend" / "profiles" / "avx2_desktop.json")
    found = choices.problems("lenet", threads=1)
    assert len({*map(choices.key_of, found)}) == len(found)
    twice = 0
    for problem in found:
        tiles = candidates(problem)
        names = by_name(tiles)
        assert list(names.values()) == tiles
        twice += any(name.endswith("'") for name in names)
        other = replace(problem, target=replace(problem.target, profile=profile))
        assert choices.key_of(other) == choices.key_of(problem)
    assert twice  # a gradient has tiles for either role of its operands


def test_a_choice_loses_what_it_takes_more_than_the_best():
    (problem,) = choices.problems("lenet", threads=1)[:1]
    choice = choices.Choice(problem, "packed 8x2", {"packed 8x2": 3e-6, "packed 6x4": 2e-6})
    assert choice.lost == pytest.approx(0.5) and "best packed 6x4" in str(choice)
    text = choices.summary([choice, choices.Choice(problem, "run 4x1", {"run 4x1": 6e-6})])
    assert "lost 25.0 % in the mean, 50.0 % at worst, 12.5 % of their time; 1 lose" in text
