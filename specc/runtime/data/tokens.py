"""Texts as sequences of classes: symbols, their vocabulary, and their numbers.

    symbols("to be", "char")                     # ["t", "o", " ", "b", "e"]
    vocabulary = alphabet(parts, limit=None)     # (" ", "b", "e", "o", "t")
    numbers(parts, places(vocabulary))           # integers; -1 for a symbol that is in none

Words are runs of letters, digits and apostrophes, lower-cased; any other character that is no space
is a word of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

UNKNOWN = "<unk>"
"""What stands for words that are in no vocabulary."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\w\s]|_")


def symbols(text: str, level: str) -> list[str]:
    """The symbols of a text: its characters, or its words."""
    return list(text) if level == "char" else _WORD.findall(text.lower())


def joined(parts: Iterable[str], level: str) -> str:
    """Symbols as a text."""
    return "".join(parts) if level == "char" else " ".join(parts)


def alphabet(
    parts: Iterable[str], level: str, limit: int | None = None, unknown: str | None = None
) -> tuple[str, ...]:
    """The vocabulary, sorted. With a `limit`, that many symbols: the most frequent ones, of equally
    frequent ones those that are first in the alphabet. Words always have an `UNKNOWN` one."""
    counts = Counter(parts)
    if level == "word" and unknown is None:
        unknown = UNKNOWN
    if unknown is not None:
        counts.pop(unknown, None)
    chosen = sorted(counts, key=lambda each: (-counts[each], each))
    if limit is not None:
        chosen = chosen[: limit - (unknown is not None)]
    return tuple(([unknown] if unknown is not None else []) + sorted(chosen))


def places(vocabulary: Sequence[str]) -> dict[str, int]:
    """The place of each symbol in the vocabulary."""
    return {symbol: number for number, symbol in enumerate(vocabulary)}


def numbers(
    parts: Sequence[str], place: Mapping[str, int], unknown: str | None = None
) -> np.ndarray:
    """Return the numbers of symbols, int32; unknown symbols get that of `unknown`, or -1."""
    other = place.get(unknown if unknown is not None else UNKNOWN, -1)
    return np.fromiter((place.get(each, other) for each in parts), np.int32, len(parts))
