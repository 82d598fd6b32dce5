"""Decision boundaries: of 3, 6 and 20 hidden neurons, and of 20 under three penalties.

    python examples/lecture/boundaries.py boundaries.svg

Two rings of noisy points; a layer of neurons can bend around them, and bends around the noise too
where nothing holds it back.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import specc
from specc.plots.marks import Figure
from specc.plots.space import boundary
from specc.plots.subject import Subject
from specc.plots.svg.document import svg
from specc.recipe import Column

MODEL = """
dim hidden = 20
const strength = 0.0
model rings {
  input  point: float[2]
  target ring: class(2)
  let scores = point -> dense(hidden) -> tanh -> dense(2)
  output scores
  loss   cross_entropy(scores, ring)
  loss   penalty = strength * l2(weights)
}
train { optimizer momentum(lr = 0.3) batch = 40 epochs = 300 }
"""
NETS = {
    "3 neurons": {"hidden": 3},
    "6 neurons": {"hidden": 6},
    "20 neurons": {"hidden": 20},
    "20 neurons, penalty 0.001": {"strength": 0.001},
    "20 neurons, penalty 0.01": {"strength": 0.01},
    "20 neurons, penalty 0.1": {"strength": 0.1},
}


def points(count: int = 160) -> dict[str, np.ndarray]:
    """Points of two rings that overlap."""
    rng = np.random.default_rng(4)
    ring = rng.integers(0, 2, count)
    angle = rng.uniform(0, 2 * np.pi, count)
    radius = np.where(ring, 1.5, 0.6) + rng.normal(0, 0.3, count)
    place = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return {"point": place, "ring": ring}


def figure() -> Figure:
    data = points()
    panels = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rings.dl"
        file.write_text(MODEL)
        for title, changes in NETS.items():
            net = specc.compile(specc.load(file, **changes), threads=1)
            columns = {name: Column(values) for name, values in data.items()}
            order = np.concatenate(
                [np.random.default_rng(k).permutation(len(data["ring"])) for k in range(300)]
            )
            net.train(columns, order, 0, 4, len(order) // 40)
            subject = Subject(
                net.program, net, title, "training", columns, np.arange(len(data["ring"]))
            )
            (panel,) = boundary(subject).parts
            right = (net.forward(point=data["point"])["scores"].argmax(1) == data["ring"]).mean()
            panels.append(
                type(panel)(panel.marks, f"{title}: {right:.0%} right", panel.x, panel.y, True)
            )
    caption = (
        "Above: with 3 neurons the boundary has three sides, with 20 it bends around single"
        " points. Below: the same 20 neurons under a growing penalty on their weights, which"
        " makes the boundary smooth again, and at last too simple."
    )
    return Figure("boundary", "Capacity and penalty", tuple(panels), caption, columns=3)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(figure()), encoding="utf-8")
