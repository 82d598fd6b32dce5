"""Pictures that are decoded while a model trains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

import specc as package
from specc.runtime.data import pending
from specc.runtime.data.pending import PendingRows
from specc.runtime.data.sources import images

TEXT = """model m {
  input  image: float[3, 6, 6]
  target label: class(2)
  let s = image -> flatten -> dense(2)
  output s
  loss cross_entropy(s, label)
}
train {
  data images("pets"; size = 6)
  validate split = 0.75
  optimizer sgd(lr = 0.1)
  epochs = 2 batch = 8
}
"""


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """80 pictures of two classes, with a cache of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for k in range(40):
            pixels = generator.integers(0, 256, (6, 6, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{k:02}.png")
    (tmp_path / "m.dl").write_text(TEXT)
    return tmp_path / "pets"


def cached(tmp_path):
    return sorted(each.name for each in (tmp_path / "cache" / "images").iterdir())


def test_training_begins_before_all_pictures_are_decoded(pets, tmp_path, monkeypatch):
    from specc.runtime import train as loop

    ordered, begun = threading.Event(), threading.Event()
    decoded, seen_at_first = [], []
    decode, prefer, stretch = images._decoded, PendingRows.prefer, loop._Loop.stretch

    def slow(request, path, shape):
        # in the background not many more pictures than the first step needs, until it has been done
        if request.limit is None:  # so it is no look at the first ones
            if threading.current_thread() is not threading.main_thread():
                assert ordered.wait(120), "the order of the epoch is unknown"
                assert len(decoded) < 40 or begun.wait(120), "no step was done"
            decoded.append(path)
        return decode(request, path, shape)

    def in_order(self, rows):
        prefer(self, rows)
        ordered.set()

    def noted(self):
        stretch(self)
        seen_at_first.append(len(decoded))
        begun.set()

    with monkeypatch.context() as patch:
        # one thread in the background: it decodes the first step's pictures before others
        patch.setattr(pending, "_processors", lambda: 1)
        patch.setattr(images, "_decoded", slow)
        patch.setattr(PendingRows, "prefer", in_order)
        patch.setattr(loop._Loop, "stretch", noted)
        run = package.train("m.dl", quiet=True)
    assert seen_at_first[0] < 80 == len(set(decoded)) == len(decoded)
    (name,) = cached(tmp_path)
    assert name.endswith(".npy")
    again = package.train("m.dl", quiet=True)  # from the cache
    for name, array in run.net.params.items():
        np.testing.assert_array_equal(array, again.net.params[name])
    pins = [(each.folder / "run.json").read_text() for each in (run, again)]
    assert [text[text.index('"parts"') : text.index('"counts"')] for text in pins] == [
        pins[0][pins[0].index('"parts"') : pins[0].index('"counts"')]
    ] * 2 and '"image": ""' not in pins[0]


def test_a_bad_picture_ends_the_training_with_its_name(pets, tmp_path):
    path = pets / "dog" / "39.png"  # none of the sample that is looked at first
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(package.SpecError, match=r"cannot read the image .*39\.png"):
        package.train("m.dl", quiet=True)
    assert cached(tmp_path) == []


def test_a_killed_training_leaves_no_half_of_a_cache(pets, tmp_path):
    program = "\n".join(
        [
            "import time, specc",
            "from specc.runtime.data.sources import images",
            "old = images._decoded",
            "def slow(*given):",
            "    time.sleep(0.02)",
            "    return old(*given)",
            "images._decoded = slow",
            "specc.train('m.dl', quiet=True, epochs=100)",
        ]
    )
    child = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, env=dict(os.environ))
    folder = tmp_path / "cache" / "images"
    while child.poll() is None and not (folder.is_dir() and any(folder.iterdir())):
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert all(each.endswith(".part") for each in cached(tmp_path))
    run = package.train("m.dl", quiet=True)
    (name,) = cached(tmp_path)
    assert name.endswith(".npy") and np.isfinite(run.metrics["val_loss"][-1])


def test_a_run_that_stops_in_its_first_epoch_goes_on(pets, specc, monkeypatch):
    from specc.runtime import train as loop

    whole = package.train("m.dl", quiet=True)
    for each in (pets.parent / "cache" / "images").iterdir():
        each.unlink()
    decode = images._decoded

    def late(request, path, shape):
        time.sleep(0.05)
        return decode(request, path, shape)

    with monkeypatch.context() as patch:
        patch.setattr(images, "_decoded", late)
        patch.setattr(loop._Loop, "is_late", lambda self: True)
        stopped = package.train("m.dl", quiet=True)
    assert stopped.outcome == "time"
    assert '"image": ""' in (stopped.folder / "run.json").read_text()
    assert specc("train", "--resume", stopped.folder, "-q")[0] == 0
    ends = [package.open(each.folder, which="last") for each in (whole, stopped)]
    for name, array in ends[0].params.items():
        np.testing.assert_array_equal(array, ends[1].params[name])


def test_rows_come_in_the_order_that_is_preferred_and_errors_reach_who_waits():
    ended = []
    array, gate = np.zeros((100, 2)), threading.Event()

    def value(row):
        gate.wait(600)
        return np.full(2, row)

    decoding = PendingRows(array, value, lambda: ended.append("finish"), lambda: ended.append("no"))
    decoding.prefer(np.arange(100)[::-1])
    gate.set()
    decoding.require(np.array([99, 98, 3]))
    np.testing.assert_array_equal(array[[99, 98, 3], 0], [99, 98, 3])
    decoding.complete()
    decoding.close()
    np.testing.assert_array_equal(array, np.arange(100)[:, None] + np.zeros((1, 2)))
    assert ended == ["finish"]

    def fails(row):
        if row == 50:
            raise ValueError("row 50")
        return np.full(2, row)

    ended.clear()
    decoding = PendingRows(array, fails, lambda: ended.append("finish"), lambda: ended.append("no"))
    with pytest.raises(ValueError, match="row 50"):
        decoding.complete()
    assert ended == ["no"]
