"""Every model trains, to the same bits on any number of threads and whichever way the clock
chooses.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from model_files import BENCHMARKS, MODELS, loaded, random_examples

import specc
from specc.recipe import Column
from specc.source import Source

ROOT = Path(__file__).resolve().parents[2]
EVERY = MODELS | {f"benchmark {name}": path for name, path in BENCHMARKS.items()}
BATCH, SHARDS = 13, 4
NETS = {
    "tensor parallel": """
        input x: float[600] target y: class(9)
        let w = x -> dense(300) -> tanh -> dense(300) -> relu -> dense(9)
        output w loss cross_entropy(w, y) metric accuracy(w, y)""",
    "statistics, dropout and the norm of all gradients": """
        input x: float[3, 9, 9] target y: class(5)
        let w = x -> conv(8, kernel=3) -> batchnorm -> relu -> dropout(0.3) -> flatten -> dense(5)
        output w loss cross_entropy(w, y) loss 0.01 * l2(weights) metric accuracy(w, y)""",
}
TRAIN = 'train { data npz("x.npz") optimizer adam(lr = 0.01) clip_norm = 0.1 batch = 40 }'


def random_rows(net, count: int) -> dict[str, np.ndarray]:
    return random_examples(net.ports, count, 3, partial(np.random.Generator.random, dtype="f4"))


def results(net, counts=None) -> dict[str, bytes]:
    """The bytes of what a model computes: a training, and predictions, an evaluation and other
    calls if predictions are wanted of so many rows.
    """
    batch = net.batch
    rows = 2 * batch if net.slots else 2 * batch + batch // 2  # the last batch may not be full
    arrays = random_rows(net, rows)
    data = {name: Column(array) for name, array in arrays.items()}
    first = {name: array[:batch] for name, array in arrays.items()}
    found = {"records": net.train(data, np.arange(rows), 0, 3, 9)}
    for count in (*counts, rows) if counts and net.program.outputs else ():
        some = {name: array[:count] for name, array in arrays.items()}
        found |= {f"{name} of {count}": array for name, array in net.forward(**some).items()}
    if counts:
        found |= {f"evaluated {name}": np.asarray(value)
                  for name, value in net.evaluate_rows(data, np.arange(rows)).items()}  # fmt: skip
        found["loss"], gradients = net.loss_and_gradients(**first)
        found |= {f"gradient {path}": gradient for path, gradient in gradients.items()}
        found["step"] = net.step(**first)
    found |= {f"param {path}": array for path, array in net.params.items()}
    found |= {f"state {path}": array for path, array in net.states.items()}
    return {name: np.asarray(value).tobytes() for name, value in found.items()}


def check(program, batch: int, shards: int | None, threads, counts=None) -> None:
    nets = [
        specc.compile(program, batch=batch, threads=count, seed=0, shards=shards)
        for count in threads
    ]
    before = {path: array.copy() for path, array in nets[0].params.items()}
    expected, *others = (results(net, counts) for net in nets)
    assert any((array != before[path]).any() for path, array in nets[0].params.items())
    assert all(np.isfinite(array).all() for array in nets[0].params.values())
    for count, found in zip(threads[1:], others, strict=True):
        differing = [name for name, value in found.items() if value != expected[name]]
        assert not differing, f"{count} threads: {', '.join(differing)}"
    assert [net.working_threads for net in nets] == [
        min(count, nets[0].plan("train").shards) for count in threads
    ]


@pytest.fixture
def narrow(monkeypatch):
    """Narrow vectors, so that few examples fill several shards."""
    monkeypatch.setenv("SPECC_VECTOR_BITS", "128")


@pytest.mark.parametrize(("number", "name"), list(enumerate(MODELS)))
def test_the_number_of_threads_changes_no_bit_of_a_training(number, name, narrow):
    # every model trains, and every second one on several numbers of threads
    check(loaded(MODELS[name]), BATCH, SHARDS, (3, 1) if number % 2 else (3,))


@pytest.mark.long
@pytest.mark.parametrize("name", list(EVERY))
def test_nor_does_it_in_any_call_of_any_model(name, narrow):
    check(loaded(EVERY[name]), BATCH, SHARDS, (1, 2, 4), (1, 7, BATCH))


@pytest.mark.parametrize("name", list(NETS))
def test_nor_does_it_in_any_call_where_the_compiler_chooses_the_shards(name):
    program = specc.load(Source("m.dl", f"model m {{ {NETS[name]} }}\n{TRAIN}"))
    check(program, 150, None, (1, 2, 3, 4), (1, 3, 7, 150))


@pytest.mark.parametrize("name", list(NETS))
def test_nor_does_it_with_two_evaluations_a_step(name):
    train = TRAIN.replace("adam(lr = 0.01)", "sam(lr = 0.01)")
    program = specc.load(Source("m.dl", f"model m {{ {NETS[name]} }}\n{train}"))
    check(program, 150, None, (1, 2, 4))


@pytest.mark.parametrize("name", ["digits", "char_lstm", "siamese", "translate"])
def test_nor_does_it_in_any_call(name, narrow):
    program = loaded(EVERY[name])
    check(program, BATCH, SHARDS, (1, 4), (1, 7, BATCH))


@pytest.mark.parametrize("name", ["lenet", "resnet", "mlp512", "lstm"])
def test_nor_does_it_in_predictions(name):
    program = specc.load(BENCHMARKS[name])
    found = []
    for threads in (1, 2, 3):
        net = specc.compile(program, threads=threads, seed=0)
        arrays = random_rows(net, 70)
        found.append([
            [next(iter(net.forward(**some).values())).tobytes() for _ in range(30)]
            for rows in (1, 5, 70)
            for some in [{key: array[:rows] for key, array in arrays.items()}]
        ])  # fmt: skip
    for of_rows in zip(*found, strict=True):
        assert len({each for of_threads in of_rows for each in of_threads}) == 1


@pytest.mark.parametrize("shape", ["x: float[700]", "x: float[3, 20, 20]"])
def test_what_the_clock_says_changes_no_bit(shape, monkeypatch):
    layers = "dense(700) -> relu" if "700" in shape else "conv(40, kernel=3) -> relu -> flatten"
    text = f"model m {{ input {shape} output y = x -> {layers} -> dense(700) -> tanh }}"
    program = specc.load(Source("m.dl", text))
    found = []
    for seconds in ((1.0,), (1.0, 2.0), (3.0, 1.0, 1.0, 1.0, 7.0)):  # every call, or in turn
        clock = Clock(seconds)
        monkeypatch.setattr("specc.backend.run.fastest.time", clock)
        net = specc.compile(program, batch=1, threads=2, seed=0)
        arrays = random_rows(net, 16)
        found.append([
            net.forward(x=arrays["x"][:count])["y"].tobytes()
            for count in (1, 2, 16) for _ in range(60)
        ])  # fmt: skip
        assert clock.asked
        for count, of_count in zip(
            (1, 2, 16), np.split(np.array(found[-1], object), 3), strict=True
        ):
            assert len(set(of_count)) == 1, f"{count} rows"
    assert found[0] == found[1] == found[2]


SCRIPT = """
import hashlib, sys, numpy as np, specc
from specc.source import Source
net = specc.compile(specc.load(Source("m.dl", sys.argv[1])), threads=int(sys.argv[2]), seed=0)
rng = np.random.default_rng(0)
x, y = rng.random((150, 3, 9, 9), np.float32), rng.integers(0, 5, 150)
found = hashlib.sha256()
for _ in range(3):
    found.update(np.float64(net.step(x=x, y=y)).tobytes())
for array in (*net.params.values(), *net.states.values(), *net.forward(x=x).values()):
    found.update(array.tobytes())
print(found.hexdigest())
"""


@pytest.mark.slow
def test_a_cold_cache_and_a_warm_one_give_the_same_bits(tmp_path):
    """Whole processes: the second and the third find what the first has compiled."""
    model = NETS["statistics, dropout and the norm of all gradients"]
    text = f"model m {{ {model} }}\n{TRAIN}"
    found = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT, text, threads],
            env={**os.environ, "SPECC_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for threads in ("1", "1", "2")
    ]
    assert found[0] and len(set(found)) == 1


class Clock:
    """Calls take the given seconds in turn."""

    def __init__(self, seconds):
        self.now, self.asked = 0.0, 0
        self._seconds = cycle(seconds)

    def perf_counter(self) -> float:
        self.asked += 1
        self.now += next(self._seconds)
        return self.now
