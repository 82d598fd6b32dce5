"""Nodes of names, formulas, types and signatures."""

from __future__ import annotations

from typing import TypeAlias

from specc.frontend.syntax.ast.node import Node, node
from specc.source import Span

# Names


@node
class Name(Node):
    """A single name."""

    text: str
    span: Span

    def __str__(self) -> str:
        return self.text


@node
class Path(Node):
    """A name, or names joined by dots: `x`, `tower.dense1.weight`."""

    names: tuple[Name, ...]
    span: Span

    @property
    def text(self) -> str:
        return ".".join(name.text for name in self.names)

    def __str__(self) -> str:
        return self.text


# Expressions


@node
class Number(Node):
    """A number; `text` is its source text."""

    value: int | float
    text: str
    span: Span


@node
class String(Node):
    """A string; `value` is the text between the quotes, with escapes resolved."""

    value: str
    span: Span


@node
class Boolean(Node):
    """`true` and `false` are the two values of type `bool`."""

    value: bool
    span: Span


@node
class Operator(Node):
    """The sign or word of an operation: `+`, `<=`, `and`."""

    text: str
    span: Span

    def __str__(self) -> str:
        return self.text


@node
class Unary(Node):
    """An operator before one value.

    -x      the negative of each element
    not x   whether `x` is false
    """

    operator: Operator
    operand: Expression
    span: Span


@node
class Binary(Node):
    """An operator between two values.

    Both have the same shape, or one of them is a single number. Integers follow Python. From the
    highest to the lowest precedence: `^`, the sign `-`, `* / // % @`, `+ -`, comparisons,
    `not`, `and`, `or`, `if`, `->`.

        a + b     the sum
        a - b     the difference
        a * b     the product, element by element
        a / b     the quotient
        a // b    the quotient, rounded down
        a % b     the remainder of `//`, with the sign of `b`
        a ^ b     `a` to the power `b`
        a @ b     the matrix product: of a matrix and a vector, or of two matrices
        a == b    whether they are equal, element by element
        a != b    whether they differ, element by element
        a < b     whether `a` is less than `b`
        a <= b    whether `a` is at most `b`
        a > b     whether `a` is greater than `b`
        a >= b    whether `a` is at least `b`
        a and b   whether both are true
        a or b    whether at least one is true; in a signature, one of several options

    Example:

        model m {
          input x: float[8]
          param W: float[4, 8] = xavier
          output (W @ x) ^ 2 / 2 + 1
        }
    """

    operator: Operator
    left: Expression
    right: Expression
    span: Span


@node
class Conditional(Node):
    """`if condition then a else b` chooses between two values, element by element.

    The gradient flows only to the chosen value.

    Example:

        fn positive_part(x) = if x > 0 then x else 0

        model m {
          input x: float[8]
          output positive_part(x)
        }
    """

    condition: Expression
    value: Expression
    otherwise: Expression
    span: Span


@node
class Slice(Node):
    """`start:stop:step` in brackets takes a range of an axis.

    Any of the three may be omitted: `x[:, 1:]`. Positions count from 0, `stop` is excluded, and
    negative positions count from the end.

        a:b   the positions from `a` up to, but not including, `b`

    Example:

        model m {
          input x: float[8, 4]
          output x[1:, 0]
        }
    """

    start: Expression | None
    stop: Expression | None
    step: Expression | None
    span: Span


@node
class Index(Node):
    """`value[items]` takes elements by their positions.

    An item is a number, a slice `a:b`, or a value of type `class(n)`, which selects one of the n
    elements of the axis: `scores[label]`. In a formula with indices it may be an index, or a
    sum of indices with integer factors: `x[c, 2 * i + u]`. With fewer items than axes, the last
    axes are kept.

        a[i]   the element, or the part, of `a` at position `i`

    Example:

        model m {
          input  x: float[8]
          target label: class(8)
          output x[0] + x[1]
          loss   -x[label]
        }
    """

    value: Expression
    items: tuple[Expression | Slice, ...]
    span: Span


@node
class Argument(Node):
    """`value` or `name = value` in a call."""

    name: Name | None
    value: Expression
    span: Span


@node
class Call(Node):
    """`word(inputs; settings)` applies a function, layer or cell.

    Inputs are values; settings are numbers, names or options, and follow a semicolon. Settings
    may be given by position or by name: `conv(x; 6, kernel=5)`. In a pipeline the input is the
    value on the left, and the parentheses hold settings only: `x -> conv(6, kernel=5)`.

    Example:

        model m {
          input x: float[3, 8, 8]
          output conv(x; 6, kernel=3) -> relu
        }
    """

    # Without a semicolon all arguments of a call in an expression are `inputs`, and all those of a
    # stage, of a `layer` or of the `optimizer` of a training are `settings`. A stage without
    # parentheses has neither. `search(adam, momentum)(lr = 0.1)` has `options`, the functions to
    # choose from.

    word: Path
    inputs: tuple[Argument, ...]
    settings: tuple[Argument, ...]
    has_semicolon: bool
    span: Span
    options: tuple[Argument, ...] = ()


@node
class Bind(Node):
    """`i` or `i in a:b` binds an index: a name for the positions along an axis.

    Indices are bound on the left of a `let`, where they name the axes of the result, or before
    the colon of a reduction. An index runs over the axis that it indexes alone;
    `i in a:b` sets another range, without `b`. In its formula an index is also an integer.

        i in a:b   the index `i` runs from `a` up to, but not including, `b`

    Example:

        model m {
          input x: float[8]
          let steps[i in 0:7] = x[i + 1] - x[i]
          output steps
        }
    """

    name: Name
    start: Expression | None
    stop: Expression | None
    span: Span


@node
class Over(Node):
    """`sum(i, j: formula)` reduces a formula over indices.

    The indices before the colon are bound in the formula after it. `sum`, `mean`, `max`,
    `min`, `prod`, `any`, `all`, `norm` and `logsumexp` return a number; `softmax` and
    `log_softmax` keep the index; `argmax` and `argmin` return a class. A condition, in place of
    an index or after a semicolon, excludes elements: `sum(j <= i: x[j])`,
    `mean(i, j; i != j: d[i, j])`. `concat(h in 0:heads: head(x))` expands its formula for each
    number, with new weights each time.

        f(i: y)   `f` of `y` over all values of the index `i`

    Example:

        model m {
          input x: float[8]
          param W: float[4, 8] = xavier
          let y[k] = sum(i: W[k, i] * x[i])
          output y
        }
    """

    # an item before the semicolon is a `Bind`, or a condition

    word: Path
    indices: tuple[Bind | Expression, ...]
    conditions: tuple[Expression, ...]
    value: Expression
    span: Span


@node
class Repeat(Node):
    """`count * (stage -> stage)` in a pipeline repeats stages, with new weights each time.

    A name after `*` is the number of the copy, from 0 on: `4 * i (gated(2 ^ i))`.

    Example:

        model m {
          input x: float[8]
          output x -> 3 * (dense(8) -> relu) -> dense(1)
        }
    """

    count: Expression
    index: Name | None
    stages: tuple[Stage, ...]
    span: Span


@node
class Pipeline(Node):
    """`value -> stage -> stage` passes a value through stages, from left to right.

    A stage is a function or layer, whose parentheses hold its settings. `->` has the lowest
    precedence.

        x -> f   `f` applied to `x`

    Example:

        model m {
          input image: float[1, 8, 8]
          output image -> flatten -> dense(32) -> relu -> dense(10)
        }
    """

    value: Expression
    stages: tuple[Stage, ...]
    span: Span


Stage: TypeAlias = Call | Repeat
Expression: TypeAlias = (
    Number | String | Boolean | Path | Unary | Binary | Conditional | Index | Call | Over | Pipeline
)


# Types and signatures


@node
class Axis(Node):
    """`[n, m]` after a type lists the sizes of its axes; `<= time` is a variable length."""

    # `at_most` is true for `<= size`

    size: Expression
    at_most: bool
    span: Span


@node
class Type(Node):
    """A type describes a value for one example, without the batch axis.

    Axes follow in brackets, channels first: `float[1, 28, 28]`. With a `seq` as first axis the
    value is a sequence: `float[time, 3]`, `class(vocab)[time]`; `[<= time]` is a
    variable-length sequence. `float[]` is a single number.

        float      real numbers: `float[28, 28]`, `float` for a single number
        class(n)   a class index from 0 to n - 1: a label, a character, a word
        bool       true or false

    Example:

        seq time = 20

        model m {
          input  x: float[time, 3]
          target is_spam: bool
          let score = x -> lstm(16) -> last -> dense(1)
          output score
          loss   binary_cross_entropy(score[0], is_spam)
        }
    """

    # `classes` is in the parentheses of `class(10)`. `axes` is None without brackets, and empty for
    # `float[]`.

    kind: Name
    classes: Expression | None
    axes: tuple[Axis, ...] | None
    span: Span


@node
class SignatureInput(Node):
    """`x` or `x: float[n]` declares an input; with `= y` it defaults to the earlier input `y`."""

    name: Name
    type: Type | None
    default: Name | None
    span: Span


@node
class Bound(Node):
    """`> 0` after the type of a setting bounds its value: `rate: float >= 0 < 1`."""

    operator: Operator
    value: Expression
    span: Span


@node
class SignatureSetting(Node):
    """`units: int > 0 = 3` declares a setting: its name, type, bounds and default.

    Types are `int`, `float`, `bool`, `word`, `size`, `text` and `sequence`; several names joined
    by `or` are options. A setting without a default is required.
    """

    # `kind` is the type after the colon, if there is one; names joined by `or` are `choices`

    name: Name
    kind: Name | None
    choices: tuple[Name, ...]
    bounds: tuple[Bound, ...]
    default: Expression | None
    span: Span


@node
class Signature(Node):
    """`(x: float[n]; units: int > 0)` declares inputs and, after a semicolon, settings.

    A call has the same order: values first, then numbers, names and options.

        f(x; a)   the inputs of a function, then its settings
    """

    inputs: tuple[SignatureInput, ...]
    settings: tuple[SignatureSetting, ...]
    span: Span
