"""The maximum over windows, and its first and second gradient.

    WindowMax((2, 2), (2, 2))      # [c, h, w] -> [c, (h - 2) / 2 + 1, (w - 2) / 2 + 1]

Windows move over the last two axes; those before, of channels and steps, stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from specc.ir import sizes
from specc.ir.graph import Node, apply
from specc.ir.op import Cut, Gradients, Kernel, Op, ShapeError, Types, WithKernel, WithoutArithmetic
from specc.ir.sizes import Shape, Size
from specc.ir.types import Type
from specc.ops.elementwise import of_each
from specc.ops.kernels import window as kernels
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np

_OWN_POSITIONS = "windows and their positions vary together over the batch; please report this"


class _Windowed(WithKernel):
    """The facts shared by the ops over windows, which process every image separately."""

    abstract = True

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return self

    def one_at(self, node: Node, axis: int) -> Cut | None:
        return Cut(self, (axis,) * len(node.inputs)) if axis < node.type.rank - 3 else None

    def suits_tensor_parallel(self, node: Node) -> bool:
        return False


@dataclass(frozen=True)
class WindowMax(_Windowed):
    """The maximum of each `size` window, moved by `stride`; windows do not reach over the edge.

    The maximum of a window that contains a NaN is NaN.
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

    def vjp(self, node: Node, dy: Node) -> Gradients:
        x, dy = node.inputs[0], _of_each(dy, node)
        position = apply(WindowArgMax(self.size, self.stride), x, node)
        shape = x.type.shape[-2:]
        return (apply(WindowMaxGradient(self.size, self.stride, shape), position, dy),)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        return _windows(x, self).max((-2, -1))

    def flops(self, node: Node) -> Size:
        return node.type.elements * sizes.product(self.size)

    def channels(self, node: Node) -> int:
        return node.type.rank - 2

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        return kernels.window_max_of_one if lanes == 1 else kernels.window_max

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        return _extents(self, types[0].shape, self.infer(types[0]).shape, lanes)


@dataclass(frozen=True)
class WindowArgMax(_Windowed, WithoutArithmetic):
    """The position of each window's maximum y: row * width + column.

    Among equal elements the first one counts. If a window has NaNs, its first NaN counts.
    """

    size: tuple[int, int]
    stride: tuple[int, int]

    def infer(self, x: Type, y: Type) -> Type:
        if isinstance(self.size[0], int) and self.size[0] * self.size[1] > 256:
            raise ShapeError(
                f"a window of {self.size[0]}x{self.size[1]} has more than 256 positions", 0
            )
        return replace(WindowMax(self.size, self.stride).infer(x), kind="byte")

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return None, None

    def reference(self, types: Types, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        import numpy as np

        flat = _windows(x, self).reshape(*y.shape, -1)
        return flat.argmax(-1).astype(np.uint8)

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        return kernels.window_argmax

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        return _extents(self, types[0].shape, types[1].shape, lanes)


@dataclass(frozen=True)
class WindowMaxGradient(_Windowed, WithoutArithmetic):
    """dx of WindowMax: each window's dy is added at its maximum.

    `shape` is the last two axes of x.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    shape: Shape

    def infer(self, position: Type, dy: Type) -> Type:
        if position.shape != dy.shape:
            raise ShapeError(f"{sizes.show(position.shape)} and {sizes.show(dy.shape)} differ", 1)
        assert position.batched == dy.batched, _OWN_POSITIONS
        return Type("float", (*dy.shape[:-2], *self.shape), dy.batched)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        take = WindowTake(self.size, self.stride)
        return None, apply(take, node.inputs[0], _of_each(dy, node))

    def reference(self, types: Types, position: np.ndarray, dy: np.ndarray) -> np.ndarray:
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

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        return kernels.window_max_gradient

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        return _extents(self, (*types[1].shape[:-2], *self.shape), types[1].shape, lanes)


@dataclass(frozen=True)
class WindowTake(_Windowed, WithoutArithmetic):
    """The element of each window of x at the position that WindowArgMax has found.

    It is the gradient of WindowMaxGradient, which is linear in dy.
    """

    size: tuple[int, int]
    stride: tuple[int, int]

    def infer(self, position: Type, x: Type) -> Type:
        y = WindowMax(self.size, self.stride).infer(x)
        if position.shape != y.shape:
            raise ShapeError(f"{sizes.show(position.shape)} and {sizes.show(y.shape)} differ", 0)
        assert position.batched == x.batched, _OWN_POSITIONS
        return y

    def vjp(self, node: Node, dy: Node) -> Gradients:
        position, x = node.inputs
        back = WindowMaxGradient(self.size, self.stride, x.type.shape[-2:])
        return None, apply(back, position, _of_each(dy, node))

    def reference(self, types: Types, position: np.ndarray, x: np.ndarray) -> np.ndarray:
        import numpy as np

        y: np.ndarray | float = 0.0
        for place in range(self.size[0] * self.size[1]):
            here = _windows(x, self)[..., place // self.size[1], place % self.size[1]]
            y = np.where(position == place, here, y)
        assert isinstance(y, np.ndarray), "a window has an element; please report this"
        return y

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        return kernels.window_take

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        return _extents(self, types[1].shape, types[0].shape, lanes)


def _of_each(dy: Node, y: Node) -> Node:
    """Return dy as a value of each example if y is one: kernels read both at the same lanes."""
    return of_each(dy, y) if y.type.batched and not dy.type.batched else dy


def _windows(x: np.ndarray, op: WindowMax | WindowArgMax | WindowTake) -> np.ndarray:
    import numpy as np

    views = np.lib.stride_tricks.sliding_window_view(x, op.size, axis=(-2, -1))
    return views[..., :: op.stride[0], :: op.stride[1], :, :]


def _extents(
    op: WindowMax | WindowArgMax | WindowMaxGradient | WindowTake, x: Shape, y: Shape, lanes: int
) -> dict[str, int]:
    *channels, height, width = map(sizes.bound, x)
    rows, columns = map(sizes.bound, y[-2:])
    return {
        "channels": sizes.count(channels),
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
