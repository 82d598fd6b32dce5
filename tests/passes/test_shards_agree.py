"""Random models of usual widths: the results do not depend on the number of shards.

The random programs of `tests/generator` are small. Here products are large enough that shards
divide those of weights alone, complete rows and share packed copies.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

import specc

LAYERS = (
    "dense({units}) -> tanh",
    "dense({units}) -> relu -> dense({units})",
    "rnn({units})",
    "lstm({units})",
    "gru({units})",
    "learned_positions -> transformer(heads=2, causal=true) -> dense({units})",
)


def results(seed: int, shards: int) -> dict[str, np.ndarray]:
    """The loss, the gradients, the predictions, and the weights after a step of a random model."""
    draw = random.Random(seed)
    steps, words = draw.choice((4, 9, 16, 33)), draw.choice((7, 33, 65, 130))
    width, units = draw.choice((16, 40, 64, 100)), draw.choice((24, 64, 96, 128))
    examples = draw.choice((20, 32, 48, 64, 70))
    text = (
        f"seq time = {steps} model m {{ input x: class({words})[time] target y: class(5)"
        f" let z = x -> embed({width}) -> {draw.choice(LAYERS).format(units=units)} -> last"
        " output z loss cross_entropy(z -> dense(5), y) }"
        f" train {{ optimizer sgd(lr = 0.1) clip_norm = 5 batch = {examples} }}"
    )
    net = specc.compile(
        specc.loads(text), batch=examples, dtype="float64", threads=1, seed=0, shards=shards
    )
    numbers = np.random.default_rng(seed)
    x, y = numbers.integers(0, words, (examples, steps)), numbers.integers(0, 5, examples)
    loss, gradients = net.loss_and_gradients(x=x, y=y)
    predicted = net.forward(x=x)["z"]
    net.step(x=x, y=y)
    after = {f"after.{path}": np.array(value) for path, value in net.params.items()}
    return {"loss": np.array(loss), "z": predicted, **gradients, **after}


def agree(seed: int) -> None:
    expected = results(seed, 1)
    for shards in (2, 3):
        found = results(seed, shards)
        for name, value in expected.items():
            room = 1e-10 * max(float(np.abs(value).max()), 1e-3)
            np.testing.assert_allclose(found[name], value, rtol=0, atol=room, err_msg=name)


@pytest.mark.parametrize("seed", range(4))
def test_shards_agree(seed):
    agree(seed)


@pytest.mark.long
@pytest.mark.parametrize("first", range(4, 304, 25))
def test_shards_agree_for_many_models(first):
    for seed in range(first, first + 25):
        agree(seed)
