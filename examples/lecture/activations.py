"""Eight activations and their slopes: what each does to a number, and to the gradient behind it.

    python examples/lecture/activations.py activations.svg

Values and slopes are those of compiled models, one for each word of the library.
"""

import sys
from pathlib import Path

import numpy as np

import specc
from specc.plots.marks import Axis, Figure, Line, Panel
from specc.plots.svg.document import svg

WORDS = ("sigmoid", "tanh", "relu", "leaky_relu(slope=0.1)", "elu", "softplus", "silu", "gelu")
X = np.linspace(-4, 4, 401)


def curves(word: str) -> tuple[np.ndarray, np.ndarray]:
    """The values and the slopes of an activation at X."""
    name, _, setting = word.partition("(")
    call = f"{name}(x{'; ' + setting[:-1] if setting else ''})"
    text = f"model one {{\n  input x: float\n  let y = {call}\n  output y\n  loss y\n}}\n"
    net = specc.compile(specc.loads(text), dtype="float64", threads=1)
    return net.forward(x=X)["y"], net.gradients(of="y", by="x", x=X)


def figure() -> Figure:
    panels = []
    for word in WORDS:
        values, slopes = curves(word)
        lines = (Line(X, values, "value"), Line(X, slopes, "slope", is_dashed=True))
        panels.append(Panel(lines, word, Axis("x"), Axis(low=-1.2, high=2.2)))
    caption = (
        "Sigmoid and tanh have slopes near 0 on both sides, where a gradient ends. ReLU keeps it"
        " whole on one side and loses it on the other; its relatives let some of it through."
    )
    return Figure("activations", "Activations and their slopes", tuple(panels), caption, columns=2)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(figure()), encoding="utf-8")
