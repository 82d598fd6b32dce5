"""Write flowers.csv: 150 made-up flowers, 50 of each of three kinds, with four lengths in cm.

python make_data.py [FOLDER]      # by default beside this file; the same flowers each time
"""

import sys
from pathlib import Path

import numpy as np

KINDS = {  # mean sepal length, sepal width, petal length, petal width; and the spread of each
    "aster": ([5.0, 3.4, 1.5, 0.3], [0.35, 0.35, 0.2, 0.1]),
    "bluebell": ([5.9, 2.8, 4.2, 1.3], [0.5, 0.3, 0.45, 0.2]),
    "crocus": ([6.6, 3.0, 5.6, 2.0], [0.6, 0.3, 0.55, 0.25]),
}
COUNT = 50


def flowers() -> list[str]:
    """The lines of the table."""
    rng = np.random.default_rng(0)
    lines = ["sepal_length,sepal_width,petal_length,petal_width,kind"]
    for kind, (mean, spread) in KINDS.items():
        for row in np.maximum(rng.normal(mean, spread, (COUNT, len(mean))), 0.1):
            lines.append(",".join(f"{value:.1f}" for value in row) + f",{kind}")
    return lines


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    (folder / "flowers.csv").write_text("\n".join(flowers()) + "\n")
