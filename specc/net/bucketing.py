"""Bucketing: batches of short examples run on a model over fewer time steps.

    list(stretches(ports, data, order, batch=32))    # [(("written", 24),), 0, 64), ..]
    shorter(program, (("written", 24),))   # the model over 24 steps; None if it differs

A variable-length sequence has eight sizes, the eighths of its greatest length. A program for a size
is compiled when a batch first needs it, from the same kernels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from specc.ir.program import Program
from specc.recipe import Column, Port

PARTS = 8
LEAST = 8  # fewest steps of a sequence that is bucketed

Sizes = tuple[tuple[str, int], ...]


def stretches(
    ports: Iterable[Port], data: Mapping[str, Column], order: np.ndarray, batch: int
) -> Iterator[tuple[Sizes, int, int]]:
    """Yield the sizes and the range order[start:stop] of adjacent batches that fit into them."""
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
    """Return the steps of each example, summed over all sequences; None if none is bucketed."""
    counts = [data[name].array for *_, name in _varying(ports)]
    return np.sum(counts, axis=0) if counts else None


def _fitting(longest: int, most: int) -> int:
    part = -(-most // PARTS)
    return min(most, max(1, -(-int(longest) // part)) * part)


def _varying(ports: Iterable[Port]) -> list[tuple[str, int, str]]:
    """Return the variable-length sequences: names, most steps, and ports that count the steps."""
    owners = {port.name: port for port in ports}
    found = [(owners[port.length_of], port.name) for port in owners.values() if port.length_of]
    return [
        (owner.sequence, owner.shape[0], name)
        for owner, name in found
        if owner.sequence is not None and owner.shape[0] >= LEAST
    ]


def shorter(program: Program, sizes: Sizes) -> Program | None:
    """Return the program over fewer steps; None if its results would differ."""
    from specc import pipeline
    from specc.passes.shorter import computes_the_same

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
