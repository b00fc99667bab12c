"""How often each product was bought, by row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfwise.catalogue.products import ProductsView
from shelfwise.models.sequences import Floats, Ints


class Sold:
    """Counts by row. Any number of readers; one writer."""

    def __init__(self) -> None:
        self.values: Floats = np.empty(0, np.float32)

    def put(self, view: ProductsView, sold: Mapping[str, float], *, anew: bool = False) -> None:
        """Set the counts of these products by id. anew: all others are 0 from now on."""
        values = np.zeros(view.n, np.float32)
        if not anew:
            values[: len(self.values)] = self.values[: view.n]
        for name, count in sold.items():
            row = view.rows.get(name)
            if row is not None and row < view.n:
                values[row] = count
        self.values = values

    def of(self, rows: Ints) -> Floats:
        """float32 [m]; 0 for a row without a count."""
        values = self.values
        if not len(values):
            return np.zeros(len(rows), np.float32)
        return np.where(rows < len(values), values[np.minimum(rows, len(values) - 1)], 0).astype(np.float32)
