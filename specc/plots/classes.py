"""Figures of a classifier: confusion, rates, calibration, mistakes."""

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

MOST_CLASSES = 40  # that have names and counts in a matrix
MOST_LINES = 8  # in a panel
MOST_MISTAKES, MOST_TOLD = 24, 10  # as pictures, and in words


def classifiers(subject: Subject) -> list[Head]:
    """The targets of classes and of truth values that the model answers."""
    return [head for head in subject.heads if head.kind != "number"]


def confusion(subject: Subject) -> Figure:
    """How often each class was taken for each other one."""
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
        captions.append(
            f"{right:,} of {int(table.sum()):,} {subject.part} examples are right"
            f" ({right / max(table.sum(), 1):.2%}).{_most_confused(table, names)}"
        )
    return Figure("confusion", "Confusion matrix", tuple(panels), " ".join(captions))


def _title(subject: Subject, head: Head) -> str:
    return head.port.name if len(classifiers(subject)) > 1 else ""


def _most_confused(table: np.ndarray, names: list[str]) -> str:
    wrong = table.copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return ""
    true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    count = int(wrong.max())
    times = "once" if count == 1 else f"{count:,} times"
    return f" Most often, {times}, {names[true]} was taken for {names[predicted]}."


def by_class(subject: Subject) -> Figure:
    """Precision and recall of each class."""
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
        "Precision: of what was taken for a class, the share that is of it."
        " Recall: of a class, the share that was found."
    )
    return Figure("classes", "Precision and recall by class", tuple(panels), caption)


def receiver(subject: Subject) -> Figure:
    """True against false positives of each class, for all thresholds."""
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
        "Each point is a threshold. The number beside a class is the area under its curve:"
        " the probability that an example of the class scores higher than one of another."
    )
    more = any(len(subject.names(head.port)) > MOST_LINES for head in classifiers(subject))
    caption += f" Shown are the {MOST_LINES} classes with the smallest areas." if more else ""
    return Figure("roc", "Receiver operating characteristic", tuple(panels), caption, 2, figures)


def _short(x: np.ndarray, y: np.ndarray, most: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """A curve of few points: steps that a drawing could not show are left out."""
    if len(x) <= most:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, most).astype(int))
    return x[kept], y[kept]


def reliability(subject: Subject) -> Figure:
    """How sure the model is, against how often it is right."""
    panels, captions, figures = [], [], {}
    for head in classifiers(subject):
        found = answers(subject, head)
        mean, share, counts, error = calibration(found.confidence, found.is_right)
        titles = tuple(
            f"{count:,} answers: {100 * m:.1f} % sure, {100 * s:.1f} % right"
            for m, s, count in zip(mean, share, counts, strict=True)
        )
        edges = (np.arange(len(counts)) + 0.5) / len(counts)
        panels.append(
            Panel(
                (
                    Bars(edges, share, 0.096, "right", titles=titles),
                    Points(mean, share, "at its mean confidence", titles=titles),
                    Diagonal("as sure as right"),
                ),
                _title(subject, head),
                Axis("confidence", low=0, high=1),
                Axis("share of right answers", low=0, high=1),
                is_square=True,
            )
        )
        figures[head.port.name] = error
        captions.append(f"The expected calibration error is {100 * error:.2f} %.")
    return Figure("calibration", "Calibration", tuple(panels), " ".join(captions), 2, figures)


def mistakes(subject: Subject) -> Figure:
    """The mistakes that the model was surest of."""
    parts: list[Part] = []
    captions = []
    for head in classifiers(subject):
        found, names = answers(subject, head), subject.names(head.port)
        wrong = np.flatnonzero(~found.is_right)
        order = wrong[np.argsort(-found.confidence[wrong], kind="stable")][:MOST_MISTAKES]
        captions.append(f"{len(wrong):,} mistakes; the surest come first.")
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
    return Figure("mistakes", "The surest mistakes", tuple(parts), " ".join(captions))


def _told(subject: Subject, found: Answers, names: list[str], k: int) -> tuple[str, str]:
    """A mistake in words: the answer, and what the inputs of the example are."""
    row = found.rows[k]
    at = f", step {found.steps[k] + 1}" if found.steps.any() else ""
    heading = (
        f"example {subject.rows[row] + 1:,}{at}: {names[found.predicted[k]]}"
        f" ({found.confidence[k]:.0%}) is {names[found.truth[k]]}"
    )
    return heading, described(subject, int(row))


def described(subject: Subject, row: int, most: int = 12) -> str:
    """The inputs of an example in a line or two."""
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
    """A picture [h, w], [1, h, w] or [3, h, w] as uint8 pixels, its own range as black to white."""
    if values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    found = png.gray(values)
    return np.moveaxis(found, 0, -1) if found.ndim == 3 else found
