"""Python's collection of garbage, put off while a model is compiled.

    @uncollected
    def compile(...):

Compiling makes some hundred thousand small objects, most of which stay. To look through them again and
again took a tenth to a quarter of the time to a warm start's first step.
"""

from __future__ import annotations

import gc
from functools import wraps


def uncollected(function):
    """The function, during which no garbage is collected, however it ends."""

    @wraps(function)
    def run(*args, **kwargs):
        if not gc.isenabled():
            return function(*args, **kwargs)
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            gc.enable()

    return run
