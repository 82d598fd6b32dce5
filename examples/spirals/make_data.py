"""Write spirals.csv: 300 points on three arms of a spiral, in the order of the arms.

python make_data.py [FOLDER]      # by default beside this file; the same points each time
"""

import sys
from pathlib import Path

import numpy as np

ARMS, POINTS = 3, 100


def spirals() -> np.ndarray:
    """`[points, 3]`: x, y, arm. Each arm makes five eighths of a turn, with noise in its angle."""
    rng = np.random.default_rng(0)
    radius = np.tile(np.linspace(0.05, 1, POINTS), ARMS)
    arm = np.repeat(np.arange(ARMS), POINTS)
    angle = 2 * np.pi * (arm / ARMS + 0.625 * radius) + 0.15 * rng.standard_normal(ARMS * POINTS)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), arm], axis=1)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    np.savetxt(folder / "spirals.csv", spirals(), "%.4f,%.4f,%d", header="x,y,arm", comments="")
