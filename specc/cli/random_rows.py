"""Random data of the right shapes, for commands that only measure time.

columns, order = random_rows(net, 512)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from specc.recipe import Column

if TYPE_CHECKING:
    from specc.net.net import Net


def random_rows(net: Net, least: int) -> tuple[dict[str, Column], np.ndarray]:
    """Return random columns for every port, with `least` rows or one batch, and their order."""
    rng = np.random.default_rng(0)
    count = max(least, net.batch)
    columns = {}
    for port in net.ports:
        shape = count, *port.shape
        if port.kind == "class":
            columns[port.name] = Column(rng.integers(0, port.class_count, shape))
        elif port.kind == "bool":
            columns[port.name] = Column(rng.integers(0, 2, shape).astype(bool))
        else:
            columns[port.name] = Column(rng.random(shape, dtype=np.float32))
    return columns, np.arange(count)
