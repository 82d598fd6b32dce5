"""Data larger than memory: a csv is written, trained on, and the most memory of the process told.

    python -m benchmarks.streaming --gigabytes 5 --memory 150

The table has ten columns: seven numbers, a word of four, gaps, and a label that follows from them.
It is written and trained on in processes of their own; the folder is deleted afterwards.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = """
model large {{
  input  x: float[11]
  target sold: class(2)
  let s = x -> dense(32) -> relu -> dense(2)
  output s
  loss cross_entropy(s, sold)
  metric accuracy(s, sold)
}}
train {{
  data csv("large.csv")
  column x = concat(standardize(columns("x*")), onehot(city))
  validate split = 0.9
  optimizer adam(lr = 0.003)
  epochs = {epochs}
  batch = 256
  memory = {memory}
}}
"""


def write(path: Path, size: float) -> None:
    """Write a csv of about so many bytes."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    rng = np.random.default_rng(0)
    cities = np.array(["Ulm", "Bern", "Graz", "Basel"])
    with path.open("wb") as file:
        file.write(b"x1,x2,x3,x4,x5,x6,x7,city,sold\n")
        rows, options = 200_000, csv.WriteOptions(include_header=False)
        while file.tell() < size:
            x = rng.normal(size=(7, rows)) * [[1], [100], [3], [0.1], [1], [5], [1]]
            city = rng.integers(0, 4, rows)
            score = x[0] + x[1] / 100 * (city == 0) - (city == 1)
            columns = {f"x{k + 1}": np.round(each, 5) for k, each in enumerate(x)}
            columns["city"] = cities[city]
            columns["sold"] = np.where(score > 0, "yes", "no")
            csv.write_csv(pa.table(columns), file, options)


def measured(gigabytes: float, memory: float, epochs: int = 1) -> dict[str, float]:
    """Train on a csv of that size; return the seconds and the peak of memory in MB."""
    folder = Path(tempfile.mkdtemp(prefix="streaming-", dir=os.environ.get("TMPDIR")))
    try:
        maker = (
            "from benchmarks.streaming import write; from pathlib import Path;"
            f" write(Path({str(folder / 'large.csv')!r}), {gigabytes * 1e9})"
        )
        subprocess.run([sys.executable, "-c", maker], check=True)
        (folder / "m.dl").write_text(MODEL.format(memory=memory, epochs=epochs))
        environment = {**os.environ, "SPECC_CACHE_DIR": str(folder / "cache")}
        command = [sys.executable, "-m", "specc", "train", str(folder / "m.dl"), "--quiet"]
        start = time.perf_counter()
        child = subprocess.Popen([*command, "--run", str(folder / "runs")], env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        if child.returncode:
            raise SystemExit(child.returncode)
        peak = usage.ru_maxrss
        return {
            "gigabytes": (folder / "large.csv").stat().st_size / 1e9,
            "seconds": seconds,
            "megabytes": peak * (1 if sys.platform == "darwin" else 1024) / 1e6,
        }
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--memory", type=float, default=150)
    parser.add_argument("--epochs", type=int, default=1)
    given = parser.parse_args()
    for name, value in measured(given.gigabytes, given.memory, given.epochs).items():
        print(f"{name} {value:,.2f}")


if __name__ == "__main__":
    main()
