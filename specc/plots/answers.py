"""Predictions beside true classes: counts and rates, as plain numbers.

found = answers(subject, head)
found.confusion                # [classes, classes]: true in rows, predicted in columns
roc(found.truth == 3, found.probabilities[:, 3])
"""

from __future__ import annotations

import numpy as np

from specc.plots.heads import Head
from specc.plots.subject import Subject
from specc.system.lazy import cached_property
from specc.system.records import dataclass


@dataclass(frozen=True, eq=False)
class Answers:
    """The predictions for one target of classes or booleans.

    `truth` [m] has the true classes, `probabilities` [m, classes] the predictions, `rows` [m] the
    examples and `steps` [m] the time steps of a sequence (otherwise 0). Padding is left out.
    """

    truth: np.ndarray
    probabilities: np.ndarray
    rows: np.ndarray
    steps: np.ndarray

    @cached_property
    def predicted(self) -> np.ndarray:
        """The most probable class of each prediction, [m]."""
        return np.asarray(self.probabilities.argmax(-1))

    @property
    def is_right(self) -> np.ndarray:
        return np.asarray(self.predicted == self.truth)

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the predicted class, [m]."""
        return np.asarray(self.probabilities.max(-1))

    @cached_property
    def confusion(self) -> np.ndarray:
        """The confusion matrix, [classes, classes]: true classes in rows, predicted in columns."""
        classes = self.probabilities.shape[-1]
        pairs = self.truth * classes + self.predicted
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    @property
    def by_class(self) -> list[tuple[int, float, float, float]]:
        """The count, precision, recall and F1 of each class; NaN if undefined."""
        table = self.confusion.astype(np.float64)
        right = table.diagonal()
        with np.errstate(invalid="ignore", divide="ignore"):
            precision, recall = right / table.sum(0), right / table.sum(1)
            both = 2 * right / (table.sum(0) + table.sum(1))
        return [
            (int(count), float(p), float(r), float(f))
            for count, p, r, f in zip(table.sum(1), precision, recall, both, strict=True)
        ]


def answers(subject: Subject, head: Head) -> Answers:
    """Return the predictions for a target of classes or booleans."""
    values = subject.outputs[head.output]
    truth = subject.values(head.port.name).astype(np.int64)
    if head.kind == "truth" and values.ndim == truth.ndim + 1:
        values = values[..., 0]
    probabilities = head.probabilities(values)
    rows = np.broadcast_to(_along(len(truth), truth.ndim), truth.shape)
    steps = np.zeros(truth.shape, np.int64)
    counted = np.ones(truth.shape, bool)
    if truth.ndim > 1:
        steps = np.broadcast_to(np.arange(truth.shape[1]).reshape(1, -1, *[1] * (truth.ndim - 2)),
                                truth.shape)  # fmt: skip
        if (lengths := _lengths(subject, head)) is not None:
            counted = steps < lengths.reshape(-1, *[1] * (truth.ndim - 1))
    classes = probabilities.shape[-1]
    return Answers(
        truth[counted],
        probabilities.reshape(*truth.shape, classes)[counted],
        rows[counted],
        steps[counted],
    )


def _along(count: int, rank: int) -> np.ndarray:
    return np.arange(count).reshape(-1, *[1] * (rank - 1))


def _lengths(subject: Subject, head: Head) -> np.ndarray | None:
    """Return the number of time steps of each example's target; None if they do not vary."""
    known = [port for port in subject.net.ports if port.length_of == head.port.name]
    if not known and head.port.sequence is not None:
        of = {port.name for port in subject.net.ports if port.sequence == head.port.sequence}
        known = [port for port in subject.net.ports if port.length_of in of]
    return subject.values(known[0].name).astype(np.int64) if known else None


def roc(is_true: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return false and true positive rates for all thresholds, and the area under the curve.

    Fawcett, An introduction to ROC analysis, 2006. Equal scores are one step of the curve. The area
    is NaN if all examples have the same class.
    """
    if not is_true.any() or is_true.all():
        return np.array([0.0, 1.0]), np.array([0.0, 1.0]), float("nan")
    order = np.argsort(-score, kind="stable")
    is_true, score = is_true[order], score[order]
    last = np.append(
        np.flatnonzero(np.diff(score)), len(score) - 1
    )  # of each group of equal scores
    hits, misses = np.cumsum(is_true)[last], np.cumsum(~is_true)[last]
    x = np.concatenate([[0.0], misses / misses[-1]])
    y = np.concatenate([[0.0], hits / hits[-1]])
    return x, y, float(np.trapezoid(y, x))


def calibration(
    confidence: np.ndarray, is_right: np.ndarray, bins: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return mean confidence, accuracy and count per bin, and the expected calibration error.

    Bins have equal widths (Guo et al., On calibration of modern neural networks, 2017). The error
    is the mean of |confidence - accuracy| over the bins, weighted by their counts. Empty bins are
    NaN.
    """
    which = np.clip((confidence * bins).astype(int), 0, bins - 1)
    counts = np.bincount(which, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(which, confidence, bins) / counts
        share = np.bincount(which, is_right, bins) / counts
    gaps = np.abs(mean - share) * counts
    return mean, share, counts, float(np.nansum(gaps) / max(counts.sum(), 1))
