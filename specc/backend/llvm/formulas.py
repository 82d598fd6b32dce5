"""Expressions of a kernel to LLVM's instructions; `lower` writes the statements around them.

The value of an expression is a number or an array. Its type follows from those of its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llvmlite import ir

from specc.backend.llvm.intrinsics import (
    CONTEXT,
    I64,
    Helper,
    Number,
    UntypedError,
    stack,
    types,
)
from specc.backend.llvm.values import (
    BOOL,
    INT,
    KernelValue,
    LoweringError,
    Memory,
    Numbers,
    joined,
    rounded,
)
from specc.system.records import dataclass
from specc.target.expressions import (
    ArrayView,
    Binary,
    Boolean,
    Call,
    Choose,
    Compare,
    Convert,
    Expression,
    Index,
    Integer,
    Logical,
    Name,
    Real,
    Stack,
    Unary,
)


@dataclass(frozen=True)
class Variable:
    """A variable that holds a number: its type and its address on the stack."""

    type: Number
    place: Any


@dataclass(frozen=True)
class MemoryVariable:
    """A variable that holds an array: where its address and its extents are kept."""

    element: Number
    data: Any
    extents: tuple[Any, ...]


def literal(tree: Expression) -> int | None:
    """Return the integer that a tree is, with its sign; None if it is not an integer."""
    if isinstance(tree, Unary) and isinstance(tree.operand, Integer) and tree.operator == "-":
        return -tree.operand.value
    return tree.value if isinstance(tree, Integer) else None


class Formulas:
    """Writes the expressions of one function.

    `module` knows types and functions by their names; `variables` are those that have a value.
    """

    def __init__(self, module: Any, function: ir.Function):
        self.module, self.function = module, function
        self.b = ir.IRBuilder(function.append_basic_block())
        self.numbers = Numbers(self.b)
        self.variables: dict[str, Variable | MemoryVariable] = {}

    def blocks(self, count: int) -> list[ir.Block]:
        """Append new blocks to the function; no branch leads to them yet."""
        return [self.function.append_basic_block() for _ in range(count)]

    def any(self, tree: Expression) -> KernelValue | Memory:
        found = _EXPRESSIONS[type(tree)](self, tree)
        if found is None:
            raise LoweringError(f"{tree} has no value")
        return found

    def value(self, tree: Expression) -> KernelValue:
        found = self.any(tree)
        if isinstance(found, Memory):
            raise LoweringError(f"{tree} is an array, not a number")
        return found

    def integer(self, tree: Expression) -> Any:
        value = self.value(tree)
        if value.type.is_float:
            raise LoweringError(f"{tree} is not an integer")
        return self.numbers.cast(value, INT)

    def condition(self, tree: Expression) -> Any:
        return self.numbers.cast(self.value(tree), BOOL)

    def _name(self, tree: Name) -> KernelValue | Memory:
        found = self.variables.get(tree.id)
        if found is None:
            raise LoweringError(f"there is no variable `{tree.id}`")
        if isinstance(found, Variable):
            return KernelValue(found.type, self.b.load(found.place))
        extents = tuple(self.b.load(each) for each in found.extents)
        return Memory(found.element, self.b.load(found.data), extents)

    def _constant(self, tree: Integer | Real | Boolean) -> KernelValue:
        kinds = {Integer: INT, Real: self.module.real, Boolean: BOOL}
        kind = kinds[type(tree)]
        return KernelValue(kind, ir.Constant(kind.ir, rounded(tree.value, kind)))

    def _unary(self, tree: Unary) -> KernelValue:
        value = self.value(tree.operand)
        if tree.operator == "not":
            return KernelValue(BOOL, self.b.not_(self.numbers.cast(value, BOOL)))
        return self.numbers.negative(value)

    def _binary(self, tree: Binary) -> KernelValue:
        exponent = literal(tree.right) if tree.operator == "**" else None
        if exponent is not None:
            return self.numbers.power(self.value(tree.left), exponent)
        return self.numbers.arithmetic(tree.operator, self.value(tree.left), self.value(tree.right))

    def _compare(self, tree: Compare) -> KernelValue:
        left, right = self.value(tree.left), self.value(tree.right)
        return self.numbers.compare(tree.operator, left, right)

    def _logical(self, tree: Logical) -> KernelValue:
        b, left = self.b, self.condition(tree.left)
        first, (second, after) = b.block, self.blocks(2)
        if tree.operator == "and":
            b.cbranch(left, second, after)
        else:
            b.cbranch(left, after, second)
        b.position_at_end(second)
        right = self.condition(tree.right)
        last = b.block
        b.branch(after)
        b.position_at_end(after)
        found = b.phi(BOOL.ir)
        found.add_incoming(left, first)
        found.add_incoming(right, last)
        return KernelValue(BOOL, found)

    def _choose(self, tree: Choose) -> KernelValue:
        b, condition = self.b, self.condition(tree.condition)
        if all(isinstance(each, _AT_HAND) for each in (tree.yes, tree.no)):
            yes, no = self.value(tree.yes), self.value(tree.no)
            kind = joined(yes, no)
            return KernelValue(
                kind,
                b.select(condition, self.numbers.cast(yes, kind), self.numbers.cast(no, kind)),
            )
        starts, after = self.blocks(2), self.function.append_basic_block()
        b.cbranch(condition, *starts)
        found, ends = [], []
        for start, part in zip(starts, (tree.yes, tree.no), strict=True):
            b.position_at_end(start)
            found.append(self.value(part))
            ends.append(b.block)
        kind = joined(*found)
        values = []
        for end, value in zip(ends, found, strict=True):
            b.position_at_end(end)
            values.append(self.numbers.cast(value, kind))
            b.branch(after)
        b.position_at_end(after)
        chosen = b.phi(kind.ir)
        for end, value in zip(ends, values, strict=True):
            chosen.add_incoming(value, end)
        return KernelValue(kind, chosen)

    def _convert(self, tree: Convert) -> KernelValue:
        kind = self.module.number(tree.to)
        return KernelValue(kind, self.numbers.cast(self.value(tree.operand), kind))

    def _load(self, tree: Index) -> KernelValue:
        element, place = self.place(tree)
        return KernelValue(element, self.b.load(place))

    def place(self, tree: Index) -> tuple[Number, Any]:
        """Return the type of an element, and its address."""
        array = self.any(tree.array)
        if any(isinstance(each, Unary) for each in tree.at):
            raise LoweringError(f"an index counts from the start: {tree}")
        if not isinstance(array, Memory) or len(array.extents) != len(tree.at):
            raise LoweringError(f"{tree} is not an element")
        offset, *others = (self.integer(each) for each in tree.at)
        for extent, index in zip(array.extents[1:], others, strict=True):
            offset = self.b.add(self.b.mul(offset, extent), index)
        return array.element, self.b.gep(array.data, [offset])

    def _view(self, tree: ArrayView) -> Memory:
        element = self.module.number(tree.element)
        data = self.b.inttoptr(self.integer(tree.address), element.ir.as_pointer())
        return Memory(element, data, tuple(self.integer(each) for each in tree.shape))

    def _stack(self, tree: Stack) -> Memory:
        element = self.module.number(tree.element)
        array = stack(self.b, ir.ArrayType(element.ir, tree.length))
        return Memory(element, self.b.bitcast(array, element.ir.as_pointer()), (I64(tree.length),))

    def called(self, tree: Call) -> KernelValue | Memory | None:
        """Call a function; None if it has no value."""
        own = _OWN.get(tree.function)
        if own is not None:
            return own(self, *tree.arguments)
        values = [self.value(each) for each in tree.arguments]
        function = self.module.function(tree.function)
        if isinstance(function, Helper):
            called = self.module.helper(tree.function, function)
            found = self.b.call(called, [self.numbers.cast(each, INT) for each in values])
            return {BOOL.ir: KernelValue(BOOL, found), I64: KernelValue(INT, found)}.get(found.type)
        try:
            signature, write = function.define(None, *(each.type for each in values))
        except UntypedError as error:
            raise LoweringError(f"{tree}: {error}") from error
        passed = [
            self.numbers.cast(each, kind) for each, kind in zip(values, signature.args, strict=True)
        ]
        found = write(CONTEXT, self.b, signature, passed)
        kind = signature.return_type
        return None if kind is types.void else KernelValue(kind, found)

    def _row(self, array: Expression, start: Expression, count: Expression) -> Memory:
        whole = self.any(array)
        if not isinstance(whole, Memory):
            raise LoweringError(f"{array} is not an array")
        data = self.b.gep(whole.data, [self.integer(start)])
        return Memory(whole.element, data, (self.integer(count),))

    def _length(self, array: Expression) -> KernelValue:
        whole = self.any(array)
        if not isinstance(whole, Memory):
            raise LoweringError(f"{array} is not an array")
        return KernelValue(INT, whole.extents[0])

    def _absolute(self, operand: Expression) -> KernelValue:
        return self.numbers.absolute(self.value(operand))


# functions that are written here, because they take arrays or any number of arguments
_OWN: Mapping[str, Callable[..., KernelValue | Memory]] = {
    "row": Formulas._row,
    "len": Formulas._length,
    "abs": Formulas._absolute,
}
_AT_HAND = (Name, Integer, Real, Boolean)  # costs nothing to compute, whether needed or not
_EXPRESSIONS: Mapping[type[Expression], Callable[[Formulas, Any], KernelValue | Memory | None]] = {
    Name: Formulas._name,
    Integer: Formulas._constant,
    Real: Formulas._constant,
    Boolean: Formulas._constant,
    Unary: Formulas._unary,
    Binary: Formulas._binary,
    Compare: Formulas._compare,
    Logical: Formulas._logical,
    Choose: Formulas._choose,
    Convert: Formulas._convert,
    Index: Formulas._load,
    ArrayView: Formulas._view,
    Stack: Formulas._stack,
    Call: Formulas.called,
}
