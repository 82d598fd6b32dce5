"""Plots of a classifier: confusion matrix, rates, calibration, mistakes."""

from __future__ import annotations

import numpy as np

from specc.plots import png
from specc.plots.answers import Answers, answers, calibration, roc
from specc.plots.heads import Head
from specc.plots.marks import (
    Axis,
    Bars,
    Diagonal,
    Figure,
    Gallery,
    Heatmap,
    Line,
    Panel,
    Part,
    Picture,
    Points,
    Text,
)
from specc.plots.subject import Subject
from specc.plots.svg.axes import visible

MOST_CLASSES = 40  # largest confusion matrix with counts in its cells
MOST_LINES = 8  # largest number of curves in a panel
MOST_MISTAKES, MOST_TOLD = 24, 10  # largest number of mistakes as images, and as text


def classifiers(subject: Subject) -> list[Head]:
    """Return the targets of classes and booleans that the model predicts."""
    return [head for head in subject.heads if head.kind != "number"]


def confusion(subject: Subject) -> Figure:
    """Plot the confusion matrix."""
    panels, captions = [], []
    for head in classifiers(subject):
        found, names = answers(subject, head), subject.names(head.port)
        table = found.confusion
        texts: tuple[tuple[str, ...], ...] = ()
        if len(names) <= MOST_CLASSES:
            texts = tuple(tuple(f"{each:,}" if each else "" for each in row) for row in table)
        axis = Axis("predicted", names=tuple(names))
        panels.append(
            Panel(
                (Heatmap(np.sqrt(table), texts, "counts", low=0),),
                _title(subject, head),
                axis,
                Axis("true", names=tuple(names)),
                is_square=True,
            )
        )
        right = int(table.trace())
        asked = f"answers to {subject.part} examples"
        if not head.is_sequence:
            asked = f"{subject.part} examples"
        captions.append(
            f"{_of_head(subject, head)}{right:,} of {int(table.sum()):,} {asked} are right"
            f" ({right / max(table.sum(), 1):.2%}).{_most_confused(table, names)}"
        )
    return Figure("confusion", "Confusion matrix", tuple(panels), " ".join(captions))


def _title(subject: Subject, head: Head) -> str:
    return head.port.name if len(classifiers(subject)) > 1 else ""


def _of_head(subject: Subject, head: Head) -> str:
    """Return the beginning of a sentence about one of several targets."""
    return f"`{head.port.name}`: " if len(classifiers(subject)) > 1 else ""


def _most_confused(table: np.ndarray, names: list[str]) -> str:
    wrong = table.copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return ""
    true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    count = int(wrong.max())
    times = "once" if count == 1 else f"{count:,} times"
    right, said = visible(names[true]), visible(names[predicted])
    return f" Most often ({times}), {right} was predicted as {said}."


def by_class(subject: Subject) -> Figure:
    """Plot the precision and recall of each class."""
    panels: list[Part] = []
    for head in classifiers(subject):
        rows, names = answers(subject, head).by_class, subject.names(head.port)
        at = np.arange(len(rows))
        titles = tuple(
            f"{name}: {count:,} examples, precision {p:.3f}, recall {r:.3f}, F1 {f:.3f}"
            for name, (count, p, r, f) in zip(names, rows, strict=True)
        )
        panels.append(
            Panel(
                (
                    Bars(at - 0.2, [row[1] for row in rows], 0.38, "precision", titles=titles),
                    Bars(at + 0.2, [row[2] for row in rows], 0.38, "recall", titles=titles),
                ),
                _title(subject, head),
                Axis("class", names=tuple(names)),
                Axis(low=0, high=1.0),
            )
        )
    caption = (
        "Precision: the share of predictions of a class that are right."
        " Recall: the share of a class's examples that are predicted right."
    )
    return Figure("classes", "Precision and recall by class", tuple(panels), caption)


def receiver(subject: Subject) -> Figure:
    """Plot the ROC curve of each class."""
    panels: list[Part] = []
    figures: dict[str, float] = {}
    for head in classifiers(subject):
        found, names = answers(subject, head), subject.names(head.port)
        wanted = [1] if len(names) == 2 else list(range(len(names)))
        areas = {k: roc(found.truth == k, found.probabilities[:, k]) for k in wanted}
        figures |= {f"{head.port.name}.{names[k]}": area for k, (_, _, area) in areas.items()}
        known = [k for k in wanted if not np.isnan(areas[k][2])]
        worst = sorted(known, key=lambda k: areas[k][2])[:MOST_LINES]
        lines = [
            Line(*_short(areas[k][0], areas[k][1]), f"{names[k]}: {areas[k][2]:.3f}") for k in worst
        ]
        panels.append(
            Panel(
                (*lines, Diagonal()),
                _title(subject, head),
                Axis("false positives", low=0, high=1),
                Axis("true positives", low=0, high=1),
                is_square=True,
            )
        )
    caption = (
        "Each point of a curve is a threshold. The number beside a class is the area under its"
        " curve: the probability that an example of the class scores higher than another example."
    )
    more = any(len(subject.names(head.port)) > MOST_LINES for head in classifiers(subject))
    caption += f" Only the {MOST_LINES} classes with the smallest areas are shown." if more else ""
    return Figure("roc", "Receiver operating characteristic", tuple(panels), caption, 2, figures)


def _short(x: np.ndarray, y: np.ndarray, most: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Thin out a curve to at most `most` points."""
    if len(x) <= most:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, most).astype(int))
    return x[kept], y[kept]


def reliability(subject: Subject) -> Figure:
    """Plot accuracy against confidence."""
    panels, captions, figures = [], [], {}
    for head in classifiers(subject):
        found = answers(subject, head)
        mean, share, counts, error = calibration(found.confidence, found.is_right)
        titles = tuple(
            f"{count:,} predictions: confidence {100 * m:.1f}%, accuracy {100 * s:.1f}%"
            for m, s, count in zip(mean, share, counts, strict=True)
        )
        edges = (np.arange(len(counts)) + 0.5) / len(counts)
        panels.append(
            Panel(
                (
                    Bars(edges, share, 0.096, "right", titles=titles),
                    Points(mean, share, "at the mean confidence", titles=titles),
                    Diagonal("perfectly calibrated"),
                ),
                _title(subject, head),
                Axis("confidence", low=0, high=1),
                Axis("accuracy", low=0, high=1),
                is_square=True,
            )
        )
        figures[head.port.name] = error
        what = f" of `{head.port.name}`" if len(classifiers(subject)) > 1 else ""
        captions.append(f"The expected calibration error{what} is {100 * error:.2f}%.")
    return Figure("calibration", "Calibration", tuple(panels), " ".join(captions), 2, figures)


def mistakes(subject: Subject) -> Figure:
    """Show the mistakes with the highest confidence."""
    parts: list[Part] = []
    captions = []
    for head in classifiers(subject):
        found, names = answers(subject, head), subject.names(head.port)
        wrong = np.flatnonzero(~found.is_right)
        order = wrong[np.argsort(-found.confidence[wrong], kind="stable")][:MOST_MISTAKES]
        captions.append(f"{_of_head(subject, head)}{len(wrong):,} mistakes, sorted by confidence.")
        title = _title(subject, head)
        if subject.pictures and not head.is_sequence:
            port = subject.pictures[0]
            values = subject.values(port.name, found.rows[order])
            pictures = tuple(
                Picture(
                    pixels(each),
                    f"{names[found.predicted[k]]}, {found.confidence[k]:.0%}"
                    f"\nis {names[found.truth[k]]}",
                )
                for each, k in zip(values, order, strict=True)
            )
            parts.append(Gallery(pictures, title))
        else:
            lines = tuple(_told(subject, found, names, int(k)) for k in order[:MOST_TOLD])
            parts.append(Text(lines, title))
    return Figure("mistakes", "Most confident mistakes", tuple(parts), " ".join(captions))


def _told(subject: Subject, found: Answers, names: list[str], k: int) -> tuple[str, str]:
    """Return the heading of a mistake, and the inputs of its example."""
    row = found.rows[k]
    at = f", step {found.steps[k] + 1}" if found.steps.any() else ""
    heading = (
        f"example {subject.rows[row] + 1:,}{at}: {visible(names[found.predicted[k]])}"
        f" ({found.confidence[k]:.0%}) is {visible(names[found.truth[k]])}"
    )
    return heading, described(subject, int(row))


def described(subject: Subject, row: int, most: int = 12) -> str:
    """Return the inputs of an example in one or two lines of text."""
    told = []
    for port in subject.ports("input"):
        values = subject.values(port.name, np.array([row]))[0]
        if port.kind == "class" and values.ndim == 1:
            words = subject.names(port)
            glue = "" if max(map(len, words), default=0) == 1 else " "
            told.append(glue.join(words[k] for k in values[:200]))
        elif port.kind == "class":
            told.append(f"{port.name} {subject.names(port)[int(values)]}")
        else:
            flat = np.ravel(values)
            shown = ", ".join(f"{each:.4g}" for each in flat[:most])
            told.append(f"{port.name} {shown}{', ...' if flat.size > most else ''}")
    return "; ".join(told)


def pixels(values: np.ndarray) -> np.ndarray:
    """Scale an image [h, w], [1, h, w] or [3, h, w] to uint8 pixels, from black to white."""
    if values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    found = png.gray(values)
    return np.moveaxis(found, 0, -1) if found.ndim == 3 else found
