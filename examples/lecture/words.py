"""The vectors of words that a model of sentiment has learned: praise and blame move apart.

    python examples/lecture/words.py FOLDER words.svg

models/sentiment.dl is trained on Pang and Lee's sentences (2005): FOLDER holds rt-polarity.pos and
rt-polarity.neg. No word has a label; only whole sentences have.
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
EPOCHS = 6
SHOWN = 400
"""Words at each side."""


def trained(folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The vectors of all words [n, 32], how much each speaks for praise [n], and the words."""
    sentences = runpy.run_path(str(ROOT / "examples" / "sentiment" / "make_data.py"))["sentences"]
    texts = [sentences(folder / f"rt-polarity.{end}") for end in ("neg", "pos")]
    data = {
        "words": np.array([each for part in texts for each in part], dtype=object),
        "label": np.repeat([0, 1], [len(part) for part in texts]),
    }
    with tempfile.TemporaryDirectory() as runs:
        net = specc.train(
            ROOT / "models" / "sentiment.dl", data, 0.1, runs=runs, quiet=True, epochs=EPOCHS,
        ).net  # fmt: skip
    table = np.asarray(net.params["embed1.weight"], np.float64)
    weight = np.asarray(net.params["dense1.weight"], np.float64)
    words = list(net.encoding.vocabularies["words"])
    return table[: len(words)], table[: len(words)] @ (weight[1] - weight[0]), words


def figure(folder: Path) -> Figure:
    table, praise, words = trained(folder)
    order = np.argsort(praise, kind="stable")
    chosen = {"blame": order[:SHOWN], "praise": order[::-1][:SHOWN]}
    rows = np.concatenate([*chosen.values()])
    places, (x, y) = placed(table[rows])
    marks, start = [], 0
    for (name, own), colour in zip(chosen.items(), (1, 0), strict=True):
        part = places[start : start + len(own)]
        texts = tuple(words[k] for k in own)
        marks.append(Points(part[:, 0], part[:, 1], name, colour, texts, 2.5, labels=texts[:40]))
        start += len(own)
    panel = Panel(tuple(marks), "", Axis(x), Axis(y), is_square=True)
    caption = (
        f"The {SHOWN} words of {len(words):,} that speak most for praise, and as many for blame,"
        " along the two directions in which their vectors differ most."
    )
    return Figure("words", "Words of praise and blame", (panel,), caption)


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(svg(figure(Path(sys.argv[1]))), encoding="utf-8")
