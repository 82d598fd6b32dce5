"""`python -m benchmarks.attention`: memory and time of attention over more and more steps.

A training step of one causal attention with four heads of 16, in a process of its own for each
number of steps: with values in chunks, with whole ones, and PyTorch's scaled_dot_product_attention.
The memory is the arena of the plan, and what the process takes more at its peak than before the
first step; the time is processor time of one thread.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
import warnings

import click
import numpy as np

KINDS = ("chunks", "whole", "pytorch")
WIDTH, HEADS = 64, 4
MODEL = """seq time = {steps}
model m {{
  input  x: float[time, {width}]
  target y: float[time, {width}]
  let z = x -> attention(heads={heads}, causal=true)
  output z
  loss mse(z, y)
}}
train {{ optimizer sgd(lr=0.1) batch = {batch} }}"""


@click.command()
@click.option("--steps", default="256,512,1024,2048,4096", help="Steps of a sequence.")
@click.option("--batch", default=2, show_default=True)
@click.option("--rounds", default=5, show_default=True, help="Training steps of each.")
@click.option("--whole-up-to", default=2048, show_default=True, help="Steps of whole values.")
@click.option("--rows", default=0, help="Rows of a chunk, in place of the usual number.")
@click.option("--one", hidden=True, default="", help="Measure one kind here.")
def main(steps: str, batch: int, rounds: int, whole_up_to: int, rows: int, one: str) -> None:
    """Measure attention over more and more steps."""
    if one:
        function = _pytorch if one == "pytorch" else _specc
        click.echo(json.dumps(function(int(steps), batch, rounds, one, rows)))
        return
    click.echo("| steps |" + "".join(f" {kind}: arena, peak, step |" for kind in KINDS))
    click.echo("|--:|" + "--:|" * len(KINDS))
    for count in map(int, steps.split(",")):
        cells = []
        for kind in KINDS:
            if kind == "whole" and count > whole_up_to:
                cells.append("")
                continue
            command = [sys.executable, "-m", "benchmarks.attention", "--one", kind]
            command += ["--steps", str(count), "--batch", str(batch)]
            command += ["--rounds", str(rounds), "--rows", str(rows)]
            found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            arena = f"{found['arena']:,.0f} MB, " if "arena" in found else ""
            cells.append(f"{arena}{found['peak']:,.0f} MB, {found['seconds'] * 1e3:,.0f} ms")
        click.echo(f"| {count} | " + " | ".join(cells) + " |")


def _data(steps: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, batch, steps, WIDTH), dtype=np.float32)
    return x, y


def _peak() -> float:
    """Return the largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _specc(steps: int, batch: int, rounds: int, kind: str, rows: int) -> dict[str, float]:
    import specc
    from specc.diagnostics import SpecWarning
    from specc.passes import regions

    warnings.simplefilter("ignore", SpecWarning)
    if kind == "whole":
        regions.LIMITS = regions.CutLimits(elements=1 << 60)
    elif rows:
        regions.LIMITS = regions.CutLimits(elements=1, rows=rows)
    text = MODEL.format(steps=steps, width=WIDTH, heads=HEADS, batch=batch)
    x, y = _data(steps, batch)
    before = _peak()
    net = specc.compile(specc.loads(text), batch=batch, threads=1)
    taken = []
    for _ in range(rounds + 1):
        start = time.process_time()
        net.step(x=x, y=y)
        taken.append(time.process_time() - start)
    arena = net.plan("train").arena_bytes / 2**20
    return {"arena": arena, "peak": _peak() - before, "seconds": statistics.median(taken[1:])}


def _pytorch(steps: int, batch: int, rounds: int, kind: str, rows: int) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    x, y = map(torch.from_numpy, _data(steps, batch))
    layers = [torch.nn.Linear(WIDTH, WIDTH) for _ in range(4)]
    weights = [each for layer in layers for each in layer.parameters()]
    optimizer = torch.optim.SGD(weights, lr=0.1)
    before, taken = _peak(), []
    for _ in range(rounds + 1):
        start = time.process_time()
        optimizer.zero_grad()
        q, k, v = (layer(x).view(batch, steps, HEADS, -1).transpose(1, 2) for layer in layers[:3])
        z = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        z = layers[3](z.transpose(1, 2).reshape(batch, steps, WIDTH))
        torch.nn.functional.mse_loss(z, y).backward()
        optimizer.step()
        taken.append(time.process_time() - start)
    return {"peak": _peak() - before, "seconds": statistics.median(taken[1:])}


if __name__ == "__main__":
    main()
