"""The scripts of examples/lecture: what their figures show is so."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from specc.plots.svg.document import svg

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "lecture"


def made(name):
    """The names that a script defines."""
    return runpy.run_path(str(FOLDER / f"{name}.py"))


def test_slopes_are_those_of_the_values():
    script = made("activations")
    x = script["X"]
    for part in script["figure"]().parts:
        value, slope = part.marks
        middle = (x[1:] + x[:-1]) / 2
        smooth = np.abs(middle) > 0.02  # relu and leaky_relu have a corner at 0
        found = np.diff(value.y) / np.diff(x)
        wanted = (slope.y[1:] + slope.y[:-1]) / 2
        assert found[smooth] == pytest.approx(wanted[smooth], abs=2e-4)


def test_l2_ends_at_four_quarters():
    (*_, last) = made("l2")["figure"]().parts
    assert last.marks[0].heights == pytest.approx([0.25] * 4, abs=0.001)


def test_convolutions_are_sums_of_nine_products():
    script = made("convolution")
    image, kernel = script["IMAGE"], script["KERNEL"]
    plain = [[(kernel * image[i : i + 3, j : j + 3]).sum() for j in range(3)] for i in range(3)]
    assert np.array_equal(script["result"]("conv(1, kernel=3, bias=false)"), plain)
    padded = np.pad(image, 1)
    strided = [[(kernel * padded[i : i + 3, j : j + 3]).sum() for j in (0, 2, 4)]
               for i in (0, 2, 4)]  # fmt: skip
    found = script["result"]("conv(1, kernel=3, pad=1, stride=2, bias=false)")
    assert np.array_equal(found, strided)


def test_gradients_fade_as_the_caption_says():
    (panel,) = made("fading")["figure"]().parts
    first = {line.name: line.y[0] for line in panel.marks}
    assert first["tanh"] < 1e-3 < first["relu, identity"] and first["LSTM, forget_bias=5"] > 0.1


@pytest.mark.long
@pytest.mark.parametrize("name", ["optimizers", "boundaries"])
def test_longer_figures_are_drawn(name):
    figure = made(name)["figure"]()
    assert len(svg(figure)) > 10_000
    if name == "optimizers":
        for panel in figure.parts:
            for way in panel.marks[1:-1]:
                assert np.isfinite(way.x).all() and abs(way.y[-1]) < 3
