"""`specc gradcheck FILE`: compare the compiled gradients of a model with finite differences."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specc.cli.session import FILE, checked, overrides
from specc.frontend.syntax.reading import read_source

if TYPE_CHECKING:
    import numpy as np

    from specc.net.net import Net
    from specc.recipe import Port

STEP, TOLERANCE = 1e-5, 1e-6


@click.command()
@click.argument("file", type=FILE)
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--seed", default=0, show_default=True, help="Seed for the random examples and for dropout."
)
@click.option(
    "--samples",
    default=8,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of elements that are checked in each parameter.",
)
def gradcheck(file: Path, changes: tuple[str, ...], seed: int, samples: int) -> int:
    """Compare gradients with finite differences.

    gradcheck compiles the model in FILE in float64 and runs it on random examples. The model needs
    no data, but all of its sizes must be known. `precision = bfloat16` is ignored. At a kink of the
    loss (relu, maxpool), gradient and finite difference may differ.
    """
    import numpy as np

    from specc import driver

    program = checked(read_source(file), overrides(changes))
    net = driver.compile(
        program, batch=4, dtype="float64", threads=1, seed=seed, precision="float32"
    )
    if not program.losses or not program.parameters:
        raise click.UsageError(
            f"`{file}` has no loss or no parameters, so there are no gradients to check"
        )
    random = np.random.default_rng(seed)
    examples = {port.name: _random(port, random) for port in program.ports if not port.length_of}
    _, gradients = net.loss_and_gradients(**examples)
    width, worst = max(map(len, gradients)), 0.0
    for path, gradient in gradients.items():
        off = _largest_difference(net, examples, path, gradient, random, samples)
        worst = max(worst, off)
        click.echo(f"  {path:<{width}}  {off:.1e}")
    good = worst <= TOLERANCE
    click.echo(
        f"largest difference {worst:.1e}: "
        + (
            "the gradients agree"
            if good
            else f"more than {TOLERANCE:.0e}, the gradients do not agree"
        )
    )
    return 0 if good else 1


def _random(port: Port, random: np.random.Generator) -> np.ndarray:
    shape = (4, *port.shape)
    if port.kind == "class":
        return random.integers(0, port.class_count, shape)
    return random.random(shape) < 0.5 if port.kind == "bool" else random.normal(size=shape)


def _largest_difference(
    net: Net,
    examples: Mapping[str, np.ndarray],
    path: str,
    gradient: np.ndarray,
    random: np.random.Generator,
    samples: int,
) -> float:
    """Return the largest |gradient - difference| / max(1, |gradient|) over some elements."""
    weights, worst = net.params[path].reshape(-1), 0.0
    for i in random.choice(weights.size, min(samples, weights.size), replace=False):
        kept, losses = weights[i], []
        for sign in (1, -1):
            weights[i] = kept + sign * STEP
            losses.append(net.loss_and_gradients(**examples)[0])
        weights[i] = kept
        slope, own = (losses[0] - losses[1]) / (2 * STEP), gradient.reshape(-1)[i]
        worst = max(worst, abs(slope - own) / max(1.0, abs(own)))
    return worst
