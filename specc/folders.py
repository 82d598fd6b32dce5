"""The user's folders: the one place that knows where they are.

cache_folder()     # ~/.cache/specc on Linux
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder for compiled code: SPECC_CACHE_DIR, or the system's cache folder."""
    if chosen := os.environ.get("SPECC_CACHE_DIR"):
        return Path(chosen)
    import platformdirs  # takes 5 ms to import

    return Path(platformdirs.user_cache_dir("specc", appauthor=False))
