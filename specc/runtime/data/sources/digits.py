"""`digits()`: 1,797 images of handwritten digits, 8x8, that are included in specc.

The values 0..16 are scaled by 1/16, unless `scale` says otherwise. Source: E. Alpaydin, C. Kaynak,
Optical Recognition of Handwritten Digits, UCI Machine Learning Repository 1998 (CC BY 4.0).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from specc.runtime.data.request import Request
from specc.runtime.data.table import Columns, Raw, Table

FILE = Path(__file__).parents[3] / "data" / "digits.npz"


def table(request: Request) -> Table:
    """Return the images, uint8 `[1797, 8, 8]`, and the labels as columns."""
    request.files()

    def read(names: Sequence[str], texts: Collection[str]) -> Columns:
        with np.load(FILE, allow_pickle=False) as archive:
            raw = {
                name: Raw(
                    archive[name],
                    title=f"the {name}s of `digits()`",
                    is_image=name == "image",
                )
                for name in ("image", "label")
            }
        return Columns(raw, len(raw["label"]), lambda row, name, _=0: f"{name} {row + 1}")

    return Table("`digits()`", ["image", "label"], read, by_kind=True, noun="array")
