"""Plots in the plane: embeddings, decision boundaries, predicted against true values."""

from __future__ import annotations

import numpy as np

from specc.ir.graph import topological
from specc.ir.program import Layer
from specc.plots import colours
from specc.plots.classes import classifiers, described
from specc.plots.embeddings import METHODS, placed
from specc.plots.marks import Axis, Diagonal, Figure, Heatmap, Mark, Panel, Points
from specc.plots.subject import Subject
from specc.recipe import Column

MOST_POINTS = 2_000
FINE = 160
"""Number of grid points along an axis."""


def embedding(subject: Subject, method: str = "pca") -> Figure:
    """Plot the output of the last hidden layer, projected to the plane by a method."""
    layer = hidden_layer(subject)
    rows = np.arange(min(subject.count, MOST_POINTS))
    (values,) = subject.of_uses([layer], rows)
    flat = values.reshape(len(rows), -1)
    places, (x, y) = placed(flat, method)
    heads = [head for head in classifiers(subject) if not head.is_sequence and not head.port.shape]
    marks: list[Mark] = []
    if heads:
        names = subject.names(heads[0].port)
        truth = subject.values(heads[0].port.name, rows).astype(int)
        for k, name in enumerate(names):
            own = truth == k
            titles = tuple(f"{name}: {described(subject, int(r), 6)}" for r in rows[own])
            marks.append(Points(places[own, 0], places[own, 1], name, k, titles, 2.5))
    else:
        titles = tuple(described(subject, int(r), 6) for r in rows)
        marks.append(Points(places[:, 0], places[:, 1], "", None, titles, 2.5))
    panel = Panel(tuple(marks), "", Axis(x), Axis(y), is_square=True)
    caption = (
        f"{subject.said(len(rows))}: the {flat.shape[1]} values of `{layer.text}`"
        f" ({layer.path})"
        f" {'along' if method == 'pca' else 'projected by'} {METHODS[method]}."
    )
    return Figure("embedding", "Embedding", (panel,), caption)


def hidden_layer(subject: Subject) -> Layer:
    """Return the last hidden layer with a vector per example.

    If the output is itself a vector and is not compared with a target, it counts as hidden. Raises
    LookupError if there is none.
    """
    answered = {head.output for head in subject.heads}
    outputs = subject.program.outputs
    ends = {term.node for term in outputs if term.name in answered}
    before = set(topological([term.node for term in outputs])) - ends
    if not ends:
        before |= {term.node for term in outputs}
    for layer in reversed(subject.program.layers):
        kind = layer.node.type
        is_vector = kind.batched and kind.rank == 1 and kind.kind == "float"
        is_vector = is_vector and kind.bound_shape[0] > 1  # a single number is a prediction
        if is_vector and layer.node in before and layer.sequence is None:
            return layer
    raise LookupError("no hidden layer has a vector per example")


def words(subject: Subject, method: str = "pca") -> Figure:
    """Plot the embedding vectors of classes (words, letters), projected by a method."""
    path, table, names = word_table(subject)
    if method != "pca":
        table, names = table[:MOST_POINTS], names[:MOST_POINTS]
    places, (x, y) = placed(table, method)
    near = np.argsort(-np.abs(places).max(1), kind="stable")[:MOST_POINTS]
    titles = tuple(names[k] for k in near)
    marks = (Points(places[near, 0], places[near, 1], "", 0, titles, labels=titles),)
    panel = Panel(marks, path, Axis(x), Axis(y), is_square=True)
    caption = (
        f"{len(names):,} vectors of {table.shape[1]} numbers,"
        f" {'along' if method == 'pca' else 'projected by'} {METHODS[method]}. Names are shown"
        " if there is room, otherwise on hover."
    )
    return Figure("words", "Learned vectors", (panel,), caption)


def word_table(subject: Subject) -> tuple[str, np.ndarray, list[str]]:
    """Return the path and values of an input's embedding table, and the names of its rows.

    The table is [classes, width]. Raises LookupError if there is none.
    """
    for port in subject.ports("input"):
        if port.kind != "class":
            continue
        names = subject.names(port)
        for layer in subject.program.layers:
            for path in layer.parameters:
                table = np.asarray(subject.net.params[path], np.float64)
                if table.ndim == 2 and "embed" in layer.path and len(names) in table.shape:
                    return path, table if len(table) == len(names) else table.T, names
    raise LookupError("no layer embeds the classes of an input")


def boundary(subject: Subject) -> Figure:
    """Plot the prediction at each point of a plane, with the examples."""
    port = plane_input(subject)
    head = next(each for each in subject.heads if not each.is_sequence)
    rows = np.arange(min(subject.count, MOST_POINTS))
    x = subject.values(port, rows)
    low, high = x.min(0), x.max(0)
    room = 0.08 * (high - low)
    low, high = low - room, high + room
    a, b = (np.linspace(low[k], high[k], FINE) for k in (0, 1))
    grid = np.stack([each.ravel() for each in np.meshgrid(a, b[::-1])], 1)
    values = subject.net.predict_rows({port: Column(np.ascontiguousarray(grid))})[head.output]
    extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    marks: list[Mark] = []
    if head.kind == "number":
        marks.append(Heatmap(values.reshape(FINE, FINE), extent=extent))
        truth = subject.values(head.port.name, rows)
        titles = tuple(f"{each:.4g}" for each in np.ravel(truth))
        marks.append(Points(x[:, 0], x[:, 1], "", 7, titles))
    else:
        if head.kind == "truth" and values.ndim > 1:
            values = values[..., 0]
        chance = head.probabilities(values)
        sure = chance.max(-1) - np.sort(chance, -1)[:, -2]
        # colors of classes, paler where the two most probable ones are close
        marks.append(Heatmap(mixed(chance.argmax(-1), sure).reshape(FINE, FINE, 3), extent=extent))
        truth = subject.values(head.port.name, rows).astype(int)
        for k, name in enumerate(subject.names(head.port)):
            own = truth == k
            marks.append(Points(x[own, 0], x[own, 1], name, k, (), 3.5))
    panel = Panel(tuple(marks), "", Axis(f"{port}[0]"), Axis(f"{port}[1]"), is_square=True)
    caption = "The color of a point is the prediction there, paler where the model is uncertain."
    return Figure("boundary", "Decision boundary", (panel,), caption)


def mixed(classes: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Return the colors of classes, uint8 [n, 3], mixed with white by certainty (0 to 1)."""
    palette = np.array(
        [[int(each[k : k + 2], 16) for k in (1, 3, 5)] for each in colours.PALETTE], np.float64
    )
    full = palette[classes % len(palette)]
    part = (0.12 + 0.4 * sure)[:, None]
    return np.rint(255 * (1 - part) + full * part).astype(np.uint8)


def plane_input(subject: Subject) -> str:
    """Return the only input of a model if it has two numbers. Raises LookupError otherwise."""
    ports = subject.ports("input")
    if len(ports) == 1 and ports[0].shape == (2,) and ports[0].kind == "float":
        return ports[0].name
    raise LookupError("the model does not have a single input of two numbers")


def fit(subject: Subject) -> Figure:
    """Plot predicted against true values."""
    panels = []
    captions = []
    for head in subject.heads:
        if head.kind != "number":
            continue
        truth = np.ravel(subject.values(head.port.name))
        found = np.ravel(subject.outputs[head.output])
        error = found - truth
        spread = float(((truth - truth.mean()) ** 2).mean())
        share = 1 - float((error**2).mean()) / spread if spread else float("nan")
        some = np.unique(np.linspace(0, len(truth) - 1, min(len(truth), MOST_POINTS)).astype(int))
        titles = tuple(f"predicted {found[k]:.4g}, true {truth[k]:.4g}" for k in some)
        panels.append(
            Panel(
                (Points(truth[some], found[some], "", 0, titles, 2.5), Diagonal("exact")),
                head.port.name,
                Axis("true"),
                Axis("predicted"),
                is_square=True,
            )
        )
        explained = f"{share:.1%} of the variance explained"
        if share < 0:
            explained = f"worse than the mean of all true values (R² = {share:.3g})"
        captions.append(
            f"{head.port.name}: mean absolute error {np.abs(error).mean():.4g}, root mean square"
            f" {np.sqrt((error**2).mean()):.4g}, {explained}."
        )
    return Figure("fit", "Predicted and true values", tuple(panels), " ".join(captions), 2)
