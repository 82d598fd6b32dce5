"""Machine code of kernels, which is compiled once and stored in the user's cache folder.

    address = load([relu])[relu]            # of  void relu(int64 *args, int64 *control)

`args` holds the address of an array or the value of an integer for each parameter.

If all kernels are in the cache folder, loading needs only llvmlite: the object files are linked
into one engine.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from specc.backend.llvm.kernel import FORMAT, Kernel
from specc.system.folders import private, read, write
from specc.system.locks import NATIVE, Mutex

_MAGIC = b"specc object " + FORMAT.encode() + b"\n"

_addresses: dict[str, int] = {}  # of the kernels that this process has loaded, by key
_compiling: list[list[Kernel]] = []
_engines: list = []  # never released, because they own the machine code
_lock = Mutex()

seconds: dict[str, float] = defaultdict(float)
"""The seconds that `load` took in this process: for "read", "compile" and "link"."""


def load(kernels: Sequence[Kernel], workers: int | None = None) -> dict[Kernel, int]:
    """Return the address of each kernel's machine code.

    Kernels that are neither loaded nor in the cache folder are compiled by up to `workers`
    processes in parallel; by default there is one per processor.
    """
    if all(each.key in _addresses for each in kernels):
        return {each: _addresses[each.key] for each in kernels}
    with _lock:
        new = {each.key: each for each in kernels if each.key not in _addresses}
        if new:
            folder = _cache_folder()
            with _timed("read"):
                objects = {key: _read(folder, each) for key, each in new.items()}
            missing = [new[key] for key, code in objects.items() if code is None]
            if missing:
                _compiling.append(missing)
                try:
                    from specc.backend.toolchain.workers import compile_all

                    with _timed("compile"):
                        for kernel, code in compile_all(missing, workers).items():
                            objects[kernel.key] = code
                            _write(folder, kernel, code)
                finally:
                    _compiling.pop()
            with _timed("link"):
                _link(new, {key: code for key, code in objects.items() if code is not None})
        return {each: _addresses[each.key] for each in kernels}


@contextmanager
def _timed(stage: str) -> Iterator[None]:
    start = perf_counter()
    try:
        yield
    finally:
        seconds[stage] += perf_counter() - start


def is_compiling() -> bool:
    """Return whether this process is compiling kernels."""
    return bool(_compiling)


def has_compiled(kernel: Kernel) -> bool:
    """Return whether a kernel is loaded, or in the cache folder."""
    if kernel.key in _addresses:
        return True
    folder = _cache_folder()
    return folder is not None and _path(folder, kernel).exists()


def _link(kernels: dict[str, Kernel], objects: dict[str, bytes]) -> None:
    """Link the object files into one engine, and record the addresses of their functions."""
    with NATIVE:
        _link_alone(kernels, objects)


def _link_alone(kernels: dict[str, Kernel], objects: dict[str, bytes]) -> None:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target.create_target_machine())
    for code in objects.values():
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    for key, kernel in kernels.items():
        _addresses[key] = engine.get_function_address(kernel.symbol)
        assert _addresses[key], f"{kernel.symbol} is not in its object file: please report this"
    _engines.append(engine)


# The cache folder.


def _cache_folder() -> Path | None:
    """Return the folder of the object files; None if there cannot be one."""
    return private("kernels")


def _path(folder: Path, kernel: Kernel) -> Path:
    return folder / f"{kernel.name}-{kernel.key}.o"


def _read(folder: Path | None, kernel: Kernel) -> bytes | None:
    """Return object code from the cache; None if it is missing, damaged or not this user's."""
    stored = read(_path(folder, kernel)) if folder is not None else None
    start = len(_MAGIC) + 32
    if stored is None or stored[:start] != _MAGIC + hashlib.sha256(stored[start:]).digest():
        return None
    return stored[start:]


def _write(folder: Path | None, kernel: Kernel, code: bytes) -> None:
    """Write object code to the cache, completely or not at all; a failed write is ignored."""
    if folder is not None:
        write(_path(folder, kernel), _MAGIC + hashlib.sha256(code).digest() + code)
