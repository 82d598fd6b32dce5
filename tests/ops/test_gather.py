"""Rows that are looked up in a table, as the language does it.

Of every length, and their gradients.
"""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc.source import Source


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_every_length_are_looked_up(dtype):
    rng = np.random.default_rng(0)
    given = {"k": rng.integers(0, 9, (37, 3)), "a": rng.integers(0, 9, 37)}
    lengths = (1, 7, 15, 16, 17, 40)
    outputs = " ".join(
        f"param t{n}: float[9, {n}] = normal output y{n} = t{n}[k] output z{n} = t{n}[a]"
        for n in lengths
    )
    text = f"model m {{ input k: class(9)[3] input a: class(9) {outputs} }}"
    net = specc.compile(specc.load(Source("m.dl", text)), batch=37, dtype=dtype, threads=1)
    for rows in (37, 1):
        found = net.forward(**{name: array[:rows] for name, array in given.items()})
        for n in lengths:
            table = net.params[f"t{n}"]
            np.testing.assert_array_equal(found[f"y{n}"], table[given["k"][:rows]])
            np.testing.assert_array_equal(found[f"z{n}"], table[given["a"][:rows]])


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_gets_the_gradients_of_all_who_look_it_up(threads):
    rng = np.random.default_rng(0)
    given = {"k": rng.integers(0, 9, (40, 3)), "s": rng.standard_normal((40, 3, 17))}
    text = """model m { input k: class(9)[3] input s: float[3, 17]
      param t: float[9, 17] = normal loss sum(t[k] * s) }"""
    net = specc.compile(
        specc.load(Source("m.dl", text)), batch=40, dtype="float64", threads=threads, shards=threads
    )
    wanted = np.zeros((9, 17))
    np.add.at(wanted, given["k"], given["s"] / 40)
    _, found = net.loss_and_gradients(**given)
    np.testing.assert_allclose(found["t"], wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("bad", [5, -1])
def test_a_class_that_there_is_not_is_refused_by_a_network_in_use_too(bad):
    text = "model m { input k: class(5) param t: float[5] = normal output y = t[k] }"
    net = specc.compile(specc.load(Source("m.dl", text)), batch=4, threads=1)
    for k in (3, 2, 1):
        assert net.forward(k=np.array([k]))["y"] == net.params["t"][k]
    with pytest.raises(ValueError, match="integers 0 to 4"):
        net.forward(k=np.array([bad]))
    assert net.forward(k=np.array([4]))["y"] == net.params["t"][4]
