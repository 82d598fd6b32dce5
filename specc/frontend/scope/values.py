"""The values of expressions during elaboration.

A number that is known when compiling is a Python `int`, `float` or `bool`, or a `Polynomial` over
symbolic sizes; a string is a `str`. Other values are of one of the classes below.

    Tensor(node, provenance)      # a value of the graph that is being built
    POISON                   # the value after a reported error; it causes no further errors
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

    A variable-length sequence has at most `size` time steps; its `mask`, bool [size], is true for
    the time steps of an example, and `length` is their number. `begin` is the port that resets a
    stream; other sequences have none.
    """

    name: str
    size: sizes.Size
    mask: Node | None = None
    length: Node | None = None
    begin: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RunningIndex:
    """An index of a formula that takes `size` values from `start` on.

    `order` increases with each index: the axes of a value are sorted by it. `sequence` is set if
    the index runs over all time steps of a sequence.
    """

    name: str
    size: sizes.Size
    start: sizes.Size
    order: int
    sequence: Sequence | None = None

    @property
    def is_varying(self) -> bool:
        """Return whether the number of positions varies between examples."""
        return self.sequence is not None and self.sequence.mask is not None


@dataclass(frozen=True, slots=True)
class IndexPart:
    """The whole part `i // by` of an index, or its rest `i % by`: each is an index, too.

    `of` is an index, or a binder of one that has no range yet.
    """

    of: Any
    by: int
    is_rest: bool
    sequence: None = None

    @property
    def start(self) -> int:
        return 0

    @property
    def size(self) -> sizes.Size | None:
        if self.of.size is None or self.is_rest:
            return None if self.of.size is None else self.by
        return self.of.size // self.by


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A node of the graph, with the provenance of its shape.

    The time axis, like the batch axis, is not part of the type: `type` and `shape` are those of one
    time step, and functions apply to each time step. The node has the time axis in front. `finals`
    are the last states of the cell whose output this is.

    In a formula with indices, the axes of `indices` are not part of the type either: functions
    apply for each of their values. The node has them after the time axis, in the order of the
    indices.
    `within` tells which axes of `shape` run over time steps, like the second axis of `let s[t, u] =
    ...`. `counter` is the index whose value this is.
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
        """Return the number of leading axes of the node, for the sequence and the indices."""
        return (self.sequence is not None) + len(self.indices)

    @property
    def shape(self) -> sizes.Shape:
        return self.type.shape

    @property
    def over(self) -> Sequence:
        """Return the sequence of a tensor that is known to be one."""
        assert self.sequence is not None, "the value is not a sequence; please report this"
        return self.sequence


@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """The results of a function with several: `let a, b = split(x; 2)`."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AllWeights:
    """All weights of the model. A function is applied to each of them, and the results are
    summed."""

    items: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Applicable:
    """A function or layer as a value: it must be applied to data."""

    name: str
    what: ClassVar[str]  # "word" or "layer"


class Poison:
    """The value of every expression with an error."""

    def __repr__(self) -> str:
        return "POISON"


POISON = Poison()

MOST_ELEMENTS = 2**31
"""The most elements of a value per example, or of a parameter: kernels count in 32 bits."""

Static: TypeAlias = int | float | bool | Polynomial
Value: TypeAlias = Static | str | Sequence | Tensor | Several | AllWeights | Applicable | Poison


def is_static(value: Value) -> TypeGuard[Static]:
    """Return whether a value is a number known when compiling, or a symbolic size."""
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
    """Return a readable number of bytes: `1.2 TB`."""
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
            return f"the symbolic size {value}"
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
    """An argument of a call: its value, and its location in the file."""

    name: str | None
    value: Value
    span: Span
    name_span: Span | None = None
    expression: Any = None
