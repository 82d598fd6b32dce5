"""Round numbers for the ticks of an axis.

ticks(0, 7.3)              # [0, 2, 4, 6]
log_ticks(0.004, 90)       # [0.01, 0.1, 1, 10]
written(0.25)              # "0.25"
"""

from __future__ import annotations

import math


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten in [low, high], at most about `most`."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    # the smallest step that is large enough; the tolerance is for rounding as in 0.2 * 5
    step = next(k * power for k in (1, 2, 5, 10) if k * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return powers of ten in [low, high], also 1, 2 and 5 times them if there are few."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first >= 2:
        every = -(-(last - first + 1) // most)
        return [10.0**k for k in range(first, last + 1, every)]
    found = [m * 10.0**k for k in range(first - 1, last + 1) for m in (1, 2, 5)]
    inside = [each for each in found if low * (1 - 1e-9) <= each <= high * (1 + 1e-9)]
    return inside or [low, high]


def written(value: float) -> str:
    """Format a number for an axis or a caption, with at most four digits."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size >= 1e5 or 0 < size < 1e-3:
        digits, power = f"{value:.3g}", math.floor(math.log10(size))
        digits = f"{value / 10.0**power:.3g}"
        return f"{digits}e{power}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"
