"""Doing something again whenever a file changes, without any help from the system.

watch([Path("lenet.dl")], run)      # runs at once, then after every change, until interrupted
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import click

SECONDS = 0.25
"""Between two looks at the files."""


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
            click.echo("waiting for a change (Ctrl-C ends)", err=True)
            while _states(files()) == before:
                wait(SECONDS)
    except KeyboardInterrupt:
        click.echo()


def _states(files: Iterable[Path]) -> dict[Path, tuple[int, int] | None]:
    """When each file was last written, and its length; None for one that is not there."""
    found: dict[Path, tuple[int, int] | None] = {}
    for path in files:
        try:
            state = path.stat()
            found[path] = (state.st_mtime_ns, state.st_size)
        except OSError:
            found[path] = None
    return found
