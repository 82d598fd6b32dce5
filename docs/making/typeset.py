"""Definitions in the language as formulas, in MathML, which browsers show without scripts.

equations(library.lookup("leaky_relu"))    # "<math ...>leaky_relu(x) = max(slope x, x)</math>"
"""

from __future__ import annotations

from html import escape

from specc.frontend.syntax import ast

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "theta": "θ",
    "lambda": "λ", "mu": "μ", "nu": "ν", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ",
    "omega": "ω", "pi": "π",
}  # fmt: skip
SIGNS = {
    "*": "&#8290;", "@": "&#8290;", "-": "−", "<=": "≤", ">=": "≥", "!=": "≠", "==": "=",
    "and": "∧", "or": "∨", "not": "¬", "%": "mod",
}  # fmt: skip
LOOSE, OR, AND, NOT, COMPARE, SUM, PRODUCT, SIGN, POWER, ATOM = range(10)
STRENGTH = {
    "or": OR, "and": AND, "==": COMPARE, "!=": COMPARE, "<": COMPARE, "<=": COMPARE,
    ">": COMPARE, ">=": COMPARE, "+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "//": PRODUCT,
    "%": PRODUCT, "@": PRODUCT, "^": POWER,
}  # fmt: skip
FENCES = {"abs": ("|", "|"), "floor": ("⌊", "⌋"), "ceil": ("⌈", "⌉"), "norm": ("‖", "‖")}

Rendered = tuple[str, int]
"""MathML, and how tightly its outermost operation binds."""


def equations(definition: ast.WordDefinition) -> str:
    """Return what a word computes, a formula a line."""
    head = _head(definition)
    if isinstance(definition, ast.Fn) and definition.value is not None:
        return _block([(head, "=", _row(definition.value))])
    lines = []
    for statement in definition.body or ():
        line = _statement(statement, head)
        if line is not None:
            lines.append(line)
    return _block(lines)


def _block(lines: list[tuple[str, str, str]]) -> str:
    rows = "".join(
        f'<mtr><mtd columnalign="right">{left}</mtd><mtd><mo>{sign}</mo></mtd>'
        f'<mtd columnalign="left">{right}</mtd></mtr>'
        for left, sign, right in lines
    )
    return f'<math display="block"><mtable displaystyle="true">{rows}</mtable></math>'


def _statement(statement: ast.Statement, head: str) -> tuple[str, str, str] | None:
    match statement:
        case ast.Let():
            names = "<mo>,</mo>".join(name(each.text) for each in statement.names)
            return names, "=", _row(statement.value)
        case ast.Param():
            return name(statement.name.text), "∈", _space(statement.type)
        case ast.State():
            start = f"<msub>{name(statement.name.text)}<mn>0</mn></msub>"
            return start, "=", _row(statement.value)
        case ast.Next():
            return name(statement.name.text), "←", _row(statement.value)
        case ast.Return():
            return head, "=", "<mo>,</mo>".join(_row(each) for each in statement.values)
        case ast.Layer():
            return name(statement.name.text), "=", _code(statement.span.text.partition("=")[2])
    return None


def _head(definition: ast.WordDefinition) -> str:
    inputs = "<mo>,</mo>".join(name(each.name.text) for each in definition.signature.inputs)
    return f"{name(definition.name.text)}<mo>(</mo>{inputs}<mo>)</mo>"


def _space(tree: ast.Type) -> str:
    """The set that a parameter is from: R to the power of its axes."""
    if not tree.axes:
        return "<mi>ℝ</mi>"
    axes = "<mo>×</mo>".join(_row(axis.size) for axis in tree.axes)
    return f"<msup><mi>ℝ</mi><mrow>{axes}</mrow></msup>"


def name(text: str) -> str:
    """Return a name: Greek letters as such, trailing digits as an index."""
    stem = text.rstrip("0123456789")
    digits = text[len(stem) :]
    shown = f"<mi>{GREEK.get(stem, escape(stem))}</mi>"
    return f"<msub>{shown}<mn>{digits}</mn></msub>" if digits and stem else shown


def _code(text: str) -> str:
    return f"<mtext>{escape(' '.join(text.split()))}</mtext>"


def _row(node: ast.Expression | ast.Slice, least: int = LOOSE) -> str:
    """Return a formula, in parentheses if its outermost operation binds less tightly."""
    shown, strength = _formula(node)
    if strength < least:
        return f"<mrow><mo>(</mo>{shown}<mo>)</mo></mrow>"
    return f"<mrow>{shown}</mrow>"


def _formula(node: ast.Expression | ast.Slice) -> Rendered:
    match node:
        case ast.Number():
            return f"<mn>{escape(node.text)}</mn>", ATOM
        case ast.Path():
            return "<mo>.</mo>".join(name(each.text) for each in node.names), ATOM
        case ast.Boolean() | ast.String():
            return _code(node.span.text), ATOM
        case ast.Unary():
            sign = SIGNS[node.operator.text]
            return f"<mo>{sign}</mo>{_row(node.operand, SIGN)}", SIGN
        case ast.Binary():
            return _binary(node)
        case ast.Conditional():
            return _cases(node), LOOSE
        case ast.Index():
            items = "<mo>,</mo>".join(_row(each) for each in node.items)
            return f"<msub>{_row(node.value, ATOM)}<mrow>{items}</mrow></msub>", ATOM
        case ast.Slice():
            parts = [_row(each) if each is not None else "" for each in (node.start, node.stop)]
            return "<mo>:</mo>".join(parts), ATOM
        case ast.Call():
            return _call(node)
        case ast.Pipeline():
            stages = "".join(f"<mo>→</mo>{_code(each.span.text)}" for each in node.stages)
            return f"{_row(node.value, OR)}{stages}", LOOSE
    return _code(node.span.text), ATOM


def _binary(node: ast.Binary) -> Rendered:
    sign = node.operator.text
    strength = STRENGTH[sign]
    if sign == "/":
        return f"<mfrac>{_row(node.left)}{_row(node.right)}</mfrac>", ATOM
    if sign == "//":
        inner = f"<mfrac>{_row(node.left)}{_row(node.right)}</mfrac>"
        return f"<mo>⌊</mo>{inner}<mo>⌋</mo>", ATOM
    if sign == "^":
        return f"<msup>{_row(node.left, ATOM)}{_row(node.right)}</msup>", POWER
    left, right = _row(node.left, strength), _row(node.right, strength + (sign in "-*@"))
    shown = SIGNS.get(sign, escape(sign))
    if sign in ("*", "@") and (
        isinstance(node.right, ast.Number) or _is_long(node.left) or _is_long(node.right)
    ):
        shown = "·"
    return f"{left}<mo>{shown}</mo>{right}", strength


def _is_long(node: ast.Expression) -> bool:
    """Return whether a factor ends or begins with a name of several letters."""
    if isinstance(node, ast.Binary) and node.operator.text in "*@":
        return _is_long(node.left) or _is_long(node.right)
    if isinstance(node, ast.Call):
        return node.word.text not in (*FENCES, "sqrt")
    if not isinstance(node, ast.Path):
        return False
    stem = node.text.rstrip("0123456789")
    return len(stem) > 1 and stem not in GREEK


def _cases(node: ast.Conditional) -> str:
    def line(value: str, condition: str) -> str:
        return f"<mtr><mtd>{value}</mtd><mtd>{condition}</mtd></mtr>"

    rows = [
        line(_row(node.value), f"<mtext>if&#160;</mtext>{_row(node.condition)}"),
        line(_row(node.otherwise), "<mtext>otherwise</mtext>"),
    ]
    return f"<mo>{{</mo><mtable>{''.join(rows)}</mtable>"


def _call(node: ast.Call) -> Rendered:
    word = node.word.text
    inputs = [each.value for each in node.inputs]
    if len(inputs) == 1 and not node.settings:
        only = inputs[0]
        if word == "sqrt":
            return f"<msqrt>{_row(only)}</msqrt>", ATOM
        if word == "exp":
            return f"<msup><mi>e</mi>{_row(only)}</msup>", ATOM
        if word == "sum":
            return f"<mo>∑</mo>{_row(only, PRODUCT)}", PRODUCT
        if word in FENCES:
            left, right = FENCES[word]
            return f"<mo>{left}</mo>{_row(only)}<mo>{right}</mo>", ATOM
    listed = "<mo>,</mo>".join(_row(each) for each in inputs)
    settings = "<mo>,</mo>".join(_argument(each) for each in node.settings)
    between = "<mo>;</mo>" if inputs and settings else ""
    return f"{name(word)}<mo>(</mo>{listed}{between}{settings}<mo>)</mo>", ATOM


def _argument(each: ast.Argument) -> str:
    value = _row(each.value)
    return f"{name(each.name.text)}<mo>=</mo>{value}" if each.name is not None else value
