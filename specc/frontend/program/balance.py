"""Class weights, `balance = label`: training weights each example's loss by its class.

    name = balanced_target(block)        # "label"; None without `balance`
    weighed(frame, span, tensor, "label")       # if training then loss * weights[label] else loss

The weights are a state of the model, `label.balance` `[classes]`, initialized to 1. Training
computes them from its data, and checkpoints contain them.
"""

from __future__ import annotations

from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.elaborate.initial import initial_value
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import Tensor
from specc.frontend.syntax import ast
from specc.ir.graph import topological
from specc.ir.program import State
from specc.ir.types import Type
from specc.ops.leaf import Input, Role, leaf
from specc.recipe import BALANCE, Recipe
from specc.source import Span

_LOSS, _WEIGHTS, _LABEL = "loss of an example", "weights of classes", "class of an example"
"""Names in the generated formula: they have a space, so no name in a file equals them."""


def balanced_target(block: ast.Train | None) -> str | None:
    """Return the target whose classes are balanced, if a `train` block names one."""
    found: dict[str, str] = {}
    for each in block.body if block is not None else ():
        if isinstance(each, ast.Setting) and isinstance(each.value, ast.Path | ast.String):
            value = each.value
            found[each.name.text] = value.text if isinstance(value, ast.Path) else value.value
    is_by_weights = found.get("balance_by", Recipe().balance_by) == "weights"
    return found.get("balance") if is_by_weights else None


def weighed(frame: BodyFrame, span: Span, loss: Tensor, target: str) -> Tensor:
    """Return the loss times the weight of each example's class, if it depends on the target."""
    label = frame.names.get(target)
    if not isinstance(label, Tensor) or label.type.kind not in ("int", "bool") or label.shape:
        return loss  # reported elsewhere
    if not loss.type.batched or label.node not in topological([loss.node]):
        return loss
    classes = label.type.classes if label.type.kind == "int" else 2
    assert classes is not None, "a class has a number of classes; please report this"
    path, context = BALANCE.format(target), frame.context
    type_ = Type("float", (classes,))
    node = leaf(Input(Role.STATE, path, type_), frame.origin(span))
    if path not in context.states:
        one = ast.Number(1, "1", span)
        initial = initial_value(frame, path, type_, node, path, one)
        assert initial is not None, "1 is a number; please report this"
        context.states[path] = State(path, type_, initial[0], None, span)
        context.owners[path] = frame.naming.owner
    values = {_LOSS: loss, _WEIGHTS: Tensor(node), _LABEL: label}
    frame.names.update(values)

    def named(name: str) -> ast.Path:
        return ast.Path((ast.Name(name, span),), span)

    def weight(item: ast.Expression) -> ast.Index:
        return ast.Index(named(_WEIGHTS), (item,), span)

    chosen: ast.Expression = weight(named(_LABEL))
    if label.type.kind == "bool":
        one, zero = ast.Number(1, "1", span), ast.Number(0, "0", span)
        chosen = ast.Conditional(named(_LABEL), weight(one), weight(zero), span)
    product = ast.Binary(ast.Operator("*", span), named(_LOSS), chosen, span)
    found = evaluate(frame, ast.Conditional(named("training"), product, named(_LOSS), span))
    for name in values:
        del frame.names[name]
    assert isinstance(found, Tensor), "the weighted loss is a tensor; please report this"
    return found
