"""Plain against residual networks: what depth costs without shortcuts.

    python examples/lecture/depth.py depth.svg

The networks of examples/depth on specc's digits, 11 and 41 convolutions deep, for a few epochs; and
the gradient that arrives at each block before any training. After He et al., Deep residual learning
for image recognition, 2016.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import specc
from specc.plots.marks import Axis, Figure, Line, Panel
from specc.plots.svg.document import svg

FOLDER = Path(__file__).parents[1] / "depth"
DEPTHS = (5, 20)  # blocks of two convolutions
EPOCHS = 5
KINDS = {"plain": 1, "residual": 0}  # and their colours


def losses(name: str, blocks: int) -> list[float]:
    """The training loss after each epoch."""
    with tempfile.TemporaryDirectory() as runs:
        run = specc.train(
            FOLDER / f"{name}.dl", runs=runs, quiet=True, blocks=blocks, epochs=EPOCHS
        )
        return run.metrics["train_loss"]


def gradients(name: str, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """How deep each block is, from 0 to 1, and the gradient for what it gives."""
    net = specc.compile(specc.load(FOLDER / f"{name}.dl", blocks=blocks))
    rng = np.random.default_rng(0)
    image, label = rng.uniform(size=(32, 1, 8, 8)), rng.integers(0, 10, 32)
    word = "stage" if name == "plain" else "residual"
    found = [
        layer.gradient
        for layer in net.flow(image=image, label=label).layers
        if layer.path.rstrip("0123456789") == word and layer.gradient is not None
    ]
    return np.linspace(0, 1, len(found)), np.array(found)


def figure() -> Figure:
    learning, arriving, growth = [], [], {}
    for name, colour in KINDS.items():
        for blocks in DEPTHS:
            title = f"{name}, {2 * blocks + 1} convolutions"
            is_dashed = blocks == DEPTHS[0]
            epochs = np.arange(1, EPOCHS + 1)
            learning.append(Line(epochs, losses(name, blocks), title, colour, is_dashed))
        depth, found = gradients(name, DEPTHS[-1])
        arriving.append(Line(depth, found, name, colour))
        growth[name] = found[0] / found[-1]
    panels = (
        Panel(tuple(learning), "Training", Axis("epoch"), Axis("loss", log=True)),
        Panel(
            tuple(arriving), f"At the start, {2 * DEPTHS[-1] + 1} convolutions",
            Axis("depth of the block"), Axis("gradient for its output", log=True),
        ),
    )  # fmt: skip
    caption = (
        "A deeper plain network learns worse, on the very images it is trained on: depth is hard to"
        " train, not too much capacity. With a shortcut around every two convolutions, depth does"
        f" no harm. On its way back from the last block to the first one, the gradient grows"
        f" {growth['plain']:.0f}-fold in the plain net, {growth['residual']:.0f}-fold in the other."
    )
    return Figure("depth", "Plain and residual networks", panels, caption, columns=2)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(figure()), encoding="utf-8")
