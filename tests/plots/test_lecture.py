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


def test_a_distributed_code_tells_more_regions_apart():
    script = made("representations")
    for units in (1, 3, 6, script["MOST"]):
        assert len(np.unique(script["codes"]("local", units))) == units
        known = len(np.unique(script["codes"]("distributed", units)))
        assert units < known <= units * (units + 1) // 2 + 1
    local, distributed, _ = script["figure"]().parts
    assert local.title == "local: 4 units, 4 regions"
    assert distributed.title == "distributed: 4 units, 11 regions"
    labels = distributed.marks[1].labels
    assert len(set(labels)) == 11 and all(len(each) == 4 for each in labels)
    # the code at a label's place is what it says
    weight, bias = script["weights"]("distributed", 4).values()
    for text, x, y in zip(labels, distributed.marks[1].x + 0.12, distributed.marks[1].y,
                          strict=True):  # fmt: skip
        assert text == "".join("01"[int(v > 0)] for v in weight @ (x + 1e-3, y - 1e-3) + bias)


@pytest.mark.long
def test_a_siamese_net_gathers_what_is_alike():
    script = made("distances")
    pixels, vectors, digits = script["vectors"]()
    assert script["neighbours"](vectors, digits) > 0.9
    second = script["figure"]().parts[1]
    assert sum(len(mark.x) for mark in second.marks) == len(digits) == len(pixels)


@pytest.mark.long
def test_depth_harms_plain_networks_alone():
    learning, arriving = made("depth")["figure"]().parts
    last = {line.name: line.y[-1] for line in learning.marks}
    assert last["plain, 41 convolutions"] > 2 * last["residual, 41 convolutions"]
    assert [line.name for line in arriving.marks] == ["plain", "residual"]


@pytest.mark.long
def test_features_are_drawn_layer_by_layer():
    parts = made("features")["figure"]().parts
    assert len(parts) == 1 + 2 * 3 + 1 and len(parts[-1].pictures) == 10
    for part in parts[1:]:
        assert all(np.ptp(each.pixels) > 0 for each in part.pictures)


@pytest.mark.long
@pytest.mark.data
def test_words_and_samples_take_data(tmp_path):
    data = FOLDER.parents[2] / "shared" / "data"
    if not (data / "sentiment").is_dir():
        pytest.skip("no data sets beside the repository")
    (panel,) = made("words")["figure"](data / "sentiment").parts
    blame, praise = panel.marks
    assert abs(np.mean(blame.x) - np.mean(praise.x)) > 2 * np.std(blame.x)
    short = tmp_path / "short.txt"
    short.write_text((data / "tinyshakespeare.txt").read_text()[:20_000])
    (part,) = made("samples")["figure"](short, 100).parts
    assert [heading.split(",")[0] for heading, _ in part.lines][:2] == ["step 0", "step 100"]
    assert all(
        text[0] == "\n" and len(text) == 1 + 200 for _, text in part.lines
    )  # the prompt first


@pytest.mark.long
@pytest.mark.parametrize("name", ["optimizers", "boundaries"])
def test_longer_figures_are_drawn(name):
    figure = made(name)["figure"]()
    assert len(svg(figure)) > 10_000
    if name == "optimizers":
        for panel in figure.parts:
            for way in panel.marks[1:-1]:
                assert np.isfinite(way.x).all() and abs(way.y[-1]) < 3


def test_attention_that_writes_backwards_looks_along_the_other_diagonal():
    (panel,) = made("attention")["figure"]().parts
    (table,) = panel.marks
    assert np.argmax(table.values, axis=1).tolist() == [7, 6, 5, 4, 3, 2, 1, 0]


def test_a_small_gpt_looks_only_back_and_finds_both_digits_of_a_sum():
    panels = made("sums")["figure"]().parts
    weights = np.array([panel.marks[0].values for panel in panels])
    assert np.triu(np.nan_to_num(weights), 1).max() < 1e-6
    names = panels[0].y.names
    (at,) = [k for k, name in enumerate(names) if name == "=" and k > 4]
    most = weights[:, at].max(axis=0)  # of the heads; if they looked everywhere alike, 1 / 11
    assert most[at - 1] > 0.3 and most[at - 3] > 0.3
