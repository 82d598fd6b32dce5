"""Write times, and where a damped spring is: times.csv with t and x.

python make_data.py [FOLDER]      # by default beside this file

The spring obeys x'' + 0.4 x' + 4 x = 0 with x(0) = 1 and x'(0) = 0, so that x = e^(-0.2 t)
(cos(w t) + 0.2 / w sin(w t)) with w^2 = 4 - 0.04. The model learns from the equation alone.
"""

import csv
import math
import sys
from pathlib import Path

folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
w = math.sqrt(4 - 0.04)
with (folder / "times.csv").open("w", newline="", encoding="utf-8") as file:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["t", "x"])
    for step in range(500):
        t = step / 100
        x = math.exp(-0.2 * t) * (math.cos(w * t) + 0.2 / w * math.sin(w * t))
        table.writerow([f"{t:.2f}", f"{x:.6f}"])
