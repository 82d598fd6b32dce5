"""The colors of all figures.

rgb(2)                       # "#009e73", the third color of the palette
heat(values)                 # uint8 [..., 3]: dark blue over green to yellow
signed(values)               # blue over white to orange, for values from -1 to 1
counts(values)               # pale to dark blue
"""

from __future__ import annotations

import numpy as np

PALETTE = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#8c6d31",
    "#7a7a7a",
    "#5e3c99",
    "#b8b000",
)
"""Distinguishable with color blindness (Okabe and Ito, Color universal design, 2008), and four
more.
"""

_HEAT = np.array(
    [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], np.float64
)
_SIGNED = np.array(
    [[5, 80, 140], [94, 155, 200], [247, 247, 245], [240, 150, 80], [180, 70, 5]], np.float64
)

_COUNTS = np.array([[226, 238, 248], [120, 180, 222], [0, 95, 160], [0, 45, 90]], np.float64)


def rgb(number: int) -> str:
    """Return the color of a series as #rrggbb; the palette repeats."""
    return PALETTE[number % len(PALETTE)]


def heat(values: np.ndarray) -> np.ndarray:
    """Return colors of values from 0 to 1, uint8 [..., 3]; gray for NaN and infinity."""
    return _mixed(values, _HEAT)


def signed(values: np.ndarray) -> np.ndarray:
    """Return colors of values from -1 to 1, uint8 [..., 3]; gray for NaN and infinity."""
    return _mixed((values + 1) / 2, _SIGNED)


def counts(values: np.ndarray) -> np.ndarray:
    """Return colors of values from 0 to 1, uint8 [..., 3], pale for small values."""
    return _mixed(values, _COUNTS)


def _mixed(values: np.ndarray, stops: np.ndarray) -> np.ndarray:
    at = np.clip(np.nan_to_num(values), 0, 1) * (len(stops) - 1)
    first = np.minimum(at.astype(int), len(stops) - 2)
    part = (at - first)[..., None]
    found = stops[first] * (1 - part) + stops[first + 1] * part
    found[~np.isfinite(values)] = 160
    return np.rint(found).astype(np.uint8)


def of_table(values: np.ndarray, low: float, high: float, scale: str) -> np.ndarray:
    """Return the colors of a table's values; the first and last color mean `low` and `high`.

    Values that are already colors, [..., 3], are returned unchanged.
    """
    if values.ndim == 3:
        return values
    scaled = (values - low) / (high - low)
    if scale == "signed":
        return signed(2 * scaled - 1)
    return counts(scaled) if scale == "counts" else heat(scaled)


def is_dark(colour: np.ndarray) -> bool:
    """Return whether white text is easier to read on a color than black text."""
    return bool(colour @ np.array([0.299, 0.587, 0.114]) < 140)


def hexadecimal(colour: np.ndarray) -> str:
    """Return a color as #rrggbb."""
    return "#" + "".join(f"{int(each):02x}" for each in colour)
