# ruff: noqa: E501 (the table of words is wide)
"""Case 01: Chinese spreadsheets: GB18030, full-width prices, stock words; and availability in other languages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shelfwise.intake.states import parse_availability, parse_status
from shelfwise.schema import SELLS, Availability, Status
from shelfwise.shop import Shop

MAPPING = {"id": "商品编号", "title": "商品名称", "brand": "品牌", "product_type": "类目", "price": "价格"}
MAPPING["availability"] = "库存状态"


@pytest.mark.parametrize("name", ["products-utf8.csv", "products-gb18030.csv"])
@pytest.mark.parametrize("mapped", [True, False])
def test_a_chinese_table(name: str, mapped: bool, case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    shop = new_shop(currency="CNY")
    report = shop.load_products(case(1) / name, mapping=MAPPING if mapped else None)
    assert (report.read, report.kept) == (5, 5)
    products = shop.store.products(["A001", "A002", "A003", "A004", "A005"])
    assert [product.price for product in products.values()] == [1299, 1299, 128, 99.90, 39.90]
    assert {product.currency for product in products.values()} == {"CNY"}
    stock = [str(product.availability) for product in products.values()]
    assert stock == ["in_stock", "in_stock", "out_of_stock", "out_of_stock", "in_stock"]
    assert "🍵" in products["A003"].title
    assert products["A003"].brand == "䶮泉"
    assert "A001" in [hit.product for hit in shop.search("咖啡壶").items]


def test_a_feed_that_declares_gbk(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    shop = new_shop(currency="CNY")
    shop.load_products(case(1) / "feed-gbk.xml")
    assert [product.title for product in shop.store.products(["B001", "B002"]).values()] == ["手冲咖啡壶", "竹制茶盘"]


WORDS = {
    Availability.IN_STOCK: ("In stock", "auf Lager", "disponible", "在庫あり", "Y", "12", "3,0", "５", "в наличии", "op voorraad", "有貨", "재고있음", "skladem", "https://schema.org/InStock", ">5"),
    Availability.OUT_OF_STOCK: ("0", "-2", "N", "Ausverkauft", "rupture de stock", "agotado", "售罄", "品切れ", "нет в наличии", "esaurito", "uitverkocht", "품절", "SoldOut"),
    Availability.BACKORDER: ("on backorder", "auf Bestellung", "取り寄せ"),
    Availability.PREORDER: ("pre-order", "预售", "予約"),
}  # fmt: skip


def test_words_of_many_languages() -> None:
    for state, words in WORDS.items():
        for word in words:
            assert parse_availability(word) is state, word
    assert parse_status("Entwurf") is Status.DRAFT
    assert parse_status("下架") is Status.HIDDEN
    assert parse_status("Not Visible Individually") is Status.HIDDEN
    assert parse_status("Catalog, Search") is Status.ACTIVE


def test_an_unknown_word_sells_and_is_said(tmp_path: Path, new_shop: Callable[..., Shop]) -> None:
    shop = new_shop()
    (tmp_path / "feed.csv").write_text("id,title,availability\n1,Blue teapot,kwik\n2,Red teapot,sold out\n")
    report = shop.load_products(tmp_path / "feed.csv")
    issue = next(issue for issue in report.issues if issue.kind == "unknown_availability")
    assert issue.examples == ((2, "kwik"),)
    assert "--map availability=" in issue.explanation
    assert shop.store.products(["1"])["1"].availability is Availability.UNKNOWN
    assert [hit.product for hit in shop.search("teapot").items] == ["1"]
    assert Availability.UNKNOWN in SELLS


def test_quantity_and_backorders(tmp_path: Path, new_shop: Callable[..., Shop]) -> None:
    shop = new_shop()
    (tmp_path / "feed.csv").write_text("id,title,Bestand,allow_backorders\n1,a,4,no\n2,b,0,no\n3,c,0,yes\n4,d,,no\n")
    shop.load_products(tmp_path / "feed.csv")
    found = [str(product.availability) for product in shop.store.products(["1", "2", "3", "4"]).values()]
    assert found == ["in_stock", "out_of_stock", "backorder", "in_stock"]
