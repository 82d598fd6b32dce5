"""Write pairs and triplets of digits: pairs.npz, triplets.npz, and the same with _val.

python make_data.py [FOLDER]      # by default beside this file; the same ones each time

The digits are those that come with specc. No image of the validation files is in the others.
"""

import sys
from pathlib import Path

import numpy as np

DIGITS = Path(__file__).parents[2] / "specc" / "data" / "digits.npz"


def pairs(image: np.ndarray, label: np.ndarray, count: int, rng: np.random.Generator) -> dict:
    """`count` pairs `a`, `b`; in half of them both show the same digit."""
    triplet = triplets(image, label, count, rng)
    same = np.arange(count) % 2 == 0
    other = np.where(same[:, None, None], triplet["positive"], triplet["negative"])
    return {"a": triplet["anchor"], "b": other, "same": same}


def triplets(image: np.ndarray, label: np.ndarray, count: int, rng: np.random.Generator) -> dict:
    """`count` images `anchor`, with a `positive` of the same digit and a `negative` of another."""
    anchor = rng.integers(len(image), size=count)
    alike = label[anchor][:, None] == label
    positive = [rng.choice(np.flatnonzero(row)) for row in alike]
    negative = [rng.choice(np.flatnonzero(~row)) for row in alike]
    return {"anchor": image[anchor], "positive": image[positive], "negative": image[negative]}


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    rng = np.random.default_rng(0)
    table = np.load(DIGITS)
    image, label = table["image"], table["label"]
    order = rng.permutation(len(image))
    for suffix, rows, count in (("", order[:1400], 4000), ("_val", order[1400:], 1000)):
        for name, make in (("pairs", pairs), ("triplets", triplets)):
            np.savez_compressed(
                folder / f"{name}{suffix}.npz", **make(image[rows], label[rows], count, rng)
            )
