"""What a source is asked for: the call in the .dl file, the ports to fill, and where files lie.

request = Request(call, ports, folder)
(path,) = request.files("a file")
settings = request.settings(scale=1.0, shift=0.0)
raise request.error("`iris.csv`, line 5: ...", help="...")
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specc.diagnostics import closest
from specc.recipe import DataCall, Port
from specc.runtime.errors import DataError, data_error


@dataclass(frozen=True)
class Request:
    """A `DataCall` to be carried out. Relative paths start at `folder`."""

    call: DataCall
    ports: tuple[Port, ...]
    folder: Path

    def error(
        self,
        message: str,
        *,
        argument: int | None = None,
        help: str | None = None,
        notes: Sequence[str] = (),
    ) -> DataError:
        """A `DataError` at the call, or at one of its arguments."""
        span = self.call.span
        if argument is not None and argument < len(self.call.argument_spans):
            span = self.call.argument_spans[argument]
        return data_error(message, span, help=help, notes=notes, file=self.call.word)

    def files(self, *what: str, optional: int = 0) -> list[Path]:
        """The paths among the arguments, for each of `what`; the last `optional` may be missing."""
        word, given = self.call.word, self.call.arguments
        if not len(what) - optional <= len(given) <= len(what):
            wants = " and ".join(what) or "no arguments"
            raise self.error(f"`{word}` takes {wants}, but has {len(given)} arguments")
        for position, each in enumerate(given):
            if not isinstance(each, str):
                raise self.error(
                    f"`{word}` takes the name of a file here, not `{each}`",
                    argument=position,
                    help="put the name between quotes",
                )
        return [self.file(position) for position in range(len(given))]

    def file(self, position: int) -> Path:
        """The path of an argument; raises `DataError` if there is no such file."""
        path = self.folder / Path(self.call.arguments[position]).expanduser()
        if path.is_file():
            return path
        if path.is_dir():
            raise self.error(f"`{path}` is a folder, not a file", argument=position)
        neighbours = path.parent.iterdir() if path.parent.is_dir() else ()
        near = closest(path.name, [each.name for each in neighbours])
        hint = f"did you mean `{near}`? " if near else ""
        raise self.error(
            f"there is no file `{path}`",
            argument=position,
            help=f"{hint}`--data DIR` sets the folder where relative paths start",
        )

    def settings(self, **defaults: Any) -> dict[str, Any]:
        """The settings of the call over `defaults`, whose types they must have (None: a string)."""
        settings = dict(defaults)
        for name, value in self.call.settings.items():
            if name not in defaults:
                near = closest(name, defaults)
                raise self.error(
                    f"`{self.call.word}` has no setting `{name}`",
                    help=f"did you mean `{near}`?" if near else f"it has {listed(defaults)}",
                )
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if isinstance(defaults[name], float) and not number:
                raise self.error(f"`{name}` of `{self.call.word}` is a number, not `{value}`")
            if defaults[name] is None and not isinstance(value, str):
                raise self.error(
                    f"`{name}` of `{self.call.word}` is a text, not `{value}`",
                    help="put it between quotes",
                )
            settings[name] = value
        return settings

    def read(self, path: Path, argument: int = 0) -> bytearray:
        """The bytes of a file, unpacked if it is compressed with gzip."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise self.error(
                f"`{path}` cannot be read: {error.strerror}", argument=argument
            ) from None
        if content[:2] != b"\x1f\x8b":
            return bytearray(content)
        try:
            return bytearray(gzip.decompress(content))
        except EOFError:
            raise self.error(
                f"`{path}` is cut short: the compressed data end after {len(content):,} bytes",
                argument=argument,
                help="fetch the file again",
            ) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self.error(
                f"`{path}` is damaged: {error}", argument=argument, help="fetch the file again"
            ) from None


def listed(names, most: int = 12) -> str:
    """Names for a message: `a`, `b`, `c`."""
    names = list(names)
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "none"
