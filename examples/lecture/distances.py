"""What a siamese net makes of digits: near is alike.

    python examples/lecture/distances.py distances.svg

models/siamese.dl is trained on pairs that examples/siamese makes. Left the pixels of digits that it
has not seen, right what its tower makes of them, both along the two directions in which they differ
most. The net was never told which digit is which, only which pairs are alike.
"""

import runpy
import sys
import tempfile
from pathlib import Path

import numpy as np

import specc
from specc.plots.embeddings import placed
from specc.plots.marks import Axis, Figure, Panel, Points
from specc.plots.svg.document import svg

ROOT = Path(__file__).parents[2]
EPOCHS = 20


def vectors() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Held-out images [n, 64], what the tower makes of them [n, 8], and their digits [n]."""
    make = runpy.run_path(str(ROOT / "examples" / "siamese" / "make_data.py"))
    digits = np.load(make["DIGITS"])
    image, label = digits["image"], digits["label"]
    order = np.random.default_rng(0).permutation(len(image))
    seen, held = order[:1400], order[1400:]
    pairs = make["pairs"](image[seen], label[seen], 4000, np.random.default_rng(1))
    data = {
        "a": pairs["a"].reshape(-1, 1, 8, 8) / np.float32(16),
        "b": pairs["b"].reshape(-1, 1, 8, 8) / np.float32(16),
        "same": pairs["same"],
    }
    with tempfile.TemporaryDirectory() as runs:
        run = specc.train(
            ROOT / "models" / "siamese.dl", data, 0.1, runs=runs, quiet=True, epochs=EPOCHS
        )
    net = run.net
    shown = image[held].reshape(-1, 1, 8, 8) / 16
    node = next(layer.node for layer in net.program.layers if layer.path == "tower.dense2")
    given = {"a": shown, "b": shown, "same": np.ones(len(held), bool)}
    columns = net.examples(given, given)
    found = net.inspection.values(columns, np.arange(len(held)), {"vector": node})
    return shown.reshape(len(held), -1), found["vector"], label[held]


def plane(title: str, values: np.ndarray, digits: np.ndarray) -> Panel:
    places, (x, y) = placed(values)
    marks = [
        Points(*places[digits == k].T, str(k), k, (str(k),) * int((digits == k).sum()), 3)
        for k in range(10)
    ]
    return Panel(tuple(marks), title, Axis(x), Axis(y), is_square=True)


def neighbours(values: np.ndarray, digits: np.ndarray) -> float:
    """The share of images whose nearest other one shows the same digit."""
    far = ((values[:, None] - values[None]) ** 2).sum(-1)
    np.fill_diagonal(far, np.inf)
    return float((digits[far.argmin(1)] == digits).mean())


def figure() -> Figure:
    pixels, made, digits = vectors()
    panels = (plane("64 pixels", pixels, digits), plane("8 numbers of the tower", made, digits))
    caption = (
        f"{len(digits)} digits that the net has not seen. In the tower's space images of a digit"
        f" gather; the nearest neighbour shows the same digit for {neighbours(made, digits):.0%}."
    )
    return Figure("distances", "A learned distance", panels, caption, columns=2)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(figure()), encoding="utf-8")
