"""Nodes of the statements in `train`."""

from __future__ import annotations

from specc.frontend.syntax.ast.formulas import Call, Expression, Name, Path
from specc.frontend.syntax.ast.node import Node, node
from specc.source import Span


@node
class Data(Node):
    """`data SOURCE(files; settings)` names the training data.

    Columns are bound to inputs and targets by name; a source without names, such as `idx`, binds
    by kind: images to `float` and labels to `class`. Relative paths start at the folder of the
    file, or at the folder that `--data DIR` names.
    """

    source: Call
    span: Span
    doc: str | None = None


@node
class Validate(Node):
    """`validate SOURCE(...)` or `validate split = 0.9` gives the validation data.

    `split = 0.9` trains on 90% of the data and validates on the rest. The epoch with the lowest
    validation loss is kept as the best one, unless `monitor` says otherwise.

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
          optimizer sgd(lr = 0.1)
        }
    """

    # exactly one of `source` and `split` is set

    source: Call | None
    split: Expression | None
    span: Span
    doc: str | None = None


@node
class Test(Node):
    """`test SOURCE(...)` names the test data, which only `specc eval` reads.

    Training never reads it. `test split = 0.9` keeps 10% of the examples of `data` for the
    test.
    """

    # exactly one of `source` and `split` is set

    source: Call | None
    split: Expression | None
    span: Span
    doc: str | None = None


@node
class Column(Node):
    """`column NAME = formula` computes an input or a target from raw columns of the data.

    Names in the formula are columns of the data, or columns that were defined before it.
    Statistics, such as a mean or the words of a class, are computed only from the training part.
    The run stores them, so that it can predict from raw rows. `columns("pixel*")` are all columns
    with matching names, `numbers` all other columns of numbers, and `rest` all other columns.

    A formula may use numbers, strings, arithmetic, comparisons, `if` and the functions that
    `specc explain` lists for columns.

    Example:

        model houses {
          input  age:   float
          input  other: float[12]
          target price: float
          let guess = concat(age, other) -> dense(16) -> relu -> dense(1)
          output guess
          loss   mse(guess[0], price)
        }

        train {
          data      csv("houses.csv")
          column    age   = standardize(fill(age; median))
          column    other = rest
          column    price = log(1 + price)
          optimizer adam(lr = 0.01)
        }
    """

    name: Name
    value: Expression
    span: Span
    doc: str | None = None


@node
class Augment(Node):
    """`augment NAME = formula` changes an input during training (data augmentation).

    The formula is computed for each example in each training step, with new random numbers.
    Evaluation and prediction use the original input.

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
          augment   image = image -> shift(1) -> noise(0.1)
          optimizer sgd(lr = 0.1)
        }
    """

    name: Name
    value: Expression
    span: Span
    doc: str | None = None


@node
class Start(Node):
    """`start PATH = "runs/teacher/1"` begins with the weights of a run or a file.

    A path is a parameter or a layer. The text is a run (its folder, or a name such as `teacher/1`
    or `@last`), a saved model, or a file of weights in the safetensors format. Relative paths start
    at the folder of the .dl file, or at the folder that `--data DIR` names; runs are also looked
    for in `runs`. A run gives its best weights. Parameters and running statistics are matched by
    name: `tower.dense1.weight` takes `tower.dense1.weight` if the file has anything of `tower`, and
    `dense1.weight` otherwise. One that is missing there, or has another shape, is an error. All of
    them train on unless `freeze` says otherwise. The run keeps the hash of what it started from,
    and `--resume` does not read it again. The setting `start = "runs/teacher/1"` takes all
    parameters of the model from there.

    Example:

        model m {
          input  x: float[8]
          target t: float[1]
          layer tower = dense(4) -> relu
          let y = tower(x) -> dense(1)
          output y
          loss   mse(y, t)
        }

        train {
          start     tower = "runs/teacher/1"
          optimizer sgd(lr = 0.1)
          freeze    tower
        }
    """

    paths: tuple[Path, ...]
    value: Expression
    span: Span
    doc: str | None = None


@node
class Freeze(Node):
    """`freeze PATH` leaves parameters untrained.

    A path is a parameter or a layer: `freeze tower, head.bias`.

    Example:

        model m {
          input  x: float[8]
          target t: float[1]
          layer tower = dense(4) -> relu
          let y = tower(x) -> dense(1)
          output y
          loss   mse(y, t)
        }

        train {
          optimizer sgd(lr = 0.1)
          freeze    tower
        }
    """

    paths: tuple[Path, ...]
    span: Span
    doc: str | None = None


@node
class TrainOptimizer(Node):
    """`optimizer NAME(settings)` in `train` selects the update rule.

    `for PATH` limits it to some parameters; an optimizer without `for` updates the rest. Any
    setting may be a formula in `step`, `epoch`, `progress` and `stale`: schedules are ordinary
    functions, such as `cosine(0.1, 0)`. An optimizer may name the losses that it minimizes,
    `optimizer adam(critic_loss; lr = 2e-4) for critic`; one without a loss minimizes those that no
    other one names. Optimizers with different losses run one after the other within a step, in
    the order of the file: each uses the weights updated by the earlier ones, and its own random
    numbers. With the setting `every = 5`, which all optimizers have, it updates in every fifth
    step.

    Example:

        model m {
          input  x: float[8]
          target t: float[1]
          layer tower = dense(4) -> relu
          let y = tower(x) -> dense(1)
          output y
          loss   mse(y, t)
        }

        train {
          optimizer adam(lr = 0.0001) for tower
          optimizer adam(lr = cosine(0.01, 0))
        }
    """

    # without `for`, `paths` is empty: it updates all other parameters

    optimizer: Call
    paths: tuple[Path, ...]
    span: Span
    doc: str | None = None


@node
class Setting(Node):
    """`NAME = value` in `train` sets how the model is trained."""

    name: Name
    value: Expression
    span: Span
    doc: str | None = None
