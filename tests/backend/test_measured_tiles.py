"""Tiles that are measured to be faster than the estimated ones give the same bits."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from model_files import BENCHMARKS

import specc
from specc.backend.contraction import plan as planning
from specc.backend.contraction import remembered
from specc.backend.measure import tiles
from specc.backend.run import prepared
from specc.backend.run.executor import Executor, StepCalls
from specc.backend.run.storage import aligned
from specc.backend.toolchain.load import load
from specc.ir import stored
from specc.ir.kind import Kind
from specc.net import measuring, programs
from specc.system import folders
from specc.system.locks import COMPILER

TRAIN = "train { optimizer momentum(lr = 0.1) batch = 24 }"
MODELS = {
    "layers": "input x: float[29] target y: class(10)"
    " let s = x -> dense(37) -> relu -> dense(10) loss cross_entropy(s, y)",
    "long sums": "input x: float[2500] target y: float[13] loss mse(x -> dense(13), y)",
    "images": "input x: float[3, 13, 11] target y: class(7) let s = x"
    " -> conv(10, kernel = 3, pad = 1) -> relu -> conv(9, kernel = 5, stride = 2) -> relu"
    " -> flatten -> dense(7) loss cross_entropy(s, y)",
    "a cell": "input x: float[time, 17] target y: class(11)"
    " let s = x -> lstm(19) -> last -> dense(11) loss cross_entropy(s, y)",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("SPECC_MEASURE", raising=False)
    for module in (stored, remembered):
        monkeypatch.setattr(module, "private", folders.private)
    return tmp_path / "cache"


@pytest.fixture
def quick(monkeypatch):
    """Tiles are timed for a moment only."""
    for name in ("ROUGH", "NEAR"):
        monkeypatch.setattr(tiles, name, 1e-6)
    monkeypatch.setattr(tiles, "ROUNDS", 1)


def loaded(name: str):
    sequence = "seq time = 9\n" if "time" in MODELS[name] else ""
    return specc.loads(f"{sequence}model m {{ {MODELS[name]} }}\n{TRAIN}")


def problems(net) -> list:
    with planning.watched() as found:
        for kind, examples in ((Kind.TRAIN, None), (Kind.PREDICT, 1), (Kind.PREDICT, 40)):
            net.programs.of_plan(net.plan(kind, examples)).calls()
    return [*dict.fromkeys(planning.first_part(each) for each in found if each.kind is not None)]


def result(problem, memory, plan) -> bytes:
    """What the kernels of a plan write."""
    *operands, out = memory._arrays
    out[:] = np.nan
    scratch, packed = (aligned(size + 512) for size in (plan.scratch, plan.packed))
    places = [each.ctypes.data for each in (*operands, out, scratch, packed)]
    parts = [*plan.in_order()]
    blocks = [each.args(*places) for each in parts]
    calls = [
        (load([each.kernel])[each.kernel], block.ctypes.data)
        for each, block in zip(parts, blocks, strict=True)
    ]
    Executor(1).run(StepCalls([[calls]]))
    return out.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", list(MODELS))
def test_tiles_that_are_alike_give_the_same_bits(name, dtype):
    net = specc.compile(loaded(name), dtype=dtype, threads=2)
    compared, rng = 0, random.Random(0)
    for problem in problems(net):
        plans = tiles.alike(problem)
        if not plans:
            continue
        memory = tiles.Operands(problem)
        memory.fill()
        first, *others = plans.values()
        expected = result(problem, memory, first)
        for other in rng.sample(others, min(4, len(others))):
            assert result(problem, memory, other) == expected, (problem, other.kernel.name)
            compared += 1
    assert compared >= 4


def trained(name: str) -> bytes:
    net = specc.compile(loaded(name), threads=2, seed=3)
    rng = np.random.default_rng(1)
    data = {}
    for port in net.ports:
        shape = (24, *port.shape)
        of_class = port.kind == "class"
        data[port.name] = rng.integers(0, port.classes, shape) if of_class else rng.random(shape)
    losses = [net.step(**data) for _ in range(3)]
    return b"".join([str(losses).encode(), *(each.tobytes() for each in net.params.values())])


@pytest.mark.parametrize("name", list(MODELS))
def test_remembered_tiles_are_used_and_change_no_bit(name, folder):
    before = trained(name)
    net = specc.compile(loaded(name), threads=2)
    rng, changed = random.Random(0), {}
    for problem in problems(net):
        plans = tiles.alike(problem)
        if plans:
            other = rng.choice([*plans][1:])
            with COMPILER:
                remembered.remember(problem, other)
            changed[problem] = plans[other].kernel
    assert changed
    for problem, kernel in changed.items():
        assert planning.plan_contraction(problem).kernel == kernel
    with planning.by_estimates():
        assert any(
            planning.plan_contraction(problem).kernel != kernel
            for problem, kernel in changed.items()
        )
    [path] = folder.glob("tiles/*.json")
    assert len(json.loads(path.read_text())) == len(changed)
    for each in (folder / "programs").iterdir():
        each.unlink()
    assert trained(name) == before


def test_all_parts_of_a_result_are_divided_by_the_form_of_the_first_one(folder):
    net = specc.compile(specc.load(BENCHMARKS["mlp512"]), batch=1, threads=2)
    with planning.watched() as found:
        net.programs.of_plan(net.plan(Kind.PREDICT, 1)).calls()
    parts = [each for each in found if each.part.parts > 1]
    assert parts
    for problem in parts:
        named = planning.by_name(planning.candidates(planning.first_part(problem)))
        other = [*tiles.alike(planning.first_part(problem))][-1]
        with COMPILER:
            remembered.remember(planning.first_part(problem), other)
        plan = planning.plan_contraction(problem)
        assert plan.kernel == named[other][1].plan().kernel


def test_what_is_in_the_file_cannot_do_harm(folder):
    net = specc.compile(loaded("layers"))
    problem = next(each for each in problems(net) if tiles.alike(each))
    expected = planning.plan_contraction(problem).kernel
    for name in ("packed 99x9", "", "nothing"):
        with COMPILER:
            remembered.remember(problem, name)
        assert planning.plan_contraction(problem).kernel == expected
    [path] = folder.glob("tiles/*.json")
    for content in ("{", "[1]", '{"a": 2}', "\x00\xff"):
        path.write_text(content)
        assert remembered._read(path) == {}


def test_measuring_keeps_the_fastest(folder, quick, monkeypatch):
    net = specc.compile(loaded("layers"), threads=2)
    seconds, wanted = tiles.Operands.seconds, {}

    def made_up(self, plan, duration):
        """The last of the tiles is the fastest one."""
        seconds(self, plan, duration)
        kernels = [each.kernel for each in tiles.alike(self._problem).values()]
        wanted[self._problem] = kernels[-1]
        return 1.0 if plan.kernel == kernels[-1] else 2.0

    monkeypatch.setattr(tiles.Operands, "seconds", made_up)
    count = net.measure()
    assert count == len(wanted) > 0
    assert net.measure() == 0, "all are known"
    for problem, kernel in wanted.items():
        assert planning.plan_contraction(problem).kernel == kernel
    again = specc.compile(loaded("layers"), threads=2)
    kernels = {call.kernel for call in again.compiled("train").calls()}
    assert kernels & {*wanted.values()}
    assert again.compiled("train").is_measured


def test_only_a_clearly_faster_tile_takes_the_place_of_the_estimated_one(quick, monkeypatch):
    net = specc.compile(loaded("layers"), threads=1)
    problem = next(each for each in problems(net) if len(tiles.alike(each)) > 2)
    estimated, other, *_ = tiles.alike(problem)
    for part, expected in ((0.98, estimated), (0.96, other)):
        times = {tiles.alike(problem)[other].kernel: part}
        monkeypatch.setattr(
            tiles.Operands, "seconds", lambda _, plan, __, times=times: times.get(plan.kernel, 1.0)
        )
        assert tiles.measured(problem) == expected


def data_of(net, rows: int):
    rng = np.random.default_rng(0)
    x, y = rng.random((rows, 29)), rng.integers(0, 10, rows)
    return net.examples({"x": x, "y": y}, ["x", "y"])


def finish_measuring() -> None:
    """Wait for the threads that time tiles."""
    for each in threading.enumerate():
        if each.name == "specc-measure":
            each.join(60)
            assert not each.is_alive()


@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_long_training_measures_in_the_background(folder, quick, monkeypatch, is_wanted):
    monkeypatch.setattr(programs, "MEASURED_AFTER", 0.0)
    monkeypatch.setattr(measuring, "_SHARE", 1.0)
    if not is_wanted:
        monkeypatch.setenv("SPECC_MEASURE", "0")
    net = specc.compile(loaded("layers"), threads=2)
    net.train(data_of(net, 48), np.arange(48), 0, 2, 2)
    finish_measuring()
    found = [*folder.glob("tiles/*.json")]
    assert bool(found) == is_wanted
    if is_wanted:
        assert len(json.loads(found[0].read_text())) > 2
        assert specc.compile(loaded("layers"), threads=2).compiled("train").is_measured


@pytest.mark.parametrize("call", ["step", "forward", "loss_and_gradients"])
def test_single_calls_that_take_long_in_all_measure_too(folder, quick, monkeypatch, call):
    monkeypatch.setattr(programs, "MEASURED_AFTER", 0.0)
    monkeypatch.setattr(measuring, "_SHARE", 1.0)
    monkeypatch.setattr(prepared, "TIMED", 3)
    net = specc.compile(
        specc.loads(f"model m {{ {MODELS['layers']} output s }}\n{TRAIN}"), threads=1
    )
    rng = np.random.default_rng(0)
    given = {"x": rng.random((24, 29), dtype=np.float32), "y": rng.integers(0, 10, 24)}
    if call == "forward":
        del given["y"]
    for _ in range(2):
        getattr(net, call)(**given)
    assert not [*folder.glob("tiles/*.json")]
    getattr(net, call)(**given)
    finish_measuring()
    assert [*folder.glob("tiles/*.json")]


def test_a_process_ends_although_tiles_are_being_timed(folder):
    text = f"model m {{ {MODELS['layers']} }}\n{TRAIN}"
    code = f"""
import threading, time, numpy as np, specc
from specc.backend.measure import tiles
from specc.net import measuring, programs
programs.MEASURED_AFTER, tiles.ROUNDS = 0.0, 10_000
net = specc.compile(specc.loads({text!r}))
data = net.examples({{"x": np.zeros((24, 29)), "y": np.zeros(24, int)}}, ["x", "y"])
net.train(data, np.arange(24), 0, 1, 1)
[thread] = [each for each in threading.enumerate() if each.name == "specc-measure"]
assert not thread.daemon
print("end", flush=True)
"""
    begin = time.monotonic()
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert found.stdout == "end\n" and found.returncode == 0, found.stderr
    assert time.monotonic() - begin < 110  # with all rounds it would take hours
