"""Prepared calls of training steps and gradients, one for each number of rows.

ready = Ready(programs, Kind.TRAIN)
call = ready.call({"image": images, "label": labels})     # None: there is no prepared call
loss = call(arrays, first=step, settings=address)         # None if the arrays do not fit
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from specc.backend.run.prepared import Loss
from specc.net.programs import Programs
from specc.recipe import Port
from specc.system.locks import COMPILER

MOST_PREPARED = 16  # most prepared calls, one for each number of rows
QUICK = 1024  # most rows of a prepared call
QUICK_ELEMENTS = (
    1 << 23
)  # most elements of the inputs of a prepared call, which holds memory for them


class Ready:
    """The prepared calls of one kind of program, which records a loss."""

    def __init__(self, programs: Programs, kind: str) -> None:
        self._programs, self._kind = programs, kind
        self._calls: dict[int, Loss] = {}

    def call(self, arrays: Mapping[str, np.ndarray]) -> Loss | None:
        """Return the prepared call for such arrays; None if there is none."""
        rows = rows_of(arrays)
        found = self._calls.get(rows)
        return found if found is not None else self._made(rows)

    def _made(self, rows: int) -> Loss | None:
        programs = self._programs
        ports = programs.program.ports
        if (
            not is_small(ports, rows, programs.batch)
            or programs.weights.slots
            or len(self._calls) >= MOST_PREPARED
        ):
            return None
        program = programs.compiled(self._kind, rows)
        with COMPILER, programs.clock.running():
            if rows not in self._calls:
                read = [port for port in ports if port.name in program.ports]
                read.sort(key=lambda port: program.ports.index(port.name))
                others = [port for port in ports if port.name not in program.ports]
                self._calls[rows] = Loss(
                    program, read, rows, rows, programs.seed, others, ran=programs.ran
                )
            return self._calls[rows]


def rows_of(arrays: Mapping[str, np.ndarray]) -> int:
    """Return the number of examples in arrays; 0 if they are not arrays of examples."""
    for first in arrays.values():
        return len(first) if type(first) is np.ndarray and first.ndim else 0
    return 0


def is_small(ports: tuple[Port, ...] | list[Port], rows: int, batch: int) -> bool:
    """Return whether so many rows are few enough for a prepared call."""
    if not 0 < rows <= max(QUICK, batch):
        return False
    elements = sum(int(np.prod(port.shape, dtype=np.int64)) for port in ports)
    return rows <= batch or rows * elements <= QUICK_ELEMENTS
