"""The attributes of items, looked at one by one: the slow twin of a collection's columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class RowItems:
    """Rows of attributes as an expression reads them."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = list(rows)

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        found = [row.get(name) for row in self.rows]
        return np.array([float(one) if isinstance(one, int | float) else np.nan for one in found], dtype=np.float64)

    def is_text(self, name: str, text: str) -> npt.NDArray[np.bool_]:
        return np.array([row.get(name) == text for row in self.rows], dtype=np.bool_)
