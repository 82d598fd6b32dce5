"""The drawing of a model: every box has its place, arrows lead down, and it is sound SVG."""

from __future__ import annotations

import itertools
import random
import xml.etree.ElementTree as tree
from pathlib import Path

import pytest
from making import figures

from specc import driver
from specc.cli.main import status_of
from specc.drawing.diagram import MOST_BOXES, diagram
from specc.drawing.layered import SPACE, layered
from specc.drawing.scene import Curve, Rect, span
from specc.drawing.svg import drawing, printed
from specc.drawing.unrolled import unrolled
from specc.source import Source

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted((ROOT / "models").glob("*.dl"))
READ_BY_METRICS = {"pinn": {"x"}}  # targets of no loss
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_is_drawn_with_its_inputs_losses_and_outputs(path):
    program = driver.load(path)
    made = diagram(program)
    titles = [box.title for box in made.boxes]
    kinds = [box.kind for box in made.boxes]
    drawn = {port.name for port in program.ports if "." not in port.name}
    assert drawn - READ_BY_METRICS.get(path.stem, set()) <= set(titles)
    assert kinds.count("loss") == len(program.losses) and kinds.count("output") == len(
        program.outputs
    )
    page = tree.fromstring(drawing(made))
    kinds = {box.kind for box in made.boxes}
    boxes = [_rectangle(each) for each in page.iter(f"{SVG}rect") if each.get("class") in kinds]
    assert len(boxes) == len(made.boxes)
    width, height = float(page.get("width")), float(page.get("height"))
    for number, (left, top, right, bottom) in enumerate(boxes):
        assert left > 0 and right < width and top > 0 and bottom < height
        for other in boxes[:number]:
            assert right <= other[0] or left >= other[2] or bottom <= other[1] or top >= other[3]
    frames = [_rectangle(each) for each in page.iter(f"{SVG}rect") if each.get("class") == "frame"]
    for left, top, right, bottom in frames:
        assert left > 0 and right < width and top > 0 and bottom < height


def _rectangle(each) -> tuple[float, float, float, float]:
    x, y, width, height = (float(each.get(name)) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def test_titles_and_parameters_are_those_of_the_model():
    boxes = {box.title: box for box in diagram(driver.load(ROOT / "models" / "lenet.dl")).boxes}
    conv = boxes["conv(6, kernel=5, pad=2)"]
    assert (conv.kind, conv.shape, conv.detail) == ("conv", "[6, 28, 28]", "conv1, 156 parameters")
    assert boxes["label"].shape == "class(10)"


def test_a_shared_layer_is_framed_at_each_use_and_its_parameters_counted_once():
    made = diagram(driver.load(ROOT / "models" / "siamese.dl"))
    assert [frame.title for frame in made.frames] == ["tower(a)", "tower(b)"]
    assert [box.detail for box in made.boxes if box.kind == "conv"] == [
        "tower.conv1, 160 parameters", "tower.conv1, shared parameters",
    ]  # fmt: skip


def test_formulas_of_a_block_stand_in_its_frame():
    made = diagram(driver.load(ROOT / "models" / "strided.dl"))
    frame = next(frame for frame in made.frames if frame.title == "shortcut")
    assert "x + y" in [box.title for box in frame.boxes] and frame.level == 1


def test_blocks_in_a_row_that_are_alike_are_drawn_once():
    made = diagram(driver.load(ROOT / "models" / "plain_deep.dl"))
    (frame,) = made.frames
    assert (frame.title, frame.times) == ("stage", 20) and len(frame.boxes) == 3
    assert "stage × 20" in drawing(made)
    whole = diagram(driver.load(ROOT / "models" / "plain_deep.dl"), is_whole=True)
    assert len(whole.boxes) == len(made.boxes) + 19 * 3
    into = [a for a in made.arrows if a.end in frame.boxes and a.start not in frame.boxes]
    out = [a for a in made.arrows if a.start in frame.boxes and a.end not in frame.boxes]
    assert len(into) == len(out) == 1 and out[0].end.title == "global_avgpool"


def test_blocks_that_differ_or_are_read_elsewhere_are_all_drawn():
    text = """block stage(x: float[n]; units: int > 0) { return x -> dense(units) -> relu }
    model m { input x: float[4] let a = x -> stage(4) -> stage(4) let b = a -> stage(4)
      let c = b -> stage(5) output a output c }"""
    program, found = driver.check(Source("a.dl", text))
    assert not found
    assert [f.times for f in diagram(program).frames] == [2, 1, 1]


def test_what_is_within_blocks_is_left_out_of_long_models():
    uses = " -> ".join(f"stage({k})" for k in range(2, 32))
    text = f"""block stage(x: float[n]; units: int > 0) {{ return x -> dense(units) -> relu }}
    model m {{ input x: float[4] output x -> {uses} }}"""
    program, found = driver.check(Source("a.dl", text))
    assert not found
    made = diagram(program)
    assert made.frames == [] and len(made.boxes) == 32 <= MOST_BOXES


def test_a_way_around_layers_is_seen_at_the_box():
    made = diagram(driver.load(ROOT / "models" / "residual_deep.dl"))
    assert [box.title for box in made.boxes if box.has_skip] == ["residual"]
    made = diagram(driver.load(ROOT / "models" / "plain_deep.dl"))
    assert not any(box.has_skip for box in made.boxes)


def test_each_value_has_its_shape_beside_its_arrow():
    made = diagram(driver.load(ROOT / "models" / "lenet.dl"))
    found = {(a.start.title, a.end.title): a.shape for a in made.arrows}
    assert found["conv(6, kernel=5, pad=2)", "relu"] == "[6, 28, 28]"
    assert found["dense(classes)", "scores"] == "[10]"
    assert found["label", "cross_entropy(scores, label)"] == "class(10)"
    page = drawing(made)
    for arrow in made.arrows:
        assert f">{arrow.shape}</text>" in page


def test_a_state_comes_back_to_its_cell_by_name():
    made = diagram(driver.load(ROOT / "models" / "translate.dl"))
    assert [(a.start.title, a.end.title, a.shape) for a in made.returns] == [
        ("lstm(128)", "lstm(128)", "h, c"),
        ("lstm(h=h, c=c; 128)", "lstm(h=h, c=c; 128)", "h, c"),
    ]
    (initial,) = [a for a in made.arrows if a.is_initial]
    assert initial.start.title == "lstm(128)" and initial.shape == "[128]" and initial.is_last
    made = diagram(driver.check(Source("a.dl", CELL))[0])
    assert [(a.start.title, a.end.title, a.shape) for a in made.returns] == [
        ("tanh(z)", "concat(x, h)", "h"),
        ("gru(5)", "gru(5)", "h"),
    ]


CELL = """
seq time = 7
cell mine(x: float[n]; units: int > 0) {
  state h: float[units] = 0
  let z = concat(x, h) -> dense(units)
  next h = tanh(z)
  return tanh(z)
}
model m {
  input x: float[time, 3]
  let back = x -> reverse -> gru(5) -> reverse
  output concat(x -> mine(4), back)
  output first(back) -> dense(3)
}
"""


def test_open_sizes_and_models_without_losses_can_be_drawn():
    text = (
        "dim n\nmodel m {\n  input x: float[n]\n  let a, b = split(concat(x, x); 2)\n  output"
        " a * b <= 3\n}\n"
    )
    program, found = driver.check(Source("a.dl", text))
    assert not found
    page = drawing(diagram(program))
    assert "[n]" in page and "&lt;=" in page
    tree.fromstring(page)


@pytest.mark.parametrize("name", ["translate", "caption", "sentiment", "frames", "char_lstm2"])
@pytest.mark.parametrize("steps", [2, 4])
def test_an_unrolled_model_has_a_column_for_each_step(name, steps):
    program = driver.load(ROOT / "models" / f"{name}.dl")
    made = diagram(program, is_whole=True)
    scene = unrolled(made, program, steps)
    rects = [each for each in scene.items if isinstance(each, Rect)]
    needed = [box for box in made.boxes if box.kind != "loss"]
    read = {a.start for a in made.arrows if a.end.kind != "loss"}
    needed = [box for box in needed if box.kind != "target" or box in read]
    assert len(rects) == sum(steps if box.sequence else 1 for box in needed)
    for one, other in itertools.combinations(rects, 2):
        assert (
            one.left + one.width <= other.left
            or other.left + other.width <= one.left
            or one.top + one.height <= other.top
            or other.top + other.height <= one.top
        )
    states = [each for each in scene.items if isinstance(each, Curve) and each.style == "state"]
    first = [a for a in made.arrows if a.is_initial]
    assert len(states) == len(made.returns) * (steps - 1) + len(first)
    for each in scene.items:
        low, high = span(each)
        assert low >= 0 and high <= scene.width
    tree.fromstring(printed(scene))


def test_what_is_read_backward_goes_from_right_to_left():
    program, found = driver.check(Source("a.dl", CELL))
    assert not found
    scene = unrolled(diagram(program, is_whole=True), program, 7)
    assert not [each for each in scene.items if getattr(each, "text", "") == "reverse"]
    ways = [e.end[0] - e.start[0] for e in scene.items if isinstance(e, Curve)
            and e.style == "state"]  # fmt: skip
    assert sum(way < 0 for way in ways) == 6 and sum(way > 0 for way in ways) == 6
    labels = [each for each in scene.items if getattr(each, "text", "").startswith("time ")]
    assert [each.text for each in labels] == [f"time {k}" for k in range(1, 8)]
    # `first` of what was turned back is read at the left
    centre = next(e.x for e in scene.items if getattr(e, "text", "") == "first(back)")
    assert abs(centre - labels[0].x) < abs(centre - labels[-1].x)


def test_attention_joins_all_steps():
    for call, joined in (("attention", 9), ("attention(causal=true)", 6)):
        text = f"""seq time = 9
        model m {{ input x: float[time, 4] output x -> {call} -> dense(2) }}"""
        program, found = driver.check(Source("a.dl", text))
        assert not found
        made = diagram(program, is_whole=True)
        assert [box.title for box in made.boxes if box.looks_around] == [call]
        lines = [each for each in unrolled(made, program, 3).items if isinstance(each, Curve)]
        assert len(lines) == joined + 3 + 3


def test_states_that_several_formulas_read_and_those_of_a_cell_in_a_cell():
    program = driver.check(
        Source(
            "a.dl",
            """seq time = 6
            cell outer(x: float[n]; units: int > 0) {
              state s: float[units] = 0
              let a = concat(x, s) -> lstm(units)
              next s = a + 0.5 * s
              return a
            }
            model m { input x: float[time, 3] input z: float[4]
            let hs, s = x -> outer(s=0.1 * z; 4) output hs output s }""",
        )
    )[0]
    made = diagram(program, is_whole=True)
    assert sorted((a.start.title, a.end.title, a.shape) for a in made.returns) == [
        ("a + 0.5 * s", "a + 0.5 * s", "s"),
        ("a + 0.5 * s", "concat(x, s)", "s"),
        ("lstm(units)", "lstm(units)", "h, c"),
    ]
    initial = sorted((a.start.title, a.end.title) for a in made.arrows if a.is_initial)
    assert initial == [("0.1 * z", "a + 0.5 * s"), ("0.1 * z", "concat(x, s)")]
    for steps in (3, 6):
        rects = [each for each in unrolled(made, program, steps).items if isinstance(each, Rect)]
        assert len(rects) == sum(steps if box.sequence else 1 for box in made.boxes)


def test_a_model_without_sequences_cannot_be_unrolled(capsys, tmp_path):
    out = tmp_path / "a.svg"
    model = str(ROOT / "models" / "mlp.dl")
    assert status_of(["show", model, "--graph", str(out), "--unroll", "3"]) == 2
    assert "the model does not read a sequence" in capsys.readouterr().err and not out.exists()
    assert status_of(["show", model, "--unroll", "3"]) == 2
    assert "--unroll needs --graph" in capsys.readouterr().err


def test_the_picture_as_png_and_pdf(tmp_path):
    pytest.importorskip("matplotlib")
    model = str(ROOT / "models" / "translate.dl")
    for name, sign in (("a.png", b"\x89PNG"), ("a.pdf", b"%PDF")):
        out = tmp_path / name
        assert status_of(["show", model, "--graph", str(out), "--unroll", "3"]) == 0
        assert out.read_bytes().startswith(sign)
    assert status_of(["show", model, "--graph", str(tmp_path / "a.jpg")]) == 2


def test_random_layouts_keep_distances_and_lead_down():
    chance = random.Random(0)
    for _ in range(60):
        count = chance.randrange(1, 14)
        widths = {n: chance.choice([40.0, 120.0]) for n in range(count)}
        arrows = [(a, b) for b in range(count) for a in range(b) if chance.random() < 0.25]
        layout = layered(widths, arrows)
        assert all(layout.places[a][1] < layout.places[b][1] for a, b in arrows)
        for row in layout.rows:
            ordered = sorted(row, key=lambda key: layout.places[key][0])
            for one, other in itertools.pairwise(ordered):
                gap = layout.places[other][0] - layout.places[one][0]
                assert gap >= (widths[one] + widths[other]) / 2 + SPACE - 1e-6


def test_the_longest_way_is_straight():
    made = diagram(driver.load(ROOT / "models" / "autoencoder.dl"))
    widths = dict.fromkeys(made.boxes, 100.0)
    layout = layered(widths, [(a.start, a.end) for a in made.arrows])
    trunk = [box for box in made.boxes if box.kind not in ("output", "loss")]
    assert len({round(layout.places[box][0], 6) for box in trunk}) == 1


def test_the_command_writes_the_picture(tmp_path, capsys):
    out = tmp_path / "out.svg"
    assert status_of(["show", str(ROOT / "models" / "mlp.dl"), "--graph", str(out)]) == 0
    assert out.read_text().startswith("<svg ") and "wrote" in capsys.readouterr().out
    assert (
        status_of(["show", str(ROOT / "models" / "mlp.dl"), "--graph", str(out), "--stage", "tree"])
        == 2
    )


def test_the_table_says_what_training_keeps(capsys):
    assert status_of(["show", str(ROOT / "models" / "mlp.dl")]) == 0
    assert "training in batches of 32 keeps up to " in capsys.readouterr().out


def test_what_no_output_needs_is_not_drawn():
    text = """block stage(x: float[n]) { return x -> dense(n) -> relu }
    model m { input x: float[4] let y = x -> stage -> normal -> dense(2) output y }"""
    program, _ = driver.check(Source("a.dl", text))
    made = diagram(program)
    assert "dense(n)" not in [box.title for box in made.boxes]
    tree.fromstring(drawing(made))


def test_a_sequence_is_shown_by_its_step_and_what_it_runs_over(capsys):
    assert status_of(["show", str(ROOT / "models" / "char_lstm2.dl"), "vocab=65"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert "class(65) over time" in lines["text"]
    assert "[256] over time" in lines["lstm2"] and lines["lstm2"].endswith(
        "65.5 kB"
    )  # 64 * 256 * 4 bytes
    made = diagram(driver.load(ROOT / "models" / "translate.dl"))
    assert [(box.title, box.shape) for box in made.boxes if box.kind != "loss"] == [
        ("figures", "class(figures_) over read"),
        ("words", "class(letters) over written"),
        ("embed(16)", "[16] over read"),
        ("lstm(128)", "[128] over read"),
        ("embed(16)", "[16] over written"),
        ("lstm(h=h, c=c; 128)", "[128] over written"),
        ("dense(letters)", "[letters] over written"),
        ("previous(words)", "class(letters + 1) over written"),
        ("scores", "[letters] over written"),
    ]


def test_a_layer_within_a_cell_is_counted_for_all_steps(capsys, tmp_path):
    path = tmp_path / "a.dl"
    path.write_text("""seq time = 7
cell mine(x: float[n]; units: int > 0) {
  state h: float[units] = 0
  let z = concat(x, h) -> dense(units)
  next h = tanh(z)
  return tanh(z)
}
model m {
  input x: float[time, 3]
  output x -> mine(4)
}
""")
    assert status_of(["show", str(path)]) == 0
    rows = [line.rsplit(maxsplit=5) for line in capsys.readouterr().out.splitlines()]
    flops = {row[0].split()[0]: row[-3] for row in rows if len(row) == 6 and row[-1] == "B"}
    # 7 steps of 4 * (3 + 4) multiply-adds and 4 sums; of 4 tanhs
    assert flops == {"mine1.dense1": str(7 * (2 * 28 + 4)), "mine1": str(7 * 4)}
    assert all(box.shape.endswith("over time") for box in diagram(driver.load(path)).boxes)


def test_the_picture_in_the_readme_is_the_one_that_is_drawn(golden):
    golden(ROOT / "docs" / "lenet.svg", drawing(diagram(driver.load(ROOT / "models" / "lenet.dl"))))


@pytest.mark.parametrize("name", figures.UNROLLED)
def test_the_pictures_in_the_course_are_those_that_are_drawn(golden, name):
    golden(ROOT / "docs" / "figures" / f"unrolled_{name}.svg", figures.step_by_step(name))
