"""The `train` block: settings, data sources, and the update rule of each parameter.

In: `ast.Train` and the parameters of the model. Out: a `Recipe`, the `Update`s, and the frozen
paths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, TypeVar

from specc.diagnostics import Label, closest, spelled
from specc.frontend.elaborate.bindings import setting_help
from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.program.accumulation import check_turns, factors
from specc.frontend.program.columns import column_rules
from specc.frontend.program.monitor import monitor
from specc.frontend.program.objectives import objectives
from specc.frontend.program.optimizers import UpdateRule, optimizer_rule
from specc.frontend.program.schedules import limits
from specc.frontend.program.sources import check_parts, check_sources, source_or_share
from specc.frontend.program.splits import COLUMNS, column_name, divided
from specc.frontend.program.starts import starts
from specc.frontend.program.train_settings import LARGEST, LARGEST_COUNT, PLANNED, SETTINGS
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.scope import Context, Scope
from specc.frontend.scope.values import POISON, beyond_float, describe
from specc.frontend.syntax import ast
from specc.frontend.words.messages import (
    SETTING_SYNONYMS,
    TRAIN_HINTS,
    TRAIN_SYNONYMS,
)
from specc.frontend.words.settings import violations
from specc.ir.program import Limit, Objective, Term, Update
from specc.recipe import DataCall, Port, Recipe
from specc.source import Span
from specc.system.records import dataclass

S = TypeVar("S", bound=ast.Node)


@dataclass(eq=False)
class TrainBlock:
    """The content of a `train` block."""

    recipe: Recipe = field(default_factory=Recipe)
    updates: list[Update] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    objectives: list[Objective] = field(default_factory=list)


def train(
    context: Context,
    scope: Scope,
    block: ast.Train,
    ports: list[Port],
    losses: Sequence[Term] = (),
    metrics: Sequence[Term] = (),
) -> TrainBlock:
    """Elaborate the block; `ports` are the model's inputs and targets."""
    frame = BodyFrame(context, scope, "train")
    known: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    values: dict[str, Span] = {}
    optimizers = _all(ast.TrainOptimizer, block)
    freezes = _all(ast.Freeze, block)
    is_broken = any(isinstance(each, ast.Broken) for each in block.body)
    is_good = not context.report.errors

    def set_to(name: ast.Name, tree: ast.Expression) -> None:
        if name.text == "monitor":
            known["monitor"] = monitor(frame, tree, losses, metrics)
        elif name.text in COLUMNS:
            known[name.text] = column_name(frame, name, tree)
        else:
            _setting(frame, name, tree, known)
        values[name.text] = tree.span

    for statement in block.body:
        match statement:
            case ast.Setting():
                frame.once(spans, statement.name.text, statement.name.span)
                set_to(statement.name, statement.value)
            case ast.Data() | ast.Validate() | ast.Test():
                what = type(statement).__name__.lower()
                frame.once(spans, what, statement.span)
                known[what] = source_or_share(frame, statement, ports)
            case ast.Augment() | ast.Broken():
                pass  # part of the model, or reported
            case ast.Column() | ast.TrainOptimizer() | ast.Start() | ast.Freeze():
                pass  # looked at together
            case _:
                word = statement.span.text.split(maxsplit=1)[0]
                frame.error("misplaced", f"`{word}` is not allowed in `train`", statement.span)
    if not is_broken:
        check_parts(frame, known, spans)
    known["columns"] = column_rules(frame, _all(ast.Column, block), ports)
    known = divided(frame, known, spans | values, ports)
    _check_sample(frame, known, values, ports)
    if "validate_every" in known and known.get("data") is not None:
        _check_validated(frame, known, values)
    begun = known.pop("start", None), values.get("start")
    known["starts"] = starts(frame, _all(ast.Start, block), *begun, _parameters)
    result = TrainBlock(Recipe(**known, span=block.span, spans=values))
    result.frozen = _frozen(frame, freezes)
    if not is_broken:
        result.updates = _updates(frame, block, optimizers, result, losses)
        check_turns(frame, result.recipe, result.objectives)
        _check_any_trained(frame, block, optimizers, freezes, result.frozen)
    if is_good:
        check_sources(frame, ports, [known.get(name) for name in ("data", "validate", "test")])
    return result


def _all(cls: type[S], block: ast.Train) -> list[S]:
    """Return the statements of a class."""
    return [each for each in block.body if isinstance(each, cls)]


def _check_validated(
    frame: BodyFrame, known: Mapping[str, Any], values: Mapping[str, Span]
) -> None:
    """Report `validate_every` without validation data."""
    if known.get("validate") is None and known.get("folds") is None:
        message = "`validate_every` needs validation data"
        help_ = "add `validate split = 0.9`, or `validate` and a source"
        frame.error("misplaced", message, values["validate_every"], help=help_)


def _check_sample(
    frame: BodyFrame, known: Mapping[str, Any], values: Mapping[str, Span], ports: Sequence[Port]
) -> None:
    """Report settings of `sample` for a model that does not generate text."""
    if "sample" not in values:
        for name in ("prompt", "temperature"):
            if name in known:
                message = f"`{name}` needs the setting `sample`"
                help_ = "add `sample = 300`"
                frame.error("bad-setting", message, values[name], help=help_)
        return
    data = known.get("data")
    if "sample" not in known or not isinstance(data, DataCall):
        return  # reported, or the data is given later
    reads = any(
        port.role == "input" and port.kind == "class" and len(port.shape) == 1 for port in ports
    )
    if data.word != "text" or not reads:
        message = "`sample` is only for a model that reads text symbol by symbol"
        help_ = "it needs `data text(...)` and an input such as `text: class(vocab)[time]`"
        frame.error("bad-setting", message, values["sample"], help=help_)


def _check_any_trained(
    frame: BodyFrame,
    block: ast.Train,
    optimizers: list[ast.TrainOptimizer],
    freezes: list[ast.Freeze],
    frozen: list[str],
) -> None:
    """Report a model without a trained parameter."""
    paths = frame.context.paths
    if frame.context.report.errors or len(frozen) < len(paths):
        return
    if paths:
        place, message = freezes[0].span, "every parameter is frozen, so there is nothing to train"
        help_ = "remove one of them from `freeze`"
    else:
        place = optimizers[0].span if optimizers else _keyword(block)
        message = "the model has no parameter to train"
        help_ = "layers such as `dense(10)` have parameters, and `param w: float[3] = he` is one"
    frame.error("no-parameter", message, place, help=help_)


def _keyword(block: ast.Train) -> Span:
    return Span(block.span.source, block.span.start, block.span.start + len("train"))


def _setting(frame: BodyFrame, name: ast.Name, tree: ast.Expression, known: dict[str, Any]) -> None:
    """Add the value of a setting, `epochs = 10`, to `known`, or report an error."""
    declared = next((each for each in SETTINGS if each.name == name.text), None)
    if declared is None:
        _unknown_setting(frame, name)
        return
    if name.text == "batch" and (found := factors(frame, tree)) is not None:
        known["batch"], known["accumulate"] = found
        return
    if declared.choices and isinstance(tree, ast.Path) and len(tree.names) == 1:
        value: Any = tree.text
    else:
        value = evaluate(frame, tree)
    if value is POISON:
        return
    if not isinstance(value, (int, float, str)):
        frame.error("bad-setting", f"`{name.text}` cannot be {describe(value)}", tree.span)
        return
    if (beyond := beyond_float(value)) is not None:
        frame.error("bad-setting", f"`{name.text}`: {beyond}", tree.span)
        return
    largest = LARGEST.get(name.text, LARGEST_COUNT)
    if declared.kind == "int" and isinstance(value, int) and value > largest:
        frame.error("bad-setting", f"`{name.text}` must be at most {largest:,}", tree.span)
        return
    wrong = violations((declared,), {name.text: value})
    for each in wrong:
        frame.error("bad-setting", each.message, tree.span, help=setting_help(each, value))
    if not wrong:
        known[name.text] = value


def _unknown_setting(frame: BodyFrame, name: ast.Name) -> None:
    names = [each.name for each in SETTINGS]
    hint = TRAIN_HINTS.get(name.text.lower())
    near = None if hint else closest(name.text, names, TRAIN_SYNONYMS)
    if name.text in PLANNED:
        frame.error("not-yet", f"`{name.text}` is not supported yet", name.span)
        return
    if hint is None and SETTING_SYNONYMS.get(name.text, name.text) == "lr":
        lr = SETTING_SYNONYMS.get(name.text, name.text)
        help_ = f"it is a setting of the optimizer: `optimizer sgd({lr} = ...)`"
        frame.error(
            "unknown-setting", f"`train` has no setting `{name.text}`", name.span, help=help_
        )
        return
    known = "`specc explain train` and `specc explain NAME` describe its settings: "
    known += ", ".join(f"`{each}`" for each in names)
    fixes = spelled(near, name.span)
    frame.error(
        "unknown-setting",
        f"`train` has no setting `{name.text}`",
        name.span,
        fixes=fixes,
        help=f"did you mean `{near}`?" if near else hint or known,
    )


def _frozen(frame: BodyFrame, freezes: list[ast.Freeze]) -> list[str]:
    """Return the paths that `freeze` names, without duplicates."""
    found: dict[str, None] = {}
    for statement in freezes:
        for path in statement.paths:
            found.update(dict.fromkeys(_parameters(frame, path)))
    return list(found)


def _parameters(frame: BodyFrame, path: ast.Path) -> list[str]:
    """Return the parameters at `path` or below it. Report a path without parameters."""
    paths = frame.context.paths
    text = path.text
    found = [each for each in paths if each == text or each.startswith(f"{text}.")]
    if not found and not frame.context.report.errors:
        prefixes = {
            each.rsplit(".", cut)[0] for each in paths for cut in range(each.count(".") + 1)
        }
        near = closest(text, prefixes | set(paths))
        frame.error(
            "unknown-name",
            f"unknown parameter or layer `{text}`",
            path.span,
            help=f"did you mean `{near}`?" if near else None,
        )
    return found


def _updates(
    frame: BodyFrame,
    block: ast.Train,
    optimizers: list[ast.TrainOptimizer],
    training: TrainBlock,
    losses: Sequence[Term],
) -> list[Update]:
    """Return the rule of each trained parameter, in the order of the parameters."""
    context = frame.context
    frozen = set(training.frozen)
    chosen: dict[str, tuple[UpdateRule | None, Span]] = {}
    rest: tuple[UpdateRule | None, Span] | None = None
    rules: list[UpdateRule] = []
    good = True
    for statement in optimizers:
        rule = optimizer_rule(frame, statement.optimizer)
        good = good and rule is not None
        if rule is not None:
            rules.append(rule)
            training.limits += limits(frame, rule, statement.optimizer, training.recipe.epochs)
        if not statement.paths:
            if rest is not None:
                frame.error(
                    "duplicate-name",
                    "there are two optimizers for all parameters",
                    statement.span,
                    labels=[Label(rest[1], "the other one")],
                    help="say which parameters it is for: `optimizer ... for tower`",
                )
                good = False
            rest = (rule, statement.span)
        for path in statement.paths:
            parameters = _parameters(frame, path)
            good = good and bool(parameters)
            if parameters and all(each in frozen for each in parameters):
                frame.error(
                    "misplaced",
                    f"`{path.text}` is frozen, so it cannot have an optimizer",
                    path.span,
                )
            for each in parameters:
                if each in chosen:
                    frame.error(
                        "duplicate-name",
                        f"`{each}` has two optimizers",
                        path.span,
                        labels=[Label(chosen[each][1], "the other one")],
                    )
                elif each not in frozen:
                    chosen[each] = (rule, path.span)
    trained = [each for each in context.paths if each not in frozen]
    without = [each for each in trained if each not in chosen]
    if rest is None and without and not context.report.errors:
        listed = ", ".join(f"`{each}`" for each in without[:4]) + (
            ", ..." if len(without) > 4 else ""
        )
        frame.error(
            "no-optimizer",
            f"there is no optimizer for {listed}",
            _keyword(block),
            help="add one, `optimizer sgd(lr = 0.1)`, or `freeze` the parameters",
        )
    if rest is not None and trained and not without and not context.report.errors:
        frame.error("misplaced", "there are no parameters left for this optimizer", rest[1])
    if not good or context.report.errors:
        return []
    pairs = [(name, chosen.get(name, rest or (None, None))[0]) for name in trained]
    training.objectives = _objectives(frame, pairs, rules, losses)
    updates = []
    for name, rule in pairs:
        update = rule.update(name) if rule is not None else None
        if update is None:
            break
        updates.append(update)
    return updates


def _objectives(
    frame: BodyFrame,
    pairs: Sequence[tuple[str, UpdateRule | None]],
    rules: Sequence[UpdateRule],
    losses: Sequence[Term],
) -> list[Objective]:
    """Return the losses of each rule, unless all minimize all. Set `trained` of the rules."""
    for rule in rules:
        rule.trained = tuple(name for name, each in pairs if each is rule)
    used = [each for each in rules if each.trained]
    found = objectives(frame, used, [each.name for each in losses])
    return [Objective(names, rule.trained) for rule, names in zip(used, found, strict=False)]
