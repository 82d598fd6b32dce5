"""Data classes that are created quickly.

`dataclass` has the same fields and behaviour as that of the standard library. All classes share its
methods, except for `__init__`, which is generated at the first call of the class. The standard
library generates and compiles up to six functions per class, which is a quarter of the time of
`specc check` for a small file.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(
        cls: type | None = None,
        /,
        *,
        repr: bool = True,
        eq: bool = True,
        frozen: bool = False,
        slots: bool = False,
    ) -> Any:
        """Make a data class; see the standard library's decorator of the same name."""

        def made(cls: type) -> type:
            return _made(cls, repr, eq, frozen, slots)

        return made if cls is None else made(cls)


_ABSENT = object()


def _made(cls: type, repr: bool, eq: bool, frozen: bool, slots: bool) -> type:
    own = set(vars(cls))
    if cls.__doc__ is None:
        cls.__doc__ = ""  # otherwise the standard library reads the signature for the docstring
    found: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
    if "__init__" not in own:
        found.__init__ = _first_init
    if repr and "__repr__" not in own:
        found.__repr__ = _repr
    if eq:
        if "__eq__" not in own:
            found.__eq__ = _eq
        if "__hash__" not in own:
            found.__hash__ = _hash if frozen else None
    if frozen:
        found.__setattr__ = _frozen_set
        found.__delattr__ = _frozen_delete
        if slots and "__getstate__" not in own:
            found.__getstate__ = _state
            found.__setstate__ = _set_state
    return found


def _first_init(self: Any, *arguments: Any, **named: Any) -> None:
    """Generate `__init__` for the class that declares the fields, and call it."""
    cls: Any
    for cls in type(self).__mro__:
        if vars(cls).get("__init__") is _first_init:
            cls.__init__ = _written_init(cls)
            cls.__init__(self, *arguments, **named)
            return
    raise TypeError(f"{type(self).__name__} has no data class among its bases; please report this")


def _written_init(cls: Any) -> Any:
    """Return the function that `dataclasses` would generate as `__init__`."""
    space: dict[str, Any] = {"set_": object.__setattr__, "absent_": _ABSENT}
    parameters, lines = ["self"], []
    for field in dataclasses.fields(cls):
        name = field.name
        value = name
        if field.default_factory is not dataclasses.MISSING:
            space[f"make_{name}"] = field.default_factory
            if field.init:
                parameters.append(f"{name}=absent_")
                value = f"make_{name}() if {name} is absent_ else {name}"
            else:
                value = f"make_{name}()"
        elif not field.init:
            if field.default is dataclasses.MISSING:
                continue
            space[f"default_{name}"] = field.default
            value = f"default_{name}"
        elif field.default is not dataclasses.MISSING:
            space[f"default_{name}"] = field.default
            parameters.append(f"{name}=default_{name}")
        else:
            parameters.append(name)
        lines.append(f"set_(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines or ["pass"]), space)
    init = space["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _repr(self: Any) -> str:
    fields = (each for each in dataclasses.fields(self) if each.repr)
    shown = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in fields)
    return f"{type(self).__qualname__}({shown})"


_VALUES: dict[type, Any] = {}
"""Functions that return the compared fields of an instance, by its class."""


def _values_of(cls: Any) -> Any:
    found = _VALUES.get(cls)
    if found is None:
        names = [each.name for each in dataclasses.fields(cls) if each.compare]
        found = attrgetter(*names) if names else lambda instance: ()
        _VALUES[cls] = found
    return found


def _eq(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    values = _values_of(self.__class__)
    return values(self) == values(other)


def _hash(self: Any) -> int:
    return hash(_values_of(self.__class__)(self))


def _frozen_set(self: Any, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _frozen_delete(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, each.name) for each in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for each, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)
