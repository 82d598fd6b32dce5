"""The numbers that a schedule gives over a training, as far as they are told without running it.

rates(file, `cosine(0.1, 0)`, epochs=10)      # [0.1, 0.0975.., ..., 0.0]
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from specc.frontend.operators.arithmetic import STATIC
from specc.frontend.syntax import ast
from specc.frontend.words import library
from specc.ops.functions import FUNCTIONS

PARTS = 20
"""Into how many parts a training is cut to look at its schedules."""
DEEPEST = 20

EXTREMES = {"min": min, "max": max}


class _Unknown(Exception):
    """A part of a formula that is not calculated here."""


def rates(file: ast.File, formula: ast.Expression, epochs: int) -> list[float]:
    """The values of a formula in `step`, `epoch` and `progress`.

    None if it has parts that are not known.
    """
    own = {d.name.text: d for d in file.definitions if isinstance(d, (ast.Dim, ast.Const, ast.Fn))}
    found = []
    for part in range(PARTS + 1):
        progress = part / PARTS
        names = {
            "progress": progress,
            "epoch": progress * epochs,
            "step": progress * epochs * 100,
            "stale": 0,
        }
        try:
            value = _value(formula, names, own, 0)
        except (_Unknown, ArithmeticError, ValueError, TypeError):
            return []
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
        ):
            return []
        found.append(float(value))
    return found


def _value(tree: ast.Expression, names: Mapping[str, float], own: Mapping, depth: int) -> float:
    if depth > DEEPEST:
        raise _Unknown
    match tree:
        case ast.Number() | ast.Boolean():
            return tree.value
        case ast.Path() if tree.text in names:
            return names[tree.text]
        case ast.Path() if getattr(own.get(tree.text), "value", None) and not isinstance(
            own[tree.text], ast.Fn
        ):
            return _value(own[tree.text].value, {}, own, depth + 1)
        case ast.Unary(operator=sign):
            value = _value(tree.operand, names, own, depth + 1)
            return -value if sign.text == "-" else not value
        case ast.Binary(operator=sign) if sign.text in (*STATIC, "==", "!="):
            left = _value(tree.left, names, own, depth + 1)
            right = _value(tree.right, names, own, depth + 1)
            if sign.text == "^" and abs(right) > 1e6:
                raise _Unknown
            if sign.text in STATIC:
                return STATIC[sign.text](left, right)
            return (left == right) == (sign.text == "==")
        case ast.Conditional():
            branch = tree.value if _value(tree.condition, names, own, depth + 1) else tree.otherwise
            return _value(branch, names, own, depth + 1)
        case ast.Call():
            return _call(tree, names, own, depth)
    raise _Unknown


def _call(call: ast.Call, names: Mapping[str, float], own: Mapping, depth: int) -> float:
    """The value of a `fn name(x; m = 1) = value`, or of a function of numbers."""
    word = call.word.text
    inputs = [_value(each.value, names, own, depth + 1) for each in call.inputs]
    definition = own.get(word) or library.lookup(word)
    if not isinstance(definition, ast.Fn):
        if call.settings:
            raise _Unknown
        if word in EXTREMES:
            return EXTREMES[word](*inputs)
        if word in FUNCTIONS:
            return FUNCTIONS[word].of_numbers(*inputs)
        raise _Unknown
    if definition.value is None or any(each.name for each in call.inputs):
        raise _Unknown
    signature = definition.signature
    inner = {name: names[name] for name in ("progress", "epoch", "step", "stale")}
    inner |= {each.name.text: value for each, value in zip(signature.inputs, inputs, strict=False)}
    given = {}
    for place, argument in enumerate(call.settings):
        name = argument.name.text if argument.name else signature.settings[place].name.text
        given[name] = _value(argument.value, names, own, depth + 1)
    for each in signature.settings:
        if each.name.text in given:
            inner[each.name.text] = given[each.name.text]
        elif each.default is not None:
            inner[each.name.text] = _value(each.default, inner, own, depth + 1)
    return _value(definition.value, inner, own, depth + 1)
