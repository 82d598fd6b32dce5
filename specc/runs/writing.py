"""Text generation by a character or word model, after training or during it.

    writing = Writing.of(run, program)         # raises LookupError if it cannot generate text
    writing.writer(net)                        # a specc.runtime.sample.Writer

`Sampled` is a watch that generates samples during training: `sample = 300` in `train`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specc.recipe import DataCall, Port
from specc.system.records import dataclass

if TYPE_CHECKING:
    from specc.ir.program import Program
    from specc.net.net import Net
    from specc.runtime.metrics import Epoch, Evaluation
    from specc.runtime.run import Record, RunFolder
    from specc.runtime.sample import WindowWriter, Writer
    from specc.runtime.train import Watch

FILE = "samples.jsonl"


@dataclass(frozen=True)
class Writing:
    """What is needed to generate text: the program and the vocabulary."""

    program: Program
    port: Port
    vocabulary: tuple[str, ...]
    level: str  # "char" or "word"
    unknown: str  # replaces symbols that are not in the vocabulary

    @classmethod
    def of(cls, run: RunFolder, program: Program) -> Writing:
        """Return the `Writing` of a run with its program.

        Raises LookupError if the model has no input that reads a text.
        """
        from specc.runtime.data import tokens

        port, data = reader(program, run.record)
        return cls(
            program,
            port,
            tuple(run.record.vocabularies[port.name]),
            str(data.settings.get("level", "char")),
            str(data.settings.get("unknown") or tokens.UNKNOWN),
        )

    def symbols(self, text: str) -> list[str]:
        """Split a text into symbols. Raises KeyError for the first unknown symbol."""
        from specc.runtime.data import tokens

        parts = tokens.symbols(text, self.level)
        for each in parts:
            if each not in self.vocabulary and self.unknown not in self.vocabulary:
                raise KeyError(each)
        return parts

    @property
    def space(self) -> str:
        """The separator in front of each symbol."""
        return " " if self.level == "word" else ""

    def writer(self, net: Net, texts: int = 1) -> Writer | WindowWriter:
        """The writer of so many texts, with a net that was compiled for `program`."""
        from specc.runtime.sample import WindowWriter, Writer

        reading = net.decoding.reading(self.port, {}, texts)
        if reading is None:
            return WindowWriter(net, self.vocabulary, self.unknown)
        return Writer(reading, reading.most, self.vocabulary, self.unknown)


def reader(program: Program, record: Record) -> tuple[Port, DataCall]:
    """Return the input that reads a text and its data source. Raises LookupError if none."""
    data = program.recipe.data
    for port in program.ports if data is not None and data.word == "text" else ():
        is_read = port.role == "input" and port.kind == "class" and len(port.shape) == 1
        if data is not None and is_read and port.name in record.vocabularies:
            return port, data
    raise LookupError(
        f"`{record.model}` cannot generate: it has no input such as `text: class(vocab)[time]`"
        " that was trained on `text(...)`"
    )


class Sampled:
    """A watch that generates samples: before training, at steps 100, 1,000, ..., per epoch.

    The texts are written to `samples.jsonl` in the run's folder, one JSON object per line: step,
    epoch and text. All are drawn with the same random numbers.
    """

    def __init__(
        self,
        watch: Watch,
        run: RunFolder,
        net: Net,
        program: Program,
        steps_per_epoch: int,
        done: int,
        tell: Callable[[str], None],
    ) -> None:
        """Prepare the samples of a run of which `done` steps are done."""
        from specc import driver

        self._watch, self._net, self._recipe = watch, net, program.recipe
        self._steps_per_epoch, self._tell = steps_per_epoch, tell
        self._writing = Writing.of(run, program)
        self._prompt = self._writing.symbols(program.recipe.prompt)
        self._own = driver.compile(program, batch=1, dtype=run.record.dtype, threads=1)
        self._path = run.folder / FILE
        kept = [each for each in samples(run.folder) if each["step"] <= done]
        self._path.write_text("".join(f"{json.dumps(each)}\n" for each in kept), encoding="utf-8")
        self._steps = {each["step"] for each in kept}
        if not done:
            self._write(0, 0)

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        from specc.runtime.train import is_milestone

        self._watch.steps(epoch, step, loss, examples_per_second)
        done = (epoch - 1) * self._steps_per_epoch + step
        if is_milestone(done):
            self._write(done, epoch)

    def evaluation(self, evaluation: Evaluation) -> None:
        self._watch.evaluation(evaluation)

    def epoch(self, epoch: Epoch) -> bool | None:
        self._write(epoch.step, epoch.epoch)
        return self._watch.epoch(epoch)

    def _write(self, step: int, epoch: int) -> None:
        """Generate a text with the current weights."""
        if step in self._steps:
            return
        recipe, own = self._recipe, self._own
        assert recipe.sample is not None
        own.set_params(self._net.params)
        for name, array in self._net.states.items():
            # the states of a stream have one slot per example and belong to training
            if name in own.states and own.states[name].shape == array.shape:
                own.states[name][...] = array
        writer, space = self._writing.writer(own), self._writing.space
        drawn = writer.write(self._prompt, recipe.sample, recipe.temperature, None, recipe.seed)
        text = recipe.prompt + "".join(space + symbol for symbol in drawn)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "epoch": epoch, "text": text}) + "\n")
        self._steps.add(step)
        self._tell(f"step {step:,}: {' '.join(text.split())}")


def samples(folder: Path) -> list[dict[str, Any]]:
    """Return the samples of a run, in order; an incomplete last line is left out."""
    path = folder / FILE
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
