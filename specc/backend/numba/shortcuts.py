"""Shortcuts through Numba's front end for the few types and functions that kernels use.

    with shortcuts(target, flags.noalias):
        compile_extra(...)

Numba resolves each call of each kernel anew: it tries all templates of a function, some by raising
and formatting an error, imports its registries again, and inspects signatures. Within `shortcuts`
it does so once for a function and the types of its arguments. An element of an array is read and
written by one address computation; Numba's own takes some twenty instructions, most of which LLVM
removes again. Both together halve the time that Numba takes. The results are the same; indices do
not count from the end, so the machine code has no tests for negative ones.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from numba.core import base, cgutils, errors, types
from numba.core.cpu import CPUContext
from numba.core.datamodel import default_manager
from numba.core.types.functions import BaseFunction

_resolved: dict[tuple, tuple] = {}
_implementations: dict[tuple, tuple] = {}
_resolve = BaseFunction.get_call_type
_find = CPUContext.get_function
# these are no part of Numba's public interface: without one of them, Numba takes its own, longer
# way
_FITS = hasattr(errors, "_termcolor_inst") and hasattr(base, "_wrap_impl")


@contextmanager
def shortcuts(target: CPUContext, noalias: bool) -> Iterator[None]:
    """Answer Numba's questions about known functions and types from memory.

    The caller holds Numba's lock: no other compilation runs at the same time.
    """
    if not _FITS:
        yield
        return
    typing = target.typing_context

    def get_call_type(function, context, args, kws):
        if kws or context is not typing:
            return _resolve(function, context, args, kws)
        key = id(function), tuple(args), noalias
        known = _resolved.get(key)
        if known is None:
            # the function is kept, so that no other one gets its id
            known = _resolved[key] = function, _resolve(function, context, args, kws)
        return known[1]

    def get_function(context, function, signature, _firstcall=True):
        key = id(function), signature.return_type, signature.args, noalias
        known = _implementations.get(key)
        if known is None:
            code, libraries = _element(function, signature), ()
            if code is None:
                found = _find(context, function, signature, _firstcall)
                if isinstance(found, _Implementation):  # it asks again, with registries refreshed
                    return found
                code, libraries = found._imp, getattr(found, "libs", ())
            known = _implementations[key] = function, code, libraries
        return _Implementation(context, signature, *known[1:])

    # all registries are loaded by now; Numba puts new intrinsics into the first
    first = next(iter(target._registries))
    target.load_additional_registries = lambda: target.install_registry(first)
    typing.load_additional_registries = lambda: None
    # Numba raises errors as a matter of course, and colors each of them
    colors, errors._termcolor_inst = errors._termcolor_inst, _Plain()
    BaseFunction.get_call_type = get_call_type
    CPUContext.get_function = get_function
    try:
        yield
    finally:
        BaseFunction.get_call_type = _resolve
        CPUContext.get_function = _find
        errors._termcolor_inst = colors
        del target.load_additional_registries, typing.load_additional_registries


class _Plain:
    """Numba's way to color messages, without colors."""

    def code(self, text: str) -> str:
        return text

    errmsg = filename = indicate = highlight = reset = code


class _Implementation:
    """The code of a call, for one context."""

    __slots__ = ("code", "context", "libs", "signature")

    def __init__(self, context: CPUContext, signature, code: Callable, libs: Sequence):
        self.context, self.signature, self.code, self.libs = context, signature, code, libs

    def __call__(self, builder, args, loc=None):
        result = self.code(self.context, builder, self.signature, args, loc=loc)
        self.context.add_linking_libs(self.libs)
        return result


def _element(function, signature) -> Callable | None:
    """Return the code that reads or writes an element of an array in C order, if it is known.

    Indices are not negative: they do not count from the end.
    """
    name = getattr(function, "typing_key", None)
    if name not in (operator.getitem, operator.setitem):
        return None
    array, index = signature.args[:2]
    kinds = tuple(index.types) if isinstance(index, types.BaseTuple) else (index,)
    if not (
        isinstance(array, types.Array)
        and array.layout == "C"
        and array.aligned
        and array.ndim == len(kinds)
        and all(isinstance(each, types.Integer) for each in kinds)
        and not any(isinstance(each, types.IntegerLiteral) for each in kinds)
    ):
        return None
    model = default_manager[array]
    data, shape = (model.get_field_position(each) for each in ("data", "shape"))

    def place(context, b, value, at):
        numbers = cgutils.unpack_tuple(b, at) if isinstance(index, types.BaseTuple) else [at]
        numbers = [
            context.cast(b, each, kind, types.intp)
            for each, kind in zip(numbers, kinds, strict=True)
        ]
        offset = numbers[0]
        for axis, number in enumerate(numbers[1:], 1):
            offset = b.add(b.mul(offset, b.extract_value(value, (shape, axis))), number)
        return b.gep(b.extract_value(value, data), [offset])

    def read(context, b, signature, args, loc=None):
        value = context.unpack_value(b, array.dtype, place(context, b, *args))
        return context.cast(b, value, array.dtype, signature.return_type)

    def write(context, b, signature, args, loc=None):
        element = context.cast(b, args[2], signature.args[2], array.dtype)
        context.pack_value(b, array.dtype, element, place(context, b, *args[:2]))
        return context.get_dummy_value()

    return read if name is operator.getitem else write
