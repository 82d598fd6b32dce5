"""The figures of the pages, each by the script or command that a page names.

python -m docs.making.figures        # docs/figures/*.svg, in some minutes
"""

from __future__ import annotations

import runpy
from pathlib import Path

from specc import driver
from specc.drawing.diagram import diagram
from specc.drawing.svg import printed
from specc.drawing.unrolled import unrolled
from specc.plots.svg.document import svg

ROOT = Path(__file__).resolve().parents[2]
UNROLLED = ("frames", "translate", "caption", "sentiment", "char_rnn")
"""Models of sequences that are drawn step by step."""
STEPS = 4
LECTURE = (
    "activations", "attention", "boundaries", "convolution", "depth", "distances", "fading",
    "features", "l2", "representations", "sums",
)  # fmt: skip
WITH_DATA = {"words": "sentiment", "samples": "tinyshakespeare.txt"}
"""Scripts that take data, and where these are beside the project."""


def main() -> None:
    """Write all figures anew."""
    folder = ROOT / "docs" / "figures"
    folder.mkdir(exist_ok=True)
    for name in LECTURE:
        script = runpy.run_path(str(ROOT / "examples" / "lecture" / f"{name}.py"))
        (folder / f"{name}.svg").write_text(svg(script["figure"]()), encoding="utf-8")
    for name, data in WITH_DATA.items():
        script = runpy.run_path(str(ROOT / "examples" / "lecture" / f"{name}.py"))
        drawn = svg(script["figure"](ROOT.parent / "shared" / "data" / data))
        (folder / f"{name}.svg").write_text(drawn, encoding="utf-8")
    for name in UNROLLED:
        (folder / f"unrolled_{name}.svg").write_text(step_by_step(name), encoding="utf-8")
    script = runpy.run_path(str(ROOT / "examples" / "lecture" / "optimizers.py"))
    (folder / "optimizers.svg").write_text(svg(script["figure"](animate=True)), encoding="utf-8")


def step_by_step(name: str) -> str:
    """A model of models/ unrolled, as SVG: what `specc show --graph --unroll` writes."""
    program = driver.load(ROOT / "models" / f"{name}.dl")
    return printed(unrolled(diagram(program, is_whole=True), program, STEPS))


if __name__ == "__main__":
    main()
