"""Calls: `f(x; m=1)` and `x -> f(m=1)`. Definitions are inlined: each call walks the body.

call        f(x; m=1)        ->  value
pipeline    x -> f(m=1)      ->  value
use         definition + arguments (syntax)  ->  value
invoke      definition + values  ->  value
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from specc.diagnostics import Edit, Fix
from specc.frontend.elaborate import arguments, memo
from specc.frontend.elaborate.bindings import bind, valid_settings
from specc.frontend.elaborate.dispatch import BoundCall, body, evaluate, evaluates
from specc.frontend.elaborate.misuse import report
from specc.frontend.elaborate.names import resolve
from specc.frontend.operators import arithmetic
from specc.frontend.scope import provenance
from specc.frontend.scope.errors import OperandError, undecided
from specc.frontend.scope.frame import BodyFrame, SharedLayer, callers
from specc.frontend.scope.scope import DEEPEST, WORDS, Context, Namer, Word
from specc.frontend.scope.values import POISON, AllWeights, Given, Several, Tensor, Value, describe
from specc.frontend.syntax import ast
from specc.frontend.syntax.build_indices import REDUCTIONS
from specc.frontend.words.facts import PROBABILITIES, Facts, facts_of
from specc.frontend.words.signatures import signature_of
from specc.ir.graph import Origin
from specc.ir.program import Layer
from specc.ir.sizes import Polynomial
from specc.source import Span
from specc.system.records import dataclass

MOST_USES = 100_000
"""Largest number of calls in a model and its own definitions; more is probably an error."""

MOST_CALLS = 5 * MOST_USES
"""Largest number of calls in a model, including calls inside library definitions."""


@dataclass(frozen=True)
class LayerPath:
    """The path of a layer with a single stage, and the layer whose weights are shared."""

    path: str
    owner: Any


@evaluates(ast.Call)
def call(frame: BodyFrame, tree: ast.Call) -> Value:
    """Evaluate `f(a, b; m=1)`."""
    word = resolve(frame, tree.word)
    if tree.word.text in REDUCTIONS and _has_comma_for_colon(frame, tree):
        return POISON
    given = [_given(frame, each) for each in tree.inputs]
    if word is POISON:
        return POISON
    return use(frame, word, given, tree, is_stage=False)


def _has_comma_for_colon(frame: BodyFrame, tree: ast.Call) -> bool:
    """Report `sum(i, x[i])`. Return whether it was reported."""
    values = [each.value for each in tree.inputs]
    indices: list[str] = []
    for each in values[:-1]:
        if not isinstance(each, ast.Path) or len(each.names) > 1:
            return False
        if each.text in frame.names or each.text in frame.scope.definitions:
            return False
        indices.append(each.text)
    read = {
        path.text
        for each in (ast.walk(values[-1]) if values else ())
        if isinstance(each, ast.Index)
        for item in each.items
        for path in ast.walk(item)
        if isinstance(path, ast.Path)
    }
    if not indices or not read.intersection(indices):
        return False
    listed = ", ".join(indices)
    before = tree.inputs[len(indices) - 1].span.end
    comma = tree.span.source.text.index(",", before)
    at = Span(tree.span.source, comma, comma + 1)
    frame.index_error(
        "indices are separated from their formula by `:`, not `,`",
        at,
        help=f"write `{tree.word}({listed}: ...)`",
        fixes=[Fix("write `:`", (Edit(at, ":"),))],
    )
    return True


def _given(frame: BodyFrame, argument: ast.Argument) -> Given:
    """Return an argument with its value."""
    value = evaluate(frame, argument.value)
    name = argument.name
    return Given(
        name.text if name else None,
        value,
        argument.value.span,
        name.span if name else None,
        argument.value,
    )


def _stage(
    frame: BodyFrame, value: Value, span: Span, tree: ast.Call, layer: LayerPath | None
) -> Value:
    """Evaluate a stage `f(b; m=1)` of a pipeline, with the value as the first input."""
    word = resolve(frame, tree.word)
    given = [_given(frame, each) for each in tree.inputs]
    if word is POISON:
        return POISON
    return use(frame, word, [Given(None, value, span), *given], tree, is_stage=True, layer=layer)


@evaluates(ast.Pipeline)
def pipeline(frame: BodyFrame, expression: ast.Pipeline) -> Value:
    value = evaluate(frame, expression.value)
    return stages(frame, value, expression.value.span, expression.stages)


def stages(
    frame: BodyFrame,
    value: Value,
    span: Span,
    steps: tuple[ast.Stage, ...],
    layer: LayerPath | None = None,
) -> Value:
    """Apply stages to a value; `layer` is the path of the layer that they form."""
    for stage in steps:
        if isinstance(stage, ast.Call):
            value = _stage(frame, value, span, stage, layer)
        else:
            count = repetitions(frame, stage)
            value = _repeated(frame, value, span, stage, count)
        span = stage.span
    return value


def _repeated(frame: BodyFrame, value: Value, span: Span, stage: ast.Repeat, count: int) -> Value:
    """Apply repeated stages to a value; a name may count the copies."""
    name = stage.index
    if name is not None and (name.text in frame.names or name.text in frame.scope.number_names()):
        return frame.error(
            "duplicate-name",
            f"`{name}` is already defined",
            name.span,
            help="use another name for the number of the copy",
        )
    for number in range(count):
        if name is not None:
            frame.names[name.text] = number
        value = stages(frame, value, span, stage.stages)
        if value is POISON:
            break
    if name is not None:
        frame.names.pop(name.text, None)
    return value


def repetitions(frame: BodyFrame, stage: ast.Repeat) -> int:
    """Return how often a repeated stage is applied; 0 after an error."""
    count = evaluate(frame, stage.count)
    if count is POISON:
        return 0
    if isinstance(count, Polynomial):
        report(frame, undecided(count), stage.count.span, [])
        return 0
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 10_000:
        frame.error(
            "bad-number",
            f"the number of repetitions must be an integer from 1 to 10000, not {describe(count)}",
            stage.count.span,
        )
        return 0
    return count


def use(
    frame: BodyFrame,
    word: Word | SharedLayer,
    given: list[Given],
    tree: ast.Call,
    is_stage: bool,
    layer: LayerPath | None = None,
) -> Value:
    """Apply a definition to its arguments, whose settings are not evaluated yet."""
    if isinstance(word, SharedLayer):
        return _use_layer(frame, word, given, tree, is_stage)
    signature = signature_of(word.definition)
    settings_tree = tree.settings
    values = arguments.inputs(frame, word, signature, given, tree, is_stage)
    if values is None:
        return POISON
    settings = arguments.settings(frame, word, signature, settings_tree, tree, is_stage)
    if settings is None:
        return POISON
    weights = next((each for each in values if each and isinstance(each.value, AllWeights)), None)
    if weights is None:
        return invoke(frame, word, values, settings, tree.span, is_stage, layer)
    return _use_on_weights(frame, word, values, weights, settings, tree.span)


def _use_on_weights(
    frame: BodyFrame,
    word: Word,
    values: list[Given | None],
    weights: Given,
    settings: dict[str, Given],
    span: Span,
) -> Value:
    """Return the sum of a function over all of the model's weights: `l2(weights)`."""
    assert isinstance(weights.value, AllWeights)
    if not weights.value.items:
        if frame.context.report.errors or frame.context.is_incomplete:
            return POISON  # layers with errors may have weights
        return frame.error("wrong-kind", "the model has no weights", weights.span)
    total: Value = POISON
    for item in weights.value.items:
        used = Given(weights.name, item, weights.span, weights.name_span)
        each = [used if given is weights else given for given in values]
        term = invoke(frame, word, each, settings, span)
        if term is POISON:
            return POISON
        try:
            total = term if total is POISON else arithmetic.binary(frame, "+", total, term, span)
        except OperandError as error:
            return frame.error(
                error.name,
                error.message,
                span,
                help=f"`{word.name}` of each weight must be a scalar to be summed",
            )
    return total


def _use_layer(
    frame: BodyFrame, layer: SharedLayer, given: list[Given], tree: ast.Call, is_stage
) -> Value:
    """Apply a shared layer to a value."""
    if tree.settings or len(given) != 1 or given[0].name is not None:
        extra = tree.settings[0] if tree.settings else tree
        return frame.error(
            "wrong-arguments",
            f"the layer `{layer.name}` takes one input and no settings",
            extra.span,
            help=f"set them in its declaration: `layer {layer.name} = ...`",
        )
    value, span = given[0].value, given[0].span
    if value is POISON:
        return POISON
    steps = layer.statement.stages
    home = layer.frame
    inner = BodyFrame(
        home.context,
        home.scope,
        home.kind,
        home.names,
        home.spans,
        Namer(layer.path, owner=layer),
        home.call,
        frame,
        tree.span,
        home.definition,
        layer.path,
        frame.depth + 1,
        frame.schedule,
        shared=layer,
    )
    frame.context.first_uses.setdefault(layer.base, frame.location(tree.span))
    if any(each.shared and each.shared.base is layer.base for each in callers(frame)):
        return frame.error(
            "recursive-definition", f"the layer `{layer.name}` uses itself", tree.span
        )
    if inner.depth > DEEPEST:
        return frame.error("too-deep", "the layers use each other too deeply", tree.span)
    if len(steps) == 1 and isinstance(steps[0], ast.Call):
        single = LayerPath(layer.path, layer)
        result = stages(inner, value, span, steps, single)
    else:
        before = len(frame.context.paths)
        result = stages(inner, value, span, steps)
        if isinstance(result, Tensor):
            _list_layer(frame, layer.path, tree.span, given[0], result, before)
    return _finished(frame, result, tree.span)


def invoke(
    frame: BodyFrame,
    word: Word,
    values: list[Given | None],
    settings: dict[str, Given],
    span: Span,
    is_stage: bool = False,
    layer: LayerPath | None = None,
) -> Value:
    """Apply a definition to inputs in the order of its signature, and to given settings."""
    definition = word.definition
    settings = {**word.settings, **settings}
    refused = _refusal(frame, word, span)
    if refused is not None:
        return refused
    signature = signature_of(definition)
    context = frame.context
    context.calls += 1
    if frame.call is None:
        context.uses += 1
    if context.uses > MOST_USES or context.calls > MOST_CALLS:
        return frame.error(
            "too-deep", f"the model has more than {MOST_USES:,} calls of layers and functions", span
        )
    path = ""
    if layer is not None:
        path = layer.path
    elif frame.namer is not None:
        path = frame.namer.fresh(word.name)
    is_block = isinstance(definition, (ast.Block, ast.Cell))
    if is_block and frame.namer is None:
        return frame.error(
            "misplaced",
            f"`{word.name}` has weights, but a {_kind_name(frame)} cannot have weights",
            span,
            help="use a `block`, which may have layers and parameters",
        )
    owner = None
    if is_block:
        owner = layer.owner if layer is not None else frame.naming.owner
    before = len(context.paths)
    key = memo.key_of(frame, word, values, settings)
    template = context.templates.get(key) if key is not None else None
    if template is not None and template.fits(context, path, MOST_CALLS):
        origin = Origin("", span, path or word.name)
        result = template.written_out(context, path, owner, values, origin)
        return _concluded(frame, definition, path, span, values, result, before, is_stage)
    callee = BodyFrame(
        context,
        word.scope or frame.scope,
        type(definition).__name__.lower() if is_block else "fn",
        call=frame.call or (span if word.is_library else None),
        caller=frame,
        called_at=span,
        definition=definition,
        word=(frame.word or word.name) if frame.call else (path or word.name),
        depth=frame.depth + 1,
        schedule=frame.schedule,
        draw=frame.draw,
        fans=frame.fans,
    )
    if is_block:
        callee.namer = Namer(path, owner=owner)
    if any(each is not None and each.value is POISON for each in values):
        callee.names.update({name: given.value for name, given in settings.items()})
        valid_settings(frame, callee, word, signature, settings, span)
        return POISON
    held = memo.Before.of(context) if key is not None and template is None else None
    if not bind(frame, callee, word, signature, values, settings, span, is_stage):
        return POISON
    context.entered.add(definition)
    result = body(BoundCall(frame, callee, word, values, span))
    if result is POISON:
        return POISON
    if key is not None and held is not None:
        made = memo.template(context, held, path, values, result, callee.origin(span))
        if made is not None:
            context.templates[key] = made
    return _concluded(frame, definition, path, span, values, result, before, is_stage)


def _concluded(
    frame: BodyFrame,
    definition: Any,
    path: str,
    span: Span,
    values: list[Given | None],
    result: Value,
    before: int,
    is_stage: bool,
) -> Value:
    """Return the value of a body as the caller sees it, and list it if it is a layer."""
    result = _finished(frame, result, span)
    if frame.call is None and isinstance(result, Tensor):
        _note_meaning(frame.context, facts_of(definition), values, result)
    if isinstance(result, Tensor) and (is_stage or isinstance(definition, WORDS)):
        given = next((each for each in values if each is not None), None)
        _list_layer(frame, path, span, given, result, before)
    return result


def _note_meaning(
    context: Context, stated: Facts, values: list[Given | None], result: Tensor
) -> None:
    """Record what a definition states about its first input and its result."""
    first = values[0].value if values and values[0] is not None else None
    if stated.not_after and isinstance(first, Tensor):
        context.scores.append(first.node)
    if stated.results == PROBABILITIES:
        context.probabilities.append(result.node)


def _kind_name(frame: BodyFrame) -> str:
    return {"train": "training", "file": "number", "init": "initial value"}.get(
        frame.kind, frame.kind
    )


def _refusal(frame: BodyFrame, word: Word, span: Span) -> Value | None:
    definition = word.definition
    if isinstance(definition, ast.Optimizer):
        return frame.error("misplaced", f"`{word.name}` is an optimizer: use it in `train`", span)
    if frame.uses(definition) and isinstance(definition, WORDS):
        return uses_itself(frame, word.name, span)
    if frame.depth >= DEEPEST:
        return frame.error("too-deep", f"definitions use each other more than {DEEPEST} deep", span)
    return None


def uses_itself(frame: BodyFrame, name: str, span: Span) -> Value:
    return frame.error(
        "recursive-definition",
        f"`{name}` uses itself",
        span,
        help="definitions are expanded at each use, so they cannot be recursive",
    )


def _finished(frame: BodyFrame, value: Value, span: Span) -> Value:
    """Return the value of a call; a call in the user's text is a step of its provenance."""
    if frame.call is not None:
        return value
    if isinstance(value, Tensor):
        return replace(value, provenance=provenance.visible(value.provenance, span, value.shape))
    if isinstance(value, Several):
        return Several(tuple(_finished(frame, each, span) for each in value.items))
    return value


def _list_layer(
    frame: BodyFrame, path: str, span: Span, given: Given | None, result: Tensor, before: int
) -> None:
    """Add a call in the user's model or block to the table of layers.

    A parameter is listed only once, with the innermost call that created it.
    """
    context = frame.context
    if not context.lists_layers or frame.call is not None or frame.namer is None:
        return
    created = tuple(each for each in context.paths[before:] if each not in context.listed)
    context.listed.update(created)
    source = given.value.type if given is not None and isinstance(given.value, Tensor) else None
    sequence = result.sequence.name if result.sequence is not None else None
    context.layers.append(
        Layer(
            path,
            provenance.excerpt(span),
            source,
            result.type,
            created,
            result.node,
            span,
            sequence,
        )
    )
