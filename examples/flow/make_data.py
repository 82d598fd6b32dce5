"""Write recall.npz: sequences of a hundred symbols, to be told apart by their first one.

python make_data.py [FOLDER]      # by default beside this file; the same ones each time
"""

import sys
from pathlib import Path

import numpy as np

KINDS, STEPS, EXAMPLES = 4, 100, 2000

if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    symbols = np.random.default_rng(0).integers(KINDS, size=(EXAMPLES, STEPS))
    signs = np.eye(KINDS, dtype=np.float32)[symbols]
    np.savez_compressed(folder / "recall.npz", signs=signs, first=symbols[:, 0])
