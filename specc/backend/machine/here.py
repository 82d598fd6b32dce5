"""The profile that plans are made with: the one that is chosen, or this machine's own.

    this_profile()          # from a file, from the cache folder, or measured now

A profile is measured once for a processor and the software that measures it; the cache folder keeps
it. A run keeps the profile that its plans were made with, as plans decide the order of sums.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from specc.backend.machine.chosen import chosen
from specc.backend.machine.processor import WIDTHS, this_machine
from specc.backend.machine.profile import FORMAT, Profile
from specc.backend.machine.system import processor_name, processors
from specc.diagnostics import SpecError
from specc.system.folders import cache_folder
from specc.system.locks import NATIVE, Mutex

_lock = Mutex()


def this_profile() -> Profile:
    """The profile that plans are made with. Raises SpecError if SPECC_MACHINE's file is not one."""
    return chosen() or own_profile()


def gains_by_pairs(dtype: str = "float32") -> bool:
    """Whether products of bfloat16 pairs are planned: the machine has them, and they are faster."""
    machine = this_machine()
    is_there = dtype == "float32" and machine.multiplies_bfloat16
    return is_there and this_profile().slowness_of_pairs < 2


def own_profile(anew: bool = False) -> Profile:
    """This machine's own profile, measured if it is not known yet, or `anew`."""
    with _lock:
        path = profile_path()
        if anew:
            _own.cache_clear()
            with suppress(OSError):
                path.unlink()
        return _own(path)


@lru_cache(maxsize=8)
def _own(path: Path) -> Profile:
    try:
        return Profile.read(path)
    except SpecError:
        pass  # not there yet, or of another version
    from specc.backend.machine.measure import measured

    profile = measured()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        profile.write(path)
    return profile


def profile_path() -> Path:
    """The file of the cache folder that keeps this machine's profile."""
    return Path(cache_folder()) / f"machine-{_key()}.json"


@lru_cache
def _key() -> str:
    """A hash of the processor and of the software that measures it."""
    with NATIVE:
        import llvmlite
    machine = this_machine(WIDTHS[-1])
    whole = (FORMAT, processor_name(), machine.cpu, machine.features, processors())
    return hashlib.sha256(repr((*whole, llvmlite.__version__)).encode()).hexdigest()[:16]
