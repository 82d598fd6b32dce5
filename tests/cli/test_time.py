"""`specc time`: its text about a step, but never a measured time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import specc as package
from specc import driver
from specc.cli.main import status_of
from specc.cli.start_times import Start, text
from specc.recipe import Column

TEXT = """# two layers
dim classes = 10
model tiny {
  input  image: float[64]
  target label: class(classes)
  let scores = image -> dense(32) -> relu -> dense(classes)
  output scores
  loss   cross_entropy(scores, label)
}
train {
  data      digits()
  optimizer adam(lr = 0.01)
  batch = 64
}
"""
OPEN = """dim n
model m {
  input x: float[n]
  target y: float[n]
  loss mse(x -> dense(n), y)
}
train { data npz("data.npz") optimizer sgd(lr = 0.1) }
"""


@pytest.fixture
def specc(tmp_path, monkeypatch, capfd):
    """Runs a command in a folder with a model: its exit status, and what it printed."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.dl").write_text(TEXT)

    def run(*arguments):
        status = status_of([str(each) for each in arguments])
        printed = capfd.readouterr()
        return status, printed.out, printed.err

    return run


def record(specc, *arguments):
    status, out, err = specc("time", *arguments, "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


def test_every_kernel_of_a_step_is_listed_with_its_work_and_its_line(specc):
    found = record(specc, "tiny.dl", "--threads", "1")
    assert (found["model"], found["batch"], found["threads"]) == ("tiny", 64, 1)
    kernels = found["kernels"]
    products = [
        each
        for each in kernels
        if each["kernel"].startswith(("contract", "outer", "turned", "packed"))
    ]
    # dense(32) asks for two products (its input needs no gradient), dense(classes) for three
    assert sorted(each["flops"] for each in products) == sorted(
        [2 * 64 * 64 * 32] * 2 + [2 * 64 * 32 * 10] * 3)  # fmt: skip
    assert all(each["lines"] == [6] for each in products)
    assert {each["part"] for each in kernels} == {"forward", "backward", "update"}
    assert any("dense(32)" in each["source"] for each in kernels)
    assert sum(each["share"] for each in kernels) <= 1.0001
    assert found["peak_gflops"] > 0 and found["step_microseconds"] > 0


def test_threads_share_the_work(specc):
    found = [record(specc, "tiny.dl", "batch=1024", "--threads", n) for n in (1, 2)]
    assert [each["threads"] for each in found] == [1, 2]
    largest = [max(kernel["flops"] for kernel in each["kernels"]) for each in found]
    assert largest[0] == largest[1] < 2 * 1024 * 64 * 32  # of a shard, whatever runs it
    for each in found:
        assert sum(kernel["share"] for kernel in each["kernels"]) <= 1.0001


def test_the_table_shows_the_largest_kernels_or_all(specc):
    status, out, _ = specc("time", "tiny.dl", "--threads", "2", "batch=1000", "classes=12")
    assert status == 0
    lines = out.splitlines()
    assert (
        lines[0].startswith("tiny: ")
        and "batch 1000, 2 threads, float32, random numbers" in lines[0]
    )
    assert lines[3].split() == [
        "kernel",
        "part",
        "us",
        "share",
        "GF/s",
        "GB/s",
        "of",
        "limit",
        "line",
    ]
    assert any(line.startswith("waiting for other threads") for line in lines)
    assert " more kernel" not in specc("time", "tiny.dl", "--all")[1]


def test_it_runs_on_the_data_of_the_file_where_they_are_asked_for(specc):
    assert record(specc, "tiny.dl", "--data", ".")["data"] == "."
    Path("open.dl").write_text(OPEN)
    status, _, err = specc("time", "open.dl")
    assert status == 1 and "open-size" in err
    rows = np.zeros((40, 3), np.float32)
    np.savez("data.npz", x=rows, y=rows)
    assert record(specc, "open.dl", "--data", ".")["model"] == "m"


def test_a_model_without_an_optimizer_is_timed_going_forward(specc):
    Path("m.dl").write_text("model m { input x: float[3] let y = x -> dense(2) output y }\n")
    kernels = record(specc, "m.dl")["kernels"]
    assert {each["part"] for each in kernels} == {"forward"}


def test_a_start_is_shown_stage_by_stage_with_an_empty_cache_and_a_full_one(specc):
    found = record(specc, "tiny.dl", "classes=12", "--start")
    cold, warm = found["cold"], found["warm"]
    assert list(cold["stages"]) == list(warm["stages"])
    for start in (cold, warm):
        assert min(start["stages"].values()) >= 0
        assert sum(start["stages"].values()) == pytest.approx(start["seconds"])
    assert len(cold["compiled"]) == cold["kernels"] > 20 and cold["stages"]["compile"] > 0
    assert warm["compiled"] == [] and warm["stages"]["compile"] == 0
    for name, *seconds in cold["compiled"]:
        assert name and len(seconds) == 3 and min(seconds) >= 0


def test_the_text_of_a_start_names_its_stages_and_the_longest_kernels():
    seconds = {"Python": 0.1, "compile": 1.0, "first step": 0.01}
    cold = Start(seconds, 3, 2, [("contract", 0.1, 0.2, 0.3), ("add", 0.01, 0.01, 0.02)])
    warm = Start({**seconds, "compile": 0.0}, 3, 1, [])
    assert (
        text({"cold": cold, "warm": warm}, "a.dl")
        == """\
a.dl: the first step ends 1.11 s after the start of the process with an empty cache, 0.11 s with \
a full one

                             empty    full
Python                       0.100   0.100
compile                      1.000   0.000
first step                   0.010   0.010

2 of 3 kernels were compiled, in 2 processes, in 0.64 s of CPU time:
lowering 0.11, LLVM's passes 0.21, machine code 0.32
the longest: contract 0.60, add 0.04
"""
    )


def test_a_start_of_a_model_with_errors_reports_them(specc):
    Path("bad.dl").write_text(TEXT.replace("dense(classes)", "dense(klasses)"))
    status, out, err = specc("time", "bad.dl", "--start")
    assert (status, out) == (1, "") and "klasses" in err
    assert specc("time", "tiny.dl", "--start", "--data", ".")[0] == 2


def test_wrong_usage_exits_with_two(specc):
    for arguments in (["nowhere.dl"], ["tiny.dl", "batch"], ["tiny.dl", "--threads", "0"]):
        assert specc("time", *arguments)[0] == 2


def test_timing_leaves_a_model_as_it_was(specc):
    net = package.compile(driver.load("tiny.dl"), threads=2)
    rng = np.random.default_rng(0)
    data = {"image": Column(rng.random((256, 64), dtype=np.float32)),
            "label": Column(rng.integers(0, 10, 256))}  # fmt: skip
    net.train(data, np.arange(256), 0, 0, 0)
    before = {name: array.copy() for name, array in {**net.params, **net.states}.items()}
    times = net.time(data, np.arange(256))
    assert times.calls and net.steps_done == 4
    for name, array in {**net.params, **net.states}.items():
        assert np.array_equal(array, before[name]), name


def test_a_step_of_several_batches_has_their_work_and_one_update(specc):
    one, four = record(specc, "tiny.dl"), record(specc, "tiny.dl", "batch=64 * 4")
    assert (four["batch"], four["batches_per_step"], one["batches_per_step"]) == (64, 4, 1)

    def work(found, part):
        return sum(each["flops"] for each in found["kernels"] if each["part"] == part)

    for part in ("forward", "backward"):
        assert work(four, part) >= 4 * work(one, part) > 0
    assert 0 < work(four, "update") <= work(one, "update")
    assert sum(each["share"] for each in four["kernels"]) <= 1.0001
    assert "batch 64 * 4, " in specc("time", "tiny.dl", "batch=64 * 4")[1]
