"""Training steps of a small GPT: specc against PyTorch with its own scaled_dot_product_attention.

    python -m benchmarks.gpt                 # both sizes, two threads; and letters a second
    python -m benchmarks.gpt --threads 1 --steps 20

Both train the same model with AdamW on the same random text, in turns, so other work on the machine
slows both, each in a process of its own, as PyTorch's threads keep processors busy for a while
after a step. PyTorch takes its fused optimizer, and its attention with `is_causal=True`, which
needs no mask.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

import specc
from specc import driver

MODEL = Path(__file__).resolve().parents[1] / "models" / "gpt.dl"
VOCABULARY = 65
TURN, PAUSE = 5, 0.3  # steps of a turn, and the seconds until the next one
# layers, heads, width, steps of the text, examples of a batch
SIZES = ((4, 4, 128, 64, 12), (6, 6, 192, 128, 16))


def of_specc(layers: int, heads: int, width: int, steps: int, batch: int, threads: int):
    """Return the training step of `models/gpt.dl` at another size."""
    text = MODEL.read_text()
    for old, new in (
        ("4 * (transformer(heads=4", f"{layers} * (transformer(heads={heads}"),
        ("embed(128)", f"embed({width})"),
    ):
        assert old in text
        text = text.replace(old, new)
    program = specc.loads(text, vocab=VOCABULARY, time=steps)
    net = driver.compile(program, batch=batch, threads=threads)
    return lambda x, y: net.step(text=x, next_=y)


def of_torch(layers: int, heads: int, width: int, steps: int, batch: int, threads: int):
    """Return the training step of the same model in PyTorch."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(threads)

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x):
            n, t, _ = x.shape
            q, k, v = (
                each.view(n, t, heads, width // heads).transpose(1, 2)
                for each in self.qkv(x).split(width, dim=2)
            )
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(y.transpose(1, 2).reshape(n, t, width))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
            self.look = Attention()
            self.feed = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x):
            x = x + self.look(self.before(x))
            return x + self.feed(self.after(x))

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(VOCABULARY, width)
            self.positions = nn.Parameter(0.02 * torch.randn(steps, width))
            self.blocks = nn.Sequential(*(Block() for _ in range(layers)))
            self.norm, self.scores = nn.LayerNorm(width), nn.Linear(width, VOCABULARY)

        def forward(self, text):
            return self.scores(self.norm(self.blocks(self.embed(text) + self.positions)))

    model = Gpt()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01, fused=True)

    def step(x, y):
        optimizer.zero_grad(set_to_none=True)
        scores = model(torch.from_numpy(x))
        loss = functional.cross_entropy(
            scores.reshape(-1, VOCABULARY), torch.from_numpy(y).reshape(-1)
        )
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def letters_per_second(count: int = 1000) -> float:
    """Return how fast `models/gpt.dl` generates, of three texts the best; one thread."""
    from specc.runtime.sample import Writer

    program = specc.load(MODEL, vocab=VOCABULARY)
    net = driver.compile(program, batch=1, threads=1)
    port = next(each for each in net.ports if each.name == "text")
    reading = net.decoding.reading(port, {}, 1)
    assert reading is not None
    writer = Writer(reading, reading.most, [chr(ord("0") + i) for i in range(VOCABULARY)])
    seconds = []
    for _ in range(4):  # the first one compiles
        start = time.perf_counter()
        assert len("".join(writer.write("0", count))) == count
        seconds.append(time.perf_counter() - start)
    return count / min(seconds[1:])


def serve(
    make: Callable[..., Callable], size: tuple[int, ...], threads: int, channel: Connection
) -> None:
    """Answer each number of steps with their seconds, until the number is 0."""
    step = make(*size, threads)
    *_, length, batch = size
    random = np.random.default_rng(0)
    while count := channel.recv():
        seconds = []
        for _ in range(count):
            text = random.integers(0, VOCABULARY, (batch, length + 1))
            x, y = np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])
            start = time.perf_counter()
            step(x, y)
            seconds.append(time.perf_counter() - start)
        channel.send(seconds)


def in_turns(size: tuple[int, ...], threads: int, steps: int) -> dict[str, list[float]]:
    """Return the seconds of each side's steps, taken in turns."""
    processes = multiprocessing.get_context("spawn")
    channels: dict[str, Connection] = {}
    for name, make in (("specc", of_specc), ("pytorch", of_torch)):
        channels[name], other = processes.Pipe()
        processes.Process(target=serve, args=(make, size, threads, other), daemon=True).start()
    times: dict[str, list[float]] = {name: [] for name in channels}
    for number in range(-(-steps // TURN) + 1):
        for name, channel in channels.items():
            channel.send(TURN)
            seconds = channel.recv()
            if number:  # the first steps compile, and fill the caches
                times[name] += seconds
            time.sleep(PAUSE)
    for channel in channels.values():
        channel.send(0)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description="Training steps of a GPT against PyTorch's.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    for size in SIZES:
        layers, heads, width, length, batch = size
        times = in_turns(size, arguments.threads, arguments.steps)
        print(
            f"{layers} layers, {heads} heads, {width} wide, {length} steps, batch {batch},"
            f" {arguments.threads} threads"
        )
        for name, found in times.items():
            least, middle = 1e3 * min(found), 1e3 * statistics.median(found)
            print(f"  {name:<8} least {least:7.2f} ms, median {middle:7.2f} ms")
        ours, theirs = times["specc"], times["pytorch"]
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        print(
            f"  specc is {min(theirs) / min(ours):.2f} times as fast by the least,"
            f" {statistics.median(ratios):.2f} by the median of the turns"
        )
    print(f"models/gpt.dl generates {letters_per_second():,.0f} letters a second")


if __name__ == "__main__":
    main()
