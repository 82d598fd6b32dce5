"""The random numbers of a step: what they look like, and that compiled code draws the same."""

from __future__ import annotations

import numpy as np
import pytest

from specc.backend.llvm import printer
from specc.backend.machine import this_machine
from specc.backend.run.program import CompiledProgram
from specc.ir.graph import Graph, apply
from specc.ir.types import Type
from specc.ops.elementwise import Add
from specc.ops.kernels.random import uniform
from specc.ops.leaf import Input, Role, leaf
from specc.ops.random import Uniform
from specc.passes.prepare import prepare
from specc.pipeline import Batch, planned
from specc.recipe import Column
from tests.backend.running import function

MANY = Uniform((200,), True, "a")


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_the_numbers_are_uniform(seed):
    found = MANY.draw(seed, 3, 2000).ravel()
    assert 0 <= found.min() < 1e-4 and 1 - 1e-4 < found.max() < 1
    counts = np.bincount((found * 256).astype(int), minlength=256)
    expected = len(found) / 256
    chi = ((counts - expected) ** 2 / expected).sum()  # mean 255, standard deviation 22.6
    assert 255 - 5 * 22.6 < chi < 255 + 5 * 22.6
    assert found.mean() == pytest.approx(0.5, abs=5 / np.sqrt(12 * len(found)))


def test_every_bit_is_set_in_half_of_the_numbers():
    bits = (MANY.draw(0, 0, 2000) * 2**24).astype(np.int64).ravel()
    shares = [((bits >> k) & 1).mean() for k in range(24)]
    np.testing.assert_allclose(shares, 0.5, atol=5 * 0.5 / np.sqrt(len(bits)))


def test_neighbours_in_every_direction_are_independent():
    found = MANY.draw(0, 0, 2000)
    bound = 5 / np.sqrt(found.size)
    for lag in (1, 2, 3, 8, 16, 64):
        assert abs(correlation(found[lag:], found[:-lag])) < bound  # examples
        assert abs(correlation(found[:, lag:], found[:, :-lag])) < bound  # elements
    # pairs fill the square: a lattice would leave cells empty or full
    cells = np.histogram2d(found[1:].ravel(), found[:-1].ravel(), bins=32)[0].ravel()
    expected = cells.mean()
    chi = ((cells - expected) ** 2 / expected).sum()
    assert abs(chi - 1023) < 5 * np.sqrt(2 * 1023)


@pytest.mark.parametrize(
    ("op", "seed", "step"),
    [(MANY, 0, 1), (MANY, 1, 0), (MANY, 0, 1 << 33), (Uniform((200,), True, "b"), 0, 0)],
)
def test_another_step_seed_or_label_gives_other_numbers(op, seed, step):
    one, other = MANY.draw(0, 0, 500), op.draw(seed, step, 500)
    assert abs(correlation(one, other)) < 5 / np.sqrt(one.size)
    assert np.mean(one == other) < 1e-4


def test_an_example_s_numbers_do_not_depend_on_how_many_there_are():
    np.testing.assert_array_equal(MANY.draw(0, 0, 7), MANY.draw(0, 0, 20)[:7])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shards", [1, 2, 3])
def test_compiled_code_draws_the_same_numbers(dtype, shards):
    batch, rows = 19, 45  # three steps, the last with a partial batch
    x = leaf(Input(Role.INPUT, "x", Type("float", (3, 5), True)))
    drawn = leaf(Uniform((3, 5), True, "noise"))
    graph = prepare(Graph({"output.y": apply(Add(), x, drawn)}))
    item = 8 if dtype == "float64" else 4
    made = planned(graph, Batch(batch, this_machine().vector_bits // (8 * item), item, shards))
    program = CompiledProgram(made, dtype, {})
    data = {"x": Column(np.zeros((rows, 3, 5)))}
    _, found = program.run(data, np.arange(rows), batch, seed=-7, first=11)
    wanted = [drawn.op.draw(-7, 11 + k, min(batch, rows - batch * k)) for k in range(3)]
    np.testing.assert_array_equal(found["output.y"], np.concatenate(wanted).astype(dtype))


@pytest.mark.parametrize("examples", [1, 5, 16])
def test_a_lane_without_an_example_draws_what_the_last_example_draws(examples):
    kernel = printer.written(uniform, uniform.__name__, "float64")
    frame = np.array([0, examples, 16, 0, 0, 3, 0, 0])  # examples, batch, and the seed
    size, lanes = 4, 16
    out = np.full((size + 1, lanes), -1.0)  # one row too many
    function(kernel)(frame, out, 99, 1, 0, size, 0, 16, lanes)
    assert ((out[:size] >= 0) & (out[:size] < 1)).all() and (out[size] == -1).all()
    np.testing.assert_array_equal(
        out[:size, examples:], np.repeat(out[:size, examples - 1 : examples], 16 - examples, 1)
    )
    assert len(np.unique(out[:size, :examples])) == size * examples
