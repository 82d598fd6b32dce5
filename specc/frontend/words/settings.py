"""Settings of a function: their declarations, their JSON Schema, and the check against it.

    stride: int > 0 = 1      ->      {"type": "integer", "exclusiveMinimum": 0}

In: the settings of an `ast.Signature`, or of a primitive. Out: one `Declared` per setting;
`schema`; and `violations`, which checks values and describes the errors.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from specc.frontend.syntax import ast
from specc.frontend.words.numerals import show_number
from specc.ir.sizes import Polynomial
from specc.system.records import dataclass

KINDS = {
    "int": "an integer",
    "float": "a number",
    "bool": "`true` or `false`",
    "word": "the name of a function, such as an activation or an initializer, or a number",
    "size": "a size: an integer above 0, or the name of a `dim`",
    "text": "a string in quotes",
    "value": "a value that the model computes, or a parameter",
    "sequence": "the name of a sequence axis that a `seq` declares",
}
"""The types of settings; several names joined by `or` are choices."""

REQUIRED = object()


@dataclass(frozen=True)
class Declared:
    """The declaration of a setting. `default` is an expression, a value, or REQUIRED."""

    name: str
    kind: str | None = None
    choices: tuple[str, ...] = ()
    bounds: tuple[tuple[str, Any], ...] = ()  # (">", expression or number)
    default: Any = REQUIRED
    span: Any = None
    doc: str = ""  # its description, if no doc comment has it

    @property
    def is_required(self) -> bool:
        return self.default is REQUIRED

    @property
    def has_open_bounds(self) -> bool:
        return any(not isinstance(value, (int, float, ast.Number)) for _, value in self.bounds)

    def __str__(self) -> str:
        """Return the declaration as the language writes it."""
        text = self.name
        if self.choices:
            text += ": " + " or ".join(self.choices)
        elif self.kind:
            bounds = (f" {sign} {_text(value)}" for sign, value in self.bounds)
            text += f": {self.kind}" + "".join(bounds)
        if not self.is_required and self.default is not None:
            text += f" = {_text(self.default)}"
        return text


def _text(value: Any) -> str:
    if isinstance(value, ast.Node):
        return " ".join(value.span.text.split())
    return show_number(value) if isinstance(value, (int, float)) else str(value)


@cache
def declared(signature: ast.Signature) -> tuple[Declared, ...]:
    """Return the settings of a signature. An unknown type stays in `kind`; `check` reports it."""
    return tuple(
        Declared(
            each.name.text,
            each.kind.text if each.kind else None,
            tuple(name.text for name in each.choices),
            tuple((bound.operator.text, bound.value) for bound in each.bounds),
            REQUIRED if each.default is None else each.default,
            each.name.span,
        )
        for each in signature.settings
    )


HOLDS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
BOUND_KEYS = {">": "exclusiveMinimum", ">=": "minimum", "<": "exclusiveMaximum", "<=": "maximum"}


def property_schema(setting: Declared, bounds: Mapping[int, Any] = {}) -> dict[str, Any]:
    """Return the JSON Schema of a setting. `bounds` has the values of bounds that are formulas."""
    if setting.choices:
        return {"enum": list(setting.choices)}
    rule: dict[str, Any]
    match setting.kind:
        case "int":
            rule = {"type": "integer"}
        case "size":
            rule = {"type": "integer", "minimum": 1}
        case "float":
            rule = {"type": "number"}
        case "bool":
            rule = {"type": "boolean"}
        case "word":
            rule = {"type": ["string", "number"]}  # a number stands for itself: `init=0.1`
        case "text" | "sequence" | "value":
            rule = {"type": "string"}
        case _:
            default = setting.default
            is_boolean = isinstance(default, (bool, ast.Boolean))
            rule = {"type": "boolean" if is_boolean else "number"}
    for position, (sign, value) in enumerate(setting.bounds):
        if isinstance(value, ast.Number):
            value = value.value
        elif not isinstance(value, (int, float)):
            if position not in bounds:
                continue
            value = bounds[position]
        rule[BOUND_KEYS[sign]] = value
    return rule


def schema(settings: Iterable[Declared], title: str = "") -> dict[str, Any]:
    """Return the JSON Schema of a function's settings, given as an object."""
    settings = tuple(settings)
    rule: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    if title:
        rule["title"] = title
    return {
        **rule,
        "type": "object",
        "properties": {each.name: property_schema(each) for each in settings},
        "required": [each.name for each in settings if each.is_required],
        "additionalProperties": False,
    }


@dataclass(frozen=True)
class Violation:
    """An invalid setting. `rule` is the keyword of the schema that it violates."""

    setting: str
    rule: str
    message: str


def violations(
    settings: tuple[Declared, ...],
    values: Mapping[str, Any],
    bounds: Mapping[str, Mapping[int, Any]] = {},
) -> list[Violation]:
    """Check `values`, plain data for JSON, against the schema of `settings`.

    A setting that is absent from `values` is not checked: its value is not plain data (a
    symbolic size, or a tensor), or it was already reported as missing.
    """
    if all(
        each.name not in values
        or _is_plainly_valid(property_schema(each, bounds.get(each.name, {})), values[each.name])
        for each in settings
    ):
        return []
    found = []
    for error in _validator(settings, bounds).iter_errors(values):
        name = str(error.path[0]) if error.path else ""
        setting = next((each for each in settings if each.name == name), None)
        if setting is not None:
            found.append(Violation(name, error.validator, _sentence(setting, error)))
    return found


_TYPES: dict[str, Any] = {"integer": int, "number": (int, float), "boolean": bool, "string": str}
_HOLDS = {BOUND_KEYS[sign]: holds for sign, holds in HOLDS.items()}


def _is_plainly_valid(rule: Mapping[str, Any], value: Any) -> bool:
    """Return whether a value evidently satisfies a rule, without the validator.

    The validator takes 70 ms to import. It checks all values that are not evidently valid, and
    all keywords that are unknown here.
    """
    for keyword, wanted in rule.items():
        if keyword == "type":
            kinds = [wanted] if isinstance(wanted, str) else wanted
            if not any(_has_type(value, each) for each in kinds):
                return False
        elif keyword == "enum":
            if not isinstance(value, str) or value not in wanted:
                return False
        elif keyword not in _HOLDS or isinstance(value, str) or not _HOLDS[keyword](value, wanted):
            return False
    return True


def _has_type(value: Any, wanted: str) -> bool:
    return isinstance(value, _TYPES[wanted]) and isinstance(value, bool) == (wanted == "boolean")


def _validator(settings: tuple[Declared, ...], bounds: Mapping[str, Mapping[int, Any]]):
    if not bounds:
        return _plain_validator(settings)
    return _validator_class()(
        {"properties": {s.name: property_schema(s, bounds.get(s.name, {})) for s in settings}}
    )


@cache
def _plain_validator(settings: tuple[Declared, ...]):
    return _validator_class()({"properties": {s.name: property_schema(s) for s in settings}})


@cache
def _validator_class():
    import jsonschema  # takes 70 ms to import: only where there are settings to check

    base = jsonschema.Draft202012Validator
    # JSON Schema counts 5.0 as an integer; the language does not, nor `10 / 2`
    whole = base.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    return jsonschema.validators.extend(base, type_checker=whole)


_NEEDED = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "`true` or `false`",
    "string": "a string",
}
_SIGNS = {key: sign for sign, key in BOUND_KEYS.items()}


def _sentence(setting: Declared, error: Any) -> str:
    value = show_value(error.instance)
    match error.validator:
        case "type":
            needed = (
                "a word or a number" if setting.kind == "word" else _NEEDED[error.validator_value]
            )
            return f"`{setting.name}` must be {needed}, not {value}"
        case "enum":
            choices = " or ".join(f"`{each}`" for each in error.validator_value)
            given = f"`{error.instance}`" if isinstance(error.instance, str) else value
            return f"`{setting.name}` must be {choices}, not {given}"
    sign = _SIGNS[error.validator]
    return f"`{setting.name}` must be {sign} {show_number(error.validator_value)}, not {value}"


def show_value(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (int, float, Polynomial)):
        return show_number(value)
    return str(value)
