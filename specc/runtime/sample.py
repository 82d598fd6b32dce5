"""Texts that a model generates, symbol by symbol.

    writer = Writer(reading, 64, vocabulary)     # a specc.net.step_by_step.Reading of one text
    for symbol in writer.write("ROMEO:", 500, temperature=0.8, seed=1): ...
    writer.write_all(["ROMEO:", "All:"], 500)    # of a reading of two texts

The model reads one symbol, and its output is a score for each symbol that may come next, of which
one is drawn: p = softmax(scores / temperature). What it needs of the steps before it keeps: the
states of cells, the keys and values of attention. A model whose steps depend on later ones reads
its last symbols anew for each new one: `WindowWriter`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from specc.recipe import Column, Port
from specc.runtime.compiled import StepModel
from specc.runtime.data import tokens
from specc.runtime.decode import draw


class Readable(Protocol):
    """A model that reads texts side by side, step by step."""

    count: int
    """The symbols of each text that were read so far."""

    def start(self) -> None: ...

    def read(self, symbols: np.ndarray) -> np.ndarray:
        """Read symbols, [steps, texts]; the scores of what follows the last, [texts, symbols]."""
        ...


class _Writer:
    """What generates a text from the scores of a model."""

    def __init__(self, vocabulary: Sequence[str], unknown: str | None = None):
        """`unknown` replaces symbols that are not in the vocabulary, if the vocabulary has it."""
        self.vocabulary, self.unknown = tuple(vocabulary), unknown or tokens.UNKNOWN

    @abstractmethod
    def start(self) -> None:
        """Begin a new text."""

    @abstractmethod
    def read(self, *numbers: int) -> np.ndarray:
        """The scores of what may follow, after one more symbol or several: [symbols]."""

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
        numbers, random = self._begun(prompt, seed)
        self.start()
        scores = self.read(*numbers)
        for left in range(length, 0, -1):
            number = draw(scores, temperature, top, random)
            yield self.vocabulary[number]
            if left > 1:
                scores = self.read(number)

    def write_all(
        self,
        prompts: Sequence[Sequence[str]],
        length: int,
        temperature: float = 1.0,
        top: int | None = None,
        seed: int = 0,
    ) -> list[list[str]]:
        """Return what `write` yields for each prompt, the first with `seed`, the next with one
        more."""
        return [
            list(self.write(prompt, length, temperature, top, seed + number))
            for number, prompt in enumerate(prompts)
        ]

    def _begun(self, prompt: Sequence[str], seed: int) -> tuple[list[int], np.random.Generator]:
        """Return the numbers of a prompt's symbols, and the random numbers for its text."""
        place = {symbol: number for number, symbol in enumerate(self.vocabulary)}
        random = np.random.Generator(np.random.Philox(seed))
        unknown = place.get(self.unknown)
        numbers = [place[each] if unknown is None else place.get(each, unknown) for each in prompt]
        return numbers or [int(random.integers(len(place)))], random


class Writer(_Writer):
    """A model that continues from what it keeps of the steps before.

    If it has no more than `most` steps, a longer text moves on in a window of so many symbols: when
    the window is full, its second half is read anew, as the first half of the next one. So every
    symbol is drawn after at least half a window.
    """

    def __init__(
        self,
        reading: Readable,
        most: int | None,
        vocabulary: Sequence[str],
        unknown: str | None = None,
    ):
        super().__init__(vocabulary, unknown)
        self._reading, self._most = reading, most
        self._window: list[np.ndarray] = []  # of each step, the symbols of all texts

    def start(self) -> None:
        self._reading.start()
        self._window.clear()

    def read(self, *numbers: int) -> np.ndarray:
        return self._read([np.array([each]) for each in numbers])[0]

    def _read(self, symbols: list[np.ndarray]) -> np.ndarray:
        """Read symbols of all texts, [texts] each: the scores of what follows, [texts, symbols]."""
        if self._most is not None:
            before, self._window = self._window, [*self._window, *symbols]
            if len(self._window) > self._most:
                # a prompt that is too long fills the window
                kept = self._most if not before else self._most // 2 + 1
                symbols = self._window = self._window[-kept:]
                self._reading.start()
        return self._reading.read(np.stack(symbols)).astype(np.float64)

    def write_all(
        self,
        prompts: Sequence[Sequence[str]],
        length: int,
        temperature: float = 1.0,
        top: int | None = None,
        seed: int = 0,
    ) -> list[list[str]]:
        """Return the texts of all prompts, which the reading reads side by side.

        All read a symbol at each step: while a text is in its prompt, others are already written.
        """
        begun = [self._begun(prompt, seed + number) for number, prompt in enumerate(prompts)]
        texts = [numbers[-(self._most or len(numbers)) :] for numbers, _ in begun]
        counts = [len(text) for text in texts]
        if not length:
            return [[] for _ in texts]
        self.start()
        scores = self._read(list(np.array([text[: min(counts)] for text in texts]).T))
        for step in range(min(counts), max(counts) + length):
            for text, count, row, (_, random) in zip(texts, counts, scores, begun, strict=True):
                if step >= count:
                    text.append(draw(row, temperature, top, random))
            if step + 1 < max(counts) + length:
                scores = self._read([np.array([text[step] for text in texts])])
        return [
            [self.vocabulary[number] for number in text[count : count + length]]
            for text, count in zip(texts, counts, strict=True)
        ]


class WindowWriter(_Writer):
    """A compiled model of all steps, which reads the last symbols anew for each new one.

    Once the window of its steps is full, the first symbol is dropped.
    """

    def __init__(self, net: StepModel, vocabulary: Sequence[str], unknown: str | None = None):
        super().__init__(vocabulary, unknown)
        self.net = net
        self.port: Port = next(
            port for port in net.ports if port.kind == "class" and port.role == "input"
        )
        self._symbols = np.zeros((1, *self.port.shape), np.int32)
        self._data = {self.port.name: Column(self._symbols)}
        self._lengths = []
        for port in net.ports:
            if port.begin_of == self.port.name:
                # states begin anew, as the window is read from its first symbol
                self._data[port.name] = Column(np.ones((1,), np.uint8))
            if port.length_of == self.port.name:
                self._lengths.append(np.ones((1,), np.int32))
                self._data[port.name] = Column(self._lengths[-1])
        self._slots = {name: np.zeros_like(array[:1]) for name, array in net.slots.items()}
        self._count = 0

    def start(self) -> None:
        self._count = 0

    def read(self, *numbers: int) -> np.ndarray:
        window = self._symbols.reshape(-1)
        both = [*window[: self._count], *numbers][-len(window) :]
        self._count = len(both)
        window[: self._count] = both
        for each in self._lengths:
            each[...] = self._count
        return self._scores(self.net.predict_rows(self._data, self._slots))

    def _scores(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The scores after the last symbol, in the first output that has one for each symbol."""
        count = len(self.vocabulary)
        found = next(
            each for each in outputs.values() if each.shape[-1] == count or each.size == count
        )
        rows = found.reshape(-1, count)
        return rows[min(self._count, len(rows)) - 1].astype(np.float64)
