"""Which of two weight vectors L2 chooses: both answer alike, one spreads its weight.

    python examples/lecture/l2.py l2.svg

For the input [1, 1, 1, 1] the weights [1, 0, 0, 0] and [0.25, 0.25, 0.25, 0.25] give the same
score. L2 asks for the second; the third row is where gradient descent on the penalty ends.
"""

import sys
from pathlib import Path

import numpy as np

import specc
from specc.plots.marks import Axis, Bars, Figure, Panel
from specc.plots.svg.document import svg

MODEL = """
model lean {
  param w: float[4] = 0
  input x: float[4]
  target y: float
  loss mse(sum(w * x), y)
  loss penalty = 0.001 * l2(w)
}
train { optimizer sgd(lr = 0.1) batch = 1 }
"""


def figure() -> Figure:
    net = specc.compile(specc.loads(MODEL), dtype="float64", threads=1)
    one, even = np.array([1.0, 0, 0, 0]), np.full(4, 0.25)
    net.set_params({"w": one})
    data = {"x": np.ones((1, 4)), "y": np.ones(1)}
    for _ in range(60_000):
        net.step(**data)
    shown = {"[1, 0, 0, 0]": one, "[0.25, 0.25, 0.25, 0.25]": even,
             "60,000 steps from the first": np.array(net.params["w"])}  # fmt: skip
    panels = []
    for name, w in shown.items():
        title = f"{name}: score {w.sum():.3f}, L2 {(w**2).sum():.3f}"
        marks = (Bars(np.arange(4), w, 0.7),)
        names = Axis("weight", names=("0", "1", "2", "3"))
        panels.append(Panel(marks, title, names, Axis(low=0, high=1.1)))
    caption = (
        "Of two weight vectors with the same score L2 prefers the one that uses every input a"
        " little: the squares of four quarters add up to a quarter."
    )
    return Figure("l2", "What L2 prefers", tuple(panels), caption, columns=3)


if __name__ == "__main__":
    made = figure()
    Path(sys.argv[1]).write_text(svg(made), encoding="utf-8")
    print("l2", made.parts[-1].title.rpartition(" ")[2])
