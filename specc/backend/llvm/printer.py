"""Print kernels as Python, of the kind that Numba compiles as well.

    expression(choose(x > 0.0, x, 0.0))       # "x if x > 0.0 else 0.0"
    function(tree)                            # 'def scale(x: "float[n]", n: "int"):\n ...'
    kernel(tree, "float32")                   # the same with its imports, as a `Kernel`

Parentheses are printed only where Python, or a reader, needs them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from specc.backend.llvm.kernel import Kernel, Written
from specc.target import language
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
from specc.target.statements import (
    Array,
    Assign,
    AugmentedAssign,
    Block,
    Comment,
    Continue,
    Control,
    Do,
    For,
    Function,
    If,
    Int,
    Intrinsic,
    Return,
    Statement,
    Store,
    While,
)

_PACKAGE = "specc.backend.llvm"
_WIDTH = 100  # characters of a line

# How tightly Python's operators bind.
_CHOICE, _OR, _AND, _NOT, _COMPARISON = 1, 2, 3, 4, 5
_BINDING = {"+": 10, "-": 10, "*": 11, "/": 11, "//": 11, "%": 11, "**": 13}
_BITS, _BITWISE = ("|", "^", "&", "<<", ">>"), 6
_SIGN, _ATOM = 12, 15

Text = tuple[str, int]  # an expression's text, and how tightly its outermost operator binds


def kernel(
    tree: Function,
    dtype: str,
    vector_bits: int = 0,
    *,
    overlap: bool = False,
    unroll: bool = True,
) -> Kernel:
    """Return a kernel as its text; for the options see `Kernel`."""
    source, imports = _printed(tree)
    return Kernel(tree.name, source, dtype, vector_bits, imports, overlap, unroll)


@cache
def written(
    source: Callable[..., Any],
    name: str,
    dtype: str,
    vector_bits: int = 0,
    unroll: bool = True,
    /,
    **constants: int | float | str,
) -> Kernel:
    """Return the kernel of a Python function (see `parse.function`), under a name of its own."""
    options: dict[str, str | int | bool] = {
        "name": name,
        "dtype": dtype,
        "vector_bits": vector_bits,
        "unroll": unroll,
    }
    return Written(source, options, constants, _printed)


def _printed(tree: Function) -> tuple[str, str]:
    printer = _Printer()
    return printer.function(tree), printer.imports(dict(tree.intrinsics))


def function(tree: Function) -> str:
    """Return the Python text of a kernel."""
    return _Printer().function(tree)


def expression(tree: Expression) -> str:
    """Return the Python text of an expression."""
    return _Printer().expression(tree)


class _Printer:
    """Prints one kernel, and collects the functions that it calls."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._called: set[str] = set()

    def function(self, tree: Function) -> str:
        parameters = [f"{each.name}: {self._annotation(each.type)}" for each in tree.parameters]
        self._broken(0, f"def {tree.name}(", parameters, "):")
        self._block(tree.body, 1)
        return "\n".join(self._lines) + "\n"

    def imports(self, intrinsics: dict[str, Intrinsic]) -> str:
        """Return the lines that define the functions that the printed kernel calls."""
        needed: dict[str, set[str]] = {}
        for name in self._called:
            if hasattr(language, name):  # those of `vectormath` need no import
                needed.setdefault(language.__name__, set()).add(name)
        for each in intrinsics.values():
            needed.setdefault(f"{_PACKAGE}.{each.file}", set()).add(each.name)
        lines = [
            f"from {module} import {', '.join(sorted(names))}"
            for module, names in sorted(needed.items())
        ]
        lines += [
            f"{name} = {each.name}({', '.join(map(_constant, each.arguments))})"
            for name, each in intrinsics.items()
        ]
        return "\n".join(lines)

    # Statements.

    def _block(self, block: Block, level: int) -> None:
        assert block, f"a block without statements after {self._lines[-1]!r} (a bug of specc)"
        for each in block:
            _STATEMENTS[type(each)](self, each, level)

    def _put(self, level: int, text: str) -> None:
        self._lines.append("    " * level + text)

    def _assign(self, tree: Assign, level: int) -> None:
        self._put(level, f"{tree.name} = {self.expression(tree.value)}")

    def _store(self, tree: Store, level: int) -> None:
        self._put(level, f"{self.expression(tree.place)} = {self.expression(tree.value)}")

    def _update(self, tree: AugmentedAssign, level: int) -> None:
        place, value = self.expression(tree.place), self.expression(tree.value)
        self._put(level, f"{place} {tree.operator}= {value}")

    def _do(self, tree: Do, level: int) -> None:
        self._called.add(tree.call.function)
        arguments = list(map(self.expression, tree.call.arguments))
        self._broken(level, f"{tree.call.function}(", arguments, ")")

    def _for(self, tree: For, level: int) -> None:
        ends = [tree.start, tree.stop, tree.step]
        if tree.step == Integer(1):
            ends = ends[1:2] if tree.start == Integer(0) else ends[:2]
        self._put(level, f"for {tree.index} in range({self._listed(tuple(ends))}):")
        self._block(tree.body, level + 1)

    def _while(self, tree: While, level: int) -> None:
        self._put(level, f"while {self.expression(tree.condition)}:")
        self._block(tree.body, level + 1)

    def _if(self, tree: If, level: int, word: str = "if") -> None:
        self._put(level, f"{word} {self.expression(tree.condition)}:")
        self._block(tree.body, level + 1)
        if len(tree.otherwise) == 1 and isinstance(tree.otherwise[0], If):
            self._if(tree.otherwise[0], level, "elif")
        elif tree.otherwise:
            self._put(level, "else:")
            self._block(tree.otherwise, level + 1)

    def _comment(self, tree: Comment, level: int) -> None:
        self._put(level, f"# {tree.text}")

    def _continue(self, tree: Continue, level: int) -> None:
        self._put(level, "continue")

    def _return(self, tree: Return, level: int) -> None:
        value = "" if tree.value is None else f" {self.expression(tree.value)}"
        self._put(level, f"return{value}")

    def _broken(self, level: int, start: str, parts: list[str], end: str) -> None:
        """Put the parts on as many lines as they need, those after the first indented further."""
        margin = " " * (4 * level + len(start))
        line = "    " * level + start
        for number, part in enumerate(parts):
            more = part + (", " if number < len(parts) - 1 else end)
            if len(line) + len(more.rstrip()) > _WIDTH and len(line) > len(margin):
                self._lines.append(line.rstrip())
                line = margin
            line += more
        self._lines.append(line if parts else line + end)

    def _annotation(self, type_: Int | Array | Control) -> str:
        if isinstance(type_, Array):
            return f'"{type_.element}[{self._listed(type_.extents)}]"'
        return '"control"' if isinstance(type_, Control) else '"int"'

    # Expressions.

    def expression(self, tree: Expression) -> str:
        return _EXPRESSIONS[type(tree)](self, tree)[0]

    def _within(self, tree: Expression, binding: int) -> str:
        """Return the text as an operand of an operator that binds so tightly."""
        text, own = _EXPRESSIONS[type(tree)](self, tree)
        return text if own >= binding else f"({text})"

    def _listed(self, trees: tuple[Expression, ...]) -> str:
        return ", ".join(map(self.expression, trees))

    def _name(self, tree: Name) -> Text:
        return tree.id, _ATOM

    def _integer(self, tree: Integer) -> Text:
        return str(tree.value), _ATOM if tree.value >= 0 else _SIGN

    def _real(self, tree: Real) -> Text:
        if math.isnan(tree.value):
            return "1e400 - 1e400", _BINDING["-"]
        text = "1e400" if math.isinf(tree.value) else repr(abs(tree.value))
        return (f"-{text}", _SIGN) if math.copysign(1.0, tree.value) < 0 else (text, _ATOM)

    def _boolean(self, tree: Boolean) -> Text:
        return str(tree.value), _ATOM

    def _unary(self, tree: Unary) -> Text:
        if tree.operator == "-":
            return f"-{self._within(tree.operand, _SIGN)}", _SIGN
        return f"not {self._within(tree.operand, _NOT)}", _NOT

    def _binary(self, tree: Binary) -> Text:
        operator = tree.operator
        if operator in _BITS:  # few know how tightly these bind
            sides = self._within(tree.left, _SIGN), self._within(tree.right, _SIGN)
            return f"{sides[0]} {operator} {sides[1]}", _BITWISE
        binding = _BINDING[operator]
        if operator == "**":  # from the right, and more tightly than a sign before it
            sides = self._within(tree.left, binding + 1), self._within(tree.right, _SIGN)
        else:
            sides = self._within(tree.left, binding), self._within(tree.right, binding + 1)
        return f"{sides[0]} {operator} {sides[1]}", binding

    def _compare(self, tree: Compare) -> Text:
        left = self._within(tree.left, _COMPARISON + 1)
        return f"{left} {tree.operator} {self._within(tree.right, _COMPARISON + 1)}", _COMPARISON

    def _logical(self, tree: Logical) -> Text:
        binding = _OR if tree.operator == "or" else _AND
        same = isinstance(tree.left, Logical) and tree.left.operator == tree.operator
        left = self._within(tree.left, binding if same else _NOT)
        return f"{left} {tree.operator} {self._within(tree.right, _NOT)}", binding

    def _choose(self, tree: Choose) -> Text:
        yes, no = self._within(tree.yes, _CHOICE + 1), self._within(tree.no, _CHOICE)
        return f"{yes} if {self._within(tree.condition, _CHOICE + 1)} else {no}", _CHOICE

    def _convert(self, tree: Convert) -> Text:
        return f"{_type(tree.to)}({self.expression(tree.operand)})", _ATOM

    def _index(self, tree: Index) -> Text:
        return f"{self._within(tree.array, _ATOM)}[{self._listed(tree.at)}]", _ATOM

    def _view(self, tree: ArrayView) -> Text:
        self._called.add("view")
        sizes = self._listed(tree.shape) + "," * (len(tree.shape) == 1)
        return f"view({self.expression(tree.address)}, ({sizes}), {_type(tree.element)})", _ATOM

    def _stack(self, tree: Stack) -> Text:
        self._called.add("partial_sums")
        return f"partial_sums({tree.length}, {_type(tree.element)})", _ATOM

    def _call(self, tree: Call) -> Text:
        self._called.add(tree.function)
        return f"{tree.function}({self._listed(tree.arguments)})", _ATOM


_STATEMENTS: dict[type[Statement], Callable[[_Printer, Any, int], None]] = {
    Assign: _Printer._assign,
    Store: _Printer._store,
    AugmentedAssign: _Printer._update,
    Do: _Printer._do,
    For: _Printer._for,
    While: _Printer._while,
    If: _Printer._if,
    Comment: _Printer._comment,
    Continue: _Printer._continue,
    Return: _Printer._return,
}
_EXPRESSIONS: dict[type[Expression], Callable[[_Printer, Any], Text]] = {
    Name: _Printer._name,
    Integer: _Printer._integer,
    Real: _Printer._real,
    Boolean: _Printer._boolean,
    Unary: _Printer._unary,
    Binary: _Printer._binary,
    Compare: _Printer._compare,
    Logical: _Printer._logical,
    Choose: _Printer._choose,
    Convert: _Printer._convert,
    Index: _Printer._index,
    ArrayView: _Printer._view,
    Stack: _Printer._stack,
    Call: _Printer._call,
}


def _type(name: str) -> str:
    return name if name in ("real", "int") else f"np.{name}"


def _constant(value: int | str | bool) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
