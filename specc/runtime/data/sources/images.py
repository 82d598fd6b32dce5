"""`images(folder)`: images with one folder per class; `images(table)`: a table with their paths.

    images("pets"; size = 32)                        # pets/cat/1.png, pets/dog/7.jpg, ..
    images("pets.csv"; path = "file", size = 32)     # a column of paths, and any other columns

Images are PNG, JPEG, GIF, BMP, TIFF or WebP of any size, read with Pillow (extra `images`). They
become uint8 `[channels, height, width]`. `size = 32` scales the shorter side to 32 pixels and crops
the middle; by default the size is that of the port, or of the first image. A port of one channel
gets gray images. Relative paths in a table start at its folder. Values are scaled by 1/255.

Decoded images are kept in the user's cache folder, one file for each folder and size, and are
decoded only once, on all processors. The file is memory-mapped, so it may be larger than memory.
Training begins meanwhile, and waits only for the images of its next steps (see `pending`).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from specc.recipe import DataCall, Port
from specc.runtime.data.pending import PendingRows
from specc.runtime.data.request import Request
from specc.runtime.data.sources import arrow, csv
from specc.runtime.data.table import Columns, Raw, Table, coded
from specc.runtime.errors import DataError
from specc.system.folders import cache_folder

ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
TABLES = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".feather": "feather"}
SAMPLED = 64  # number of images that a partial read decodes
VERSION = 1  # version of the cache's format


def table(request: Request) -> Table:
    """Return images with labels, or with the columns of a table. Raises `DataError`."""
    (path,) = request.files()
    if path.is_dir():
        return _folder(request, path)
    return _listed(request, path)


def _folder(request: Request, folder: Path) -> Table:
    """Return the images below a folder, labeled with the name of their folder."""
    found = sorted(
        each
        for each in folder.rglob("*")
        if each.suffix.lower() in ENDINGS
        and not any(part.startswith(".") for part in each.relative_to(folder).parts)
    )
    if not found:
        raise request.error(
            f"`{folder}` has no images",
            argument=0,
            help=f"the names of images end in {', '.join(ENDINGS)}",
        )
    labels = [each.relative_to(folder).parts[0] for each in found]
    count = None
    if request.limit is not None and len(found) > SAMPLED:
        step = len(found) // SAMPLED  # take some images of each class
        count, found, labels = len(found), found[::step][:SAMPLED], labels[::step][:SAMPLED]

    def read(names: Sequence[str], texts: Collection[str]) -> Columns:
        raw: dict[str, Raw] = {}
        if "image" in names:
            raw["image"] = _pictures(request, folder, found)
        if "label" in names:
            raw["label"] = replace(coded(labels), title=f"`{folder.name}`", are_names=True)
        return Columns(raw, len(found), lambda row, name, _=0: f"`{found[row]}`", count)

    return Table(f"`{folder.name}`", ["image", "label"], read, by_kind=True, noun="array")


def _listed(request: Request, path: Path) -> Table:
    """Return the columns of a table, and as `image` the images that one of them names."""
    word = TABLES.get(path.suffix.removesuffix(".gz").lower(), "csv")
    call = DataCall(word, request.call.arguments, {}, request.call.span)
    inner_request = replace(request, call=call)
    reader = arrow.table if word in arrow.MODULES else csv.table
    inner = reader(inner_request)
    column = str(request.settings()["path"])
    if column not in inner.names:
        raise request.error(
            f"{inner.title} has no column `{column}` with the paths of images",
            argument=0,
            help='set the name of the column with `path = "..."`',
        )
    image = next((port for port in request.ports if _is_picture(port)), None)
    name = image.name if image is not None and image.name not in inner.names else "image"

    def read(names: Sequence[str], texts: Collection[str]) -> Columns:
        others = [each for each in names if each != name]
        columns = inner.read([*others, column], {*texts, column})
        if name not in names:
            return columns
        paths = [path.parent / each.strip() for each in columns.raw[column].texts()]
        if request.limit is not None:
            columns = columns.rows(np.arange(min(len(paths), SAMPLED)))
            count = -1 if len(paths) > SAMPLED else columns.count
            columns, paths = replace(columns, count=count), paths[:SAMPLED]
        for row, each in enumerate(paths):
            if not each.is_file():
                raise request.error(
                    f"{columns.location(row, column)}: there is no file `{each}`", argument=0
                )
        return replace(columns, raw=columns.raw | {name: _pictures(request, path, paths)})

    return Table(inner.title, [name, *(each for each in inner.names if each != name)], read)


def _is_picture(port: Port) -> bool:
    return port.kind == "float" and len(port.shape) in (2, 3)


def _pictures(request: Request, origin: Path, paths: list[Path]) -> Raw:
    """Return decoded images, uint8 `[N, channels, height, width]`."""
    shape = _shape(request, paths)
    title = f"the images of `{origin.name}`"
    if request.limit is not None:
        found = np.empty((len(paths), *shape), np.uint8)
        _decode(request, paths, found)
        return Raw(found, title=title, is_image=True)
    file = _cache_file(origin, paths, shape)
    if not file.is_file():
        decoding = _decoding(request, paths, shape, file)
        if request.may_wait:
            request.waiting.append(decoding)
            return Raw(decoding.array, title=title, is_image=True)
        decoding.complete()
    return Raw(np.load(file, mmap_mode="r"), title=title, is_image=True)


def _shape(request: Request, paths: list[Path]) -> tuple[int, int, int]:
    """Return the number of channels, the height and the width for all images."""
    port = next((each for each in request.ports if _is_picture(each)), None)
    sizes = () if port is None else port.shape
    channels = sizes[0] if len(sizes) == 3 else 1 if len(sizes) == 2 else 3
    size = request.settings()["size"]
    height, width = (size, size) if size is not None else (sizes or (0, 0))[-2:]
    if not all(isinstance(each, int) and each > 0 for each in (channels, height, width)):
        with _opened(request, paths[0]) as picture:
            own = (1 if picture.mode in ("1", "L", "I", "F", "I;16") else 3,
                   picture.height, picture.width)  # fmt: skip
        given = (channels, height, width)
        channels, height, width = (
            each if isinstance(each, int) and each > 0 else mine
            for each, mine in zip(given, own, strict=True)
        )
    if channels not in (1, 3):
        raise request.error(
            f"images have 1 or 3 channels, not {channels}",
            port=port,
            help="declare `float[3, 32, 32]`, or `float[1, 32, 32]` for gray images",
        )
    return int(channels), int(height), int(width)


def _cache_file(origin: Path, paths: Iterable[Path], shape: tuple[int, ...]) -> Path:
    """Return the cache file of decoded images; its name changes if any image changes."""
    stats = [
        (str(each), status.st_size, status.st_mtime_ns)
        for each in paths
        for status in (each.stat(),)
    ]
    text = json.dumps([VERSION, shape, stats])
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    return cache_folder() / "images" / f"{origin.stem}-{name}.npy"


def _decoding(
    request: Request, paths: list[Path], shape: tuple[int, ...], file: Path
) -> PendingRows:
    """Begin to decode images into a file, which is written whole or not at all."""

    def refused(error: OSError) -> DataError:
        return request.error(
            f"cannot write decoded images to `{file.parent}`: {error.strerror}",
            help="`specc doctor` shows the cache folder",
        )

    def finish() -> None:
        try:
            array.flush()
            os.replace(beside, file)
        except OSError as error:
            raise refused(error) from None

    beside = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(file.parent)
        array = np.lib.format.open_memmap(beside, "w+", np.uint8, (len(paths), *shape))
        _reserve(beside)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise refused(error) from None
    return PendingRows(
        array,
        lambda row: _decoded(request, paths[row], shape),
        finish,
        lambda: beside.unlink(missing_ok=True),
    )


def _reserve(file: Path) -> None:
    """Take the room of a file on the disk: a full disk is an error here, and none later."""
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


def _remove_leftovers(folder: Path) -> None:
    """Remove the files of killed processes."""
    for each in folder.glob(".*.part"):
        process = each.name.split(".")[-3]
        if os.name == "posix" and process.isdecimal() and not _is_running(int(process)):
            each.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _decode(request: Request, paths: list[Path], found: np.ndarray) -> None:
    """Decode all images into an array, with as many threads as there are processors."""

    def one(row: int) -> None:
        found[row] = _decoded(request, paths[row], found.shape[1:])

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(one, range(len(paths)), chunksize=16):
            pass


def _opened(request: Request, path: Path) -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise request.error(
            "`images` needs Pillow, which is not installed",
            help='install it with `pip install "specc-nn[images]"`',
        ) from None
    try:
        return Image.open(path)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(request, path, error) from None


def _decoded(request: Request, path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return a decoded image: uint8 `[channels, height, width]`."""
    from PIL import Image

    channels, height, width = shape
    with _opened(request, path) as picture:
        try:
            if picture.mode in ("I;16", "I", "F"):
                values = np.asarray(picture, np.float64)
                scale = 255 / 65535 if values.max(initial=0) > 255 else 1.0
                picture = Image.fromarray((values * scale).astype(np.uint8))
            picture = picture.convert("L" if channels == 1 else "RGB")
        except (OSError, ValueError, SyntaxError) as error:
            raise _unreadable(request, path, error) from None
        factor = max(height / picture.height, width / picture.width)
        if factor != 1:
            size = (round(picture.width * factor), round(picture.height * factor))
            picture = picture.resize(
                (max(width, size[0]), max(height, size[1])), Image.Resampling.BILINEAR
            )
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        values = np.asarray(picture.crop((left, top, left + width, top + height)))
    return values.reshape(height, width, channels).transpose(2, 0, 1)


def _unreadable(request: Request, path: Path, error: Exception) -> DataError:
    reason = str(error).partition("\n")[0]
    return request.error(f"cannot read the image `{path}`: {reason}", argument=0)
