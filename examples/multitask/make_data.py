"""Write tasks.npz and tasks_val.npz: digits with three things to tell of each.

python make_data.py [FOLDER]      # by default beside this file; the same ones each time

`digit` is its class, `odd` its parity, `ink` the share of the image that is ink. The digits are
those that come with specc.
"""

import sys
from pathlib import Path

import numpy as np

DIGITS = Path(__file__).parents[2] / "specc" / "data" / "digits.npz"
TRAINING = 1000

if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    table = np.load(DIGITS)
    image, label = table["image"].reshape(-1, 64), table["label"]
    order = np.random.default_rng(0).permutation(len(image))
    for name, rows in (("tasks.npz", order[:TRAINING]), ("tasks_val.npz", order[TRAINING:])):
        np.savez_compressed(
            folder / name,
            image=image[rows],
            digit=label[rows],
            odd=label[rows] % 2 == 1,
            ink=(image[rows].mean(axis=1) / 16).astype(np.float32),
        )
