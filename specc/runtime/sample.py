"""Texts that a model writes, symbol by symbol.

    writer = Writer(net, vocabulary)       # a net of one step and one slot
    for symbol in writer.write("ROMEO:", 500, temperature=0.8, seed=1): ...

The model reads one symbol, its cells keep their state, and its output is a score for each symbol
that may come next, of which one is drawn: p = softmax(scores / temperature). A model that looks
back at the symbols before, as attention does, reads all of its last ones: `WindowWriter`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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

    def start(self) -> None:
        """Begin a new text."""
        self._begin[...] = 1

    def read(self, number: int) -> np.ndarray:
        """The scores of what may follow, after one more symbol: [symbols]."""
        self._symbol[...] = number
        outputs = self.net.predict_rows(self._data, self._slots)
        self._begin[...] = 0
        return self._scores(outputs, 0)

    def _scores(self, outputs: Mapping[str, np.ndarray], step: int) -> np.ndarray:
        """The scores at a step, in the first output that has one for each symbol."""
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
        """`length` symbols that follow the prompt. With `temperature` 0 always the likeliest; `top`
        bounds the draw to so many likeliest ones. Raises KeyError for a symbol that is not known.
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
    """A compiled model of all steps and one slot, whose steps look back at those before.

    The window has the last symbols; once it is full, the first one is dropped. Symbols after the
    last one must not change its scores: the model is causal.
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
        self._begin[...] = 1  # states begin anew, as the window is read from its first symbol
        return self._scores(self.net.predict_rows(self._data, self._slots), self._count - 1)
