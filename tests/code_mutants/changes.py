"""The single changes of a source file.

    for change in changes(Path("specc/passes/plan/phases.py").read_text()):
        print(change.line, change.function, change.before, "->", change.after)

`change.code()` is the compiled module with this one change. Assertions and the texts of errors are
left out, as no input may reach them; so are annotations, and the code outside of functions, which
has run before a change is made.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

_COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True)
class Change:
    line: int
    function: str  # qualified name of the innermost function
    before: str
    after: str
    ordinal: int  # among equal changes of the function
    source: str
    node: int  # number of the changed node in the order of `ast.walk`
    variant: int

    @property
    def name(self) -> str:
        """What the change is known by; it stays the same when other functions change."""
        again = f" #{self.ordinal + 1}" if self.ordinal else ""
        return f"{self.function}: `{self.before}` -> `{self.after}`{again}"

    def code(self) -> CodeType:
        """The module's code with the change."""
        tree, target, replacement = self._parts()
        tree = _Replace(target, replacement).visit(tree)
        return compile(ast.fix_missing_locations(tree), "<mutant>", "exec", dont_inherit=True)

    def text(self) -> str:
        """The module's text with the change, in as many lines.

        Some kernels are compiled from the text of functions.
        """
        _, target, replacement = self._parts()
        if isinstance(target, (ast.If, ast.While)):
            target, replacement = target.test, replacement.test
        if not hasattr(target, "lineno"):
            return self.source
        lines = self.source.encode().splitlines(keepends=True)
        first, last = target.lineno - 1, target.end_lineno - 1
        before, after = lines[first][: target.col_offset], lines[last][target.end_col_offset :]
        new = ast.unparse(replacement)
        new = f"({new})" if isinstance(replacement, ast.expr) else new
        lines[first : last + 1] = [before + new.encode() + after, *[b"\n"] * (last - first)]
        return b"".join(lines).decode()

    def _parts(self) -> tuple[ast.Module, ast.AST, ast.AST]:
        """The tree, the node that is changed, and what it is changed to."""
        tree = ast.parse(self.source)
        target = list(ast.walk(tree))[self.node]
        return tree, target, list(_variants(target))[self.variant][1]


def changes(source: str) -> list[Change]:
    """All changes of a module's functions, in the order of its lines."""
    tree = ast.parse(source)
    number = {node: i for i, node in enumerate(ast.walk(tree))}
    found: list[Change] = []
    seen: dict[tuple[str, str, str], int] = {}
    for function, node in sorted(
        _candidates(tree), key=lambda each: (each[1].lineno, number[each[1]])
    ):
        for variant, (text, replacement) in enumerate(_variants(node)):
            after = text or ast.unparse(replacement)
            before = ast.unparse(node)
            if isinstance(node, (ast.If, ast.While)):
                before = f"{'if' if isinstance(node, ast.If) else 'while'} {ast.unparse(node.test)}"
            key = function, _short(before), _short(after)
            seen[key] = seen.get(key, -1) + 1
            found.append(Change(node.lineno, *key, seen[key], source, number[node], variant))
    return found


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 90 else text[:60] + " ... " + text[-25:]


def _candidates(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Nodes within functions that may be changed, and the qualified name of the function."""

    def visit(node: ast.AST, path: tuple[str, ...], inside: bool) -> Iterator[tuple[str, ast.AST]]:
        if isinstance(node, (ast.Assert, ast.Raise)):
            return
        if inside and hasattr(node, "lineno"):
            yield ".".join(path), node
        if isinstance(node, _FUNCTIONS):
            name = getattr(node, "name", "<lambda>")
            below = (*path, name)
            body = [node.body] if isinstance(node, ast.Lambda) else node.body
            if not isinstance(node, ast.Lambda) and ast.get_docstring(node) is not None:
                body = body[1:]
            if name == "__repr__":
                return
            for each in body:
                yield from visit(each, below, True)
        elif isinstance(node, ast.ClassDef):
            for each in node.body:
                yield from visit(each, (*path, node.name), inside)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                yield from visit(node.value, path, inside)
        else:
            for each in ast.iter_child_nodes(node):
                yield from visit(each, path, inside)

    yield from visit(tree, (), False)


Variant = tuple[str, ast.AST]
"""How a change reads, where that is not the new node's own text, and the new node."""


def _variants(node: ast.AST) -> Iterator[Variant]:
    """The changes of a node."""
    yield from _other_constants(node)
    yield from _other_operations(node)
    yield from _other_conditions(node)
    yield from _other_calls(node)
    yield from _nothing_instead(node)


def _changed(node: ast.AST, **fields: object) -> ast.AST:
    made = copy.copy(node)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def _other_constants(node: ast.AST) -> Iterator[Variant]:
    match node:
        case ast.Constant(value=bool() as value):
            yield "", _changed(node, value=not value)
        case ast.Constant(value=int() as value):
            yield "", _changed(node, value=value + 1)
            if value > 0:
                yield "", _changed(node, value=value - 1)
        case ast.Constant(value=float() as value):
            yield "", _changed(node, value=value + 1)


def _other_operations(node: ast.AST) -> Iterator[Variant]:
    match node:
        case ast.Compare(ops=[operator]):
            for other in _COMPARISONS[type(operator)]:
                yield "", _changed(node, ops=[other()])
        case (
            ast.BinOp(left=ast.Constant(value=str()) | ast.JoinedStr())
            | ast.BinOp(right=ast.Constant(value=str()))
        ):
            return
        case ast.BinOp(op=operator) if type(operator) in _OPERATORS:
            yield "", _changed(node, op=_OPERATORS[type(operator)]())
        case ast.BoolOp(op=operator):
            yield "", _changed(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
            for i in range(len(node.values)):
                rest = node.values[:i] + node.values[i + 1 :]
                yield "", rest[0] if len(rest) == 1 else _changed(node, values=rest)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield "", node.operand


def _other_conditions(node: ast.AST) -> Iterator[Variant]:
    match node:
        case ast.If() | ast.While():
            word = "if" if isinstance(node, ast.If) else "while"
            new = ast.UnaryOp(ast.Not(), node.test)
            yield f"{word} {ast.unparse(new)}", _changed(node, test=new)
            if isinstance(node, ast.If):
                yield "if False", _changed(node, test=ast.Constant(False))
        case ast.IfExp():
            yield "", _changed(node, body=node.orelse, orelse=node.body)
        case ast.comprehension() if node.ifs:
            yield "", _changed(node, ifs=node.ifs[1:])


def _other_calls(node: ast.AST) -> Iterator[Variant]:
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            yield "", _changed(node, func=ast.Name(_CALLS[name], ast.Load()))
        case ast.Call(args=[first, second, *rest]) if ast.dump(first) != ast.dump(second):
            if not any(isinstance(each, ast.Starred) for each in (first, second)):
                yield "", _changed(node, args=[second, first, *rest])


def _nothing_instead(node: ast.AST) -> Iterator[Variant]:
    match node:
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Assign(targets=[ast.Subscript()]):
            yield "pass", ast.Pass()
        case ast.Continue() | ast.Break():
            yield "pass", ast.Pass()


class _Replace(ast.NodeTransformer):
    def __init__(self, target: ast.AST, replacement: ast.AST):
        self.target, self.replacement = target, replacement

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self.target:
            return (
                ast.copy_location(self.replacement, node)
                if hasattr(node, "lineno")
                else self.replacement
            )
        return self.generic_visit(node)
