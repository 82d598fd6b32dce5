"""Functions and expressions in the language of kernels as trees, with their constants put in.

    def clear(x: "float[n]", n: "int", *, tile: "tiles.clear_tile(dtype, width)", dtype: "constant",
              width: "constant"):
        for i in range(0, n, width):
            ...

    function(clear, "clear_16", width=16, dtype="float32")     # the tree, with 16 for `width`
    expression("a if a > b else b", b=Real(0.0))               # Choose(Compare(">", ...), ...)

A kernel's arguments are annotated "int", or as arrays with their extents, or "control". What comes
after `*` is known when the kernel is made: a number or a type of numbers, "constant", and the
intrinsics that are made for it.

The language is a part of Python's: what has no tree raises `ParseError`, a fault of the kernel.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, cast, get_args

from specc.target.expressions import (
    Arithmetic,
    ArrayView,
    Binary,
    Boolean,
    Call,
    Choose,
    Compare,
    Comparison,
    Convert,
    Element,
    Expression,
    Index,
    Integer,
    Logical,
    Name,
    Real,
    Stack,
    Unary,
    replaced,
)
from specc.target.expressions import expression as constant
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
    KernelParameter,
    Return,
    Statement,
    Store,
    Stored,
    While,
)

_ARITHMETIC: dict[type[ast.AST], Arithmetic] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Pow: "**", ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|",
    ast.BitXor: "^",
}  # fmt: skip
_COMPARISONS: dict[type[ast.AST], Comparison] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_ELEMENTS = get_args(Element)
_STORED = get_args(Stored)
Constant = int | float | str  # a number, or the name of a type of numbers


class ParseError(Exception):
    """A text that is not in the language of kernels."""


def function(written: Callable[..., Any], name: str = "", /, **constants: Constant) -> Function:
    """Return the tree of a module's function, under another name, with its constants put in."""
    definition, comments = _definition(written)
    return _Reader(comments, constants).function(definition, name or definition.name)


def functions(text: str) -> list[Function]:
    """Return the trees of the functions of a text."""
    reader = _Reader(_comments(text), {})
    definitions = [each for each in ast.parse(text).body if isinstance(each, ast.FunctionDef)]
    return [reader.function(each, each.name) for each in definitions]


@cache
def helper(written: Callable[..., Any]) -> Function:
    """Return the tree of a module's function that kernels call.

    Its arguments are integers, and the numbers among the names of its module are constants.
    """
    definition, comments = _definition(written)
    named = written.__globals__
    numbers = {
        name: named[name] for name in written.__code__.co_names if isinstance(named.get(name), int)
    }
    reader = _Reader(comments, numbers)
    arguments = tuple(KernelParameter(each.arg, Int()) for each in definition.args.args)
    return Function(definition.name, arguments, reader._block(definition.body))


def expression(text: str, **names: Expression) -> Expression:
    """Return the tree of an expression; each of the `names` in it becomes the tree given for it."""
    tree = _parsed(text)
    return replaced(tree, lambda part: names.get(part.id) if isinstance(part, Name) else None)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Expression:
    return tree_of(ast.parse(text, mode="eval").body)


def parameters(written: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a function's arguments, without those that are known when it is made."""
    code = written.__code__
    return code.co_varnames[: code.co_argcount]


def constants(written: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the constants that a function needs."""
    code = written.__code__
    names = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    return tuple(name for name in names if _bare(written.__annotations__[name]) == "constant")


def _bare(annotation: str) -> str:
    """Return an annotation without the quotes that it has if annotations are not evaluated."""
    return annotation.strip("'\"")


@cache
def text_of(written: Callable[..., Any]) -> str:
    """Return the text of a module's function: `inspect.getsource` takes 1 ms for it."""
    code = written.__code__
    lines = linecache.getlines(code.co_filename)
    assert lines, f"{code.co_filename} cannot be read"
    first = code.co_firstlineno - 1
    while lines[first].startswith("@"):  # a decorator
        first += 1
    after = (n for n in range(first + 1, len(lines)) if lines[n][0] not in " \n)#")
    return "".join(lines[first : next(after, len(lines))]).rstrip() + "\n"


@cache
def _definition(written: Callable[..., Any]) -> tuple[ast.FunctionDef, dict[int, str]]:
    text = text_of(written)
    definition = ast.parse(text).body[0]
    assert isinstance(definition, ast.FunctionDef), f"{written.__name__} is not a function"
    return definition, _comments(text)


def _comments(text: str) -> dict[int, str]:
    """Return the comments of a text, by their line."""
    lines = enumerate(text.splitlines(), 1)
    return {number: line.partition("#")[2].strip() for number, line in lines if "#" in line}


class _Reader:
    """Makes statements of parsed Python, and puts each comment before the statement it is at."""

    def __init__(self, comments: Mapping[int, str], constants: Mapping[str, Constant]):
        self._comments = sorted(comments.items(), reverse=True)
        self._constants = constants
        self._names: dict[str, Expression | str] = {
            name: value if isinstance(value, str) else constant(value)
            for name, value in constants.items()
        }

    def function(self, definition: ast.FunctionDef, name: str) -> Function:
        made, known = {}, set()
        for each in definition.args.kwonlyargs:
            text = _annotation(each)
            if text == "constant":
                known.add(each.arg)
            else:
                made[each.arg] = self._intrinsic(text)
        given = set(self._constants)
        assert known == given, f"{definition.name} has the constants {known}, not {given}"
        arguments = tuple(map(self._parameter, definition.args.args))
        return Function(name, arguments, self._block(definition.body), tuple(made.items()))

    def _intrinsic(self, text: str) -> Intrinsic:
        match ast.parse(text, mode="eval").body:
            case ast.Call(ast.Attribute(ast.Name(file), name), arguments, []):
                values = tuple(self._value(each) for each in arguments)
                return Intrinsic(file, str(self._constants.get(name, name)), values)
        raise ParseError(f"{text!r} is not an intrinsic")

    def _value(self, argument: ast.expr) -> int | str | bool:
        """Return the value of an intrinsic's argument: a constant of the kernel or a literal."""
        match argument:
            case ast.Name(name):
                value = self._constants[name]
            case ast.Constant(int() | str() as value):
                pass
            case _:
                raise ParseError(f"not an argument of an intrinsic: {ast.unparse(argument)}")
        assert not isinstance(value, float), f"{value} is not a size or a type"
        return value

    def _parameter(self, argument: ast.arg) -> KernelParameter:
        text = _annotation(argument)
        if text in ("int", "control"):
            return KernelParameter(argument.arg, Int() if text == "int" else Control())
        match ast.parse(text.strip(), mode="eval").body:
            case ast.Subscript(ast.Name(id), at):
                element = self._names.get(id, id)
                extents = at.elts if isinstance(at, ast.Tuple) else [at]
                if isinstance(element, str) and element in _STORED:
                    sizes = tuple(tree_of(each, self._names) for each in extents)
                    return KernelParameter(argument.arg, Array(cast(Stored, element), sizes))
        raise ParseError(f"{argument.arg}: {text!r} is not the type of an argument")

    def _block(self, nodes: list[ast.stmt]) -> Block:
        return tuple(each for node in nodes for each in self._statements(node))

    def _statements(self, node: ast.stmt) -> Iterator[Statement]:
        first = getattr(node, "body", [node])[0].lineno if isinstance(node, _BLOCKS) else None
        last = node.end_lineno if first is None else first - 1
        while self._comments and self._comments[-1][0] <= (last or 0):
            line, text = self._comments[-1]
            if first is not None and line > node.lineno:  # the first lines of its block
                break
            self._comments.pop()
            yield Comment(text)
        yield from self._plain(node)

    def _plain(self, node: ast.stmt) -> Iterator[Statement]:
        match node:
            case ast.Assign([ast.Tuple(places)], ast.Tuple(values)):
                taken = {each.id for each in ast.walk(node.value) if isinstance(each, ast.Name)}
                given = {each.id for each in places if isinstance(each, ast.Name)}
                assert not taken & given, ast.unparse(node)
                for place, value in zip(places, values, strict=True):
                    yield self._assigned(place, value)
            case ast.Assign([place], value):
                yield self._assigned(place, value)
            case ast.AugAssign(place, operator, value):
                to = self._tree(place)
                assert isinstance(to, (Name, Index)), ast.unparse(place)
                yield AugmentedAssign(to, _ARITHMETIC[type(operator)], self._tree(value))
            case ast.For(ast.Name(index), ast.Call(ast.Name("range"), ends), body, []):
                start, stop, step = _range([self._tree(each) for each in ends])
                yield For(index, start, stop, step, self._block(body))
            case ast.While(condition, body, []):
                yield While(self._tree(condition), self._block(body))
            case ast.If(condition, body, otherwise):
                yield If(self._tree(condition), self._block(body), self._block(otherwise))
            case ast.Expr(ast.Call() as made):
                call = self._tree(made)
                assert isinstance(call, Call), ast.unparse(made)
                yield Do(call)
            case ast.Expr(ast.Constant(str() as text)):
                yield from (Comment(line.strip()) for line in text.strip().splitlines())
            case ast.Continue():
                yield Continue()
            case ast.Return(value):
                yield Return(None if value is None else self._tree(value))
            case _:
                raise ParseError(f"not in the language of kernels: {ast.unparse(node)}")

    def _assigned(self, place: ast.expr, value: ast.expr) -> Assign | Store:
        to = self._tree(place)
        if isinstance(to, Name):
            return Assign(to.id, self._tree(value))
        assert isinstance(to, Index), ast.unparse(place)
        return Store(to, self._tree(value))

    def _tree(self, node: ast.expr) -> Expression:
        return tree_of(node, self._names)


_BLOCKS = (ast.For, ast.While, ast.If)


def _annotation(argument: ast.arg) -> str:
    match argument.annotation:
        case ast.Constant(str() as text):
            return text
    raise ParseError(f"{argument.arg} is not annotated")


def _range(ends: list[Expression]) -> tuple[Expression, Expression, Expression]:
    match ends:
        case [stop]:
            return Integer(0), stop, Integer(1)
        case [start, stop]:
            return start, stop, Integer(1)
    start, stop, step = ends
    return start, stop, step


def tree_of(node: ast.expr, names: Mapping[str, Expression | str] = {}) -> Expression:
    """Return the tree of a parsed expression; `names` are replaced by trees."""
    match node:
        case ast.Name(id):
            tree = names.get(id, Name(id))
            assert isinstance(tree, Expression), f"{id} is a type of numbers"
            return tree
        case ast.Constant(bool() as value):
            return Boolean(value)
        case ast.Constant(int() as value):
            return Integer(value)
        case ast.Constant(float() as value):
            return Real(value)
        case ast.Call(function, arguments, []):
            return _call(function, arguments, names)
        case ast.Subscript(array, ast.Tuple(at)):
            return Index(tree_of(array, names), tuple(tree_of(each, names) for each in at))
        case ast.Subscript(array, at):
            return Index(tree_of(array, names), (tree_of(at, names),))
    return _operation(node, lambda part: tree_of(part, names))


def _operation(node: ast.expr, tree: Callable[[ast.expr], Expression]) -> Expression:
    match node:
        case ast.BinOp(left, operator, right):
            return Binary(_ARITHMETIC[type(operator)], tree(left), tree(right))
        case ast.UnaryOp(ast.USub(), operand):
            return Unary("-", tree(operand))
        case ast.UnaryOp(ast.Not(), operand):
            return Unary("not", tree(operand))
        case ast.Compare(left, [operator], [right]):
            return Compare(_COMPARISONS[type(operator)], tree(left), tree(right))
        case ast.BoolOp(operator, [first, *others]):
            found = tree(first)
            for each in others:
                found = Logical("and" if isinstance(operator, ast.And) else "or", found, tree(each))
            return found
        case ast.IfExp(condition, yes, no):
            return Choose(tree(condition), tree(yes), tree(no))
    raise ParseError(f"not in the language of kernels: {ast.unparse(node)}")


def _call(
    function: ast.expr, arguments: list[ast.expr], names: Mapping[str, Expression | str]
) -> Expression:
    match function, arguments:
        case ast.Name("int"), [operand]:
            return Convert("int", tree_of(operand, names))
        case ast.Name("view"), [address, ast.Tuple(shape), element]:
            sizes = tuple(tree_of(each, names) for each in shape)
            return ArrayView(tree_of(address, names), sizes, _element(element, names))
        case ast.Name("partial_sums"), [ast.Constant(int() as length), element]:
            return Stack(length, _element(element, names))
        case ast.Name(id), _ if id not in _ELEMENTS and id not in names:
            return Call(id, tuple(tree_of(each, names) for each in arguments))
        case _, [operand]:
            return Convert(_element(function, names), tree_of(operand, names))
    raise ParseError(f"not in the language of kernels: a call of {ast.unparse(function)}")


def _element(node: ast.expr, names: Mapping[str, Expression | str]) -> Element:
    match node:
        case ast.Name(id) | ast.Attribute(ast.Name("np"), id):
            named = names.get(id) if isinstance(node, ast.Name) else None
            return _as_element(named if isinstance(named, str) else id)
    raise ParseError(f"not a type of numbers: {ast.unparse(node)}")


def _as_element(name: str) -> Element:
    if name not in _ELEMENTS:
        raise ParseError(f"not a type of numbers: {name}")
    return cast(Element, name)
