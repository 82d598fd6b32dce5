"""Copies of layers, which are used only in declarations of layers."""

from __future__ import annotations

from specc.frontend.primitives.registry import primitive
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import Value
from specc.source import Span


@primitive("fixed")
def _fixed(frame: BodyFrame, span: Span, layer: Value) -> Value:
    """A copy of a layer with the same weights, which get no gradient from it:
    `layer judge = fixed(critic)`. A loss on `judge(x)` trains x, but not `critic`, and does not
    change its running statistics.

    Example: `layer tower = dense(4)`, `layer judge = fixed(tower)`, `let y = tower(x) - judge(x)`,
    `output y` of `x: float[8]`.
    """
    raise _misplaced("fixed", "layer judge = fixed(critic)")


@primitive("running")
def _running(frame: BodyFrame, span: Span, layer: Value, *, rate: float > 0 = 0.005) -> Value:
    """A copy of a layer whose weights are moving means of the layer's weights: after each training
    step w <- w + rate * (w of the layer - w), with the same initial values. They get no
    gradient. The copy has its own running statistics: `layer slow = running(tower; rate =
    0.005)`.

    Lillicrap et al., Continuous control with deep reinforcement learning, 2016; Grill et al.,
    Bootstrap your own latent, 2020.

    Example: `layer tower = dense(4)`, `layer slow = running(tower)`,
    `let y = tower(x) - slow(x)`, `output y` of `x: float[8]`.
    """
    raise _misplaced("running", "layer slow = running(tower; rate = 0.005)")


def _misplaced(word: str, example: str) -> OperandError:
    return OperandError(
        "misplaced",
        f"`{word}` copies a layer, so it must be the only stage of a `layer`",
        help=f"write `{example}`",
    )
