"""Texts as sequences of classes: symbols, their vocabulary, and their class indices.

    symbols("to be", "char")                     # ["t", "o", " ", "b", "e"]
    vocabulary = alphabet(parts, limit=None)     # (" ", "b", "e", "o", "t")
    numbers(parts, places(vocabulary))           # integers; -1 for an unknown symbol

Words are runs of letters, digits and apostrophes, in lower case. Any other character except white
space is a separate word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

UNKNOWN = "<unk>"
"""The symbol for words that are not in the vocabulary."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\w\s]|_")


def symbols(text: str, level: str) -> list[str]:
    """Split a text into symbols: characters, or words."""
    return list(text) if level == "char" else _WORD.findall(text.lower())


def joined(parts: Iterable[str], level: str) -> str:
    """Join symbols into a text."""
    return "".join(parts) if level == "char" else " ".join(parts)


def alphabet(
    parts: Iterable[str], level: str, limit: int | None = None, unknown: str | None = None
) -> tuple[str, ...]:
    """Return the sorted vocabulary.

    With a `limit`, it has at most that many symbols: the most frequent ones, with ties in
    alphabetical order. A vocabulary of words always has a symbol for unknown words, `UNKNOWN` by
    default.
    """
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
    """Return the index of each symbol in the vocabulary."""
    return {symbol: number for number, symbol in enumerate(vocabulary)}


def numbers(
    parts: Sequence[str], place: Mapping[str, int], unknown: str | None = None
) -> np.ndarray:
    """Return the indices of symbols, int32; unknown symbols get the index of `unknown`, or -1."""
    other = place.get(unknown if unknown is not None else UNKNOWN, -1)
    return np.fromiter((place.get(each, other) for each in parts), np.int32, len(parts))
