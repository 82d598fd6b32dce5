"""The values of one port for all examples, from data sources to kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class Column:
    """`array * scale + shift`, with `array` `[N, *shape]` in C order.

    `array` is uint8, float32 or float64 for a "float" port, an integer type for a "class" port,
    bool for a "bool" port. Bytes stay bytes in memory; they are scaled when a batch is gathered.
    Scale and shift are 1 and 0 for all but "float" ports.
    """

    array: np.ndarray
    scale: float = 1.0
    shift: float = 0.0

    def values(self, rows: np.ndarray, dtype: str = "float64") -> np.ndarray:
        """Return the values of some rows, scaled, as a compiled model gathers them."""
        gathered = self.array[rows]
        if self.scale == 1.0 and self.shift == 0.0:
            return gathered
        return gathered.astype(dtype) * self.scale + self.shift
