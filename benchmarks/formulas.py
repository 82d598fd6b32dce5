"""`python -m benchmarks.formulas`: library words against the same written with indices, in one run.

A formula and its word mostly become the same plan, step by step, and so cost the same; the table
says where they do not, and the time of the formula divided by that of the word. Both take training
steps in turns, in one process.
"""

from __future__ import annotations

import statistics
import time
import warnings
from dataclasses import dataclass

import click
import numpy as np

import specc
from specc import driver
from specc.diagnostics import SpecWarning
from specc.source import Source


@dataclass(frozen=True)
class Pair:
    """A word, the same as a formula, and the inputs that both read. Both define `y`."""

    inputs: str
    word: str
    formula: str

    def text(self, body: str) -> str:
        """The model whose value is `y`."""
        return (
            f"seq time = 32 model m {{ {self.inputs} param scale: float[] = 1 {body} output y"
            " loss scale * mean(sum(y * y); over=time) } train { optimizer sgd(lr=1e-6) }"
            if "[time" in self.inputs
            else f"model m {{ {self.inputs} param scale: float[] = 1 {body} output y"
            " loss scale * sum(y * y) } train { optimizer sgd(lr=1e-6) }"
        )


PAIRS = {
    "dense": Pair(
        "input x: float[400]",
        "let y = x -> dense(256)",
        "param W: float[256, 400] = he param b: float[256] = 0"
        " let y[k] = sum(i: W[k, i] * x[i]) + b[k]",
    ),
    "conv": Pair(
        "input x: float[6, 24, 24]",
        "let y = x -> conv(16, kernel=5)",
        "param W: float[16, 6, 5, 5] = he param b: float[16] = 0"
        " let y[k, i, j] = sum(c, u, v: W[k, c, u, v] * x[c, i + u, j + v]) + b[k]",
    ),
    "conv, stride 2, dilation 2": Pair(
        "input x: float[6, 25, 25]",
        "let y = x -> conv(16, kernel=4, stride=2, dilation=2)",
        "param W: float[16, 6, 4, 4] = he param b: float[16] = 0"
        " let y[k, i, j] = sum(c, u, v: W[k, c, u, v] * x[c, 2 * i + 2 * u, 2 * j + 2 * v]) + b[k]",
    ),
    "embed": Pair(
        "input c: class(500)",
        "let y = c -> embed(64)",
        "param E: float[500, 64] = normal(std=1) let y[i] = E[c, i]",
    ),
    "softmax": Pair("input x: float[100]", "let y = softmax(x)", "let y[i] = softmax(i: x[i])"),
    "cross_entropy": Pair(
        "input x: float[100] target t: class(10)",
        "let h = x -> dense(10) let y = cross_entropy(h, t)",
        "let h = x -> dense(10) let y = logsumexp(k: h[k]) - h[t]",
    ),
    "attention": Pair(
        "input x: float[time, 64]",
        "let y = x -> attention(heads=4, causal=true)",
        """layer query = dense(64, init=xavier) layer key = dense(64, init=xavier)
        layer value = dense(64, init=xavier) layer out = dense(64, init=xavier)
        let q = query(x) -> reshape(4, 16)
        let k = key(x) -> reshape(4, 16)
        let v = value(x) -> reshape(4, 16)
        let s[t, h, u] = sum(i: q[t, h, i] * k[u, h, i]) / sqrt(16)
        let a[t, h, u] = softmax(u: if u > t then -inf else s[t, h, u])
        let z[t, h, i] = sum(u: a[t, h, u] * v[u, h, i])
        let y = z -> flatten -> out""",
    ),
}


def plan(text: str) -> list[str]:
    """The steps of a model's plan, without the places of their values."""
    shown = driver.show(Source("m.dl", text), "plan")
    return [line.split(" -> ")[0] for line in shown.splitlines() if line.startswith("phase")]


@click.command()
@click.option("--threads", default=1, show_default=True)
@click.option("--rounds", default=51, show_default=True, help="Steps of each.")
def main(threads: int, rounds: int) -> None:
    """Time formulas with indices against the words that mean the same."""
    warnings.simplefilter("ignore", SpecWarning)
    click.echo(f"{'':<28}{'plans':>8}{'word':>12}{'formula':>12}{'ratio':>8}")
    for name, pair in PAIRS.items():
        texts = [pair.text(pair.word), pair.text(pair.formula)]
        nets = [specc.compile(specc.loads(text), batch=64, threads=threads) for text in texts]
        random = np.random.default_rng(0)
        data = {
            port.name: random.integers(0, port.classes, (64, *port.shape))
            if port.kind == "class"
            else random.normal(size=(64, *port.shape))
            for port in nets[0].ports
        }
        taken: list[list[float]] = [[], []]
        for _ in range(rounds):
            for own, net in zip(taken, nets, strict=True):
                start = time.perf_counter()
                net.step(**data)
                own.append(time.perf_counter() - start)
        word, formula = (statistics.median(each[1:]) * 1e6 for each in taken)
        same = "same" if plan(texts[0]) == plan(texts[1]) else "other"
        click.echo(f"{name:<28}{same:>8}{word:>9.0f} us{formula:>9.0f} us{formula / word:>8.3f}")


if __name__ == "__main__":
    main()
