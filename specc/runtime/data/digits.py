"""`digits()`: 1,797 images of handwritten digits, 8x8, that come with specc.

The values 0..16 are scaled by 1/16, unless `scale` says otherwise. Source: E. Alpaydin, C. Kaynak,
Optical Recognition of Handwritten Digits, UCI Machine Learning Repository 1998 (CC BY 4.0).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from specc.runtime.data.field import Field
from specc.runtime.data.match import by_kind
from specc.runtime.data.request import Request

FILE = Path(__file__).parents[2] / "data" / "digits.npz"


def read(request: Request) -> dict[str, Field]:
    """The digits for the ports that can take them: port -> field."""
    request.files()
    settings = request.settings()
    with np.load(FILE, allow_pickle=False) as table:
        images, labels = table["image"], table["label"]
    fields = {
        "image": Field(
            "the images of `digits()`",
            images,
            lambda row, _: f"image {row + 1}",
            settings["scale"],
            settings["shift"],
            is_image=True,
        ),
        "label": Field("the labels of `digits()`", labels, lambda row, _: f"label {row + 1}"),
    }
    return by_kind(request, fields)
