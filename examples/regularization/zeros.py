"""Print the share of a run's weights that are 0, or nearer to it than 0.001: `zeros 0.75`.

python zeros.py runs/regularization/1
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file


def zeros(run: Path) -> float:
    """The share of the weights of the last epoch."""
    arrays = load_file(run / "last.safetensors")
    weights = [arrays[f"dense{i}.weight"].ravel() for i in (1, 2)]
    return float((np.abs(np.concatenate(weights)) < 1e-3).mean())


if __name__ == "__main__":
    print(f"zeros {zeros(Path(sys.argv[1])):.2f}")
