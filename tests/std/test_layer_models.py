"""The models that show the library's layers compile, take steps, and learn what they are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from model_files import random_examples

import specc

MODELS = Path(__file__).parents[2] / "models"


def random_data(net, n):
    return random_examples(net.ports, n, draw=np.random.Generator.random)


def test_both_deep_models_have_equally_many_weights():
    plain, residual = (specc.load(MODELS / f"{name}_deep.dl") for name in ("plain", "residual"))
    sizes = [
        sorted(each.type.shape for each in program.parameters) for program in (plain, residual)
    ]
    assert sizes[0] == sizes[1] and sum(len(shape) == 4 for shape in sizes[0]) == 21


def test_the_same_examples_again_and_again_are_learned_through_twenty_layers():
    net = specc.compile(specc.load(MODELS / "residual_deep.dl"), batch=8, threads=1)
    data = random_data(net, 8)
    losses = [net.step(**data) for _ in range(25)]
    assert losses[-1] < 0.2 * losses[0]
