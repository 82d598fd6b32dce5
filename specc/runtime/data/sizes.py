"""Determines symbolic dimensions from the data.

open_sizes(recipe, ports, folder)        # {"classes": 3, "n": 4}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from specc.recipe import Port, Recipe
from specc.recipe.binding import port_type
from specc.runtime.data import fields
from specc.runtime.data.field import Field
from specc.runtime.data.parts import parts as divided
from specc.runtime.data.readers import request_of, split_columns, table_of_source
from specc.runtime.data.request import Request
from specc.runtime.data.sources import text
from specc.runtime.data.stream.learned import example_of, learned


def open_sizes(
    recipe: Recipe,
    ports: Sequence[Port],
    folder: Path,
    limit: int | None = None,
) -> dict[str, int]:
    """Return the symbolic dimensions of ports, determined from the training data, by name.

    The `n` of `float[n]` comes from the shape of an example, and the `k` of `class(k)` from the
    number of words or the largest integer. A size that is an expression, such as `2 * n`,
    determines nothing. With a `limit`, the numbers of classes and time steps are those of the
    beginning of the data.
    """
    if recipe.data is None:
        return {}
    request = request_of(recipe.data, ports, folder, limit, recipe.columns)
    found = _Sizes(request)
    if recipe.data.word == "text":
        source = text.read(request)
        if isinstance(recipe.validate, float):
            source, _ = source.cut(recipe.validate)
        for port in request.ports:
            if port.kind == "class":
                found.add(port, port.classes, len(source.vocabulary()), source.is_part)
        return found.sizes
    if recipe.memory is not None and limit is None:
        shapes = learned(request, recipe, {}, {}, is_whole=True).shapes
        for port in request.ports:
            found.add_field(port, example_of(port, shapes[port.name]))
        return found.sizes
    table = table_of_source(request)
    read = fields.read(request, table, split_columns(recipe, request, table))
    rows = np.arange(read.count)
    if request.rules and not read.is_part:
        column = next(iter(read.by.values()), None)
        rows = divided(request, recipe, read.count, column)["training"]
    made, _ = read.fields(rows=rows)
    for name, each in made.items():
        found.add_field(next(port for port in ports if port.name == name), each)
    return found.sizes


class _Sizes:
    """Collects symbolic dimensions, by name."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.sizes: dict[str, int] = {}

    def add(self, port: Port, size: object, value: int, is_least: bool = False) -> None:
        """Set a size of a port if it is symbolic. Raises `DataError` if it already has another
        value.

        With `is_least`, the size is at least `value`.
        """
        name = str(size)
        if not name.isidentifier() or size is None:
            return
        if is_least:
            self.sizes[name] = max(value, self.sizes.get(name, 0))
        elif self.sizes.setdefault(name, value) != value:
            raise self.request.error(
                f"`{name}` is {self.sizes[name]} elsewhere, but {value} in the data of"
                f" `{port.name}: {port_type(port)}`",
                port=port,
            )

    def add_field(self, port: Port, field: Field) -> None:
        """Set the sizes that a port's values determine."""
        if field.texts is not None:
            self.add(port, port.shape[0], max(map(len, field.texts.parts)), field.is_part)
            words = field.texts.vocabulary(range(len(field.texts.parts)))
            self.add(port, port.classes, len(words), field.is_part)
            return
        shape = field.shape
        if field.is_image and len(port.shape) == 1:
            shape = (int(np.prod(shape)),)
        while len(shape) < len(port.shape) and port.shape[len(port.shape) - len(shape) - 1] == 1:
            shape = (1, *shape)
        if len(shape) == len(port.shape):
            for size, value in zip(port.shape, shape, strict=True):
                self.add(port, size, value)
        if port.kind == "class" and field.array.size and _are_whole(field.array):
            count = int(np.nanmax(field.array)) + 1
            if field.words is not None:
                count = len(np.unique(field.array))
            self.add(port, port.classes, field.classes or count, field.is_part)


def _are_whole(array: np.ndarray) -> bool:
    """Return whether an array has integers; NaN past the end of a sequence makes them floats."""
    if array.dtype.kind in "uib":
        return True
    there = array[~np.isnan(array)] if array.dtype.kind == "f" else array[:0]
    return bool(len(there) and array.ndim > 1 and (there == np.floor(there)).all())
