"""Write pictures of digits with their names.

Captions.npz, and captions_val.npz with other pictures.

python make_data.py [FOLDER]      # by default beside this file; the same ones each time

The digits are those that come with specc. Each name ends in a point, by which the model says that
it is done.
"""

import sys
from pathlib import Path

import numpy as np

DIGITS = Path(__file__).parents[2] / "specc" / "data" / "digits.npz"
NAMES = np.array(
    ["zero.", "one.", "two.", "three.", "four.", "five.", "six.", "seven.", "eight.", "nine."]
)

if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    table = np.load(DIGITS)
    order = np.random.default_rng(0).permutation(len(table["image"]))
    for suffix, rows in (("", order[:1500]), ("_val", order[1500:])):
        np.savez_compressed(
            folder / f"captions{suffix}.npz",
            picture=table["image"][rows],
            name=NAMES[table["label"][rows]],
        )
