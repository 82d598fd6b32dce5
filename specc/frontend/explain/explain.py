"""The text of `specc explain` about a name: all of its pages, one after the other.

explanation("conv")             # a layer: its formula, settings, shapes, an example
explanation("patience")         # a setting of `train`
explanation("shape-mismatch")   # an error: what it means, a wrong and a fixed program
nearest("batch_norm")           # "batchnorm"
"""

from __future__ import annotations

from collections.abc import Iterable

from specc.diagnostics import closest
from specc.frontend.explain import words
from specc.frontend.explain.topics import (
    OF_SOURCES,
    Topic,
    all_topics,
    settings_of_words,
    topics,
    word_settings,
)
from specc.frontend.words.messages import (
    SETTING_SYNONYMS,
    SOURCE_SYNONYMS,
    SYNONYMS,
    TRAIN_SYNONYMS,
)
from specc.recipe.sources import SETTING_SYNONYMS as SETTINGS_OF_SOURCES
from specc.recipe.words import SYNONYMS as SYNONYMS_OF_COLUMNS

RULE = "\n" + "-" * 60 + "\n\n"
"""The separator of two pages about one name."""


def explanation(name: str, further: Iterable[Topic] = ()) -> str | None:
    """Return the text about a name; None if there is none.

    `further` are topics beyond the language's own: the commands.
    """
    found = [*topics().get(name, ()), *(each for each in further if each.name == name)]
    found = found or settings_of_words(name)
    return RULE.join(each.page() for each in found) if found else None


def nearest(name: str, further: Iterable[Topic] = ()) -> str | None:
    """Return the name that was probably meant."""
    synonyms = {
        **SYNONYMS_OF_COLUMNS,
        **SOURCE_SYNONYMS,
        **SETTINGS_OF_SOURCES,
        **SETTING_SYNONYMS,
        **TRAIN_SYNONYMS,
        **SYNONYMS,
    }
    known = [*topics(), *word_settings(), *(each.name for each in further)]
    return closest(name, known, synonyms)


def contents(further: Iterable[Topic] = ()) -> str:
    """Return all names that can be explained, by kind."""
    by_kind: dict[str, dict[str, str]] = {}
    for topic in (*all_topics(), *further):
        kind = "setting of a source" if topic.kind.startswith(OF_SOURCES) else topic.kind
        by_kind.setdefault(kind, {}).setdefault(topic.name, topic.summary)
    groups = words.groups()
    lines = []
    for kind, named in by_kind.items():
        if kind not in groups:
            width = max(map(len, named))
            lines += ["", f"{kind[0].upper()}{kind[1:]}", ""]
            lines += [f"  {name:<{width}}  {summary}".rstrip() for name, summary in named.items()]
    lines += ["", "Functions, layers, cells and optimizers, by the file of the library", ""]
    for kind, names in groups.items():
        lines += words.wrapped(f"  {kind:<14}", names)
    return "\n".join(lines[1:]) + "\n"
