"""Texts that a model writes, symbol by symbol.

    writer = Writer(net, vocabulary)       # a net of one step and one slot
    for symbol in writer.write("ROMEO:", 500, temperature=0.8, seed=1): ...

The model reads one symbol, its cells keep their state, and its output is a score for each symbol
that may come next, of which one is drawn: p = softmax(scores / temperature).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from specc.recipe import Column
from specc.runtime.compiled import StepModel
from specc.runtime.data import tokens
from specc.runtime.decode import draw


class Writer:
    """A compiled model of one step and one slot, with what its cells remember."""

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

    def read(self, number: int) -> np.ndarray:
        """The scores of what may follow, after one more symbol: [symbols]."""
        self._symbol[...] = number
        outputs = self.net.predict_rows(self._data, self._slots)
        self._begin[...] = 0
        scores = next(array for array in outputs.values() if array.size == len(self.vocabulary))
        return scores.reshape(-1).astype(np.float64)

    def write(
        self,
        prompt: Sequence[str],
        length: int,
        temperature: float = 1.0,
        top: int | None = None,
        seed: int = 0,
    ) -> Iterator[str]:
        """`length` symbols that follow the prompt. With `temperature` 0 always the likeliest; `top`
        bounds the draw to so many likeliest ones. Raises KeyError for a symbol that is not known.
        """
        place = {symbol: number for number, symbol in enumerate(self.vocabulary)}
        random = np.random.Generator(np.random.Philox(seed))
        self._begin[...] = 1
        unknown = place.get(self.unknown)
        numbers = [place[each] if unknown is None else place.get(each, unknown) for each in prompt]
        for number in numbers or [int(random.integers(len(place)))]:
            scores = self.read(number)
        for _ in range(length):
            number = draw(scores, temperature, top, random)
            yield self.vocabulary[number]
            scores = self.read(number)
