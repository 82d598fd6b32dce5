"""Oracles of the words that change inputs while training.

Each is held against all results that its definition allows and how probable they are, by formulas
of NumPy.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import torch
from scipy import optimize, stats

from specc import pipeline
from specc.backend.reference import evaluate
from specc.ops.peers import bind_batch

from .interpreted import ROWS, agrees, initial, load, oracle, size

EXAMPLES = 2000


def image(rng) -> np.ndarray:
    """Of elements that are all different, and none of them 0."""
    sizes = size(rng, 1, 3), size(rng, 3, 7), size(rng, 3, 7)
    return 1.0 + rng.permutation(np.prod(sizes)).reshape(sizes)


def changed(formula: str, x: np.ndarray, rng) -> np.ndarray:
    """The formula of x, once for each example."""
    sizes = ", ".join(map(str, x.shape))
    program = load(f"model m {{ input x: float[{sizes}] output y = {formula} }}")
    leaves = initial(program) | {("input", "x"): np.stack([x] * EXAMPLES)}
    graph = bind_batch(pipeline.forward(program, False), EXAMPLES)
    return evaluate(graph, leaves, seed=size(rng, 0, 1000))["output.y"]


def one_of(found: np.ndarray, possible: list[tuple[np.ndarray, float]]) -> None:
    """Each of `found` is one of the possible results, and as many are each as its probability
    says."""
    wanted: dict[bytes, float] = defaultdict(float)
    for result, probability in possible:
        wanted[(result + 0.0).tobytes()] += probability
    assert abs(sum(wanted.values()) - 1) < 1e-9
    counts = Counter((each + 0.0).tobytes() for each in found)
    assert set(counts) <= set(wanted)
    for result, probability in wanted.items():
        low, high = stats.binom.ppf([1e-6, 1 - 1e-6], len(found), min(probability, 1))
        assert low <= counts[result] <= high


@oracle("noise")
def _(rng):
    x, std = image(rng), round(rng.uniform(0.1, 2), 2)
    n = (changed(f"noise(x; {std})", x, rng) - x) / std
    assert abs(n.mean()) < 5 / np.sqrt(n.size)
    assert abs(n.std() - 1) < 5 / np.sqrt(2 * n.size)
    assert stats.kstest(n.ravel(), "norm").pvalue > 1e-5
    assert len({each.tobytes() for each in n}) == EXAMPLES


@oracle("flip")
def _(rng):
    x, rate = image(rng), round(rng.uniform(0.1, 0.9), 2)
    one_of(changed(f"flip(x; {rate})", x, rng), [(x[..., ::-1], rate), (x, 1 - rate)])


@oracle("shift")
def _(rng):
    x, most = image(rng), size(rng, 1, 3)
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (most, most), (most, most)))
    moves = range(2 * most + 1)
    possible = [(padded[:, a : a + height, b : b + width], len(moves) ** -2)
                for a in moves for b in moves]  # fmt: skip
    one_of(changed(f"shift(x; {most})", x, rng), possible)


def is_of_a_part(rows, columns, least: float) -> bool:
    """Whether a side, a left and a top within their limits give these indices."""
    limits, ends = [], []
    for indices, place in ((rows, [1, 0]), (columns, [0, 1])):
        number = len(indices)
        for j, index in enumerate(indices):  # index <= place + (j + 1/2) side <= index + 1
            point = np.array([j + 0.5, *place])
            limits += [point, -point]
            ends += [index + 1, -index]
        limits.append(np.array([number, *place]))  # place <= (1 - side) number
        ends.append(number)
    bounds = [(least, 1), (0, None), (0, None)]
    return optimize.linprog(np.zeros(3), np.array(limits), ends, bounds=bounds).success


@oracle("crop")
def _(rng):
    x, least = image(rng), round(rng.uniform(0.3, 0.9), 2)
    _, height, width = x.shape
    found = changed(f"crop(x; {least})", x, rng)
    indices = []
    for each in found:
        assert np.isin(each, x).all()
        rows = [int(np.argwhere(x[0] == value)[0, 0]) for value in each[0, :, 0]]
        columns = [int(np.argwhere(x[0] == value)[0, 1]) for value in each[0, 0]]
        np.testing.assert_array_equal(each, x[:, rows][:, :, columns])
        assert (np.diff(rows) >= 0).all() and (np.diff(columns) >= 0).all()
        indices.append((*rows, *columns))
    for each in set(indices):
        assert is_of_a_part(each[:height], each[height:], least)
    draws = 100_000
    side = rng.uniform(least, 1, (draws, 1))
    drawn = []
    for number in (height, width):
        start = rng.random((draws, 1)) * (1 - side) * number
        drawn.append(np.floor(start + (np.arange(number) + 0.5) * side))
    expected = np.concatenate(drawn, axis=1)
    error = 5 * expected.std(0) / np.sqrt(EXAMPLES) + 0.01
    assert (np.abs(np.mean(indices, axis=0) - expected.mean(0)) < error).all()


@oracle("cutout")
def _(rng):
    x, side = image(rng), size(rng, 1, 5)
    _, height, width = x.shape
    possible = []
    for i in range(height):
        for j in range(width):  # of an even number of elements, the middle is the one before it
            top, left = i - (side - 1) // 2, j - (side - 1) // 2
            cut = x.copy()
            cut[:, max(top, 0) : top + side, max(left, 0) : left + side] = 0
            possible.append((cut, 1 / (height * width)))
    one_of(changed(f"cutout(x; {side})", x, rng), possible)


@oracle("shear")
def _(rng):
    sizes = size(rng, 1, 3), size(rng, 2, 6), size(rng, 2, 6)

    def sheared(x, d):
        columns = x.shape[2]
        result = torch.zeros_like(x)
        for i, step in enumerate(torch.round(d.detach()).int().tolist()):
            for j in range(columns):
                if 0 <= j - step < columns:
                    result[:, i, j] = x[:, i, j - step]
        return result

    steps = 2 * rng.standard_normal((ROWS, sizes[1]))
    agrees(
        "shear(x, d)",
        lambda t: torch.stack([sheared(t["x"], d) for d in t["d"]]),
        {"x": sizes},
        rng,
        {"d": f"float[{sizes[1]}]"},
        {"d": steps},
    )
    agrees(
        "shear(x, d)",
        lambda t: torch.stack([sheared(t["x"], t["d"])] * ROWS),
        {"x": sizes, "d": sizes[1:2]},
        rng,
        given={"d": steps[0]},
    )


def moved(x: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Each row to the right by the rounded steps of its own."""
    result = np.zeros_like(x)
    for i, step in enumerate(np.rint(steps).astype(int)):
        for j in range(x.shape[2]):
            if 0 <= j - step < x.shape[2]:
                result[:, i, j] = x[:, i, j - step]
    return result


def turned(x: np.ndarray, angle: float) -> np.ndarray:
    _, height, width = x.shape
    rows = -np.tan(angle / 2) * (np.arange(height) - (height - 1) / 2)
    columns = np.sin(angle) * (np.arange(width) - (width - 1) / 2)
    first = moved(x, rows)
    second = moved(first.transpose(0, 2, 1), columns).transpose(0, 2, 1)
    return moved(second, rows)


@oracle("rotate")
def _(rng):
    """A result holds from one angle at which a step is half an integer to the next."""
    x, degrees = image(rng), size(rng, 5, 45)
    _, height, width = x.shape
    most = np.radians(degrees)
    angles = {-most, most}
    for half in np.arange(0.5, max(height, width)):
        for down in np.arange(height) - (height - 1) / 2:
            if down > 0:
                angles |= {sign * 2 * np.arctan(half / down) for sign in (-1, 1)}
        for across in np.arange(width) - (width - 1) / 2:
            if across >= half:
                angles |= {sign * np.arcsin(half / across) for sign in (-1, 1)}
    ends = sorted(angle for angle in angles if abs(angle) <= most)
    possible = [
        (turned(x, (low + high) / 2), (high - low) / (2 * most)) for low, high in pairwise(ends)
    ]
    one_of(changed(f"rotate(x; {degrees})", x, rng), possible)


@oracle("symmetric_beta")
def _(rng):
    alpha = round(float(np.exp(rng.uniform(np.log(0.05), np.log(20)))), 3)
    found = changed(f"symmetric_beta(x; {alpha})", image(rng), rng).ravel()
    assert ((found >= 0) & (found <= 1)).all()
    middle = found[(found > 1e-9) & (found < 1 - 1e-9)]  # beyond, a float64 has few values
    low, high = stats.beta.cdf([1e-9, 1 - 1e-9], alpha, alpha)
    within = stats.binom.ppf([1e-6, 1 - 1e-6], found.size, high - low)
    assert within[0] <= middle.size <= within[1]
    cut = stats.beta(alpha, alpha).cdf
    assert stats.kstest(middle, lambda s: (cut(s) - low) / (high - low)).pvalue > 1e-5
    assert stats.kstest(1 - middle, lambda s: (cut(s) - low) / (high - low)).pvalue > 1e-5


@oracle("mixup")
def _(rng):
    """A row of the unit matrix as the target shows the share and the partner of each example."""
    count, alpha = 400, round(rng.uniform(0.2, 3), 2)
    shape = size(rng, 1, 3), size(rng, 1, 4)
    x, t = rng.standard_normal((count, *shape)), np.eye(count)
    sizes = ", ".join(map(str, shape))
    program = load(
        f"model m {{ input x: float[{sizes}] target t: float[{count}]"
        f" let a, b = mixup(x, t; {alpha}) output a output b loss mse(b, t) }}"
    )
    leaves = initial(program) | {("input", "x"): x, ("target", "t"): t}
    leaves["weight_of_example", ""] = np.full(count, 1 / count)
    seed = size(rng, 0, 1000)
    for training in (True, False):
        graph = bind_batch(pipeline.forward(program, training), count)
        found = evaluate(graph, leaves, seed=seed)
        mixed, shares = found["output.a"], found["output.b"]
        if not training:
            assert (mixed == x).all() and (shares == t).all()
            continue
        np.testing.assert_allclose(mixed, np.tensordot(shares, x, 1), rtol=0, atol=1e-12)
        np.testing.assert_allclose(shares.sum(1), 1, rtol=0, atol=1e-12)
        own = shares.diagonal()
        others = shares - np.diag(own)
        assert ((others > 0).sum(1) <= 1).all()
        mixing = (others > 0).any(1)
        assert stats.kstest(own[mixing], stats.beta(alpha, alpha).cdf).pvalue > 1e-5
        assert mixing.sum() >= stats.binom.ppf(1e-6, count, 1 - 1 / count) - 5  # a share may be 1
        partners = others[mixing].argmax(1)
        counts = np.bincount(partners // 20, minlength=count // 20)
        assert stats.chisquare(counts).pvalue > 1e-5
