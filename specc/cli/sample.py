"""`specc sample RUN`: generate text with the best weights of a run."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from specc.cli.session import RUN, run_program


@click.command()
@click.argument("folder", metavar="RUN", type=RUN)
@click.option(
    "--prompt",
    "prompts",
    multiple=True,
    metavar="TEXT",
    help="Beginning of the text. Several prompts give several texts, the second with the seed"
    " after that of the first.",
)
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
    folder: Path,
    prompts: tuple[str, ...],
    length: int,
    temperature: float,
    top_k: int | None,
    seed: int,
) -> None:
    """Generate text with a trained model.

    sample uses the best weights of RUN, whose model must have been trained on `text(...)`. A line
    `---` separates the texts of several prompts.
    """
    from specc import driver
    from specc.runs.writing import Writing
    from specc.runtime.checkpoint import restore
    from specc.runtime.run import open_run

    run = open_run(folder)
    program = run_program(run, {})
    try:
        writing = Writing.of(run, program)
    except LookupError as error:
        raise click.UsageError(str(error.args[0])) from None
    prompts = prompts or ("",)
    net = driver.compile(program, batch=len(prompts), dtype=run.record.dtype, threads=1)
    restore(run.best, net, streams=False)
    try:
        parts = [writing.symbols(each) for each in prompts]
    except KeyError as error:
        shown = " ".join(sorted(set(writing.vocabulary) - {"\n"}))
        raise click.UsageError(
            f"the training data does not contain {error.args[0]!r}: its characters are {shown}"
        ) from None
    writer, space = writing.writer(net, len(prompts)), writing.space
    if len(prompts) > 1:
        texts = writer.write_all(parts, length, temperature, top_k, seed)
        written = (
            prompt + "".join(space + symbol for symbol in text)
            for prompt, text in zip(prompts, texts, strict=True)
        )
        click.echo("\n---\n".join(written))
        return
    click.echo(prompts[0], nl=False)
    for symbol in writer.write(parts[0], length, temperature, top_k, seed):
        click.echo(space + symbol, nl=False)
        sys.stdout.flush()
    click.echo()
