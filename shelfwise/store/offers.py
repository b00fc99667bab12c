"""The catalogue as shoppers see it this second: without what is hidden, each product at the price it has now.

Whatever shows products reads them here: engine, search, suggestions, shop window. The record itself (`Store`) keeps
what the merchant gave.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import polars as pl

from shelfwise import schema
from shelfwise.schema import Product
from shelfwise.store.products import ProductChange
from shelfwise.store.store import Store


class Offers:
    """Thread-safe, like its store. A product that was hidden looks deleted."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def url(self) -> str:
        return self._store.url

    def turn(self) -> None:
        """Let sales that began or ended since take effect."""
        self._store.turn_sales(schema.now())

    def product_revision(self) -> int:
        return self._store.product_revision()

    def products_frame(self) -> pl.DataFrame:
        """PRODUCT_COLUMNS, see schema.offered."""
        return schema.offered(self._store.products_frame(), schema.now())

    def product_changes(self, since: int) -> tuple[int, list[ProductChange]]:
        now = schema.now()
        revision, changes = self._store.product_changes(since)
        return revision, [
            change if change.product is None else replace(change, product=change.product.offered(now))
            for change in changes
        ]

    def product(self, id: str) -> Product | None:
        return self.products([id]).get(id)

    def products(self, ids: Iterable[str]) -> dict[str, Product]:
        """Those of these products that shoppers may see, by id, in the order asked."""
        now = schema.now()
        offered = ((id, product.offered(now)) for id, product in self._store.products(ids).items())
        return {id: product for id, product in offered if product is not None}
