"""A table of 5 GB trains within 500 MB."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import specc

SIZE = 5_000_000_000
MOST = 500_000_000  # bytes that the process may hold at any time
MODEL = """model clicks {
  input  x: float[12]
  target bought: class(2)
  let scores = x -> dense(16) -> relu -> dense(2)
  output scores
  loss   cross_entropy(scores, bought)
  metric accuracy(scores, bought)
}
train {
  data      csv("clicks.csv")
  column    x = concat(
    standardize(columns("n1", "n2", "n4", "n5", "n6")), standardize(fill(n3; mean)), missing(n3),
    onehot(city), truth(member)
  )
  validate  split = 0.99
  optimizer adam(lr = 0.01)
  epochs = 1 batch = 1024 memory = 200
}
"""


PROCESS = Path("/proc/self/status")
TRAINING = f"""
import pathlib, re, sys
from specc.cli.main import status_of
status = status_of(["train", "clicks.dl", "--threads", "1", "-q"])
peak = re.search(r"VmHWM:\\s*(\\d+) kB", pathlib.Path("{PROCESS}").read_text())
pathlib.Path("peak").write_text(str(int(peak[1]) * 1024))
sys.exit(status)
"""


def write_table(path, size: int) -> int:
    """Write a csv of so many bytes, in which a sum of columns tells the class; return its rows."""
    rng = np.random.default_rng(0)
    rows = 0
    with path.open("w") as file:
        file.write("n1,n2,n3,n4,n5,n6,city,member,bought\n")
        while file.tell() < size:
            count = 100_000
            numbers = rng.normal(size=(count, 6)).round(6)
            city, member = rng.integers(0, 4, count), rng.integers(0, 2, count)
            bought = (numbers.sum(axis=1) + city + member > 2).astype(int)
            cells = [column.astype("U12") for column in numbers.T]
            cells[2][rng.random(count) < 0.05] = ""
            cells += [np.array(["Bern", "Ulm", "Graz", "Metz"])[city],
                      np.array(["no", "yes"])[member], bought.astype("U1")]  # fmt: skip
            block = "\n".join(map(",".join, zip(*(each.tolist() for each in cells), strict=True)))
            times = 50 if size > 10**9 else 1  # so that most of the time goes to the test itself
            for _ in range(times):
                file.write(f"{block}\n")
            rows += count * times
    return rows


def trained(folder) -> tuple[int, int]:
    """Train in a process of its own; return its exit status and its peak of memory in bytes.

    The process tells its peak itself: what the system tells of a child counts its parent as well,
    from which it was forked.
    """
    environment = {**os.environ, "SPECC_CACHE_DIR": str(folder / "cache")}
    child = subprocess.run(
        [sys.executable, "-c", TRAINING], cwd=folder, env=environment, check=False
    )
    return child.returncode, int((folder / "peak").read_text())


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.skipif(not PROCESS.exists(), reason="the system does not tell a process's memory")
def test_a_table_of_5_gigabytes_trains_within_500_megabytes(tmp_path):
    if shutil.disk_usage(tmp_path).free < 3 * SIZE:
        pytest.skip("there is no room on the disk for the table and its cache")
    rows = write_table(tmp_path / "clicks.csv", SIZE)
    (tmp_path / "clicks.dl").write_text(MODEL)
    try:
        status, peak = trained(tmp_path)
        (run,) = (tmp_path / "runs" / "clicks").iterdir()
        examples = json.loads((run / "run.json").read_text())["examples"]
        (line,) = (run / "metrics.csv").read_text().splitlines()[1:]
    finally:
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        (tmp_path / "clicks.csv").unlink()
    accuracy = float(line.split(",")[-1])
    print(f"{rows:,} rows, peak {peak / 1e6:.0f} MB, {line}")
    assert status == 0 and peak < MOST
    assert accuracy > 0.95 and sum(examples.values()) == rows


def test_a_small_table_goes_the_same_way(tmp_path):
    rows = write_table(tmp_path / "clicks.csv", 3_000_000)
    (tmp_path / "clicks.dl").write_text(MODEL.replace("memory = 200", "memory = 1"))
    run = specc.train(str(tmp_path / "clicks.dl"), runs=tmp_path / "runs", quiet=True, epochs=4)
    assert rows > 40_000 and run.metrics["val_accuracy"][-1] > 0.9
