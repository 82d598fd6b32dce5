"""Nodes of definitions, and of the file that holds them."""

from __future__ import annotations

from typing import TypeAlias

from specc.frontend.syntax.ast.formulas import Expression, Name, Signature, String
from specc.frontend.syntax.ast.node import Node, node
from specc.frontend.syntax.ast.statements import Broken, Statement
from specc.source import Source, Span

# Definitions


@node
class Dim(Node):
    """`dim NAME = size` names a size, for use in types and settings.

    Without a value (`dim vocab`) the size is symbolic: shapes are checked for any value, and the
    data or the command line (`specc train FILE vocab=65`) sets it. The command line can also
    change a size that has a value.

    Example:

        dim classes = 10

        model m {
          input x: float[8]
          output dense(x; classes)
        }
    """

    name: Name
    value: Expression | None
    span: Span
    doc: str | None = None


@node
class Seq(Node):
    """`seq NAME = length` names a sequence axis, such as time.

    Layers and functions are applied to each time step separately; a `cell` runs along the
    sequence, and functions such as `last`, `mean` and `attention` read all of it. An axis
    `[<= time]` is a variable-length sequence of at most `time` steps. Without a value, the
    length is that of the longest sequence in the data.

    Example:

        seq time = 50

        model m {
          input x: float[time, 3]
          output x -> rnn(16) -> last -> dense(2)
        }
    """

    name: Name
    value: Expression | None
    span: Span
    doc: str | None = None


@node
class Const(Node):
    """`const NAME = number` names a number.

    The command line can change it: `specc train FILE margin=0.5`.

    Example:

        const margin = 0.5

        model m {
          input  x: float[8]
          target label: class(4)
          let scores = dense(x; 4)
          output scores
          loss   hinge(scores, label; margin=margin)
        }
    """

    name: Name
    value: Expression
    span: Span
    doc: str | None = None


@node
class Use(Node):
    """`use "FILE"` imports the definitions of another file.

    The path is relative to the importing file. The imported file may contain only definitions.
    """

    path: String
    span: Span
    doc: str | None = None


@node
class Fn(Node):
    """`fn NAME(inputs; settings) = formula` defines a function, which has no weights.

    A longer body goes in braces and ends with `return`. Inputs may have types, whose names bind
    sizes: `scores: float[n]`. Settings follow a semicolon; they may have a type, bounds and a
    default: `slope: float >= 0 = 0.01`. Activations, losses, metrics, penalties, schedules and
    initial values are all functions. specc derives the gradient.

    Example:

        fn swish(x; beta = 1) = x * sigmoid(beta * x)

        model m {
          input x: float[8]
          output swish(x; beta=2)
        }
    """

    # either `value` (`fn f(x) = value`) or `body` (`fn f(x) { ... }`) is set

    name: Name
    signature: Signature
    value: Expression | None
    body: tuple[Statement, ...] | None
    span: Span
    doc: str | None = None


@node
class Block(Node):
    """`block NAME(inputs; settings) { ... }` defines a layer, which may have weights.

    Its weights are its `param` statements and those of the layers that it uses. Each use of the
    block creates new weights; `layer` shares them.

    Example:

        block prelu_of_mine(x) {
          param alpha: float[] = 0.25
          return max(alpha * x, x)
        }

        model m {
          input x: float[8]
          output x -> dense(8) -> prelu_of_mine
        }
    """

    name: Name
    signature: Signature
    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


@node
class Cell(Node):
    """`cell NAME(x; settings) { ... }` defines one time step of a recurrent layer.

    It is applied along the sequence axis of its input and carries each `state` from step to step;
    `next` gives the state of the next step. Gradients are computed by backpropagation through
    time. `let hs, h = x -> NAME(16)` also returns the final states, and `NAME(x, h=h0; 16)`
    starts from given ones. In the body of another cell it runs one step in each step of that one,
    which carries its states.

    Example:

        seq time = 20

        cell leaky(x: float[n]; keep = 0.9) {
          state h: float[n] = 0
          let h2 = keep * h + (1 - keep) * x
          next h = h2
          return h2
        }

        model m {
          input x: float[time, 3]
          output x -> leaky(0.8) -> last
        }
    """

    name: Name
    signature: Signature
    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


@node
class Optimizer(Node):
    """`optimizer NAME(w, g; settings) { ... }` defines the update rule of a parameter.

    `w` is the parameter and `g` its gradient. `state` declares a value that is kept from step to
    step, of the parameter's shape unless it has a type: `float[n]`, or `like(x)`, the shape of the
    value x. With `= if rank(w) > 1 then 0 else false` only matrices have it; where it is left out,
    its name is 0. `next w` is the updated parameter. The name `step` counts the training steps from
    0.

    Example:

        optimizer signum(w, g; lr, mu = 0.9) {
          state v = 0
          let u = mu * v + (1 - mu) * g
          next v = u
          next w = w - lr * sign(u)
        }

        model m {
          input  x: float[8]
          target t: float[1]
          let y = dense(x; 1)
          output y
          loss   mse(y, t)
        }

        train {
          optimizer signum(lr = 0.01)
        }
    """

    name: Name
    signature: Signature
    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


@node
class Model(Node):
    """`model NAME { ... }` describes a network: its inputs, targets, outputs, losses and metrics.

    Shapes are those of one example, without the batch axis. A file has one model.

    Example:

        model digits {
          input  image: float[1, 8, 8]
          target label: class(10)
          let scores = image -> flatten -> dense(32) -> relu -> dense(10)
          output scores
          loss   cross_entropy(scores, label)
          metric accuracy(scores, label)
        }
    """

    name: Name
    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


@node
class Train(Node):
    """`train { ... }` says how the model is trained: data, optimizer and settings.

    Any setting can be changed on the command line: `specc train FILE epochs=5 batch=64`.

    Example:

        model digits {
          input  image: float[1, 8, 8]
          target label: class(10)
          let scores = image -> flatten -> dense(10)
          output scores
          loss   cross_entropy(scores, label)
        }

        train {
          data      digits()
          validate  split = 0.8
          optimizer adam(lr = 0.003)
          epochs    = 20
        }
    """

    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


WordDefinition: TypeAlias = Fn | Block | Cell | Optimizer
Named: TypeAlias = Dim | Seq | Const | WordDefinition
Definition: TypeAlias = Dim | Seq | Const | Use | WordDefinition | Model | Train | Broken


# The file


@node
class Comment(Node):
    """`# text`, or `## text` for a doc comment; `text` includes the signs."""

    text: str
    span: Span

    @property
    def is_doc(self) -> bool:
        return self.text.startswith("##")


@node
class File(Node):
    """A whole file. `comments` has all comments, in the order of the text."""

    definitions: tuple[Definition, ...]
    comments: tuple[Comment, ...]
    source: Source
    span: Span
