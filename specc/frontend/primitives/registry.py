"""Declarations of primitive functions: the builder, with inputs, settings and doc.

    @primitive("rank")
    def _rank(frame, span, x): ...       # PRIMITIVES["rank"]

A builder's positional parameters are the inputs of the function, and its keyword-only ones are the
settings, with their declarations as annotations.
"""

from __future__ import annotations

from collections.abc import Callable

from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.values import Tensor, Value, describe
from specc.frontend.words.settings import REQUIRED, Declared
from specc.frontend.words.signatures import InputDeclared, Primitive, Signature
from specc.ir import sizes

PRIMITIVES: dict[str, Primitive] = {}


def primitive(name: str):
    """Register a builder as the function `name`."""

    def register(build: Callable[..., Value]) -> Callable[..., Value]:
        code = build.__code__
        names = code.co_varnames[2 : code.co_argcount]  # after frame and span
        optional = len(build.__defaults__ or ())
        inputs = [
            InputDeclared(each, is_optional=position >= len(names) - optional)
            for position, each in enumerate(names)
        ]
        keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        defaults = build.__kwdefaults__ or {}
        settings = tuple(
            _declared(each, build.__annotations__[each], defaults.get(each, REQUIRED))
            for each in keywords
        )
        takes_more = bool(code.co_flags & 0x04)
        signature = Signature(tuple(inputs), settings, takes_more)
        PRIMITIVES[name] = Primitive(name, signature, build.__doc__ or "", build)
        return build

    return register


def _declared(name: str, annotation: str, default) -> Declared:
    """Return the declaration of a setting, written as in the language: "int > 0"."""
    text = annotation.strip("'\"")
    if " or " in text:
        return Declared(name, None, tuple(text.split(" or ")), (), default)
    kind, *bounds = text.split()
    pairs = tuple(zip(bounds[::2], map(int, bounds[1::2]), strict=True))
    return Declared(name, kind, (), pairs, default)


def tensor(x: Value, name: str, argument: int = 0) -> Tensor:
    """Return `x` as a tensor of numbers. Raises OperandError for other values."""
    if not isinstance(x, Tensor) or x.type.kind == "int":
        raise OperandError(
            "wrong-kind",
            f"`{name}` works on tensors of numbers, not on {describe(x)}",
            argument=argument,
        )
    return x


def axes_of(x: Tensor, axis: int | None, keep: int, name: str) -> tuple[int, ...]:
    """Return the axes to reduce: one, or all after the first `keep`."""
    rank = x.type.rank
    if axis is None:
        if keep > rank:
            raise OperandError("bad-setting", f"{sizes.show(x.shape)} has no {keep} axes to keep")
        return tuple(range(keep, rank))
    if keep:
        raise OperandError("bad-setting", f"`{name}` takes `axis` or `keep`, not both")
    if not -rank <= axis < rank:
        raise OperandError(
            "bad-setting", f"{sizes.show(x.shape)} has no axis {axis}: axes count from 0"
        )
    return (axis % rank,)
