"""How much work the nodes of a formula are."""

from __future__ import annotations

import pytest

import specc
from specc.ops.flops import flops
from specc.source import Source


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("x + 1", 15),
        ("exp(x) * x", 2 * 15),
        ("transpose(x) + 1", 15),
        ("sum(x)", 15),
        ("sum(x; axis=0)", 15),
        ("max(x)", 15),
        ("w @ x", 2 * 4 * 3 * 5),
        ("image -> maxpool(2)", 2 * 3 * 2 * 4),
        ("image -> maxpool(3, stride=1)", 2 * 4 * 2 * 9),
    ],
)
@pytest.mark.filterwarnings("ignore:warning.unused")
def test_the_work_of_a_formula_is_counted(formula, expected):
    text = f"""model m {{ input x: float[3, 5] input image: float[2, 6, 4]
      param w: float[4, 3] = normal output y = {formula} }}"""
    graph = specc.compile(specc.load(Source("m.dl", text)), batch=4).graph("predict")
    assert flops(graph.nodes) == expected
