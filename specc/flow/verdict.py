"""The figures in words.

the gradient at step 1 is 3e-09 of that at step 50 (0.67 a step): it vanishes
"""

from __future__ import annotations

import math

from specc.flow.figures import CellFlow, Flow, LayerFlow

VANISHES, FADES, GROWS, EXPLODES = 1e-3, 0.1, 10.0, 1e3
"""Bounds of the share of a gradient that comes back from the last to the first layer or step."""

MANY = 0.5  # the share of units, saturated or dead, that is worth a sentence


def verdict(flow: Flow) -> list[str]:
    """Sentences: each cell, the layers, units that no longer learn, and the norm of all gradients."""
    if not math.isfinite(flow.loss):
        return [f"the loss is {flow.loss}: there are no gradients to speak of"]
    found = [_cell(each, flow) for each in flow.cells]
    depth = _depth(flow)
    if depth is not None:
        found.append(depth)
    found += _units(flow)
    found.append(_norm(flow))
    return found


def _units(flow: Flow) -> list[str]:
    """The layers of which half or more no longer learns."""
    found = []
    for name, what, meaning in (
        ("dead", "units", "are 0 for every example: dead, they learn nothing"),
        ("saturated", "values", "are saturated, where the slope is nearly 0"),
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
    """What becomes of a gradient of which this share comes back."""
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
    rate = "" if cell.decay is None else f" ({number(cell.decay)} a step)"
    return (
        f"{cell.path}: the gradient at step 1 is {_share(cell.ratio)} that at step"
        f" {cell.start}{rate}: it {word}{_remedy(word, flow)}"
    )


def _remedy(word: str, flow: Flow) -> str:
    if word == "vanishes":
        return "; what so early a step has to say is not learned"
    if word == "explodes":
        return (
            "; `clip_norm` bounds the update"
            if flow.clip_norm is not None
            else "; `clip_norm = 1` in `train` would bound the update"
        )
    return ""


def _depth(flow: Flow) -> str | None:
    """From the first layer to the last. Where there are cells, only what time does not explain: a layer
    of a sequence counts with its largest step, so that vanishing in time does not show, but exploding does."""
    row = on_the_way(flow)
    if len(row) < 2:
        return None
    first, last = row[0], row[-1]
    ratio = first.relative or 0.0
    word = judgement(ratio)
    if flow.cells and word != "vanishes":
        return None
    return (
        f"layers: the gradient at {first.path}, the first, is {_share(ratio)} that at {last.path},"
        f" the last: it {word}"
    )


def on_the_way(flow: Flow) -> list[LayerFlow]:
    """The layers from the first to the last that a gradient reaches, without those within cells."""
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
        return f"{text}; clipping ({', '.join(bounds)}) makes {number(flow.clipped_norm)} of it"
    return f"{text}, which clipping ({', '.join(bounds)}) leaves as it is"


def _share(ratio: float) -> str:
    if ratio >= 10:
        return f"{number(ratio)} times"
    return f"{number(ratio)} of"


def number(value: float) -> str:
    """A figure with two digits or three: 0.82, 3.1e-09, 14."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 999.5 else f"{value:.1e}"
