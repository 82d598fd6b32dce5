"""`specc sample RUN`: a text that a run's best weights write."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specc.cli.session import FOLDER, run_program

if TYPE_CHECKING:
    from specc.ir.program import Program
    from specc.runtime.run import Run


@click.command()
@click.argument("folder", metavar="RUN", type=FOLDER)
@click.option("--prompt", default="", metavar="TEXT", help="What the text begins with.")
@click.option(
    "--length",
    default=500,
    show_default=True,
    type=click.IntRange(min=0),
    help="Characters (or words) to write.",
)
@click.option(
    "--temperature",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Scores are divided by it; 0 takes the likeliest.",
)
@click.option("--top-k", type=click.IntRange(min=1), help="Draw among so many likeliest ones.")
@click.option("--seed", default=0, show_default=True, help="Of the random draws.")
def sample(
    folder: Path, prompt: str, length: int, temperature: float, top_k: int | None, seed: int
) -> None:
    """Write a text with the best weights of RUN, a model that was trained on `text(...)`."""
    from specc import driver
    from specc.runtime.checkpoint import restore
    from specc.runtime.data import tokens
    from specc.runtime.run import open_run
    from specc.runtime.sample import Writer

    run = open_run(folder)
    program = _one_step(run)
    vocabulary = run.record.vocabularies[_reader(program, run).name]
    net = driver.compile(program, batch=1, dtype=run.record.dtype, threads=1)
    restore(run.best, net, streams=False)
    settings = program.recipe.data.settings
    level, other = str(settings.get("level", "char")), settings.get("unknown") or tokens.UNKNOWN
    parts = tokens.symbols(prompt, level)
    unknown = [each for each in parts if each not in vocabulary]
    if unknown and other not in vocabulary:
        shown = " ".join(sorted(set(vocabulary) - {"\n"}))
        raise click.UsageError(
            f"the model has never seen {unknown[0]!r}: its characters are {shown}"
        )
    writer = Writer(net, vocabulary, other)
    click.echo(prompt, nl=False)
    space = " " if level == "word" else ""
    for symbol in writer.write(parts, length, temperature, top_k, seed):
        click.echo(space + symbol, nl=False)
        sys.stdout.flush()
    click.echo()


def _one_step(run: Run) -> Program:
    """The program of a run for sequences of one step, whose cells go on from step to step."""
    from specc.frontend.syntax.ast import Seq
    from specc.frontend.syntax.parse import parse
    from specc.reading import read_source

    file, _ = parse(read_source(run.folder / "model.dl"))
    program = run_program(run, {})
    port = _reader(program, run)
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


def _reader(program: Program, run: Run):
    """The input that reads a text; a usage error where there is none."""
    is_text = program.recipe.data is not None and program.recipe.data.word == "text"
    for port in program.ports if is_text else ():
        if (
            port.role == "input"
            and port.kind == "class"
            and len(port.shape) == 1
            and (port.name in run.record.vocabularies)
        ):
            return port
    raise click.UsageError(
        f"`{run.record.model}` does not write: it has no input such as `text: class(vocab)[time]`"
        " that was trained on `text(...)`"
    )
