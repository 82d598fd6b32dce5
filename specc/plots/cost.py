"""Where the time and the memory of a training step go, layer by layer, on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from specc.plots.marks import Axis, Bars, Figure, Mark, Panel
from specc.plots.subject import Subject
from specc.plots.ticks import written
from specc.system.records import dataclass

if TYPE_CHECKING:
    from specc.backend.measure.timing import StepTimes
    from specc.net.net import Net

REPEATS = 5
"""Stretches of steps that are timed, each of about 10 ms; the least time counts."""
MOST_ROWS = 4096
MEMORY = ("parameters", "optimizer", "values of a batch")
MOST_LAYERS = 24
OTHERS, NO_LAYER = "other layers", "no layer"
WIDTH = 0.26


@dataclass(frozen=True, eq=False)
class StepCost:
    """The cost of a step: rows are `layers`, columns those of `ORDER` and `MEMORY`.

    `seconds` are those of a thread. What belongs to no layer (losses, data, the norm of all
    gradients) is the last row.
    """

    layers: tuple[str, ...]
    seconds: np.ndarray
    bytes: np.ndarray
    times: StepTimes


def cost(subject: Subject) -> Figure:
    """Time and memory of a training step by layer."""
    from specc.backend.listing import ORDER
    from specc.backend.machine.system import processor_name

    net = subject.net
    rows = subject.rows[:MOST_ROWS]
    times = net.inspection.time(subject.data, rows, REPEATS)
    found = _largest(of_step(net, times))
    micro = found.seconds * 1e6
    parts = [k for k in range(len(ORDER)) if micro[:, k].any()]
    time_panel = _bars(
        found.layers,
        micro[:, parts],
        [ORDER[k] for k in parts],
        "time",
        "µs per step",
        lambda value: f"{value:,.1f} µs",
    )
    kinds = [k for k in range(len(MEMORY)) if found.bytes[:, k].any()]
    unit, scale = _unit(float(found.bytes.max()))
    memory_panel = _bars(
        found.layers,
        found.bytes[:, kinds] / scale,
        [MEMORY[k] for k in kinds],
        "memory",
        unit,
        lambda value: f"{value:,.4g} {unit}",
    )
    plan = times.plan
    turns = min(times.threads, plan.arenas)  # the shards of a thread have passing memory in common
    own = (plan.arena_bytes - plan.passing_bytes) * plan.arenas
    arenas = (own + plan.passing_bytes * turns + plan.shared_bytes) / scale
    values = float(found.bytes[:, -1].sum()) / scale
    threads = "one thread" if times.threads == 1 else f"{times.threads} threads"
    shared = ""
    if arenas < values:
        shared = f", and take {written(arenas)} {unit}: those never needed together share memory"
    waiting = times.waiting * 1e6
    pause = f", {written(waiting)} µs of them waiting for each other" if times.threads > 1 else ""
    step, machine = times.step * 1e6, processor_name() or "this machine"
    batch = f"{plan.batch:,} example{'s' * (plan.batch != 1)}"
    if times.batches > 1:
        batch = f"{times.batches:,} batches of {batch}"
    caption = (
        f"{_step(net)} of {batch} took {written(step)} µs on {threads} of {machine}{pause},"
        " measured when this figure was drawn; `specc time` shows each kernel. The values of a"
        f" batch are {written(values)} {unit}{shared}."
    )
    figures = {"step": times.step, "bytes": float(found.bytes.sum())}
    title = "Time and memory by layer"
    return Figure("cost", title, (time_panel, memory_panel), caption, columns=2, figures=figures)


def _step(net: Net) -> str:
    if net.program.updates:
        return "A training step"
    return "An evaluation" if net.program.losses else "A prediction"


def of_step(net: Net, times: StepTimes) -> StepCost:
    """The measured time and the planned memory of a step by layer."""
    from specc.backend.emit.calls import element_bytes
    from specc.backend.listing import ORDER, part_of_call, parts_of_step

    layers = [each.path for each in net.program.layers]
    place = {path: k for k, path in enumerate(dict.fromkeys(layers))}
    count = len(place)
    seconds, sizes = np.zeros((count + 1, len(ORDER))), np.zeros((count + 1, len(MEMORY)))
    plan, roles = times.plan, parts_of_step(times.plan, times.update)
    for call in times.calls:
        part = ORDER.index(part_of_call(call, roles)) if net.program.updates else 0
        share = call.shards / times.threads
        seconds[_row(call.layer, place), part] += call.seconds * share
    for path, array in net.params.items():
        sizes[_row(path, place), 0] += array.nbytes
    for update in net.program.updates:
        for state in update.states:
            array = net.states[state.path]
            sizes[_row(update.path, place), 1] += array.nbytes
    for node, spot in plan.allocations.items():
        if spot.space not in ("arena", "shared"):
            continue
        lanes = plan.lanes if node.type.batched else 1
        copies = plan.arenas if spot.space == "arena" else 1
        size = node.type.bound_elements * lanes * element_bytes(node.type.kind, net.dtype) * copies
        sizes[_row(node.origin.word, place), 2] += size
    return StepCost((*place, NO_LAYER), seconds, sizes, times)


def _row(path: str, place: dict[str, int]) -> int:
    """The row of a layer, or of the one that a part of it or a parameter belongs to."""
    while path:
        if path in place:
            return place[path]
        path = path.rpartition(".")[0]
    return len(place)


def _largest(found: StepCost) -> StepCost:
    """The layers that take the most, in their order; the others together, and what has no layer."""
    weight = found.seconds.sum(1) / max(found.seconds.sum(), 1e-12)
    weight = weight + found.bytes.sum(1) / max(found.bytes.sum(), 1.0)
    layers = len(found.layers) - 1
    order = np.argsort(-weight[:layers], kind="stable")
    shown = sorted(k for k in order[:MOST_LAYERS] if weight[k] > 0)
    left = sorted({*range(layers)} - {*shown})
    rows: list[Sequence[int]] = [[k] for k in shown]
    names = [found.layers[k] for k in shown]
    if left and weight[left].any():
        rows.append(left)
        names.append(OTHERS)
    if weight[-1] > 0:
        rows.append([layers])
        names.append(NO_LAYER)
    seconds, sizes = (
        np.stack([table[list(each)].sum(0) for each in rows])
        for table in (found.seconds, found.bytes)
    )
    return StepCost(tuple(names), seconds, sizes, found.times)


def _bars(
    layers: tuple[str, ...],
    values: np.ndarray,
    names: Sequence[str],
    title: str,
    unit: str,
    told: Callable[[float], str],
) -> Panel:
    """Bars side by side for each layer: `values` is [layers, names]."""
    marks: list[Mark] = []
    places = np.arange(len(layers))
    for k, name in enumerate(names):
        x = places + (k - (len(names) - 1) / 2) * WIDTH
        titles = tuple(
            f"{layer}, {name}: {told(float(value))}"
            for layer, value in zip(layers, values[:, k], strict=True)
        )
        marks.append(Bars(x, values[:, k], WIDTH, name, titles=titles))
    return Panel(tuple(marks), title, Axis(names=layers), Axis(unit))


def _unit(most: float) -> tuple[str, float]:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if most >= scale:
            return unit, scale
    return "bytes", 1.0
