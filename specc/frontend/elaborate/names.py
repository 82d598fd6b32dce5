"""Resolves names, and reports unknown ones.

outer_name(frame, "weights", path)      # a name that the body itself does not declare
parameter(frame, path)                  # `tower.dense1.weight`
resolve(frame, path)                    # the definition or layer to apply
"""

from __future__ import annotations

import math
from typing import Any

from specc.diagnostics import About, Label, spelled
from specc.frontend.elaborate.numbers import number_value
from specc.frontend.scope import provenance
from specc.frontend.scope.frame import BodyFrame, SharedLayer, callers
from specc.frontend.scope.scope import NUMBERS, Word
from specc.frontend.scope.values import POISON, Tensor, Value, describe
from specc.frontend.syntax import ast
from specc.frontend.words.messages import RANKINGS
from specc.ir.graph import apply
from specc.ir.types import Type
from specc.ops.elementwise import ToFloat, ToInt
from specc.ops.leaf import Input, Iota, Role, leaf
from specc.ops.peers import BATCH, Own
from specc.source import Span

SCHEDULE = {
    "step": "The number of training steps so far, 0 at the first; in the settings of an optimizer"
    " and in its rule.",
    "epoch": "The number of epochs so far, with a fractional part; in the settings of an optimizer:"
    " `sgd(lr = 0.1 * 0.5 ^ floor(epoch / 5))`.",
    "progress": "The fraction of training that is done, from 0 to 1; in the settings of an"
    " optimizer: `sgd(lr = 0.1 * (1 - progress))`.",
    "stale": "The number of epochs so far that brought no improvement; in the settings of an"
    " optimizer: `plateau` uses it.",
}
"""Names with a meaning in the settings of an optimizer, with their documentation."""

MEANINGS = {
    "weights": "All parameters except biases and normalization factors; in a loss or metric:"
    " `loss penalty = 1e-4 * l2(weights)`.",
    "training": "Whether the model is being trained, as a boolean; in a model or block: `if"
    " training then noisy else x`.",
    "search": "Values that `specc sweep` tries, instead of a number or a name:"
    " `search(64, 128)` is one of the values, `search(1e-4, 0.1; log)` a number in a range. A range"
    " is `log`, `linear` or has a `step`; between integers, its values are integers."
    " `optimizer search(adam, momentum)(lr = 0.01)` selects an optimizer. A search in a branch of"
    " `if`, or in a value of another search, is used only if that branch or value is selected.",
    "inf": "Infinity: `if u <= t then s[t, u] else -inf`.",
    "itself": "The index of an example in its batch, as a class with as many classes as the batch"
    " has examples: `peers(x)[itself]` is x, and `cross_entropy(peers(y) @ x, itself)` is the loss"
    " for finding each example's partner.",
    "gradients": "The gradients of all parameters that an optimizer updates, in its rule:"
    " `sqrt(l2(gradients))` is their norm.",
    **SCHEDULE,
}
"""Predefined names, with their documentation."""


def outer_name(frame: BodyFrame, name: str, expression: ast.Path) -> Value:
    """Return the value of a name that the body itself does not declare."""
    found = frame.scope.definitions.get(name)
    if found is not None:
        definition, scope = found
        if isinstance(definition, NUMBERS):
            return number_value(scope, definition)
        if isinstance(definition, ast.Broken):
            return POISON
    if name == "inf":
        return math.inf
    if name in SCHEDULE:
        if frame.schedule is not None:
            return frame.schedule[name]
        return frame.error(
            "misplaced",
            f"`{name}` has a meaning only in the settings of an optimizer",
            expression.span,
            help="for example, `optimizer sgd(lr = 0.1 / (1 + epoch))`",
        )
    if name == "training":
        if any(each.kind in ("block", "model") for each in callers(frame)):
            mode = Input(Role.MODE, "training", Type("bool"))
            return Tensor(leaf(mode, frame.origin(expression.span)))
        return frame.error(
            "misplaced", "`training` has a meaning only in a model or block", expression.span
        )
    if name == "search":
        return _misplaced_search(frame, expression.span)
    if name == "itself":
        return _itself(frame, expression)
    if name in ("weights", "gradients"):
        return _all(frame, name, expression.span)
    word = frame.scope.word(name)
    if word is not None:
        return word
    return unknown(frame, name, expression.span)


def _all(frame: BodyFrame, name: str, span: Span) -> Value:
    """Return all weights in a loss, or all gradients in the rule of an optimizer."""
    found = frame.weights if name == "weights" else frame.gradients
    if found is not None:
        return found()
    where = "a loss or a metric" if name == "weights" else "the rule of an optimizer"
    return frame.error("misplaced", f"`{name}` has a meaning only in {where}", span)


def _misplaced_search(frame: BodyFrame, span: Span) -> Value:
    """Report a search without values, or in an imported file."""
    return frame.error(
        "misplaced",
        "a `search` needs values in parentheses, and must be in the file that is trained",
        span,
        help="write `dim hidden = search(64, 128)`; imported files cannot have a `search`",
    )


def _itself(frame: BodyFrame, expression: ast.Path) -> Value:
    """Return the index of each example in its batch."""
    if all(each.kind not in ("block", "model") for each in callers(frame)):
        return frame.error(
            "misplaced", "`itself` has a meaning only in a model or block", expression.span
        )
    origin = frame.origin(expression.span)
    places = apply(ToFloat(), leaf(Iota(BATCH)), origin=origin)
    return Tensor(apply(ToInt(BATCH), apply(Own(), places, origin=origin), origin=origin))


def unknown(frame: BodyFrame, name: str, span: Span) -> Value:
    """Report an unknown name."""
    if frame.scope.is_incomplete:
        return POISON
    if declares(frame, name):
        later = next(each for each in declared_names(frame.body) if each.text == name)
        return frame.error(
            "unknown-name",
            f"`{name}` has no value yet",
            span,
            labels=[Label(later.span, "defined here")],
            help="declare a value above the lines that use it",
        )
    named = next(
        (
            each.name
            for each in frame.body
            if isinstance(each, ast.Output | ast.Loss | ast.Metric)
            and each.name is not None
            and each.name.text == name
        ),
        None,
    )
    if named is not None:
        return frame.error(
            "unknown-name",
            f"`{name}` is not defined",
            span,
            labels=[Label(named.span, "names a result, not a value")],
            help=f"name the value first: `let {name} = ...`",
        )
    if not frame.suggests:
        return frame.error("unknown-name", f"`{name}` is not defined", span)
    help_ = frame.suggestion(name, frame.known_names() | frame.scope.word_names())
    candidate = frame.closest(name, frame.known_names())
    fixes = spelled(candidate, span)
    return frame.error("unknown-name", f"`{name}` is not defined", span, help=help_, fixes=fixes)


def is_unbound(frame: BodyFrame, item: ast.Node) -> bool:
    """Report an unbound index in brackets; return whether there is one."""
    words = {id(each.word) for each in ast.walk(item) if isinstance(each, ast.Call | ast.Over)}
    inner = {
        each.name.text
        for over in ast.walk(item)
        if isinstance(over, ast.Over)
        for each in over.indices
        if isinstance(each, ast.Bind)
    }
    for each in ast.walk(item):
        if not isinstance(each, ast.Path) or len(each.names) > 1 or id(each) in words:
            continue
        name = each.text
        if name in frame.names or name in frame.scope.definitions or name in MEANINGS:
            continue
        if name in inner or declares(frame, name) or frame.scope.is_incomplete:
            continue
        known = frame.known_names()
        if frame.scope.word(name) is not None or frame.closest(name, known) is not None:
            continue
        frame.index_error(
            f"the index `{name}` is not bound",
            each.span,
            help=(
                f"bind it on the left, `let y[{name}] = ...`, or before a colon, `sum({name}: ...)`"
            ),
        )
        return True
    return False


def declared_names(body: tuple[ast.Statement, ...]) -> list[ast.Name]:
    """Return the names that the statements of a body declare."""
    names: list[ast.Name] = []
    for statement in body:
        if isinstance(statement, (ast.Let, ast.Broken)):
            names += statement.names
        elif isinstance(statement, NAMING):
            names.append(statement.name)
    return names


def declares(frame: BodyFrame, name: str) -> bool:
    """Return whether a statement of the body declares a name; the declared names are cached."""
    known = frame.context.declared
    if id(frame.body) not in known:
        names = frozenset(each.text for each in declared_names(frame.body))
        known[id(frame.body)] = (frame.body, names)
    return name in known[id(frame.body)][1]


NAMING = (ast.Input, ast.Target, ast.Stream, ast.Layer, ast.Param, ast.State)


def parameter(frame: BodyFrame, expression: ast.Path) -> Value:
    """Return the parameter of a layer, by its path within this model or block."""
    context, namer = frame.context, frame.namer
    text = expression.text
    found = context.parameters.get(namer.within(text)) if namer is not None else None
    if found is not None:
        node = context.leaves[found.path]
        step = provenance.Derivation(frame.location(expression.span), text, found.type.shape)
        return Tensor(node, step)
    first = expression.names[0]
    owner = frame.names.get(first.text)
    if owner is POISON or context.has_unknown_inputs:
        return POISON
    if isinstance(owner, SharedLayer):
        own = [each for each in context.parameters if each.startswith(f"{owner.path}.")]
        if not own:
            return frame.error(
                "unknown-name",
                f"`{text}` does not exist yet: `{first.text}` gets its weights when it is first"
                " applied",
                expression.span,
                help=f"apply `{first.text}` to a value before this line",
            )
    elif isinstance(owner, Tensor):
        return frame.error(
            "wrong-kind", f"`{first.text}` is {describe(owner)}, which has no parts", first.span
        )
    prefix = f"{namer.path}." if namer is not None and namer.path else ""
    known = [each.removeprefix(prefix) for each in context.parameters if each.startswith(prefix)]
    near = frame.closest(text, known)
    if near is None:
        close = [each for each in known if each.startswith(f"{first.text}.")]
        near = close[0] if len(close) == 1 else None
        listed = ", ".join(f"`{each}`" for each in close)
        help_ = f"did you mean `{near}`?" if near else (f"there are {listed}" if listed else None)
    else:
        help_ = f"did you mean `{near}`?"
    fixes = spelled(near, expression.span)
    return frame.error(
        "unknown-name", f"unknown parameter `{text}`", expression.span, help=help_, fixes=fixes
    )


def resolve(frame: BodyFrame, path: ast.Path) -> Word | SharedLayer | Any:
    """Return the definition or layer that a name means; POISON after an error."""
    name = path.names[0].text
    local = frame.names.get(name)
    if local is POISON:
        return POISON
    if name == "search":
        return _misplaced_search(frame, path.span)
    if len(path.names) > 1:
        return frame.error(
            "unknown-name",
            f"unknown layer or function `{path.text}`",
            path.span,
            help="only a whole layer can be applied",
            about=About.FUNCTION,
        )
    if isinstance(local, (Word, SharedLayer)):
        return local
    word = frame.scope.word(name)
    if word is not None:
        return word
    found = frame.scope.definitions.get(name)
    if found is not None and isinstance(found[0], ast.Broken):
        return POISON
    if local is not None or found is not None:
        what = describe(local) if local is not None else "a number"
        return frame.error("wrong-kind", f"`{name}` is {what}, so it cannot be applied", path.span)
    if frame.scope.is_incomplete:
        return POISON
    if declares(frame, name):
        return unknown(frame, name, path.span)
    candidates: set[str] = set()
    if frame.suggests:
        layers = {each for each, value in frame.names.items() if isinstance(value, SharedLayer)}
        candidates = layers | frame.scope.word_names()
    near = frame.closest(name, candidates)
    fixes = spelled(near, path.span)
    help_ = frame.suggestion(name, candidates)
    if not near and name.lower() in RANKINGS:
        help_ = "it ranks all examples: `specc plot RUN roc -o roc.svg` draws it after training"
    return frame.error(
        "unknown-name",
        f"unknown layer or function `{name}`",
        path.span,
        help=help_,
        fixes=fixes,
        about=About.FUNCTION,
    )
