"""Values from the command line that replace those of the file.

    hidden=128                       a `dim`, `seq` or `const`          (or model.hidden=128)
    epochs=20                        a setting of `train`               (or train.epochs=20)
    lr=0.01                          a setting of the optimizer         (or optimizer.lr=0.01)
    optimizer=adam                   another optimizer, with the settings that both have
    data=csv("b.csv") validate=0.9   other data; a number is the training share (`split`)
    start.tower=runs/teacher/1       other weights to begin with, quoted or not

    given = parsed(context, {"train.batch": 64})
    check_known(context, scope, given, block)        # reports unknown names
    context.overrides = numbers_of(given, scope)
    block = overridden(scope, block, given)          # the `train` block with the new values

A name without a prefix is looked up in this order. A value is an expression of the language, and is
checked like those of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from specc.diagnostics import closest
from specc.frontend.program.training import SETTINGS
from specc.frontend.scope.scope import Context, Scope
from specc.frontend.syntax import ast
from specc.frontend.words.messages import SETTING_SYNONYMS, TRAIN_SYNONYMS
from specc.frontend.words.signatures import signature_of
from specc.source import Source, Span
from specc.system.records import dataclass

PREFIXES = ("model", "train", "optimizer")
SOURCES = ("data", "validate", "test")
RESERVED = (*SOURCES, "optimizer")
START = "start"
"""The setting whose value needs no quotes, and after which a path may follow."""
SETTING_NAMES = frozenset(each.name for each in SETTINGS)


@dataclass(frozen=True)
class Override:
    """One `key=value`: the prefix and the name of its key, and its value."""

    prefix: str
    name: str
    value: ast.Expression
    location: Span  # of the key
    path: str = ""  # of the layer, in `start.tower.dense1`

    @property
    def key(self) -> str:
        return f"{self.prefix}.{self.name}" if self.prefix else self.name

    def may_be(self, prefix: str) -> bool:
        """Return whether the key may belong to the group of a prefix."""
        return self.prefix in ("", prefix)


def parsed(context: Context, overrides: Mapping[str, str | int | float]) -> list[Override]:
    """Return the overrides as expressions; a string is parsed as an expression."""
    from specc.frontend.syntax.parse import parse

    found = []
    for key, value in overrides.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        prefix, name, path = _parts(key)
        if name == START:
            text = _quoted(text)
        start = "const "
        shown = f"{name}_" if name in RESERVED else name  # a keyword is not a name
        source = Source("command line", f"{start}{shown} = {text}")
        file, diagnostics = parse(source)
        definitions = file.definitions
        if not diagnostics and len(definitions) == 1 and isinstance(definitions[0], ast.Const):
            location = Span(source, len(start), len(start) + len(name))
            found.append(Override(prefix, name, definitions[0].value, location, path))
            continue
        _report_unreadable(context, source, key, name, text)
    return found


def _parts(key: str) -> tuple[str, str, str]:
    """Return the prefix, the name and the path of a key; one with an unknown prefix is all name."""
    parts = key.split(".")
    prefix = parts.pop(0) if parts[0] in PREFIXES and len(parts) > 1 else ""
    if parts[0] == START and prefix in ("", "train") and len(parts) > 1:
        return "train", START, ".".join(parts[1:])
    return (prefix, parts[0], "") if len(parts) == 1 else ("", key, "")


def _quoted(text: str) -> str:
    """Return a text as a string of the language, unless it is one, or a number."""
    if re.fullmatch(r'\s*(".*"|[0-9.]+)\s*', text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _report_unreadable(context: Context, source: Source, key: str, name: str, text: str) -> None:
    """Report a key that is not a name, or a value that is not an expression."""
    start, help_ = source.text.index(name), None
    message = f"`{key}={text}` is not a name with a value"
    if name.isidentifier():
        start = len(source.text) - len(text)
        message = f"the value of `{key}` must be one number or formula, not `{text}`"
        help_ = f"such as `{key}=10`, or in quotes for the shell: `'{key}=2 * 16'`"
    elif "." in name:
        message = f"`{key}` has an unknown prefix"
        help_ = "the prefixes are `model.`, `train.` and `optimizer.`: `train.batch=64`"
    context.error("unknown-override", message, Span(source, start, len(source.text)), help=help_)


def numbers_of(given: list[Override], scope: Scope) -> dict[str, ast.Expression]:
    """Return the new values of dimensions and constants, by name."""
    known = scope.number_names()
    return {each.name: each.value for each in given if each.may_be("model") and each.name in known}


def overridden(scope: Scope, block: ast.Train, given: list[Override]) -> ast.Train:
    """Return the `train` block with the new values."""
    body = block.body
    for each in given:
        group = _group(scope, block, each)
        if group == "setting":
            body = _with_setting(body, each)
        elif group == "source":
            body = _with_source(body, each)
        elif group == "optimizer":
            body = tuple(_with_optimizer(scope, statement, each) for statement in body)
        elif group == "optimizer setting":
            body = tuple(_with_optimizer_setting(scope, statement, each) for statement in body)
    return block if body is block.body else ast.Train(tuple(body), block.span, block.doc)


def _group(scope: Scope, block: ast.Train | None, given: Override) -> str | None:
    """Return what an override changes; None if the file has no such name."""
    name = given.name
    if given.may_be("model") and name in scope.number_names():
        return "number"
    if block is None:
        return None
    if given.may_be("train") and name in SETTING_NAMES:
        return "setting"
    if given.may_be("train") and name in SOURCES:
        return "source"
    if given.may_be("train") and name == "optimizer":
        return "optimizer"
    is_of_optimizer = name in set(_optimizer_settings(scope, block))
    return "optimizer setting" if given.prefix != "model" and is_of_optimizer else None


def _optimizers(block: ast.Train) -> Iterator[ast.TrainOptimizer]:
    return (each for each in block.body if isinstance(each, ast.TrainOptimizer))


def _settings_of(scope: Scope, name: str) -> list[str]:
    """Return the names of an optimizer's settings; an empty list for other functions."""
    word = scope.word(name)
    if word is None or not isinstance(word.definition, ast.Optimizer):
        return []
    return [each.name for each in signature_of(word.definition).settings]


def _optimizer_settings(scope: Scope, block: ast.Train) -> Iterator[str]:
    for each in _optimizers(block):
        yield from _settings_of(scope, each.optimizer.word.text)


def _with_setting(body: tuple, given: Override) -> tuple:
    """Return the statements with `epochs=20`, which replaces the file's setting or is added."""
    if given.path:
        return _with_start(body, given)
    new = ast.Setting(ast.Name(given.name, given.location), given.value, given.value.span)
    found = [
        new if isinstance(each, ast.Setting) and each.name.text == given.name else each
        for each in body
    ]
    return (*found, new) if new not in found else tuple(found)


def _with_start(body: tuple, given: Override) -> tuple:
    """`start.tower=runs/teacher/1`: in the place of what the file says of this path."""
    names = tuple(ast.Name(each, given.location) for each in given.path.split("."))
    kept: list[ast.Statement] = []
    for each in body:
        if isinstance(each, ast.Start):
            paths = tuple(path for path in each.paths if path.text != given.path)
            if not paths:
                continue
            each = ast.Start(paths, each.value, each.span, each.doc)
        kept.append(each)
    new = ast.Start((ast.Path(names, given.location),), given.value, given.value.span)
    return (*kept, new)


def _with_source(body: tuple, given: Override) -> tuple:
    """Return the statements with `data=csv("b.csv")` or `validate=0.9`."""
    value = given.value
    source = value if isinstance(value, ast.Call) else None
    new: ast.Statement
    if given.name != "data":
        cls = ast.Validate if given.name == "validate" else ast.Test
        new = cls(source, None if source is not None else value, value.span)
    elif source is None:
        return body  # reported
    else:
        new = ast.Data(source, value.span)
    kept = [each for each in body if type(each) is not type(new)]
    return (*kept, new)


def _with_optimizer(scope: Scope, statement: ast.Statement, given: Override) -> ast.Statement:
    """Return the statement with another optimizer; settings that both have keep their values."""
    if not isinstance(statement, ast.TrainOptimizer) or statement.paths:
        return statement
    value, old = given.value, statement.optimizer
    if isinstance(value, ast.Path):
        value = ast.Call(value, (), (), False, value.span)
    if not isinstance(value, ast.Call):
        return statement  # reported
    own_settings = value.settings if value.has_semicolon else (*value.inputs, *value.settings)
    inputs = value.inputs if value.has_semicolon else ()
    own = {each.name.text for each in own_settings if each.name is not None}
    known = _settings_of(scope, value.word.text)
    kept = [
        each
        for each in old.settings
        if each.name is not None and each.name.text in known and each.name.text not in own
    ]
    is_positional = any(each.name is None for each in own_settings)
    settings = own_settings if is_positional else (*own_settings, *kept)
    call = ast.Call(value.word, inputs, settings, value.has_semicolon, value.span)
    return ast.TrainOptimizer(call, statement.paths, statement.span, statement.doc)


def _with_optimizer_setting(
    scope: Scope, statement: ast.Statement, given: Override
) -> ast.Statement:
    """Return the statements with `lr=0.01` in all optimizers that have the setting."""
    if not isinstance(statement, ast.TrainOptimizer):
        return statement
    call = statement.optimizer
    names = _settings_of(scope, call.word.text)
    if given.name not in names:
        return statement
    place = names.index(given.name)
    new = ast.Argument(ast.Name(given.name, given.location), given.value, given.value.span)
    settings = list(call.settings)
    for number, each in enumerate(settings):
        name = each.name.text if each.name is not None else None
        if name == given.name or (name is None and number == place):
            settings[number] = new if name is not None else ast.Argument(None, new.value, new.span)
            break
    else:
        settings.append(new)
    changed = ast.Call(call.word, call.inputs, tuple(settings), call.has_semicolon, call.span)
    return ast.TrainOptimizer(changed, statement.paths, statement.span, statement.doc)


def check_known(
    context: Context, scope: Scope, given: list[Override], block: ast.Train | None
) -> None:
    """Report overrides of names that the file does not have."""
    for each in given:
        group = _group(scope, block, each)
        if group is None:
            _report_unknown(context, scope, each, block)
        elif group == "source" and each.name != "validate":
            if not isinstance(each.value, ast.Call):
                context.error(
                    "unknown-override",
                    f"the value of `{each.key}` must be a data source",
                    each.value.span,
                    help=f"such as `'{each.key}=csv(\"table.csv\")'`, in quotes for the shell",
                )
        elif group == "optimizer":
            if not isinstance(each.value, ast.Path | ast.Call):
                context.error(
                    "unknown-override",
                    f"the value of `{each.key}` must be the name of an optimizer",
                    each.value.span,
                    help=f"such as `{each.key}=adam`, or `'{each.key}=adam(lr = 0.01)'`",
                )
            elif block is not None and all(other.paths for other in _optimizers(block)):
                context.error(
                    "unknown-override",
                    "the file has several optimizers, each for some of the parameters",
                    each.location,
                    help="change the optimizers in the file",
                )


def _report_unknown(
    context: Context, scope: Scope, given: Override, block: ast.Train | None
) -> None:
    groups = {"model": scope.number_names(), "train": set(), "optimizer": set()}
    if block is not None:
        groups["train"] = {*SETTING_NAMES, *SOURCES, "optimizer"}
        groups["optimizer"] = set(_optimizer_settings(scope, block))
    known = groups[given.prefix] if given.prefix else set().union(*groups.values())
    near = closest(given.name, known, {**SETTING_SYNONYMS, **TRAIN_SYNONYMS})
    listed = ", ".join(f"`{each}`" for each in sorted(known))
    where = f"{given.prefix}." if given.prefix else ""
    help_ = f"did you mean `{where}{near}`?" if near else f"it has {listed}" if listed else None
    message = f"the file has no dimension, constant or setting `{given.name}`"
    if given.prefix == "optimizer":
        message = f"the optimizer of the file has no setting `{given.name}`"
    context.error("unknown-override", message, given.location, help=help_)
