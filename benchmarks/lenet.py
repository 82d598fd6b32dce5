"""The training step of models/lenet.dl against PyTorch's, on the same machine and threads.

    pip install '.[bench]' && python benchmarks/lenet.py            # two threads, batch 64

Both do the same arithmetic: forward, backward and the momentum update, float32, random images. Runs
alternate; the figure is the median over the rounds of the mean over a round's steps.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import click
import numpy as np

import specc
from specc.columns import Column

MODEL = Path(__file__).resolve().parent.parent / "models" / "lenet.dl"


def specc_runner(images, labels, batch: int, threads: int, steps: int):
    """A function that runs `steps` steps as one call."""
    net = specc.compile(specc.load(MODEL), batch=batch, threads=threads)
    repeats = -(-batch * steps // len(images))
    order = np.tile(np.arange(len(images)), repeats)[: batch * steps]
    data = {"image": Column(images), "label": Column(labels)}
    return lambda: net.train(data, order, 0, steps, steps)


def torch_runner(images, labels, batch: int, threads: int, steps: int):
    """The same network and steps in PyTorch, eager."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))
    weights = [each for name, each in model.named_parameters() if name.endswith("weight")]
    rest = [each for name, each in model.named_parameters() if not name.endswith("weight")]
    # l2(weights) in the loss is a weight decay of twice its factor
    optimizer = torch.optim.SGD(
        [{"params": weights, "weight_decay": 2e-4}, {"params": rest}], lr=0.05, momentum=0.9)
    loss_of = nn.CrossEntropyLoss()
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    starts = [(i * batch) % (len(images) - batch + 1) for i in range(steps)]

    def run():
        for start in starts:
            optimizer.zero_grad(set_to_none=True)
            loss_of(model(x[start : start + batch]), y[start : start + batch]).backward()
            optimizer.step()

    return run


@click.command()
@click.option("--batch", default=64, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--steps", default=50, show_default=True, help="Steps of a round.")
@click.option("--rounds", default=11, show_default=True)
def main(batch: int, threads: int, steps: int, rounds: int) -> None:
    """Print microseconds a step of both, and the ratio."""
    rng = np.random.default_rng(0)
    images = rng.random((1024, 1, 28, 28), dtype=np.float32)
    labels = rng.integers(0, 10, 1024)
    runners = {name: make(images, labels, batch, threads, steps)
               for name, make in (("specc", specc_runner), ("torch", torch_runner))}
    for run in runners.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) / steps * 1e6)
    for name, found in times.items():
        print(f"{name:6} {statistics.median(found):9.1f} us/step"
              f"   (min {min(found):.1f}, max {max(found):.1f}, {rounds} rounds of {steps})")
    ratios = [b / a for a, b in zip(times["specc"], times["torch"], strict=True)]
    print(f"torch / specc: {statistics.median(ratios):.2f} times"
          f"   (min {min(ratios):.2f}, max {max(ratios):.2f}), {threads} threads, batch {batch}")


if __name__ == "__main__":
    main()
