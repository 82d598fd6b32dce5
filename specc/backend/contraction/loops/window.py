"""The loops around the tiles of windows that move over each channel separately.

window_kernel(target, line, (8, 0, 0, 0))       # rows in pieces of 8 positions
"""

from __future__ import annotations

from typing import no_type_check

from specc.backend.contraction.target import Target
from specc.backend.llvm.kernel import Kernel
from specc.backend.llvm.windows import Piece, text_of
from specc.system.records import dataclass
from specc.target.language import real, view, word


@dataclass(frozen=True)
class TapLine:
    """The layout of the taps of a line: their number, and strides in elements.

    For `step`, `apart` and `spread` see `row_tile`.
    """

    taps: int
    step: int
    apart: int
    spread: bool
    x_step: int
    w_step: int
    out_step: int


@no_type_check
def window(
    x: "int",
    w: "int",
    out: "int",
    groups: "int",
    group_count: "int",
    x_at: "int",
    w_at: "int",
    positions: "int",
    lanes: "int",
    row: "int",
    *,
    tile: "windows.row_tile(taps, step, apart, spread, piece, x_step, w_step, out_step, dtype,"
    " width)",
    taps: "constant",
    step: "constant",
    apart: "constant",
    spread: "constant",
    piece: "constant",
    size: "constant",
    x_step: "constant",
    w_step: "constant",
    out_step: "constant",
    dtype: "constant",
    width: "constant",
    item: "constant",
):
    for c in range(group_count):
        first, lines = word(groups, 4 * c), word(groups, 4 * c + 1)
        for q in range(word(groups, 4 * c + 2), word(groups, 4 * c + 3)):
            w_q = w + item * word(positions, 3 * q)
            x_q = x + item * word(positions, 3 * q + 1)
            out_q = out + item * word(positions, 3 * q + 2)
            for n in range((row + size - 1) // size):
                p = min(n * size, row - size)
                for v in range(0, lanes, width):
                    at = out_q + item * (p * out_step + v)
                    if lines > 0:
                        tile(
                            x_q + item * (p * step * x_step + v),
                            w_q,
                            x_at + 8 * first,
                            w_at + 8 * first,
                            lines,
                            at,
                        )
                    else:
                        for k in range(size):
                            zeros = view(at + item * k * out_step, (width,), real)
                            for i in range(width):
                                zeros[i] = 0.0


@no_type_check
def window_edges(
    x: "int",
    w: "int",
    out: "int",
    groups: "int",
    group_count: "int",
    x_at: "int",
    w_at: "int",
    positions: "int",
    lanes: "int",
    middles: "int",
    x_middle: "int",
    x_last: "int",
    out_last: "int",
    *,
    begin: "windows.row_tile(taps, step, apart, spread, piece, x_step, w_step, out_step, dtype,"
    " width)",
    tile: "windows.row_tile(taps, step, apart, spread, middle, x_step, w_step, out_step, dtype,"
    " width)",
    end: "windows.row_tile(taps, step, apart, spread, last, x_step, w_step, out_step, dtype,"
    " width)",
    taps: "constant",
    step: "constant",
    apart: "constant",
    spread: "constant",
    piece: "constant",
    middle: "constant",
    last: "constant",
    size: "constant",
    x_step: "constant",
    w_step: "constant",
    out_step: "constant",
    dtype: "constant",
    width: "constant",
    item: "constant",
):
    row = out_last + size
    for c in range(group_count):
        first, lines = word(groups, 4 * c), word(groups, 4 * c + 1)
        x_c, w_c = x_at + 8 * first, w_at + 8 * first
        for q in range(word(groups, 4 * c + 2), word(groups, 4 * c + 3)):
            w_q = w + item * word(positions, 3 * q)
            x_q = x + item * word(positions, 3 * q + 1)
            out_q = out + item * word(positions, 3 * q + 2)
            if lines == 0:
                for k in range(row):
                    zeros = view(out_q + item * k * out_step, (lanes,), real)
                    for i in range(lanes):
                        zeros[i] = 0.0
            else:
                for v in range(0, lanes, width):
                    begin(x_q + item * v, w_q, x_c, w_c, lines, out_q + item * v)
                for n in range(middles):
                    for v in range(0, lanes, width):
                        x_n = x_q + item * (x_middle + n * (size // step) * x_step + v)
                        tile(
                            x_n,
                            w_q,
                            x_c,
                            w_c,
                            lines,
                            out_q + item * ((n + 1) * size * out_step + v),
                        )
                for v in range(0, lanes, width):
                    end(
                        x_q + item * (x_last + v),
                        w_q,
                        x_c,
                        w_c,
                        lines,
                        out_q + item * (out_last * out_step + v),
                    )


@no_type_check
def window_gradient(
    x: "int",
    dy: "int",
    out: "int",
    x_at: "int",
    out_at: "int",
    lines: "int",
    segments: "int",
    segment_count: "int",
    positions: "int",
    position_count: "int",
    row: "int",
    out_step: "int",
    group: "int",
    piece: "int",
    scratch: "int",
    *,
    tile: "windows.gradient_tile(tile_lines, taps, tile_positions, step, apart, x_step, dy_step,"
    " dtype, width)",
    tile_lines: "constant",
    tile_positions: "constant",
    taps: "constant",
    step: "constant",
    apart: "constant",
    x_step: "constant",
    dy_step: "constant",
    dtype: "constant",
    width: "constant",
    item: "constant",
):
    groups = (segment_count + group - 1) // group
    pieces = (row + piece - 1) // piece
    for q in range(position_count):
        dy_q = dy + item * word(positions, 3 * q)
        x_q = x + item * word(positions, 3 * q + 1)
        out_q = out + item * word(positions, 3 * q + 2)
        for n in range((lines + tile_lines - 1) // tile_lines):
            u = 8 * min(n * tile_lines, lines - tile_lines)
            for m in range(groups * pieces):
                s, p = m // pieces * group, m % pieces * piece
                tile(
                    x_q + item * p * step * x_step,
                    dy_q + item * p * dy_step,
                    x_at + u,
                    segments + 16 * s,
                    min(group, segment_count - s),
                    min(piece, row - p),
                    scratch if m > 0 else 0,
                    scratch if m < groups * pieces - 1 else 0,
                    out_q,
                    out_at + u,
                    out_step,
                )


def _constants(line: TapLine) -> dict[str, int | str]:
    return {
        "taps": line.taps,
        "step": line.step,
        "apart": line.apart,
        "spread": line.spread,
        "x_step": line.x_step,
        "w_step": line.w_step,
        "out_step": line.out_step,
    }


def window_kernel(target: Target, line: TapLine, piece: Piece) -> Kernel:
    """Return the kernel for rows of equal pieces, the last of which may overlap the one before.

    groups      [n, 4]  first line, number of lines, first position, end of the positions
    x_at, w_at          offsets of the lines, relative to the position's
    positions   [n, 3]  offsets in w, x and out at which a row starts
    row                 positions of a row
    """
    name = f"window_{piece[0]}x{line.taps}"
    constants = _constants(line) | {"piece": text_of(piece), "size": piece[0]}
    return target.kernel(window, name, **constants)


def window_edges_kernel(
    target: Target, line: TapLine, pieces: tuple[Piece, Piece, Piece]
) -> Kernel:
    """Return the kernel for rows of a first piece, `middles` equal ones, and a last one.

    x_middle, x_last    offsets in x of the second and the last piece, relative to the first
    out_last            positions before the last piece
    """
    begin, middle, last = map(text_of, pieces)
    name = f"window_edges_{pieces[0][0]}x{line.taps}"
    constants = _constants(line) | {"piece": begin, "middle": middle, "last": last}
    return target.kernel(window_edges, name, size=pieces[0][0], **constants)


def window_gradient_kernel(target: Target, shape: tuple[int, int], line: TapLine) -> Kernel:
    """Return the kernel of the weights' gradient, `shape` lines and positions at a time.

    x_at, out_at        offsets of the lines in x and the result
    segments    [n, 2]  offsets in dy and x at which a row starts
    positions   [n, 3]  offsets in dy, x and the result
    row                 positions of a row
    group, piece        rows, and positions of each, after which the sums are added to those in
                        `scratch`
    """
    lines, positions = shape
    return target.kernel(
        window_gradient,
        f"window_gradient_{lines}x{positions}",
        tile_lines=lines,
        tile_positions=positions,
        taps=line.taps,
        step=line.step,
        apart=line.apart,
        x_step=line.x_step,
        dy_step=line.out_step,
    )
