"""Expressions: from a syntax tree and the names around it to a value.

    evaluate(frame, ast)  ->  a number, a tensor, several values, a word, or POISON

Every mistake is reported through the frame; its value is POISON, of which nothing more is said.
"""

from __future__ import annotations

from specc.diagnostics import Edit, Fix, Label
from specc.frontend.elaborate import calls
from specc.frontend.elaborate.numbers import number_value
from specc.frontend.fix.fixes import wrapped
from specc.frontend.fix.operands import remedy
from specc.frontend.operators import arithmetic, products
from specc.frontend.scope import provenance
from specc.frontend.scope.scope import NUMBERS, Frame, Misfit, Mistake, callers, undecided
from specc.frontend.scope.values import (
    POISON,
    Given,
    SharedLayer,
    Tensor,
    Value,
    Word,
    describe,
)
from specc.frontend.syntax import ast
from specc.ir import sizes
from specc.ir.sizes import Polynomial
from specc.ir.types import Type
from specc.ops.leaf import Input, leaf
from specc.source import Span

SCHEDULE = ("step", "epoch", "progress", "stale")


def evaluate(frame: Frame, expression: ast.Expression) -> Value:
    """The value of an expression."""
    return RULES[type(expression)](frame, expression)


def literal(frame: Frame, expression: ast.Number | ast.Boolean | ast.String) -> Value:
    return expression.value


def path(frame: Frame, expression: ast.Path) -> Value:
    """A name, or a parameter: `tower.dense1.weight`."""
    if len(expression.names) > 1:
        return parameter(frame, expression)
    name = expression.names[0].text
    value = frame.names.get(name)
    if value is None:
        value = outer_name(frame, name, expression)
    if isinstance(value, (Word, SharedLayer)):
        what = "layer" if isinstance(value, SharedLayer) else "word"
        return frame.error(
            "wrong-kind",
            f"`{name}` is a {what}, not a value",
            expression.span,
            help=f"apply it: `{name}(x)`, or `x -> {name}`",
        )
    return value


def outer_name(frame: Frame, name: str, expression: ast.Path) -> Value:
    """What a name stands for that the body itself does not declare."""
    found = frame.scope.definitions.get(name)
    if found is not None:
        definition, scope = found
        if isinstance(definition, NUMBERS):
            return number_value(scope, definition)
        if isinstance(definition, ast.Broken):
            return POISON
    if name in SCHEDULE:
        if frame.schedule is not None:
            return frame.schedule[name]
        return frame.error(
            "misplaced",
            f"`{name}` has a meaning only in the settings of an optimizer",
            expression.span,
            help="a schedule is a setting of it: `optimizer sgd(lr = 0.1 / (1 + epoch))`",
        )
    if name == "training":
        if any(each.kind in ("block", "model") for each in callers(frame)):
            mode = Input("mode", "training", Type("bool"))
            return Tensor(leaf(mode, frame.origin(expression.span)))
        return frame.error(
            "misplaced", "`training` has a meaning only in a model or block", expression.span
        )
    if name == "weights":
        if frame.weights is not None:
            return frame.weights()
        return frame.error(
            "misplaced", "`weights` has a meaning only in a loss or a metric", expression.span
        )
    word = frame.scope.word(name)
    if word is not None:
        return word
    return unknown(frame, name, expression.span)


def unknown(frame: Frame, name: str, span: Span) -> Value:
    """Reports a name without a meaning."""
    if frame.scope.is_incomplete:
        return POISON
    if declares(frame, name):
        later = next(each for each in declared_names(frame.body) if each.text == name)
        return frame.error(
            "unknown-name",
            f"`{name}` has no value yet",
            span,
            labels=[Label(later.span, "it gets one here")],
            help="a value is declared above the lines that use it",
        )
    named = next((each for each in frame.body if isinstance(each, (ast.Output, ast.Loss, ast.Metric))
                  and each.name is not None and each.name.text == name), None)  # fmt: skip
    if named is not None:
        return frame.error(
            "unknown-name", f"`{name}` is not defined", span,
            labels=[Label(named.name.span, "this is the name of a result, not of a value")],
            help=f"give the value its name first: `let {name} = ...`",
        )  # fmt: skip
    if not frame.suggests:
        return frame.error("unknown-name", f"`{name}` is not defined", span)
    help_ = frame.suggestion(name, frame.known_names() | frame.scope.word_names())
    candidate = frame.closest(name, frame.known_names())
    fixes = [Fix(f"write `{candidate}`", (Edit(span, candidate),))] if candidate else []
    return frame.error("unknown-name", f"`{name}` is not defined", span, help=help_, fixes=fixes)


def declared_names(body: tuple[ast.Statement, ...]) -> list[ast.Name]:
    """The names that the statements of a body give a meaning to."""
    names: list[ast.Name] = []
    for statement in body:
        if isinstance(statement, (ast.Let, ast.Broken)):
            names += statement.names
        elif isinstance(statement, NAMING):
            names.append(statement.name)
    return names


def declares(frame: Frame, name: str) -> bool:
    """Whether a statement of the body gives a meaning to a name; a long body is looked through once."""
    known = frame.context.declared
    if id(frame.body) not in known:
        names = frozenset(each.text for each in declared_names(frame.body))
        known[id(frame.body)] = (frame.body, names)
    return name in known[id(frame.body)][1]


NAMING = (ast.Input, ast.Target, ast.Stream, ast.Layer, ast.Param, ast.State)


def parameter(frame: Frame, expression: ast.Path) -> Value:
    """The parameter of a layer, by its path within this model or block."""
    context, namer = frame.context, frame.namer
    text = expression.text
    found = context.parameters.get(namer.within(text)) if namer is not None else None
    if found is not None:
        node = context.leaves[found.path]
        step = provenance.Step(frame.place(expression.span), text, found.type.shape)
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
                f"`{text}` is not there yet: the layer `{first.text}` has weights from its first"
                " use on",
                expression.span,
                help=f"apply `{first.text}` to a value before this line",
            )
    elif isinstance(owner, Tensor):
        return frame.error(
            "wrong-kind", f"`{first.text}` is {describe(owner)}: it has no parts", first.span
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
    fixes = [Fix(f"write `{near}`", (Edit(expression.span, near),))] if near else []
    return frame.error(
        "unknown-name", f"there is no parameter `{text}`", expression.span, help=help_, fixes=fixes
    )


def unary(frame: Frame, expression: ast.Unary) -> Value:
    operand = evaluate(frame, expression.operand)
    if operand is POISON:
        return POISON
    sign = expression.operator
    try:
        return arithmetic.negate(frame, sign.text, operand, expression.span)
    except Mistake as mistake:
        return report(frame, mistake, sign.span, [(expression.operand, operand)])


def binary(frame: Frame, expression: ast.Binary) -> Value:
    """`a + b`. A long sum is a tree that leans to the left: it is walked without recursion."""
    spine = [expression]
    while isinstance(spine[-1].left, ast.Binary):
        spine.append(spine[-1].left)
    value = evaluate(frame, spine[-1].left)
    for each in reversed(spine):
        value = _operate(frame, each, value)
    return value


def _operate(frame: Frame, expression: ast.Binary, left: Value) -> Value:
    sign = expression.operator.text
    if isinstance(left, bool) and sign in ("and", "or") and left == (sign == "or"):
        return left
    right = evaluate(frame, expression.right)
    if left is POISON or right is POISON:
        return POISON
    try:
        if sign in ("and", "or"):
            return arithmetic.logical(frame, sign, left, right, expression.span)
        if sign == "@":
            return products.matmul(frame, left, right, expression.span)
        return arithmetic.binary(frame, sign, left, right, expression.span)
    except Mistake as mistake:
        operands = [(expression.left, left), (expression.right, right)]
        return report(frame, mistake, expression.operator.span, operands)


def conditional(frame: Frame, expression: ast.Conditional) -> Value:
    """`if c then a else b`: where c is known, only the branch that it chooses is looked at."""
    condition = evaluate(frame, expression.condition)
    if isinstance(condition, bool):
        return evaluate(frame, expression.value if condition else expression.otherwise)
    value = evaluate(frame, expression.value)
    otherwise = evaluate(frame, expression.otherwise)
    if POISON in (condition, value, otherwise):
        return POISON
    if not isinstance(condition, Tensor):
        return frame.error(
            "wrong-kind",
            f"`if` needs a truth value, not {describe(condition)}",
            expression.condition.span,
            help="a comparison gives one: `x > 0`",
        )
    try:
        return arithmetic.select(frame, condition, value, otherwise, expression.span)
    except Mistake as mistake:
        parts = (expression.condition, expression.value, expression.otherwise)
        operands = list(zip(parts, (condition, value, otherwise), strict=True))
        return report(frame, mistake, expression.span, operands)


def index(frame: Frame, expression: ast.Index) -> Value:
    value = evaluate(frame, expression.value)
    items: list = []
    for each in expression.items:
        if isinstance(each, ast.Slice):
            parts = (each.start, each.stop, each.step)
            items.append(tuple(evaluate(frame, part) if part else None for part in parts))
        else:
            items.append(evaluate(frame, each))
    if value is POISON or any(POISON in item if isinstance(item, tuple) else item is POISON
                              for item in items):  # fmt: skip
        return POISON
    try:
        return products.index(frame, value, items, expression.span)
    except Mistake as mistake:
        at = mistake.argument
        span = expression.items[at].span if at is not None else expression.span
        mistake.argument = None  # the span says it
        return report(frame, mistake, span, [(expression.value, value)])


def pipeline(frame: Frame, expression: ast.Pipeline) -> Value:
    value = evaluate(frame, expression.value)
    return stages(frame, value, expression.value.span, expression.stages)


def stages(
    frame: Frame,
    value: Value,
    span: Span,
    steps: tuple[ast.Stage, ...],
    layer: calls.LayerPath | None = None,
) -> Value:
    """A value led through stages; `layer` is the path of the layer that they are."""
    for stage in steps:
        if isinstance(stage, ast.Call):
            value = calls.stage(frame, value, span, stage, layer)
        else:
            count = repetitions(frame, stage)
            for _ in range(count):
                value = stages(frame, value, span, stage.stages)
                if value is POISON:
                    break
        span = stage.span
    return value


def repetitions(frame: Frame, stage: ast.Repeat) -> int:
    """How often a repeated stage is applied; 0 after a mistake."""
    count = evaluate(frame, stage.count)
    if count is POISON:
        return 0
    if isinstance(count, Polynomial):
        report(frame, undecided(count), stage.count.span, [])
        return 0
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 10_000:
        frame.error(
            "bad-number",
            f"stages are repeated a whole number of times, from 1 to 10000, not {describe(count)}",
            stage.count.span,
        )
        return 0
    return count


def call(frame: Frame, expression: ast.Call) -> Value:
    return calls.expression(frame, expression)


RULES = {
    ast.Number: literal,
    ast.Boolean: literal,
    ast.String: literal,
    ast.Path: path,
    ast.Unary: unary,
    ast.Binary: binary,
    ast.Conditional: conditional,
    ast.Index: index,
    ast.Call: call,
    ast.Pipeline: pipeline,
}


def report(
    frame: Frame, mistake: Mistake, span: Span, operands: list[tuple[ast.Expression, Value]]
) -> Value:
    """Reports a mistake of an operation, with the shapes of its operands and how they came about."""
    if mistake.name in ("wrong-kind", "bad-number") and mistake.argument is not None:
        at = mistake.argument
        return frame.error(mistake.name, mistake.message, operands[at][0].span, help=mistake.help)
    notes: list[str] = []
    labels, help_ = frame.open_labels(mistake.open_sizes)
    if mistake.name == "shape-mismatch":
        tensors = [(tree, value) for tree, value in operands if isinstance(value, Tensor)]
        for tree, value in tensors:
            labels.append(Label(tree.span, shape_label(value)))
        notes = stories(frame, tensors)
    fixes = padding(operands) if mistake.name == "shape-mismatch" else []
    help_ = mistake.help or help_
    if mistake.name == "shape-mismatch" and not fixes and help_ is None:
        help_, fixes = remedy(mistake.message, operands)
        fixes = fixes if frame.call is None else []
    place = next((tree.span for tree, value in operands if isinstance(value, Tensor)
                  and value.sequence is None and value.type.batched and value.shape), None)  # fmt: skip
    if isinstance(mistake, Misfit) and mistake.along and frame.call is None and place is not None:
        call = f"along({provenance.excerpt(place, 32)}; {mistake.along})"
        help_ = f"`{call}` gives it to every step"
        fixes = [Fix("give it to every step", wrapped(place, "along(", f"; {mistake.along})"))]
    return frame.error(mistake.name, mistake.message, span, labels=labels, notes=notes, help=help_,
                       fixes=fixes)  # fmt: skip


def padding(operands: list[tuple[ast.Expression, Value]]) -> list[Fix]:
    """Fixes for two images of different size: `pad` for a convolution that made one smaller."""
    if len(operands) != 2 or not all(isinstance(value, Tensor) for _, value in operands):
        return []
    small, large = sorted((value for _, value in operands), key=lambda value: str(value.shape[1:]))
    if small.type.rank != 3 or large.type.rank != 3:
        return []
    missing = large.shape[1] - small.shape[1]
    if not isinstance(missing, int) or missing == 0:
        return []
    if missing < 0:
        small, large, missing = large, small, -missing
    fixes = []
    for step in reversed(provenance.steps(small.trail)):
        text = step.span.text if step.span is not None and step.note else ""
        if (
            text.startswith("conv")
            and text.endswith(")")
            and "pad" not in text
            and missing % 2 == 0
        ):
            at = Span(step.span.source, step.span.end - 1, step.span.end - 1)
            pad = missing // 2
            message = (
                f"with `pad={pad}` on line {step.span.line} both are {sizes.show(large.shape)}"
            )
            fixes.append(Fix(message, (Edit(at, f", pad={pad}"),)))
    return fixes


def shape_label(value: Tensor) -> str:
    if value.type.kind == "int":
        return describe(value)
    each = f" at each step of `{value.sequence.name}`" if value.sequence is not None else ""
    return sizes.show(value.shape) + each


def stories(frame: Frame, operands: list[tuple[ast.Expression, Tensor]]) -> list[str]:
    """How each operand got its shape."""
    notes = []
    for tree, value in operands:
        note = provenance.story(f"`{provenance.excerpt(tree.span, 32)}`", value.shape, value.trail)
        if note is not None and note not in notes:
            notes.append(note)
    return notes


def given(frame: Frame, argument: ast.Argument) -> Given:
    """An argument with its value."""
    value = evaluate(frame, argument.value)
    name = argument.name
    return Given(
        name.text if name else None,
        value,
        argument.value.span,
        name.span if name else None,
        argument.value,
    )
