"""Plots of sequences and gradients: states along a text, samples, and gradient flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from specc.ir.program import Layer
from specc.plots.marks import Axis, Figure, Heatmap, Line, Mark, Panel, Part, Passage, Text
from specc.plots.subject import Subject
from specc.recipe import Port

if TYPE_CHECKING:
    from specc.flow import Flow

MOST_TEXTS = 12
MOST_STEPS, MOST_UNITS, MOST_LAYERS, MOST_PASSAGES = 60, 24, 3, 4
FLOW_EXAMPLES = 64


def step_layers(subject: Subject) -> list[Layer]:
    """Return the layers that have a vector at each time step."""
    found = []
    for layer in subject.program.layers:
        kind = layer.node.type
        is_whole = kind.batched and kind.kind == "float" and kind.rank == 2
        if is_whole and layer.sequence is not None and layer.output.rank == 1:
            found.append(layer)
    return found


def states(subject: Subject, example: int = 0) -> Figure:
    """Plot the units of recurrent layers along one sequence.

    The text is also shown colored by single units, after Karpathy, Johnson and Fei-Fei, Visualizing
    and understanding recurrent networks, 2015.
    """
    layers = _recurrent(subject)
    layers = layers[-MOST_LAYERS:]
    parts: list[Part] = []
    values = subject.of_uses(layers, np.array([example]))
    for layer, (rows,) in zip(layers, values, strict=True):
        letters = _letters(subject, example, layer.sequence)
        table = rows[: len(letters) or None]
        steps = min(len(table), MOST_STEPS)
        units = np.argsort(-table.std(0), kind="stable")[:MOST_UNITS]
        names = tuple(letters[:steps])
        axis = Axis("" if names else "step", names=names)
        shown = table[:steps, units].T
        side = Axis("unit", names=tuple(map(str, units)))
        parts.append(
            Panel((Heatmap(shown, scale="signed"),), f"{layer.path}: {layer.text}", axis, side)
        )
        if letters:
            for unit in units[:MOST_PASSAGES]:
                line = table[:, unit]
                scaled = line / (float(np.abs(line).max()) or 1.0)
                words = tuple(letters)
                parts.append(Passage(words, tuple(map(float, scaled)), f"unit {unit}"))
    caption = (
        "The units that vary most, by time step: orange is positive, blue negative."
        f" Example {subject.rows[example] + 1:,} of the data."
    )
    return Figure("states", "States along a sequence", tuple(parts), caption)


def _recurrent(subject: Subject) -> list[Layer]:
    """Return the layers with a state; if there are none, all layers along the sequence."""
    known = step_layers(subject)
    own = {name.rpartition(".")[0] for name, _ in subject.program.carries}
    found = [layer for layer in known if any(each.startswith(layer.path) for each in own)]
    return found or known


def _letters(subject: Subject, example: int, sequence: str | None) -> list[str]:
    """Return the symbols of an example at the time steps of a sequence, without padding.

    They come from an input, or else from a target; the result is empty if neither has classes.
    """
    for port in (*subject.ports("input"), *subject.ports("target")):
        if port.kind == "class" and len(port.shape) == 1 and port.sequence == sequence:
            return symbols(subject, port, example)
    return []


def symbols(subject: Subject, port: Port, example: int) -> list[str]:
    """Return the names of an example's classes along a sequence, without padding.

    Words are followed by a space, letters are not.
    """
    values = subject.values(port.name, np.array([example]))[0]
    for length in subject.net.ports:
        if length.length_of == port.name:
            values = values[: int(subject.values(length.name, np.array([example]))[0])]
    names = subject.names(port)
    is_letters = max(map(len, names)) == 1
    return [names[k] if is_letters else f"{names[k]} " for k in values]


def samples(subject: Subject) -> Figure:
    """Show the texts that were generated during training."""
    texts = subject.samples
    at_step = {int(step): k for k, step in enumerate(subject.curves.get("step", ()))}
    lines = []
    for each in texts[:MOST_TEXTS] if len(texts) <= MOST_TEXTS else _spread(texts):
        heading = f"step {each['step']:,}"
        at = at_step.get(int(each["step"]))
        known = [subject.curves[name][at] for name in ("val_loss", "train_loss")
                 if at is not None and name in subject.curves]  # fmt: skip
        if losses := [loss for loss in known if np.isfinite(loss)]:
            heading += f", epoch {each['epoch']}, loss {losses[0]:.4g}"
        lines.append((heading, str(each["text"])))
    caption = f"Texts that {subject.name} generated during training, with the same random numbers."
    return Figure("samples", "Samples", (Text(tuple(lines)),), caption)


def _spread(texts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Select some of many texts, with logarithmic spacing."""
    places = np.unique(np.geomspace(1, len(texts), MOST_TEXTS).round().astype(int)) - 1
    return [texts[k] for k in places]


def flow(subject: Subject) -> Figure:
    """Plot how activations and gradients change from layer to layer, and over time."""
    rows = np.arange(min(subject.count, FLOW_EXAMPLES))
    return of_flow(subject.net.inspection.flow(subject.cut(rows), len(rows)))


def of_flow(found: Flow) -> Figure:
    """Plot a measured flow."""
    layers = [each for each in found.layers if each.gradient is not None]
    at = np.arange(len(layers))
    panels: list[Part] = []
    if layers:
        activations = [each.activation for each in layers]
        gradients = [each.gradient or np.nan for each in layers]
        lines: list[Mark] = [
            Line(at, activations, "activation", is_dashed=True),
            Line(at, gradients, "gradient for it"),
        ]
        names = tuple(each.path for each in layers)
        axis = Axis("root mean square", log=True)
        panels.append(Panel(tuple(lines), "Layer by layer", Axis(names=names), axis))
    for cell in found.cells:
        steps = np.arange(1, cell.steps + 1)
        lines = [Line(steps, cell.carried, f"gradient from step {cell.start}")]
        if any(abs(a - b) > 1e-6 * b for a, b in zip(cell.carried, cell.total, strict=True)):
            lines.append(Line(steps, cell.total, "gradient of the whole loss", is_dashed=True))
        title = f"{cell.path}: gradient for {' and '.join(cell.states)}"
        panels.append(Panel(tuple(lines), title, Axis("step"), Axis(log=True)))
    if not panels:
        raise LookupError("the model has no layers")
    caption = "; ".join(found.verdict) or f"The flow on {found.examples} examples"
    caption = caption.replace(
        "layers: the gradient at the first,", "the gradient at the first layer,"
    )
    if caption.startswith("the "):
        caption = f"T{caption[1:]}"
    return Figure("flow", "Flow of gradients", tuple(panels), f"{caption}.", columns=2)
