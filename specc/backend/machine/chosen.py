"""The profile that replaces this machine's own when plans are made, if there is one.

with planning_with(profile): ...     # for the plans of a run that started with this profile
chosen()                             # it, or the file named by SPECC_MACHINE; None: neither
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from specc.backend.machine.profile import Profile

VARIABLE = "SPECC_MACHINE"
_given: ContextVar[Profile | None] = ContextVar("profile", default=None)


@contextmanager
def planning_with(profile: Profile | None) -> Iterator[None]:
    """Make the plans of a block with a profile; None changes nothing."""
    token = _given.set(profile or _given.get())
    try:
        yield
    finally:
        _given.reset(token)


def chosen() -> Profile | None:
    """Return the profile to plan with; None if none is given.

    Raises SpecError if the file named by SPECC_MACHINE is not a profile.
    """
    given = _given.get()
    if given is None and (path := os.environ.get(VARIABLE)):
        return _read(path)
    return given


@lru_cache(maxsize=8)
def _read(path: str) -> Profile:
    return Profile.read(path, VARIABLE)
