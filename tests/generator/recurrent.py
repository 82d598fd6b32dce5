"""Statements over sequences: cells of the library, cells of the program's own, and whole
sequences."""

from __future__ import annotations

from . import formulas, layers
from .writer import Value, Writer

CELLS = ("rnn", "irnn", "lstm", "peephole_lstm", "gru")
STEPS_OF_CELLS = (
    formulas.unary,
    formulas.binary,
    formulas.unary,
    formulas.binary,
    layers.dense,
    formulas.joined,
    formulas.sliced,
    layers.vector,
    formulas.scaled,
    formulas.reduced,
    formulas.beside,
    formulas.parted,
)


def vector(w: Writer) -> Value | None:
    return w.some(lambda each: each.steps and each.rank == 1)


def library_cell(w: Writer) -> Value | None:
    a = vector(w)
    units = w.rng.choice((1, 2, 3, 4, 5))
    if a is None:
        return None
    word = w.rng.choice(CELLS)
    if w.rng.random() < 0.3:
        states = 2 if word.endswith("lstm") else 1
        names = [w.name() for _ in range(1 + states)]
        w.lines.append(f"let {', '.join(names)} = {a.name} -> {word}({units})")
        made = [
            Value(name, (units,), steps=k == 0, crossing=a.crossing) for k, name in enumerate(names)
        ]
        w.values += made[::-1]
        return made[0]
    return w.let(f"{a.name} -> {word}({units})", (units,), a)


def own_cell(w: Writer) -> Value | None:
    """A cell with one or two states, and a few statements."""
    a = vector(w)
    if a is None:
        return None
    inner = Writer(w.rng, w.off)
    inner.in_cell, inner.count = True, 100 * (1 + len(w.before))
    inner.values.append(Value("x", a.shape))
    states = {f"s{k}": w.rng.choice((1, 2, 3, 5)) for k in range(w.rng.choice((1, 1, 2)))}
    inner.values += [Value(name, (size,)) for name, size in states.items()]
    declared = [
        f"  state {name}: float[{size}] = {w.rng.choice((0, 0, 0.3))}"
        for name, size in states.items()
    ]
    for _ in range(w.rng.randint(1, 5)):
        w.rng.choice(STEPS_OF_CELLS)(inner)
    ends = []
    for name, size in states.items():
        value = inner.some(lambda each, size=size: each.shape == (size,))
        if w.rng.random() < 0.4:
            source = inner.some(lambda each: each.rank == 1)
            value = inner.let(f"concat({source.name}, {name}) -> dense({size})", (size,), source)
        form = w.rng.choice(("tanh({})", "0.5 * {}", "{}"))
        # a state that stays as it was is refused
        written = form.format(value.name) if value.name != name else f"0.5 * {name} + 0.1"
        ends.append(f"  next {name} = {written}")
    result = inner.some(lambda each: each.rank == 1 and each.name not in ("x", *states))
    if result is None:
        result = inner.let(f"concat(x, {', '.join(states)}) -> dense(2)", (2,), inner.values[0])
    # parameters in the middle of a cell go before its formulas
    lines = sorted(inner.lines, key=lambda line: not line.startswith("param"))
    name = w.name("c")
    body = [*declared, *(f"  {line}" for line in lines), *ends, f"  return {result.name}"]
    kept = _used(body)
    w.before.append("\n".join([f"cell {name}(x: float[{a.shape[0]}]) {{", *kept, "}"]))
    return w.let(f"{a.name} -> {name}", result.shape, a)


def _used(body: list[str]) -> list[str]:
    """The statements of a cell that something reads."""
    from .program import declared, names

    needed: set[str] = set()
    kept: list[str] = []
    for line in reversed(body):
        found = declared(line.strip())
        if not found or needed & set(found):
            needed |= names(line)
            kept.insert(0, line)
    return kept


def whole(w: Writer) -> Value | None:
    """One value of a sequence: its last or first step, its mean or sum."""
    a = w.some(lambda each: each.steps)
    form = w.rng.choice(("last({a})", "first({a})", "mean({a}; over=time)", "sum({a}; over=time)"))
    return a and w.let(form.format(a=a.name), a.shape, a, steps=False)


def moved(w: Writer) -> Value | None:
    """A sequence in reverse, one step late, or beside such a view of itself."""
    a = w.some(lambda each: each.steps)
    words = ["previous"] if "stream" in w.off else ["reverse", "reverse", "previous"]
    if a is None or "moved" in w.off:
        return None
    word = w.rng.choice(words)
    if w.rng.random() < 0.5:
        return w.let(f"{word}({a.name})", a.shape, a)
    y = w.let(f"tanh({a.name})", a.shape, a)
    return y and w.let(f"{y.name} {w.rng.choice('+-*')} {word}({y.name})", a.shape, y)


def along(w: Writer) -> Value | None:
    a = w.some(lambda each: not each.steps)
    return a and w.let(f"along({a.name}; time)", a.shape, a, steps=True, batched=True)
