"""Facts about a function or layer, in sentences of its doc comment that the compiler reads.

    ## my_loss(scores, label): as `cross_entropy`, with classes of different weight.
    ## Takes raw scores, not the result of `softmax`.
    fn my_loss(scores: float[n], label: class(n)) = ...

    facts("Takes raw scores, not the result of `softmax`.").not_after      # ("softmax",)

The library states its facts in the same way, so a function of the user gets the same warnings as
one of the library. `SENTENCES` lists the sentences, as does `docs/doc-comments.md`. Case and line
breaks do not matter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from functools import cache
from typing import Any, NamedTuple

from specc.system.records import dataclass


class Range(NamedTuple):
    """The numbers from `low` to `high`."""

    low: float
    high: float


PROBABILITIES = Range(0.0, 1.0)
"""The range of probabilities."""


class Rates(NamedTuple):
    """The learning rates of an optimizer: `usual` ones, and the plausible bounds `low`, `high`."""

    low: float
    high: float
    usual: str


class Example(NamedTuple):
    """An example of a function: the inputs of a model, and a formula or statements with them."""

    inputs: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """The facts that a doc comment states."""

    is_max: bool | None = None  # whether higher is better
    not_after: tuple[str, ...] = ()  # functions whose result must not be the first input
    is_linear: bool = False
    results: Range | None = None  # the range of its results
    inputs: Mapping[str, Range] = field(default_factory=dict)  # the ranges of inputs
    compares: tuple[str, str] | None = None  # two inputs, either of which may be the target
    rates: Rates | None = None
    instead: tuple[str, str] | None = None  # a penalty, and the optimizer to use in its place
    example: Example | None = None


_NUMBER = r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)"
_RANGE = rf"from {_NUMBER} (?:up|to {_NUMBER})"


class Sentence(NamedTuple):
    """A sentence of a doc comment: its pattern, an example, and a function that adds its fact.

    `sign` are words that the sentence always contains: patterns are compiled only for texts with
    them.
    """

    sign: str
    form: str
    text: str
    stated: Callable[[Facts, re.Match[str]], Facts]

    def found(self, text: str) -> Iterator[re.Match[str]]:
        """Yield the matches of the sentence in a text on one line."""
        if self.sign in text.lower():
            yield from re.finditer(self.form, text, re.IGNORECASE)


def _range(low: str, high: str | None) -> Range:
    return Range(float(low), math.inf if high is None else float(high))


def _quoted(text: str) -> tuple[str, ...]:
    """Return the texts between backticks."""
    return tuple(re.findall(r"`([^`]*)`", text))


SENTENCES = (
    Sentence(
        "is better",
        r"\b(higher|lower) is better\b",
        "Higher is better.",
        lambda facts, found: replace(facts, is_max=found[1].lower() == "higher"),
    ),
    Sentence(
        "takes raw scores",
        r"\btakes raw scores, not the result of (`\w+`(?:(?:,| or|, or) `\w+`)*)",
        "Takes raw scores, not the result of `softmax` or `log_softmax`.",
        lambda facts, found: replace(facts, not_after=_quoted(found[1])),
    ),
    Sentence(
        "linear in its input",
        r"\blinear in its input\b",
        "Linear in its input.",
        lambda facts, found: replace(facts, is_linear=True),
    ),
    Sentence(
        "its values are",
        rf"\bits values are {_RANGE}",
        "Its values are from 0 to 1.",
        lambda facts, found: replace(facts, results=_range(found[1], found[2])),
    ),
    Sentence(
        "has values",
        rf"\bits `(\w+)` has values {_RANGE}",
        "Its `p` has values from 0 up.",
        lambda facts, found: replace(
            facts, inputs={**facts.inputs, found[1]: _range(found[2], found[3])}
        ),
    ),
    Sentence(
        "compares",
        r"\bcompares `(\w+)` with `(\w+)`",
        "Compares `y` with `t`.",
        lambda facts, found: replace(facts, compares=(found[1], found[2])),
    ),
    Sentence(
        "learning rates",
        rf"\blearning rates are usually ({_NUMBER} to {_NUMBER}),"
        rf" and hardly ever below {_NUMBER} or above {_NUMBER}",
        "Learning rates are usually 0.001 to 0.1, and hardly ever below 1e-6 or above 2.",
        lambda facts, found: replace(
            facts, rates=Rates(float(found[4]), float(found[5]), found[1])
        ),
    ),
    Sentence(
        "instead of",
        r"\binstead of an? `(\w+)` penalty use `(\w+)`",
        "Instead of an `l2` penalty use `adamw`.",
        lambda facts, found: replace(facts, instead=(found[1], found[2])),
    ),
    Sentence(
        "example:",
        r"\bexample: ((?:`[^`]*`(?:, )?)+) of ((?:`[^`]*`(?:, )?)+)\.",
        "Example: `x -> upsample(2)` of `x: float[3, 8, 8]`.",
        lambda facts, found: replace(facts, example=Example(_quoted(found[2]), _quoted(found[1]))),
    ),
)


@cache
def facts(doc: str | None) -> Facts:
    """Return the facts of a doc comment; no facts if there is none."""
    text = " ".join((doc or "").split())
    stated = Facts()
    for sentence in SENTENCES:
        for found in sentence.found(text):
            stated = sentence.stated(stated, found)
    return stated


def facts_of(definition: Any) -> Facts:
    """Return the facts of a definition in the language, or of a primitive."""
    return facts(getattr(definition, "doc", None))


def without_example(doc: str) -> str:
    """Return a doc comment without its example, which `specc explain` shows as a program."""
    return re.sub(SENTENCES[-1].form, "", doc, flags=re.IGNORECASE).strip()
