"""The figures of trained models on the pages: each is what `specc plot` draws of a run.

python -m making.trained        # with docs/ on PYTHONPATH; writes docs/figures
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIGURES = {  # a training, and the figures of its run: kind -> file
    ("models/digits.dl",): {
        "filters": "filters.svg",
        "confusion": "confusion.svg",
        "curves": "curves.svg",
    },
    ("models/toy2d.dl", "--data", "examples/spirals"): {"boundary": "spirals_32.svg"},
    ("models/toy2d.dl", "hidden=4", "--data", "examples/spirals"): {"boundary": "spirals_4.svg"},
}


def main() -> None:
    for training, figures in FIGURES.items():
        with tempfile.TemporaryDirectory() as runs:
            command = ["specc", "train", *training, "--quiet", "--run", runs]
            subprocess.run(command, cwd=ROOT, check=True)
            (run,) = Path(runs).glob("*/1")
            for kind, name in figures.items():
                out = ROOT / "docs" / "figures" / name
                subprocess.run(["specc", "plot", run, kind, "-o", out], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
