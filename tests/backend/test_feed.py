"""How results leave a compiled program."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc.backend.run import program
from specc.recipe import Column
from specc.source import Source

GUARD = 1 << 14  # elements


class Guarded:
    """NumPy, whose empty arrays are within larger ones: what is written beyond their ends shows."""

    def __init__(self):
        self.stores: list[tuple[np.ndarray, int]] = []

    def __getattr__(self, name: str):
        return getattr(np, name)

    def empty(self, shape, dtype=np.float64) -> np.ndarray:
        size = int(np.prod(shape))
        store = np.full(size + 2 * GUARD, -77, dtype)
        self.stores.append((store, size))
        return store[GUARD : GUARD + size].reshape(shape)

    def are_intact(self) -> bool:
        return all(
            (store[:GUARD] == -77).all() and (store[GUARD + size :] == -77).all()
            for store, size in self.stores
        )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [3, 33])
@pytest.mark.parametrize("rows", [5, 32, 37, 95])
def test_outputs_are_written_for_the_rows_that_there_are(rows, size, threads, monkeypatch):
    text = f"model m {{ input x: float[{size}] output y = 2 * x output k = argmax(x) }}"
    net = specc.compile(specc.load(Source("m.dl", text)), batch=32, threads=threads, shards=threads)
    x = np.random.default_rng(0).standard_normal((rows, size)).astype(np.float32)
    guarded = Guarded()
    monkeypatch.setattr(program, "np", guarded)
    _, found = net.compiled("predict").run({"x": Column(x)}, np.arange(rows), 32)
    monkeypatch.undo()
    np.testing.assert_array_equal(found["output.y"], 2 * x)
    np.testing.assert_array_equal(found["output.k"], x.argmax(1))
    assert guarded.are_intact()
    assert len(guarded.stores) >= 3  # two outputs, and the records
