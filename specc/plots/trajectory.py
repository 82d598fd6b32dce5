"""The way of the weights while a run trained, in the plane in which they moved most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from specc.ir.sizes import bound
from specc.ops.flops import flops
from specc.plots.contours import contours
from specc.plots.marks import Axis, Figure, Line, Mark, Panel, Points
from specc.plots.subject import Subject
from specc.runs.snapshots import kept
from specc.runtime.snapshot import Snapshot
from specc.system.records import dataclass

LEAST = 3
"""Snapshots that make a plane."""
PIECE = 1 << 20
"""Numbers of each snapshot that are in memory at a time."""
GRID = 25
"""Points of the loss along each side of the plane."""
MOST_EXAMPLES, LEAST_EXAMPLES = 500, 50
WORK = 1e11
"""Floating-point operations for the losses of the plane: some seconds at most."""
LEVELS = 10
ROOM = 0.15
"""Of the plane beyond the way, as a share of its length."""
GRAY = 7
LABEL = 0.1
"""The width of a label, as a share of the plane's."""


@dataclass(frozen=True, eq=False)
class Way:
    """The way of the weights in the plane of their first two principal components.

    `places` [snapshots, 2] has a row for each of `steps`. The weights at a place (a, b) are
    `mean + a * u + b * v`, u and v having the length 1: the sums of the snapshots' distances from
    the mean, times `shares` [snapshots, 2]. `moved` are the parts of the variance along the two.
    """

    steps: tuple[int, ...]
    places: np.ndarray
    shares: np.ndarray
    moved: tuple[float, float]


def snapshots(subject: Subject) -> dict[int, Path]:
    """The snapshots of a run, by step. Raises LookupError if there are too few for a plane."""
    found = {} if subject.folder is None else kept(subject.folder)
    if not found:
        raise LookupError("the run kept no weights on its way: `snapshots = 50` in `train` does")
    if len(found) < LEAST:
        raise LookupError(f"the run kept {len(found)} snapshots, and a plane takes {LEAST}")
    return found


def trajectory(subject: Subject) -> Figure:
    """The snapshots in the plane of their first two principal components, and the loss there.

    After Li et al., Visualizing the loss landscape of neural nets, 2018.
    """
    found = snapshots(subject)
    way = way_of(found)
    x, y = way.places[:, 0], way.places[:, 1]
    marks: list[Mark] = []
    why, said = _why_no_loss(subject), ""
    if not why:
        across, along, losses, count = _losses(subject, found, way)
        marks += _hills(across, along, losses, way)
        said = (
            f" The lines are the loss over {subject.said(count)}, with the weights of each place of"
            " the plane."
        )
    titles = tuple(f"step {step:,}" for step in way.steps)
    marks += [
        Line(x, y, "weights", 0),
        Points(x, y, "", 0, titles, 2.5),
        Points(x[:1], y[:1], "start", 2, titles[:1], 5.0),
        Points(x[-1:], y[-1:], "end", 1, titles[-1:], 5.0),
    ]
    x_axis, y_axis = (
        Axis(f"direction {k + 1}: {share:.1%} of the movement", low=low, high=high)
        for k, (share, (low, high)) in enumerate(zip(way.moved, _bounds(way), strict=True))
    )
    caption = (
        f"The weights of {subject.name} at {len(found)} moments of its training, in the plane of"
        f" the two directions in which they moved most.{said or f' There is no loss: {why}.'}"
    )
    panel = Panel(tuple(marks), "", x_axis, y_axis, is_square=True)
    return Figure("trajectory", "The way of the weights", (panel,), caption)


def way_of(found: Mapping[int, Path]) -> Way:
    """The way through snapshots. Raises LookupError if the weights do not move.

    The principal components follow from the products of the snapshots with each other, so that
    only a piece of each is in memory.
    """
    products = np.zeros((len(found), len(found)))
    for rows in _pieces(list(found.values())):
        away = rows - rows.mean(0)
        products += away @ away.T
    if not np.isfinite(products).all():
        raise LookupError("a snapshot has weights that are not finite")
    sizes, vectors = np.linalg.eigh(products)
    sizes, vectors = np.maximum(sizes[::-1], 0), vectors[:, ::-1]
    if not sizes[0]:
        raise LookupError("the weights did not move")
    first, signs = vectors[:, :2], np.where(vectors[-1, :2] < 0, -1, 1)
    lengths = np.sqrt(sizes[:2])
    places = first * signs * lengths
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(lengths > 1e-9 * lengths[0], first * signs / lengths, 0.0)
    moved = sizes[:2] / sizes.sum()
    return Way(tuple(found), places, shares, (float(moved[0]), float(moved[1])))


def _pieces(paths: Sequence[Path]) -> Iterator[np.ndarray]:
    """The same stretch of the weights of all snapshots, float64 [snapshots, n], piece by piece."""
    for _, _, rows in _named_pieces(paths):
        yield rows


def _named_pieces(paths: Sequence[Path]) -> Iterator[tuple[str, int, np.ndarray]]:
    """Pieces with the name of the array that they are of, and where in it they begin."""
    from safetensors import SafetensorError, safe_open

    with ExitStack() as stack:
        try:
            files = [stack.enter_context(safe_open(path, framework="np")) for path in paths]
            for name in list(files[0].keys()):
                shape = files[0].get_slice(name).get_shape()
                if not shape:
                    rows = np.stack([each.get_tensor(name).reshape(1) for each in files])
                    yield name, 0, rows.astype(np.float64)
                    continue
                width = math.prod(shape[1:])
                step = max(1, PIECE // max(width, 1))
                for start in range(0, shape[0], step):
                    parts = [
                        each.get_slice(name)[start : min(start + step, shape[0])] for each in files
                    ]
                    rows = np.stack([np.ravel(each) for each in parts])
                    yield name, start * width, rows.astype(np.float64)
        except (SafetensorError, OSError) as error:
            raise LookupError(f"a snapshot is damaged or missing: {error}") from None


def _why_no_loss(subject: Subject) -> str:
    """Why the loss cannot be shown on the plane; an empty text if it can."""
    program = subject.program
    if not program.losses:
        return "the model has none"
    if not subject.count:
        return "there are no examples"
    if program.averages:
        return "evaluation takes means of the weights (`average`)"
    updated = {state.path for update in program.updates for state in update.states}
    if any(state.path not in updated for state in program.states):
        return "it depends on running statistics, which belong to one set of weights"
    if _examples(subject) < LEAST_EXAMPLES <= subject.count:
        return f"the model is too large to evaluate at {GRID**2:,} points"
    return ""


def _examples(subject: Subject) -> int:
    """How many examples the loss is evaluated on: as many as take little work."""
    work = max(float(bound(flops(subject.program.loss_nodes))), 1.0)
    return int(min(subject.count, MOST_EXAMPLES, WORK / (work * GRID**2)))


def _bounds(way: Way) -> list[tuple[float, float]]:
    """The ends of the plane along its two directions."""
    found = []
    longest = float(np.ptp(way.places[:, 0]))
    for k in (0, 1):
        low, high = float(way.places[:, k].min()), float(way.places[:, k].max())
        room = max(ROOM * (high - low), 0.02 * longest)
        found.append((low - room, high + room))
    return found


def _losses(
    subject: Subject, found: Mapping[int, Path], way: Way
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """The loss at the points of a grid, [rows, columns] from below, and its examples' number."""
    net, count = subject.net, _examples(subject)
    mean, u, v = _plane(net.params, list(found.values()), way)
    chosen = np.unique(np.linspace(0, subject.count - 1, count).astype(int))
    data = subject.cut(chosen)
    rows = np.arange(len(chosen))
    across, along = (np.linspace(*ends, GRID) for ends in _bounds(way))
    losses = np.zeros((GRID, GRID))
    before = Snapshot(net.params.items())
    try:
        for i, b in enumerate(along):
            for j, a in enumerate(across):
                net.set_params({name: mean[name] + a * u[name] + b * v[name] for name in mean})
                losses[i, j] = _number(net.evaluate_rows(data, rows)["loss"])
    finally:
        before.restore(net.params)
    return across, along, losses, len(chosen)


def _number(value: Any) -> float:
    return float(np.asarray(value))


def _plane(
    params: Mapping[str, np.ndarray], paths: Sequence[Path], way: Way
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The mean of the snapshots, and the plane's two directions, by the names of parameters."""
    mean, u, v = ({name: np.zeros(params[name].size) for name in params} for _ in range(3))
    for name, start, rows in _named_pieces(paths):
        place = slice(start, start + rows.shape[1])
        mean[name][place] = rows.mean(0)
        u[name][place], v[name][place] = way.shares.T @ (rows - rows.mean(0))
    shaped = [
        {name: values.reshape(params[name].shape) for name, values in each.items()}
        for each in (mean, u, v)
    ]
    return shaped[0], shaped[1], shaped[2]


def _hills(across: np.ndarray, along: np.ndarray, losses: np.ndarray, way: Way) -> list[Mark]:
    """The lines of equal loss, each with its loss written beside it once."""
    known = losses[np.isfinite(losses)]
    if not known.size or known.min() == known.max():
        return []
    marks: list[Mark] = []
    labels: list[tuple[float, float, str]] = []
    for level in levels(float(known.min()), float(known.max())):
        found = contours(across, along, losses, level)
        if not found:
            continue
        gap = np.full((1, 2), np.nan)
        joined = np.concatenate([part for line in found for part in (line, gap)])
        marks.append(Line(joined[:, 0], joined[:, 1], "", GRAY, width=1.0))
        x, y = _clear(max(found, key=len), across, along, way)
        labels.append((x, y, f"{level:g}"))
    if labels:
        xs, ys, texts = zip(*labels, strict=True)
        marks.append(Points(xs, ys, "", GRAY, radius=0.0, labels=texts))
    return marks


def _clear(
    line: np.ndarray, across: np.ndarray, along: np.ndarray, way: Way
) -> tuple[float, float]:
    """The place on a line that is farthest from the way and from the edges of the plane."""
    start = np.array([across[0], along[0]])
    size = np.array([across[-1], along[-1]]) - start
    spots, path = (line - start) / size, (way.places - start) / size
    gaps = np.linalg.norm(spots[:, None] - path, axis=-1).min(1)
    # a label begins at its place and needs room on the right
    room = np.minimum(np.minimum(spots, 1 - spots).min(1), 1 - spots[:, 0] - LABEL)
    x, y = line[int(np.argmax(np.minimum(gaps, 3 * room)))]
    return float(x), float(y)


def levels(low: float, high: float) -> list[float]:
    """Losses between two at which lines are drawn, `LEVELS` or fewer, in as few digits as tell them
    apart.

    Their distances double from the lowest loss on, where the way ends.
    """
    values = [
        low + (high - low) * (2.0**k - 1) / (2.0 ** (LEVELS + 1) - 1) for k in range(1, LEVELS + 1)
    ]
    for digits in range(2, 10):
        found = [float(f"{value:.{digits}g}") for value in values]
        if len({*found}) == len(found) and low < found[0] and found[-1] < high:
            return found
    return [each for each in values if low < each < high]
