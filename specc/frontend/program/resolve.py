"""Undefined names everywhere in a file, including definitions that no model uses.

Elaboration reports those in the code that it reaches. This pass finds the others, in unused
definitions and in branches that are not taken. A name is reported only once per location.
"""

from __future__ import annotations

from specc.diagnostics import About, Label, closest, spelled
from specc.frontend.elaborate.names import MEANINGS, declared_names, unknown
from specc.frontend.elaborate.names import resolve as resolve_word
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.scope import Context, Scope, Word
from specc.frontend.scope.values import POISON
from specc.frontend.syntax import ast
from specc.frontend.words.settings import KINDS
from specc.frontend.words.signatures import signature_of

TYPED = (ast.Input, ast.Target, ast.Stream, ast.Param, ast.State)


def resolve(context: Context, scope: Scope, definition: ast.Definition) -> None:
    """Report the undefined names in a model or a definition."""
    if not isinstance(definition, (ast.Fn, ast.Block, ast.Cell, ast.Optimizer, ast.Model)):
        return
    frame = BodyFrame(context, scope, "file", definition=definition)
    if not isinstance(definition, ast.Model):
        _signature(frame, definition.signature)
    for each in _declared(definition):
        frame.names[each.text] = POISON
    for node in _expressions(definition):
        _visit(frame, node)


def _signature(frame: BodyFrame, signature: ast.Signature) -> None:
    """Report unknown types of settings, and duplicate names."""
    seen: dict[str, ast.Name] = {}
    names = [each.name for each in signature.inputs]
    names += [each.name for each in signature.settings]
    earlier: list[str] = []
    for each in signature.inputs:
        if each.default is not None and each.default.text not in earlier:
            frame.error(
                "unknown-name",
                f"`{each.default}` is not an earlier input of this definition",
                each.default.span,
                help="the default of an optional input is an earlier input",
            )
        earlier.append(each.name.text)
    for name in names:
        if name.text in seen:
            frame.error(
                "duplicate-name",
                f"`{name.text}` is already defined",
                name.span,
                labels=[Label(seen[name.text].span, "first defined here")],
            )
        seen.setdefault(name.text, name)
    for setting in signature.settings:
        kind = setting.kind
        if kind is not None and kind.text not in KINDS:
            near = closest(
                kind.text,
                KINDS,
                {
                    "integer": "int",
                    "number": "float",
                    "string": "text",
                    "str": "text",
                    "boolean": "bool",
                },
            )
            listed = ", ".join(f"`{each}`" for each in KINDS)
            frame.error(
                "unknown-name",
                f"unknown type of setting `{kind.text}`",
                kind.span,
                help=f"did you mean `{near}`?" if near else f"there are {listed}",
                fixes=spelled(near, kind.span),
            )


def _declared(definition) -> list[ast.Name]:
    """Return all names that the definition declares."""
    names = declared_names(getattr(definition, "body", None) or ())
    if isinstance(definition, ast.Model):
        return names
    signature = definition.signature
    names += [each.name for each in (*signature.inputs, *signature.settings)]
    for each in signature.inputs:
        if each.type is not None:
            sizes = [axis.size for axis in each.type.axes or ()] + [each.type.classes]
            names += [s.names[0] for s in sizes if isinstance(s, ast.Path) and len(s.names) == 1]
    return names


def _expressions(definition):
    """Return the expressions to check: the body, and the settings' defaults."""
    if not isinstance(definition, ast.Model):
        for setting in definition.signature.settings:
            if setting.default is not None and setting.kind is None and not setting.choices:
                yield setting.default
    if isinstance(definition, ast.Fn) and definition.value is not None:
        yield definition.value
    for statement in getattr(definition, "body", None) or ():
        if not isinstance(statement, ast.Broken):
            yield statement


def _visit(frame: BodyFrame, root: ast.Node) -> None:
    """Check each name once, according to its role: a value, a function, or a setting."""
    waiting: list[tuple[ast.Node, frozenset[str]]] = [(root, frozenset())]
    # an error about indices also covers the names in the same location
    told = [
        (each.span.start, each.span.end)
        for each in frame.context.report
        if each.about is About.INDEX
        and each.span.source is root.span.source
        and root.span.start <= each.span.start < root.span.end
    ]
    while waiting:
        node, indices = waiting.pop()
        place = (node.span.start, node.span.end)
        is_call = isinstance(node, ast.Call)
        if place in told or (is_call and any(place[0] < a and b < place[1] for a, b in told)):
            continue
        inner = indices | _indices(node)
        if isinstance(node, ast.Path):
            if node.text not in indices:
                _value(frame, node)
            continue
        if isinstance(node, ast.Call):
            word = resolve_word(frame, node.word)
            found: list[ast.Node | None] = [each.value for each in node.inputs]
            found += _settings(word, node)
        elif isinstance(node, ast.Over):
            found = [*node.indices, *node.conditions, node.value]
        elif isinstance(node, TYPED):
            found = [node.type, getattr(node, "value", None)]
        elif isinstance(node, ast.Type):
            found = [*(axis.size for axis in node.axes or ()), node.classes]
        else:
            found = list(ast.children(node))
        waiting += [(each, inner) for each in found if each is not None]


def _indices(node: ast.Node) -> frozenset[str]:
    """Return the indices that a node binds for its children."""
    if isinstance(node, ast.Let):
        return frozenset(each.name.text for each in node.indices)
    if isinstance(node, ast.Repeat) and node.index is not None:
        return frozenset([node.index.text])
    if not isinstance(node, ast.Over):
        return frozenset()
    # a condition before the colon binds its undefined names
    conditions = [each for each in node.indices if not isinstance(each, ast.Bind)]
    paths = [p.text for c in conditions for p in ast.walk(c) if isinstance(p, ast.Path)]
    binds = [each.name.text for each in node.indices if isinstance(each, ast.Bind)]
    return frozenset([*binds, *paths])


def _settings(word, call: ast.Call) -> list[ast.Expression]:
    """Return the settings of a call that are expressions, not functions or options."""
    if not isinstance(word, Word):
        return []
    signature = signature_of(word.definition)
    found = []
    for position, argument in enumerate(call.settings):
        if argument.name is not None:
            declared = signature.setting(argument.name.text)
        else:
            declared = signature.settings[position] if position < len(signature.settings) else None
        if declared is not None and declared.kind != "word" and not declared.choices:
            found.append(argument.value)
    return found


def _value(frame: BodyFrame, path: ast.Path) -> None:
    name = path.names[0].text
    if name in frame.names or name in frame.scope.definitions or name in MEANINGS:
        return
    if len(path.names) == 1 and frame.scope.word(name) is None:
        unknown(frame, name, path.span)
