"""A case: a program made by chance, and the numbers that it runs on.

case = case(7)                          # always the same for a seed
arrays, params = case.arrays(program)   # of the checked program
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from specc import driver
from specc.source import Source

from . import ends, formulas, layers, recurrent
from .pairs_of_steps import pairs_of_steps
from .program import Program, names, pruned
from .writer import Writer

FEATURES = (
    "peers",
    "own_kernel",
    "random",
    "optimizer_step",
    "varying",
    "stream",
    "beside",
    "special",
    "infinite",
)
"""What can be switched off, by name."""

VECTORS = (
    (formulas.unary, 5),
    (formulas.binary, 4),
    (formulas.scaled, 2),
    (formulas.beside, 3),
    (formulas.sliced, 3),
    (formulas.rearranged, 3),
    (formulas.joined, 2),
    (formulas.parted, 1),
    (formulas.spread, 2),
    (formulas.reduced, 3),
    (formulas.placed, 1),
    (formulas.multiplied, 3),
    (formulas.chosen, 2),
    (formulas.gathered, 2),
    (formulas.classified, 1),
    (formulas.compared, 1),
    (formulas.random_numbers, 1),
    (layers.dense, 3),
    (layers.vector, 2),
    (layers.normalized, 1),
    (layers.among_peers, 2),
    (layers.shared, 1),
)
IMAGES = (
    (layers.convolution, 4),
    (layers.transposed_convolution, 2),
    (layers.pooled, 4),
    (layers.upsampled, 1),
    (layers.own_kernel, 2),
    (layers.normalized, 1),
)
SEQUENCES = (
    (recurrent.library_cell, 3),
    (recurrent.own_cell, 3),
    (recurrent.whole, 4),
    (recurrent.moved, 3),
    (recurrent.along, 2),
)
NEEDS = {
    layers.among_peers: "peers",
    layers.own_kernel: "own_kernel",
    formulas.beside: "beside",
    formulas.random_numbers: "random",
    recurrent.moved: "beside",
}
PRECISION = "precision = bfloat16"
ROUNDED = 0.2  # the part of the trained programs that have it
BY_ROWS = 0.2  # the part of the programs that are divided by rows, if they can be
SPECIALS = ("ties", "zeros", "nan", "inf", "denormal", "large")


@dataclass(frozen=True)
class Case:
    """A program, and how it is run. `stages` names methods of the comparison in `verdict`. Values
    are computed in chunks of `cut` rows wherever they can be, or by the usual limits if it is 0.
    With `by_rows` even small programs are divided by rows, if they can be."""

    program: Program
    seed: int
    rows: int
    batch: int
    threads: int
    dtype: str
    special: str = ""
    forward: tuple[int, ...] = (1, 2, 3)
    stages: tuple[str, ...] = ("forward", "gradients", "step", "evaluate")
    differences: bool = False
    off: tuple[str, ...] = field(default=())
    small: bool = False
    cut: int = 0
    by_rows: bool = False

    @property
    def text(self) -> str:
        """The whole case, to be read and to be run again."""
        facts = (
            f"# seed {self.seed}{' (small)' * self.small}: {self.rows} rows in"
            f" batches of {self.batch}, {self.threads}"
            f" threads, {self.dtype}, special numbers: {self.special or 'none'};"
            f"{f' chunks of {self.cut} rows;' * bool(self.cut)}{' by rows;' * self.by_rows}"
            f" forward of {', '.join(map(str, self.forward))} rows\n"
        )
        return facts + self.program.text

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Case:
        facts = json.loads(text)
        program = Program(**{name: tuple(lines) for name, lines in facts.pop("program").items()})
        facts = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in facts.items()
        }
        return Case(program, **facts)


def case(
    seed: int, off: frozenset[str] = frozenset(), whole: bool = True, small: bool = False
) -> Case:
    """The case of a seed. One that is not `whole` compares one drawn stage, on fewer numbers of
    rows. A `small` one has fewer statements, and mostly one output and one loss."""
    rng = random.Random(seed)
    for _ in range(50):
        program = _program(rng, off, small)
        if program is not None and is_valid(program):
            break
    else:
        raise AssertionError(f"seed {seed} makes no valid program")
    stream = any(line.startswith("stream") for line in program.lines)
    batch = rng.choice((1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 19, 33))
    rows = batch if stream else rng.choice((batch, batch, max(1, batch - 1), max(1, batch // 2), 1))
    many = rng.choice((batch, batch, batch + 1, 2 * batch + 1, max(1, batch - 1)))
    stages = [
        each
        for each, has in (
            ("forward", any(line.startswith("output") for line in program.ends)),
            ("gradients", any(line.startswith("loss") for line in program.ends)),
            ("step", bool(program.train)),
            ("evaluate", any(line.startswith("loss") for line in program.ends)),
        )
        if has
    ]
    forward = tuple(sorted({1, 2, 3, many}))
    drawn = rng.choice(stages), rng.choice(((1,), (2, 3), (many,), (many,)))
    if not whole:
        stages, forward = [drawn[0]], (many,) if drawn[0] == "evaluate" else drawn[1]
    special = rng.choice(("", "", *SPECIALS, "ties")) if rng.random() < 0.6 else ""
    if "special" in off or ("infinite" in off and special in ("nan", "inf")):
        special = ""
    dtype = rng.choice(("float32", "float64"))
    is_rounded = bool(program.train) and random.Random(f"rounded {seed}").random() < ROUNDED
    if is_rounded and "bfloat16" not in off:
        program = replace(program, train=(*program.train, PRECISION))
    threads, other = rng.choice((1, 1, 2)), random.Random(f"by rows {seed}")
    by_rows = other.random() < BY_ROWS
    return Case(
        program,
        seed,
        rows,
        batch,
        other.choice((2, 3)) if by_rows else threads,
        dtype,
        special,
        forward,
        tuple(stages),
        rng.random() < 0.1 and PRECISION not in program.train,  # a rounded loss is made of steps
        tuple(sorted(off)),
        small,
        by_rows=by_rows,
    )


def case_of_pairs(seed: int) -> Case:
    """The case of a seed in which steps meet, so that all large values can be cut."""
    rng = random.Random(f"pairs {seed}")
    for _ in range(50):
        program = pairs_of_steps(rng)
        if is_valid(program):
            break
    else:
        raise AssertionError(f"seed {seed} makes no valid program")
    batch = rng.choice((1, 3, 8, 19))
    return Case(
        program,
        seed,
        max(1, batch - rng.choice((0, 1))),
        batch,
        rng.choice((1, 2, 3)),
        rng.choice(("float32", "float64")),
        forward=(1, batch + 1),
        stages=("forward", "gradients", "step", "evaluate"),
        cut=rng.choice((1, 2, 3)),
        by_rows=random.Random(f"pairs by rows {seed}").random() < BY_ROWS,
    )


def is_valid(program: Program) -> bool:
    """Whether the check passes it, an input takes part, and a parameter if there is a loss."""
    checked, found = driver.check(Source("x.dl", program.text))
    if checked is None or any(each.severity == "error" for each in found):
        return False
    used = set().union(
        *map(names, program.ends),
        *(names(line) for line in program.lines if line.startswith("let")),
    )
    if not any(port.name in used for port in checked.ports if port.role == "input"):
        return False  # then nothing says how many examples there are
    return not checked.losses or bool(checked.parameters)


def _program(rng: random.Random, off: frozenset[str], small: bool) -> Program | None:
    w = Writer(rng, off)
    kind = rng.choice(("vectors", "vectors", "vectors", "images", "images", "sequence"))
    axis = ""
    if kind == "sequence":
        w.before.append(f"seq time = {rng.choice((1, 2, 3, 4))}")
        role, axis = "input", "time"
        drawn = rng.random()
        if drawn < 0.35 and "varying" not in off:
            axis = "<= time"
        elif drawn < 0.5 and "stream" not in off:
            role, w.off = "stream", w.off | {"moved"}
        w.port(role, "float", (rng.choice((1, 2, 3)),), axis=axis)
        if rng.random() < 0.3 and role == "input":
            w.port("input", "class", (), rng.choice((2, 3, 5)), axis=axis)
        if rng.random() < 0.3:
            w.port("input", "float", (rng.choice((2, 3)),))
    elif kind == "images":
        size = rng.choice((3, 4, 5))
        w.port("input", "float", (rng.choice((1, 2, 3)), size, rng.choice((size, 3, 4, 6))))
    else:
        size = w.size()
        shape = rng.choice(((size,), (size,), (size, size), (size, w.size()), (2, size, size)))
        w.port("input", "float", shape)
    if kind != "sequence":
        if rng.random() < 0.4:
            w.param(
                w.values[0].shape
                if rng.random() < 0.5
                else tuple(w.size() for _ in range(rng.choice((1, 2, 2, 3))))
            )
        if rng.random() < 0.25:
            w.port("input", "class", rng.choice(((), (), (2,))), rng.choice((2, 3, 5)))
        if rng.random() < 0.2:
            w.port("input", "bool", ())
    choices = VECTORS + {"images": IMAGES + IMAGES, "sequence": SEQUENCES + SEQUENCES}.get(
        kind, IMAGES if len(w.values[0].shape) == 3 else ()
    )
    choices = [(each, weight) for each, weight in choices if NEEDS.get(each) not in off]
    makers, weights = zip(*choices, strict=True)
    wanted = rng.choice((1, 1, 2) if small else (1, 2, 2, 3, 3, 4, 6))
    for _ in range(4 * wanted):
        made = rng.choices(makers, weights)[0](w)
        wanted -= made is not None
        if not wanted:
            break
    written = ends.ends(w, axis, small)
    trained = ends.train(w, any(line.startswith("loss") for line in written))
    return pruned(Program(tuple(w.before), tuple(w.lines), tuple(written), tuple(trained)))


# Numbers.


def numbers(case: Case, program, net) -> dict[str, np.ndarray]:
    """Arrays for all ports, as many rows as the case needs at most; sets the parameters of
    `net`."""
    rng = np.random.default_rng(case.seed)
    count = max(case.rows, *case.forward)
    arrays = {}
    for port in program.ports:
        shape = (count, *port.shape)
        if port.begin_of:
            arrays[port.name] = rng.random(shape) < 0.3
        elif port.length_of:
            arrays[port.name] = rng.integers(1, port.classes, shape)
        elif port.kind == "class":
            arrays[port.name] = rng.integers(0, port.classes, shape)
        elif port.kind == "bool":
            arrays[port.name] = rng.random(shape) < 0.5
        else:
            arrays[port.name] = special(case.special, rng.standard_normal(shape), rng, case.dtype)
    for array in net.params.values():
        drawn = rng.standard_normal(array.shape) * 0.5
        is_hit = rng.random() < 0.3
        array[...] = special(case.special, drawn, rng, case.dtype) if is_hit else drawn
    return arrays


def special(kind: str, values: np.ndarray, rng, dtype: str) -> np.ndarray:
    """The values in the precision of `dtype`, with special numbers among them."""
    values = np.asarray(values)
    tiny = float(np.finfo(dtype).tiny)
    few = rng.random(values.shape) < min(0.5, 2 / max(1, values.size) + 0.05)
    if kind == "ties":
        values = np.round(2 * values) / 2
    elif kind == "zeros":
        values = np.where(
            rng.random(values.shape) < 0.6, rng.choice((0.0, -0.0), values.shape), values
        )
    elif kind == "nan":
        values = np.where(few, np.nan, values)
    elif kind == "inf":
        values = np.where(few, rng.choice((np.inf, -np.inf), values.shape), values)
    elif kind == "denormal":
        values = np.where(few, rng.choice((tiny / 4, -tiny / 1024), values.shape), values)
    elif kind == "large":
        values = np.where(few, values * 1e4, values)
    return values.astype(dtype)
