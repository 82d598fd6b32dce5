"""Every contraction of a model's training step by itself: what it computes, its kernel, GF/s.

    python benchmarks/kernels.py models/lenet.dl            # one thread, batch 64
    python benchmarks/kernels.py models/cnn32.dl --all      # the other kernels too, in GB/s
    python -m benchmarks.kernels --choices                  # are the estimates right? see `choices`

Operands are those of a training step, so they come from memory where they do not fit the caches.
The figure is the fastest of some rounds; the last line adds up all of them.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np

import specc
from specc.backend.emit.calls import KernelCall, element_bytes
from specc.backend.run.executor import StepCalls, executor
from specc.ir.sizes import product
from specc.ops.contract import Contract
from specc.recipe import Column


def random_data(net, batch: int) -> dict[str, Column]:
    """A batch for every port of a model."""
    rng = np.random.default_rng(0)
    return {
        port.name: Column(
            rng.integers(0, port.classes, batch)
            if port.kind == "class"
            else rng.random((batch, *port.shape), dtype=np.float32)
        )
        for port in net.ports
    }


def seconds(entry: tuple[int, int], rounds: int) -> float:
    """The shortest time of one call."""
    program = StepCalls([[[entry]]])
    pool = executor(1)
    pool.run(program, 1)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        pool.run(program, 1)
        times.append(time.perf_counter() - start)
    return min(times)


def described(call: KernelCall) -> str:
    """The result and the operands of a contraction, batched ones with `n`."""
    (node,) = call.nodes
    types = [each.type for each in (node, *node.inputs)]
    out, left, right = ("x".join(map(str, [*each.shape, *"n"[: each.batched]])) for each in types)
    return f"{out} = {left} * {right}"


def moved(call: KernelCall, lanes: int, dtype: str) -> int:
    """Bytes of the values that a kernel reads or makes, each counted once."""
    values = {each for node in call.nodes for each in (node, *node.inputs)}
    return sum(
        each.type.elements
        * (lanes if each.type.batched else 1)
        * element_bytes(each.type.kind, dtype)
        for each in values
    )


@click.command()
@click.argument("models", nargs=-1, metavar="MODEL...")
@click.option("--batch", default=64, show_default=True)
@click.option("--rounds", default=15, show_default=True)
@click.option(
    "--all", "everything", is_flag=True, help="Time the kernels that are no contractions too."
)
@click.option(
    "--choices", is_flag=True, help="Time all tiles that fit; MODELs are names of benchmark models."
)
@click.option("--every", is_flag=True, help="Of --choices print those without a loss, too.")
@click.option(
    "--remembered",
    "is_remembered",
    is_flag=True,
    help="Check the --choices that a process makes after a long training.",
)
@click.option(
    "--json",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the times of --choices: those in it are not measured again.",
)
def main(
    models: tuple[str, ...],
    batch: int,
    rounds: int,
    everything: bool,
    choices: bool,
    every: bool,
    is_remembered: bool,
    target: Path | None,
) -> None:
    """Print a line for each kernel of the training step of each MODEL, a file."""
    if choices:
        from benchmarks.choices import check

        check(models, every, target, is_remembered)
        return
    for model in models:
        _kernels(Path(model), batch, rounds, everything)


def _kernels(model: Path, batch: int, rounds: int, everything: bool) -> None:
    net = specc.compile(specc.load(model), batch=batch, threads=1)
    data = random_data(net, batch)
    net.train(data, np.arange(batch), 0, 1, 1)
    program = net.compiled("train")
    total = operations = 0.0
    for call, entry in program.entries(data):
        contraction = (
            not call.packs and len(call.nodes) == 1 and isinstance(call.nodes[0].op, Contract)
        )
        if not contraction and not (everything and call.nodes):
            continue
        took = seconds(entry, rounds)
        total += took
        if contraction:
            work = 2 * product(call.nodes[0].op.extents) * program.plan.lanes
            operations += work
            print(
                f"{work / took / 1e9:7.1f} GF/s {took * 1e6:9.1f} us  {call.kernel.name:<14}"
                f" {described(call)}"
            )
        else:
            work = moved(call, program.plan.lanes, net.dtype)
            print(f"{work / took / 1e9:7.1f} GB/s {took * 1e6:9.1f} us  {call.kernel.name}")
    print(f"{operations / total / 1e9:7.1f} GF/s {total * 1e6:9.1f} us  all of these")


if __name__ == "__main__":
    main()
