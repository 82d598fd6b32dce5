"""Turns fields into columns, checking every value against its port.

    column(request, port, field, vocabulary=None)      # Column, or a DataError

A field fits a port of the same shape, except that axes of length 1 may be added or removed:
`[8, 8]` fits `float[1, 8, 8]`. An image also fits a port of rank 1 with the same number of
elements; it is flattened row by row. Nothing else is reshaped.

A "class" port takes integers 0 .. classes - 1. A word becomes its index in a vocabulary: the sorted
words of the training part.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from specc.diagnostics import closest
from specc.recipe import Column, Port
from specc.recipe.binding import fits, port_type
from specc.runtime.data import tokens
from specc.runtime.data.field import Field, Texts, is_sequence
from specc.runtime.data.request import Request, listed
from specc.runtime.errors import DataError

FLOATS = {
    "uint8": "uint8",
    "int8": "float32",
    "int16": "float32",
    "uint16": "float32",
    "float16": "float32",
    "float32": "float32",
}  # all others: float64


def column(
    request: Request, port: Port, field: Field, vocabulary: tuple[str, ...] | None
) -> Column:
    """Return the field as a column of the port. Raises `DataError` if it does not fit.

    `vocabulary` has the words of a field with words.
    """
    if field.texts is not None:
        return Column(_padded(request, port, field, field.texts, vocabulary))
    field = _whole_steps(request, port, field)
    array = _shaped(request, port, field)
    if port.kind == "float":
        return Column(_floats(request, port, field, array), float(field.scale), float(field.shift))
    if port.kind == "bool":
        return Column(_boolean(request, port, field, array))
    if field.words is not None:
        array = _numbered(request, port, field, array, vocabulary)
    elif vocabulary is not None and port.kind == "class" and field.classes is None:
        raise _other_kind(request, port, field, vocabulary)
    return Column(_classes(request, port, field, array))


def words(field: Field, rows: np.ndarray) -> tuple[str, ...] | None:
    """Return the sorted vocabulary of the given rows of a field; None if it has no words."""
    if field.texts is not None:
        return field.texts.vocabulary(rows.tolist())
    if field.words is None:
        return None
    if field.is_numbered:
        return tuple(field.words.tolist())
    codes = field.array if len(rows) == len(field.array) else field.array[rows]
    counts = np.bincount(codes.reshape(-1), minlength=len(field.words))
    return tuple(str(field.words[each]) for each in np.flatnonzero(counts))


def end(field: Field, rows: np.ndarray) -> str | None:
    """Return the symbol that ends all texts and occurs nowhere else in them, or None."""
    if field.texts is None:
        return None
    parts = [each for row in rows.tolist() if (each := field.texts.parts[row])]
    found = {each[-1] for each in parts}
    if len(found) != 1 or any(each.count(each[-1]) > 1 for each in parts):
        return None
    return found.pop()


def lengths(port: Port, field: Field) -> np.ndarray:
    """Return the number of time steps of each example of a variable-length sequence: int32 [N]."""
    if field.texts is not None:
        return np.array([len(each) for each in field.texts.parts], np.int32)
    if not _may_end(port, field):
        return np.full(len(field.array), port.shape[0], np.int32)
    array = field.array
    if array.dtype.kind != "f":
        return np.full(len(array), field.shape[0], np.int32)
    found = np.zeros(len(array), np.int32)
    rows = max(1, LOOKED_AT // max(1, prod(array.shape[1:])))
    for start in range(0, len(array), rows):
        piece = array[start : start + rows]
        there = ~np.isnan(piece).reshape(*piece.shape[:2], -1).all(axis=2)
        last = piece.shape[1] - np.argmax(there[:, ::-1], axis=1)
        found[start : start + rows] = np.where(there.any(axis=1), last, 0)
    return found


def varies(request: Request, port: Port) -> bool:
    """Return whether a port is a variable-length sequence."""
    owners = {each.length_of for each in request.derived}
    return port.sequence is not None and any(
        each.name in owners and each.sequence == port.sequence for each in request.ports
    )


def _may_end(port: Port, field: Field) -> bool:
    """Return whether an example may have fewer time steps than the port, or be padded with NaN."""
    has_steps = is_sequence(port) and len(field.shape) == len(port.shape)
    return has_steps and field.words is None and not field.is_finite and not field.is_image


def _whole_steps(request: Request, port: Port, field: Field) -> Field:
    """Return the field with as many time steps as the port, padded with zeros.

    Time steps at the end that are all NaN count as padding. Raises `DataError` for an example with
    more steps than the port, or with fewer if the length does not vary.
    """
    if not _may_end(port, field) or field.shape[1:] != port.shape[1:]:
        return field
    if field.shape == port.shape and (field.array.dtype.kind != "f" or _all_finite(field.array)):
        return field
    own, steps = lengths(port, field), port.shape[0]
    can_vary = varies(request, port)
    if not can_vary and (field.shape[0] != steps or (own == steps).all()):
        return field
    wrong = own > steps if can_vary else own != steps
    if wrong.any():
        row = int(np.argmax(wrong))
        most = f"at most {steps}" if can_vary else str(steps)
        raise _error(
            request,
            port,
            field,
            f"{field.location(row, 0)}: {own[row]} steps, but `{port.name}` has {most}",
            f"`seq {port.sequence} = {own.max()}` holds the longest"
            if can_vary
            else f"`[<= {port.sequence}]` is a variable-length sequence",
        )
    array = np.zeros((len(own), *port.shape), field.array.dtype)
    kept = min(steps, field.shape[0])
    array[:, :kept] = field.array[:, :kept]
    array[np.arange(steps) >= own[:, None]] = 0
    if port.kind == "class" and (array == np.floor(array)).all():
        array = array.astype(np.int64)
    return replace(field, array=array)


def _padded(
    request: Request,
    port: Port,
    field: Field,
    texts: Texts,
    vocabulary: tuple[str, ...] | None,
) -> np.ndarray:
    """Return texts as numbers, padded with zeros: int32 [N, steps]."""
    steps, what = port.shape[0], texts.what
    if vocabulary is None or len(vocabulary) > port.class_count:
        raise _error(
            request,
            port,
            field,
            f"{field.name} holds {len(vocabulary or ())} different {what} for"
            f" `{port.name}: {port_type(port)}`",
            f"declare class({len(vocabulary or ())}), or a `dim` without a number",
        )
    places = tokens.places(vocabulary)
    found = np.zeros((len(texts.parts), steps), np.int32)
    for row, parts in enumerate(texts.parts):
        if len(parts) > steps:
            raise _error(
                request,
                port,
                field,
                f"{field.location(row, 0)}: {len(parts)} {what}, but"
                f" `{port.name}` has at most {steps} steps",
                f"`seq {port.sequence} = {max(map(len, texts.parts))}` holds the longest",
            )
        ids = tokens.numbers(parts, places, texts.unknown)
        if len(ids) and ids.min() < 0:
            raise _error(
                request,
                port,
                field,
                f"{field.location(row, 0)}: {parts[int(np.argmin(ids))]!r} does not occur in"
                f" the training part",
                '`unknown = "?"` replaces such symbols by a question mark',
            )
        found[row, : len(ids)] = ids
    return found


def _shaped(request: Request, port: Port, field: Field) -> np.ndarray:
    if not fits(field.shape, port.shape, field.is_image):
        raise _error(
            request,
            port,
            field,
            f"{field.name} holds examples of shape {list(field.shape)}, but `{port.name}` is"
            f" {port_type(port)}",
            _reshaping(port, field),
        )
    return np.ascontiguousarray(field.array.reshape(len(field.array), *port.shape))


def _reshaping(port: Port, field: Field) -> str:
    """Return the help for a field whose shape does not fit the port."""
    shape = field.shape
    if port.kind == "float" and len(shape) == 3 and (shape[2], *shape[:2]) == port.shape:
        return "the channels are the first axis: save it as `x.transpose(0, 3, 1, 2)`"
    if port.kind == "class" and shape == (*port.shape, port.classes):
        return "save class indices instead of one-hot vectors: `y.argmax(axis=-1)`"
    declared = port_type(Port(port.name, port.role, port.kind, shape, port.classes))
    same = prod(shape) == prod(port.shape)
    return f"declare `{port.name}: {declared}`" + (
        " and change its shape in the model" if same else ""
    )


def _floats(request: Request, port: Port, field: Field, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "buif" or field.words is not None:
        raise _error(
            request,
            port,
            field,
            f"{field.name} holds {_held(array)}, but `{port.name}` is {port_type(port)}",
            "save it with a numeric type",
        )
    if array.dtype.kind == "f" and not field.is_finite and not _all_finite(array):
        _require(
            request,
            port,
            field,
            array,
            np.isfinite(array),
            "is not a finite number",
            "fix or leave out such examples",
        )
    if array.dtype == bool:
        return array.astype(np.uint8)
    return array.astype(FLOATS.get(array.dtype.name, "float64"), copy=False)


LOOKED_AT = 2**22  # number of elements of an array that are checked at once


def _all_finite(array: np.ndarray) -> bool:
    """Return whether all numbers are finite, reading arrays on the disk piece by piece."""
    rows = max(1, LOOKED_AT // max(1, prod(array.shape[1:])))
    pieces = (array[start : start + rows] for start in range(0, len(array), rows))
    return all(bool(np.isfinite(each).all()) for each in pieces)


def _boolean(request: Request, port: Port, field: Field, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "bui":
        raise _error(
            request,
            port,
            field,
            f"{field.name} holds {_held(array)}, but `{port.name}` is bool",
            "save it as 0 and 1, or as booleans",
        )
    _require(request, port, field, array, (array == 0) | (array == 1), "is neither 0 nor 1", None)
    return array.astype(bool, copy=False)


def _classes(request: Request, port: Port, field: Field, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "bui":
        raise _error(
            request,
            port,
            field,
            f"{field.name} holds {_held(array)}, but `{port.name}` is {port_type(port)}",
            "save it as integers from 0: `y.astype(numpy.int32)`",
        )
    least, most = (int(array.min()), int(array.max())) if array.size else (0, 0)
    classes = port.class_count
    if least < 0 or most >= classes:
        help = f"{port_type(port)} means 0 .. {classes - 1}; here are {least} .. {most}"
        if least >= 1 and most == classes:
            help += ": subtract 1 from them"
        elif least == -1 and most == 1 and not (array == 0).any():
            help += ": use 0 instead of -1"
        elif least >= 0:
            help += f": declare class({most + 1}) if they are right"
        _require(
            request,
            port,
            field,
            array,
            (array >= 0) & (array < classes),
            "is out of range",
            help,
        )
    return array.astype(np.uint8 if array.dtype in (np.uint8, np.bool_) else np.int32, copy=False)


def _numbered(
    request: Request,
    port: Port,
    field: Field,
    array: np.ndarray,
    vocabulary: tuple[str, ...] | None,
) -> np.ndarray:
    """Return the class indices of words: their indices in the vocabulary."""
    if vocabulary is None:
        raise _error(
            request,
            port,
            field,
            f"{field.name} holds words for `{port.name}`, but the training data hold numbers",
            "use the same form in both",
        )
    if len(vocabulary) > port.class_count:
        raise _error(
            request,
            port,
            field,
            f"{field.name} holds {len(vocabulary)} different words for `{port.name}:"
            f" {port_type(port)}`: {listed(vocabulary)}",
            f"declare class({len(vocabulary)}) if they are right",
        )
    assert field.words is not None, "a field of words; please report this"
    places = {word: place for place, word in enumerate(vocabulary)}
    at = np.array([places.get(each, -1) for each in field.words.tolist()], np.int32)
    numbers: np.ndarray = at[array]
    if (numbers < 0).any():
        word = field.words[array.reshape(-1)[int(np.argmax(numbers.reshape(-1) < 0))]]
        near = closest(word, vocabulary)
        _require(
            request,
            port,
            field,
            field.words[array],
            numbers >= 0,
            "does not occur in the training part",
            f"did you mean `{near}`?" if near else f"its words are {listed(vocabulary)}",
        )
    return numbers


def _other_kind(
    request: Request, port: Port, field: Field, vocabulary: tuple[str, ...]
) -> DataError:
    return _error(
        request,
        port,
        field,
        f"{field.name} holds numbers for `{port.name}`, but the training data hold words",
        f"use the same form in both: the words are {listed(vocabulary)}",
    )


def _require(
    request: Request,
    port: Port,
    field: Field,
    array: np.ndarray,
    good: np.ndarray,
    what: str,
    help: str | None,
) -> None:
    """Raise a `DataError` at the first value that is not good."""
    if good.all():
        return
    row = int(np.argmin(good.reshape(len(good), -1).all(axis=1)))
    element = int(np.argmin(good[row].reshape(-1)))
    count = int(good.size - good.sum())
    more = f" (the first of {count:,} such values)" if count > 1 else ""
    value = array.reshape(len(array), -1)[row, element]
    raise _error(
        request, port, field, f"{field.location(row, element)}: `{value}` {what}{more}", help
    )


def _held(array: np.ndarray) -> str:
    kinds = {
        "U": "words",
        "S": "bytes",
        "b": "booleans",
        "i": "integers",
        "u": "integers",
        "f": "floats",
    }
    return f"{kinds.get(array.dtype.kind, 'values')} ({array.dtype.name})"


def _error(request: Request, port: Port, field: Field, message: str, help: str | None) -> DataError:
    return request.error(message, argument=field.argument, port=port, help=help)
