"""A request to a source: the call in the model file, the ports to fill, and the data folder.

request = Request(call, ports, folder)
(path,) = request.files()
settings = request.settings()
raise request.error("`iris.csv`, line 5: ...", help="...")
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from specc.diagnostics import Diagnostic, Label
from specc.recipe import ColumnRule, DataCall, Port
from specc.recipe.call_errors import call_errors, nearest_file
from specc.recipe.sources import source_of
from specc.runtime.data.pending import PendingRows
from specc.runtime.errors import DataError, data_error, diagnostic
from specc.system.folders import data_folder
from specc.system.records import dataclass


@dataclass(frozen=True)
class Request:
    """A `DataCall` to be read for some ports. Relative paths start at `folder`.

    With a `limit`, only about that many bytes of each file, or of each array in it, are read.
    """

    call: DataCall
    ports: tuple[Port, ...]
    folder: Path
    derived: tuple[Port, ...] = ()  # ports whose values follow from another port's
    limit: int | None = None
    rules: tuple[ColumnRule, ...] = ()  # the formulas of columns
    is_patient: bool = False  # whether values may come later
    waiting: list[PendingRows] = field(default_factory=list, compare=False)  # those that do

    @property
    def may_wait(self) -> bool:
        """Whether values of an array may come later: nothing looks at them before a training."""
        return self.is_patient and not self.rules and self.settings().get("missing") != "drop"

    def error(
        self,
        message: str,
        *,
        argument: int | None = None,
        setting: str | None = None,
        port: Port | None = None,
        help: str | None = None,
        notes: Sequence[str] = (),
    ) -> DataError:
        """Return a `DataError` at the call, or at one of its arguments or settings.

        If `port` is given, its declaration gets a label.
        """
        span = self.call.span
        if setting is not None:
            span = self.call.setting_spans.get(setting, span)
        if argument is not None and argument < len(self.call.argument_spans):
            span = self.call.argument_spans[argument]
        labels: tuple[Label, ...] = ()
        if port is not None and port.span is not None and span is not None:
            labels = (Label(port.span, f"`{port.name}` is declared here"),)
        return data_error(message, span, labels=labels, help=help, notes=notes, file=self.call.word)

    def files(self) -> list[Path]:
        """Return the paths among the arguments.

        Raises `DataError` for a call with wrong arguments, and with all files that do not exist.
        """
        for wrong in call_errors(self.call, self.ports):
            raise self.error(wrong.message, argument=wrong.argument, help=wrong.help)
        paths: list[Path] = []
        missing: list[Diagnostic] = []
        for position in range(len(self.call.arguments)):
            try:
                paths.append(self.file(position))
            except DataError as error:
                missing += error.diagnostics
        if missing:
            raise DataError(missing)
        return paths

    @property
    def is_in_a_file(self) -> bool:
        """Whether the call is in a model file, where a setting can be added to it."""
        return self.call.span is not None and bool(self.call.span.source.text)

    def file(self, position: int) -> Path:
        """Return the path of an argument. Raises `DataError` if there is no such file."""
        given = Path(self.call.arguments[position]).expanduser()
        path = self.folder / given
        if not path.exists() and (data_folder() / given).is_file():
            return data_folder() / given
        if path.is_file():
            return path
        if path.is_dir() and position == 0 and source_of(self.call.word).takes_folders:
            return path
        if path.is_dir():
            help_ = "name a file in it"
            raise self.error(f"`{path}` is a folder, not a file", argument=position, help=help_)
        if path.exists():
            raise self.error(
                f"`{path}` is a pipe or a device, not a file",
                argument=position,
                help="write the data to a file first",
            )
        near = nearest_file(path)
        hint = f"did you mean `{near}`? " if near else ""
        (found,) = self.error(
            f"there is no file `{path}`",
            argument=position,
            help=f"{hint}`--data DIR` sets the folder where relative paths start",
        ).diagnostics
        raise DataError([diagnostic("missing-data", found.message, found.span, help=found.help)])

    def fetched(self, name: str, file: str) -> Path:
        """Return a file of a data set in the user's data folder. Raises `DataError` if it is
        missing.
        """
        path = data_folder() / name / file
        if not path.is_file():
            (found,) = self.error(
                f"`{name}` is not in the data folder `{data_folder()}`",
                help=f"to download it, run `specc data fetch {name}`",
            ).diagnostics
            place = found.span
            raise DataError([diagnostic("missing-data", found.message, place, help=found.help)])
        return path

    def columns(self) -> dict[str, str]:
        """Return the columns that settings name, by port: `species = "kind"`.

        For a port with the name of a setting of the source, such as `level`, no column can be
        named.
        """
        own = {each.name for each in source_of(self.call.word).settings}
        given = {
            port.name: self.call.settings.get(port.name)
            for port in self.ports
            if port.name not in own
        }
        return {name: each for name, each in given.items() if isinstance(each, str)}

    def settings(self) -> dict[str, Any]:
        """Return all settings of the call, including defaults."""
        known = source_of(self.call.word).all_settings(self.ports)
        return {name: each.default for name, each in known.items()} | self.call.settings

    def has_setting(self, name: str) -> bool:
        """Return whether the source has a setting `name`."""
        return name in source_of(self.call.word).all_settings(())

    def read(self, path: Path, argument: int = 0) -> bytearray:
        """Return the bytes of a file, or its first `limit` bytes, decompressed from gzip or zip."""
        most = -1 if self.limit is None else self.limit
        try:
            with path.open("rb") as file:
                content = file.read(most)
                if content[:4] == b"PK\x03\x04" and path.suffix != ".npz":
                    return self._unzipped(path, argument, most)
                if content[:2] != b"\x1f\x8b":
                    return bytearray(content)
                file.seek(0)
                with gzip.GzipFile(fileobj=file) as unpacked:
                    return bytearray(unpacked.read(most))
        except EOFError:
            size = path.stat().st_size
            raise self.error(
                f"`{path}` is cut short: the compressed data ends after {size:,} bytes",
                argument=argument,
                help="download the file again",
            ) from None
        except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
            raise self.error(
                f"`{path}` is damaged: {error}", argument=argument, help="download the file again"
            ) from None
        except OSError as error:
            raise self.error(f"cannot read `{path}`: {error.strerror}", argument=argument) from None

    def _unzipped(self, path: Path, argument: int, most: int) -> bytearray:
        """Return the bytes of the only file in a zip archive."""
        with (
            zipfile.ZipFile(path) as archive,
            archive.open(self.only_file(archive, path, argument)) as unpacked,
        ):
            return bytearray(unpacked.read(most))

    def only_file(self, archive: zipfile.ZipFile, path: Path, argument: int = 0) -> zipfile.ZipInfo:
        """Return the only file in an archive. Raises `DataError` if there are several."""
        files = [each for each in archive.infolist() if not each.is_dir()]
        files = [each for each in files if not each.filename.startswith("__MACOSX/")]
        if len(files) != 1:
            raise self.error(
                f"`{path}` has {len(files)} files, but specc reads archives of one file",
                argument=argument,
                help="unpack it and name one file",
                notes=[f"it has {listed(each.filename for each in files)}"],
            )
        return files[0]

    def is_part(self, content: bytearray) -> bool:
        """Return whether `content` may be only the beginning of a file."""
        return self.limit is not None and len(content) >= self.limit


def listed(names: Iterable[object], most: int = 12) -> str:
    """Return a list of names for a message: "`a`, `b`, `c`"."""
    names = list(names)
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "none"
