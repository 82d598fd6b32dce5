"""The checked columns of all ports of a model, including those derived from other ports.

found = []
columns = columns_of(request, fields, vocabularies, found)     # {"x": Column, ..}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from specc.diagnostics import Diagnostic
from specc.recipe import Column, Port
from specc.runtime.data import bind
from specc.runtime.data.field import Field, is_sequence
from specc.runtime.data.request import Request
from specc.runtime.errors import AllMissing, DataError


@contextmanager
def collected(found: list[Diagnostic]) -> Iterator[None]:
    """Collect the diagnostics of a `DataError` in `found`; re-raise `AllMissing`."""
    try:
        yield
    except AllMissing:
        raise
    except DataError as error:
        found.extend(error.diagnostics)


def columns_of(
    request: Request,
    fields: Mapping[str, Field],
    vocabularies: Mapping[str, tuple[str, ...]],
    found: list[Diagnostic],
) -> dict[str, Column]:
    """Return the columns of all ports, including derived ones. Errors are added to `found`."""
    columns = {}
    by_name = {port.name: port for port in request.ports}
    for port in request.ports:
        with collected(found):
            columns[port.name] = bind.column(
                request, port, fields[port.name], vocabularies.get(port.name)
            )
            _check_lengths(request, port, fields[port.name])
    for port in request.derived:
        if port.length_of:
            first = by_name[port.length_of]
            lengths = bind.lengths(first, fields[first.name])
            columns[port.name] = Column(lengths)
            for other in request.ports:
                if other.sequence == first.sequence and other is not first:
                    _check_equal(request, first, lengths, other, fields[other.name], found)
        elif port.begin_of:  # examples without an order: each is a stream of its own
            columns[port.name] = Column(np.ones(len(fields[port.begin_of].array), np.uint8))
    return columns


def _check_equal(
    request: Request,
    first: Port,
    lengths: np.ndarray,
    other: Port,
    field: Field,
    found: list[Diagnostic],
) -> None:
    """Check that two ports over the same sequence have equal lengths in every example."""
    own = bind.lengths(other, field)
    lengths = lengths[: len(own)]  # one sample may have more rows than the other
    wrong = own[: len(lengths)] != lengths
    if wrong.any():
        row = int(np.argmax(wrong))
        found.extend(
            request.error(
                f"{field.location(row, 0)}: `{other.name}` has {own[row]} steps there, but"
                f" `{first.name}` has {lengths[row]}",
                argument=0,
                help=f"both run over `{first.sequence}`: declare another `seq` for one of them",
            ).diagnostics
        )


def _check_lengths(request: Request, port: Port, field: Field) -> None:
    """Raise `DataError` for empty sequences, and for unequal lengths if they may not vary."""
    if field.texts is None and not is_sequence(port):
        return
    lengths = bind.lengths(port, field)
    varies = bind.varies(request, port)
    if field.texts is None and not varies:
        return
    wrong = lengths < 1 if varies else lengths != port.shape[0]
    if wrong.any():
        row = int(np.argmax(wrong))
        raise request.error(
            f"{field.location(row, 0)}: `{port.name}` has {lengths[row]} steps there"
            + ("" if varies else f", and not {port.shape[0]}"),
            argument=0,
            port=port,
            help="leave out such examples"
            if varies
            else f"`class(..)[<= {port.sequence}]` is a variable-length sequence",
        )
