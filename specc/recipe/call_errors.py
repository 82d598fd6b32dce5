"""Errors in the call of a data source that are known before the data is read.

    call_errors(DataCall("idx", ()), ())   # [Wrong("wrong-arguments", "`idx` takes the file ...")]

`specc check` and the readers of sources call these functions first. They do not read the contents
of files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from specc.diagnostics import closest
from specc.recipe.binding import by_kind, fits, port_type
from specc.recipe.recipe import DataCall, Port
from specc.recipe.sources import FRAME, SETTING_SYNONYMS, SOURCES, source_of
from specc.system.records import dataclass

NO_DATA = (".dl", ".py", ".md")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class Wrong:
    """An error in a call: in one of its arguments, in a setting, or in the call as a whole."""

    name: str  # the name of the error, such as "bad-setting"
    message: str
    help: str | None = None
    argument: int | None = None
    setting: str | None = None
    near: str | None = None  # the setting that was probably meant
    notes: tuple[str, ...] = ()


def call_errors(call: DataCall, ports: Sequence[Port]) -> list[Wrong]:
    """Return the errors in the call of a known source, for a model with such ports."""
    source, found = source_of(call.word), []
    count, most = len(call.arguments), len(source.files)
    if source.more_files:
        most = max(most, count)
    if not most - source.optional <= count <= most:
        takes = " and ".join(source.files) or "no file"
        has = f"{count} argument" + ("" if count == 1 else "s") if count else "none"
        found.append(Wrong("wrong-arguments", f"`{call.word}` takes {takes}, but has {has}",
                           argument=most if count > most else None))  # fmt: skip
    for position, each in enumerate(call.arguments[:most] if call.word != FRAME else ()):
        if not isinstance(each, str) or not each:
            given = f"`{each}`" if each != "" else "an empty string"
            found.append(
                Wrong(
                    "wrong-arguments",
                    f"`{call.word}` takes the name of a file here, not {given}",
                    "put the name in quotes",
                    argument=position,
                )
            )
        elif URL.match(each):
            found.append(
                Wrong(
                    "wrong-arguments",
                    f"`{call.word}` reads files, not addresses such as `{each}`",
                    "download the file first and name it here, so that training does not depend"
                    " on a server",
                    argument=position,
                )
            )
    known = source.all_settings(ports)
    for name, value in call.settings.items():
        if name not in known:
            near = closest(name, known, SETTING_SYNONYMS)
            listed = ", ".join(f"`{each}`" for each in known.values())
            listed = f"its settings are {listed}" if listed else f"`{call.word}` has no settings"
            found.append(Wrong(
                "unknown-setting", f"`{call.word}` has no setting `{name}`",
                f"did you mean `{near}`?" if near else listed, setting=name, near=near,
                notes=(listed,) if near else (),
            ))  # fmt: skip
        elif (needed := known[name].wrong(value)) is not None:
            given = f'the string "{value}"' if isinstance(value, str) else f"`{str(value).lower()}`"
            help_ = "put it in quotes" if needed == "a string" and value != "" else None
            found.append(
                Wrong(
                    "bad-setting",
                    f"`{name}` of `{call.word}` is {needed}, not {given}",
                    help_,
                    setting=name,
                )
            )
    return found


def nearest_file(path: Path) -> str | None:
    """Return the name of the file beside `path` that was probably meant."""
    try:
        beside = list(path.parent.iterdir())
    except OSError:
        return None
    return closest(path.name, [each.name for each in beside if each.suffix not in NO_DATA])


def misfits(call: DataCall, ports: Sequence[Port]) -> list[Wrong]:
    """Return the errors of ports that can take none of the known fields of the source."""
    source = SOURCES[call.word]
    if not source.fields:
        return []
    names = source.fields if source.more_files else source.fields[: len(call.arguments)]
    names = names if source.files else source.fields
    bound = by_kind(names, ports)
    if bound.doubtful:
        listed = ", ".join(f"`{each}`" for each in bound.ports)
        return [
            Wrong(
                "wrong-kind",
                f"the {bound.doubtful}s of `{call.word}` could be any of {listed}",
                f"name the right port `{bound.doubtful}`, or use an `npz` file, which has names",
            )
        ]
    found = []
    for port in ports:
        field = bound.fields.get(port.name)
        if field is None:
            message = f"`{call.word}` has no field for `{port.name}: {port_type(port)}`"
            help_ = "its images are bound to a `float` port, its labels to a `class` port"
            if len(names) < len(source.fields):
                help_ = f"add {source.files[len(names)]}"
            found.append(Wrong("wrong-kind", message, help_))
        elif (
            field == "image" and source.shape and not fits(source.shape, port.shape, is_image=True)
        ):
            listed = ", ".join(map(str, source.shape))
            found.append(
                Wrong(
                    "shape-mismatch",
                    f"`{call.word}` has images of shape [{listed}], but"
                    f" `{port.name}` is {port_type(port)}",
                    f"declare `{port.name}: float[1, {listed}]`",
                )
            )
        elif (
            field == "label"
            and source.classes
            and port.kind == "class"
            and (isinstance(port.classes, int) and port.classes < source.classes)
        ):
            found.append(Wrong("shape-mismatch", f"`{call.word}` has {source.classes} classes, but"
                               f" `{port.name}` is {port_type(port)}",
                               f"declare `{port.name}: class({source.classes})`"))  # fmt: skip
    return found
