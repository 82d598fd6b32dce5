"""The maximum over windows, and its gradient.

    WindowMax((2, 2), (2, 2))      # [c, h, w] -> [c, (h - 2) / 2 + 1, (w - 2) / 2 + 1]

Windows move over the last two axes; those before, of channels and steps, stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from specc.ir import sizes
from specc.ir.graph import Node, apply
from specc.ir.op import Form, Op, ShapeError, WithoutArithmetic
from specc.ir.sizes import Size
from specc.ir.types import Type


class _Windowed(Op):
    """What all ops over windows have in common: they treat every image by itself."""

    abstract = True
    form = Form.KERNEL

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return self

    def one_step(self, node: Node) -> Op | None:
        return self if node.type.rank > 3 else None

    def suits_team(self, node: Node) -> bool:
        return False


@dataclass(frozen=True)
class WindowMax(_Windowed):
    """The largest of each `size` window, moved by `stride`; windows lie wholly inside.

    Of a window with a NaN that is NaN.
    """

    size: tuple[int, int]
    stride: tuple[int, int]

    def infer(self, x: Type) -> Type:
        if x.rank < 3 or x.kind != "float":
            raise ShapeError(f"a window moves over [channels, height, width], not {x}", 0)
        out = list(x.shape[:-2])
        for size, window, stride in zip(x.shape[-2:], self.size, self.stride, strict=True):
            if isinstance(size, int) and window > size:
                raise ShapeError(f"a window of {window} does not fit into {size}", 0)
            out.append((size - window) // stride + 1)
        return replace(x, shape=tuple(out))

    def vjp(self, node, dy):
        x = node.inputs[0]
        position = apply(WindowArgMax(self.size, self.stride), x, node)
        shape = x.type.shape[-2:]
        return (apply(WindowMaxGradient(self.size, self.stride, shape), position, dy),)

    def reference(self, types, x):
        return _windows(x, self).max((-2, -1))

    def flops(self, node: Node) -> Size:
        return node.type.elements * sizes.product(self.size)

    def channels(self, node: Node) -> int:
        return node.type.rank - 2

    def kernel(self, types, lanes: int, width: int):
        return window_max_of_one if lanes == 1 else window_max

    def arguments(self, types, lanes: int) -> dict[str, int]:
        return _extents(self, types[0].shape, self.infer(types[0]).shape, lanes)


@dataclass(frozen=True)
class WindowArgMax(_Windowed, WithoutArithmetic):
    """The position of each window's maximum y: row * width + column.

    It is the first of equal ones, and the first NaN of a window that has any.
    """

    size: tuple[int, int]
    stride: tuple[int, int]

    def infer(self, x: Type, y: Type) -> Type:
        if isinstance(self.size[0], int) and self.size[0] * self.size[1] > 256:
            raise ShapeError(
                f"a window of {self.size[0]}x{self.size[1]} has more than 256 places", 0
            )
        return replace(WindowMax(self.size, self.stride).infer(x), kind="byte")

    def vjp(self, node, dy):
        return None, None

    def reference(self, types, x, y):
        import numpy as np

        flat = _windows(x, self).reshape(*y.shape, -1)
        return flat.argmax(-1).astype(np.uint8)

    @staticmethod
    def kernel(types, lanes: int, width: int):
        return window_argmax

    def arguments(self, types, lanes: int) -> dict[str, int]:
        return _extents(self, types[0].shape, types[1].shape, lanes)


@dataclass(frozen=True)
class WindowMaxGradient(_Windowed, WithoutArithmetic):
    """dx of WindowMax: each window hands its dy to the place of its maximum; `shape` is x's."""

    size: tuple[int, int]
    stride: tuple[int, int]
    shape: tuple[int, int]

    def infer(self, position: Type, dy: Type) -> Type:
        if position.shape != dy.shape:
            raise ShapeError(f"{sizes.show(position.shape)} and {sizes.show(dy.shape)} differ", 1)
        return Type("float", (*dy.shape[:-2], *self.shape), position.batched or dy.batched)

    def vjp(self, node, dy):
        raise NotImplementedError("the second derivative of a window's maximum is not defined")

    def reference(self, types, position, dy):
        import numpy as np

        dx = np.zeros((*dy.shape[:-2], *self.shape), dy.dtype)
        rows, columns = dy.shape[-2:]
        for u in range(self.size[0]):
            for v in range(self.size[1]):
                at = (
                    ...,
                    slice(u, u + (rows - 1) * self.stride[0] + 1, self.stride[0]),
                    slice(v, v + (columns - 1) * self.stride[1] + 1, self.stride[1]),
                )
                dx[at] += np.where(position == u * self.size[1] + v, dy, 0.0)  # dy may be infinite
        return dx

    @staticmethod
    def kernel(types, lanes: int, width: int):
        return window_max_gradient

    def arguments(self, types, lanes: int) -> dict[str, int]:
        return _extents(self, (*types[1].shape[:-2], *self.shape), types[1].shape, lanes)


def _windows(x, op):
    import numpy as np

    views = np.lib.stride_tricks.sliding_window_view(x, op.size, axis=(-2, -1))
    return views[..., :: op.stride[0], :: op.stride[1], :, :]


def _extents(op, x, y, lanes: int) -> dict[str, int]:
    *channels, height, width = x
    rows, columns = y[-2:]
    return {
        "channels": sizes.product(channels),
        "height": height,
        "width": width,
        "rows": rows,
        "columns": columns,
        "size_y": op.size[0],
        "size_x": op.size[1],
        "stride_y": op.stride[0],
        "stride_x": op.stride[1],
        "lanes": lanes,
    }


# Lanes are run through a vector at a time: a loop of a constant length is vectorized as it is, and
# one of an unknown length for several vectors at once, fewer for the rest. `vector` is 1 for a
# single lane.
def window_max(
    x: "float[channels, height, width, lanes]",
    y: "float[channels, rows, columns, lanes]",
    channels: "int",
    height: "int",
    width: "int",
    rows: "int",
    columns: "int",
    size_y: "int",
    size_x: "int",
    stride_y: "int",
    stride_x: "int",
    lanes: "int",
    *,
    vector: "constant",
):
    for c in range(channels):
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride_y, j * stride_x
                for start in range(0, lanes, vector):
                    if size_y == 2 and size_x == 2:
                        for lane in range(start, start + vector):
                            best = x[c, top, left, lane]
                            here = x[c, top, left + 1, lane]
                            best = here if here > best or here != here else best
                            here = x[c, top + 1, left, lane]
                            best = here if here > best or here != here else best
                            here = x[c, top + 1, left + 1, lane]
                            y[c, i, j, lane] = here if here > best or here != here else best
                        continue
                    for lane in range(start, start + vector):
                        y[c, i, j, lane] = x[c, top, left, lane]
                    for u in range(size_y):
                        for v in range(size_x):
                            for lane in range(start, start + vector):
                                here = x[c, top + u, left + v, lane]
                                best = y[c, i, j, lane]
                                y[c, i, j, lane] = here if here > best or here != here else best


def window_max_of_one(
    x: "float[channels, height, width]",
    y: "float[channels, rows, columns]",
    channels: "int",
    height: "int",
    width: "int",
    rows: "int",
    columns: "int",
    size_y: "int",
    size_x: "int",
    stride_y: "int",
    stride_x: "int",
):
    # one example has no lanes: its columns lie side by side
    for c in range(channels):
        for i in range(rows):
            if size_y == 2 and size_x == 2 and stride_x == 2:
                for j in range(columns):
                    a, b = x[c, i * stride_y, 2 * j], x[c, i * stride_y, 2 * j + 1]
                    d, e = x[c, i * stride_y + 1, 2 * j], x[c, i * stride_y + 1, 2 * j + 1]
                    above = b if b > a or b != b else a
                    below = e if e > d or e != e else d
                    y[c, i, j] = below if below > above or below != below else above
                continue
            for j in range(columns):
                y[c, i, j] = x[c, i * stride_y, j * stride_x]
            for u in range(size_y):
                for v in range(size_x):
                    for j in range(columns):
                        here = x[c, i * stride_y + u, j * stride_x + v]
                        best = y[c, i, j]
                        y[c, i, j] = here if here > best or here != here else best


def window_argmax(
    x: "float[channels, height, width, lanes]",
    y: "float[channels, rows, columns, lanes]",
    position: "uint8[channels, rows, columns, lanes]",
    channels: "int",
    height: "int",
    width: "int",
    rows: "int",
    columns: "int",
    size_y: "int",
    size_x: "int",
    stride_y: "int",
    stride_x: "int",
    lanes: "int",
    *,
    vector: "constant",
):
    for c in range(channels):
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride_y, j * stride_x
                for start in range(0, lanes, vector):
                    # from the last place to the first, which so has the last word
                    if size_y == 2 and size_x == 2:
                        for lane in range(start, start + vector):
                            best = y[c, i, j, lane]
                            here = x[c, top + 1, left + 1, lane]
                            place = 3 if here == best or here != here else 0
                            here = x[c, top + 1, left, lane]
                            place = 2 if here == best or here != here else place
                            here = x[c, top, left + 1, lane]
                            place = 1 if here == best or here != here else place
                            here = x[c, top, left, lane]
                            position[c, i, j, lane] = 0 if here == best or here != here else place
                        continue
                    for lane in range(start, start + vector):
                        position[c, i, j, lane] = 0
                    for u in range(size_y - 1, -1, -1):
                        for v in range(size_x - 1, -1, -1):
                            place = u * size_x + v
                            for lane in range(start, start + vector):
                                here = x[c, top + u, left + v, lane]
                                hit = here == y[c, i, j, lane] or here != here
                                before = position[c, i, j, lane]
                                position[c, i, j, lane] = place if hit else before


def window_max_gradient(
    position: "uint8[channels, rows, columns, lanes]",
    dy: "float[channels, rows, columns, lanes]",
    dx: "float[channels, height, width, lanes]",
    channels: "int",
    height: "int",
    width: "int",
    rows: "int",
    columns: "int",
    size_y: "int",
    size_x: "int",
    stride_y: "int",
    stride_x: "int",
    lanes: "int",
    *,
    vector: "constant",
):
    # each element of x is in one window
    tiled = (
        stride_y == 2
        and stride_x == 2
        and size_y == 2
        and size_x == 2
        and height == 2 * rows
        and width == 2 * columns
    )
    for c in range(channels):
        if tiled:
            for i in range(rows):
                for j in range(columns):
                    for start in range(0, lanes, vector):
                        for lane in range(start, start + vector):
                            place, handed = position[c, i, j, lane], dy[c, i, j, lane]
                            dx[c, 2 * i, 2 * j, lane] = handed if place == 0 else 0.0
                            dx[c, 2 * i, 2 * j + 1, lane] = handed if place == 1 else 0.0
                            dx[c, 2 * i + 1, 2 * j, lane] = handed if place == 2 else 0.0
                            dx[c, 2 * i + 1, 2 * j + 1, lane] = handed if place == 3 else 0.0
            continue
        for i in range(height):
            for j in range(width):
                for lane in range(lanes):
                    dx[c, i, j, lane] = 0.0
        for i in range(rows):
            for j in range(columns):
                for u in range(size_y):
                    for v in range(size_x):
                        place = u * size_x + v
                        for start in range(0, lanes, vector):
                            for lane in range(start, start + vector):
                                handed = (
                                    dy[c, i, j, lane] if position[c, i, j, lane] == place else 0.0
                                )
                                dx[c, i * stride_y + u, j * stride_x + v, lane] += handed
