"""Projects with example data: each trains at once, and its comments say what to change.

files = TEMPLATES["sequence"]("signals")     # {"signals.dl": b"...", "signals.npz": b"..."}
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import specc
from specc.projects.look import looked_at
from specc.projects.own import WRITING
from specc.projects.table import model_for

README = """# {name}

    specc check {name}.dl                      every error at once
    specc train {name}.dl                      train; the first run is runs/{name}/1
    specc train {name}.dl lr=0.01 hidden=128   with other values
    specc runs                                 all runs with their results
    specc eval @last                           the results of the last run
    {predict}

`specc explain train` describes the settings; `specc explain` lists everything else.
"""
PREDICT = "specc predict @best {file} -o predictions.csv"

IMAGES = """# {name}: classifies handwritten digits, gray images of 8x8 pixels.
# For your own images, put them into one folder per class (photos/cat, photos/dog, ..), and write
# `data images("photos"; size = 32)`, `input image: float[3, 32, 32]` and the number of classes.
dim classes = 10
dim hidden  = 64

model {name} {{
  input  image: float[1, 8, 8]
  target label: class(classes)

  let features = image
    -> conv(16, kernel=3, pad=1) -> relu -> maxpool(2)
    -> conv(32, kernel=3, pad=1) -> relu -> flatten
  let scores = features -> dense(hidden) -> relu -> dropout(0.2) -> dense(classes)

  output scores
  loss   cross_entropy(scores, label)
  metric accuracy(scores, label)
}}

train {{
  data      digits()             # 1,797 images that are included in specc
  validate  split = 0.8          # 20% of them measure how good the model is
  optimizer adam(lr = 0.002)
  epochs = 15
  batch  = 32
}}
"""

SEQUENCE = """# {name}: classifies three kinds of signals, 60 measurements each.
# For your own data, save arrays `signal` [examples, steps, values] and `kind` [examples] with
# numpy.savez, or use a table that has the steps in its columns.
dim kinds  = 3
dim hidden = 24
seq time   = 60

model {name} {{
  input  signal: float[time, 1]
  target kind: class(kinds)

  let scores = signal -> gru(hidden) -> last -> dense(kinds)

  output scores
  loss   cross_entropy(scores, kind)
  metric accuracy(scores, kind)
}}

train {{
  data      npz("{name}.npz")
  validate  split = 0.8
  optimizer adam(lr = 0.01)
  epochs    = 15
  batch     = 32
  clip_norm = 1
}}
"""

SUBJECTS = ("the compiler", "a kernel", "the loader", "one thread", "the planner", "a careful pass")
VERBS = ("reads", "checks", "folds", "keeps", "writes", "forgets")
OBJECTS = ("the graph", "every shape", "a small loop", "the old weights", "two gradients", "a name")
WHENS = ("at once", "before lunch", "step by step", "for a while", "with no fuss", "in the cache")


def table(name: str) -> dict[str, bytes]:
    """Return a table of flats with their rents, with numbers, words, dates and gaps."""
    content = flats(600, seed=0).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.csv"
        path.write_bytes(content)
        text = model_for(looked_at(path), name, path.name, "rent")
    return {f"{name}.csv": content, f"{name}.dl": text.encode()}


def flats(rows: int, seed: int) -> str:
    """Return a synthetic table: the rent of flats by area, rooms, city, furniture and date."""
    draw = np.random.Generator(np.random.PCG64(seed))
    cities = {"Aden": 9.0, "Bergen": 14.5, "Cadiz": 8.0, "Dublin": 17.0}
    lines = ["area,rooms,city,furnished,offered,rent"]
    for city, number, is_furnished, day, gap, noise in zip(
        draw.choice(list(cities), rows),
        draw.integers(1, 6, rows),
        draw.random(rows) < 0.3,
        draw.integers(0, 700, rows),
        draw.random(rows) < 0.05,
        draw.normal(0, 30, rows),
        strict=True,
    ):
        area = 18 * number + draw.normal(0, 6)
        date = np.datetime64("2024-01-01") + int(day)
        rent = cities[str(city)] * area + 90 * is_furnished + 0.1 * day + noise
        cells = ("" if gap else f"{area:.1f}", number, city, "yes" if is_furnished else "no", date)
        lines.append(",".join(map(str, (*cells, round(rent)))))
    return "\n".join(lines) + "\n"


def images(name: str) -> dict[str, bytes]:
    """Return a model of the included digits, and some digits to predict."""
    archive = io.BytesIO()
    with np.load(Path(specc.__file__).parent / "data" / "digits.npz") as digits:
        np.savez(archive, image=digits["image"][:10].reshape(10, 1, 8, 8) / 16)
    return {f"{name}.dl": IMAGES.format(name=name).encode(), "new.npz": archive.getvalue()}


def text(name: str) -> dict[str, bytes]:
    """Return synthetic sentences, and a model that learns to generate them."""
    draw = np.random.Generator(np.random.PCG64(0))
    parts = (SUBJECTS, VERBS, OBJECTS, WHENS)
    places = draw.integers(0, 6, (700, 4)).tolist()
    lines = [
        " ".join(words[place] for words, place in zip(parts, row, strict=True)) + "."
        for row in places
    ]
    content = "\n".join(lines) + "\n"
    model = WRITING.format(
        name=name,
        path=f"{name}.txt",
        prompt="the ",
        advice="# For your own text, change the file name below.\n",
        hidden=64,
        time=40,
        rate=0.01,
        epochs=12,
        batch=16,
    )
    return {f"{name}.dl": model.encode(), f"{name}.txt": content.encode()}


def sequence(name: str) -> dict[str, bytes]:
    """Return noisy waves of three forms, and a model that classifies them."""
    draw = np.random.Generator(np.random.PCG64(0))
    kind = np.arange(600) % 3
    rate, start = draw.uniform(2, 4, (600, 1)), draw.uniform(0, 1, (600, 1))
    turns = rate * np.arange(60) / 60 + start
    forms = (np.sin(2 * np.pi * turns), np.sign(np.sin(2 * np.pi * turns)), 2 * (turns % 1) - 1)
    waves = np.choose(kind[:, None], forms) + draw.normal(0, 0.2, (600, 60))
    archive = io.BytesIO()
    np.savez(archive, signal=waves[..., None].astype(np.float32), kind=kind.astype(np.int32))
    return {
        f"{name}.dl": SEQUENCE.format(name=name).encode(),
        f"{name}.npz": archive.getvalue(),
    }


TEMPLATES: dict[str, Callable[[str], dict[str, bytes]]] = {
    "table": table,
    "images": images,
    "text": text,
    "sequence": sequence,
}
NEW_ROWS = {"table": "{name}.csv", "images": "new.npz", "sequence": "{name}.npz"}
"""The input file of the prediction in the README."""


def readme(name: str, template: str, file: str | None = None) -> str:
    """Return the README of a project, with the first commands."""
    if template == "text":
        return README.format(name=name, predict='specc sample @last --prompt "the "')
    own = file or NEW_ROWS[template].format(name=name)
    return README.format(name=name, predict=PREDICT.format(file=own))
