"""How many rows a prediction takes at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import specc
from specc.backend.machine import this_machine
from specc.ir.kind import Kind
from specc.passes.prediction_batch import SHARE
from specc.source import Source

ZEN4 = Path(__file__).resolve().parent.parent / "backend" / "profiles" / "zen4.json"
FLAT = "input x: float[300]\noutput x -> dense(700) -> tanh -> dense(9)"
IMAGES = (
    "input x: float[3, 40, 40]\noutput x -> conv(24, kernel=3, pad=1) -> relu -> global_avgpool"
)
HEAVY = (
    "input x: float[3, 24, 24]\noutput x -> conv(24, kernel=3) -> relu -> flatten"
    " -> dense(900) -> relu -> dense(5)"
)


def compiled(body: str, batch: int = 64, threads: int = 2):
    before = "seq steps = 12\n" if "steps" in body else ""
    text = f"{before}model one {{\n{body}\n}}\n"
    return specc.compile(
        specc.load(Source("one.dl", text)), batch=batch, threads=threads, shards=threads, seed=1
    )


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """The same vectors and caches everywhere."""
    monkeypatch.setenv("SPECC_VECTOR_BITS", "128")
    monkeypatch.setenv("SPECC_MACHINE", str(ZEN4))


def most(shards: int = 2) -> int:
    """The most examples of so many shards: 4 lanes for each column of a usual tile."""
    return shards * 4 * {32: 4, 16: 2}[this_machine().registers]


def test_flat_examples_are_taken_many_at_once():
    net = compiled(FLAT)
    taken = [net.prediction.at_once(rows) for rows in (1, 3, 4, 5, 9, 40, 1000)]
    assert taken == [1, 1, 4, 8, 16, min(64, most()), most()]
    assert compiled(FLAT, threads=3).prediction.at_once(1000) == most(shards=3)


def test_of_large_images_only_what_finds_room_in_a_cache():
    net = compiled(IMAGES)
    at_once, near = net.prediction.at_once(1000), net.programs.profile.l2
    assert at_once < most()
    of_all = net.plan(Kind.PREDICT, most()).arena_bytes
    assert of_all > SHARE * near
    assert at_once == 8 or of_all * at_once <= SHARE * near * most()


def test_heavy_weights_are_not_read_for_every_few_examples():
    assert compiled(HEAVY).prediction.at_once(1000) == most()


@pytest.mark.parametrize(
    "body", [FLAT, IMAGES, "input x: float[steps, 5]\noutput x -> lstm(70) -> last"]
)
def test_the_rows_do_not_depend_on_how_many_are_taken_at_once(body):
    net = compiled(body, batch=7, threads=3)
    (port,) = net.ports
    x = np.random.default_rng(0).standard_normal((150, *port.shape)).astype("float32")
    (every,) = net.forward(x=x).values()
    for rows in (1, 2, 4, 13, 50, 149):
        (found,) = net.forward(x=x[:rows]).values()
        assert np.allclose(found, every[:rows], atol=1e-5), rows
