"""Write recall.npz.

A sign, ninety-nine steps of noise, and at the end the question which sign it was.

python make_data.py [FOLDER]      # by default beside this file; the same ones each time
"""

import sys
from pathlib import Path

import numpy as np

KINDS, STEPS, EXAMPLES, NOISE = 4, 100, 2000, 0.1

if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    random = np.random.default_rng(0)
    first = random.integers(KINDS, size=EXAMPLES)
    signs = (NOISE * random.standard_normal((EXAMPLES, STEPS, KINDS))).astype(np.float32)
    signs[:, 0] += np.eye(KINDS, dtype=np.float32)[first]
    np.savez_compressed(folder / "recall.npz", signs=signs, first=first)
