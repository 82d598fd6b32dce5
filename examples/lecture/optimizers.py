"""How optimizers go down: a valley that is steep one way and flat the other, and a saddle.

    python examples/lecture/optimizers.py optimizers.svg [--animate]

Each path is a model whose only weights are two coordinates, trained by the library's optimizer.
"""

import sys
from pathlib import Path

import numpy as np

import specc
from specc.plots import colours
from specc.plots.marks import Axis, Figure, Heatmap, Line, Panel, Points
from specc.plots.svg.document import svg

OPTIMIZERS = {
    "sgd": "sgd(lr = 0.018)",
    "momentum": "momentum(lr = 0.006, mu = 0.9)",
    "nesterov": "nesterov(lr = 0.006, mu = 0.9)",
    "adagrad": "adagrad(lr = 0.4)",
    "adadelta": "adadelta()",
    "rmsprop": "rmsprop(lr = 0.03)",
    "adam": "adam(lr = 0.08)",
}
PLACES = {
    "valley": ("0.5 * place[0] ^ 2 + 50 * place[1] ^ 2", (-1.9, 0.9), (-2.2, 0.6), (-1.1, 1.1)),
    "saddle": ("place[0] ^ 2 - place[1] ^ 2 + 0.15 * place[1] ^ 4", (-1.2, 0.01), (-1.6, 1.6),
               (-2.2, 2.2)),
}  # fmt: skip
STEPS = 120
LEVELS = 14
MODEL = """
model way {{
  param place: float[2] = 0
  input unused: float
  loss height = {height} + 0 * unused
}}
train {{ optimizer {optimizer} batch = 1 }}  # allow: unusual-rate
"""


def ground(height: str, across: tuple[float, float], along: tuple[float, float]) -> np.ndarray:
    """The logarithm of the height above the lowest point, [140, 140], by the same formula."""
    x, y = np.meshgrid(np.linspace(*across, 140), np.linspace(*along, 140)[::-1])
    text = f"model hill {{\n  input place: float[2]\n  let height = {height}\n  output height\n}}\n"
    net = specc.compile(specc.loads(text), dtype="float64", threads=1)
    found = net.forward(place=np.stack([x.ravel(), y.ravel()], 1))["height"].reshape(x.shape)
    return np.log(found - found.min() + 0.05)


def map_of(height: np.ndarray) -> np.ndarray:
    """Colours of heights in steps, as on a map: pale for the lowest."""
    share = (height - height.min()) / (height.max() - height.min())
    return colours.counts(0.3 * np.floor(share * LEVELS) / LEVELS)


def path(height: str, optimizer: str, start: tuple[float, float]) -> np.ndarray:
    """The places after 0, 1, 2, ... steps, [steps + 1, 2]."""
    net = specc.compile(
        specc.loads(MODEL.format(height=height, optimizer=optimizer)), dtype="float64", threads=1
    )
    net.set_params({"place": np.array(start)})
    found = [np.array(start)]
    for _ in range(STEPS):
        net.step(unused=np.zeros(1))
        found.append(np.array(net.params["place"]))
    return np.array(found)


def figure(animate: bool = False) -> Figure:
    panels = []
    for name, (height, start, across, along) in PLACES.items():
        marks = [Heatmap(map_of(ground(height, across, along)), extent=(*across, *along))]
        for number, (word, call) in enumerate(OPTIMIZERS.items()):
            way = path(height, call, start)
            shown = {"seconds": 6.0} if animate else {}
            marks.append(Line(way[:, 0], way[:, 1], word, number + 1, **shown))
        marks.append(Points([start[0]], [start[1]], "start", 7))
        bounds = [Axis(axis, low=low, high=high)
                  for axis, (low, high) in (("x", across), ("y", along))]  # fmt: skip
        panels.append(Panel(tuple(marks), name, *bounds, is_square=True))
    caption = (
        f"{STEPS} steps each. In the valley gradient descent must take steps so small that the"
        " steep side does not throw it out; momentum gathers speed along the floor, and methods"
        " that scale each coordinate go straight. At the saddle, they are also the first to leave."
    )
    return Figure("trajectory", "Ways down", tuple(panels), caption, columns=2)


if __name__ == "__main__":
    made = figure(animate="--animate" in sys.argv)
    Path(sys.argv[1]).write_text(svg(made), encoding="utf-8")
