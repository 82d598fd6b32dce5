"""The profile that plans are made with: the chosen one, or this machine's own.

    this_profile()          # from a file, from the cache folder, or measured now

A profile is measured once for each processor and version of the measuring software, and stored in
the cache folder. A run stores the profile of its plans, because plans decide the order of sums.
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

_METHOD = 2  # the number of the way to measure; what another one has stored is measured again

_lock = Mutex()


def this_profile() -> Profile:
    """Return the profile that plans are made with.

    Raises SpecError if the file named by SPECC_MACHINE is not a profile.
    """
    return chosen() or own_profile()


def gains_by_pairs(dtype: str = "float32") -> bool:
    """Return whether the machine has products of bfloat16 pairs, and they are faster."""
    machine = this_machine()
    is_there = dtype == "float32" and machine.multiplies_bfloat16
    return is_there and this_profile().slowness_of_pairs < 2


def own_profile(anew: bool = False) -> Profile:
    """Return this machine's own profile; measure it if it is not stored, or if `anew`."""
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
        pass  # not stored yet, or in another format
    from specc.backend.machine.measure import measured

    profile = measured()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        profile.write(path)
    return profile


def profile_path() -> Path:
    """Return the path in the cache folder of this machine's profile."""
    return Path(cache_folder()) / f"machine-{_key()}.json"


@lru_cache
def _key() -> str:
    """Return a hash of the processor and of the measuring software."""
    with NATIVE:
        import llvmlite
    machine = this_machine(WIDTHS[-1])
    whole = (FORMAT, _METHOD, processor_name(), machine.cpu, machine.features, processors())
    return hashlib.sha256(repr((*whole, llvmlite.__version__)).encode()).hexdigest()[:16]
