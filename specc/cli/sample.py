"""`specc sample RUN`: generate text with the best weights of a run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specc.cli.session import RUN, run_program

if TYPE_CHECKING:
    from specc.ir.program import Program
    from specc.recipe import DataCall, Port
    from specc.runtime.run import Run


@click.command()
@click.argument("folder", metavar="RUN", type=RUN)
@click.option("--prompt", default="", metavar="TEXT", help="Beginning of the text.")
@click.option(
    "--length",
    default=500,
    show_default=True,
    type=click.IntRange(min=0),
    help="Number of characters (or words) to generate.",
)
@click.option(
    "--temperature",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Sampling temperature; 0 always picks the most likely symbol.",
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    metavar="K",
    help="Sample only from the K most likely symbols.",
)
@click.option("--seed", default=0, show_default=True, help="Random seed.")
def sample(
    folder: Path, prompt: str, length: int, temperature: float, top_k: int | None, seed: int
) -> None:
    """Generate text with a trained model.

    sample uses the best weights of RUN, whose model must have been trained on `text(...)`.
    """
    from specc import driver
    from specc.runtime.checkpoint import restore
    from specc.runtime.data import tokens
    from specc.runtime.run import open_run
    from specc.runtime.sample import Writer

    run = open_run(folder)
    program = _one_step(run)
    port, data = _reader(program, run)
    vocabulary = run.record.vocabularies[port.name]
    net = driver.compile(program, batch=1, dtype=run.record.dtype, threads=1)
    restore(run.best, net, streams=False)
    level = str(data.settings.get("level", "char"))
    other = data.settings.get("unknown") or tokens.UNKNOWN
    parts = tokens.symbols(prompt, level)
    unknown = [each for each in parts if each not in vocabulary]
    if unknown and other not in vocabulary:
        shown = " ".join(sorted(set(vocabulary) - {"\n"}))
        raise click.UsageError(
            f"the training data does not contain {unknown[0]!r}: its characters are {shown}"
        )
    writer = Writer(net, vocabulary, other)
    click.echo(prompt, nl=False)
    space = " " if level == "word" else ""
    for symbol in writer.write(parts, length, temperature, top_k, seed):
        click.echo(space + symbol, nl=False)
        sys.stdout.flush()
    click.echo()


def _one_step(run: Run) -> Program:
    """Return the run's program for sequences of one step; its cells carry their states on."""
    from specc.frontend.syntax.ast import Seq
    from specc.frontend.syntax.parse import parse
    from specc.reading import read_source

    file, _ = parse(read_source(run.folder / "model.dl"))
    program = run_program(run, {})
    port, _ = _reader(program, run)
    lengths = {each.name.text: 1 for each in file.definitions if isinstance(each, Seq)}
    program = run_program(run, lengths)
    if any(each.begin_of == port.name for each in program.ports):
        return program
    from specc.recipe import Port

    begin = Port(f"{port.name}.begin", "input", "bool", (), begin_of=port.name)
    return replace(
        program,
        ports=(*program.ports, begin),
        streams=tuple((label, begin.name) for label, _ in program.carries),
    )


def _reader(program: Program, run: Run) -> tuple[Port, DataCall]:
    """Return the input that reads a text, and the text; raises a usage error if there is none."""
    data = program.recipe.data
    for port in program.ports if data is not None and data.word == "text" else ():
        is_read = port.role == "input" and port.kind == "class" and len(port.shape) == 1
        if data is not None and is_read and port.name in run.record.vocabularies:
            return port, data
    raise click.UsageError(
        f"`{run.record.model}` cannot generate: it has no input such as `text: class(vocab)[time]`"
        " that was trained on `text(...)`"
    )
