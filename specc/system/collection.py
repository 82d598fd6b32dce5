"""Postpone Python's garbage collection during compilation.

    @uncollected
    def compile(...):

Compilation creates about 100,000 small objects, most of which stay alive. Garbage collection among
them took 10% to 25% of the time from a warm start to the first step.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

MANY = 10_000
"""After so many new objects the others are worth moving."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def uncollected(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Wrap a function so that no garbage is collected while it runs."""

    @wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if not gc.isenabled():
            return function(*args, **kwargs)
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            _age()
            gc.enable()

    return run


class _Aging:
    """Moves all objects to the oldest generation.

    Otherwise the next collection of young objects, which comes soon, visits all that were made.
    """

    def __init__(self) -> None:
        self._may = True

    def __call__(self) -> None:
        if not self._may or gc.get_count()[0] < MANY:
            return
        if gc.get_freeze_count():  # counting them again and again would take long
            self._may = False  # what the user has frozen stays so
            return
        gc.freeze()
        gc.unfreeze()


_age = _Aging()
