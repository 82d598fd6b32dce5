"""Statements of layers: dense, normalizing, windows, and values over the examples of a batch."""

from __future__ import annotations

from .writer import Value, Writer

ACTIVATIONS = ("", "", " -> tanh", " -> relu", " -> sigmoid", " -> gelu")


def dense(w: Writer) -> Value | None:
    a = w.some(lambda each: each.rank == 1)
    units = w.rng.choice((1, 2, 3, 4, 5, 8, 9, 17))
    more = w.rng.choice(("", "", ", bias=false", ", bias_init=0.1"))
    tail = w.rng.choice(ACTIVATIONS)
    return a and w.let(f"{a.name} -> dense({units}{more}){tail}", (units,), a)


def shared(w: Writer) -> Value | None:
    """A layer that is applied to two values, or twice to one."""
    a = w.some(lambda each: each.rank == 1)
    b = a and w.like(a)
    if b is None or w.in_cell:
        return None
    units, name = w.rng.choice((1, 2, 3, 5)), w.name("f")
    w.lines.append(f"layer {name} = dense({units}){w.rng.choice(ACTIVATIONS)}")
    return w.let(f"{name}({a.name}) {w.rng.choice('+-*')} {name}({b.name})", (units,), a, b)


def vector(w: Writer) -> Value | None:
    a = w.some(lambda each: each.rank == 1)
    if a is None:
        return None
    if w.rng.random() < 0.15:
        units = w.size()
        pieces = w.rng.choice((2, 3))
        return w.let(f"maxout({a.name}; {units}, pieces={pieces})", (units,), a)
    return w.let(f"{w.rng.choice(('softmax', 'log_softmax'))}({a.name})", a.shape, a)


def normalized(w: Writer) -> Value | None:
    a = w.some(lambda each: each.rank > 0)
    if a is None:
        return None
    word = w.rng.choice(("layernorm", "prelu", "batchnorm"))
    if word == "batchnorm" and (not a.batched or w.in_cell):
        word = "layernorm"
    # the deviation of equal numbers is that of their rounding
    inner = "" if word == "prelu" else "; epsilon=0.1"
    return w.let(f"{word}({a.name}{inner})", a.shape, a)


def image(w: Writer) -> Value | None:
    """A value [c, h, w], by a reshape or a parameter if there is none."""
    found = w.some(lambda each: each.rank == 3 and min(each.shape[1:]) > 1)
    if found is None or w.rng.random() < 0.1:
        shape = (w.rng.choice((1, 1, 2, 3)), w.rng.choice((2, 3, 4, 5)), w.rng.choice((2, 3, 4, 5)))
        return w.param(shape)
    return found


def _window(w: Writer, size: int, dilation: int = 1, padded: bool = True):
    """A window over an axis: its kernel, stride, pad, and the places that it has."""
    for _ in range(20):
        kernel = w.rng.choice((1, 2, 2, 3, 3, 4))
        stride = w.rng.choice((1, 1, 1, 2, 2, 3))
        pad = w.rng.choice((0, 0, 1, 2)) if padded else 0
        left = size + 2 * pad - dilation * (kernel - 1) - 1
        if pad < kernel and left >= 0:
            return kernel, stride, pad, left // stride + 1, left % stride == 0
    return 1, 1, 0, size, True


def _settings(w: Writer, shape, kernel: str, dilation: int = 1):
    """The settings of a window over [h, w], and the shape that comes out."""
    rows = _window(w, shape[0], dilation)
    columns = _window(w, shape[1], dilation)
    whole = rows[4] and columns[4]
    text = (
        f"{kernel}={rows[0]}, {kernel}_width={columns[0]}, stride={rows[1]},"
        f" stride_width={columns[1]}, pad={rows[2]}, pad_width={columns[2]}"
        + ("" if whole else ", round=floor")
    )
    return text, (rows[3], columns[3])


def convolution(w: Writer) -> Value | None:
    a = image(w)
    channels = a.shape[0]
    groups = w.rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
    filters = groups * w.rng.choice((1, 2, 3))
    dilation = w.rng.choice((1, 1, 1, 2))
    text, places = _settings(w, a.shape[1:], "kernel", dilation)
    more = f", dilation={dilation}" * (dilation > 1) + f", groups={groups}" * (groups > 1)
    if w.rng.random() < 0.2:
        more += ", bias=false"
    tail = w.rng.choice(ACTIVATIONS)
    return w.let(f"{a.name} -> conv({filters}, {text}{more}){tail}", (filters, *places), a)


def transposed_convolution(w: Writer) -> Value | None:
    a = image(w)
    sizes, parts = [], []
    for axis in (1, 2):
        kernel, stride = w.rng.choice((1, 2, 3)), w.rng.choice((1, 1, 2, 3))
        pad = w.rng.choice((0, 0, 1)) if (a.shape[axis] - 1) * stride + kernel > 2 else 0
        parts.append((kernel, stride, pad))
        sizes.append((a.shape[axis] - 1) * stride + kernel - 2 * pad)
    (kernel, stride, pad), (wide, step, margin) = parts
    filters = w.rng.choice((1, 2, 3))
    return w.let(
        f"{a.name} -> conv_transpose({filters}, kernel={kernel}, stride={stride}, pad={pad},"
        f" kernel_width={wide}, stride_width={step}, pad_width={margin})",
        (filters, *sizes),
        a,
    )


def pooled(w: Writer) -> Value | None:
    a = image(w)
    word = w.rng.choice(
        ("maxpool", "avgpool", "maxpool", "avgpool", "global_avgpool", "global_maxpool")
    )
    if word.startswith("global"):
        return w.let(f"{word}({a.name})", a.shape[:1], a)
    text, places = _settings(w, a.shape[1:], "size")
    return w.let(f"{a.name} -> {word}({text})", (a.shape[0], *places), a)


def upsampled(w: Writer) -> Value | None:
    a = w.some(lambda each: each.rank == 3)
    factor = w.rng.choice((2, 2, 3))
    return a and w.let(
        f"upsample({a.name}; {factor})", (a.shape[0], a.shape[1] * factor, a.shape[2] * factor), a
    )


def own_kernel(w: Writer) -> Value | None:
    """A convolution whose kernel is a value of each example, or computed from parameters."""
    a = image(w)
    if a.steps:
        return None
    filters = w.rng.choice((1, 2))
    rows, columns = (min(size, w.rng.choice((1, 2, 2, 3))) for size in a.shape[1:])
    is_transpose = w.rng.random() < 0.3
    lead = (a.shape[0], filters) if is_transpose else (filters, a.shape[0])
    shape = (*lead, rows, columns)
    total = lead[0] * lead[1] * rows * columns
    source = w.some(lambda each: each.rank == 1 and not each.steps)
    if source is None or w.rng.random() < 0.2:
        weight = w.param(shape)
    else:
        weight = w.let(
            f"reshape(dense({source.name}; {total}); {', '.join(map(str, shape))})", shape, source
        )
    if weight is None:
        return None
    stride = w.rng.choice((1, 1, 2))
    if is_transpose:
        places = [
            (size - 1) * stride + kernel
            for size, kernel in zip(a.shape[1:], (rows, columns), strict=True)
        ]
        return w.let(
            f"convolve_transpose({a.name}, {weight.name}; stride={stride})",
            (filters, *places),
            a,
            weight,
        )
    places = [
        (size - kernel) // stride + 1
        for size, kernel in zip(a.shape[1:], (rows, columns), strict=True)
    ]
    first = w.rng.choice((a.name, f"tanh({a.name})"))
    return w.let(
        f"convolve({first}, {weight.name}; stride={stride}, round=floor)",
        (filters, *places),
        a,
        weight,
    )


def among_peers(w: Writer) -> Value | None:
    """A value over all examples of the batch."""
    a = w.some(lambda each: each.rank == 1 and each.batched and not each.steps)
    if a is None:
        return None
    x, kind = a.name, w.rng.randrange(6)
    if kind == 0:
        return w.let(
            f"peer_mean(sum(abs(peers({x}) - rows({x}, peers({x}))); axis=1))", (), a, crossing=True
        )
    if kind == 1:
        return w.let(
            f"{w.rng.choice(('sum', 'mean'))}(peers({x}); axis=0)",
            a.shape,
            a,
            crossing=True,
            batched=False,
        )
    if kind == 2:
        return w.let(f"sum(softmax(peers({x}) @ {x}) * (peers({x}) @ {x}))", (), a, crossing=True)
    if kind == 3:
        return w.let(f"batch_mean({x})", a.shape, a, crossing=True, batched=False)
    if kind == 4:
        return w.let(f"{x} - peer_mean(peers({x}))", a.shape, a, crossing=True)
    return w.let(f"log(sum(exp(0.3 * (peers({x}) @ {x}))))", (), a, crossing=True)
