"""Nodes of the statements in models, definitions and `train`."""

from __future__ import annotations

from typing import TypeAlias

from specc.frontend.syntax.ast.formulas import Bind, Expression, Name, Stage, Type
from specc.frontend.syntax.ast.node import Node, node
from specc.frontend.syntax.ast.training import (
    Augment,
    Column,
    Data,
    Freeze,
    Setting,
    Start,
    Test,
    TrainOptimizer,
    Validate,
)
from specc.source import Span


@node
class Input(Node):
    """`input NAME: type` declares a value that the model reads.

    The model needs it in training and in prediction; data sources bind a column or array of
    the same name to it.

    Example:

        model m {
          input image: float[1, 28, 28]
          output image -> flatten -> dense(10)
        }
    """

    name: Name
    type: Type
    span: Span
    doc: str | None = None


@node
class Stream(Node):
    """`stream NAME: type` declares a sequence that continues from batch to batch.

    The data is cut into as many parallel slots as a batch has examples, and cells carry their
    states from one window to the next. Gradients stop at the window's edge: truncated
    backpropagation through time. The windows of an `input` are independent instead.

    Example:

        seq time = 32

        model m {
          stream text: class(50)[time]
          target next_: class(50)[time]
          let scores = text -> embed(16) -> rnn(32) -> dense(50)
          output scores
          loss   cross_entropy(scores, next_)
        }
    """

    name: Name
    type: Type
    span: Span
    doc: str | None = None


@node
class Target(Node):
    """`target NAME: type` declares a value that losses and metrics compare outputs with.

    It is needed only in training and evaluation.

    Example:

        model m {
          input  x: float[8]
          target label: class(4)
          let scores = dense(x; 4)
          output scores
          loss   cross_entropy(scores, label)
        }
    """

    name: Name
    type: Type
    span: Span
    doc: str | None = None


@node
class Let(Node):
    """`let NAME = formula` names a value.

    Several names take the results of a formula that has several: `let a, b = split(x; 2)`.
    Names can be used below the line that defines them. Indices after the name are the axes of the
    result, and the formula defines each element: `let y[k] = sum(i: W[k, i] * x[i])`.

    Example:

        model m {
          input x: float[8]
          let a, b = split(x; 2)
          let y = a * sigmoid(b)
          output y
        }
    """

    names: tuple[Name, ...]
    indices: tuple[Bind, ...]
    value: Expression
    span: Span
    doc: str | None = None


@node
class Layer(Node):
    """`layer NAME = stages` makes one set of weights with a name.

    Every use of the name applies the same weights: hard sharing. Its parameters are called
    `NAME.dense1.weight` and so on; a penalty on the difference of two layers' weights is soft
    sharing. `layer judge = fixed(critic)` is a copy through which no gradient reaches the weights,
    and `layer slow = running(tower; rate = 0.005)` has weights that follow those of a layer.

    Example:

        model m {
          input a: float[8]
          input b: float[8]
          layer tower = dense(4) -> relu
          output distance(tower(a), tower(b))
        }
    """

    name: Name
    stages: tuple[Stage, ...]
    span: Span
    doc: str | None = None


@node
class Param(Node):
    """`param NAME: type = initial` declares a trained parameter.

    The initial value is a number, or an initializer such as `xavier` or `normal(std=0.1)`. With a
    `seq` as its first axis the parameter is a sequence: `param P: float[time, 8]` has a vector for
    each step.

    Example:

        model m {
          input x: float[8]
          param W: float[4, 8] = xavier
          param b: float[4] = 0
          output W @ x + b
        }
    """

    # `value` is the initial value

    name: Name
    type: Type
    value: Expression
    span: Span
    doc: str | None = None


@node
class State(Node):
    """`state NAME: type = initial` declares a value that is kept from step to step.

    In a `cell` a step is a time step; in an `optimizer` and in a `block` it is a training step.
    `next` gives its next value.
    """

    name: Name
    type: Type | None
    value: Expression
    span: Span
    doc: str | None = None


@node
class Next(Node):
    """`next NAME = formula` gives the value of a state, or of a parameter, at the next step.

    In the rule of an optimizer, `next w` is the updated parameter. All formulas of a step read the
    values from before the step.

    Example:

        optimizer plain(w, g; lr) {
          next w = w - lr * g
        }

        model m {
          input  x: float[8]
          target t: float[1]
          let y = dense(x; 1)
          output y
          loss   mse(y, t)
        }

        train {
          optimizer plain(lr = 0.1)
        }
    """

    name: Name
    value: Expression
    span: Span
    doc: str | None = None


@node
class Return(Node):
    """`return formula` ends the body of a `fn`, `block` or `cell` with its result.

    Several results are separated by commas, and `let a, b = ...` takes them.

    Example:

        fn halves(x: float[n]) {
          let a, b = split(x; 2)
          return a, b
        }

        model m {
          input x: float[8]
          let a, b = halves(x)
          output a + b
        }
    """

    values: tuple[Expression, ...]
    span: Span
    doc: str | None = None


@node
class Output(Node):
    """`output formula` declares a result of the model, which prediction returns.

    `output p = softmax(scores)` names it.

    Example:

        model m {
          input x: float[8]
          let scores = dense(x; 4)
          output scores
          output p = softmax(scores)
        }
    """

    name: Name | None
    value: Expression
    span: Span
    doc: str | None = None


@node
class Loss(Node):
    """`loss formula` declares a number that training minimizes.

    It is averaged over the batch. A model may have several losses, which are added; a name makes
    one of them a column of the metrics: `loss penalty = 1e-4 * l2(weights)`. In a loss, `weights`
    means all parameters except biases and normalization factors.

    Example:

        model m {
          input  x: float[8]
          target t: float[1]
          let y = dense(x; 1)
          output y
          loss   mse(y, t)
          loss   penalty = 1e-4 * l2(weights)
        }
    """

    name: Name | None
    value: Expression
    span: Span
    doc: str | None = None


@node
class Metric(Node):
    """`metric formula` declares a number that is reported but not minimized.

    It is averaged over all examples; some metrics, such as `perplexity`, are computed from the
    average. `monitor = NAME` in `train` selects the best epoch by a metric.

    Example:

        model m {
          input  x: float[8]
          target label: class(4)
          let scores = dense(x; 4)
          output scores
          loss   cross_entropy(scores, label)
          metric accuracy(scores, label)
        }
    """

    name: Name | None
    value: Expression
    span: Span
    doc: str | None = None


@node
class Broken(Node):
    """A statement or definition that could not be parsed or is misplaced, which was reported.

    `keyword` is its first word, and `names` are the names that it would have declared.
    """

    keyword: str
    names: tuple[Name, ...]
    span: Span
    doc: str | None = None


Statement: TypeAlias = (
    Input
    | Stream
    | Target
    | Let
    | Layer
    | Param
    | State
    | Next
    | Return
    | Output
    | Loss
    | Metric
    | Data
    | Validate
    | Test
    | Column
    | Augment
    | Start
    | Freeze
    | TrainOptimizer
    | Setting
    | Broken
)
