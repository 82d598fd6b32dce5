"""Functions of kernels that write LLVM's instructions, and the types of numbers that they take.

    @intrinsic
    def peek(typing, address):
        def codegen(context, b, signature, args):
            return b.load(b.inttoptr(args[0], I64.as_pointer()))

        return types.int64(types.int64), codegen

An intrinsic is given the types of its arguments, and returns the types that it wants them in, that
of its result, and the function that writes the instructions with llvmlite's builder. The form is
that of Numba's intrinsics, so Numba can compile kernels as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from specc.system.records import dataclass

I64 = ir.IntType(64)


class UntypedError(Exception):
    """An intrinsic does not take arguments of these types."""


@dataclass(frozen=True)
class Number:
    """A type of numbers; called like a function, it makes the signature of one."""

    name: str
    ir: ir.Type
    bits: int
    is_float: bool = False
    is_signed: bool = True

    def __call__(self, *arguments: Number) -> IntrinsicTypes:
        return IntrinsicTypes(self, arguments)

    def __str__(self) -> str:
        return self.name

    @property
    def is_integer(self) -> bool:
        """Whether values of the type are integers; booleans are not."""
        return not self.is_float and self.bits > 1


@dataclass(frozen=True)
class IntrinsicTypes:
    """The types of an intrinsic's result and arguments."""

    return_type: Number
    args: tuple[Number, ...]


class types:
    """The types of numbers in kernels, by their names."""

    void = Number("void", ir.VoidType(), 0)
    boolean = Number("bool", ir.IntType(1), 1, is_signed=False)
    uint8 = Number("uint8", ir.IntType(8), 8, is_signed=False)
    int32 = Number("int32", ir.IntType(32), 32)
    int64 = Number("int64", I64, 64)
    uint32 = Number("uint32", ir.IntType(32), 32, is_signed=False)
    uint64 = Number("uint64", I64, 64, is_signed=False)
    float32 = Number("float32", ir.FloatType(), 32, is_float=True)
    float64 = Number("float64", ir.DoubleType(), 64, is_float=True)


NAMED: dict[str, Number] = {
    each.name: each for each in vars(types).values() if isinstance(each, Number)
}


class _Context:
    """Where Numba has its context: kernels need the value of functions that return none."""

    def get_dummy_value(self) -> None:
        """Return the value of a function that has none."""


CONTEXT = _Context()


@dataclass(frozen=True)
class LLVMIntrinsic:
    """A function that writes instructions; `define` is described above."""

    define: Callable[..., tuple[IntrinsicTypes, Callable[..., Any]]]

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(f"{self.define.__name__} can be called in kernels only")


def intrinsic(define: Callable[..., tuple[IntrinsicTypes, Callable[..., Any]]]) -> LLVMIntrinsic:
    """Make an intrinsic of the function that defines it."""
    return LLVMIntrinsic(define)


@dataclass(frozen=True)
class Helper:
    """A function in the language of kernels that kernels call; its arguments are integers."""

    function: Callable[..., Any]


def declared(module: ir.Module, kind: ir.FunctionType, name: str) -> ir.Function:
    """Return the function of another module, or of LLVM, that is called `name`."""
    found = module.globals.get(name)
    return ir.Function(module, kind, name) if found is None else found


def stack(b: ir.IRBuilder, kind: ir.Type, name: str = "") -> Any:
    """Return a place on the stack, taken once for each call of the function."""
    with b.goto_entry_block():
        return b.alloca(kind, name=name)
