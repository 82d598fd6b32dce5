"""The processor that code is compiled for: its vector width, vector registers and features.

    >>> this_machine().vector_bits          # 512 with AVX-512, 256 with AVX2, 128 with NEON
    >>> this_machine(256)                   # this processor, limited to vectors of 256 bits

The environment variable SPECC_VECTOR_BITS limits the default in the same way; a value that is not a
width of vectors raises SpecError. A chosen profile (`chosen`) has its own width. If this processor
has narrower vectors, LLVM splits each instruction into several.
"""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from functools import lru_cache

from specc.backend.machine.chosen import chosen
from specc.backend.machine.profile import WIDTHS
from specc.diagnostics import Diagnostic, SpecError
from specc.source import Source, Span
from specc.system.locks import NATIVE
from specc.system.records import dataclass


@dataclass(frozen=True)
class Machine:
    """The properties of a processor that the code generator needs.

    `cpu` and `features` are LLVM's names. `registers` is the number of vector registers of
    `vector_bits` bits each. `architecture` is "x86_64", "aarch64" or another name that the system
    reports.
    """

    cpu: str
    features: str
    vector_bits: int
    registers: int
    fma: bool
    architecture: str = "x86_64"

    @property
    def addresses(self) -> int:
        """The number of integer registers for addresses and counters."""
        return 15 if self.architecture == "x86_64" else 30

    @property
    def pin(self) -> str:
        """LLVM's letter for a vector register in a constraint; empty if it is not known."""
        return {"x86_64": "v", "aarch64": "w"}.get(self.architecture, "")

    @property
    def multiplies_bfloat16(self) -> bool:
        """Whether there is an instruction that adds products of bfloat16 numbers in float32."""
        return self.vector_bits == 512 and "+avx512bf16" in self.features.split(",")

    def lanes(self, dtype: str) -> int:
        """Return the number of elements of `dtype` in a vector register."""
        return self.vector_bits // {"float32": 32, "float64": 64}[dtype]


def this_machine(vector_bits: int | None = None) -> Machine:
    """Return this processor, with vectors of at most `vector_bits` bits (128, 256 or 512)."""
    if vector_bits is None:
        wanted, given = _wanted_bits(), chosen()
        if given is None:
            return _machine(wanted)
        given = given.held_to(wanted)
        return replace(
            _machine(given.vector_bits),
            vector_bits=given.vector_bits,
            registers=given.registers,
        )
    if vector_bits not in WIDTHS:
        raise ValueError(f"a vector has 128, 256 or 512 bits, not {vector_bits}")
    return _machine(vector_bits)


def _wanted_bits() -> int:
    """Return the vector width that SPECC_VECTOR_BITS names, by default the widest."""
    given = os.environ.get("SPECC_VECTOR_BITS") or str(WIDTHS[-1])
    if given not in map(str, WIDTHS):
        message = f"SPECC_VECTOR_BITS must be 128, 256 or 512, not `{given}`"
        place = Span(Source("environment", ""), 0, 0)
        raise SpecError([Diagnostic("bad-setting", "error", message, place)])
    return int(given)


@lru_cache
def _machine(limit: int) -> Machine:
    with NATIVE:
        import llvmlite.binding as llvm

        try:
            features = dict(llvm.get_host_cpu_features())
        except RuntimeError:  # LLVM does not know the features on this system
            features = {}
        cpu = llvm.get_host_cpu_name()
    architecture = _architecture()
    if architecture != "x86_64":
        return Machine(cpu, _flatten(features), min(limit, 128), 32, True, architecture)

    widest = 512 if features.get("avx512f") else 256 if features.get("avx2") else 128
    bits = min(limit, widest)
    wide = bits == 512
    if not wide:
        for name in features:
            if name.startswith(("avx512", "avx10", "amx-avx512")):
                features[name] = False
    # by default LLVM limits many server processors to 256 bits; these features set the width
    features["prefer-256-bit"] = bits == 256
    features["prefer-128-bit"] = bits == 128
    return Machine(cpu, _flatten(features), bits, 32 if wide else 16, bool(features.get("fma")))


def _architecture() -> str:
    """Return the instruction set's name, which is the same on all systems."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def _flatten(features: dict[str, bool]) -> str:
    return ",".join(("+" if on else "-") + name for name, on in sorted(features.items()))
