"""Write houses.csv, where every tenth price is wrong, and houses_clean.csv, where none is.

python make_data.py [FOLDER]      # by default beside this file; the same houses each time

Area is in 100 m^2, age in decades, distance (to the centre) in 10 km, the price in 100,000.
"""

import sys
from pathlib import Path

import numpy as np

NOISE = 0.2


def houses(count: int, outliers: float, rng: np.random.Generator) -> np.ndarray:
    """`[count, 5]`: area, rooms, age, distance, price. A wrong price is ten times the right one."""
    area = rng.uniform(0.5, 2.5, count)
    rooms = np.round(1 + 2.5 * area + rng.normal(0, 0.5, count)).clip(1)
    age = rng.uniform(0, 8, count)
    distance = rng.uniform(0.1, 3, count)
    price = 1 + 2 * area + 0.2 * rooms - 0.15 * age - 0.5 * distance + rng.normal(0, NOISE, count)
    price[rng.random(count) < outliers] *= 10
    return np.stack([area, rooms, age, distance, price], axis=1)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    rng = np.random.default_rng(0)
    for name, count, outliers in (("houses.csv", 400, 0.1), ("houses_clean.csv", 200, 0.0)):
        np.savetxt(
            folder / name,
            houses(count, outliers, rng),
            "%.2f,%d,%.1f,%.2f,%.2f",
            header="area,rooms,age,distance,price",
            comments="",
        )
