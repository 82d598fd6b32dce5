"""A disk that records its calls, makes one of them fail, and shows what a crash may leave.

    recorder = Recorder()
    with recorder.installed(monkeypatch): save(...)
    for state in states(before, recorder.calls[:n]): state.put(folder)

A crash may lose a write that no sync of its file followed, or keep a part of it; it may lose a
change of a folder's names that no sync of the folder followed, whatever came after it.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from specc.runtime import files

NAMES = {"create", "rename", "remove", "make_folder"}  # calls that change a folder


class Recorder(files.Disk):
    """Keeps (call, arguments) of all calls; the `fail_at`-th raises `error`, having done a part."""

    def __init__(self, fail_at: int | None = None, error: int = errno.ENOSPC):
        self.calls, self.fail_at, self.error = [], fail_at, error
        self.paths: dict[int, Path] = {}
        self.has_failed = False

    @contextmanager
    def installed(self, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(files, "disk", self)
            yield self

    def note(self, name, *arguments):
        self.calls.append((name, *arguments))
        if len(self.calls) - 1 == self.fail_at:
            self.has_failed = True
            raise OSError(self.error, os.strerror(self.error))

    def create(self, path):
        self.note("create", path)
        handle = super().create(path)
        self.paths[handle] = path
        return handle

    def open_end(self, path):
        self.note("open_end", path)
        handle = super().open_end(path)
        self.paths[handle] = path
        return handle

    def write(self, handle, content):
        try:
            self.note("write", self.paths[handle], bytes(content))
        except OSError:
            super().write(handle, content[: len(content) // 2])
            raise
        return super().write(handle, content)

    def truncate(self, handle, size):
        self.note("truncate", self.paths[handle], size)
        super().truncate(handle, size)

    def sync(self, handle):
        self.note("sync", self.paths[handle])

    def close(self, handle):
        super().close(handle)  # a close that fails closes as well
        self.note("close", self.paths.pop(handle))

    def rename(self, path, to):
        self.note("rename", path, to)
        super().rename(path, to)

    def remove(self, path):
        self.note("remove", path)
        super().remove(path)

    def make_folder(self, path):
        self.note("make_folder", path)
        super().make_folder(path)

    def sync_folder(self, path):
        self.note("sync_folder", path)


@dataclass
class Inode:
    synced: bytes = b""
    pending: list[bytes] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        return self.synced + b"".join(self.pending)

    def contents(self) -> list[bytes]:
        """Return all contents of the file that a crash may leave."""
        found = [self.synced]
        if self.pending:
            new = b"".join(self.pending)
            cut = {0, 1, len(new) // 2, len(new) - 1, len(new)}
            found += [self.synced + new[:each] for each in sorted(cut)]
            found.append(self.synced + bytes(len(new)))  # the size, and not the content
        return list(dict.fromkeys(found))


def states(before: dict[Path, bytes], calls) -> list[dict[Path, bytes]]:
    """Return all contents of a folder that a crash after these calls may leave: path -> content.

    Folders are paths with the content None.
    """
    durable: dict[Path, Inode | None] = {
        path: None if content is None else Inode(content) for path, content in before.items()
    }
    seen = dict(durable)  # the names that the running system shows
    pending: dict[Path, list] = {}
    for name, path, *rest in calls:
        if name == "create":
            seen[path] = Inode()
            pending.setdefault(path.parent, []).append(("set", path, seen[path]))
        elif name == "make_folder":
            seen[path] = None
            pending.setdefault(path.parent, []).append(("set", path, None))
        elif name == "write":
            seen[path].pending.append(rest[0])
        elif name == "truncate":
            seen[path].pending = [seen[path].content[len(seen[path].synced) : rest[0]]]
        elif name == "sync":
            seen[path].synced, seen[path].pending = seen[path].content, []
        elif name == "rename":
            seen[rest[0]] = seen.pop(path)
            pending.setdefault(path.parent, []).append(("move", path, rest[0], seen[rest[0]]))
        elif name == "remove":
            del seen[path]
            pending.setdefault(path.parent, []).append(("drop", path))
        elif name == "sync_folder":
            for change in pending.pop(path, []):
                _apply(durable, change)
    changes = [change for each in pending.values() for change in each]
    found = []
    for chosen in product((False, True), repeat=len(changes)):
        names = dict(durable)
        for is_chosen, change in zip(chosen, changes, strict=True):
            if is_chosen:
                _apply(names, change)
        # what is in a folder that is lost is lost
        lost = [path for path in seen if seen[path] is None and path not in names]
        names = {
            path: inode
            for path, inode in names.items()
            if not any(each in path.parents for each in lost)
        }
        paths = list(names)
        options = [[None] if names[path] is None else names[path].contents() for path in paths]
        found += [dict(zip(paths, each, strict=True)) for each in product(*options)]
    unique = {tuple(sorted(each.items(), key=str)): each for each in found}
    return list(unique.values())


def _apply(names, change):
    kind, path, *rest = change
    if kind == "set":
        names[path] = rest[0]
    elif kind == "move":
        names.pop(path, None)
        names[rest[0]] = rest[1]
    else:
        names.pop(path, None)


def snapshot(folder: Path) -> dict[Path, bytes | None]:
    """Return the content of a folder, in the form that `states` takes."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in [folder, *sorted(folder.rglob("*"))]
    }


def put(state: dict[Path, bytes | None], folder: Path, at: Path) -> None:
    """Write a state of `folder` to another folder."""
    for path, content in sorted(state.items(), key=lambda each: len(each[0].parts)):
        place = at / path.relative_to(folder)
        if content is None:
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
