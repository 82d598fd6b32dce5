"""Statements of kernels, and the function that holds them.

    Function("scale", (Parameter("x", Array("float", (n,))), Parameter("n", Int())),
             (For("i", Integer(0), n, Integer(1), (Store(Index(x, (i,)), Index(x, (i,)) * 2.0),)),))

A variable begins with its first assignment and keeps its type. An argument is an integer (a size or
an address), an array in C order over memory of the caller, or the control block of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from specc.target.expressions import Arithmetic, Call, Expression, Index, Name, Tree

Stored = Literal["float", "float32", "float64", "int32", "int64", "uint8"]


class Statement(Tree):
    """Something that a kernel does."""


Block = tuple[Statement, ...]


@dataclass(eq=False, repr=False)
class Comment(Statement):
    """A line that explains the statements after it."""

    text: str


@dataclass(eq=False, repr=False)
class Assign(Statement):
    """Give a variable a value."""

    name: str
    value: Expression


@dataclass(eq=False, repr=False)
class Store(Statement):
    """Write a value to an element of an array."""

    place: Index
    value: Expression


@dataclass(eq=False, repr=False)
class AugmentedAssign(Statement):
    """Combine a variable or an element with a value: `place += value`."""

    place: Name | Index
    operator: Arithmetic
    value: Expression


@dataclass(eq=False, repr=False)
class For(Statement):
    """Count `index` from `start` up to `stop`, which is left out."""

    index: str
    start: Expression
    stop: Expression
    step: Expression
    body: Block


@dataclass(eq=False, repr=False)
class While(Statement):
    """Repeat the body as long as the condition holds."""

    condition: Expression
    body: Block


@dataclass(eq=False, repr=False)
class If(Statement):
    """Run the body if the condition holds, else the other one."""

    condition: Expression
    body: Block
    otherwise: Block = ()


@dataclass(eq=False, repr=False)
class Do(Statement):
    """Call a function for its effect."""

    call: Call


@dataclass(eq=False, repr=False)
class Continue(Statement):
    """Continue with the next iteration of the innermost loop."""


@dataclass(eq=False, repr=False)
class Return(Statement):
    """End the function: with a value, if it is one that kernels call."""

    value: Expression | None = None


@dataclass(eq=False, repr=False)
class Int(Tree):
    """An integer argument of 64 bits: a size, a stride or an address."""


@dataclass(eq=False, repr=False)
class Array(Tree):
    """An array argument: its elements, and its extents in terms of integer arguments."""

    element: Stored
    extents: tuple[Expression, ...]


@dataclass(eq=False, repr=False)
class Control(Tree):
    """The control block of the run, an array of integers that every kernel can read."""


@dataclass(eq=False, repr=False)
class KernelParameter(Tree):
    """An argument of a kernel."""

    name: str
    type: Int | Array | Control


@dataclass(eq=False, repr=False)
class Intrinsic(Tree):
    """A function that a back end makes for a kernel, as `name` of its file `file`.

    Intrinsic("tiles", "contract_tile", (6, 4, "float32", 16, False))

    The back end's function is called with the `arguments`, sizes and types of numbers, to make it.
    """

    file: str
    name: str
    arguments: tuple[int | str | bool, ...]


@dataclass(eq=False, repr=False)
class Function(Tree):
    """A kernel: `intrinsics` are the functions made for it, by the name that it calls them."""

    name: str
    parameters: tuple[KernelParameter, ...]
    body: Block
    intrinsics: tuple[tuple[str, Intrinsic], ...] = ()
