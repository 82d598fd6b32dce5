"""The report of a run: one self-contained HTML file.

page(subject)      # "<!doctype html>...", with all plots that are possible
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from html import escape

from specc.drawing.diagram import diagram
from specc.drawing.shapes import over, port_shape
from specc.drawing.svg import drawing
from specc.plots import answers, classes
from specc.plots.kinds import KINDS, FigureKind
from specc.plots.subject import Subject
from specc.plots.ticks import written
from specc.report.document import Section, document, duration, program_text, shown, table
from specc.runtime.best import best_of
from specc.runtime.run import open_run

MOST_PARAMETERS = 3_000_000
"""Largest model whose slow plots are part of the report; for others use `specc plot`."""


class NoTime(Exception):
    """Raised if a report takes longer than allowed."""


def page(
    subject: Subject,
    tell: Callable[[str], None] = lambda text: None,
    method: str = "pca",
    until: float = math.inf,
) -> str:
    """Return the report as HTML; `method` projects embeddings to the plane.

    Raises NoTime after `until`, a time of `time.monotonic`, and ImportError if the package of a
    method is missing.
    """
    sections = [_model(subject), *_figures(subject, tell, method, until)]
    return document(subject.name, _summary(subject), _facts(subject), sections)


def _summary(subject: Subject) -> str:
    epochs = len(subject.curves.get("epoch", ()))
    told = ["not trained"]
    if epochs:
        told = [f"{epochs} epoch{'s' * (epochs > 1)}, the best is epoch {subject.best_epoch}"]
    if subject.count:
        told.append(f"plots of {subject.said(subject.count)}")
    return "; ".join(told)


def _facts(subject: Subject) -> list[tuple[str, str]]:
    """Return the metrics of the best epoch and the size of the model."""
    rows = subject.curves
    facts = []
    if rows.get("epoch"):
        numbers = [int(each) for each in rows["epoch"]]
        at = numbers.index(subject.best_epoch) if subject.best_epoch in numbers else -1
        part = "val" if math.isfinite(rows["val_loss"][at]) else "train"
        known = {"val": "validation", "train": "training"}[part]
        found = {
            name.removeprefix(f"{part}_"): values[at]
            for name, values in rows.items()
            if name.startswith(f"{part}_") and math.isfinite(values[at])
        }
        best = best_of(open_run(subject.folder)) if subject.folder is not None else None
        if best is not None and best.is_within:
            found = best.metrics
        facts += [(f"{known} {short}", written(value)) for short, value in found.items()]
        facts.append(("time", duration(rows["seconds"][-1])))
    size = sum(int(array.size) for array in subject.net.params.values())
    facts.append(("parameters", f"{size:,}"))
    return facts


def _model(subject: Subject) -> Section:
    """Return the section with the model's text, its drawing, and the table of its layers."""
    program = subject.program
    parts = []
    if subject.folder is not None and (subject.folder / "model.dl").is_file():
        text = (subject.folder / "model.dl").read_text(encoding="utf-8")
        parts.append(program_text(text, "The text of the model"))
    picture = drawing(diagram(program), in_page=True)
    parts.append(
        '<details open><summary>Drawing</summary><figure tabindex="0" role="group"'
        f' aria-label="The drawing of the model">{picture}</figure></details>'
    )
    rows: list[Iterable[str]] = [
        (escape(port.name), port.role, escape(port_shape(port)), "") for port in program.ports
    ]
    for layer in program.layers:
        count = sum(int(subject.net.params[path].size) for path in layer.parameters)
        shape = over(layer.output.shape, layer.sequence)
        call = f"<code>{escape(layer.text)}</code>"
        rows.append((escape(layer.path), call, escape(shape), f"{count:,}" if count else ""))
    layers = table(("layer", "call", "shape", "parameters"), rows, left=2)
    parts.append(f"<details><summary>Layers</summary>{layers}</details>")
    return Section("model", "Model", "\n".join(parts))


def _figures(
    subject: Subject, tell: Callable[[str], None], method: str, until: float
) -> list[Section]:
    """Return a section for each plot that is possible for the subject."""
    size = sum(int(array.size) for array in subject.net.params.values())
    found = []
    for kind in KINDS:
        if time.monotonic() > until:
            raise NoTime
        if kind.why_not(subject):
            continue
        if kind.is_slow and size > MOST_PARAMETERS:
            tell(f"`{kind.name}` is left out because it takes some seconds; use `specc plot`")
            continue
        options = {"method": method} if "method" in kind.options else {}
        try:
            figure = kind.draw(subject, **options)
        except LookupError as error:
            tell(f"`{kind.name}` is left out: {error.args[0]}")
            continue
        found.append(Section(kind.name, figure.title, shown(figure) + _beside(kind, subject)))
    return found


def _beside(kind: FigureKind, subject: Subject) -> str:
    """Return a table of numbers that belongs to a plot, or an empty string."""
    if kind.name != "classes":
        return ""
    out = []
    heads = classes.classifiers(subject)
    for head in heads:
        names = subject.names(head.port)
        rows = [
            (escape(name), f"{count:,}", *(f"{each:.3f}" for each in rates))
            for name, (count, *rates) in zip(
                names, answers.answers(subject, head).by_class, strict=True
            )
        ]
        rates = table((head.port.name, "examples", "precision", "recall", "F1"), rows)
        which = f": {escape(head.port.name)}" if len(heads) > 1 else ""
        out.append(f"<details><summary>As a table{which}</summary>{rates}</details>")
    return "\n".join(out)
