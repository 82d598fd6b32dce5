"""Calls a function whenever a file changes, by polling.

watch(lambda: [Path("lenet.dl")], run)      # at once, then after every change, until Ctrl-C
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import click

SECONDS = 0.25
"""Time between two checks of the files, in seconds."""


def watch(
    files: Callable[[], Iterable[Path]],
    run: Callable[[], object],
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Call `run` now and whenever one of the files of `files()` changes, until Ctrl-C."""
    try:
        while True:
            if sys.stdout.isatty():
                click.clear()
            before = _states(files())
            run()
            click.echo("waiting for a change (press Ctrl-C to stop)", err=True)
            while _states(files()) == before:
                wait(SECONDS)
    except KeyboardInterrupt:
        click.echo()


def _states(files: Iterable[Path]) -> dict[Path, tuple[int, int] | None]:
    """Return the time and size of each file, or None if it does not exist."""
    found: dict[Path, tuple[int, int] | None] = {}
    for path in files:
        try:
            state = path.stat()
            found[path] = (state.st_mtime_ns, state.st_size)
        except OSError:
            found[path] = None
    return found
