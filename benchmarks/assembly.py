"""What LLVM makes of the loops of all register tiles, for processors that need not be here.

    python -m benchmarks.assembly                      # benchmarks/tiles.txt, with llvm-mca
    python -m benchmarks.assembly --print znver4 contract 6x4

Every kernel that holds a tile is compiled for each processor, and the loop that its products run in
is read: products, loads, stores and accesses to the stack. Nothing runs. `llvm-mca` predicts how
much of the processor's peak the loop reaches when all that it reads is in the L1 cache.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import click
import llvmlite.binding as llvm

from specc.backend.contraction import across
from specc.backend.contraction.forms import (
    dot,
    window,
    window_gradient,
    winograd,
    winograd_gradient,
    winograd_run,
)
from specc.backend.contraction.loops.contract import contract_kernel, packed_kernel
from specc.backend.contraction.loops.gradient import outer_kernel
from specc.backend.contraction.loops.single import across_kernel, dot_kernel
from specc.backend.contraction.loops.window import TapLine, window_gradient_kernel, window_kernel
from specc.backend.contraction.loops.winograd import (
    winograd_gradient_kernel,
    winograd_kernel,
    winograd_run_kernel,
)
from specc.backend.contraction.target import Target
from specc.backend.llvm import printer
from specc.backend.llvm.compile import assembly_for, lowered
from specc.backend.llvm.kernel import Kernel
from specc.backend.machine import Machine

TABLE = Path(__file__).with_name("tiles.txt")
SYSTEM = {"x86_64": "x86_64-unknown-linux-gnu", "aarch64": "aarch64-unknown-linux-gnu"}
# Kernels that are compiled: more rows and columns than any tile has.
_MANY = 24


def _x86(cpu: str, bits: int) -> Machine:
    features = f"{'+' if bits == 256 else '-'}prefer-256-bit,-prefer-128-bit"
    return Machine(cpu, features, bits, 32 if bits == 512 else 16, True)


def _arm(cpu: str) -> Machine:
    return Machine(cpu, "", 128, 32, True, "aarch64")


PROCESSORS = {
    **{cpu: _x86(cpu, 256) for cpu in ("haswell", "znver2", "znver3", "alderlake")},
    **{
        cpu: _x86(cpu, 512)
        for cpu in ("skylake-avx512", "icelake-server", "sapphirerapids", "znver4", "znver5")
    },
    **{cpu: _arm(cpu) for cpu in ("apple-m1", "neoverse-v1", "neoverse-n1")},
}


def tiles(target: Target) -> Iterator[tuple[str, tuple[int, int], Kernel]]:
    """The form, the shape and the kernel of every tile that plans for a target may have."""
    for shape in target.shapes(_MANY, _MANY):
        yield "contract", shape, contract_kernel(target, shape)
        yield "contract ahead", shape, contract_kernel(target, shape, True)
        yield "outer", shape, outer_kernel(target, shape)
        yield "outer stride", shape, outer_kernel(target, shape, stride=2)
    for shape in target.packed_shapes(_MANY, _MANY):
        yield "packed", shape, packed_kernel(target, shape)
    for shape in target.packed_shapes(_MANY, _MANY, True):
        yield "packed prefetching", shape, packed_kernel(target, shape, True)
    for shape in dot.shapes(target):
        yield "dot", shape, dot_kernel(target, shape)
    for shape in across.shapes(target):
        yield "across", shape, across_kernel(target, shape, 1, False)
        yield "across prefetching", shape, across_kernel(target, shape, 2, True)
    for shape in winograd.shapes(target):
        yield "winograd", shape, winograd_kernel(target, shape)
    for shape in winograd_run.shapes(target):
        yield "winograd run", shape, winograd_run_kernel(target, shape, False)
    for shape in winograd_gradient.shapes(target):
        yield "winograd gradient", shape, winograd_gradient_kernel(target, shape, 4, 32)
    yield from _windows(target)


def _windows(target: Target) -> Iterator[tuple[str, tuple[int, int], Kernel]]:
    """The tiles of windows of 3, 5 and 7 taps: positions and taps, or sums and positions."""
    for taps in (3, 5, 7):
        line = TapLine(taps, 1, 1, False, target.width, 1, target.width)
        for positions in window.positions_of(target, taps, _MANY):
            yield "window", (positions, taps), window_kernel(target, line, (positions, 0, 0, 0))
        for shape in window_gradient.shapes(target, taps, taps, _MANY):
            kernel = window_gradient_kernel(target, shape, line)
            yield "window gradient", (shape[0] * taps, shape[1]), kernel


_COMMENT = re.compile(r"\s*(?:##|# |//).*")
_JUMP = re.compile(r"(?:j\w+|b\.?\w*|cbn?z|tbn?z)\s+(?:.*,\s*)?(\.?L\w+)$")
_PRODUCT = re.compile(r"vfn?madd\w+p[sd]|fmla\s")
_STACK = re.compile(r"\(%rsp|\[sp\b")
# AT&T syntax: the last operand is what is written
_VECTOR_STORE = re.compile(r"vmov[au]p[sd]\s+%[xyz]mm\d+, [^%]*\(|st[pr]\s+q|stur\s+q|st1\s")
_X86_LOAD = re.compile(r"v\w+\s+[^%]*\(|v\w+\s+-?\d*\(")
_ARM_LOAD = re.compile(r"(?:ldr|ldp|ldur)\s+[qds]\d|ld1")
_VECTOR_MOVE = re.compile(r"vmov[au]p[sd]\s+%[xyz]mm\d+, %[xyz]mm|mov\s+v\d+\.16b")


@dataclass(frozen=True)
class Loop:
    """The instructions of the loop that a tile's products run in, in order."""

    lines: tuple[str, ...]

    def _count(self, pattern: re.Pattern[str]) -> int:
        return sum(bool(pattern.match(line)) for line in self.lines)

    @cached_property
    def products(self) -> int:
        """Products of whole vectors."""
        return self._count(_PRODUCT)

    @cached_property
    def loads(self) -> int:
        """Instructions that load vectors, or numbers that become vectors."""
        pairs = sum(line.startswith("ldp\t") for line in self.lines)
        return self._count(_X86_LOAD) + self._count(_ARM_LOAD) + pairs

    @cached_property
    def stores(self) -> int:
        """Vectors that are moved to memory."""
        return self._count(_VECTOR_STORE)

    @cached_property
    def stack(self) -> int:
        """Accesses to the stack, by vectors or integers."""
        return sum(bool(_STACK.search(line)) for line in self.lines)

    @cached_property
    def moves(self) -> int:
        """Vectors that are moved between registers."""
        return self._count(_VECTOR_MOVE)

    def faults(self, sums: int) -> list[str]:
        """How the loop is not what a tile of so many sums shall be."""
        found = []
        if not self.products or self.products % sums or self.products > 2 * sums:
            found.append(f"{self.products} products for {sums} sums: LLVM has unrolled it")
        for number, what in (
            (self.stores, "vectors moved to memory"),
            (self.stack, "accesses to the stack"),
            (self.moves, "sums moved between registers"),
        ):
            if number:
                found.append(f"{number} {what}")
        return found

    def __str__(self) -> str:
        return f"{self.products} products, {self.loads} loads, {len(self.lines)} instructions"


def loop_of(assembly: str) -> Loop:
    """The loop without jumps inside that has the most products."""
    lines = [_COMMENT.sub("", line).strip() for line in assembly.splitlines()]
    lines = [line for line in lines if line and (line[0] != "." or line.startswith(".L"))]
    starts = {line[:-1]: n for n, line in enumerate(lines) if line.endswith(":")}
    found = [Loop(())]
    for end, line in enumerate(lines):
        jump = _JUMP.match(line)
        start = starts.get(jump[1], end) if jump else end
        if start < end and not any(each.endswith(":") for each in lines[start + 1 : end]):
            found.append(Loop(tuple(lines[start + 1 : end + 1])))
    return max(found, key=lambda loop: loop.products)


@lru_cache(maxsize=4096)
def _bitcode(kernel: Kernel) -> bytes:
    return lowered(kernel)


def loop_for(kernel: Kernel, machine: Machine) -> Loop:
    """The loop of a kernel's tile on a processor."""
    return loop_of(assembly_for(_bitcode(kernel), kernel, machine, SYSTEM[machine.architecture]))


# What llvm-mca says.


def chains(target: Target) -> Kernel:
    """The loop that reaches a processor's peak: products alone, as many as hide their latency."""
    from specc.backend.measure.limits import peak

    constants = {"chains": 12, "dtype": target.dtype, "width": target.width}
    bits = target.machine.vector_bits
    return printer.written(peak, "peak", target.dtype, bits, False, **constants)


def analyzer() -> str | None:
    """The newest llvm-mca that is installed."""
    names = [f"llvm-mca-{number}" for number in range(30, 13, -1)]
    return next((each for each in (*names, "llvm-mca") if shutil.which(each)), None)


def products_a_cycle(loop: Loop, machine: Machine) -> float:
    """Predicted products of vectors in a cycle."""
    tool = analyzer()
    assert tool, "llvm-mca is not installed (in Debian: the package llvm)"
    text = "\n".join(line for line in loop.lines if not _JUMP.match(line))
    done = subprocess.run(
        [tool, f"-mtriple={SYSTEM[machine.architecture]}", f"-mcpu={machine.cpu}",
         "-iterations=60", "-instruction-info=0", "-resource-pressure=0"],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    cycles = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    assert cycles, done.stdout + done.stderr
    return 60 * loop.products / int(cycles[1])


def predicted() -> dict[str, dict[tuple[str, tuple[int, int]], float]]:
    """For each processor and tile the part of the peak that llvm-mca predicts."""
    found: dict[str, dict[tuple[str, tuple[int, int]], float]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, machine in PROCESSORS.items():
            target = Target("float32", machine)
            loops = {
                (form, shape): loop_for(kernel, machine)
                for form, shape, kernel in tiles(target)
                if not form.endswith(("ahead", "prefetching"))
            }
            chain = loop_for(chains(target), machine)
            rates = list(
                pool.map(lambda each, m=machine: products_a_cycle(each, m), loops.values())
            )
            peak = max(products_a_cycle(chain, machine), *rates)
            found[name] = {key: rate / peak for key, rate in zip(loops, rates, strict=True)}
            click.echo(f"{name}: {len(loops)} loops", err=True)
    return found


def table(found: dict[str, dict[tuple[str, tuple[int, int]], float]]) -> str:
    """The predictions, a line for each form and shape."""
    names = list(found)
    keys = sorted({key for of in found.values() for key in of})
    lines = [
        "Predicted part of the peak (%) of every tile's loop, its operands in the L1 cache.",
        f"Made by `python -m benchmarks.assembly`: LLVM {llvm.llvm_version_info[0]} compiled,"
        f" {analyzer()} predicted.",
        "",
        f"{'':<24}" + "".join(f"{name:>16}" for name in names),
    ]
    for form, (rows, columns) in keys:
        own = [found[name].get((form, (rows, columns))) for name in names]
        label = f"{form} {rows}x{columns}"
        lines.append(
            f"{label:<24}" + "".join(f"{'' if x is None else round(100 * x):>16}" for x in own)
        )
    return "\n".join(line.rstrip() for line in lines) + "\n"


@click.command()
@click.option("--print", "wanted", nargs=3, metavar="PROCESSOR FORM SHAPE", help="Print a loop.")
def main(wanted: tuple[str, str, str] | None) -> None:
    """Predict the rates of all tiles and store them, or print the loop of one."""
    if wanted is None:
        TABLE.write_text(table(predicted()))
        return
    name, form, text = wanted
    machine = PROCESSORS[name]
    for each, shape, kernel in tiles(Target("float32", machine)):
        if each == form and text == f"{shape[0]}x{shape[1]}":
            loop = loop_for(kernel, machine)
            click.echo("\n".join([*loop.lines, str(loop), *loop.faults(shape[0] * shape[1])]))


if __name__ == "__main__":
    main()
