"""The comparison of what two checkouts emit: names may differ, code may not."""

from __future__ import annotations

import json

import pytest

from benchmarks import emitted, same
from specc import driver

KERNEL = """# name=sum
import row
def sum(a: "float[n]", out: "float[1]", n: "int"):
    # over all elements
    total = 0.0
    for i in range(n):
        total = total + a[i]
    out[0] = total
"""


def compared(old: str | None, new: str | None, title: str = "kernel 1") -> same.Comparison:
    found = same.Comparison()
    found.add(title, old, new)
    return found


def test_equal_texts_are_the_same():
    assert compared(KERNEL, KERNEL).equal == 1


def test_a_name_may_be_another_one_throughout():
    found = compared(KERNEL, KERNEL.replace("total", "accumulator"))
    assert found.equal == 1 and dict(found.names) == {("total", "accumulator"): 1}


@pytest.mark.parametrize(
    "change",
    [
        ("total + a", "total - a"),
        ("total + a", "total + out"),
        ("out[0] = total", "out[1] = total"),
        ("out[0] = total", "out[0] = n"),
        ("total = 0.0", "total = 0.5"),
        ("name=sum", "name=sum\n# unroll=False"),
    ],
    ids=lambda change: change[1].strip(),
)
def test_other_code_is_a_difference(change):
    assert compared(KERNEL, KERNEL.replace(*change)).different == ["kernel 1"]


def test_two_names_that_become_one_are_a_difference():
    assert compared("a = b + c\n", "a = b + b\n").different
    assert compared("a = b + b\n", "a = b + c\n").different


def test_comments_of_kernels_are_told_apart_from_their_code():
    other = KERNEL.replace("# over all elements", "# the sum of all elements of the array")
    assert compared(KERNEL, other).in_comments == ["kernel 1"]
    assert compared(KERNEL, other, "train of 64: graph").different


def test_a_text_that_is_missing_is_a_difference():
    assert compared(KERNEL, None).different and compared(None, KERNEL).different


def test_imports_do_not_count():
    text = "from specc.backend.tiles import tile\nWIDTH = 16\n"
    assert emitted.without_imports(text) == "WIDTH = 16"
    assert compared(KERNEL, KERNEL.replace("import row\n", "")).in_comments == ["kernel 1"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a, b = c, d\n", "a = c\nb = d\n"),
        ("for i in range(0, n, 1):\n    f(i)\n", "for i in range(n):\n    f(i)\n"),
        ("WIDTH = 16\ndef f(a):\n    a[WIDTH] = 0\n", "def f(a):\n    a[16] = 0\n"),
        ("t = tile(0 > 0)\ndef f(a):\n    t(a)\n", "t = tile(False)\ndef f(a):\n    t(a)\n"),
        ("t = tile()\ndef f(a):\n    g(a)\n", "def f(a):\n    g(a)\n"),
        ("a = (b + c)\n", "a = b + c\n"),
    ],
)
def test_kernels_that_are_written_in_two_ways_are_the_same(old, new):
    assert compared(old, new).in_comments == ["kernel 1"]


def test_a_function_that_a_kernel_uses_must_be_made():
    assert compared("t = tile(2)\ndef f(a):\n    t(a)\n", "def f(a):\n    t(a)\n").different


def test_every_program_of_a_model_is_emitted(tmp_path):
    path = tmp_path / "small.dl"
    path.write_text(
        "model small { input x: float[3] target y: float[2]"
        " let z = x -> dense(2) output z loss mse(z, y) }"
        " train { optimizer sgd(lr=0.1) batch = 8 }"
    )
    program = driver.load(path)
    texts = emitted.emitted(path)
    assert texts["program"].startswith("model small\n")
    assert {title.split(":")[0] for title in texts} >= {
        "train of 8, 1 threads",
        "evaluate of 8, 2 threads",
        "predict of 1, 1 threads",
    }
    calls = texts["train of 8, 1 threads: calls of shard 0"].splitlines()
    assert len(calls) > len(program.parameters)
    assert texts["train of 8, 1 threads: kernel 0"].count("def ") == 1
    assert same.read(json.dumps({"file": "a", "titles": {"t": "k"}, "bodies": {"k": "text"}})) == {
        "a": {"t": "text"}
    }
