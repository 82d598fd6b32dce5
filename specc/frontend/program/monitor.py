"""The setting `monitor = accuracy`: the value that selects the best epoch, and its direction.

    monitor(frame, tree, losses, metrics)     # Monitor("metric.accuracy", is_max=True)

The doc comment of a function states the direction: "Higher is better." or "Lower is better." Losses
and penalties of the library are minimized, and a metric of booleans is maximized. For any other
metric the file must state it: `monitor = max(score)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath

from specc.diagnostics import spelled
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import Tensor
from specc.frontend.syntax import ast
from specc.frontend.words import library
from specc.frontend.words.facts import facts_of
from specc.ir.program import Term
from specc.recipe import Monitor

LOSSES = ("losses", "regularizers")
"""The files of the library whose functions are minimized."""

TOTAL = "total_loss"
"""The sum of all losses, penalties included (`loss` is a reserved word)."""


def is_more_better(frame: BodyFrame, tree: ast.Expression, value: Tensor) -> bool | None:
    """Return whether higher values of a metric are better; None if its formula does not tell."""
    if value.type.kind == "bool":
        return True
    call = tree.stages[-1] if isinstance(tree, ast.Pipeline) and tree.stages else tree
    if not isinstance(call, ast.Call):
        return None
    name = call.word.text
    known = frame.scope.word(name)
    if known is not None and (stated := facts_of(known.definition).is_max) is not None:
        return stated
    is_library = known is not None and known.is_library and name in library.words()
    if is_library and PurePath(library.source_of(name).name).stem in LOSSES:
        return False
    return None


def monitor(
    frame: BodyFrame, tree: ast.Expression, losses: Sequence[Term], metrics: Sequence[Term]
) -> Monitor | None:
    """Return the value that `tree` names; None after an error."""
    name, is_max = tree, None
    if (
        isinstance(tree, ast.Call)
        and tree.word.text in ("max", "min")
        and len(tree.inputs) == 1
        and not tree.settings
    ):
        name, is_max = tree.inputs[0].value, tree.word.text == "max"
    if not isinstance(name, ast.Path) or len(name.names) != 1:
        frame.error(
            "bad-setting",
            "`monitor` must name a metric or a loss",
            tree.span,
            help=_choices(losses, metrics),
        )
        return None
    text = name.text
    columns: dict[str, tuple[str, bool | None]] = {
        each.name: (f"loss.{each.name}", False) for each in losses
    }
    columns |= {
        each.name: (f"metric.{each.name}", each.is_max)
        for each in metrics
        if each.node.type.shape == ()
    }
    columns.setdefault(TOTAL, ("loss", False))
    if text in columns:
        column, known = columns[text]
        is_max = known if is_max is None else is_max
        if is_max is None:
            frame.error(
                "bad-setting",
                f"`monitor` needs to know whether a higher `{text}` is better",
                tree.span,
                help=f"write `max({text})` or `min({text})`",
            )
            return None
        return Monitor(column, is_max)
    if any(each.name == text for each in metrics):
        frame.error(
            "bad-setting",
            f"`monitor` must be one number, but `{text}` is a table of numbers",
            name.span,
            help=_choices(losses, metrics),
        )
        return None
    if not frame.context.report.errors:
        near = frame.closest(text, columns)
        fixes = spelled(near, name.span)
        frame.error(
            "unknown-name",
            f"the model has no metric or loss `{text}`",
            name.span,
            fixes=fixes,
            help=f"did you mean `{near}`?" if near else _choices(losses, metrics),
        )
    return None


def _choices(losses: Iterable[Term], metrics: Iterable[Term]) -> str:
    names = [each.name for each in metrics if each.node.type.shape == ()]
    names += [*(each.name for each in losses), TOTAL]
    return "use one of " + ", ".join(f"`{name}`" for name in dict.fromkeys(names))
