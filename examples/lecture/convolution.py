"""A convolution and a pooling, number by number: padding, stride and the sizes that follow.

    python examples/lecture/convolution.py convolution.svg

The results are those of the compiled words, for the numbers that are drawn.
"""

import sys
from pathlib import Path

import numpy as np

import specc
from specc.plots.marks import Axis, Figure, Heatmap, Panel
from specc.plots.svg.document import svg

IMAGE = np.array(
    [[1, 2, 0, 1, 3], [0, 1, 2, 2, 1], [3, 1, 0, 0, 2], [1, 0, 2, 1, 0], [2, 2, 1, 0, 1]]
)
KERNEL = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])


def result(call: str) -> np.ndarray:
    """What a layer makes of the image."""
    text = f"model one {{\n  input x: float[1, 5, 5]\n  let y = x -> {call}\n  output y\n}}\n"
    net = specc.compile(specc.loads(text), threads=1)
    if "conv1.weight" in net.params:
        net.set_params({"conv1.weight": KERNEL[None, None].astype(np.float32)})
    return net.forward(x=IMAGE[None, None].astype(np.float32))["y"][0, 0]


def panel(title: str, values: np.ndarray) -> Panel:
    texts = tuple(tuple(f"{each:g}" for each in row) for row in values)
    rows, columns = (Axis(names=tuple(map(str, range(size)))) for size in values.shape)
    return Panel((Heatmap(values.astype(float), texts, "signed"),), title, columns, rows, True)


def figure() -> Figure:
    padded = np.pad(IMAGE, 1)
    panels = (
        panel("image, 5 x 5", IMAGE),
        panel("kernel, 3 x 3", KERNEL),
        panel("conv: 5 - 3 + 1 = 3", result("conv(1, kernel=3, bias=false)")),
        panel("image with pad=1, 7 x 7", padded),
        panel("pad=1: 5 - 3 + 2 + 1 = 5", result("conv(1, kernel=3, pad=1, bias=false)")),
        panel(
            "pad=1, stride=2: 4 / 2 + 1 = 3",
            result("conv(1, kernel=3, pad=1, stride=2, bias=false)"),
        ),
        panel("maxpool(3): 5 - 3 + 1 = 3", result("maxpool(3, stride=1)")),
        panel("avgpool(3): 5 - 3 + 1 = 3", result("avgpool(3, stride=1)").round(2)),
    )
    caption = (
        "Each number of a result is the sum of nine products: the kernel laid on the image, there."
        " Padding keeps the size, a stride of 2 halves it, pooling keeps the largest or the mean."
    )
    return Figure("convolution", "Convolution and pooling", panels, caption, columns=3)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(figure()), encoding="utf-8")
