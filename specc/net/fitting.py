"""Training in memory: `net.fit`, without a run's folder.

history = fit(net, {"x": x, "y": y}, validate=0.2, epochs=5)
history[-1].training["loss"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specc.net.tables import statistics
from specc.net.training import untrainable
from specc.recipe import Recipe
from specc.runtime.checkpoint import Progress
from specc.runtime.data import Data, load
from specc.runtime.encoding import Encoding
from specc.runtime.given import source
from specc.runtime.keeper import InMemory
from specc.runtime.metrics import Epoch, Evaluation
from specc.runtime.train import Watch, train
from specc.system import starter

if TYPE_CHECKING:
    from specc.net.net import Net

Callback = Callable[[Epoch], object]


class Callbacks:
    """Calls functions after each epoch; one that returns True ends the training."""

    def __init__(self, functions: Iterable[Callback] = (), watch: Watch | None = None) -> None:
        self._functions, self._watch = tuple(functions), watch

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        if self._watch is not None:
            self._watch.steps(epoch, step, loss, examples_per_second)

    def evaluation(self, evaluation: Evaluation) -> None:
        if self._watch is not None:
            self._watch.evaluation(evaluation)

    def epoch(self, epoch: Epoch) -> bool:
        if self._watch is not None:
            self._watch.epoch(epoch)
        return any([each(epoch) is True for each in self._functions])


def fit(
    net: Net,
    data: object,
    validate: object = None,
    epochs: int | None = None,
    callbacks: Iterable[Callback] = (),
) -> list[Epoch]:
    """Train for `epochs` more epochs; see `Net.fit`."""
    if reason := untrainable(net.program):
        raise ValueError(f"{net.name} cannot be trained: {reason}")
    recipe = net.program.recipe
    whole = recipe.whole(source(data, recipe.data))
    recipe = replace(whole, validate=validation(validate, recipe), balance=recipe.balance)
    loaded = load(
        recipe, net.ports, Path(), vocabularies=net.encoding.vocabularies, **statistics(net)
    )
    if net.encoding == Encoding():
        net.encoding = Encoding.of(loaded)
    return fit_data(net, loaded, recipe, epochs, callbacks)


def fit_data(
    net: Net,
    data: Data,
    recipe: Recipe,
    epochs: int | None = None,
    callbacks: Iterable[Callback] = (),
) -> list[Epoch]:
    """Train on data that is loaded, for `epochs` more epochs.

    A net that still has its initial weights begins with those that `start` names.
    """
    if recipe.starts and not net.steps_done and net.weights.are_initial():
        starter.begin(net, Path())
    done = net.epochs_done
    recipe = replace(recipe, epochs=done + (recipe.epochs if epochs is None else epochs))
    keeper = InMemory(net)
    progress = Progress(epoch=done, best_epoch=done, records=np.zeros((0, net.record_width)))
    keeper.save(progress)
    train(net, data, recipe, keeper, Callbacks(callbacks), progress)
    net.epochs_done = done + len(keeper.epochs)
    if data.validation is not None:
        keeper.restore_best()
    return keeper.epochs


def validation(validate: object, recipe: Recipe):
    """Return what a recipe says of the validation part: a share, a source or None."""
    if validate is None:
        return None
    if isinstance(validate, int | float) and not isinstance(validate, bool):
        if not 0 < validate < 1:
            raise ValueError(f"validate is a share between 0 and 1, or data, not {validate!r}")
        return float(validate)
    return source(validate, recipe.data)
