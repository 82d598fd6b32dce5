"""Encodes pixels as PNG, also as a data URI for self-contained pages.

data_uri(np.zeros((8, 8), np.uint8))      # "data:image/png;base64,..."
"""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np


def png(pixels: np.ndarray) -> bytes:
    """Encode uint8 pixels: [h, w] gray, [h, w, 3] color, or [h, w, 4] color with opacity."""
    kinds = {(2, 1): 0, (3, 3): 2, (3, 4): 6}
    deep = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.uint8 or (pixels.ndim, deep) not in kinds:
        raise ValueError(f"pixels are uint8 [h, w], [h, w, 3] or [h, w, 4], not {pixels.shape}")
    high, wide = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(high, wide * deep)
    # each row starts with the number of its filter, 0
    data = np.concatenate([np.zeros((high, 1), np.uint8), rows], axis=1).tobytes()
    head = struct.pack(">IIBBBBB", wide, high, 8, kinds[pixels.ndim, deep], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    check = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)


def data_uri(pixels: np.ndarray) -> str:
    """Return the PNG of pixels as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")


def gray(values: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """Scale numbers to uint8, from black at `low` to white at `high` (default: min and max)."""
    low = float(np.nanmin(values)) if low is None else low
    high = float(np.nanmax(values)) if high is None else high
    scaled = (np.nan_to_num(values) - low) / (high - low if high > low else 1.0)
    return np.asarray(np.clip(np.rint(255 * scaled), 0, 255), np.uint8)
