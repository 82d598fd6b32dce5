"""A hash of values over nodes.

digest({"losses": program.losses})     # the same in each process, for values that are equal
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any

from specc.ir.graph import Node, topological


def digest(values: Mapping[str, Any]) -> str:
    """Return a hash of values over nodes: the same in each process, for values that are equal."""
    return hashlib.sha256(repr(_Plain()(values)).encode()).hexdigest()


class _Plain:
    """Turns values into tuples of texts. A value that comes again becomes its number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # by the identity of an object
        self._equal: dict[object, int] = {}  # by the tuple of a data class, which nodes are not
        self._kept: list[object] = []  # so that no other object gets the identity of one of these

    def __call__(self, value: Any) -> object:
        if type(value) in _LEAVES:
            return repr(value)
        if isinstance(value, tuple):
            return tuple([self(each) for each in value])
        known = self._numbers.get(id(value))
        if known is not None:
            return known
        if isinstance(value, Node):
            nodes = [each for each in topological([value]) if id(each) not in self._numbers]
            return tuple([self._object(each) for each in nodes])
        if isinstance(value, Enum):
            return str(value)
        if isinstance(value, dict | list):
            return tuple([self(each) for each in _items(value)])
        return self._object(value)

    def _object(self, value: Any) -> object:
        """Return the class and the fields of a data class."""
        if not is_dataclass(value):
            raise TypeError(f"a {type(value).__name__} cannot be hashed (a bug of specc)")
        names = _names(value.__class__)
        made = (type(value).__qualname__, *[self(getattr(value, name)) for name in names])
        number = len(self._kept)
        self._kept.append(value)
        if not isinstance(value, Node):
            self._numbers[id(value)] = self._equal.setdefault(made, number)
            return made if self._equal[made] == number else self._equal[made]
        self._numbers[id(value)] = number
        return made


_LEAVES = (str, int, float, bool, type(None))


def _items(value: dict[Any, Any] | list[Any]) -> Iterable[Any]:
    return value.items() if isinstance(value, dict) else value


@cache
def _names(cls: Any) -> tuple[str, ...]:
    """Return the names of the fields of a data class by which its instances are compared."""
    return tuple(each.name for each in fields(cls) if each.compare)
