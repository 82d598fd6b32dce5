"""The loops around the register tiles, as kernels' text for one tile shape each.

    contract_kernel(Target("float32", machine), (6, 4))      # 6 rows, 4 vectors

Sizes and tables of offsets are arguments, so that one kernel serves all contractions, of this model
and others, that want the same tile. The last block of rows (vectors, taps) overlaps the one before
instead of being smaller.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from specc.backend.machine import Machine
from specc.backend.toolchain.load import Kernel

# Beyond, the addresses of the rows no longer fit the integer registers; with one column more rows still
# pay, for they hide the latency of the sums.
_MOST_ROWS, _MOST_OF_ONE_COLUMN = 8, 12
# Shapes by the number of registers for which LLVM loads a number of each row before it needs them, so that sums
# go through memory: at half of the speed (8x3: 120 GF/s, 7x3: 173; of eight lanes, 8x1: 49, 7x1: 84).
_SPILLED = {32: {(8, 3)}, 16: {(rows, 1) for rows in range(8, _MOST_OF_ONE_COLUMN + 1)}}
# How far ahead a kernel asks for what other threads have made: runs (rows of an image), and tiles' columns.
_RUNS_AHEAD, _COLUMNS_AHEAD = 2, 2
# Not every number: each is one more kernel to compile.
_PACKED_ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24)


@dataclass(frozen=True)
class Target:
    """The elements' type and the machine that tiles are made for."""

    dtype: str
    machine: Machine

    @property
    def width(self) -> int:
        """Elements of a vector."""
        return self.machine.lanes(self.dtype)

    @property
    def bytes(self) -> int:
        return {"float32": 4, "float64": 8}[self.dtype]

    def shapes(self, most_rows: int, most_columns: int) -> Iterable[tuple[int, int]]:
        """The tile shapes whose sums, columns and one row fit the registers."""
        for rows in range(1, min(most_rows, _MOST_OF_ONE_COLUMN) + 1):
            for columns in range(1, min(most_columns, 6) + 1):
                if rows > _MOST_ROWS and columns > 1:
                    continue
                if rows * columns + columns + 1 <= self.machine.registers:
                    yield rows, columns

    def contract_shapes(self, most_rows: int, most_columns: int) -> Iterable[tuple[int, int]]:
        """Those that LLVM keeps in registers where the rows of the weights lie apart."""
        spilled = _SPILLED[self.machine.registers]
        return (each for each in self.shapes(most_rows, most_columns) if each not in spilled)

    def packed_shapes(self, most_rows: int, most_columns: int) -> Iterable[tuple[int, int]]:
        """The same where the rows of the weights lie side by side, and take no addresses."""
        for columns in range(1, min(most_columns, 6) + 1):
            most = min(most_rows, (self.machine.registers - 1) // columns - 1)
            for rows in _PACKED_ROWS:
                if rows <= most:
                    yield rows, columns


_CONTRACT = """
from specc.backend.numba.memory import view, word
from specc.backend.numba.tiles import contract_tile
tile = contract_tile(<rows>, <vectors>, "<dtype>", <width>, <written>)

def <name>(x: "int", w: "int", out: "int", scratch: "int", classes: "int", class_count: "int",
           x_at: "int", w_at: "int", positions: "int",
           rows: "int", w_row: "int", out_row: "int", lanes: "int", most: "int",
           soon: "int", soon_2: "int", soon_3: "int", soon_size: "int"):
    row_blocks = (rows + <rows> - 1) // <rows>
    lane_blocks = (lanes + <step> - 1) // <step>
    for c in range(class_count):
        first, taps = word(classes, 4 * c), word(classes, 4 * c + 1)
        slices = (taps + most - 1) // most
        share = 3 * soon_size // (row_blocks * lane_blocks) + 1  # of each tile
        for q in range(word(classes, 4 * c + 2), word(classes, 4 * c + 3)):
            w_q = w + <bytes> * word(positions, 3 * q)
            x_q = x + <bytes> * word(positions, 3 * q + 1)
            out_q = out + <bytes> * word(positions, 3 * q + 2)
            if taps == 0:
                for k in range(rows):
                    row = view(out_q + <bytes> * k * out_row, (lanes,), real)
                    for v in range(lanes):
                        row[v] = 0.0
            for n in range(lane_blocks):
                v = <bytes> * min(n * <step>, lanes - <step>)
                for s in range(slices):
                    p = 8 * (first + s * most)
                    count = min(most, taps - s * most)
                    last = s == slices - 1
                    for b in range(row_blocks):
                        k = <bytes> * min(b * <rows>, rows - <rows>)
                        kept = scratch + b * <tile>
                        w_k = w_q + k * w_row
                        if soon_size > 0:
                            t = n * row_blocks + b
                            ask = (soon if t % 3 == 0 else soon_2 if t % 3 == 1 else soon_3) + t // 3 * share
                            ask_step = share // count + 1
                        else:  # the next rows' weights, where these lie side by side
                            at = word(w_at + p, 0)
                            ask = w_k + <bytes> * at + 64
                            ask_step = <bytes> * (word(w_at + p, 1) - at) if count > 1 else 0
                        tile(x_q + v, w_k, x_at + p, w_at + p, count, w_row,
                             kept if s > 0 else 0, <step>,
                             out_q + k * out_row + v if last else kept, out_row if last else <step>,
                             ask, ask_step)
"""

_PACKED = """
from specc.backend.numba.memory import view, word
from specc.backend.numba.tiles import packed_tile
tile = packed_tile(<rows>, <vectors>, "<dtype>", <width>, <ahead> > 0)

def <name>(x: "int", w: "int", out: "int", scratch: "int", classes: "int", class_count: "int",
           x_at: "int", columns: "int", rows: "int", out_row: "int", most: "int"):
    row_blocks = (rows + <rows> - 1) // <rows>
    for c in range(class_count):
        first, taps, w_at = word(classes, 5 * c), word(classes, 5 * c + 1), word(classes, 5 * c + 2)
        slices = (taps + most - 1) // most
        end = word(classes, 5 * c + 4)
        for n in range(word(classes, 5 * c + 3), end, <vectors>):
            ends = columns + 16 * n
            later = columns + 16 * min(n + <ahead> * <vectors>, end - <vectors>)
            if taps == 0:
                for v in range(<vectors>):
                    for k in range(rows):
                        at = out + <bytes> * (k * out_row + word(ends, 2 * v + 1))
                        row = view(at, (<width>,), real)
                        for i in range(<width>):
                            row[i] = 0.0
            for s in range(slices):
                count = min(most, taps - s * most)
                last = s == slices - 1
                w_s = w + <bytes> * (w_at + s * most * row_blocks * <rows>)
                for b in range(row_blocks):
                    k = <bytes> * min(b * <rows>, rows - <rows>)
                    kept = scratch + b * <tile>
                    tile(x, w_s + <bytes> * b * count * <rows>, x_at + 8 * (first + s * most),
                         count, ends, kept if s > 0 else 0,
                         out + k * out_row if last else kept, out_row, 1 if last else 0, later)
"""

_PACK = """
from specc.backend.numba.memory import view, word
from specc.backend.numba.moves import pack_tile
tile = pack_tile("<dtype>", <width>)

def <name>(w: "int", out: "int", classes: "int", class_count: "int", w_at: "int", runs: "int",
           rows: "int", w_row: "int", most: "int", high: "int"):
    for c in range(class_count):
        first, taps = word(classes, 5 * c), word(classes, 5 * c + 1)
        to = out + <bytes> * word(classes, 5 * c + 2)
        for slice in range((taps + most - 1) // most):
            s = slice * most
            count = min(most, taps - s)
            for b in range((rows + high - 1) // high):
                k = min(b * high, rows - high)
                p = 0
                while p < count:
                    tap = word(w_at, first + s + p)
                    at = w + <bytes> * (k * w_row + tap)
                    step = 1
                    line = view(to, (high,), real)
                    if w_row == 1:
                        source = view(at, (high,), real)
                        for i in range(high):
                            line[i] = source[i]
                    elif p + <width> <= count and word(runs, first + s + p):
                        for i in range(0, high, <width>):
                            tile(at + <bytes> * i * w_row, w_row, to + <bytes> * i,
                                 min(<width>, high - i), high)
                        step = <width>
                    else:
                        for i in range(high):
                            line[i] = view(at + <bytes> * i * w_row, (1,), real)[0]
                    p += step
                    to += <bytes> * step * high
"""

_TURN = """
from specc.backend.numba.memory import word
from specc.backend.numba.moves import transpose_tile
square = transpose_tile("<dtype>", <width>)

def <name>(x: "int", out: "int", ends: "int", end_count: "int", length: "int", columns: "int",
           x_row: "int", out_row: "int"):
    for e in range(end_count):
        x_e = x + <bytes> * word(ends, e)
        out_e = out + <bytes> * e * length * out_row
        for i in range((columns + <width> - 1) // <width>):
            p = min(i * <width>, columns - <width>)
            for n in range(0, length, <width>):
                square(x_e + <bytes> * (p * x_row + n), x_row,
                       out_e + <bytes> * (n * out_row + p), out_row)
"""

_ACROSS = """
from specc.backend.numba.memory import view, word
from specc.backend.numba.tiles import across_tile
tile = across_tile(<positions>, <vectors>, <x_step>, "<dtype>", <width>, <ahead> > 0)

def <name>(x: "int", w: "int", out: "int", classes: "int", class_count: "int", x_at: "int",
           positions: "int", rows: "int", out_row: "int", run: "int"):
    for c in range(class_count):
        first, taps, w_at = word(classes, 5 * c), word(classes, 5 * c + 1), word(classes, 5 * c + 2)
        for b in range((rows + <step> - 1) // <step>):
            count = min(<step>, rows - b * <step>)
            w_b = w + <bytes> * (w_at + b * taps * <step>)
            end = word(classes, 5 * c + 4)
            for q in range(word(classes, 5 * c + 3), end):
                x_q = x + <bytes> * word(positions, 2 * q)
                later = x + <bytes> * word(positions, 2 * min(q + <ahead>, end - 1))
                out_q = out + <bytes> * (word(positions, 2 * q + 1) + b * <step> * out_row)
                if taps == 0:
                    for k in range(count):
                        row = view(out_q + <bytes> * k * out_row, (run,), real)
                        for i in range(run):
                            row[i] = 0.0
                else:
                    for n in range((run + <positions> - 1) // <positions>):
                        i = min(n * <positions>, run - <positions>)
                        tile(x_q + <bytes> * i * <x_step>, w_b, x_at + 8 * first, taps,
                             out_q + <bytes> * i, out_row, count, later + <bytes> * i * <x_step>)
"""

_PACK_ACROSS = """
from specc.backend.numba.memory import view, word
from specc.backend.numba.moves import transpose_tile
turn = transpose_tile("<dtype>", <width>)

def <name>(w: "int", out: "int", classes: "int", class_count: "int", w_at: "int", runs: "int",
           rows: "int", w_row: "int"):
    for c in range(class_count):
        first, taps = word(classes, 5 * c), word(classes, 5 * c + 1)
        blocks = (rows + <step> - 1) // <step>
        for b in range(blocks):
            block = out + <bytes> * (word(classes, 5 * c + 2) + b * taps * <step>)
            for v in range(0, <step>, <width>):
                k = b * <step> + v
                p = 0
                while p < taps:
                    at = word(w_at, first + p)
                    whole = p + <width> <= taps and k + <width> <= rows
                    if whole and word(runs, first + p):
                        turn(w + <bytes> * (k * w_row + at), w_row,
                             block + <bytes> * (p * <step> + v), <step>)
                        p += <width>
                    else:
                        to = view(block + <bytes> * (p * <step> + v), (<width>,), real)
                        for i in range(<width>):
                            to[i] = 0.0
                        for i in range(min(<width>, rows - k)):
                            to[i] = view(w + <bytes> * ((k + i) * w_row + at), (1,), real)[0]
                        p += 1
"""

_DOT = """
from specc.backend.numba.memory import word
from specc.backend.numba.tiles import dot_tile
tile = dot_tile(<rows>, <taps>, "<dtype>", <width>)

def <name>(x: "int", w: "int", out: "int", tap_at: "int", out_at: "int", taps: "int",
           segments: "int", segment_count: "int", length: "int", positions: "int",
           position_count: "int", rows: "int", w_row: "int", out_row: "int"):
    for q in range(position_count):
        w_q = w + <bytes> * word(positions, 3 * q)
        x_q = x + <bytes> * word(positions, 3 * q + 1)
        out_q = out + <bytes> * word(positions, 3 * q + 2)
        for i in range((rows + <rows> - 1) // <rows>):
            k = <bytes> * min(i * <rows>, rows - <rows>)
            for j in range((taps + <taps> - 1) // <taps>):
                t = 8 * min(j * <taps>, taps - <taps>)
                tile(x_q, w_q + k * w_row, tap_at + t, segments, segment_count, length, w_row,
                     out_q + k * out_row, out_row, out_at + t)
"""


def across_kernel(
    target: Target, shape: tuple[int, int], x_step: int, asks: bool = False
) -> Kernel:
    """`across` tiles along runs of the result, `x_step` elements of x apart. If it `asks`, then on the way for
    what the tiles some runs ahead read: other threads have made it.

    classes     [n, 5]  first tap, number of taps, where their weights begin, first position, end
    x_at                offsets of the taps from the position's
    positions   [n, 2]  offsets in x and out where a run begins
    run                 the length of each
    """
    positions, vectors = shape
    name = f"across_{positions}x{vectors}" + "_asking" * asks
    return from_template(
        name,
        _ACROSS,
        target,
        positions=positions,
        vectors=vectors,
        x_step=x_step,
        step=vectors * target.width,
        ahead=_RUNS_AHEAD * asks,
    )


def pack_across_kernel(target: Target, vectors: int) -> Kernel:
    """The weights as `across` tiles read them: [block of rows, tap, row], filled up with zeros.

    w_at, runs          as those of `pack_kernel`; the other tables are those of `across_kernel`
    """
    return from_template(
        f"pack_across_{vectors}", _PACK_ACROSS, target, step=vectors * target.width
    )


def dot_kernel(target: Target, shape: tuple[int, int]) -> Kernel:
    """`dot` tiles for all rows and taps at all positions.

    tap_at, out_at      offsets of the taps in x and in the result
    segments    [n, 2]  offsets in w and x of runs of `length` elements
    positions   [n, 3]  offsets in w, x and the result
    """
    rows, taps = shape
    return from_template(f"dot_{rows}x{taps}", _DOT, target, rows=rows, taps=taps)


def contract_kernel(target: Target, shape: tuple[int, int], written: bool = False) -> Kernel:
    """`contract` tiles at all positions of all classes.

    classes     [n, 4]  first tap, number of taps, first position, end of the positions
    x_at, w_at          offsets of the taps from the position's
    positions   [n, 3]  offsets in w, x and out
    most                taps that one tile runs over before the next rows have their turn
    scratch             the sums of all rows between these turns
    soon, soon_2, soon_3    addresses of `soon_size` bytes each that are wanted after this, to be read or
                            to be `written`
    """
    name = f"contract_{shape[0]}x{shape[1]}" + "_ahead" * written
    return _contraction(name, _CONTRACT, target, shape, written=written)


def packed_kernel(target: Target, shape: tuple[int, int], asks: bool = False) -> Kernel:
    """`packed` tiles over all columns of all classes. If it `asks`, then as an `across` kernel does.

    classes     [n, 5]  first tap, number of taps, where their weights begin, first column, end
    x_at                offsets of the taps from the column's
    columns     [n, 2]  offsets in x and out; each class has a multiple of the tile's
    most                taps that one tile runs over before the next rows have their turn
    scratch             the sums of all rows between these turns
    """
    name = f"packed_{shape[0]}x{shape[1]}" + "_asking" * asks
    return _contraction(name, _PACKED, target, shape, ahead=_COLUMNS_AHEAD * asks)


def pack_kernel(target: Target) -> Kernel:
    """The weights as `packed` tiles, `high` rows each, read them: [slice, block of rows, tap, row].

    classes, most       as those of `packed_kernel`
    w_at                offsets of the taps in w
    runs                whether as many taps as a vector has lanes lie side by side from here on
    """
    return from_template("pack", _PACK, target)


def turn_kernel(target: Target) -> Kernel:
    """x[column, tap] as out[tap, column], for taps that lie side by side.

    ends                offsets in x where a run of `length` taps begins
    """
    return from_template("turn", _TURN, target)


def _contraction(
    name: str, text: str, target: Target, shape: tuple[int, int], **more: int
) -> Kernel:
    rows, vectors = shape
    step = vectors * target.width
    return from_template(
        name,
        text,
        target,
        rows=rows,
        vectors=vectors,
        step=step,
        tile=rows * step * target.bytes,
        **more,
    )


_OUTER = """
from specc.backend.numba.memory import word
from specc.backend.numba.tiles import outer_tile
tile = outer_tile(<rows>, <taps>, "<dtype>", <width>)

def <name>(x: "int", dy: "int", dw: "int", tap_at: "int", dw_at: "int", taps: "int",
           segments: "int", segment_count: "int", positions: "int", position_count: "int",
           rows: "int", dy_row: "int", dw_row: "int", most: "int", scratch: "int"):
    slices = (segment_count + most - 1) // most
    for q in range(position_count):
        dy_q = dy + <bytes> * word(positions, 3 * q)
        x_q = x + <bytes> * word(positions, 3 * q + 1)
        dw_q = dw + <bytes> * word(positions, 3 * q + 2)
        for i in range((rows + <rows> - 1) // <rows>):
            k = min(i * <rows>, rows - <rows>)
            for s in range(slices):
                segment = segments + 24 * s * most
                count = min(most, segment_count - s * most)
                for j in range((taps + <taps> - 1) // <taps>):
                    t = min(j * <taps>, taps - <taps>)
                    kept = scratch + j * <tile>
                    tile(x_q, dy_q + <bytes> * k * dy_row, tap_at + 8 * t, segment, count, dy_row,
                         kept if s > 0 else 0, kept if s < slices - 1 else 0,
                         dw_q + <bytes> * k * dw_row, dw_row, dw_at + 8 * t)
"""


def outer_kernel(target: Target, shape: tuple[int, int]) -> Kernel:
    """`outer` tiles for all rows and taps at all positions.

    tap_at, dw_at       offsets of the taps in x and in the result
    segments    [n, 3]  offsets in dy and x, and the number of vectors
    positions   [n, 3]  offsets in dy, x and the result
    most                segments that all taps run over before the next ones have their turn
    scratch             the sums of all taps between these turns
    """
    rows, taps = shape
    tile = rows * taps * target.width * target.bytes
    return from_template(f"outer_{rows}x{taps}", _OUTER, target, rows=rows, taps=taps, tile=tile)


def from_template(name: str, text: str, target: Target, **values: int | str) -> Kernel:
    """The kernel of a template: its first lines are imports, <...> stands for a value."""
    known = {"name": name, "bytes": target.bytes, "width": target.width, "dtype": target.dtype}
    for key, value in {**known, **values}.items():
        text = text.replace(f"<{key}>", str(value))
    imports, source = text.lstrip().split("\n\n", 1)
    return Kernel(name, source, target.dtype, target.machine.vector_bits, imports, unroll=False)
