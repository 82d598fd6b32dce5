"""Describe a measured flow in sentences.

the gradient at step 1 is 3e-09 times the gradient at step 50 (0.67 per step): it vanishes
"""

from __future__ import annotations

import math

from specc.flow.figures import CellFlow, Flow, LayerFlow

VANISHES, FADES, GROWS, EXPLODES = 1e-3, 0.1, 10.0, 1e3
"""Bounds of the ratio between the gradients of the first and the last layer or step."""

MANY = 0.5  # the smallest share of saturated or dead units that the verdict mentions


def verdict(flow: Flow) -> list[str]:
    """Return sentences on each cell, the layers, dead and saturated units, and the norm."""
    if not math.isfinite(flow.loss):
        return [f"the loss is {flow.loss}, so the gradients are meaningless"]
    found = [_cell(each, flow) for each in flow.cells]
    depth = _depth(flow)
    if depth is not None:
        found.append(depth)
    found += _units(flow)
    found.append(_norm(flow))
    return found


def _units(flow: Flow) -> list[str]:
    """Return sentences on the layers half of whose units, or more, do not learn."""
    found = []
    for name, what, meaning in (
        ("dead", "units", "are 0 for every example (dead), so they learn nothing"),
        ("saturated", "values", "are saturated, so their slope is almost 0"),
    ):
        hit = [
            (each.path, getattr(each, name))
            for each in flow.layers
            if (getattr(each, name) or 0) >= MANY
        ]
        if len(hit) == 1:
            ((path, share),) = hit
            found.append(f"{path}: {share:.0%} of its {what} {meaning}")
        elif hit:
            paths = [path for path, _ in hit]
            listed = ", ".join(paths) if len(paths) < 5 else f"{paths[0]} .. {paths[-1]}"
            found.append(f"in {len(hit)} layers half of the {what} or more {meaning} ({listed})")
    return found


def judgement(ratio: float) -> str:
    """Return what happens to a gradient that changes by the factor `ratio` on its way back."""
    if math.isnan(ratio) or math.isinf(ratio):
        return "explodes"
    for bound, word in (
        (VANISHES, "vanishes"),
        (FADES, "fades"),
        (GROWS, "keeps its size"),
        (EXPLODES, "grows"),
    ):
        if ratio < bound:
            return word
    return "explodes"


def _cell(cell: CellFlow, flow: Flow) -> str:
    if not any(cell.total):
        return f"{cell.path}: no gradient reaches its states"
    if cell.start == 1:
        return f"{cell.path}: no gradient reaches a later step than the first"
    word = judgement(cell.ratio)
    rate = "" if cell.decay is None else f" ({number(cell.decay)} per step)"
    return (
        f"{cell.path}: the gradient at step 1 is {number(cell.ratio)} times the gradient at"
        f" step {cell.start}{rate}: it {word}{_remedy(word, flow)}"
    )


def _remedy(word: str, flow: Flow) -> str:
    if word == "vanishes":
        return ", so the model cannot learn from inputs that early"
    if word == "explodes":
        return (
            "; `clip_norm` bounds the update"
            if flow.clip_norm is not None
            else "; `clip_norm = 1` in `train` would bound the update"
        )
    return ""


def _depth(flow: Flow) -> str | None:
    """Return a sentence on the way from the last layer to the first, or None.

    In a model with cells, only a gradient that vanishes is reported. A layer of a sequence counts
    with its largest time step, which hides vanishing over time but not exploding.
    """
    row = on_the_way(flow)
    if len(row) < 2:
        return None
    first, last = row[0], row[-1]
    ratio = first.relative or 0.0
    word = judgement(ratio)
    if flow.cells and word != "vanishes":
        return None
    return (
        f"layers: the gradient at the first, {first.path}, is {number(ratio)} times the"
        f" gradient at the last, {last.path}: it {word}"
    )


def on_the_way(flow: Flow) -> list[LayerFlow]:
    """Return the layers from the first to the last that a gradient reaches, except within cells."""
    found = [each for each in flow.layers if not each.is_within_cell and each.gradient is not None]
    while found and not found[-1].gradient:
        found.pop()
    return found


def _norm(flow: Flow) -> str:
    text = f"the norm of all gradients is {number(flow.norm)}"
    if flow.clipped_norm is None:
        return text
    bounds = [
        f"{name} = {value:g}"
        for name, value in (("clip_value", flow.clip_value), ("clip_norm", flow.clip_norm))
        if value is not None
    ]
    if flow.clipped_norm < flow.norm:
        return f"{text}; clipping ({', '.join(bounds)}) scales it to {number(flow.clipped_norm)}"
    return f"{text}, which clipping ({', '.join(bounds)}) does not change"


def number(value: float) -> str:
    """Return a value with two or three digits: 0.82, 3.1e-09, 14."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 999.5 else f"{value:.1e}"
