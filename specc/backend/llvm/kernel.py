"""A kernel as the text that is compiled, and the key under which its machine code is kept.

    relu = Kernel("relu", '''
    def relu(x: "float[n]", y: "float[n]", n: "int"):
        for i in range(n):
            y[i] = max(x[i], 0.0)
    ''')

A parameter is annotated `"int"`, or as a C-contiguous array of `float`, `float32`, `float64`,
`int32`, `int64` or `uint8` with its extents (names of integer parameters, numbers, their products
and sums), or `"control"` (the run's control block). `float`, and every number with a decimal point,
has the kernel's dtype.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any

from specc.backend.compilers import chosen
from specc.backend.llvm.sources import identity
from specc.backend.machine import this_machine
from specc.system.lazy import cached_property
from specc.system.locks import NATIVE
from specc.system.records import dataclass
from specc.target import parse
from specc.target.statements import Function

FORMAT = "1"  # the version of the file format in the cache folder
CONTROL_WORDS = 16  # int64 numbers of a control block: two cache lines


@dataclass(frozen=True)
class Kernel:
    """A function in the language of kernels, as text, and what it is compiled for.

    `imports` are lines that run before `source`, for names beyond those that every kernel has:
    `np`, `math`, `real` (its dtype) and the functions of `vectormath`. With `overlap` the kernel's
    arrays may share memory; without, an element may be reached through two arrays only where the
    same iteration reads it first and writes it last. `unroll` lets LLVM unroll loops: not those of
    register tiles, which use all registers as they are.
    """

    name: str
    source: str
    dtype: str = "float32"
    vector_bits: int = 0  # the width of vectors; 0 for the machine's own
    imports: str = ""
    overlap: bool = False
    unroll: bool = True

    def __post_init__(self):
        assert self.dtype in ("float32", "float64"), self.dtype
        if not self.vector_bits:
            object.__setattr__(self, "vector_bits", this_machine().vector_bits)

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        definitions = (
            each for each in ast.parse(self.source).body if isinstance(each, ast.FunctionDef)
        )
        return tuple(each.arg for each in next(definitions).args.args)

    @cached_property
    def key(self) -> str:
        """The hash of all that the machine code depends on."""
        return _hash(asdict(self), self.vector_bits)

    @cached_property
    def symbol(self) -> str:
        """The name of the compiled function; no two kernels share one."""
        return f"specc_{self.name}_{self.key}"


class Written(Kernel):
    """The kernel of a Python function, printed only when it is compiled or read.

    A warm start does neither.

    For `function` and `constants` see `parse.function`; `printed` makes source and imports of its
    tree."""

    _function: Callable[..., Any]
    _constants: Mapping[str, int | float | str]
    _printed: Callable[[Function], tuple[str, str]]

    def __init__(
        self,
        function: Callable[..., Any],
        options: Mapping[str, str | int | bool],
        constants: Mapping[str, int | float | str],
        printed: Callable[[Function], tuple[str, str]],
    ) -> None:
        bits = options.get("vector_bits") or this_machine().vector_bits
        vars(self).update(options, vector_bits=bits, overlap=False)
        vars(self).update(_function=function, _constants=constants, _printed=printed)

    @cached_property
    def _text(self) -> tuple[str, str]:
        return self._printed(parse.function(self._function, self.name, **self._constants))

    @cached_property
    def source(self) -> str:
        """The text of the kernel."""
        return self._text[0]

    @cached_property
    def imports(self) -> str:
        """The lines that define what the text calls."""
        return self._text[1]

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        return parse.parameters(self._function)

    @cached_property
    def key(self) -> str:
        """The hash of all that the machine code depends on."""
        names = ("name", "dtype", "vector_bits", "unroll")
        parts = {name: getattr(self, name) for name in names}
        parts |= {"function": parse.text_of(self._function), "constants": dict(self._constants)}
        return _hash(parts, self.vector_bits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Written) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], Kernel], tuple[dict[str, Any]]]:
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return _with_values, ({**known, "key": self.key},)


def _with_values(values: dict[str, Any]) -> Kernel:
    """Return a kernel with some of its lazy values set."""
    kernel = object.__new__(Kernel)
    vars(kernel).update(values)
    return kernel


def _hash(parts: dict[str, Any], vector_bits: int) -> str:
    whole = {**parts, "for": toolchain(vector_bits)}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]


def toolchain(vector_bits: int) -> list[str]:
    """Return what machine code depends on besides its kernel: the compiler and the processor."""
    return _toolchain(vector_bits, chosen())


@lru_cache
def _toolchain(vector_bits: int, compiler: str) -> list[str]:
    with NATIVE:
        import llvmlite

    machine = this_machine(vector_bits)
    return [
        FORMAT,
        *([] if compiler == "llvm" else [compiler]),
        llvmlite.__version__,
        machine.cpu,
        machine.features,
        identity(),
    ]
