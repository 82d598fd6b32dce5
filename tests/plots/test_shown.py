"""Figures from Python: `net.plot`, `run.plot`, `specc.plot`, and methods that need packages."""

import builtins

import numpy as np
import pytest

import specc
from specc.plots.embeddings import METHODS, placed
from specc.plots.shown import ShownFigure

MODEL = """
model plane {
  input  x: float[2]
  target side: class(3)
  let scores = x -> dense(6) -> tanh -> dense(3)
  output scores
  loss   cross_entropy(scores, side)
}
train {
  data csv("plane.csv"; x = "u, v") validate split = 0.5
  optimizer adam(lr = 0.05) epochs = 4
}
"""


def table(seed=0, count=90):
    rng = np.random.default_rng(seed)
    u, v = rng.normal(size=(2, count))
    side = np.where(u > 0.4, 2, np.where(v > 0, 1, 0))
    return {"u": u.astype(np.float32), "v": v.astype(np.float32), "side": side}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shown")
    columns = table()
    rows = zip(*(columns[name] for name in ("u", "v", "side")), strict=True)
    lines = ["u,v,side", *(f"{u:.6f},{v:.6f},{side}" for u, v, side in rows)]
    (folder / "plane.csv").write_text("\n".join(lines) + "\n")
    (folder / "plane.dl").write_text(MODEL)
    return specc.train(folder / "plane.dl", runs=folder / "runs", quiet=True)


def counts(shown: ShownFigure) -> list[list[int]]:
    (panel,) = shown.figure.parts
    return [[int(text or 0) for text in row] for row in panel.tables[0].texts]


def test_a_net_is_drawn_with_a_table_of_its_own(run):
    given = table(1, 50)
    shown = run.net.plot("confusion", given)
    x = np.stack([given["u"], given["v"]], 1)
    predicted = run.net.forward(x=x)["scores"].argmax(1)
    wanted = np.zeros((3, 3), int)
    np.add.at(wanted, (given["side"], predicted), 1)
    assert counts(shown) == wanted.tolist() and "50 given examples" in shown.caption
    page = shown._repr_html_()
    assert page.startswith("<svg") and repr(shown) == "<Figure confusion: Confusion matrix>"


def test_without_a_table_a_net_is_drawn_with_the_data_of_its_file(run):
    assert sum(map(sum, counts(run.net.plot("confusion")))) == 45  # the validation half
    assert sum(map(sum, counts(run.net.plot("confusion", part="training")))) == 45
    loose = specc.compile(specc.loads("model m { input x: float[2] output y = x -> dense(2) }"))
    assert loose.plot("weights").figure.kind == "weights"


def test_a_run_has_its_history_too(run, tmp_path):
    (panel, *_) = run.plot("curves").figure.parts
    line = next(mark for mark in panel.marks if mark.name == "training")
    assert list(line.y) == pytest.approx(run.metrics["train_loss"])
    assert specc.plot(run.folder, "curves").caption == run.plot("curves").caption
    assert specc.plot(run.folder.parent.parent.parent / "plane.dl", "weights")
    path = run.plot("curves").save(tmp_path / "curves.svg")
    assert path.read_text().startswith("<svg")
    pytest.importorskip("matplotlib")
    assert run.plot("curves").save(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn_is_said(run, tmp_path):
    for kind, given, message in [
        ("confusoin", {}, "unknown plot `confusoin`; did you mean `confusion`"),
        ("filters", {}, "cannot plot `filters` for .*: no input is an image"),
        ("curves", {}, "cannot plot `curves` for .*: there is no run"),
        ("confusion", {"layer": "dense1"}, "`confusion` has no option `layer`"),
        ("embedding", {"method": "lda"}, "`method` must be one of pca, tsne, umap, not 'lda'"),
    ]:
        with pytest.raises(ValueError, match=message):
            run.net.plot(kind, **given)
    with pytest.raises(ValueError, match=r"use a name in \.svg"):
        run.plot("curves").save(tmp_path / "curves.gif")
    with pytest.raises(ValueError, match="`data` is only for a net"):
        specc.plot(run, "confusion", table())


def blobs(count=60):
    rng = np.random.default_rng(3)
    centres = np.zeros((3, 8))
    centres[[0, 1, 2], [0, 1, 2]] = 20.0
    which = np.arange(count) % 3
    return centres[which] + rng.normal(size=(count, 8)), which


def test_two_thousand_dimensions_give_the_axes_of_a_singular_value_decomposition():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 300)) * np.linspace(5, 0.1, 300)
    places, labels = placed(values)
    centred = values - values.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    assert np.abs(places) == pytest.approx(np.abs(left[:, :2] * sizes[:2]), abs=1e-9)
    assert labels[0] == f"axis 1: {sizes[0] ** 2 / (sizes**2).sum():.0%} of the variance"


@pytest.mark.parametrize("method", ["tsne", pytest.param("umap", marks=pytest.mark.long)])
def test_neighbours_stay_neighbours(method):
    pytest.importorskip("sklearn" if method == "tsne" else "umap")
    values, which = blobs()
    places, _ = placed(values, method)
    far = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(far, np.inf)
    assert (which[far.argmin(1)] == which).mean() > 0.95


def test_t_sne_is_that_of_scikit_learn(run):
    manifold = pytest.importorskip("sklearn.manifold")
    values, _ = blobs(40)
    made = manifold.TSNE(2, perplexity=13.0, init="pca", random_state=0)
    places, _ = placed(values, "tsne")  # the same each time
    assert np.array_equal(places, made.fit_transform(values.astype(np.float32)))
    shown = run.plot("embedding", method="tsne")
    (panel,) = shown.figure.parts
    assert sum(len(mark.x) for mark in panel.marks) == 45 and "t-SNE" in shown.caption


def test_methods_say_what_they_need(monkeypatch):
    with pytest.raises(LookupError, match="tsne needs at least 5 points, but there are 4"):
        placed(np.zeros((4, 3)), "tsne")
    real = builtins.__import__

    def without(name, *given, **more):
        if name.split(".")[0] in ("sklearn", "umap"):
            raise ImportError(name)
        return real(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for method in [each for each in METHODS if each != "pca"]:
        with pytest.raises(ImportError, match="specc-nn\\[embed\\]"):
            placed(np.zeros((9, 3)), method)
