"""The tiles that were measured to be the fastest on this machine, for contractions by name.

    remembered(problem)                            # "packed 6x2"; None if it was not measured
    remember(problem, "packed 6x2")                # in the cache folder, for later processes too

Estimates cannot tell tiles apart that differ by a few percent, and what they leave out differs from
machine to machine. So tiles are also timed, in the background of a long training (see
`backend.measure.tiles`). A measured tile gives the same bits as the estimated one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

from specc.backend.contraction.problem import Problem
from specc.backend.contraction.target import Target
from specc.backend.llvm.kernel import toolchain
from specc.backend.machine import Machine
from specc.backend.machine.profile import Profile
from specc.system.folders import private, read, write
from specc.system.software import fingerprint

MOST = 10_000
"""The most tiles that are remembered for a machine; the oldest ones are forgotten."""

_FOLDER = "tiles"


def remembered(problem: Problem) -> str | None:
    """Return the name of a contraction's fastest tile; None if it was not measured."""
    known = _known(_path(problem.target))
    return known.get(key(problem)) if known else None


def is_known(problem: Problem) -> bool:
    """Return whether a contraction was measured."""
    return remembered(problem) is not None


def remember(problem: Problem, name: str) -> None:
    """Keep the name of a contraction's fastest tile, in this process and in the cache folder.

    The caller holds COMPILER, so that no program is being planned.
    """
    path = _path(problem.target)
    known = _known(path)
    known.update(_read(path))  # what other processes have measured meanwhile
    known.pop(key(problem), None)
    known[key(problem)] = name
    for each in [*known][:-MOST]:
        del known[each]
    if path is not None:
        write(path, (json.dumps(known, indent=0) + "\n").encode())


@lru_cache(maxsize=8)
def _known(path: Path | None) -> dict[str, str]:
    return _read(path)


def _path(target: Target) -> Path | None:
    """Return the file with the tiles of a machine; None without a cache folder."""
    folder = private(_FOLDER)
    return None if folder is None else folder / _name(target.profile, target.machine)


@lru_cache(maxsize=8)
def _name(profile: Profile, machine: Machine) -> str:
    whole = profile.text(), machine, toolchain(machine.vector_bits), fingerprint()
    return f"{hashlib.sha256(repr(whole).encode()).hexdigest()[:32]}.json"


@lru_cache(maxsize=1024)
def key(problem: Problem) -> str:
    """Return a hash of all that a contraction's tiles depend on, besides the machine."""
    own = [getattr(problem, each.name) for each in fields(problem) if each.name != "target"]
    return hashlib.sha256(repr((own, problem.target.dtype)).encode()).hexdigest()[:16]


def _read(path: Path | None) -> dict[str, str]:
    """Return the tiles in a file; none if it is missing, damaged or not this user's."""
    content = read(path) if path is not None else None
    try:
        found = json.loads(content or b"{}")
    except ValueError:
        return {}
    is_valid = isinstance(found, dict) and all(isinstance(each, str) for each in found.values())
    return found if is_valid else {}
