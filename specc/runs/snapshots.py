"""The weights that a run keeps on its way: `snapshots = 50` in `train`.

    watch = Snapshots(watch, run, net, recipe, steps_per_epoch=45, done=0)
    kept(folder)            # {0: Path("runs/digits/1/snapshots/0.safetensors"), 9: ..., ...}

A file `snapshots/STEP.safetensors` has the parameters after so many steps, by their paths.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specc.runtime import files
from specc.runtime.errors import run_error
from specc.runtime.train import snapshot_steps

if TYPE_CHECKING:
    from specc.recipe import Recipe
    from specc.runtime.compiled import CompiledModel
    from specc.runtime.metrics import Epoch, Evaluation
    from specc.runtime.run import RunFolder
    from specc.runtime.train import Watch

FOLDER = "snapshots"
ENDING = ".safetensors"


class Snapshots:
    """A watch that keeps the weights before the first step, after every so many, and at the end."""

    def __init__(
        self,
        watch: Watch,
        run: RunFolder,
        net: CompiledModel,
        recipe: Recipe,
        steps_per_epoch: int,
        done: int,
    ) -> None:
        """`done` steps were taken before. Raises `RunError` if the folder cannot be made."""
        self._watch, self._net, self._steps_per_epoch = watch, net, steps_per_epoch
        self._total = recipe.epochs * steps_per_epoch
        every = snapshot_steps(recipe, self._total)
        assert every is not None, "a training without snapshots; please report this"
        self._every, self._folder = every, run.folder / FOLDER
        try:
            files.make_folders(self._folder)
            for step, path in kept(run.folder).items():
                if step > done:  # of steps that are taken anew, perhaps with other settings
                    files.disk.remove(path)
        except OSError as error:
            reason = files.reason(error)
            raise run_error(f"cannot write to `{self._folder}`: {reason}", self._folder) from None
        steps = {*range(0, self._total, every), self._total}
        files.remove_leftovers(self._folder, tuple(f"{step}{ENDING}" for step in steps))
        if not done:
            self._write(0)

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        self._watch.steps(epoch, step, loss, examples_per_second)
        done = (epoch - 1) * self._steps_per_epoch + step
        if done % self._every == 0 or done == self._total:
            self._write(done)

    def evaluation(self, evaluation: Evaluation) -> None:
        self._watch.evaluation(evaluation)

    def epoch(self, epoch: Epoch) -> bool | None:
        return self._watch.epoch(epoch)

    def _write(self, step: int) -> None:
        from safetensors.numpy import save

        arrays = {
            path: np.ascontiguousarray(array).reshape(array.shape)
            for path, array in self._net.params.items()
        }
        files.write(self._folder / f"{step}{ENDING}", save(arrays))


def kept(folder: Path) -> dict[int, Path]:
    """Return the snapshots of a run by their steps, in order."""
    found = {}
    for path in (folder / FOLDER).glob(f"*{ENDING}"):
        with suppress(ValueError):  # a file of another kind
            found[int(path.stem)] = path
    return dict(sorted(found.items()))
