"""The binding of fields of the data to ports of the model.

by_kind(("image", "label"), ports).fields     # {"photo": "image", "digit": "label"}
port_type(port)                               # "float[1, 28, 28]"
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from specc.recipe.recipe import Port
from specc.system.records import dataclass


@dataclass(frozen=True)
class Bound:
    """The field of each port, by the port's name; or a field that could go to any of `ports`."""

    fields: dict[str, str]
    doubtful: str = ""
    ports: tuple[str, ...] = ()


def by_kind(fields: Iterable[str], ports: Sequence[Port]) -> Bound:
    """Bind fields to ports: by name, else images to "float" and labels to "class" or "bool".

    A model without such a port may take the labels as a scalar "float".
    """
    fields = tuple(fields)
    bound = {port.name: port.name for port in ports if port.name in fields}
    for name in fields:
        if name in bound.values():
            continue
        free = [port for port in ports if port.name not in bound]
        if name == "image":
            fitting = [port for port in free if port.kind == "float" and port.shape]
        else:
            fitting = [port for port in free if port.kind in ("class", "bool")]
            fitting = fitting or [port for port in free if port.kind == "float" and not port.shape]
        if len(fitting) > 1:
            return Bound(bound, name, tuple(port.name for port in fitting))
        if fitting:
            bound[fitting[0].name] = name
    return Bound(bound)


def fits(shape: tuple[int, ...], wanted: tuple[Any, ...], is_image: bool) -> bool:
    """Return whether examples of `shape` fit a port of shape `wanted`, which may have symbolic
    sizes.
    """

    def without_ones(sizes: Iterable[object]) -> list[object]:
        return [size for size in sizes if size != 1]

    if not all(isinstance(size, int) for size in wanted):
        return True
    flat = is_image and len(wanted) == 1 and math.prod(shape) == wanted[0]
    return flat or without_ones(shape) == without_ones(wanted)


def port_type(port: Port) -> str:
    """Return the type of a port as a .dl file writes it: `float[1, 28, 28]`, `class(10)`."""
    kind = f"class({port.classes})" if port.kind == "class" else port.kind
    return f"{kind}[{', '.join(map(str, port.shape))}]" if port.shape else kind
