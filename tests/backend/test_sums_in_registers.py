"""Sums and maxima over the axes before the lanes: registers hold them, and they are right."""

from __future__ import annotations

import re

import numpy as np
import pytest

import specc
from specc import driver
from specc.backend.llvm.compile import assembly
from specc.backend.machine import this_machine
from specc.source import Source

AXES = """
model m {
  input x: float[3, 37, 5]
  output total = sum(x; axis=1)
  output most = max(exp(x); axis=1)
  let share[i, j, k] = softmax(j: x[i, j, k])
  output share
  output all = sum(x * x; keep=1)
}
"""


def compiled(batch: int, dtype: str):
    program = driver.load(Source("x.dl", AXES))
    return specc.compile(program, batch=batch, dtype=dtype, threads=1)


def inner_loop(text: str) -> list[str]:
    """The shortest loop of an assembly text that adds vectors."""
    lines = [line.strip() for line in text.splitlines()]
    starts = {line[:-1]: i for i, line in enumerate(lines) if re.fullmatch(r"\.LBB\w+:", line)}
    loops = []
    for i, line in enumerate(lines):
        jump = re.fullmatch(r"j\w+\s+(\.LBB\w+)", line)
        if jump and starts.get(jump[1], i) < i:
            loops.append(lines[starts[jump[1]] + 1 : i + 1])
    adding = (each for each in loops if any(re.match("vaddp|vfmadd", line) for line in each))
    return min(adding, key=len)


@pytest.mark.skipif(this_machine().architecture != "x86_64", reason="reads x86's assembly")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [5, 30, 60, 100])
def test_no_sum_goes_through_memory(batch, dtype):
    net = compiled(batch, dtype)
    calls = net.compiled("predict").calls()
    kernels = {each.kernel for each in calls if "partial_sums" in each.kernel.source}
    assert len(kernels) > 2
    for kernel in kernels:
        loop = inner_loop(assembly(kernel))
        stores = [line for line in loop if re.search(r"mov\S*\s+%[xyz]mm.*, .*\(%rsp", line)]
        assert not stores, loop


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 7, 16, 48, 100, 200])
def test_every_number_of_lanes_is_right(batch, dtype):
    x = np.random.default_rng(batch).normal(size=(batch, 3, 37, 5))
    x[0, 1, 2, 3] = np.nan
    found = compiled(batch, dtype).forward(x=x)
    bound = {"rtol": 1e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-12}
    share = np.exp(x - x.max(2, keepdims=True))
    share /= share.sum(2, keepdims=True)
    np.testing.assert_allclose(found["total"], x.sum(2), **bound)
    np.testing.assert_allclose(found["most"], np.exp(x).max(2), **bound)
    np.testing.assert_allclose(found["share"], share, **bound)
    np.testing.assert_allclose(found["all"], (x * x).sum((2, 3)), **bound)
