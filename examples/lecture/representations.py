"""Local against distributed representations: how many regions can a few units tell apart?

    python examples/lecture/representations.py representations.svg

With a local code one unit stands for a region: the unit whose prototype is nearest. With a
distributed code each unit answers a question of its own, and a region is the pattern of all
answers. Both are compiled models of the same weights in number; regions are counted on a grid.
After Bengio, Learning deep architectures for AI, 2009.
"""

import sys
from pathlib import Path

import numpy as np

import specc
from specc.plots.marks import Axis, Figure, Heatmap, Line, Panel, Points
from specc.plots.space import mixed
from specc.plots.svg.document import svg

UNITS, MOST = 4, 8
FINE = 400
MODELS = {
    "local": "output code = argmax(x -> dense(units))",
    "distributed": "output code = if (x -> dense(units)) > 0 then 1 else 0",
}
MODEL = "dim units\nmodel {name} {{\n  input x: float[2]\n  {output}\n}}\n"


def weights(name: str, units: int) -> dict[str, np.ndarray]:
    """Prototypes on a ring, or lines in general position, for `dense`."""
    rng = np.random.default_rng(5)
    angle = 2 * np.pi * (np.arange(MOST) * 0.382 + 0.07 * rng.uniform(size=MOST))[:units]
    direction = np.stack([np.cos(angle), np.sin(angle)], 1)
    if name == "local":
        place = direction * 0.6
        return {"dense1.weight": place, "dense1.bias": -(place**2).sum(1) / 2}
    return {"dense1.weight": direction, "dense1.bias": rng.uniform(-0.3, 0.3, MOST)[:units]}


def codes(name: str, units: int) -> np.ndarray:
    """The code of each point of a grid, as a whole number, [FINE, FINE], row 0 at the top."""
    text = MODEL.format(name=name, output=MODELS[name])
    net = specc.compile(specc.loads(text, units=units), dtype="float64", threads=1)
    net.set_params(weights(name, units))
    x, y = np.meshgrid(np.linspace(-1, 1, FINE), np.linspace(1, -1, FINE))
    found = net.forward(x=np.stack([x.ravel(), y.ravel()], 1))["code"].astype(int)
    whole = found if found.ndim == 1 else found @ (1 << np.arange(units))
    return whole.reshape(FINE, FINE)


def plane(name: str) -> Panel:
    """The regions of a code, and each with its name in its middle."""
    found = codes(name, UNITS)
    known, number = np.unique(found, return_inverse=True)
    number = number.reshape(found.shape)
    shade = mixed(number.ravel(), np.full(number.size, 0.85)).reshape(FINE, FINE, 3)
    edge = np.zeros(found.shape, bool)
    edge[1:] |= found[1:] != found[:-1]
    edge[:, 1:] |= found[:, 1:] != found[:, :-1]
    shade[edge] = (90, 98, 108)
    middles, texts = [], []
    for k, code in enumerate(known):
        rows, columns = np.nonzero(number == k)
        nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
        middles.append((columns[nearest] / FINE * 2 - 1, 1 - rows[nearest] / FINE * 2))
        bits = f"{code:0{UNITS}b}"[::-1]
        one_hot = "".join("01"[int(k == code)] for k in range(UNITS))
        texts.append(one_hot if name == "local" else bits)
    x, y = np.array(middles).T
    marks = (
        Heatmap(shade, extent=(-1.0, 1.0, -1.0, 1.0)),
        Points(x - 0.12, y, "", 7, tuple(texts), 0.1, labels=tuple(texts)),
    )
    title = f"{name}: {UNITS} units, {len(known)} regions"
    return Panel(marks, title, Axis("x[0]"), Axis("x[1]"), is_square=True)


def figure() -> Figure:
    units = np.arange(1, MOST + 1)
    lines = []
    for number, name in enumerate(MODELS):
        counts = [len(np.unique(codes(name, k))) for k in units]
        lines.append(Line(units, counts, name, number))
        lines.append(Points(units, counts, "", number))
    counted = Panel(tuple(lines), "Regions that units tell apart", Axis("units"), Axis("regions"))
    caption = (
        "A local code gives each region a unit of its own, so that only that unit learns from an"
        " example there. A distributed code describes a region by the answers of all units: n lines"
        " cut the plane into up to n(n + 1)/2 + 1 regions, and every example teaches every unit."
    )
    parts = (plane("local"), plane("distributed"), counted)
    return Figure("representations", "Local and distributed", parts, caption, columns=3)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(figure()), encoding="utf-8")
