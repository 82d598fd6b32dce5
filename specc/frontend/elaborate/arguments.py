"""Matches the arguments of a call to a definition's signature.

In: the inputs (values) and settings (syntax) of a call. Out: `inputs`, the values in the order of
the signature, and `settings`, a value for each given setting. Both return None after an error.
"""

from __future__ import annotations

from dataclasses import replace

from specc.diagnostics import Edit, Fix, closest, spelled
from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.elaborate.names import resolve
from specc.frontend.elaborate.numbers import number_value
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.scope import Word
from specc.frontend.scope.values import POISON, Given, Sequence, Value, is_static
from specc.frontend.syntax import ast
from specc.frontend.words.messages import SETTING_HINTS, SETTING_SYNONYMS
from specc.frontend.words.settings import Declared
from specc.frontend.words.signatures import Signature, signature_of
from specc.ir.sizes import Polynomial
from specc.source import Span


def inputs(
    frame: BodyFrame,
    word: Word,
    signature: Signature,
    given: list[Given],
    tree: ast.Call,
    is_stage: bool,
) -> list[Given | None] | None:
    """Return one value for each declared input; None for an optional one that is left out."""
    places: dict[str, Given] = {}
    rest: list[Given] = []
    declared = signature.inputs
    position = 0
    for each in given:
        if each.name is None:
            if position < len(declared):
                places[declared[position].name] = each
                position += 1
            elif signature.takes_more:
                rest.append(each)
            else:
                _too_many(frame, word, signature, given, each, tree, is_stage)
                return None
        elif each.name not in signature.input_names:
            _not_an_input(frame, word, signature, each, tree)
            return None
        elif each.name in places:
            frame.error(
                "wrong-arguments",
                f"the input `{each.name}` is given twice",
                each.name_span or each.span,
            )
            return None
        else:
            places[each.name] = each
    missing = [e.name for e in declared if e.name not in places and not e.is_optional]
    if missing:
        listed = " and ".join(f"`{name}`" for name in missing)
        further = ", ".join(missing)
        help_, fixes = f"{word.name}{signature}", []
        if is_stage:
            after = "; ..." if signature.settings else ";"
            help_ = f"a further input goes before a semicolon: `-> {word.name}({further}{after})`"
            if len(tree.settings) == len(missing) and not tree.has_semicolon:
                end = tree.settings[-1].span
                at = Span(end.source, end.end, end.end)
                fixes = [Fix("write a semicolon", (Edit(at, ";"),))]
        frame.error(
            "wrong-arguments",
            f"`{word.name}` needs the input {listed}",
            tree.span,
            help=help_,
            fixes=fixes,
        )
        return None
    for left_out in declared:
        if left_out.name not in places and left_out.default in places:
            places[left_out.name] = places[left_out.default]
    return [places.get(each.name) for each in declared] + rest


def _too_many(
    frame: BodyFrame,
    word: Word,
    signature: Signature,
    given: list[Given],
    extra: Given,
    tree: ast.Call,
    is_stage: bool,
) -> None:
    takes = len(signature.inputs)
    count = f"{takes} input" + ("" if takes == 1 else "s")
    if not is_stage and not tree.has_semicolon and signature.settings:
        frame.error(
            "wrong-arguments",
            f"`{word.name}` takes {count}; put settings after a semicolon",
            extra.span,
            help=f"{word.name}{signature}",
            fixes=_semicolon(extra.span),
        )
    else:
        frame.error(
            "wrong-arguments",
            f"`{word.name}` takes {count}, not {len(given)}",
            extra.span,
            help=f"{word.name}{signature}",
        )


def _not_an_input(
    frame: BodyFrame, word: Word, signature: Signature, each: Given, tree: ast.Call
) -> None:
    place = each.name_span or each.span
    if each.name in signature.setting_names:
        fixes = _semicolon(place) if not tree.has_semicolon else []
        frame.error(
            "wrong-arguments",
            f"`{each.name}` is a setting of `{word.name}`: settings go after a semicolon",
            place,
            help=f"{word.name}{signature}",
            fixes=fixes,
        )
    else:
        near = closest(
            each.name or "", signature.input_names + signature.setting_names, SETTING_SYNONYMS
        )
        frame.error(
            "wrong-arguments",
            f"`{word.name}` has no input `{each.name}`",
            place,
            help=f"did you mean `{near}`?" if near else f"{word.name}{signature}",
        )


def _semicolon(span: Span) -> list[Fix]:
    """Return the fix that replaces the comma before `span` with a semicolon."""
    text = span.source.text
    comma = span.start - 1
    while comma >= 0 and text[comma].isspace():
        comma -= 1
    if comma < 0 or text[comma] != ",":
        return []
    return [Fix("write a semicolon", (Edit(Span(span.source, comma, comma + 1), ";"),))]


def settings(
    frame: BodyFrame,
    word: Word,
    signature: Signature,
    given: tuple[ast.Argument, ...],
    tree: ast.Call,
    is_stage: bool,
) -> dict[str, Given] | None:
    """Return the value of each setting in the call; None after an error."""
    found: dict[str, Given] = {}
    good = True
    position = 0
    for argument in given:
        if argument.name is None:
            if position >= len(signature.settings):
                _too_many_settings(frame, word, signature, argument, is_stage)
                return None
            declared = signature.settings[position]
            position += 1
            span = argument.value.span
        else:
            span = argument.name.span
            match = signature.setting(argument.name.text)
            if match is None:
                _unknown_setting(frame, word, signature, argument, is_stage)
                good = False
                continue
            declared = match
        if declared.name in found:
            frame.error("bad-setting", f"`{declared.name}` is given twice", span)
            good = False
            continue
        value = setting_value(frame, declared, argument.value)
        if value is POISON:
            good = False
            continue
        found[declared.name] = Given(
            declared.name, value, argument.value.span, span, argument.value
        )
    return found if good else None


def _too_many_settings(
    frame: BodyFrame, word: Word, signature: Signature, argument: ast.Argument, is_stage: bool
) -> None:
    count = len(signature.settings)
    takes = "no settings" if count == 0 else f"{count} setting" + ("s" if count > 1 else "")
    help_ = f"{word.name}{signature}"
    if is_stage and (len(signature.inputs) > 1 or signature.takes_more):
        text = " ".join(argument.value.span.text.split())
        help_ = f"a further input goes before a semicolon: `-> {word.name}({text};)`"
    frame.error("wrong-arguments", f"`{word.name}` takes {takes}", argument.value.span, help=help_)


def _unknown_setting(
    frame: BodyFrame, word: Word, signature: Signature, argument: ast.Argument, is_stage: bool
) -> None:
    name = argument.name
    assert name is not None, "only a named setting can be unknown; please report this"
    if name.text in signature.input_names:
        text = " ".join(argument.span.text.split())
        frame.error(
            "unknown-setting",
            f"`{name.text}` is an input of `{word.name}`, not a setting",
            name.span,
            help=f"inputs go before a semicolon: `{word.name}({text}; ...)`",
        )
        return
    if name.text in ("activation", "nonlinearity", "act") and is_stage:
        value = argument.value.span.text.strip('"')
        frame.error(
            "unknown-setting",
            f"`{word.name}` has no setting `{name.text}`",
            name.span,
            help=f"an activation is a stage of its own: `-> {word.name}(...) -> {value}`",
        )
        return
    near = closest(name.text, signature.setting_names, SETTING_SYNONYMS)
    fixes = spelled(near, name.span)
    listed = ", ".join(f"`{each}`" for each in signature.settings)
    known = f"its settings are {listed}" if listed else f"`{word.name}` has no settings"
    hint = None if near else SETTING_HINTS.get(name.text.lower())
    frame.error(
        "unknown-setting",
        f"`{word.name}` has no setting `{name.text}`",
        name.span,
        notes=[known] if (near or hint) and listed else [],
        help=f"did you mean `{near}`?" if near else hint or known,
        fixes=fixes,
    )


def setting_value(frame: BodyFrame, declared: Declared, expression: ast.Expression) -> Value:
    """Return the value of a setting.

    The name of a definition or of a choice is looked up; anything else is evaluated.
    """
    path = expression if isinstance(expression, ast.Path) and len(expression.names) == 1 else None
    if declared.choices and path is not None:
        name = path.text
        local = frame.names.get(name)
        if name in declared.choices or not isinstance(local, str):
            return name
        return local
    if declared.kind == "sequence" and path is not None:
        return _sequence(frame, declared, path)
    if declared.kind == "word" and isinstance(expression, ast.Path | ast.Call):
        value = frame.names.get(path.text) if path is not None else None
        if value is not None and is_static(value):
            return value  # a number instead of an initializer: a constant initial value
        if isinstance(expression, ast.Call):
            word = prepared(frame, expression)
        elif path is not None:
            word = resolve(frame, path)
        else:
            return evaluate(frame, expression)
        if isinstance(word, Word) and word.named_at is None:
            return replace(word, named_at=frame.location(expression.span))
        return word
    return evaluate(frame, expression)


def prepared(frame: BodyFrame, tree: ast.Call) -> Value:
    """Return a definition with its settings but without inputs: `constant(0.1)` as a setting."""
    word = resolve(frame, tree.word)
    if not isinstance(word, Word):
        return word
    if tree.has_semicolon and tree.inputs:
        return frame.error(
            "wrong-arguments",
            f"`{word.name}` gets its inputs where it is used: give only its settings here",
            tree.inputs[0].span,
        )
    given = tree.settings if tree.has_semicolon else tree.inputs
    chosen = settings(frame, word, signature_of(word.definition), given, tree, True)
    return POISON if chosen is None else replace(word, settings={**word.settings, **chosen})


def _sequence(frame: BodyFrame, declared: Declared, expression: ast.Path) -> Value:
    """Return the sequence that a path names: declared by `seq`, or a setting of this body."""
    name = expression.names[0].text
    local = frame.names.get(name)
    if isinstance(local, Sequence) or local is POISON:
        return local
    found = frame.scope.definitions.get(name)
    if found is not None and isinstance(found[0], ast.Seq):
        size = number_value(found[1], found[0])
        return Sequence(name, size) if isinstance(size, int | Polynomial) else POISON
    known = [
        each
        for each, (definition, _) in frame.scope.definitions.items()
        if isinstance(definition, ast.Seq)
    ]
    listed = ", ".join(f"`{each}`" for each in known)
    return frame.error(
        "unknown-name",
        f"`{declared.name}` must name a sequence, but `{name}` is not one",
        expression.span,
        help=f"there is {listed}" if known else "declare one: `seq time = 50`",
    )
