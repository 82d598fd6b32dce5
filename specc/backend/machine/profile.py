"""The speed of a machine, as numbers that plans are made with.

    profile = Profile.read("zen4.json")
    profile.products(512)            # 1.0: multiply-adds of vectors of 512 bits per cycle
    profile.rate(1 << 20)            # bytes per cycle that a core reads of 1 MB of data

The numbers are rounded to powers of two or integers, so that repeated measurements of a machine
agree. Times are in cycles of the core.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from specc.diagnostics import Diagnostic, SpecError
from specc.source import Source, Span
from specc.system.records import dataclass

WIDTHS = (128, 256, 512)
LEVELS = ("L1", "L2", "L3")
FORMAT = 2
APART = 1024  # bytes between the lines of strided reads, a power of two as in most values
_ASSUMED = 3  # the slowness of strided reads for files of format 1, which lack it
_PER_CYCLE = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)  # possible numbers of instructions

Steps = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Profile:
    """The speed of a machine; `by_width` are pairs of a vector's bits and instructions per cycle.

    `caches` are the bytes of a core's L1, L2 and L3 cache, and `rates` the bytes per cycle that it
    reads from each of them, and from memory. `strided` is how many times as long it takes
    to read lines that are `APART` bytes apart. `latency` is the cycles of a multiply-add, `line`
    the cycles to load a cache line that another core has written, and `barrier` the cycles of a
    barrier of two threads.
    """

    processor: str
    architecture: str
    vector_bits: int
    registers: int
    cores: int
    gigahertz: float
    products_by_width: Steps
    loads_by_width: Steps
    stores_by_width: Steps
    latency: int
    caches: tuple[int, int, int]
    rates: tuple[float, float, float, float]
    line: int
    barrier: int
    strided: float
    bfloat16_products: float = 0.0  # of the widest vectors per cycle; 0: no such instruction
    origin: str = field(default="", compare=False)  # the file from which it was read

    def products(self, bits: int) -> float:
        """Return the multiply-adds of vectors per cycle."""
        return dict(self.products_by_width)[bits]

    def loads(self, bits: int) -> float:
        """Return the vectors that are loaded from the L1 cache per cycle."""
        return dict(self.loads_by_width)[bits]

    def stores(self, bits: int) -> float:
        """Return the vectors that are stored to the L1 cache per cycle."""
        return dict(self.stores_by_width)[bits]

    @property
    def slowness_of_pairs(self) -> float:
        """The time of a product of vectors of bfloat16 pairs, relative to one of float32.

        It does twice the work, so pairs are not faster if this is 2 or more. It is infinite if
        there is no such instruction.
        """
        if not self.bfloat16_products:
            return math.inf
        return self.products(self.vector_bits) / self.bfloat16_products

    @property
    def l1(self) -> int:
        """The bytes of the L1 cache."""
        return self.caches[0]

    @property
    def l2(self) -> int:
        """The bytes of the L2 cache."""
        return self.caches[1]

    def rate(self, size: float, in_sequence: bool = True) -> float:
        """Return the bytes per cycle that a core reads, if it reads `size` bytes repeatedly.

        If it is not `in_sequence`, the lines are apart, which makes no difference in the L1 cache.
        """
        if size <= self.l1:
            return self.rates[0]
        found = (
            rate for cache, rate in zip(self.caches, self.rates, strict=False) if size <= cache
        )
        return next(found, self.rates[-1]) / (1 if in_sequence else self.strided)

    def held_to(self, bits: int) -> Profile:
        """Return this machine's profile with vectors of at most `bits` bits."""
        if bits >= self.vector_bits:
            return self
        registers = 16 if self.architecture == "x86_64" else self.registers
        return replace(self, vector_bits=bits, registers=registers)

    def record(self) -> dict[str, Any]:
        """Return the profile as the content of a JSON file."""

        def by_width(steps: Steps) -> dict[str, float]:
            return {str(bits): _plain(number) for bits, number in steps}

        return {
            "format": FORMAT,
            "processor": self.processor,
            "architecture": self.architecture,
            "vector_bits": self.vector_bits,
            "registers": self.registers,
            "cores": self.cores,
            "gigahertz": self.gigahertz,
            "products_a_cycle": by_width(self.products_by_width),
            "loads_a_cycle": by_width(self.loads_by_width),
            "stores_a_cycle": by_width(self.stores_by_width),
            "latency_of_a_product": self.latency,
            "cache_bytes": dict(zip(LEVELS, self.caches, strict=True)),
            "bytes_a_cycle": dict(zip((*LEVELS, "memory"), map(_plain, self.rates), strict=True)),
            "slowness_of_strided_reads": _plain(self.strided),
            "cycles_of_a_line": self.line,
            "cycles_of_a_barrier": self.barrier,
            "bfloat16_products_a_cycle": _plain(self.bfloat16_products),
        }

    def text(self) -> str:
        """Return the text of a file that `read` reads."""
        return json.dumps(self.record(), indent=2) + "\n"

    def write(self, path: str | Path) -> None:
        """Write the profile to a file, completely or not at all. Raises OSError."""
        import os
        import tempfile

        path = Path(path)
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self.text())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    @classmethod
    def read(cls, path: str | Path, said_by: str = "") -> Profile:
        """Return the profile in a file. Raises SpecError.

        `said_by` is the option or variable that names the file, for the error's message.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
            found = json.loads(text)
        except OSError as error:
            raise _wrong(path, f"cannot be read: {error.strerror}", said_by) from None
        except ValueError as error:
            raise _wrong(path, f"is not JSON: {error}", said_by) from None
        try:
            return cls.of(found, str(path))
        except _Wrong as error:
            raise _wrong(path, str(error), said_by) from None

    @classmethod
    def of(cls, record: object, origin: str = "") -> Profile:
        """Return the profile that `record` describes."""
        given = _Entries(record)
        number = given.number("format")
        if number not in (1, FORMAT):
            raise _Wrong(f"has format {number:g}, and this version of specc reads {FORMAT}")
        bits = int(given.number("vector_bits"))
        if bits not in WIDTHS:
            raise _Wrong(f"`vector_bits` must be 128, 256 or 512, not {bits}")
        caches = given.inner("cache_bytes")
        sizes = tuple(int(caches.number(level)) for level in LEVELS)
        if list(sizes) != sorted(sizes):
            raise _Wrong("`cache_bytes` must grow from L1 to L3")
        rates = given.inner("bytes_a_cycle")
        strided = _ASSUMED if number == 1 else given.number("slowness_of_strided_reads", 1)
        found = cls(
            processor=given.text("processor"),
            architecture=given.text("architecture"),
            vector_bits=bits,
            registers=int(given.number("registers")),
            cores=int(given.number("cores")),
            gigahertz=given.number("gigahertz"),
            products_by_width=given.by_width("products_a_cycle", bits),
            loads_by_width=given.by_width("loads_a_cycle", bits),
            stores_by_width=given.by_width("stores_a_cycle", bits),
            latency=int(given.number("latency_of_a_product")),
            caches=(sizes[0], sizes[1], sizes[2]),
            rates=(*(rates.number(level) for level in LEVELS), rates.number("memory")),  # type: ignore[arg-type]
            line=int(given.number("cycles_of_a_line")),
            barrier=int(given.number("cycles_of_a_barrier")),
            strided=strided,
            bfloat16_products=given.number("bfloat16_products_a_cycle", 0),
            origin=origin,
        )
        if found.registers not in (16, 32):
            raise _Wrong(f"`registers` must be 16 or 32, not {found.registers}")
        return found


def rounded(value: float, one: float = 1, step: float = 2) -> float:
    """Return the nearest of `one` times a power of `step`, so that repeated measurements agree."""
    return one * step ** round(math.log(value / one, step))


def instructions(value: float) -> float:
    """Return the nearest number of instructions per cycle that processors have."""
    return min(_PER_CYCLE, key=lambda step: max(step, value) / min(step, value))


class _Wrong(Exception):
    """Raised for an entry that is missing or not valid; the message names it."""


class _Entries:
    """The entries of a JSON object; reading a missing or invalid entry raises `_Wrong`."""

    def __init__(self, record: object, within: str = ""):
        if not isinstance(record, Mapping):
            what = f"`{within.rstrip('.')}`" if within else "the file"
            raise _Wrong(f"{what} must be a JSON object")
        self._record, self._within = record, within

    def _entry(self, name: str) -> object:
        if name not in self._record:
            raise _Wrong(f"`{self._within}{name}` is missing")
        return self._record[name]

    def number(self, name: str, least: float = 1e-6) -> float:
        value = self._entry(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value < 1e15:  # type: ignore[operator]
            above = "above 0" if 0 < least < 1 else f"of {least:g} or more"
            raise _Wrong(f"`{self._within}{name}` must be a number {above}, not {value!r}")
        return value  # type: ignore[return-value]

    def text(self, name: str) -> str:
        value = self._entry(name)
        if not isinstance(value, str):
            raise _Wrong(f"`{self._within}{name}` must be a string, not {value!r}")
        return value

    def inner(self, name: str) -> _Entries:
        return _Entries(self._entry(name), f"{name}.")

    def by_width(self, name: str, most: int) -> Steps:
        """Return the numbers for all widths up to `most`."""
        own = self.inner(name)
        return tuple((bits, own.number(str(bits))) for bits in WIDTHS if bits <= most)


def _plain(number: float) -> float:
    return int(number) if number == int(number) else number


def _wrong(path: str | Path, why: str, said_by: str) -> SpecError:
    message = f"{said_by + ': ' if said_by else ''}the machine's profile {path} {why}"
    if why.startswith(("`", "the file")):
        message = f"{said_by + ': ' if said_by else ''}the machine's profile {path}: {why}"
    place = Span(Source(said_by or str(path), ""), 0, 0)
    return SpecError([
        Diagnostic("bad-setting", "error", message, place,
                   help="`specc doctor --write FILE` writes this machine's profile, to start from")
    ])  # fmt: skip
