"""What tests of feeds share: a file into a shop, its report and the products by id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shelfwise.intake.report import QualityReport
from shelfwise.schema import Product
from shelfwise.shop import Shop


def load(
    shop: Shop, folder: Path, text: str | bytes, name: str = "f.csv", **options: Any
) -> tuple[QualityReport, dict[str, Product]]:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    report = shop.load_products(folder / name, **options)
    return report, shop.store.products(shop.store.product_ids())
