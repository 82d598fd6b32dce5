"""Figures as data, and what is drawn of them."""

import io
import math
import xml.etree.ElementTree as xml
import zlib

import numpy as np
import pytest

from specc.plots import blocks, colours, paper, png, ticks
from specc.plots.marks import (
    Axis,
    Bars,
    Diagonal,
    Figure,
    Gallery,
    Heatmap,
    Line,
    Panel,
    Passage,
    Picture,
    Points,
    Rule,
    Text,
)
from specc.plots.svg import axes
from specc.plots.svg.axes import Scale
from specc.plots.svg.document import inline, svg

SVG = "{http://www.w3.org/2000/svg}"
RNG = np.random.default_rng(3)
PARTS = {
    "lines": Panel(
        (Line([1, 2, 3], [2.0, math.nan, 4.0], "a < b"), Rule(x=2, name="here"), Rule(y=3)),
        "A & B",
        Axis("epoch"),
        Axis("loss"),
    ),
    "logarithms": Panel((Line([1, 2, 3], [1e-4, 0.0, 10.0]),), y=Axis(log=True)),
    "nothing": Panel((Line([], []),)),
    "one point": Panel((Line([1], [5.0]),)),
    "points": Panel((Points([0, 1], [1, 2], "p", titles=("x", "y")), Diagonal("same"))),
    "bars": Panel((Bars([0, 1], [3, math.nan]),), x=Axis("class", names=("cat", "a long dog"))),
    "counts": Panel((Heatmap(np.array([[3, 0], [1, 9]]), (("3", ""), ("1", "9")), "counts"),)),
    "signed": Panel((Heatmap(RNG.normal(size=(50, 40)), scale="signed"),)),
    "plane": Panel((Heatmap(
        RNG.integers(0, 255, (8, 9, 3)).astype(np.uint8), extent=(0, 1, 2, 5)),)),
    "pictures": Gallery((Picture(np.eye(4, dtype=np.uint8), "one\ntwo", 1), Picture(
        np.zeros((3, 5, 3), np.uint8))), "G", 3),
    "passage": Passage(("a", "\n", "<b>"), (1.0, 0.0, -1.0), "P"),
    "text": Text((("heading", "line " * 40), ("", "")), "T"),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_drawn_as_well_formed_xml(name):
    figure = Figure("test", "<title>", (PARTS[name],), "a & b")
    is_panel = isinstance(PARTS[name], Panel)
    in_page = xml.fromstring(inline(figure))[0]
    drawings = [in_page] if is_panel else [each for each in in_page.iter("svg")]
    assert len(drawings) == (2 if name == "pictures" else is_panel)
    for root in (xml.fromstring(svg(figure)), *drawings):
        places = ("x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "width", "height")
        numbers = [
            each for node in root.iter() for key, each in node.attrib.items() if key in places
        ]
        assert numbers and all(math.isfinite(float(each)) for each in numbers)
        wide, high = float(root.get("width")), float(root.get("height"))
        assert 0 < wide < 2000 and 0 < high < 2000


def test_parts_of_a_page_that_wrap_have_the_same_texts():
    def texts(part):
        root = xml.fromstring(inline(Figure("test", "t", (part,))))[0]
        return root, [each.strip() for each in root.itertext() if each.strip()]

    root, found = texts(PARTS["pictures"])
    assert [each.get("aria-label") for each in root.iter("svg")] == ["one, two", "picture 2"]
    assert found == ["G", "one", "two"]
    assert texts(PARTS["passage"])[1] == ["P", "a", "⏎", "<b>"]
    assert texts(PARTS["text"])[1] == ["T", "heading", ("line " * 40).strip()]


@pytest.mark.parametrize("name", PARTS)
def test_matplotlib_draws_every_part(name):
    pytest.importorskip("matplotlib")
    figure = Figure("test", "title", (PARTS[name], PARTS["bars"]), "a & b", columns=2)
    assert paper.drawn(figure, "png", dpi=40).startswith(b"\x89PNG")


def test_a_value_that_is_not_finite_leaves_a_gap():
    line = Line([1, 2, 3, 4, 5], [1.0, 2.0, math.inf, 3.0, 2.0])
    root = xml.fromstring(svg(Figure("test", "t", (Panel((line,)),))))
    lengths = [len(each.get("points").split()) for each in root.iter(f"{SVG}polyline")]
    assert lengths == [2, 2]


def test_a_line_lies_where_its_axes_say():
    panel = Panel(
        (Line([0, 10], [1.0, 100.0]),), x=Axis("x"), y=Axis("y", log=True, low=1.0, high=100.0)
    )
    root = xml.fromstring(inline(Figure("test", "t", (panel,))))[0]
    group = next(each for each in root.iter("g") if each.get("data-box"))
    left, top, wide, high = map(float, group.get("data-box").split())
    (points,) = [each.get("points") for each in root.iter("polyline")]
    first, last = [tuple(map(float, each.split(","))) for each in points.split()]
    assert first == pytest.approx((left, top + high), abs=0.06)
    assert last == pytest.approx((left + wide, top), abs=0.06)


def test_titles_of_marks_are_there_for_the_reader():
    root = xml.fromstring(svg(Figure("test", "T", (PARTS["points"],), "what one sees")))
    assert [each.text for each in root.iter(f"{SVG}title")] == ["T", "x", "y"]
    assert next(root.iter(f"{SVG}desc")).text == "what one sees"
    named = root.get("aria-labelledby").split()
    assert named == [each.get("id") for each in root.iter() if each.get("id") in named]


def test_an_empty_cell_of_counts_is_not_drawn():
    root = xml.fromstring(svg(Figure("test", "t", (PARTS["counts"],))))
    cells = [each for each in root.iter(f"{SVG}rect") if each.find(f"{SVG}title") is not None]
    assert [each.find(f"{SVG}title").text for each in cells] == ["3", "1", "9"]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 7.3), (-3, 4e5), (1e-9, 3e-9), (-2, -1)])
def test_ticks_are_round_and_inside(low, high):
    found = ticks.ticks(low, high)
    assert 2 <= len(found) <= 7
    assert all(low - 1e-9 * abs(low) <= each <= high + 1e-9 * abs(high) for each in found)
    steps = np.diff(found)
    assert steps == pytest.approx(steps[0])
    digits = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert round(digits, 6) in (1, 2, 5)


@pytest.mark.parametrize(("low", "high"), [(1, 1000), (1e-12, 1e12), (0.3, 0.7), (2, 90)])
def test_logarithmic_ticks_are_inside(low, high):
    found = ticks.log_ticks(low, high)
    assert 1 <= len(found) <= 8 and found == sorted(found)
    assert all(low * 0.999 <= each <= high * 1.001 for each in found)


def test_numbers_are_written_short():
    assert [ticks.written(each) for each in (0, 0.25, 1234.5, 1e7, 2.5e-6, math.nan)] == [
        "0", "0.25", "1,234", "1e7", "2.5e-6", "nan"]  # fmt: skip


def test_a_png_holds_its_pixels():
    """Against the format itself: lengths, checksums and the filtered rows."""
    pixels = RNG.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    stream = io.BytesIO(png.png(pixels))
    assert stream.read(8) == b"\x89PNG\r\n\x1a\n"
    chunks = {}
    while size := stream.read(4):
        name, body = stream.read(4), None
        body = stream.read(int.from_bytes(size, "big"))
        assert zlib.crc32(name + body) == int.from_bytes(stream.read(4), "big")
        chunks[name] = body
    assert int.from_bytes(chunks[b"IHDR"][:4], "big") == 7
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(5, 1 + 21)
    assert not rows[:, 0].any() and np.array_equal(rows[:, 1:].reshape(5, 7, 3), pixels)
    with pytest.raises(ValueError, match="uint8"):
        png.png(np.zeros((2, 2)))


def test_gray_takes_the_range_of_the_values():
    assert np.array_equal(png.gray(np.array([[-1.0, 0.0, 1.0]])), [[0, 128, 255]])
    assert np.array_equal(png.gray(np.full((1, 2), 4.0)), [[0, 0]])


def test_colours_have_the_ends_and_the_middle():
    assert np.array_equal(colours.signed(np.array([-1.0, 0.0, 1.0]))[1], [247, 247, 245])
    ends = colours.heat(np.array([0.0, 1.0, 2.0, math.nan]))
    assert np.array_equal(ends[1], ends[2]) and np.array_equal(ends[3], [160, 160, 160])
    assert len(set(colours.PALETTE)) == len(colours.PALETTE)


def test_a_scale_is_linear_in_its_logarithm():
    scale = Scale(Axis(log=True), (1.0, 100.0), 0.0, 200.0)
    assert [scale(1.0), scale(10.0), scale(100.0)] == pytest.approx([0, 100, 200])
    assert math.isnan(scale(0.0))


def test_lines_as_characters():
    """The dots of a line are those of its points, and text fits the width."""
    up = Figure("test", "t", (Panel((Line([0, 1], [0.0, 1.0], "up"),), "rise", Axis("x")),))
    rows = blocks.drawn(up, width=40, height=5).splitlines()
    assert rows[0] == "rise  ● up" and all(len(row) <= 40 for row in rows)
    body = [row.partition("┤")[2].ljust(34) for row in rows[1:6]]
    dots = [(k, j) for k, row in enumerate(body) for j, sign in enumerate(row) if sign != " "]
    assert min(dots)[0] == 0 and max(dots)[0] == 4
    assert dots[0][1] > dots[-1][1], "the line rises to the right"
    assert rows[-1].strip().startswith("0") and rows[-1].strip().endswith("1")
    assert "\x1b" not in "".join(rows)
    assert "\x1b[34m" in blocks.drawn(up, 40, 5, is_coloured=True)


@pytest.mark.parametrize("name", ["lines", "logarithms", "one point", "nothing"])
def test_every_line_can_be_characters(name):
    text = blocks.drawn(Figure("test", "t", (PARTS[name],)), 50, 6)
    assert len(text.splitlines()) == 9


def test_a_thin_line_says_so_and_a_point_without_a_size_has_a_label_alone():
    marks = (
        Line([0, 1], [1, 2], "thin", width=1.0),
        Points([0.5], [1.5], radius=0.0, labels=("here",)),
    )
    drawn = svg(Figure("any", "any", (Panel(marks),)))
    assert drawn.count('style="stroke-width:1"') == 1
    assert "<circle" not in drawn and ">here</text>" in drawn


def test_a_logarithmic_axis_has_room_above_and_below():
    panel = Panel((Line([0, 1], [1.0, 100.0]),), y=Axis(log=True))
    low, high = axes.roomy(panel, panel.ends("y"))
    assert (low, high) == pytest.approx((100**-0.05, 100**1.05))
    fixed = Panel((Line([0, 1], [1.0, 100.0]),), y=Axis(log=True, low=1.0, high=100.0))
    assert axes.roomy(fixed, fixed.ends("y")) == (1.0, 100.0)


def test_names_that_are_not_seen_have_signs():
    panel = Panel((Bars([0, 1, 2], [1, 2, 3]),), x=Axis(names=(" ", "\n", "a b")))
    assert [text for _, text in axes.places(panel, "x")] == ["␣", "⏎", "a b"]


def test_points_at_the_ends_of_a_logarithmic_axis_have_room():
    panel = Panel((Points([0.01, 1.0], [1, 2]),), x=Axis(log=True))
    assert axes.roomy_x(panel) == pytest.approx((0.01 * 100**-0.04, 100**0.04))
