"""Statements of arithmetic, views, reductions, products and choices.

Each production takes a Writer and returns the value that it has added, or None if it does not
apply.
"""

from __future__ import annotations

from math import prod

from .writer import Value, Writer, together

SMOOTH = (
    "tanh({a})",
    "sigmoid({a})",
    "erf({a})",
    "sin({a})",
    "cos({a})",
    "silu({a})",
    "gelu({a})",
    "gelu({a}; form=tanh)",
    "softplus({a})",
    "mish({a})",
    "exp(min({a}, 2))",
    "exp(-abs({a}))",
    "sqrt(abs({a}) + 0.1)",
    "log(abs({a}) + 0.5)",
    "1 / (1 + {a} * {a})",
    "{a} ^ 2",
    "2 ^ tanh({a})",
    "(1 + {a} * {a}) ^ -0.5",
    "0.7 * {a} + 0.1",
    "1 - {a}",
    "-{a}",
)
EDGED = (
    "relu({a})",
    "leaky_relu({a})",
    "leaky_relu({a}; 0.2)",
    "elu({a})",
    "elu({a}; 0.7)",
    "selu({a})",
    "abs({a})",
    "sign({a})",
    "floor({a})",
    "max({a}, 0.1)",
    "min({a}, 0.3)",
    "{a} % 1.5",
    "{a} // 0.5",
    "if {a} > 0 then {a} else 0.3",
    "if {a} == 0 then 1 else {a}",
    "stop_gradient({a})",
    "if {a} < -0.5 or {a} > 0.5 then {a} * {a} else 0.25",
    "if training then {a} else 0.5 * {a}",
)
BINARY = (
    "{a} + {b}",
    "{a} - {b}",
    "{a} * {b}",
    "{a} / (1 + {b} * {b})",
    "max({a}, {b})",
    "min({a}, {b})",
    "if {a} > {b} then {a} else 0.5 * {b}",
    "if {a} >= {b} and {b} > 0 then {a} else {b}",
    "if not ({a} < 0) or {b} == {a} then sin({a}) else {b}",
    "0.3 * {a} + {b} * {b}",
    "({a} - {b}) ^ 2",
    "(1 + {a} * {a}) ^ tanh({b})",
    "{a} + stop_gradient({b})",
    "{a} + tanh({b})",
)


def unary(w: Writer) -> Value | None:
    a = w.some()
    form = w.rng.choice(SMOOTH if w.rng.random() < 0.6 else EDGED)
    if w.in_cell and "training" in form:
        form = "tanh({a})"
    return a and w.let(form.format(a=a.name), a.shape, a)


def binary(w: Writer) -> Value | None:
    a = w.some()
    b = a and w.like(a)
    return b and w.let(w.rng.choice(BINARY).format(a=a.name, b=b.name), a.shape, a, b)


def scaled(w: Writer) -> Value | None:
    """A value and a scalar: another value's mean, or a parameter."""
    a = w.some(lambda each: each.rank > 0)
    if a is None:
        return None
    if w.rng.random() < 0.3:
        p = w.param((), "0.5")
        return w.let(f"{a.name} * {p.name}", a.shape, a)
    b = w.some(lambda each: together(each, a))
    sign = w.rng.choice("+-*")
    return b and w.let(f"{a.name} {sign} mean({b.name})", a.shape, a, b)


def beside(w: Writer) -> Value | None:
    """A computed value beside a view of itself: transposed, shifted, rotated, strided."""
    a = w.some(lambda each: each.rank > 0 and max(each.shape) > 1)
    if a is None:
        return None
    function = w.rng.choice(("tanh", "sin", "exp", "relu"))
    inner = f"-abs({a.name})" if function == "exp" else a.name
    y = w.let(f"{function}({inner})", a.shape, a)
    if y is None:
        return None
    sign = w.rng.choice("+-*")
    squares = [(i, j) for i in range(a.rank) for j in range(i) if a.shape[i] == a.shape[j] > 1]
    if squares and w.rng.random() < 0.7:
        i, j = w.rng.choice(squares)
        order = list(range(a.rank))
        order[i], order[j] = j, i
        turned = f"transpose({y.name}; {', '.join(map(str, order))})"
        one, other = w.rng.sample((y.name, turned), 2)
        return w.let(f"{one} {sign} {other}", a.shape, y)
    axis = w.rng.choice([k for k, size in enumerate(a.shape) if size > 1])
    size, before = a.shape[axis], ":, " * axis
    kind = w.rng.randrange(3)
    if kind == 0:
        shape = (*a.shape[:axis], size - 1, *a.shape[axis + 1 :])
        one, other = f"{y.name}[{before}0:{size - 1}]", f"{y.name}[{before}1:{size}]"
        return w.let(f"{one} {sign} {other}", shape, y)
    if kind == 1:
        cut = w.rng.randrange(1, size)
        moved = f"concat({y.name}[{before}{cut}:], {y.name}[{before}:{cut}]; axis={axis})"
        return w.let(f"{y.name} {sign} {moved}", a.shape, y)
    half = size // 2
    shape = (*a.shape[:axis], half, *a.shape[axis + 1 :])
    one, other = f"{y.name}[{before}0:{2 * half}:2]", f"{y.name}[{before}{size - half}:]"
    return w.let(f"{one} {sign} {other}", shape, y)


def sliced(w: Writer) -> Value | None:
    a = w.some(lambda each: each.rank > 0)
    if a is None:
        return None
    items, shape = [], []
    for size in a.shape:
        kind = w.rng.randrange(6)
        if kind < 2 or (size == 1 and kind != 2):
            items.append(":")
            shape.append(size)
        elif kind == 2:
            items.append(str(w.rng.randrange(-size, size)))
        else:
            start = w.rng.randrange(size)
            stop = w.rng.randrange(start + 1, size + 1)
            step = w.rng.choice((1, 1, 2, 3)) if kind > 3 else 1
            first = start - size if w.rng.random() < 0.3 else start
            last = "" if stop == size else stop - size if w.rng.random() < 0.3 else stop
            items.append(f"{first}:{last}" + (f":{step}" if step > 1 else ""))
            shape.append(-(-(stop - start) // step))
    while items and items[-1] == ":":
        items.pop()
    if not items:
        return None
    return w.let(f"{a.name}[{', '.join(items)}]", shape, a)


def rearranged(w: Writer) -> Value | None:
    """Another order of axes, another shape, repeats."""
    a = w.some(lambda each: each.rank > 0)
    if a is None:
        return None
    kind = w.rng.randrange(6)
    if kind < 2 and a.rank > 1:
        order = w.rng.sample(range(a.rank), a.rank)
        shape = [a.shape[each] for each in order]
        return w.let(f"transpose({a.name}; {', '.join(map(str, order))})", shape, a)
    if kind == 2:
        return w.let(f"flatten({a.name})", (prod(a.shape),), a)
    if kind == 3:
        axis, times = w.rng.randrange(a.rank), w.rng.choice((2, 3))
        shape = (*a.shape[:axis], a.shape[axis] * times, *a.shape[axis + 1 :])
        return w.let(f"repeat({a.name}; {times}, axis={axis})", shape, a)
    total, shape = prod(a.shape), []
    for _ in range(w.rng.choice((1, 2, 2, 3))):
        size = w.rng.choice([d for d in range(1, total + 1) if total % d == 0])
        shape.append(size)
        total //= size
    shape = w.rng.sample([*shape, total], len(shape) + 1)
    return w.let(f"reshape({a.name}; {', '.join(map(str, shape))})", shape, a)


def joined(w: Writer) -> Value | None:
    a = w.some(lambda each: each.rank > 0)
    if a is None:
        return None
    axis = w.rng.randrange(a.rank)

    def fits(each: Value) -> bool:
        return (
            each.rank == a.rank
            and together(each, a)
            and each.shape[:axis] == a.shape[:axis]
            and each.shape[axis + 1 :] == a.shape[axis + 1 :]
        )

    parts = [a, *(w.some(fits) for _ in range(w.rng.choice((1, 1, 2))))]
    shape = (*a.shape[:axis], sum(each.shape[axis] for each in parts), *a.shape[axis + 1 :])
    joined_names = ", ".join(each.name for each in parts)
    return w.let(f"concat({joined_names}; axis={axis})", shape, *parts)


def parted(w: Writer) -> Value | None:
    a = w.some(lambda each: any(size % 2 == 0 or size == 3 for size in each.shape))
    if a is None:
        return None
    axis = w.rng.choice([k for k, size in enumerate(a.shape) if size % 2 == 0 or size == 3])
    parts = 3 if a.shape[axis] == 3 else 2
    shape = (*a.shape[:axis], a.shape[axis] // parts, *a.shape[axis + 1 :])
    made = [
        Value(w.name(), shape, batched=a.batched, steps=a.steps, crossing=a.crossing)
        for _ in range(parts)
    ]
    written = ", ".join(each.name for each in made)
    w.lines.append(f"let {written} = split({a.name}; {parts}, axis={axis})")
    w.values += made
    return made[-1]


def spread(w: Writer) -> Value | None:
    """A value repeated over the first or the last axes of another."""
    x = w.some(lambda each: each.rank > 1)
    if x is None:
        return None
    first = w.rng.random() < 0.5
    cut = w.rng.randrange(1, x.rank)
    shape = x.shape[:cut] if first else x.shape[cut:]
    b = w.like(x, shape) or w.param(shape)
    word = "spread" if first else "rows"
    sign = w.rng.choice("+*")
    return w.let(f"{x.name} {sign} {word}({b.name}, {x.name})", x.shape, x, b)


def reduced(w: Writer) -> Value | None:
    a = w.some(lambda each: each.rank > 0)
    if a is None:
        return None
    word = w.rng.choice(("sum", "mean", "max", "min"))
    kind = w.rng.randrange(3)
    if kind == 0 or a.rank == 1:
        return w.let(f"{word}({a.name})", (), a)
    if kind == 1:
        axis = w.rng.randrange(a.rank)
        shape = (*a.shape[:axis], *a.shape[axis + 1 :])
        return w.let(f"{word}({a.name}; axis={axis})", shape, a)
    keep = w.rng.randrange(1, a.rank)
    return w.let(f"{word}({a.name}; keep={keep})", a.shape[:keep], a)


def placed(w: Writer) -> Value | None:
    a = w.some(lambda each: each.rank > 0)
    if a is None:
        return None
    return w.let(f"{a.name} * positions({a.name}; axis={w.rng.randrange(a.rank)})", a.shape, a)


def multiplied(w: Writer) -> Value | None:
    """A product of matrices and vectors, batched or not, maybe of a value with its transpose."""
    a = w.some(lambda each: each.rank in (1, 2))
    if a is None:
        return None
    if a.rank == 2 and w.rng.random() < 0.3:
        one, other, size = (a.name, f"transpose({a.name})", a.shape[0])
        if w.rng.random() < 0.5:
            one, other, size = other, one, a.shape[1]
        return w.let(f"{one} @ {other}", (size, size), a)
    b = w.some(
        lambda each: each.rank in (1, 2) and each.shape[0] == a.shape[-1] and together(each, a)
    )
    if b is None or w.rng.random() < 0.3:
        b = w.param((a.shape[-1], w.size()))
    if w.rng.random() < 0.2 and a.rank == 1:
        p = w.param((w.size(), a.shape[0]))
        return w.let(f"{p.name} @ {a.name}", p.shape[:1], a)
    return w.let(f"{a.name} @ {b.name}", (*a.shape[:-1], *b.shape[1:]), a, b)


def chosen(w: Writer) -> Value | None:
    """A branch by a boolean, or by a comparison with a class."""
    a = w.some()
    b = a and w.like(a)
    if b is None:
        return None
    if (truth := w.of("bool")) is not None and together(truth, a) and w.rng.random() < 0.5:
        return w.let(f"if {truth.name} then {a.name} else {b.name}", a.shape, a, b, truth)
    k = w.of("class", a.steps)
    if k is None or k.shape:
        return None
    test = f"{k.name} == {w.rng.randrange(k.classes)}"
    return w.let(f"if {test} then {a.name} else tanh({b.name})", a.shape, a, b, k)


def gathered(w: Writer) -> Value | None:
    """Rows by a class: of a parameter, of a value of each example, of `embed`; and one_hot."""
    k = w.of("class")
    if k is None:
        return None
    kind = w.rng.randrange(4)
    if kind == 0 and not k.shape:
        units = w.size()
        return w.let(f"{k.name} -> embed({units})", (units,), k)
    if kind == 1 and not k.shape:
        return w.let(f"one_hot({k.name})", (k.classes,), k)
    a = w.some(lambda each: each.rank > 0 and each.shape[0] == k.classes and together(each, k))
    if a is None or kind == 2:
        a = w.param((k.classes, *[w.size() for _ in range(w.rng.randrange(3))]))
    return w.let(f"{a.name}[{k.name}]", (*k.shape, *a.shape[1:]), a, k)


def classified(w: Writer) -> Value | None:
    """The class of a vector's largest element."""
    a = w.some(lambda each: each.rank == 1 and each.shape[0] > 1 and not each.steps)
    return a and w.let(f"argmax({a.name})", (), a, kind="class", classes=a.shape[0])


def compared(w: Writer) -> Value | None:
    a = w.some(lambda each: each.rank == 0)
    return a and w.let(f"{a.name} > {w.rng.choice(('0', '0.2', '-0.1'))}", (), a, kind="bool")


def random_numbers(w: Writer) -> Value | None:
    a = w.some(lambda each: not each.steps)
    form = w.rng.choice(
        (
            "dropout({a}; 0.3)",
            "{a} + uniform({a})",
            "{a} * uniform({a}; -1, 2)",
            "{a} + 0.1 * normal({a})",
        )
    )
    return a and w.let(form.format(a=a.name), a.shape, a)
