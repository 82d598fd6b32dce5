"""The losses that each optimizer minimizes.

    optimizer adam(critic_loss; lr = 2e-4) for critic
    optimizer adam(generator_loss; lr = 2e-4, every = 5) for generator

An optimizer without a loss minimizes those that no other one names.
"""

from __future__ import annotations

from collections.abc import Sequence

from specc.diagnostics import closest
from specc.frontend.program.optimizers import UpdateRule
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.syntax import ast


def objectives(
    frame: BodyFrame, rules: Sequence[UpdateRule], losses: Sequence[str]
) -> list[tuple[str, ...]]:
    """Return the names of the losses of each rule; an empty list if all minimize all losses."""
    if all(not rule.losses for rule in rules):
        return []
    named = {name for rule in rules for name in _named(frame, rule, losses)}
    if frame.context.report.errors:
        return []
    rest = tuple(each for each in losses if each not in named)
    found = []
    for rule in rules:
        names = _named(frame, rule, losses)
        if not names and not rest:
            frame.error(
                "no-loss",
                "all losses belong to other optimizers, and this one names none",
                rule.location,
                help=f"name a loss: `{rule.definition.name.text}({losses[0]}; ...)`",
            )
        found.append(names or rest)
    if rest and all(rule.losses for rule in rules):
        frame.error(
            "no-optimizer",
            f"no optimizer minimizes the loss `{rest[0]}`",
            rules[0].location,
            help=f"name it, too: `{rules[0].definition.name.text}({losses[0]}, {rest[0]}; ...)`,"
            " or make it a `metric`",
        )
    return found


def _named(frame: BodyFrame, rule: UpdateRule, losses: Sequence[str]) -> tuple[str, ...]:
    """Return the losses that an optimizer names, without duplicates."""
    found: dict[str, None] = {}
    for argument in rule.losses:
        tree = argument.value
        name = tree.text if isinstance(tree, ast.Path) else None
        if name in losses:
            assert name is not None, "only a name is a loss; please report this"
            found[name] = None
            continue
        near = closest(name, losses) if name is not None else None
        listed = ", ".join(f"`{each}`" for each in losses)
        frame.error(
            "unknown-name",
            f"an optimizer takes losses to minimize, but `{tree.span.text}` is not a loss",
            tree.span,
            help=f"did you mean `{near}`?" if near else f"the losses of the model: {listed}",
        )
    return tuple(found)
