"""A model that reads a sequence one time step at a time, and keeps what later steps need.

steps = StepByStep(made, port, 32, compiled)     # made(room): a `Stepwise` for so many steps
reading = steps.over(data, rows=2)               # runs the encoder
reading.read(word[:, 0])                         # [n, classes]: the scores of what follows
reading.read(word[:, 1])

What is kept of the steps so far is in buffers that double when they are full, and each size has a
program of its own: a step costs as much as a text of that length needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

import numpy as np

from specc.backend.run.program import CompiledProgram
from specc.backend.run.stepping import Stepping
from specc.ir.graph import Graph
from specc.ir.names import OutputKind, kind_of
from specc.ops.leaf import Input, Role
from specc.passes.stepwise import BEGIN, NUMBER, Stepwise
from specc.recipe import Column, Port
from specc.system.locks import COMPILER
from specc.system.records import dataclass

LEAST_ROOM = 64  # steps of the smallest buffers
AT_ONCE = 64  # most steps that one run reads

Slots = dict[str, np.ndarray]


@dataclass(eq=False)
class StepByStep:
    """The two parts of a model, each compiled when it is first needed."""

    made: Callable[[int], Stepwise]
    port: Port
    batch: int
    compiled: Callable[[Graph, int], CompiledProgram]
    seed: int = 0
    programs: dict[int, tuple[Stepwise, CompiledProgram]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parts = self.made(self.room(1))
        self._before: CompiledProgram | None = None

    @property
    def most(self) -> int | None:
        """The most steps of a text; None if there may be any number."""
        return self.parts.steps if self.parts.is_bounded else None

    def room(self, steps: int) -> int:
        """Return the size of the buffers for so many steps."""
        room = LEAST_ROOM
        while room < steps:
            room *= 2
        return min(room, self.port.shape[0])

    @property
    def grows(self) -> bool:
        """Whether small buffers do for a short text."""
        return bool(self.parts.buffers) and self.parts.room < self.parts.steps

    def program(self, steps: int) -> tuple[Stepwise, CompiledProgram]:
        """Return the step with buffers for so many steps, compiled."""
        room = self.room(steps) if self.grows else self.parts.room
        if room not in self.programs:
            with COMPILER:
                if room not in self.programs:
                    parts = self.made(room)
                    self.programs[room] = parts, self.compiled(parts.step, self.batch)
        return self.programs[room]

    def over(self, data: Mapping[str, Column], rows: int) -> Reading:
        """Return what reads the symbols of some examples, step by step."""
        kept: dict[str, np.ndarray] = {}
        if self.parts.before.outputs:
            if self._before is None:
                with COMPILER:
                    self._before = self.compiled(self.parts.before, self.batch)
            _, kept = self._before.run(data, np.arange(rows), self.batch, seed=self.seed)
        return Reading(self, kept, rows)


class Reading:
    """Texts that are read side by side, one for each of `rows` examples."""

    def __init__(self, steps: StepByStep, kept: Mapping[str, np.ndarray], rows: int):
        self._steps, self._kept, self._rows = steps, kept, rows
        self.count = 0  # the steps that were read
        self._starts = range(0, rows, steps.batch)
        self._now: _Compiled | None = None
        self._slots: list[Slots] = []  # what each batch has left, if there are several

    @property
    def most(self) -> int | None:
        """The most steps of a text; None if there may be any number."""
        return self._steps.most

    def start(self) -> None:
        """Begin anew, with empty texts."""
        self.count = 0

    def read(self, symbols: np.ndarray) -> np.ndarray:
        """Read a symbol of each example, int [rows], or several, [steps, rows].

        Returns the scores of the symbol that follows the last one, [rows, classes]. They are valid
        until the next call.
        """
        symbols = np.asarray(symbols).reshape(-1, self._rows)
        scores = np.empty(0)
        while len(symbols):
            compiled = self._compiled(self.count + len(symbols))
            several = symbols[: compiled.at_once]
            found = []
            for number, start in enumerate(self._starts):
                if self._slots:
                    compiled.take(self._slots[number])
                rows = slice(start, min(start + self._steps.batch, self._rows))
                found.append(compiled.run(self.count, rows, several[:, rows]))
                if self._slots:
                    compiled.give(self._slots[number])
                    found[-1] = found[-1].copy()
            scores = found[0] if len(found) == 1 else np.concatenate(found)
            self.count += len(several)
            symbols = symbols[len(several) :]
        return scores

    def _compiled(self, steps: int) -> _Compiled:
        """Return the program with room for so many steps, in which the slots are as they were."""
        parts, program = self._steps.program(max(steps, 1))
        last = self._now
        if last is not None and (last.parts is parts or last.parts.room >= parts.room):
            return last
        now = self._now = _Compiled(parts, program, self._steps, self._kept)
        several = len(self._starts) > 1
        if last is None and several:
            self._slots = [now.begin_with(start, self._rows) for start in self._starts]
        elif last is None:
            now.begin_with(0, self._rows)
        elif several:
            self._slots = [now.grown(slots) for slots in self._slots]
        else:
            now.take(now.grown(last.slots))
        return now


class _Compiled:
    """A compiled step with its memory, and the columns that it reads."""

    def __init__(
        self,
        parts: Stepwise,
        program: CompiledProgram,
        steps: StepByStep,
        kept: Mapping[str, np.ndarray],
    ):
        self.parts, self._kept, self._batch = parts, kept, steps.batch
        leaves = [node.op for node in parts.step.nodes if isinstance(node.op, Input)]
        self._wholes = [op.label for op in leaves if op.role == Role.SLOT and op.label in kept]
        # kept values that are not numbers, which are read like data
        given = [op.label for op in leaves if op.role == Role.INPUT and op.label in kept]
        self._by_step = [name for name in given if name in parts.by_step]
        self._given = [name for name in given if name not in parts.by_step]
        self.at_once = 1 if given else AT_ONCE
        most = self.at_once * steps.batch
        self._port, self._output = steps.port.name, _scores(parts)
        self._arrays: dict[str, np.ndarray] = {
            BEGIN: np.zeros(most, np.uint8),
            NUMBER: np.zeros(most, np.int32),
            steps.port.name: np.zeros(most, np.int32),
        }
        for name in given:
            array = kept[name]
            shape = array.shape[2:] if name in parts.by_step else array.shape[1:]
            self._arrays[name] = np.zeros((most, *shape), array.dtype)
        columns = {name: Column(array) for name, array in self._arrays.items()}
        self._steps = Stepping(program, columns, steps.batch, steps.seed)
        self.slots = self._steps.slots

    def run(self, first: int, rows: slice, symbols: np.ndarray) -> np.ndarray:
        """Run steps numbered from `first` on some of the examples: the scores of the last."""
        steps, count = symbols.shape
        number = self._arrays[NUMBER][: symbols.size].reshape(symbols.shape)
        number[...] = np.arange(first, first + steps)[:, None]
        self._arrays[BEGIN][: symbols.size] = number.reshape(-1) == 0
        self._arrays[self._port][: symbols.size] = symbols.reshape(-1)
        for name in self._by_step:
            self._arrays[name][:count] = self._kept[name][rows, first]
        for name in self._given:
            self._arrays[name][:count] = self._kept[name][rows]
        return self._steps.run(count, steps)[self._output]

    def begin_with(self, start: int, rows: int) -> Slots:
        """Set the slots for the examples from `start` on: what is kept of them, and 0."""
        for label, array in self.slots.items():
            array[...] = 0
            if label in self._wholes:
                self._steps.fill(label, self._kept[label][start : min(start + self._batch, rows)])
        return {label: array.copy() for label, array in self.slots.items()}

    def take(self, slots: Slots) -> None:
        for label, array in self.slots.items():
            array[...] = slots[label]

    def give(self, slots: Slots) -> None:
        for label, array in self.slots.items():
            if label not in self._wholes:
                slots[label][...] = array

    def grown(self, slots: Slots) -> Slots:
        """Return slots of smaller buffers as those of this step: rows are added at the end."""
        found = {}
        for label, array in self.slots.items():
            found[label] = np.zeros_like(array)
            found[label][:, : slots[label].shape[1]] = slots[label]
        return found


def _scores(parts: Stepwise) -> str:
    (name,) = (name for name in parts.step.outputs if kind_of(name) != OutputKind.SLOT)
    return name
