"""Plans and calls in the cache folder: a warm start makes none, and computes the same bits."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from model_files import BENCHMARKS, random_examples

import specc
from specc import pipeline
from specc.backend.emit import emit
from specc.backend.toolchain import load as loading
from specc.ir import stored
from specc.recipe import Column
from specc.system import folders, software

NETS = {
    "tensor parallel": """
        input x: float[600] target y: class(9)
        let w = x -> dense(300) -> tanh -> dense(300) -> relu -> dense(9)
        output w loss cross_entropy(w, y) metric accuracy(w, y)""",
    "statistics and dropout": """
        input x: float[3, 9, 9] target y: class(5)
        let w = x -> conv(8, kernel=3) -> batchnorm -> relu -> dropout(0.3) -> flatten -> dense(5)
        output w loss cross_entropy(w, y)""",
    "a loop": """
        input x: float[steps, 20] target y: class(5)
        let w = x -> lstm(40) -> last -> dense(5)
        output w loss cross_entropy(w, y)""",
    "peers": """
        input x: float[30] target y: class(5)
        let w = x -> dense(20) -> tanh
        output w loss group(w, y)""",
}
TRAIN = 'train { data npz("x.npz") optimizer adam(lr = 0.01 / (1 + step)) batch = 40 }'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """An empty cache folder of plans and calls."""
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(stored, "private", folders.private)
    return tmp_path / "programs"


@pytest.fixture
def makes_nothing(monkeypatch):
    """After it is called, no plan is made, and no call."""

    def fail(*_, **__):
        raise AssertionError("a plan or calls were made")

    def apply():
        monkeypatch.setattr(pipeline, "run", fail)
        monkeypatch.setattr(emit, "emit", fail)

    return apply


def text(name: str) -> str:
    before = "seq steps = 7\n" if "steps" in NETS[name] else ""
    return f"{before}model one {{ {NETS[name]} }}\n{TRAIN}"


def results(model, **options) -> dict[str, bytes]:
    """What training and predictions of a new net give."""
    net = specc.compile(model, **options)
    arrays = random_examples(net.ports, 2 * net.batch, 3)
    data = {name: Column(array) for name, array in arrays.items()}
    found = {"records": net.train(data, np.arange(2 * net.batch), 0, 2, 4)}
    some = {name: array[:5] for name, array in arrays.items()}
    found |= net.forward(**some)
    found |= {f"param {path}": array for path, array in net.params.items()}
    return {name: np.ascontiguousarray(array).tobytes() for name, array in found.items()}


@pytest.mark.parametrize("name", NETS)
def test_a_second_net_makes_nothing_and_has_the_same_bits(name, folder, makes_nothing):
    first = results(specc.loads(text(name)), threads=2)
    assert list(folder.iterdir())
    makes_nothing()
    assert results(specc.loads(text(name)), threads=2) == first


def test_a_model_of_the_benchmark(folder, makes_nothing):
    model = BENCHMARKS["lenet"]
    first = results(specc.load(model), threads=2)
    makes_nothing()
    assert results(specc.load(model), threads=2) == first


@pytest.mark.parametrize(
    ("changed", "options"),
    [
        (("0.01 /", "0.02 /"), {}),
        (("tanh", "relu"), {}),
        (("batch = 40", "batch = 41"), {}),
        (("", ""), {"threads": 1}),
        (("", ""), {"shards": 3}),
        (("", ""), {"dtype": "float64"}),
        (("", ""), {"precision": "bfloat16"}),
    ],
    ids=str,
)
def test_what_a_program_follows_from_decides_what_is_kept(changed, options, folder, monkeypatch):
    before = text("tensor parallel")
    after = before.replace(*changed)
    results(specc.loads(before), threads=2)
    count = len(list(folder.iterdir()))
    found = results(specc.loads(after), **{"threads": 2, **options})
    assert len(list(folder.iterdir())) > count
    monkeypatch.setattr(stored, "private", lambda name: None)
    assert found == results(specc.loads(after), **{"threads": 2, **options})


def test_another_machine_has_plans_of_its_own(folder, monkeypatch):
    results(specc.loads(text("a loop")))
    count = len(list(folder.iterdir()))
    monkeypatch.setenv("SPECC_VECTOR_BITS", "128")
    results(specc.loads(text("a loop")))
    assert len(list(folder.iterdir())) == 2 * count


@pytest.mark.parametrize("damage", [b"", b"specc program 1\n", None])
def test_a_damaged_file_is_made_anew(damage, folder):
    first = results(specc.loads(text("a loop")))
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-3] if damage is None else damage)
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert results(specc.loads(text("a loop"))) == first
    assert all(path.stat().st_size > sizes[path.name] for path in folder.iterdir())


def test_machine_code_that_is_missing_is_compiled_anew(folder, monkeypatch):
    monkeypatch.setattr(loading, "_addresses", {})
    first = results(specc.loads(text("a loop")))
    for path in (folder.parent / "kernels").iterdir():
        path.unlink()
    monkeypatch.setattr(loading, "_addresses", {})
    assert results(specc.loads(text("a loop"))) == first
    assert list((folder.parent / "kernels").iterdir())


def test_a_file_of_another_user_is_not_read(folder, monkeypatch):
    results(specc.loads(text("a loop")))
    for path in (*folder.iterdir(), *folder.with_name("checked").iterdir()):
        path.chmod(0o666)
    monkeypatch.setattr(stored, "unpacked", lambda _: pytest.fail("it was read"))
    results(specc.loads(text("a loop")))


def test_the_oldest_files_are_removed(folder, monkeypatch):
    results(specc.loads(text("a loop")))
    old = sorted(folder.iterdir())
    for path in old:
        os.utime(path, (1, 1))
    whole = sum(path.stat().st_size for path in old)
    monkeypatch.setattr(stored, "MOST_BYTES", whole * 3 // 2)
    results(specc.loads(text("statistics and dropout")))
    assert not {*old} <= {*folder.iterdir()}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= whole * 3 // 2


def test_a_changed_file_of_specc_makes_other_plans(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("one.py", "inner/two.dl"):
        (tmp_path / name).write_text("text")
    before = sorted(software._stamps(str(tmp_path)))
    assert len(before) == 2
    (tmp_path / "inner" / "two.dl").write_text("text again")
    assert sorted(software._stamps(str(tmp_path))) != before


def test_the_grammar_is_among_the_files_of_specc(monkeypatch):
    seen: list[str] = []

    def noted(folder, stamps=software._stamps):
        found = [*stamps(folder)]
        seen.extend(path for path, *_ in found)
        return found

    monkeypatch.setattr(software, "_stamps", noted)
    software.fingerprint.__wrapped__()
    names = {each.rpartition("/")[2] for each in seen}
    assert {"dl.lark", "dl.messages", "software.py", "cells.dl"} <= names


def test_programs_do_not_follow_from_the_data_of_their_model(makes_nothing, tmp_path):
    model = "model m { input x: float[2] target y: float let f = x -> dense(1) loss mse(f[0], y) }"
    train = "train { optimizer sgd(lr = 0.1) batch = 4 epochs = 1 }"
    rng = np.random.default_rng(0)
    for _ in range(2):
        data = {"x": rng.normal(size=(8, 2)), "y": rng.normal(size=8)}
        run = specc.train(f"{model}\n{train}", data=data, runs=tmp_path, quiet=True)
        assert run is not None
        makes_nothing()
