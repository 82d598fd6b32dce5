"""`specc time FILE|RUN`: where the time of a training step goes, kernel by kernel."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specc.cli.session import (
    FILE_OR_RUN,
    FOLDER,
    LISTENER,
    PRECISION,
    PRECISION_HELP,
    checked,
    overrides,
    run_program,
)
from specc.frontend.syntax.reading import read_source
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np

    from specc.backend.measure.limits import Limits
    from specc.backend.measure.timing import CallTime, StepTimes
    from specc.ir.plan import Plan
    from specc.ir.program import Program
    from specc.net.net import Net
    from specc.recipe import Column
    from specc.runtime.run import RunFolder

SMALL = 0.005  # kernels with a smaller share of the step are summed up
LONGEST_TEXT = 44
MADE_UP = 512  # least number of rows of random data


@dataclass(frozen=True)
class Row:
    """A row of the table: one kernel.

    `flops` counts the useful operations of one shard. `limit` is the fraction of the machine's
    limit that the kernel reaches, in operations or in memory traffic, whichever is closer.
    """

    kernel: str
    part: str
    microseconds: float
    share: float
    flops: float
    bytes: float
    gflops: float
    gbytes: float
    limit: float
    bound: str  # "products" or "memory"
    phase: int
    layer: str
    lines: list[int]
    source: str


@click.command("time")
@click.argument("file", metavar="FILE|RUN", type=FILE_OR_RUN)
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--threads", type=click.IntRange(min=1), help="Number of threads  [default: one per CPU]"
)
@click.option(
    "--data",
    type=FOLDER,
    help="Use the data of FILE; folder for relative data paths  [default: random data]",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    show_default=True,
    help="Type of weights and activations.",
)
@click.option(
    "--precision", type=PRECISION, help=f"{PRECISION_HELP}  [default: as in FILE, else float32]"
)
@click.option(
    "--all", "every", is_flag=True, help="Also print kernels that take less than 0.5% of the step."
)
@click.option(
    "--measure",
    "measures",
    is_flag=True,
    help="First time the kernels that could compute each product, and remember the fastest.",
)
@click.option(
    "--start",
    "is_start",
    is_flag=True,
    help="Show where startup time goes instead, up to the first step.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def time(
    file: Path,
    changes: tuple[str, ...],
    threads: int | None,
    data: Path | None,
    dtype: str,
    precision: str | None,
    every: bool,
    measures: bool,
    is_start: bool,
    as_json: bool,
) -> int:
    """Show where training time goes, kernel by kernel.

    For each kernel of a training step of FILE, or of the model of RUN, time shows its microseconds,
    its share of the step, its operations and bytes per second, the fraction of the machine's limit
    that it reaches, and its line in the model file.

    Estimates choose the kernels, and a training of more than 20 seconds times those that would give
    the same numbers, for later runs. With --measure, time does so at once.

    With --start, time starts training twice, with an empty and with a full cache of compiled code,
    and shows the seconds of each stage.
    """
    if is_start:
        if data is not None:
            raise click.UsageError("--start uses random data: remove --data")
        if file.is_dir():
            raise click.UsageError("--start needs a FILE, not a run")
        if measures:
            raise click.UsageError("--start times no kernels: remove --measure")
        return _print_starts(file, overrides(changes), threads, dtype, precision, as_json)
    from specc import driver
    from specc.backend.measure.limits import measure
    from specc.cli.random_rows import random_rows
    from specc.runs.programs import warn_of_rounding
    from specc.runtime.run import open_run

    run, values = open_run(file) if file.is_dir() else None, overrides(changes)
    if run is not None:
        program = run_program(run, values)
    else:
        source = read_source(file)
        program = checked(source, values, comes_again=data is not None)
        if data is not None and program.open_sizes:
            from specc.runtime.data import open_sizes

            sizes = open_sizes(program.recipe, program.ports, data)
            program = checked(source, {**sizes, **values})
    net = driver.compile(program, dtype=dtype, threads=threads, precision=precision)
    warn_of_rounding(net, LISTENER)
    if measures:
        net.measure()
        net = driver.compile(program, dtype=dtype, threads=threads, precision=precision)
    columns, order = random_rows(net, MADE_UP) if data is None else _loaded(program, net, data, run)
    limits = measure(dtype, net.working_threads)
    times = net.time(columns, order)
    rows = _rows(times, limits)
    made_up = "random numbers" if data is None else str(data)
    if as_json:
        click.echo(json.dumps(_record(program, net, times, limits, rows, made_up), indent=1))
    else:
        click.echo(_text(program, net, times, limits, rows, made_up, every), nl=False)
    return 0


def _print_starts(
    file: Path,
    changes: dict[str, str],
    threads: int | None,
    dtype: str,
    precision: str | None,
    as_json: bool,
) -> int:
    from specc.cli import start_times

    starts = start_times.measured(file, changes, threads, dtype, precision)
    if starts is None:
        return 1
    if as_json:
        click.echo(json.dumps(start_times.record(starts, file.name), indent=1))
    else:
        click.echo(start_times.text(starts, file.name), nl=False)
    return 0


def _loaded(
    program: Program, net: Net, folder: Path, run: RunFolder | None
) -> tuple[dict[str, Column], np.ndarray]:
    from specc.runtime.data import load

    statistics = run.record.statistics if run is not None else None
    part = load(
        program.recipe, net.ports, folder, parts=("training",), statistics=statistics
    ).training
    return part.columns, part.numbers


def _rows(times: StepTimes, limits: Limits) -> list[Row]:
    from specc.backend.listing import part_of_call, parts_of_step

    plan, roles = times.plan, parts_of_step(times.plan, times.update)
    whole = times.threads * times.waiting + sum(each.seconds * each.shards for each in times.calls)
    rows = []
    for each in times.calls:
        operations = _operations(each, plan)
        seconds = max(each.seconds, 1e-9)
        # the limit of one thread, which is lower if all threads are busy
        by_products = operations / (limits.flops / limits.threads)
        by_memory = each.batches * each.bytes / limits.bandwidth(each.bytes)
        spans = list(dict.fromkeys(node.origin.span for node in each.nodes if node.origin.span))
        lines = sorted({span.line for span in spans})
        text = " ".join(spans[0].text.split()) if spans else ""
        rows.append(Row(
            kernel=each.kernel,
            part=part_of_call(each, roles),
            microseconds=each.seconds * -(-each.shards // times.threads) * 1e6,
            share=each.seconds * each.shards / whole,
            flops=operations,
            bytes=each.batches * each.bytes,
            gflops=operations / seconds / 1e9,
            gbytes=each.batches * each.bytes / seconds / 1e9,
            limit=max(by_products, by_memory) / seconds,
            bound="products" if by_products > by_memory else "memory",
            phase=each.phase,
            layer=each.layer,
            lines=lines,
            source=text,
        ))  # fmt: skip
    return rows


def _operations(call: CallTime, plan: Plan) -> float:
    """Return the number of useful operations of one shard."""
    from specc.ir.sizes import bound
    from specc.ops.flops import flops

    total = 0.0
    for node in call.nodes if not call.packs else ():
        batched = node.type.batched or any(each.type.batched for each in node.inputs)
        total += bound(flops([node])) * (plan.examples if batched else 1)
    return call.batches * call.iterations * total / (plan.shards if call.split else 1)


def _record(
    program: Program, net: Net, times: StepTimes, limits: Limits, rows: list[Row], made_up: str
) -> dict[str, Any]:
    return {
        "model": program.name,
        "batch": net.batch,
        "batches_per_step": times.batches,
        "threads": net.working_threads,
        "dtype": net.dtype,
        "data": made_up,
        "step_microseconds": times.step * 1e6,
        "waiting_microseconds": times.waiting * 1e6,
        "stamped_microseconds": times.stamped * 1e6,
        "peak_gflops": limits.flops / 1e9,
        "kernels": [asdict(row) for row in rows],
    }


HEADER = ("kernel", "part", "us", "share", "GF/s", "GB/s", "of limit", "line", "")


def _text(
    program: Program,
    net: Net,
    times: StepTimes,
    limits: Limits,
    rows: list[Row],
    made_up: str,
    every: bool,
) -> str:
    from specc.backend.listing import ORDER

    shards = "thread" if net.working_threads == 1 else "threads"
    flops = sum(
        row.flops for row, call in zip(rows, times.calls, strict=True) for _ in range(call.shards)
    )
    batch = f"{net.batch} * {times.batches}" if times.batches > 1 else f"{net.batch}"
    head = [
        f"{program.name}: {times.step * 1e6:,.1f} us per step, batch {batch},"
        f" {net.working_threads} {shards}, {net.dtype}, {made_up}",
        f"limits of {net.working_threads} {shards}: {limits.flops / 1e9:,.0f} GF/s, memory"
        f" {limits.rates[-1] * limits.threads / 1e9:,.0f} GB/s; the step does"
        f" {flops / times.step / 1e9:,.1f} GF/s",
        "",
    ]
    shown = sorted(rows, key=lambda row: -row.share)
    small = [] if every else [row for row in shown if row.share < SMALL]
    shown = shown[: len(shown) - len(small)]
    table = [HEADER, *(_cells(row) for row in shown)]
    if small:
        word = "kernel" if len(small) == 1 else "kernels"
        table.append(
            (
                f"{len(small)} more {word}",
                "",
                f"{sum(row.microseconds for row in small):,.1f}",
                f"{sum(row.share for row in small):.1%}",
                "",
                "",
                "",
                "",
                "",
            )
        )
    if net.working_threads > 1:
        share = 1 - sum(row.share for row in rows)
        table.append(
            (
                "waiting for other threads",
                "",
                f"{times.waiting * 1e6:,.1f}",
                f"{share:.1%}",
                "",
                "",
                "",
                "",
                "",
            )
        )
    widths = [max(len(row[i]) for row in table) for i in range(len(HEADER))]
    right = range(2, 7)
    lines = ["  ".join(cell.rjust(width) if i in right else cell.ljust(width)
                       for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
             for row in table]  # fmt: skip
    parts = {part: sum(row.share for row in rows if row.part == part) for part in ORDER}
    foot = "   ".join(f"{part} {share:.0%}" for part, share in parts.items() if share)
    return "\n".join([*head, *lines, "", foot]) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    lines = ", ".join(map(str, row.lines[:3])) + (", .." if len(row.lines) > 3 else "")
    text = row.source if len(row.source) <= LONGEST_TEXT else row.source[: LONGEST_TEXT - 2] + ".."
    return (
        row.kernel,
        row.part,
        f"{row.microseconds:,.1f}",
        f"{row.share:.1%}",
        f"{row.gflops:,.1f}" if row.flops else "",
        f"{row.gbytes:,.1f}",
        f"{min(row.limit, 9.99):.0%}",
        lines,
        text,
    )
