"""The figures of one small run, against numbers that are computed apart."""

import numpy as np
import pytest

import specc
from specc.plots import classes, layers, space, through_time
from specc.plots.answers import answers
from specc.plots.colours import PALETTE
from specc.plots.kinds import KINDS, find
from specc.plots.marks import Gallery, Heatmap, Panel, Points
from specc.plots.subject import Subject, is_picture, of_run
from specc.plots.svg.document import svg
from specc.recipe import Column
from specc.runs.listener import AsWarnings

MODEL = """
model shades {
  input  image: float[1, 8, 8]
  target label: class(10)
  let scores = image -> conv(4, kernel=3) -> tanh -> avgpool(2) -> flatten -> dense(6) -> dense(10)
  output scores
  loss   cross_entropy(scores, label)
  metric accuracy(scores, label)
}
train { data digits() validate split = 0.8 optimizer adam(lr = 0.01) epochs = 2 batch = 64 }
"""


@pytest.fixture(scope="module")
def subject(tmp_path_factory) -> Subject:
    from specc.cli.main import status_of

    folder = tmp_path_factory.mktemp("figures")
    (folder / "shades.dl").write_text(MODEL)
    run = folder / "runs"
    assert status_of(["train", str(folder / "shades.dl"), "--run", str(run), "--quiet"]) == 0
    return of_run(run / "shades" / "1", AsWarnings())


def scores(subject: Subject, rows: np.ndarray) -> np.ndarray:
    """The scores of some examples, by a call that figures do not make."""
    return subject.net.forward(image=subject.values("image", rows).astype(np.float32))["scores"]


def test_every_figure_that_fits_is_drawn(subject):
    drawn = [kind.name for kind in KINDS if not kind.why_not(subject)]
    assert drawn == [
        "curves", "confusion", "classes", "roc", "calibration", "mistakes", "embedding", "filters",
        "maps", "features", "saliency", "flow", "activations", "weights", "cost",
    ]  # fmt: skip
    for name in drawn:
        figure = find(name).draw(subject)
        assert figure.kind == name and figure.caption.endswith("."), figure.caption
        assert len(svg(figure)) > 1000


def test_confusion_counts_the_held_out_examples(subject):
    assert subject.part == "validation" and subject.count == 359
    predicted = scores(subject, np.arange(subject.count)).argmax(1)
    truth = subject.values("label").astype(int)
    table = np.zeros((10, 10), int)
    np.add.at(table, (truth, predicted), 1)
    (panel,) = classes.confusion(subject).parts
    (drawn,) = panel.tables
    assert [[int(text or 0) for text in row] for row in drawn.texts] == table.tolist()


def test_mistakes_are_those_of_the_greatest_confidence(subject):
    found = answers(subject, subject.heads[0])
    chances = np.exp(scores(subject, np.arange(subject.count)).astype(np.float64))
    chances /= chances.sum(1, keepdims=True)
    truth = subject.values("label").astype(int)
    wrong = [k for k in range(len(truth)) if chances[k].argmax() != truth[k]]
    assert np.flatnonzero(~found.is_right).tolist() == wrong
    surest = max(wrong, key=lambda k: chances[k].max())
    (gallery,) = classes.mistakes(subject).parts
    first = gallery.pictures[0]
    assert first.text.startswith(f"{chances[surest].argmax()}, {chances[surest].max():.0%}")
    assert np.array_equal(first.pixels > 127, subject.values("image")[surest][0] > 8 / 16 * 1.0)


def test_filters_are_the_weights(subject):
    layer, weights = layers.first_filters(subject)
    assert layer.path == "conv1"
    assert np.array_equal(weights, subject.net.params["conv1.weight"])
    assert layers.filters(subject).caption.startswith("4 filters of `conv(4, kernel=3)`")


def test_an_embedding_is_the_hidden_layer_along_its_axes(subject):
    path = space.hidden_layer(subject).path
    assert path == "dense1"
    values = subject.of_layers(["conv1", "avgpool1", path], np.arange(subject.count))
    weight = np.asarray(subject.net.params["dense1.weight"], np.float64)
    bias = np.asarray(subject.net.params["dense1.bias"], np.float64)
    hidden = values["avgpool1"].reshape(subject.count, -1) @ weight.T + bias
    assert values[path] == pytest.approx(hidden, abs=1e-9)
    (panel,) = space.embedding(subject).parts
    drawn = np.concatenate([np.stack([m.x, m.y], 1) for m in panel.marks if isinstance(m, Points)])
    centred = hidden - hidden.mean(0)
    sizes = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    assert (drawn**2).sum(0) == pytest.approx(sizes[:2])


def test_saliency_is_the_slope_of_the_score(subject):
    """Against differences of the compiled model, in float64."""
    import specc

    net = specc.compile(subject.program, dtype="float64")
    net.set_params({path: np.asarray(a) for path, a in subject.net.params.items()})
    x = subject.values("image", np.array([5]))
    node = next(t.node for t in subject.program.outputs if t.name == "scores")
    weight = np.eye(10)[3]
    data = {"image": Column(x), "label": Column(np.zeros(1, np.int64))}
    value, slopes = subject.net.inspection.slopes(data, np.arange(1), node, ["image"], weight)
    assert value == pytest.approx(net.forward(image=x)["scores"], abs=1e-6)
    rng = np.random.default_rng(0)
    for _ in range(6):
        direction = rng.normal(size=x.shape)
        up, down = (net.forward(image=x + s * 1e-4 * direction)["scores"][0, 3] for s in (1, -1))
        assert (slopes["image"] * direction).sum() == pytest.approx((up - down) / 2e-4, rel=1e-5)


def test_gradients_are_each_examples_own(subject):
    rows = np.array([1, 7, 8])
    node = next(t.node for t in subject.program.outputs if t.name == "scores")
    inspection = subject.net.inspection
    _, both = inspection.slopes(subject.data, subject.rows[rows], node, ["image"])
    for k, row in enumerate(rows):
        _, alone = inspection.slopes(subject.data, subject.rows[row : row + 1], node, ["image"])
        assert both["image"][k] == pytest.approx(alone["image"][0], abs=1e-12)


def test_ascent_excites_a_unit_more_than_any_example_of_its_mean(subject):
    layer = layers.unit_layer(subject)
    unit = layers.unit_node(layer.node, 2, (1, 1))
    mean = subject.values("image", np.arange(200)).mean(0, keepdims=True)
    found = layers.ascent(subject, unit, "image")

    def strength(x):
        data = {"image": Column(np.ascontiguousarray(x)), "label": Column(np.zeros(1, np.int64))}
        return subject.net.inspection.slopes(data, np.arange(1), unit, ["image"])[0][0]

    assert strength(found[None]) > strength(mean) + 0.1


def test_a_unit_behind_a_relu_is_sought_from_the_example_that_excites_it_most():
    text = """model m { input image: float[1, 8, 8]
      output y = relu(max(image) - 0.9) -> flatten }"""
    net = specc.compile(specc.loads(text), dtype="float64")
    images = np.zeros((5, 1, 8, 8))
    images[3, 0, 2, 5] = 1.0
    given = Subject(net.program, net, "m", "given", {"image": Column(images)}, np.arange(5))
    node = net.program.outputs[0].node
    assert (layers.ascent(given, layers.unit_node(node, 0), "image") == images.mean(0)).all()
    found = layers.ascent(given, layers.unit_node(node, 0), "image", images[3:4])
    assert found[0].max() == found[0, 2, 5] > 1


def test_activations_count_what_layers_give(subject):
    panels = {part.title: part for part in layers.activations(subject).parts}
    assert list(panels) == ["conv1", "tanh1", "avgpool1", "flatten1", "dense1", "dense2"]
    found = scores(subject, np.arange(64))
    (bars,) = panels["dense2"].marks
    edges = np.append(bars.x - bars.width / 2, bars.x[-1] + bars.width / 2)
    assert edges[[0, -1]] == pytest.approx([found.min(), found.max()], rel=1e-4)
    assert bars.heights.sum() == 640 and abs(bars.heights - np.histogram(found, edges)[0]).sum() < 9
    assert panels["dense2"].x.label.startswith(f"mean {found.mean():.3g}, ")


def test_maps_are_what_layers_give(subject):
    parts = layers.maps(subject, example=3).parts
    assert [part.title.split(":")[0] for part in parts] == ["image", "conv1", "tanh1", "avgpool1"]
    x = subject.values("image", np.array([3]))[0, 0]
    weight = np.asarray(subject.net.params["conv1.weight"], np.float64)[1, 0]
    bias = float(subject.net.params["conv1.bias"][1])
    wanted = [[(weight * x[i : i + 3, j : j + 3]).sum() + bias for j in range(6)] for i in range(6)]
    found = subject.of_layers(["conv1"], np.array([3]))["conv1"][0, 1]
    assert found == pytest.approx(np.array(wanted), abs=1e-9)


def test_weights_are_all_counted(subject):
    for panel in panels_of(layers.weights(subject)):
        (bars,) = panel.marks
        assert sum(bars.heights) == subject.net.params[panel.title].size


def panels_of(figure):
    return [part for part in figure.parts if isinstance(part, Panel)]


def test_what_a_subject_lacks_is_said(subject):
    lacks = {kind.name: kind.why_not(subject) for kind in KINDS if kind.why_not(subject)}
    assert lacks["fit"] == "no output is compared with a target of numbers"
    assert lacks["boundary"] == "the model does not have a single input of two numbers"
    assert lacks["states"] == "no layer has a vector at each time step"
    assert lacks["words"] == "no layer embeds the classes of an input"


@pytest.mark.parametrize(("shape", "is_one"), [
    ((8, 8), True), ((1, 8, 8), True), ((3, 32, 32), True), ((2, 8, 8), False), ((8,), False),
    ((3, 2, 9), False), ((4, 400), False)])  # fmt: skip
def test_which_values_are_pictures(shape, is_one):
    assert is_picture(shape) is is_one
    assert not is_picture(shape, "class")


def test_a_boundary_is_what_the_model_answers():
    import specc

    program = specc.loads(
        "model m {\n  input p: float[2]\n  target t: class(3)\n  let s = p -> dense(3)\n"
        "  output s\n  loss cross_entropy(s, t)\n}\n"
    )
    net = specc.compile(program)
    rng = np.random.default_rng(1)
    points = rng.normal(size=(40, 2))
    data = {"p": Column(points), "t": Column(rng.integers(0, 3, 40))}
    subject = Subject(program, net, "m", "training", data, np.arange(40))
    (panel,) = find("boundary").draw(subject).parts
    table = next(mark for mark in panel.marks if isinstance(mark, Heatmap))
    left, right, bottom, top = table.extent
    high, wide = table.values.shape[:2]
    # a colour mixed with white keeps the direction of what it takes away from white
    taken = 255.0 - np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in PALETTE[:3]])
    taken /= np.linalg.norm(taken, axis=1, keepdims=True)
    seen = set()
    for i, j in rng.integers(0, high, (60, 2)):
        x = left + (right - left) * j / (wide - 1)
        y = top - (top - bottom) * i / (high - 1)
        best = int(net.forward(p=np.array([[x, y]], np.float32))["s"].argmax())
        assert int((taken @ (255.0 - table.values[i, j])).argmax()) == best
        seen.add(best)
    assert len(seen) == 3


def test_states_follow_the_sequence():
    import specc

    program = specc.loads(
        "seq time = 5\nmodel m {\n  input x: class(3)[time]\n  target t: class(2)\n"
        "  let s = x -> embed(4) -> rnn(6) -> last -> dense(2)\n  output s\n"
        "  loss cross_entropy(s, t)\n}\n"
    )
    net = specc.compile(program)
    rng = np.random.default_rng(2)
    x = rng.integers(0, 3, (7, 5))
    data = {"x": Column(x), "t": Column(rng.integers(0, 2, 7))}
    words = {"x": ("a", "b", "c")}
    subject = Subject(program, net, "m", "training", data, np.arange(7), words)
    figure = through_time.states(subject, example=4)
    tables = [p for p in figure.parts if isinstance(p, Panel)]
    assert tables[-1].x.names == tuple("abc"[k] for k in x[4])
    values = subject.of_layers(["rnn1"], np.array([4]))["rnn1"][0]
    units = [int(name) for name in tables[-1].y.names]
    assert tables[-1].tables[0].values == pytest.approx(values[:, units].T)


def test_each_state_has_the_symbols_of_its_own_sequence():
    program = specc.loads(
        "seq read = 3\nseq written = 4\nmodel m {\n  input x: class(2)[read]\n"
        "  target y: class(3)[written]\n  let _, h = x -> embed(2) -> gru(3)\n"
        "  let s = previous(y) -> embed(2) -> gru(h=h; 3) -> dense(3)\n  output s\n"
        "  loss cross_entropy(s, y)\n}\n"
    )
    x, y = np.array([[0, 1, 1]]), np.array([[2, 0, 1, 2]])
    data = {"x": Column(x), "y": Column(y)}
    words = {"x": ("a", "b"), "y": ("p", "q", "r")}
    subject = Subject(program, specc.compile(program), "m", "given", data, np.arange(1), words)
    panels = [part for part in through_time.states(subject).parts if isinstance(part, Panel)]
    assert [panel.x.names for panel in panels] == [("a", "b", "b"), ("r", "p", "q", "r")]


def test_a_single_number_is_no_hidden_vector():
    program = specc.loads(
        "model m {\n  input x: float[4]\n  target y: float\n  let h = x -> dense(3) -> tanh\n"
        "  let g = h -> dense(1) -> sum\n  output g\n  loss mse(g, y)\n}\n"
    )
    net = specc.compile(program)
    assert space.hidden_layer(Subject(program, net, "m")).path == "tanh1"


def test_pictures_that_a_model_makes():
    import specc

    program = specc.loads(
        "model m {\n  input x: float[1, 4, 4]\n  let y = x -> flatten -> dense(16)\n  output y\n"
        "  loss mse(y, flatten(x))\n}\n"
    )
    data = {"x": Column(np.random.default_rng(3).random((5, 1, 4, 4)))}
    subject = Subject(program, specc.compile(program), "m", "training", data, np.arange(5))
    (gallery,) = find("outputs").draw(subject).parts
    assert isinstance(gallery, Gallery) and len(gallery.pictures) == 10


def test_layers_behind_running_statistics_are_drawn(tmp_path):
    from specc.cli.main import status_of

    text = MODEL.replace("-> tanh", "-> batchnorm -> tanh").replace("epochs = 2", "epochs = 1")
    (tmp_path / "shades.dl").write_text(text)
    command = ["train", str(tmp_path / "shades.dl"), "--run", str(tmp_path / "runs"), "--quiet"]
    assert status_of(command) == 0
    found = of_run(tmp_path / "runs" / "shades" / "1", AsWarnings())
    for name in ("embedding", "maps", "saliency"):
        assert find(name).draw(found).kind == name
    rows = np.arange(7)
    hidden = found.of_layers(["batchnorm1"], rows)["batchnorm1"]
    net = found.net
    weights = {name: net.params[name].astype(float) for name in net.params}
    image = found.values("image", rows).astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(image[:, 0], (3, 3), (1, 2))
    conv = np.einsum("nijuv,kuv->nkij", windows, weights["conv1.weight"][:, 0])
    conv += weights["conv1.bias"][:, None, None] if "conv1.bias" in weights else 0
    state = {name: net.states[name].astype(float) for name in net.states}
    mean, variance = (
        next(value for name, value in state.items() if name.endswith(word))[:, None, None]
        for word in ("mean", "variance")
    )
    scale, shift = (weights[f"batchnorm1.{word}"][:, None, None] for word in ("gamma", "beta"))
    expected = scale * (conv - mean) / np.sqrt(variance + 1e-5) + shift
    np.testing.assert_allclose(hidden, expected, rtol=1e-6, atol=1e-8)


TOWERS = """
model pairs {
  input  a: float[1, 8, 8]
  input  b: float[1, 8, 8]
  target same: bool
  layer tower = conv(3, kernel=3) -> tanh -> maxpool(2) -> flatten -> dense(4)
  let gap = distance(tower(a), tower(b))
  output gap
  loss contrastive(tower(a), tower(b), same)
}
"""


def test_figures_of_a_layer_that_is_used_twice_are_those_of_the_first_image():
    program = specc.loads(TOWERS)
    net = specc.compile(program, seed=3)
    rng = np.random.default_rng(0)
    data = {name: Column(rng.random((30, 1, 8, 8))) for name in "ab"}
    data["same"] = Column(rng.random(30) > 0.5)
    found = Subject(program, net, "pairs", data=data, rows=np.arange(30))
    image = data["a"].array
    windows = np.lib.stride_tricks.sliding_window_view(image[:, 0], (3, 3), (1, 2))
    conv = np.einsum("nijuv,kuv->nkij", windows, net.params["tower.conv1.weight"][:, 0])
    conv = np.tanh(conv + net.params["tower.conv1.bias"][:, None, None])
    pooled = conv.reshape(30, 3, 3, 2, 3, 2).max((3, 5))
    np.testing.assert_allclose(found.of_layers(["tower.tanh1"], np.arange(30))["tower.tanh1"], conv)
    titles = [part.title for part in layers.maps(found).parts]
    assert titles[0] == "a" and len(titles) == len(set(titles)) == 4
    part = layers.features(found).parts[1]
    shown = [float(each.text) for each in part.pictures[1:]]
    wanted = np.sort(pooled[:, 1].max((1, 2)))[::-1][:9]
    np.testing.assert_allclose(shown, wanted, rtol=5e-3)
    drawn = part.pictures[1].pixels
    assert (drawn == layers.pixels(image[pooled[:, 1].max((1, 2)).argmax()])).all()
