"""Plots of layers: filters, feature maps, weights, features of units, and saliency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from specc.ir.graph import Node, apply
from specc.ir.program import Layer
from specc.ops.shape import Reshape, Slice
from specc.plots import colours
from specc.plots.classes import pixels
from specc.plots.marks import Axis, Bars, Figure, Gallery, Panel, Part, Picture
from specc.plots.subject import Subject
from specc.recipe import Column

MOST_FILTERS, MOST_MAPS, MOST_UNITS, MOST_EXAMPLES = 64, 16, 8, 500
STRONGEST = 9
MOST_OUTPUTS = 16
MOST_HISTOGRAMS, SOME_EXAMPLES = 12, 64
ASCENT_STEPS, ASCENT_RATE, ASCENT_DECAY = 60, 0.15, 0.03


def filters(subject: Subject) -> Figure:
    """Plot the weights of the first layer that reads images."""
    layer, weights = first_filters(subject)
    limit = float(np.abs(weights).max()) or 1.0
    shown = weights[:MOST_FILTERS]
    pictures = []
    for number, each in enumerate(shown):
        if each.shape[0] == 3:
            drawn = np.moveaxis(np.rint(127.5 * (each / limit + 1)).astype(np.uint8), 0, -1)
        else:
            drawn = colours.signed(each[0] / limit)
        pictures.append(Picture(drawn, str(number)))
    more = f" of {len(weights)}" if len(weights) > len(shown) else ""
    caption = f"{len(shown)}{more} filters of `{layer.text}` ({layer.path})."
    if weights.shape[1] == 1:
        caption += f" Orange is positive, blue negative, up to {limit:.3g}."
    return Figure("filters", "Filters", (Gallery(tuple(pictures), layer.path),), caption)


def first_filters(subject: Subject) -> tuple[Layer, np.ndarray]:
    """Return the first layer that reads images and its weights, [filters, 1 or 3, h, w].

    It is a convolution of an input, or a dense layer of a whole image. Raises LookupError if there
    is none.
    """
    sizes = {int(np.prod(port.shape)): port.shape for port in subject.pictures}
    for layer in subject.program.layers:
        for path in layer.parameters:
            weights = np.asarray(subject.net.params[path], np.float64)
            if weights.ndim == 4 and weights.shape[1] in (1, 3) and min(weights.shape[2:]) > 1:
                return layer, weights
            if weights.ndim == 2 and weights.shape[1] in sizes and len(weights) > 1:
                shape = sizes[weights.shape[1]]
                return layer, weights.reshape(len(weights), -1, *shape[-2:])
    raise LookupError("no layer reads an image")


def visible(subject: Subject) -> list[Layer]:
    """Return the layers with feature maps, [channels, h, w], of the first image.

    There is one layer per distinct output.
    """
    found: dict[Node, Layer] = {}
    first = subject.pictures[0] if subject.pictures else None
    for layer in subject.program.layers:
        kind = layer.node.type
        are_maps = len(kind.bound_shape) == 3 and kind.batched and kind.kind == "float"
        if are_maps and subject.picture_of(layer.node) == first:
            found.setdefault(layer.node, layer)
    return [layer for layer in found.values() if layer.sequence is None]


def maps(subject: Subject, example: int = 0) -> Figure:
    """Plot the feature maps of one image in each layer."""
    port = subject.pictures[0]
    row = np.array([example])
    parts: list[Part] = [
        Gallery((Picture(pixels(subject.values(port.name, row)[0]), ""),), port.name, 8)
    ]
    layers = visible(subject)
    for layer, values in zip(layers, subject.of_uses(layers, row), strict=True):
        channels = values[0]
        pictures = [Picture(pixels(each), "") for each in channels[:MOST_MAPS]]
        shape = " x ".join(map(str, channels.shape))
        parts.append(Gallery(tuple(pictures), f"{layer.path}: {layer.text}, {shape}", 8))
    caption = (
        f"The feature maps of example {subject.rows[example] + 1:,} of the data."
        " In each map, white is the largest value and black the smallest."
    )
    return Figure("maps", "Feature maps of one example", tuple(parts), caption)


def outputs(subject: Subject) -> Figure:
    """Plot input images beside the output images of the model, such as an autoencoder."""
    port = subject.pictures[0]
    parts: list[Part] = []
    for name in picture_outputs(subject):
        made = subject.outputs[name]
        rows = np.arange(min(len(made), MOST_OUTPUTS))
        pictures = []
        for row in rows:
            given = subject.values(port.name, np.array([row]))[0]
            pictures += [
                Picture(pixels(given), port.name),
                Picture(pixels(made[row].reshape(port.shape)), name),
            ]
        parts.append(Gallery(tuple(pictures), name, 8))
    caption = f"{subject.part.capitalize()} examples, each beside the output of the model."
    return Figure("outputs", "Output images", tuple(parts), caption)


def picture_outputs(subject: Subject) -> list[str]:
    """Return the outputs with as many elements as an input image. Raises LookupError if none."""
    sizes = {int(np.prod(port.shape)) for port in subject.pictures}
    found = [
        term.name
        for term in subject.program.outputs
        if term.node.type.kind == "float" and int(np.prod(term.node.type.bound_shape)) in sizes
    ]
    if not found:
        raise LookupError("no output is an image")
    return found


def weights(subject: Subject) -> Figure:
    """Plot a histogram of each parameter."""
    panels: list[Part] = []
    for path in subject.net.params:
        values = np.ravel(np.asarray(subject.net.params[path], np.float64))
        if values.size >= 2 and len(panels) < MOST_HISTOGRAMS:
            panels.append(_histogram(path, values))
    caption = f"Histograms of the parameters of {subject.name}."
    return Figure("weights", "Weights", tuple(panels), caption, columns=2)


def _histogram(title: str, values: np.ndarray, note: str = "") -> Panel:
    counts, edges = np.histogram(values, bins=min(40, max(5, values.size // 4)))
    middle, width = (edges[1:] + edges[:-1]) / 2, float(edges[1] - edges[0])
    titles = tuple(
        f"{low:.3g} to {high:.3g}: {count:,}"
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    )
    spread = f"mean {values.mean():.3g}, deviation {values.std():.3g}{note}"
    bars = Bars(middle, counts, width, titles=titles)
    return Panel((bars,), title, Axis(spread), Axis(is_whole=True))


def activations(subject: Subject) -> Figure:
    """Plot a histogram of each layer's output over some examples."""
    rows = np.arange(min(subject.count, SOME_EXAMPLES))
    values = subject.of_layers([layer.path for layer in active(subject)], rows)
    panels = []
    for path, found in list(values.items())[:MOST_HISTOGRAMS]:
        flat = np.ravel(found)
        zeros = float((flat == 0).mean())
        panels.append(_histogram(path, flat, f", {zeros:.0%} are 0" if zeros > 0.01 else ""))
    caption = f"Histograms of the layers' outputs for {subject.said(len(rows))}."
    return Figure("activations", "Activations", tuple(panels), caption, columns=2)


def active(subject: Subject) -> list[Layer]:
    """Return the layers with several numbers per example. Raises LookupError if none."""
    found: dict[Node, Layer] = {}
    for layer in subject.program.layers:
        kind = layer.node.type
        if kind.batched and kind.kind == "float" and kind.bound_elements > 1:
            found.setdefault(layer.node, layer)
    if not found:
        raise LookupError("no layer has several numbers per example")
    return list(found.values())


def features(subject: Subject, layer: str = "") -> Figure:
    """Plot the inputs that activate a few units of a layer most.

    First comes the image that gradient ascent finds for a unit (Simonyan, Vedaldi and Zisserman,
    Deep inside convolutional networks, 2014), then the nine examples with the highest activation
    (Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014).
    """
    chosen = unit_layer(subject, layer)
    port = subject.picture_of(chosen.node) or subject.pictures[0]
    rows = np.arange(min(subject.count, MOST_EXAMPLES))
    (values,) = subject.of_uses([chosen], rows)
    strengths = values.reshape(len(rows), values.shape[1], -1).max(-1)
    units = np.argsort(-strengths.std(0), kind="stable")[:MOST_UNITS]
    parts: list[Part] = []
    for unit in sorted(map(int, units)):
        best = np.argsort(-strengths[:, unit], kind="stable")[:STRONGEST]
        strongest = subject.values(port.name, best[:1])
        own = values[best[0], unit]
        node = unit_node(chosen.node, unit, np.unravel_index(own.argmax(), own.shape))
        found = ascent(subject, node, port.name, strongest)
        pictures = [Picture(pixels(found), "ascent", mark=1)]
        pictures += [
            Picture(pixels(each), f"{strengths[k, unit]:.3g}")
            for k, each in zip(best, subject.values(port.name, best), strict=True)
        ]
        parts.append(Gallery(tuple(pictures), f"{chosen.path}, unit {unit}", 10))
    caption = (
        f"Units of `{chosen.text}`: the input found by gradient ascent, and the {STRONGEST} of"
        f" {len(rows):,} {subject.part} examples that activate each unit most."
    )
    return Figure("features", "Features of units", tuple(parts), caption)


def unit_layer(subject: Subject, path: str = "") -> Layer:
    """Return the layer of a path; by default the last with feature maps or the first with units.

    Raises LookupError if there is none.
    """
    known = [each for each in subject.program.layers if each.path == path]
    if path and not known:
        raise LookupError(f"there is no layer `{path}`")
    if known:
        return known[0]
    if found := visible(subject):
        return found[-1]
    for layer in subject.program.layers:
        kind = layer.node.type
        if kind.batched and kind.rank == 1 and kind.kind == "float" and layer.parameters:
            return layer
    raise LookupError("no layer has units")


def unit_node(node: Node, unit: int, place: Sequence[int] = ()) -> Node:
    """Return one unit of a layer as a node; for a feature map, its value at a position."""
    for axis, at in enumerate((unit, *place)):
        node = apply(Slice(axis, int(at), 1), node)
    return apply(Reshape(()), node)


def ascent(
    subject: Subject, node: Node, port: str, strongest: np.ndarray | None = None
) -> np.ndarray:
    """Find an input that maximizes a node by gradient ascent from the mean example.

    Decay keeps the input in the range of the examples. If the gradient at the mean example is 0, as
    after a relu, ascent starts from `strongest`, [1, *shape], the example with the largest value.
    """
    some = subject.values(port, np.arange(min(subject.count, 200)))
    mean = x = some.mean(0, keepdims=True)
    spread = float(some.std()) or 1.0
    first = subject.rows[:1]
    data = dict(subject.data)
    others = {name: Column(column.values(first)) for name, column in data.items() if name != port}
    for step in range(ASCENT_STEPS):
        given = {**others, port: Column(np.ascontiguousarray(x))}
        _, slopes = subject.net.inspection.slopes(given, np.arange(1), node, [port])
        slope = slopes[port]
        size = float(np.sqrt((slope**2).mean()))
        if not size and not step and strongest is not None:
            x = strongest
            continue
        if not size:
            break
        x = x + spread * ASCENT_RATE * slope / size
        x = x - ASCENT_DECAY * (x - mean)
    return np.asarray(x[0])


def saliency(subject: Subject, examples: Sequence[int] = range(8)) -> Figure:
    """Plot which pixels a prediction depends on: the gradient of its score by the input.

    The size at a pixel is the largest over the channels (Simonyan, Vedaldi and Zisserman, 2014).
    """
    port = subject.pictures[0]
    head = next(each for each in subject.heads if each.kind == "classes" and not each.is_sequence)
    rows = np.array([each for each in examples if each < subject.count])
    node = next(t.node for t in subject.program.outputs if t.name == head.output)
    scores = np.asarray(subject.outputs[head.output])[rows]
    names = subject.names(head.port)
    pictures = []
    for row, best in zip(rows, scores.argmax(-1), strict=True):
        weight = np.eye(scores.shape[-1])[best]
        _, slopes = subject.net.inspection.slopes(
            subject.data, subject.rows[row : row + 1], node, [port.name], weight
        )
        size = np.abs(slopes[port.name][0])
        size = size.max(0) if size.ndim == 3 else size
        top = float(size.max()) or 1.0
        seen = pixels(subject.values(port.name, np.array([row]))[0])
        pictures += [Picture(seen, names[best]), Picture(colours.heat(size / top), "saliency")]
    caption = (
        "Beside each example is the size of the gradient of its predicted class by each pixel:"
        " where it is bright, a small change of the pixel changes the score most."
    )
    return Figure("saliency", "Saliency", (Gallery(tuple(pictures), "", 8),), caption)
