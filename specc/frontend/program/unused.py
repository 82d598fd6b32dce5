"""Checks of definitions that no model uses, with unknown inputs.

    fn f(x: flot) = g(x)      # no type `flot`
    fn g(x) = f(x)            # `f` uses itself

Inputs and settings are POISON, so only errors that do not depend on them are reported: undefined
names and types, unknown settings, misplaced statements, a missing `return`, and circular
definitions.
"""

from __future__ import annotations

from specc.frontend.elaborate import definitions
from specc.frontend.elaborate.arguments import setting_value
from specc.frontend.elaborate.bindings import valid_settings
from specc.frontend.elaborate.calls import uses_itself
from specc.frontend.elaborate.names import SCHEDULE
from specc.frontend.elaborate.patterns import KINDS, is_like, unknown_like, unknown_type
from specc.frontend.program.optimizers import UpdateRule, check_inputs
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.scope import WORDS, Context, Namer, Scope, Word
from specc.frontend.scope.values import POISON, Value
from specc.frontend.syntax import ast
from specc.frontend.words.signatures import Signature, signature_of
from specc.ir.program import Parameter
from specc.ir.types import Type
from specc.ops.leaf import Input, Role, constant, leaf


def check_unused(context: Context, scope: Scope, found: list[ast.Definition]) -> None:
    """Report errors in the definitions of `found` that elaboration has not reached."""
    unused = [each for each in found if isinstance(each, WORDS) and each not in context.entered]
    for each in found:
        if isinstance(each, WORDS):
            _defaults(context, scope, each)
    for each in unused:
        _input_types(BodyFrame(context, scope, "file", definition=each), each)
        if not isinstance(each, ast.Cell):
            _walk(context, scope, each)
    _circles(context, scope, unused)


def _input_types(frame: BodyFrame, definition: ast.WordDefinition) -> None:
    names: set[str] = set()
    for each in definition.signature.inputs:
        if each.type is not None and is_like(each.type):
            if isinstance(each.type.classes, ast.Path) and each.type.classes.text not in names:
                unknown_like(frame, each.type)
        elif each.type is not None and each.type.kind.text not in KINDS:
            unknown_type(frame, each.type)
        names.add(each.name.text)


def _walk(context: Context, scope: Scope, definition: ast.Fn | ast.Block | ast.Optimizer) -> None:
    """Elaborate the body in a separate context, so that it does not become part of the model."""
    apart = Context(context.report, context.overrides, lists_layers=False, has_unknown_inputs=True)
    kind = type(definition).__name__.lower()
    frame = BodyFrame(
        apart,
        scope,
        kind,
        _unknown_names(definition),
        definition=definition,
        word=definition.name.text,
        namer=Namer("") if kind == "block" else None,
        depth=1,
    )
    if isinstance(definition, ast.Optimizer):
        if check_inputs(frame, definition):
            type_ = Type("float")
            apart.parameters["w"] = Parameter("w", type_, constant(0.0))
            apart.leaves["w"] = leaf(Input(Role.PARAM, "w", type_))
            UpdateRule(frame, definition).update("w")
    else:
        definitions.value(frame, definition)


def _unknown_names(definition: ast.WordDefinition) -> dict[str, Value | None]:
    """Return the names that the signature declares, and those of a schedule."""
    signature = definition.signature
    names = [each.name.text for each in signature.inputs]
    names += [each.name.text for each in signature.settings]
    for each in signature.inputs:
        if each.type is not None:
            sizes = [axis.size for axis in each.type.axes or ()] + [each.type.classes]
            names += [each.text for each in sizes if isinstance(each, ast.Path)]
    if isinstance(definition, ast.Optimizer):
        names += SCHEDULE
    return dict.fromkeys(names, POISON)


def _defaults(context: Context, scope: Scope, definition: ast.WordDefinition) -> None:
    """Report defaults that violate the declaration of their setting."""
    names = {**_unknown_names(definition), **dict.fromkeys(SCHEDULE, POISON)}
    word = Word(definition.name.text, definition, scope)
    for declared in signature_of(definition).settings:
        if not isinstance(declared.default, ast.Expression):
            continue
        frame = BodyFrame(context, scope, "file", names, definition=definition)
        value = setting_value(frame, declared, declared.default)
        if value is not POISON:
            frame.names = {**names, declared.name: value}
            valid_settings(
                frame, frame, word, Signature((), (declared,)), {}, declared.default.span
            )


def _circles(context: Context, scope: Scope, unused: list[ast.WordDefinition]) -> None:
    """Report circular definitions, each circle once."""
    done: set[ast.WordDefinition] = set()
    reported: set[tuple[ast.WordDefinition, ast.WordDefinition]] = set()

    def follow(definition: ast.WordDefinition, chain: tuple[ast.WordDefinition, ...]) -> None:
        done.add(definition)
        for each in ast.walk(definition):
            if not isinstance(each, ast.Call):
                continue
            used, _ = scope.definitions.get(each.word.text, (None, None))
            if not isinstance(used, WORDS) or used is definition or used not in unused:
                continue  # a use of itself is found during elaboration
            if used in chain and (definition, used) not in reported:
                reported.add((definition, used))
                frame = BodyFrame(context, scope, "file", definition=definition)
                uses_itself(frame, used.name.text, each.span)
            elif used not in done:
                follow(used, (*chain, used))

    for definition in unused:
        if definition not in done:
            follow(definition, (definition,))
