"""Binds the inputs and settings of a call to names in the definition's body, and checks them.

    bind(use, values, settings)      # checks inputs by type, and settings by JSON Schema

Omitted arguments get their default, which may refer to earlier settings and to sizes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from specc.frontend.elaborate import arguments
from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.elaborate.patterns import Match
from specc.frontend.scope import provenance
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.scope import WORDS, Word
from specc.frontend.scope.values import (
    POISON,
    Given,
    Poison,
    Sequence,
    Tensor,
    Value,
    beyond_float,
    describe,
)
from specc.frontend.syntax import ast
from specc.frontend.words.settings import Declared, Violation, violations
from specc.frontend.words.signatures import Signature, signature_of
from specc.ir.sizes import Polynomial
from specc.source import Span

LARGEST_INTEGER = 10**12
"""The largest integer setting: products of a few settings must still be valid array offsets."""


def bind(
    frame: BodyFrame,
    callee: BodyFrame,
    word: Word,
    signature: Signature,
    values: list[Given | None],
    settings: dict[str, Given],
    span: Span,
    is_stage: bool,
) -> bool:
    """Bind settings, inputs and sizes in the callee's frame. Return False after an error."""
    good = True
    for name, given in settings.items():
        callee.names[name] = given.value
    match = Match(frame, callee, word.name, span, is_stage)
    for declared, value in zip(signature.inputs, values, strict=False):
        if value is None:
            callee.names[declared.name] = None
        elif match.accepts(declared, value):
            callee.names[declared.name] = _entering(callee, declared, value)
            match.given[declared.name] = value
        else:
            good = False
    over = {
        each.value.sequence.name
        for each in values
        if each is not None and isinstance(each.value, Tensor) and each.value.sequence is not None
    }
    callee.hidden = frozenset(over - match.whole)
    return good and complete_settings(frame, callee, word, signature, settings, span)


def bind_settings(
    frame: BodyFrame,
    callee: BodyFrame,
    word: Word,
    signature: Signature,
    settings: dict[str, Given],
    span: Span,
) -> bool:
    """Bind only the settings in the callee's frame. Return False after an error."""
    for name, given in settings.items():
        callee.names[name] = given.value
    return complete_settings(frame, callee, word, signature, settings, span)


def complete_settings(
    frame: BodyFrame,
    callee: BodyFrame,
    word: Word,
    signature: Signature,
    settings: dict[str, Given],
    span: Span,
) -> bool:
    """Add default settings and check all settings. Return False after an error."""
    good = True
    for declared in signature.settings:
        if declared.name not in callee.names and not _default(frame, callee, word, declared, span):
            good = False
    return good and valid_settings(frame, callee, word, signature, settings, span)


def _entering(callee: BodyFrame, declared, given: Given) -> Value:
    """Return an input as the body sees it; a user's definition starts a new provenance."""
    value = given.value
    if isinstance(value, Tensor) and callee.call is None and declared.span is not None:
        return replace(
            value, provenance=provenance.Derivation(declared.span, declared.name, value.shape)
        )
    return value


def _default(
    frame: BodyFrame, callee: BodyFrame, word: Word, declared: Declared, span: Span
) -> bool:
    """Bind the default of a setting that the call leaves out."""
    if frame.fans is not None and declared.name in frame.fans and declared.is_required:
        callee.names[declared.name] = frame.fans[declared.name]
    elif declared.is_required:
        frame.error(
            "missing-setting",
            f"`{word.name}` needs the setting `{declared.name}`",
            span,
            help=f"{word.name}{signature_of(word.definition)}",
        )
        callee.names[declared.name] = POISON  # later defaults may refer to it
        return False
    elif isinstance(declared.default, ast.Expression):
        value = arguments.setting_value(callee, declared, declared.default)
        callee.names[declared.name] = value
        if value is POISON:
            return False
    else:
        callee.names[declared.name] = declared.default
    return True


def _model_value(frame: BodyFrame, declared: Declared, value: Value | None, place: Span) -> bool:
    """Return whether a setting is a tensor of the model; otherwise report an error."""
    if value is not None and not isinstance(value, Tensor | Poison):
        frame.error(
            "bad-setting",
            f"`{declared.name}` must be a value that the model computes, not {describe(value)}",
            place,
        )
    return isinstance(value, Tensor)


def valid_settings(
    frame: BodyFrame,
    callee: BodyFrame,
    word: Word,
    signature: Signature,
    given: dict[str, Given],
    span: Span,
) -> bool:
    """Return whether all settings satisfy the JSON Schema of their declarations."""
    plain: dict[str, Any] = {}
    immense: list[Declared] = []
    good = True
    for declared in signature.settings:
        if declared.name not in callee.names:
            continue  # an input is wrong, so only given settings are checked
        value = callee.names[declared.name]
        place = _setting_span(callee, declared, given, span)
        if declared.kind == "value":
            good = _model_value(frame, declared, value, place) and good
        elif isinstance(value, Word | Sequence):
            kind = "word" if isinstance(value, Word) else "sequence"
            plain[declared.name] = value.name
            if declared.kind != kind:
                good = False
                del plain[declared.name]
                frame.error(
                    "bad-setting",
                    f"`{declared.name}` is not a {kind}, but `{value.name}` is",
                    place,
                )
        elif isinstance(value, Tensor):
            good = _tensor_setting(frame, word, declared, value, place) and good
        elif declared.kind == "word" and isinstance(value, str):
            good = False
            frame.error(
                "bad-setting",
                f"`{declared.name}` is a word, not {describe(value)}",
                place,
                help="words are written without quotes: `he`",
            )
        elif declared.kind not in ("int", "size") and (beyond := beyond_float(value)) is not None:
            good = False
            frame.error("bad-setting", f"`{declared.name}`: {beyond}", place)
        elif declared.kind in ("int", "size") and _is_immense(value):
            immense.append(declared)
        elif isinstance(value, (int, float, str)):
            plain[declared.name] = value
        elif not isinstance(value, Polynomial) and value is not None:
            good = False
            frame.error("bad-setting", f"`{declared.name}` cannot be {describe(value)}", place)
    # a default computed from a wrong setting is also wrong, so blame the given setting
    for declared in [each for each in immense if each.name in given] or immense:
        good = False
        message = (
            f"`{declared.name}` is an integer up to {LARGEST_INTEGER:,}, not"
            f" {callee.names[declared.name]:,}"
        )
        frame.error("bad-setting", message, _setting_span(callee, declared, given, span))
    bounds = _bound_values(callee, signature) if len(plain) == len(signature.settings) else {}
    found = violations(signature.settings, plain, bounds)
    for wrong in [each for each in found if each.setting in given] or found:
        good = False
        setting = signature.setting(wrong.setting)
        assert setting is not None, "a violation is of a setting; please report this"
        place = _setting_span(callee, setting, given, span)
        frame.error(
            "bad-setting",
            f"{wrong.message}",
            place,
            help=setting_help(wrong, callee.names[wrong.setting]),
        )
    return good


def _is_immense(value: Value | None) -> bool:
    return isinstance(value, int) and abs(value) > LARGEST_INTEGER


def _setting_span(
    callee: BodyFrame, declared: Declared, given: dict[str, Given], span: Span
) -> Span:
    """Return the span of a setting's value: in the call, or in the user's definition."""
    if declared.name in given:
        return given[declared.name].span
    if callee.call is None and isinstance(declared.default, ast.Node):
        return declared.default.span
    return span


def setting_help(wrong: Violation, value: Value | None) -> str | None:
    """Return the help for a setting that violates its declaration."""
    if wrong.rule == "type" and isinstance(value, float) and value.is_integer():
        return f"write `{int(value)}`; `/` gives a fraction, `//` is integer division"
    if wrong.setting == "pad" and value == "same":
        return "with `pad = (kernel - 1) // 2` an odd kernel keeps the size"
    if wrong.setting == "pad" and value == "valid":
        return "the default `pad = 0` adds nothing"
    return None


def _tensor_setting(
    frame: BodyFrame, word: Word, declared: Declared, value: Tensor, place: Span
) -> bool:
    is_number = declared.kind in (None, "float") and not declared.choices and value.shape == ()
    if is_number and isinstance(word.definition, WORDS):
        return True
    frame.error(
        "bad-setting",
        f"`{declared.name}` must be known at compile time, but this is {describe(value)}",
        place,
        help="tensors are inputs: put them before the semicolon",
    )
    return False


def _bound_values(callee: BodyFrame, signature: Signature) -> dict[str, dict[int, Any]]:
    """Return the bounds of settings that depend on earlier settings and sizes."""
    found: dict[str, dict[int, Any]] = {}
    for declared in signature.settings:
        if declared.has_open_bounds:
            values = {
                position: evaluate(callee, value)
                for position, (_, value) in enumerate(declared.bounds)
                if isinstance(value, ast.Expression) and not isinstance(value, ast.Number)
            }
            found[declared.name] = {
                position: value
                for position, value in values.items()
                if isinstance(value, (int, float))
            }
    return found
