"""The files in models/: each is valid, and reaches the results in its comment.

`net/test_bits.py` trains each of them for some steps.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from model_files import MODELS, ROOT

from specc import driver
from specc.cli.main import status_of

MNIST = ROOT.parent / "shared" / "data" / "mnist"
SCREEN = 45

# model, overrides, name and value of a figure, and how much worse than its comment it may be
FIGURES = [
    ("linear", [], "accuracy", 0.96, 0.01),
    ("mlp", [], "accuracy", 0.97, 0.01),
    ("mlp3", [], "accuracy", 0.97, 0.01),
    ("svm", [], "accuracy", 0.96, 0.01),
    ("prelu_maxout", [], "accuracy", 0.97, 0.01),
    ("digits", ["epochs=8"], "accuracy", 0.99, 0.01),
    ("strided", [], "accuracy", 0.98, 0.01),
    ("two_losses", [], "accuracy", 0.96, 0.01),
    ("tcn", ["epochs=8"], "accuracy", 0.98, 0.02),
    ("unet", ["epochs=3"], "pixels", 0.92, 0.03),
    ("vit", ["epochs=20"], "accuracy", 0.95, 0.06),
    ("byol", ["epochs=8"], "accuracy", 0.93, 0.08),
]
SLOW = {"byol", "tcn", "unet", "vit"}
MNIST_FIGURES = [  # short runs: the comments' figures need all epochs
    ("mnist_linear", ["epochs=4"], "accuracy", 0.926, 0.006),
    ("mnist_mlp", ["epochs=4"], "accuracy", 0.985, 0.01),
]


@pytest.mark.parametrize("path", MODELS.values(), ids=MODELS)
def test_a_model_has_no_mistakes_and_fits_on_a_screen(path):
    program, found = driver.check(path, {})
    assert program is not None and not found
    assert len(path.read_text().splitlines()) <= SCREEN


@pytest.mark.parametrize("path", MODELS.values(), ids=MODELS)
def test_a_model_says_what_it_shows_and_what_to_expect(path):
    assert re.search(r"\b[Ee]xpect\b", _comment(path.stem))


def _comment(model: str) -> str:
    """The comment at the head of a model's file."""
    head = re.match(r"(#.*\n)*", (ROOT / "models" / f"{model}.dl").read_text())[0]
    return re.sub(r"^# ?", "", head, flags=re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "changes", "name", "value", "margin"),
    [
        pytest.param(*each, marks=pytest.mark.long if each[0] in SLOW else (), id=each[0])
        for each in FIGURES
    ],
)
def test_a_model_reaches_its_figure(model, changes, name, value, margin, tmp_path, capfd):
    assert f"Expect {value} of" in " ".join(_comment(model).split())
    _reaches(model, changes, name, value, margin, tmp_path, capfd)


@pytest.mark.long
def test_cnn32_reaches_its_figure_on_painted_digits(tmp_path, capfd):
    rng = np.random.default_rng(0)
    with np.load(ROOT / "specc" / "data" / "digits.npz") as digits:
        ink = np.kron(digits["image"][:, None] / 16, np.ones((4, 4)))
        label = digits["label"]
    paper = 0.3 * rng.random((len(ink), 3, 1, 1))
    paint = 0.5 + 0.5 * rng.random((len(ink), 3, 1, 1))
    np.savez(tmp_path / "images.npz", image=paper + (paint - paper) * ink, label=label)
    assert "Expect 0.98 of the held-out digits" in " ".join(_comment("cnn32").split())
    changes = ["epochs=3", "batch=16", "--data", str(tmp_path)]
    _reaches("cnn32", changes, "accuracy", 0.98, 0.02, tmp_path, capfd)


@pytest.mark.data
@pytest.mark.skipif(not MNIST.is_dir(), reason="the MNIST files are not there")
@pytest.mark.parametrize(("model", "changes", "name", "value", "margin"), MNIST_FIGURES)
def test_a_model_reaches_its_figure_on_mnist(model, changes, name, value, margin, tmp_path, capfd):
    _reaches(model, [*changes, "--data", str(MNIST)], name, value, margin, tmp_path, capfd)


def _reaches(model, arguments, name, value, margin, folder, capfd):
    path = ROOT / "models" / f"{model}.dl"
    status = status_of(
        ["train", str(path), *arguments, "--run", str(folder), "--quiet", "--threads", "1"]
    )
    printed = capfd.readouterr()
    assert status == 0, printed.err
    assert float(re.search(rf"\b{name} (\S+)", printed.out)[1]) >= value - margin
