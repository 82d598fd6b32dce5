"""Parses dates, and computes parts of dates such as the weekday.

parsed("2024-01-31 13:05")               # numpy.datetime64("2024-01-31T13:05:00")
parsed("31.01.2024", "%d.%m.%Y")         # numpy.datetime64("2024-01-31")
part("weekday", dates)                   # 0 for a Monday
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np

CLASSES = {"month": 12, "weekday": 7, "hour": 24}
"""The parts of a date that are classes, and their number of classes."""

_ISO = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d*)?)?)?"
    r" ?(Z|[+-]\d{2}:?\d{2})?",
    re.ASCII,
)


def parsed(text: str, form: str | None = None) -> np.datetime64 | None:
    """Parse a date; it is converted to UTC if it names a time zone. None if it is not a date.

    Without `form`, a format of `strptime`, the text must have year, month, day and optionally a
    time.
    """
    try:
        if form is not None:
            found = datetime.strptime(text.strip(), form)
        else:
            match = _ISO.fullmatch(text.strip())
            if match is None:
                return None
            year, month, day, hour, minute, second = (int(each or 0) for each in match.groups()[:6])
            found = datetime(year, month, day, hour, minute, second)
            if (zone := match[7]) and zone != "Z":
                found = datetime.strptime(
                    f"{found:%Y-%m-%dT%H:%M:%S}{zone.replace(':', '')}", "%Y-%m-%dT%H:%M:%S%z"
                )
        if found.tzinfo is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
        return np.datetime64(found, "us")
    except (ValueError, OverflowError):
        return None


def part(name: str, dates: np.ndarray) -> np.ndarray:
    """Return the `days`, `year`, `month`, `weekday` or `hour` of dates, as integers except `days`.

    The value of a missing date is 0.
    """
    gaps = np.isnat(dates)
    there = np.where(gaps, np.datetime64(0, "us"), dates).astype("datetime64[us]")
    found: np.ndarray
    if name == "days":
        found = there.astype(np.int64) / 86_400e6
    elif name == "year":
        found = there.astype("datetime64[Y]").astype(np.int64) + 1970
    elif name == "month":
        found = there.astype("datetime64[M]").astype(np.int64) % 12
    elif name == "weekday":  # 1970-01-01 was a Thursday
        found = (there.astype("datetime64[D]").astype(np.int64) + 3) % 7
    else:
        found = there.astype("datetime64[h]").astype(np.int64) % 24
    found[gaps] = 0
    return found
