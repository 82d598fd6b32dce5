"""Texts that a model generates, symbol by symbol.

    writer = Writer(net, vocabulary)       # a net of one time step and one stream slot
    for symbol in writer.write("ROMEO:", 500, temperature=0.8, seed=1): ...

The model reads one symbol, its cells keep their state, and its output scores each symbol that may
come next. One of them is drawn with probability softmax(scores / temperature). A model that looks
back at earlier symbols, as attention does, reads a window of the last ones: `WindowWriter`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from specc.recipe import Column
from specc.runtime.compiled import StepModel
from specc.runtime.data import tokens
from specc.runtime.decode import draw


class Writer:
    """A compiled model of one time step and one stream slot, with the state of its cells."""

    def __init__(self, net: StepModel, vocabulary: Sequence[str], unknown: str | None = None):
        """`unknown` replaces symbols that are not in the vocabulary, if the vocabulary has it."""
        self.net, self.vocabulary, self.unknown = net, tuple(vocabulary), unknown or tokens.UNKNOWN
        self.port = next(
            port for port in net.ports if port.kind == "class" and port.role == "input"
        )
        begin = next(port for port in net.ports if port.begin_of == self.port.name)
        self._symbol = np.zeros((1, *self.port.shape), np.int32)
        self._begin = np.ones((1,), np.uint8)
        self._data = {self.port.name: Column(self._symbol), begin.name: Column(self._begin)}
        for port in net.ports:
            if port.length_of == self.port.name:
                self._data[port.name] = Column(np.ones((1,), np.int32))
        self._slots = {name: np.zeros_like(array[:1]) for name, array in net.slots.items()}

    def start(self) -> None:
        """Start a new text with the initial states."""
        self._begin[...] = 1

    def read(self, number: int) -> np.ndarray:
        """Read one more symbol and return the scores of the symbols that may follow: [symbols]."""
        self._symbol[...] = number
        outputs = self.net.predict_rows(self._data, self._slots)
        self._begin[...] = 0
        return self._scores(outputs, 0)

    def _scores(self, outputs: Mapping[str, np.ndarray], step: int) -> np.ndarray:
        """Return the scores at a time step, from the first output with a score per symbol."""
        count = len(self.vocabulary)
        found = next(
            each for each in outputs.values() if each.shape[-1] == count or each.size == count
        )
        return found.reshape(-1, count)[step].astype(np.float64)

    def write(
        self,
        prompt: Sequence[str],
        length: int,
        temperature: float = 1.0,
        top: int | None = None,
        seed: int = 0,
    ) -> Iterator[str]:
        """Yield `length` symbols that follow the prompt.

        With `temperature` 0 each is the most likely one; with `top`, one of the `top` most likely
        ones is drawn. Raises KeyError for an unknown symbol.
        """
        place = {symbol: number for number, symbol in enumerate(self.vocabulary)}
        random = np.random.Generator(np.random.Philox(seed))
        self.start()
        unknown = place.get(self.unknown)
        numbers = [place[each] if unknown is None else place.get(each, unknown) for each in prompt]
        for number in numbers or [int(random.integers(len(place)))]:
            scores = self.read(number)
        for _ in range(length):
            number = draw(scores, temperature, top, random)
            yield self.vocabulary[number]
            scores = self.read(number)


class WindowWriter(Writer):
    """A compiled model of several time steps and one slot, which looks back at earlier steps.

    The window has the last symbols; once it is full, the first one is dropped. The model must be
    causal: later symbols must not change the scores at a step.
    """

    def __init__(self, net: StepModel, vocabulary: Sequence[str], unknown: str | None = None):
        super().__init__(net, vocabulary, unknown)
        self._count = 0
        self._lengths = [
            np.ones((1,), np.int32) for each in net.ports if each.length_of == self.port.name
        ]
        names = [each.name for each in net.ports if each.length_of == self.port.name]
        self._data |= {
            name: Column(array) for name, array in zip(names, self._lengths, strict=True)
        }

    def start(self) -> None:
        super().start()
        self._count = 0

    def read(self, number: int) -> np.ndarray:
        window = self._symbol.reshape(-1)
        if self._count == len(window):
            window[:-1] = window[1:].copy()
            self._count -= 1
        window[self._count] = number
        self._count += 1
        for each in self._lengths:
            each[...] = self._count
        self._begin[...] = 1  # reset the states, because the window is read from its first symbol
        return self._scores(self.net.predict_rows(self._data, self._slots), self._count - 1)
