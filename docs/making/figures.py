"""The figures of the pages, each by the script or command that a page names.

python -m docs.making.figures        # docs/figures/*.svg, in a minute or two
"""

from __future__ import annotations

import runpy
from pathlib import Path

from specc.plots.svg.document import svg

ROOT = Path(__file__).resolve().parents[2]
LECTURE = ("activations", "boundaries", "convolution", "fading", "l2")


def main() -> None:
    """Write all figures anew."""
    folder = ROOT / "docs" / "figures"
    folder.mkdir(exist_ok=True)
    for name in LECTURE:
        script = runpy.run_path(str(ROOT / "examples" / "lecture" / f"{name}.py"))
        (folder / f"{name}.svg").write_text(svg(script["figure"]()), encoding="utf-8")
    script = runpy.run_path(str(ROOT / "examples" / "lecture" / "optimizers.py"))
    (folder / "optimizers.svg").write_text(svg(script["figure"](animate=True)), encoding="utf-8")


if __name__ == "__main__":
    main()
