"""`batch = 32 * 4`: a step of 4 batches of 32 examples, whose gradients are averaged.

factors(frame, tree)     # (32, 4); None for any other formula
"""

from __future__ import annotations

from collections.abc import Sequence

from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.program.train_settings import LARGEST_COUNT
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.syntax import ast
from specc.ir.program import Objective
from specc.recipe import Recipe


def factors(frame: BodyFrame, tree: ast.Expression) -> tuple[int, int] | None:
    """Return the examples of a batch and the number of batches of a step.

    The last factor of a product is the number of batches. None if the formula is not a product of
    two positive integers.
    """
    if not isinstance(tree, ast.Binary) or tree.operator.text != "*":
        return None
    examples, batches = _count(frame, tree.left), _count(frame, tree.right)
    if not examples or not batches or examples * batches > LARGEST_COUNT:
        return None
    return examples, batches


def _count(frame: BodyFrame, tree: ast.Expression) -> int:
    """Return a positive integer; 0 for any other value."""
    value = evaluate(frame, tree)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def check_turns(frame: BodyFrame, recipe: Recipe, objectives: Sequence[Objective]) -> None:
    """Report a step of several batches where optimizers take turns within a step."""
    if recipe.accumulate == 1 or len(objectives) < 2:
        return
    frame.error(
        "misplaced",
        "optimizers with losses of their own take turns, so a step cannot add up gradients",
        recipe.spans["batch"],
        help=f"use `batch = {recipe.examples_per_step}`; `recompute = true` takes less memory",
    )
