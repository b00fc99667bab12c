"""Case 02: `sep=;`, byte order marks, trailing semicolons, carriage returns and rows of nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shelfwise.shop import Shop

FILES = ("a-sep-line.csv", "b-bom-trailing-semicolon.csv", "c-mac-carriage-returns.csv", "d-trailing-empty-lines.csv")
ROWS = 'id;title;price;availability\nK-1;Löffel;1.299,00 EUR;in stock\nK-2;"Holz; geölt";15,00;out of stock\n'


@pytest.mark.parametrize("name", FILES)
def test_the_files_of_the_case(name: str, case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    path = case(2) / name
    shop = new_shop(currency="EUR")
    report = shop.load_products(path)
    assert (report.read, report.kept, report.dropped) == (4, 4, 0)
    products = shop.store.products(["K-1", "K-2", "K-3", "K-4"])
    assert [product.price for product in products.values()] == [1299.0, 15.0, 0.99, 12.5]
    assert {product.currency for product in products.values()} == {"EUR"}
    assert products["K-2"].title == "Holzlöffel; geölt"
    assert products["K-3"].availability == "out_of_stock"
    assert all(not product.attributes for product in products.values())


DIALECTS: dict[str, bytes] = {
    "quoted sep": ('"sep=;"\n' + ROWS).encode(),
    "sep with the line's own signs": ("sep=;;;;\r\n" + ROWS).encode("utf-8-sig"),
    "comma in the headings": ROWS.replace("price", "price, gross").replace("title", "title").encode(),
    "trailing signs in rows only": ROWS.replace(" stock\n", " stock;;\n").encode(),
    "heading with one more than rows": ROWS.replace("availability\n", "availability;\n").encode(),
    "blank rows between": ROWS.replace("\nK-2", "\n;;;\n\n   \nK-2").encode(),
    "carriage returns and Mac Roman": ROWS.replace("\n", "\r").encode("mac_roman"),
    "carriage returns and a mark": ROWS.replace("\n", "\r").encode("utf-8-sig"),
    "UTF-16 with sep": ("sep=;\r\n" + ROWS.replace("\n", "\r\n")).encode("utf-16"),
    "UTF-16 without a mark": ROWS.encode("utf-16-le"),
    "Windows-1252": ROWS.replace("\n", "\r\n").encode("cp1252"),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_other_dialects(name: str, tmp_path: Path, new_shop: Callable[..., Shop]) -> None:
    path = tmp_path / "feed.csv"
    path.write_bytes(DIALECTS[name])
    shop = new_shop(currency="EUR")
    report = shop.load_products(path, mapping={"price": "price, gross"} if "comma" in name else None)
    assert (report.read, report.kept) == (2, 2)
    found = shop.store.products(["K-1", "K-2"])
    assert [(product.title, product.price) for product in found.values()] == [("Löffel", 1299.0), ("Holz; geölt", 15.0)]
    assert found["K-2"].availability == "out_of_stock"
