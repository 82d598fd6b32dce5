"""The fields of the JSON form, derived from the classes of the tree, and its JSON Schema.

shapes(ast.Let)     # {"names": Shape(pattern=NAME, is_list=True, least=1), "value": ...}
schema()            # the JSON Schema of such records, which `write.py` describes
"""

from __future__ import annotations

import types
import typing
from dataclasses import fields
from functools import cache
from typing import Any

from specc.frontend.syntax import ast
from specc.system.records import dataclass

ID = "https://json-schema.org/draft/2020-12/schema"
NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
PATH = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"
NUMBER = r"^[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
COMMENT = r"^(#[^\n]*)?$"

EXPRESSIONS = (
    ast.Number,
    ast.String,
    ast.Boolean,
    ast.Path,
    ast.Unary,
    ast.Binary,
    ast.Conditional,
    ast.Index,
    ast.Call,
    ast.Over,
    ast.Pipeline,
)
STATEMENTS = tuple(c for c in typing.get_args(ast.Statement) if c is not ast.Broken)
DEFINITIONS = (
    ast.Dim,
    ast.Seq,
    ast.Const,
    ast.Use,
    ast.Fn,
    ast.Block,
    ast.Cell,
    ast.Optimizer,
    ast.Model,
    ast.Train,
)
BODIES = (ast.Fn, ast.Block, ast.Cell, ast.Optimizer, ast.Model, ast.Train)
NOT_EMPTY = {
    (ast.Let, "names"),
    (ast.Layer, "stages"),
    (ast.Pipeline, "stages"),
    (ast.Repeat, "stages"),
    (ast.Return, "values"),
    (ast.Start, "paths"),
    (ast.Freeze, "paths"),
    (ast.Index, "items"),
    (ast.Path, "names"),
    (ast.Over, "indices"),
}
OPERATORS: dict[type, tuple[str, ...]] = {
    ast.Unary: ("-", "not"),
    ast.Binary: (
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "^",
        "@",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "and",
        "or",
    ),
    ast.Bound: ("<", "<=", ">", ">="),
}
RENAMED = {"kind": "of"}
"""Fields of the tree with another name in JSON, where `kind` is already in use."""
ASIDE: dict[type, tuple[str, ...]] = {ast.File: ("span", "comments", "doc", "source")}
"""Fields with another form, or left out. Those of all other classes: `span`, `comments`, `doc`."""
DEEPEST = 300

# The precedence of values; a value of lower precedence than its location needs parentheses.
PIPELINE, CONDITIONAL, OR, AND, NOT, COMPARISON, SUM, PRODUCT, SIGN, POWER, POSTFIX = range(11)
BINDING = {
    "or": (OR, OR, AND),
    "and": (AND, AND, NOT),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), (COMPARISON, SUM, SUM)),
    **dict.fromkeys("+-", (SUM, SUM, PRODUCT)),
    **dict.fromkeys(("*", "/", "//", "%", "@"), (PRODUCT, PRODUCT, SIGN)),
    "^": (POWER, POSTFIX, SIGN),
}
"""The precedence of each operator, and the least precedence of its two operands."""


@dataclass(frozen=True)
class Shape:
    """The values of a field: one of `classes`, a string of a `pattern`, one of `words`, or a
    boolean."""

    classes: tuple[type, ...] = ()
    pattern: str | None = None
    words: tuple[str, ...] = ()
    is_list: bool = False
    is_required: bool = False
    least: int = 0


@cache
def shapes(cls: type) -> dict[str, Shape]:
    """Return the fields of a class of the tree, and those of its comments and layout."""
    hints = typing.get_type_hints(cls)
    found: dict[str, Shape] = {}
    for field in fields(cls):
        if field.name not in ASIDE.get(cls, ("span", "comments", "doc")):
            found[RENAMED.get(field.name, field.name)] = _shape(cls, field.name, hints[field.name])
    if cls is ast.Number:
        found["value"] = Shape(is_required=False)
        found["text"] = Shape(pattern=NUMBER, is_required=True)
    lines = Shape(pattern=COMMENT, is_list=True)
    if cls in (*STATEMENTS, *DEFINITIONS):
        found |= {"doc": Shape(pattern=""), "comments": lines, "comment": Shape(pattern=COMMENT)}
    if cls in BODIES:
        found |= {"body_comment": Shape(pattern=COMMENT), "end_comments": lines}
    if cls is ast.File:
        found |= {"$schema": Shape(pattern=""), "end_comments": lines}
    if cls in EXPRESSIONS:
        found["parens"] = Shape()
    if cls is ast.Call:
        found["empty_parens"] = Shape()
    if cls in (ast.Call, ast.Repeat):
        found |= {"comments": lines, "comment": Shape(pattern=COMMENT)}
    if cls is ast.Pipeline:
        found["comment"] = Shape(pattern=COMMENT)
    if cls in (ast.Pipeline, ast.Layer):
        found["breaks"] = Shape(is_list=True)
    return found


def _shape(cls: type, name: str, hint: Any) -> Shape:
    is_required, is_list = True, False
    is_union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    options = list(typing.get_args(hint)) if is_union else [hint]
    if type(None) in options:
        options.remove(type(None))
        is_required = False
    if len(options) == 1 and typing.get_origin(options[0]) is tuple:
        inner = typing.get_args(options[0])[0]
        options = list(typing.get_args(inner)) or [inner]
        is_list, is_required = True, False
    plain = {ast.Name: NAME, ast.Path: PATH}
    least = int((cls, name) in NOT_EMPTY)
    if cls is ast.Use or options == [str]:
        return Shape(pattern="", is_list=is_list, is_required=is_required)
    if options == [ast.Operator]:
        return Shape(words=OPERATORS[cls], is_required=True)
    if len(options) == 1 and options[0] in plain:
        return Shape(
            pattern=plain[options[0]],
            is_list=is_list,
            is_required=is_required or bool(least),
            least=least,
        )
    if options == [bool]:
        return Shape(is_required=cls is ast.Boolean)
    classes = tuple(each for each in options if each is not ast.Broken)
    return Shape(classes, is_list=is_list, is_required=is_required or bool(least), least=least)


# The schema


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the JSON form of a file."""
    classes: list[type] = [ast.File]
    for cls in classes:
        for shape in shapes(cls).values():
            classes += [each for each in shape.classes if each not in classes]
    classes.sort(key=lambda cls: cls.__name__)
    definitions = {cls.__name__: _class_schema(cls) for cls in classes}
    definitions["Expression"] = {
        "description": "A value: a number, a boolean, the name of a value, or a formula.",
        "anyOf": [
            {"type": "number"},
            {"type": "boolean"},
            {"type": "string", "pattern": PATH},
            *({"$ref": f"#/$defs/{each.__name__}"} for each in EXPRESSIONS),
        ],
    }
    definitions["Statement"] = _any(STATEMENTS)
    definitions["Definition"] = _any(DEFINITIONS)
    definitions["Stage"] = _any((ast.Call, ast.Repeat))
    return {
        "$schema": ID,
        "title": "specc model",
        "description": "The JSON form of a .dl file of specc.",
        "$ref": "#/$defs/File",
        "$defs": definitions,
    }


def _any(classes: tuple[type, ...]) -> dict[str, Any]:
    return {"anyOf": [{"$ref": f"#/$defs/{each.__name__}"} for each in classes]}


def _class_schema(cls: type) -> dict[str, Any]:
    properties: dict[str, Any] = {"kind": {"const": cls.__name__}}
    required = ["kind"]
    for name, shape in shapes(cls).items():
        properties[name] = _field_schema(cls, name, shape)
        if shape.is_required:
            required.append(name)
    text = (cls.__doc__ or "").strip()
    found: dict[str, Any] = {"type": "object"}
    if not text.startswith(cls.__name__ + "("):
        found["description"] = " ".join(text.split())
    found |= {"properties": properties, "required": required, "additionalProperties": False}
    if cls is ast.Fn:
        found["oneOf"] = [{"required": ["value"]}, {"required": ["body"]}]
    if cls in (ast.Validate, ast.Test):
        found["oneOf"] = [{"required": ["source"]}, {"required": ["split"]}]
    return found


def _field_schema(cls: type, name: str, shape: Shape) -> dict[str, Any]:
    one: dict[str, Any]
    if name == "breaks":
        one = {"type": "integer", "minimum": 0}
    elif name == "parens":
        one = {"type": "integer", "minimum": 1, "maximum": 100}
    elif cls is ast.Number and name == "value":
        one = {"type": "number"}
    elif shape.words:
        one = {"enum": list(shape.words)}
    elif shape.pattern is not None:
        one = {"type": "string", "pattern": shape.pattern} if shape.pattern else {"type": "string"}
    elif not shape.classes:
        one = {"type": "boolean"}
    else:
        union = _union(shape.classes)
        one = {"$ref": f"#/$defs/{union}"} if union else _any(shape.classes)
        for other in (ast.Slice, ast.Bind):
            if other in shape.classes and ast.Binary in shape.classes:
                names = ("Expression", other.__name__)
                one = {"anyOf": [{"$ref": f"#/$defs/{each}"} for each in names]}
    if not shape.is_list:
        return one
    return {"type": "array", "items": one, **({"minItems": shape.least} if shape.least else {})}


def _union(classes: tuple[type, ...]) -> str | None:
    for name, members in (
        ("Expression", EXPRESSIONS),
        ("Statement", STATEMENTS),
        ("Definition", DEFINITIONS),
        ("Stage", (ast.Call, ast.Repeat)),
    ):
        if set(classes) == set(members):
            return name
    return classes[0].__name__ if len(classes) == 1 else None


# Precedence


def least(parent: Any, name: str) -> int:
    """Return the least precedence that needs no parentheses in a field of `parent`."""
    return least_of(type(parent), name, getattr(getattr(parent, "operator", None), "text", ""))


def least_of(cls: type, name: str, operator: str) -> int:
    if cls is ast.Binary:
        return BINDING[operator][1 if name == "left" else 2]
    if cls is ast.Unary:
        return SIGN if operator == "-" else NOT
    if cls is ast.Index and name == "value":
        return POSTFIX
    if cls in (ast.Conditional, ast.Index, ast.Slice) or (cls is ast.Pipeline and name == "value"):
        return CONDITIONAL
    return (
        SUM
        if cls in (ast.Axis, ast.Bound, ast.Bind)
        else POSTFIX
        if cls is ast.Repeat
        else PIPELINE
    )


def binding(node: Any) -> int:
    """Return the precedence of a value of the tree."""
    return binding_of(type(node), getattr(getattr(node, "operator", None), "text", ""))


def binding_of(cls: type, operator: str) -> int:
    if cls is ast.Binary:
        return BINDING[operator][0]
    if cls is ast.Unary:
        return SIGN if operator == "-" else NOT
    return {ast.Pipeline: PIPELINE, ast.Conditional: CONDITIONAL}.get(cls, POSTFIX)


def written(value: int | float) -> str:
    return str(value) if isinstance(value, int) else repr(value)
