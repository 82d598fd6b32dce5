"""Windows of every size and stride.

Their maxima, where these stand, and what their gradients are.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from test_ops import SPECIAL, compiled_value, leaves, nodes

from specc.backend.reference import evaluate
from specc.ir.graph import Graph, apply
from specc.ir.op import ShapeError
from specc.ir.sizes import open_size
from specc.ir.types import Type
from specc.ops.window import WindowArgMax, WindowMax

SIZES = [(1, 2), (2, 1), (2, 2), (2, 3), (3, 3)]
STRIDES = [(1, 1), (2, 2), (2, 1), (1, 2)]
IMAGES = [(4, 6), (5, 6), (4, 7)]  # windows of 2x2 cover all of the first, and not of the others


@pytest.mark.parametrize("values", ["ties", "special"])
@pytest.mark.parametrize("examples", [37, 1])
def test_windows_of_every_size_and_stride_agree_with_the_reference(examples, values):
    rng = np.random.default_rng(examples)
    for size, stride, image in product(SIZES, STRIDES, IMAGES):
        op, kind = WindowMax(size, stride), Type("float", (2, *image), True)
        types = (kind, op.infer(kind))
        x, dy = (
            rng.integers(-2, 3, (examples, *each.shape)).astype(float)
            if values == "ties"
            else rng.choice(SPECIAL, (examples, *each.shape))
            for each in types
        )
        inputs = nodes(types)
        y = apply(op, inputs[0])
        (dx,) = op.vjp(y, inputs[1])
        graph = Graph({"output.y": y, "output.dx": dx})
        with np.errstate(invalid="ignore"):
            wanted = evaluate(graph, leaves(types, (x, dy)))
        for vector in (None, 1) if examples == 1 else (None,):
            found = compiled_value(graph, (x, dy), types, examples, "float64", 1, vector)
            for name, value in wanted.items():
                np.testing.assert_array_equal(found[name], value, f"{op} {image} {name} {vector}")


def test_a_window_of_an_unknown_size_has_no_more_places_than_a_byte_counts_once_it_is_known():
    kind = Type("float", (2, 40, 40), True)
    window = (open_size("k"), open_size("k"))
    image = Type("float", (2, open_size("h"), open_size("w")), True)
    y = WindowMax(window, (1, 1)).infer(image)
    assert WindowArgMax(window, (1, 1)).infer(image, y).kind == "byte"
    for size, is_allowed in ((16, True), (17, False)):
        y = WindowMax((size, size), (1, 1)).infer(kind)
        if is_allowed:
            assert WindowArgMax((size, size), (1, 1)).infer(kind, y).kind == "byte"
        else:
            with pytest.raises(ShapeError, match="256 positions"):
                WindowArgMax((size, size), (1, 1)).infer(kind, y)
