"""Batches of short examples: a model over fewer steps than its file says.

    list(stretches(ports, data, order, batch=32))    # [(("written", 24),), 0, 64), ..]
    shorter(program, (("written", 24),))   # the model over 24 steps; None where that is another one

A sequence of varying length has a few sizes, eighths of the most that it may have: for each of them
a program is compiled when a batch first needs it, from the same kernels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from specc import pipeline
from specc.ir.program import Program
from specc.passes.shorter import computes_the_same
from specc.recipe import Column, Port

PARTS = 8
LEAST = 8  # steps of a sequence that is worth it

Sizes = tuple[tuple[str, int], ...]


def stretches(
    ports: Iterable[Port], data: Mapping[str, Column], order: np.ndarray, batch: int
) -> Iterator[tuple[Sizes, int, int]]:
    """The rows order[start:stop] of neighbouring batches that fit into the same sizes."""
    varying = _varying(ports)
    batches = range(0, len(order), batch)
    fitting = np.array(
        [
            [
                _fitting(data[name].array[order[start : start + batch]].max(), most)
                for _, most, name in varying
            ]
            for start in batches
        ]
    )
    first = 0
    for number in range(1, len(batches) + 1):
        if number == len(batches) or (fitting[number] != fitting[first]).any():
            sizes = tuple(
                (sequence, size)
                for (sequence, most, _), size in zip(varying, fitting[first].tolist(), strict=True)
                if size < most
            )
            yield sizes, batches[first], min(number * batch, len(order))
            first = number


def steps_of(ports: Iterable[Port], data: Mapping[str, Column]) -> np.ndarray | None:
    """The steps of each example, of all sequences together; None where none is worth it."""
    counts = [data[name].array for *_, name in _varying(ports)]
    return np.sum(counts, axis=0) if counts else None


def _fitting(longest: int, most: int) -> int:
    part = -(-most // PARTS)
    return min(most, max(1, -(-int(longest) // part)) * part)


def _varying(ports: Iterable[Port]) -> list[tuple[str, int, str]]:
    """The sequences of varying length: their names, most steps, and the ports that count them."""
    owners = {port.name: port for port in ports}
    found = [(owners[port.length_of], port.name) for port in owners.values() if port.length_of]
    return [
        (owner.sequence, owner.shape[0], name)
        for owner, name in found
        if owner.sequence is not None and owner.shape[0] >= LEAST
    ]


def shorter(program: Program, sizes: Sizes) -> Program | None:
    """The program over fewer steps; None where it does not compute the same."""
    other = program.resized(dict(sizes)) if program.resized and not program.streams else None
    if other is None:
        return None
    fewer = dict(sizes)
    steps = {
        (port.shape[0], fewer[port.sequence]) for port in program.ports if port.sequence in fewer
    }
    trained, short = (replace(each, outputs=()) for each in (program, other))
    same = [each.path for each in program.parameters] == [each.path for each in other.parameters]
    if not same or not computes_the_same(
        pipeline.forward(trained, training=True), pipeline.forward(short, training=True), steps
    ):
        return None
    return replace(
        program,
        ports=other.ports,
        states=other.states,
        losses=other.losses,
        metrics=other.metrics,
        outputs=other.outputs,
        carries=other.carries,
    )
