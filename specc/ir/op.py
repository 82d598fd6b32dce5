"""What an op is: one frozen class whose fields are its attributes, with all its facts side by side.

    class Tanh(Elementwise):
        def infer(self, x): ...            # shape rule
        def vjp(self, node, dy): ...       # gradient, built of other ops
        def reference(self, types, x): ... # NumPy, the oracle of the tests

Every concrete subclass registers itself under its class name. A pass asks an op for a fact and
never lists op classes. A fact that has no answer which is right for every op is abstract: a class
that does not state it cannot be defined. The other facts have a default, and their docstrings say
why it is safe.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from specc.ir.sizes import Shape, Size, same
from specc.ir.types import Type
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np

    from specc.ir.graph import Node

REGISTRY: dict[str, type[Op]] = {}

Types = tuple[Type, ...]
Gradients = Sequence["Node | None"]
"""The gradient for each input of a node; None for an input that has none."""
Kernel = Callable[..., Any]
"""A function in the language of kernels: see `specc.target.parse`."""
Strides = tuple[Size, ...]
"""Elements from one entry to the next, along each axis."""
Box = tuple[tuple[int, int], ...]
"""The first element and the end of a part of a value, along each axis."""


class Cut(NamedTuple):
    """The op that computes a part of a value, and how its inputs are cut.

    `axes` has for each input the axis of which it reads the same entries, or None if it reads all.
    """

    op: Op
    axes: tuple[int | None, ...]


class ShapeError(Exception):
    """An input does not fit an op. `argument` is the position of the input at fault (or None)."""

    def __init__(self, message: str, argument: int | None = None):
        super().__init__(message)
        self.message = message
        self.argument = argument


class Form(Enum):
    """How the value of an op comes about in a compiled program."""

    LEAF = "it is there before the program runs: an input or a constant"
    VIEW = "it is another way to read the memory of the first input"
    ELEMENT = "a nest of loops computes each element by a scalar formula"
    END = "it ends a nest of loops, and has another shape than the nest's domain"
    SHARDS = "a nest of loops adds up the parts of all shards"
    JOIN = "its inputs are copied side by side"
    CONTRACTION = "register tiles compute it"
    KERNEL = "it has a kernel of its own"
    CARRY = "it is the memory of a loop's state"
    LOWERED = "passes replace it before kernels are made"


@dataclass(frozen=True)
class Op:
    """A primitive; equal attributes make equal ops.

    Subclasses with fields are frozen dataclasses.
    """

    abstract: ClassVar[bool] = True
    form: ClassVar[Form]

    def __hash__(self) -> int:
        return hash(type(self))

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not cls.__dict__.get("abstract", False):
            missing = [name for name in stated_facts(cls) if not _states(cls, name)]
            assert not missing, f"the op {cls.__name__} does not state {', '.join(missing)}"
            cls.abstract = False
            REGISTRY[cls.__name__] = cls

    @property
    def name(self) -> str:
        return type(self).__name__

    def attributes(self) -> str:
        """Return the fields as a printed graph shows them."""
        return ", ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))

    # Meaning.

    # A class names its inputs in `infer` and `reference`: their number is a part of its signature.

    @abstractmethod
    def infer(self, *inputs: Any, **named: Any) -> Type:
        """Return the type of the result; raises `ShapeError` if the inputs do not fit."""

    @abstractmethod
    def vjp(self, node: Node, dy: Node) -> Gradients:
        """Return the gradient for each input of `node`, given the gradient `dy` of its result."""

    def reference(self, types: Types, *inputs: Any, **named: Any) -> np.ndarray:
        """Compute the result in NumPy. Batched arrays have the batch as their first axis.

        Leaves have no formula: the interpreter looks them up, or draws them.
        """
        raise NotImplementedError(f"{self.name} is not computed from its inputs")

    @abstractmethod
    def flops(self, node: Node) -> Size:
        """Return the floating-point operations for one example; a multiply-add counts as two."""

    # One step of a sequence, whose steps are the first axis.

    @abstractmethod
    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op | None:
        """Return the op that applies this one at each of `steps` steps.

        `moving` says which inputs have an axis of steps; `reads_step` of the new op says which
        must. None if the op has no meaning step by step.
        """

    @abstractmethod
    def one_at(self, node: Node, axis: int) -> Cut | None:
        """Return the op of a single entry along an axis of `node`, without that axis.

        Its inputs lack the axes that are cut as well. None if an entry is not a value of its own.
        """

    def one_step(self, node: Node) -> Op | None:
        """Return the op of one step of `node`, whose first axis counts steps: undoes `over_steps`.

        None unless each step of the result follows from the inputs at that step alone.
        """
        found = self.one_at(node, 0) if node.type.rank else None
        if found is None:
            return None
        for position, (axis, each) in enumerate(zip(found.axes, node.inputs, strict=True)):
            if axis != (0 if self.reads_step(position) else None):
                return None
            if axis == 0 and not same(each.type.shape[0], node.type.shape[0]):
                return None
        return found.op

    def first_steps(self, node: Node, result: Type) -> Op | None:
        """Return the op that gives the first steps of `node`, of type `result`.

        Its inputs are the first steps of those that have steps. The default holds for every op that
        works step by step and whose fields say nothing about the number of steps.
        """
        return self if self.one_step(node) is not None else None

    def reads_step(self, position: int) -> bool:
        """Return whether the input at `position` has an axis of steps, if the result has.

        The default holds for every op whose inputs are treated alike.
        """
        return True

    overwrites_first: ClassVar[bool] = False
    """Whether the result may be stored where the first input is.

    By default not: other ops may still read the input.
    """

    repeatable: ClassVar[bool] = True
    """Whether the backward pass may compute the value a second time.

    Where the examples of the batch meet it may not, because all shards would have to wait for each
    other again.
    """

    awaits_only: ClassVar[bool] = False
    """Whether the inputs are only awaited, and not read.

    Only ops that draw random numbers do so.
    """

    differs_by_step: ClassVar[bool] = False
    """Whether each step has a value of its own even over inputs that are the same at every step.

    Only ops that draw random numbers do.
    """

    def for_all_steps(self, node: Node, inputs: Sequence[Node], steps: Size) -> Node | None:
        """Return the one value that serves all steps of `node`, over inputs that have steps.

        None if there is no such value.

        Without an answer an op is refused in a sequence, with an error that names it.
        """
        return None

    # A part of a value: some entries of one of its axes.

    def cut(self, node: Node, axis: int, start: int, count: int) -> Cut | None:
        """Return what computes `count` entries of an axis of `node`, from `start` on.

        None unless each of them follows from the same entries of the inputs. The default holds for
        every op that works step by step, because the first axis may be one of steps.
        """
        one = None if axis else self.one_step(node)
        if one is None:
            return None
        moving = tuple(self.reads_step(position) for position in range(len(node.inputs)))
        op = one.over_steps(count, moving)
        return None if op is None else Cut(op, tuple(0 if moves else None for moves in moving))

    def summand(self, node: Node, position: int, axis: int, count: int) -> Cut | None:
        """Return what computes the share of `count` entries of an axis of an input in a sum.

        The shares of all entries add up to `node`. By default it is no such sum.
        """
        return None

    # The batch, and shards that share the work.

    @property
    def sums_batch(self) -> bool:
        """Whether the result is a sum over the examples, so that each shard has a part of it.

        By default not; an op that makes one value of many examples' values must say so.
        """
        return False

    @property
    def completes_rows(self) -> bool:
        """Whether each shard computes some rows of a sum over the examples of all shards.

        By default not: the pass `divide` asks for it.
        """
        return False

    @property
    def sums_own_rows(self) -> bool:
        """Whether each shard sums over its own rows of the weights, and so has a partial result.

        By default not: the pass `divide` asks for it.
        """
        return False

    @abstractmethod
    def suits_tensor_parallel(self, node: Node) -> bool:
        """Return whether shards that work on the same examples can share a graph with this op."""

    def is_apart(self) -> bool:
        """Return whether a nest computes each entry of its first axis without the other entries.

        By default not: then one shard runs the nest.
        """
        return False

    # Memory, of views alone.

    def viewed(self, shape: Shape, strides: Strides) -> tuple[Size, Strides] | None:
        """Return how memory with this shape and these strides is read: an offset, and strides.

        None if the memory must be copied first. Every op of the form VIEW states it.
        """
        raise NotImplementedError(f"{self.name} is not a view")

    def part_read(self, inner: Box, whole: Box) -> Box:
        """Return the part of an input, all of which is `whole`, that `inner` of the result needs.

        By default all of it, which is never too little.
        """
        return whole


def stated_facts(op: type[Op]) -> tuple[str, ...]:
    """Return the names of the facts that an op class must state."""
    asked = {
        name: None
        for cls in reversed(op.__mro__)
        for name, each in vars(cls).items()
        if getattr(each, "__isabstractmethod__", False)
    }
    return ("form", *asked)


def _states(op: type[Op], name: str) -> bool:
    fact = getattr(op, name, None)
    return fact is not None and not getattr(fact, "__isabstractmethod__", False)


class WithKernel(Op):
    """An op with a kernel of its own, for one node."""

    abstract = True
    form = Form.KERNEL

    @abstractmethod
    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        """Return the kernel for inputs of these types, with `width` lanes in a vector.

        Its arrays are the inputs and the result, in this order.
        """

    @abstractmethod
    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        """Return the kernel's integer arguments by their names, but for those of the plan."""

    def channels(self, node: Node) -> int:
        """Return how many first axes of the result the kernel can be divided along.

        They count as one axis, the kernel's argument `channels`. By default 0: one shard runs it.
        """
        return 0


class WithoutSteps(Op):
    """An op that has no meaning at each step of a sequence."""

    abstract = True

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op | None:
        return None

    def one_at(self, node: Node, axis: int) -> Cut | None:
        return None


@dataclass(frozen=True)
class AlongAxis(Op):
    """An op along `axis`, which treats the entries of every other axis alike."""

    axis: int
    abstract = True

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return replace(self, axis=self.axis + 1)

    def one_at(self, node: Node, axis: int) -> Cut | None:
        if axis == self.axis:
            return None
        axes = (axis,) * len(node.inputs)
        return Cut(replace(self, axis=self.axis - (axis < self.axis)), axes)

    def cut(self, node: Node, axis: int, start: int, count: int) -> Cut | None:
        return None if axis == self.axis else Cut(self, (axis,) * len(node.inputs))


class WithoutArithmetic(Op):
    """An op that moves, chooses or draws values, which takes no floating-point operations."""

    abstract = True

    def flops(self, node: Node) -> Size:
        return 0
