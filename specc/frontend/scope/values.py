"""What an expression of a model can stand for while it is elaborated.

A number that is known when compiling is a Python `int`, `float` or `bool`, or a `Polynomial` over
open sizes; a text is a `str`. All else is one of the classes below.

    Tensor(node, provenance)      # a value of the graph that is being built
    POISON                   # the value of a mistake that was reported: nothing more is said of it
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar, TypeAlias, TypeGuard

from specc.frontend.scope.provenance import Derivation
from specc.frontend.words.numerals import show_number
from specc.ir import sizes
from specc.ir.graph import Node
from specc.ir.sizes import Polynomial
from specc.ir.types import Type
from specc.recipe import LARGEST_FLOAT
from specc.source import Span
from specc.system.records import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """The axis of a sequence: the name that `seq` gave it, and its length.

    `mask` is there for sequences of varying length, of at most `size` steps: bool [size], true for
    the steps that an example has; `length` is their number. `begin` is the port that says where a
    stream begins anew; a sequence that is no stream has none.
    """

    name: str
    size: sizes.Size
    mask: Node | None = None
    length: Node | None = None
    begin: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RunningIndex:
    """A name that runs through `size` positions from `start` on, while its formula lasts.

    `order` grows with each index: of the axes of a value, that of an earlier one is further in
    front. `sequence` is there if it runs through all steps of one.
    """

    name: str
    size: sizes.Size
    start: sizes.Size
    order: int
    sequence: Sequence | None = None

    @property
    def is_varying(self) -> bool:
        """Whether some examples have fewer positions."""
        return self.sequence is not None and self.sequence.mask is not None


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A node of the graph, and how it came to its shape.

    Like the batch, the axis of a sequence is never part of the type: `type` and `shape` are those
    of one step, and words apply to each. The node has that axis in front. `finals` are the last
    states of the cell that made it.

    Nor are the axes of `indices`, within a formula that has some: words apply for each of their
    values. The node has them behind the axis of the sequence, in the order of the indices.
    `within` says which axes of `shape` run through the steps of a sequence, as the second axis of
    `let s[t, u] = ...` does. `counter` is the index whose value this is.
    """

    node: Node
    provenance: Derivation | None = None
    sequence: Sequence | None = None
    finals: tuple[Tensor, ...] = ()
    indices: tuple[RunningIndex, ...] = ()
    within: tuple[Sequence | None, ...] = ()
    counter: RunningIndex | None = None

    @property
    def type(self) -> Type:
        lead = self.lead
        if not lead:
            return self.node.type
        return replace(self.node.type, shape=self.node.type.shape[lead:])

    @property
    def lead(self) -> int:
        """How many axes of the node are those of the sequence and of indices."""
        return (self.sequence is not None) + len(self.indices)

    @property
    def shape(self) -> sizes.Shape:
        return self.type.shape

    @property
    def over(self) -> Sequence:
        """The sequence of a tensor that is known to be one."""
        assert self.sequence is not None, "the value is not a sequence; please report this"
        return self.sequence


@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """The values of a word that gives several: `let a, b = split(x; 2)`."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AllWeights:
    """All weights of the model. A word applied to them is applied to each, and the results
    summed."""

    items: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Applicable:
    """A value of the language that is no data: it has to be applied to a value."""

    name: str
    what: ClassVar[str]  # "word" or "layer"


class Poison:
    """The one value of everything that is wrong."""

    def __repr__(self) -> str:
        return "POISON"


POISON = Poison()

MOST_ELEMENTS = 2**31
"""Elements of one value of one example, or of a parameter: kernels count them in 32 bits."""

Static: TypeAlias = int | float | bool | Polynomial
Value: TypeAlias = Static | str | Sequence | Tensor | Several | AllWeights | Applicable | Poison


def is_static(value: Value) -> TypeGuard[Static]:
    """Return whether it is a number that is known when compiling (an open size counts)."""
    return isinstance(value, (int, float, Polynomial))


def is_number(value: Value) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def beyond_float(value: Value | None) -> str | None:
    """Return the error about a number that float32 cannot hold; None for all others."""
    if not isinstance(value, (int, float)) or -LARGEST_FLOAT <= value <= LARGEST_FLOAT:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "this is not a finite number"
    shown = show_number(value) if isinstance(value, float) else f"{value:,}"
    if len(shown) > 24:
        shown = f"a number of {len(str(abs(value)))} digits"
    return f"{shown} is beyond the range of float32, which ends at {LARGEST_FLOAT:.3g}"


def show_bytes(count: int) -> str:
    """Return a number of bytes for people: `1.2 TB`."""
    units = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")
    power = min((len(str(count)) - 1) // 3, len(units) - 1)
    if count >= 1000 ** (len(units) + 3):
        return f"more than 1000 {units[-1]}"
    scaled = count / 1000**power
    return f"{scaled:.3g} {units[power]}" if scaled < 1000 else f"{scaled:.0e} {units[power]}"


LONGEST_SHAPE = 20


def excess(shape: sizes.Shape) -> str | None:
    """Return the error about a shape too large for any machine; None for all others."""
    elements = sizes.product(shape)
    if not isinstance(elements, int) or elements <= MOST_ELEMENTS:
        return None
    shown = sizes.show(shape) if len(shape) <= LONGEST_SHAPE else f"a value of {len(shape)} axes"
    count = f"{elements:,}" if elements < 10**30 else "more than 10^30"
    return (
        f"{shown} has {count} elements, {show_bytes(4 * elements)}; at most {MOST_ELEMENTS:,} are"
        " possible"
    )


def describe(value: Value) -> str:
    """Return a description of a value for messages."""
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {show_number(value)}"
        case Polynomial():
            return f"the open size {value}"
        case str():
            return f'the string "{value}"'
        case Tensor() if value.sequence is not None:
            return describe_type(value.type, value.sequence.name)
        case Tensor():
            return describe_type(value.type)
        case Sequence():
            return f"the sequence `{value.name}`"
        case Several():
            return f"{len(value.items)} values"
        case AllWeights():
            return "the weights of the model"
        case Applicable():
            return f"the {value.what} `{value.name}`"
    return "a value"


def describe_type(type_: Type, sequence: str = "") -> str:
    """Return a type as the language writes it: `float[6, 28, 28]`, `class(10)[time]`, `bool`."""
    shown = [*([sequence] if sequence else []), *map(str, type_.shape)]
    axes = f"[{', '.join(shown)}]" if shown else ""
    if type_.kind == "int":
        return f"class({type_.classes}){axes}" if type_.classes is not None else f"int{axes}"
    return f"{type_.kind}{axes}"


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """An argument of a call: its value, and its place in the file."""

    name: str | None
    value: Value
    span: Span
    name_span: Span | None = None
    expression: Any = None
