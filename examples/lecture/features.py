"""What a small net sees in digits, layer by layer: edges, parts, digits.

    python examples/lecture/features.py features.svg

models/digits.dl, trained for some epochs: the filters of the first convolution, then what units of
the later layers look for, and the picture that each class would like best (gradient ascent on the
input; Simonyan, Vedaldi and Zisserman, 2014), with the examples that excite a unit most (Zeiler and
Fergus, 2014).
"""

import sys
import tempfile
from pathlib import Path

import specc
from specc.plots.classes import pixels
from specc.plots.layers import ascent, features, filters, unit_node
from specc.plots.marks import Figure, Gallery, Picture
from specc.plots.subject import of_run
from specc.plots.svg.document import svg
from specc.runs.listener import AsWarnings

ROOT = Path(__file__).parents[2]
EPOCHS = 8
LAYERS = {"relu2": "second convolution", "relu3": "third convolution"}
UNITS = 3


def figure() -> Figure:
    with tempfile.TemporaryDirectory() as runs:
        run = specc.train(ROOT / "models" / "digits.dl", runs=runs, quiet=True, epochs=EPOCHS)
        subject = of_run(run.folder, AsWarnings())
        right = max(run.metrics["val_accuracy"])
    (first,) = filters(subject).parts
    parts = [Gallery(first.pictures[:20], "first convolution: filters of 3 x 3, edges", 10)]
    for path, name in LAYERS.items():
        for number, part in enumerate(features(subject, path).parts[:UNITS]):
            title = f"{name}: what units look for, and the examples that excite them most"
            parts.append(Gallery(part.pictures, "" if number else title, 10))
    scores = next(layer for layer in subject.program.layers if layer.path == "dense1")
    port = subject.pictures[0]
    dreams = [
        Picture(pixels(ascent(subject, unit_node(scores.node, k), port.name)), str(k))
        for k in range(10)
    ]
    parts.append(Gallery(tuple(dreams), "scores: what each class would like best", 10))
    caption = (
        f"A net of three convolutions, {right:.1%} of the held-out digits right. The first layer"
        " finds edges, the next ones strokes and bends, the last one whole digits."
    )
    return Figure("features", "Edges, parts, digits", tuple(parts), caption)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(figure()), encoding="utf-8")
