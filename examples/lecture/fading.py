"""The gradient over 50 steps: a tanh cell, a relu cell that begins as the identity, and LSTMs.

    python examples/lecture/fading.py fading.svg

The loss is at the last step alone. What of its gradient comes back to the state at each step is
computed as `specc flow` does it, for cells with their first weights.
"""

import sys
from pathlib import Path

import numpy as np

import specc
from specc.plots.marks import Axis, Figure, Line, Panel
from specc.plots.svg.document import svg

CELLS = {"tanh": "rnn(32)", "relu, identity": "irnn(32)", "LSTM": "lstm(32)",
         "LSTM, forget_bias=5": "lstm(32, forget_bias=5)"}  # fmt: skip
MODEL = """
seq time = 50
model far {{
  input  x: float[time, 8]
  target y: float
  let h = x -> {cell} -> last
  let guess = h -> dense(1) -> flatten
  loss mse(guess[0], y)
}}
"""


def figure() -> Figure:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 50, 8)), rng.normal(size=32)
    lines = []
    for name, cell in CELLS.items():
        net = specc.compile(specc.loads(MODEL.format(cell=cell)), threads=1)
        found = net.flow(x=x, y=y).cells[-1]
        carried = np.array(found.carried)
        lines.append(Line(np.arange(1, 51), carried / carried[-1], name))
    panel = Panel(
        tuple(lines), "", Axis("step"), Axis("gradient, as a share of the last", log=True)
    )
    caption = (
        "Going back, the tanh cell loses the gradient step by step. A relu cell whose matrix begins"
        " as the identity hands it on. So does an LSTM whose forget gates are open; with its first"
        " weights they are open by three quarters."
    )
    return Figure("fading", "Gradients that fade", (panel,), caption)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(figure()), encoding="utf-8")
