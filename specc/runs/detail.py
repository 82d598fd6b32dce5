"""Detailed results of an evaluation: by class, by slices of the data, and the calibration.

classes(net, part)                 # {"kind": [ClassCount("rose", 12, 10, 11), ..]}
calibration(net, part)             # {"kind": Calibration(0.93, 0.90, 0.04)}
slices(net, part, texts)           # {"Bern": (120, {"loss": 0.3, "accuracy": 0.9}), ..}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specc.net.answers import Meaning, sigmoid, softmax
from specc.recipe import DataCall
from specc.recipe.sources import source_of
from specc.runtime.metrics import short_names
from specc.system.records import dataclass

if TYPE_CHECKING:
    from specc.net.net import Net
    from specc.runtime.data import DataPart

BINS = 10  # number of equal ranges of confidence for the calibration error
MOST_SLICES = 20


@dataclass(frozen=True)
class ClassCount:
    """The counts of a class: its examples, how many were predicted right, and its predictions."""

    name: str
    examples: int
    found: int
    predicted: int

    @property
    def recall(self) -> float:
        """The share of its examples that were predicted right."""
        return self.found / self.examples if self.examples else float("nan")

    @property
    def precision(self) -> float:
        """The share of its predictions that are right."""
        return self.found / self.predicted if self.predicted else float("nan")


@dataclass(frozen=True)
class Calibration:
    """The mean probability of the predicted class, the accuracy, and the calibration error.

    `error` is the expected calibration error: the mean difference of the two over ten equal ranges
    of the probability, weighted by the number of examples (Naeini, Cooper and Hauskrecht, 2015).
    """

    confidence: float
    accuracy: float
    error: float


def _scored(net: Net, part: DataPart) -> list[tuple[Meaning, np.ndarray, np.ndarray]]:
    """Return the meaning of each class target's output, the targets and the scores of classes.

    Targets are int64 `[n]`, scores `[n, classes]`: probabilities if the output's meaning is known.
    """
    meanings = {name: each for name, each in net.meanings.items() if not each.target.shape}
    if not meanings:
        return []
    outputs = net.prediction.run(part.columns, order=part.numbers)
    found = []
    for name, meaning in meanings.items():
        truth = part.columns[meaning.target.name].array[part.numbers].reshape(-1).astype(np.int64)
        array = outputs[name]
        if meaning.target.kind == "bool":
            chance = sigmoid(array) if meaning.holds == "scores" else array
            array = np.stack([1 - chance.reshape(-1), chance.reshape(-1)], axis=-1)
        elif meaning.holds == "scores":
            array = softmax(array)
        found.append((meaning, truth, array.reshape(len(truth), -1)))
    return found


def classes(net: Net, part: DataPart) -> dict[str, list[ClassCount]]:
    """Return the counts of each class, by the name of each target that an output scores."""
    found = {}
    for meaning, truth, chances in _scored(net, part):
        port, guess = meaning.target, chances.argmax(axis=-1)
        size = chances.shape[1]
        names = ("false", "true") if port.kind == "bool" else net.encoding.names(port.name, size)
        right = np.bincount(truth[guess == truth], minlength=size)
        counts = np.bincount(truth, minlength=size)
        said = np.bincount(guess, minlength=size)
        found[port.name] = [
            ClassCount(name, int(counts[k]), int(right[k]), int(said[k]))
            for k, name in enumerate(names)
        ]
    return found


def calibration(net: Net, part: DataPart) -> dict[str, Calibration]:
    """Return the calibration of each output that gives probabilities, by the target's name."""
    found = {}
    for meaning, truth, chances in _scored(net, part):
        if meaning.holds == "values" or not len(truth):
            continue
        sure = chances.max(axis=-1)
        right = chances.argmax(axis=-1) == truth
        bins = np.minimum((sure * BINS).astype(int), BINS - 1)
        error = sum(
            (bins == k).mean() * abs(sure[bins == k].mean() - right[bins == k].mean())
            for k in np.unique(bins)
        )
        found[meaning.target.name] = Calibration(
            float(sure.mean()), float(right.mean()), float(error)
        )
    return found


def slices(
    net: Net, part: DataPart, texts: Sequence[str]
) -> dict[str, tuple[int, dict[str, float]]]:
    """Return the number of examples and the metrics for each value of a column.

    `texts` has the value of each example of the part. The most frequent values come first.
    """
    values = np.array(texts, object)
    words, counts = np.unique(values.astype(str), return_counts=True)
    found = {}
    for k in np.argsort(-counts, kind="stable")[:MOST_SLICES].tolist():
        rows = part.numbers[values.astype(str) == words[k]]
        metrics = net.evaluate_rows(part.columns, rows)
        names = short_names(net.columns)
        found[str(words[k])] = (
            int(counts[k]),
            {short: float(metrics[name]) for name, short in names.items()},
        )
    return found


def column_texts(
    net: Net, part: DataPart, name: str, call: DataCall | None, folder: Path
) -> list[str]:
    """Return the value of a column in each row of a part, from a class port or from the table.

    Raises ValueError, with the known names, if there is no such column.
    """
    from specc.diagnostics import closest
    from specc.runtime.data.readers import request_of, table_of_source

    port = next((each for each in net.ports if each.name == name), None)
    if port is not None and port.kind in ("class", "bool") and not port.shape:
        size = 2 if port.kind == "bool" else port.class_count
        words = ("false", "true") if port.kind == "bool" else net.encoding.names(name, size)
        return [words[k] for k in part.columns[name].array[part.numbers].astype(int).tolist()]
    known = [each.name for each in net.ports if each.kind in ("class", "bool") and not each.shape]
    table = None
    if call is not None and call.word not in ("text", "digits"):
        own = source_of(call.word).all_settings(())
        settings = {name: value for name, value in call.settings.items() if name in own}
        table = table_of_source(request_of(replace(call, settings=settings), (), folder))
        known += [each for each in table.names if each not in known]
    if table is None or name not in table.names:
        near = closest(name, known)
        hint = f"did you mean `{near}`?" if near else f"there are {', '.join(known) or 'none'}"
        raise ValueError(f"the data has no column `{name}` of words or classes; {hint}")
    if part.stored is not None:
        raise ValueError(
            "a run with `memory` does not record the rows of its validation part, so"
            f" `{name}` must be an input or target of classes"
        )
    texts = np.array(
        [each.strip() for each in table.read([name], [name]).raw[name].texts()], object
    )
    rows = part.numbers if part.source is None else part.source.kept[part.numbers]
    return texts[rows].tolist()
