"""Tables of a few numbers in one or two registers: one instruction looks up a vector.

    table = LookupTable("tanh_slope", (0.0, 1.0, ...))    # 8 or 32 float32, or 16 float64 numbers
    looked_up(b, FLOAT, table, index)               # an element, by the low bits of an integer

A loop that looks up is vectorized like any other. To LLVM's vectorizer a look-up is a call of a
function that has variants for vectors (its attribute `vector-function-abi-variant`). Only after
that the functions get their bodies and are inlined: vectors by `vpermps` (AVX2, 8 numbers) or
`vpermi2` (AVX-512, 32 or 16), single elements by a load, so all give the same bits.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from specc.backend.llvm.intrinsics import declared
from specc.system.records import dataclass

_PREFIX = "specc_table_"
_DECLARED = re.compile(rf"^declare .*@({_PREFIX}\w+)\(.*$", re.MULTILINE)
_KEPT = re.compile(r"^@llvm\.compiler\.used = .*$", re.MULTILINE)
_PURE = "alwaysinline nounwind willreturn memory(none)"
_known: dict[str, LookupTable] = {}


@dataclass(frozen=True)
class LookupTable:
    """8 or 32 float32 numbers, or 16 float64 numbers, under a name of their own."""

    name: str
    numbers: tuple[float, ...]

    def __post_init__(self) -> None:
        assert len(self.numbers) in (8, 16, 32), self.name
        assert self.symbol not in _known, self.name
        _known[self.symbol] = self

    @property
    def symbol(self) -> str:
        """The name of the function that looks up one element."""
        return _PREFIX + self.name

    @property
    def width(self) -> int:
        """The bits of a number."""
        return 64 if len(self.numbers) == 16 else 32

    @property
    def types(self) -> tuple[str, str]:
        """LLVM's names of a number's and of an index' type."""
        return ("float", "i32") if self.width == 32 else ("double", "i64")

    @property
    def lanes(self) -> tuple[int, ...]:
        """The lengths of the vectors that have a variant."""
        most = min(8, len(self.numbers) // 2) if self.width == 64 else min(16, len(self.numbers))
        return tuple(lanes for lanes in (2, 4, 8, 16) if lanes <= most)

    def declarations(self) -> str:
        """Return the functions without bodies, for the vectorizer."""
        number, index = self.types
        variants = ",".join(
            f"_ZGV_LLVM_N{lanes}v_{self.symbol}({self.symbol}_{lanes})" for lanes in self.lanes
        )
        pure = f'nounwind willreturn memory(none) "vector-function-abi-variant"="{variants}"'
        lines = [f"declare {number} @{self.symbol}({index}) {pure}"]
        lines += [
            f"declare <{lanes} x {number}> @{self.symbol}_{lanes}(<{lanes} x {index}>)"
            for lanes in self.lanes
        ]
        return "\n".join(lines)

    def definitions(self) -> str:
        """Return the functions with their bodies."""
        number, index = self.types
        count = len(self.numbers)
        listed = [f"{number} {_hexadecimal(each)}" for each in self._rounded()]
        constant = f"@{self.symbol}_numbers"
        return "\n".join(
            (
                f"{constant} = private constant [{count} x {number}] [{', '.join(listed)}]",
                f"define internal {number} @{self.symbol}({index} %i) {_PURE} {{",
                f"  %k = and {index} %i, {count - 1}",
                f"  %p = getelementptr [{count} x {number}], ptr {constant}, i32 0, {index} %k",
                f"  %r = load {number}, ptr %p",
                f"  ret {number} %r",
                "}",
                *(line for lanes in self.lanes for line in self._of_vectors(lanes, listed)),
            )
        )

    def _rounded(self) -> tuple[float, ...]:
        kind = f"{len(self.numbers)}{'f' if self.width == 32 else 'd'}"
        return struct.unpack(kind, struct.pack(kind, *self.numbers))

    def _of_vectors(self, lanes: int, listed: Sequence[str]) -> Iterator[str]:
        number, index = self.types
        full = self.lanes[-1]
        parts = [listed[k : k + full] for k in range(0, len(listed), full)]
        constants = [f"<{full} x {number}> <{', '.join(part)}>" for part in parts]
        yield (
            f"define internal <{lanes} x {number}> @{self.symbol}_{lanes}"
            f"(<{lanes} x {index}> %i) {_PURE} {{"
        )
        widened = ", ".join(f"i32 {k if k < lanes else 'poison'}" for k in range(full))
        yield (
            f"  %w = shufflevector <{lanes} x {index}> %i, <{lanes} x {index}> poison, "
            f"<{full} x i32> <{widened}>"
        )
        places = f"<{full} x {index}> %w"
        if len(parts) == 1:
            call = f"@llvm.x86.avx2.permps({constants[0]}, {places})"
        else:
            kind = "ps" if self.width == 32 else "pd"
            call = (
                f"@llvm.x86.avx512.vpermi2var.{kind}.512({constants[0]}, {places}, {constants[1]})"
            )
        yield f"  %v = call <{full} x {number}> {call}"
        first = ", ".join(f"i32 {k}" for k in range(lanes))
        yield (
            f"  %r = shufflevector <{full} x {number}> %v, <{full} x {number}> poison, "
            f"<{lanes} x i32> <{first}>"
        )
        yield f"  ret <{lanes} x {number}> %r"
        yield "}"


def looked_up(b: ir.IRBuilder, kind: ir.Type, table: LookupTable, index: Any) -> Any:
    """Return the table's number at `index` modulo its length, an integer as wide as the numbers."""
    function = declared(b.module, ir.FunctionType(kind, [index.type]), table.symbol)
    return b.call(function, [index])


def tables_of(module: Any) -> list[LookupTable]:
    """Return the tables that a module looks numbers up in."""
    return [_known[each.name] for each in module.functions if each.name in _known]


def with_variants(module: Any, tables: Sequence[LookupTable]) -> Any:
    """Return the module with the look-ups' variants declared."""
    text = _DECLARED.sub("", str(module))
    variants = [f"ptr @{each.symbol}_{lanes}" for each in tables for lanes in each.lanes]
    kept = (
        f"@llvm.compiler.used = appending global [{len(variants)} x ptr] "
        f'[{", ".join(variants)}], section "llvm.metadata"'
    )
    return llvm.parse_assembly("\n".join([text, *(each.declarations() for each in tables), kept]))


def with_bodies(module: Any, tables: Sequence[LookupTable], builder: Any) -> Any:
    """Return the module with all look-ups inlined."""
    text = _KEPT.sub("", _DECLARED.sub("", str(module)))
    module = llvm.parse_assembly("\n".join([text, *(each.definitions() for each in tables)]))
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_instruction_combine_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)
    return module


def _hexadecimal(number: float) -> str:
    """Return a number as LLVM reads it: the bits of the float64 that is equal to it."""
    return f"0x{struct.pack('>d', number).hex().upper()}"
