# ruff: noqa: E501 (feeds are wide)
"""Case 07: sale prices with their windows; other prices of a feed are not the product's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shelfwise import schema
from shelfwise.catalogue.filters import SearchFilters
from shelfwise.cli.search import nothing_has
from shelfwise.schema import Product
from shelfwise.shop import Shop


def test_the_feed_of_the_case(
    case: Callable[[int], Path], new_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "now", lambda: datetime(2026, 11, 29, 12, tzinfo=UTC))
    shop = new_shop(currency="EUR")
    shop.load_products(case(7) / "feed.xml")
    names = ("S-NOW", "S-ALWAYS", "S-PAST", "S-SOON", "S-PRE", "S-BACK")
    shown = shop.offers.products(names)
    assert [shown[name].price for name in names] == [15, 15, 20, 20, 20, 20]
    assert shown["S-NOW"].original_price == 20
    assert str(shown["S-PRE"].availability), str(shown["S-BACK"].availability) == ("preorder", "backorder")
    assert shown["S-NOW"].title == "Copper lamp sale now & shade"
    cheap = shop.search("copper lamp", filters=SearchFilters(price_max=16))
    assert {hit.product for hit in cheap.items} == {"S-NOW", "S-ALWAYS"}
    assert {hit.product for hit in shop.search("copper lamp under 16").items} == {"S-NOW", "S-ALWAYS"}
    ordered = [hit.product for hit in shop.search("copper lamp", sort="price").items]
    assert set(ordered[:2]) == {"S-NOW", "S-ALWAYS"}


def test_a_window_opens_and_closes_without_a_new_feed(
    new_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = new_shop()
    start = datetime(2026, 12, 1, tzinfo=UTC)
    monkeypatch.setattr(schema, "now", lambda: start - timedelta(days=1))
    window = {"sale_start": start, "sale_end": start + timedelta(days=2)}
    shop.put_products([Product(id="1", title="Lamp", price=20, sale_price=15, **window)])
    under = SearchFilters(price_max=16)
    for day, found in ((-0.5, []), (0, ["1"]), (1.9, ["1"]), (2, []), (3, [])):
        monkeypatch.setattr(schema, "now", lambda day=day: start + timedelta(days=day))
        shop.refresh()
        assert [hit.product for hit in shop.search("lamp", filters=under).items] == found, day


@pytest.mark.parametrize(
    ("columns", "row", "price", "before"),
    [
        ("price,special_price", "20,15", 15, 20),
        ("price,compare_at_price", "15,20", 15, 20),
        ("regular_price,sale_price", "20,15", 15, 20),
        ("price,list_price", "15,20", 15, 20),
        ("价格,原价", "15,20", 15, 20),
        ("price,sale_price", "20,25", 20, None),
        ("price,sale_price", "20,0", 20, None),
        ("price,sale_price", "20 EUR,15 USD", 20, None),
        ("price,sale_price,sale_price_effective_date", "20,15,whenever", 20, None),
        ("price,sale_price,sale_start,sale_end", "20,15,2020-01-01,2099-12-31", 15, 20),
        ("price,sale_price,sale_start,sale_end", "20,15,2099-01-01,", 20, None),
        ("sale_price", "15", 15, None),
    ],
)
def test_however_a_sale_is_written(
    columns: str, row: str, price: float, before: float | None, tmp_path: Path, new_shop: Callable[..., Shop]
) -> None:
    shop = new_shop(currency="EUR")
    (tmp_path / "feed.csv").write_text(f"id,title,{columns}\n1,Lamp,{row}\n", "utf-8")
    report = shop.load_products(tmp_path / "feed.csv")
    product = shop.offers.products(["1"])["1"]
    assert (product.price, product.original_price) == (price, before)
    odd = before is None and "2099-01-01" not in row and columns != "sale_price"
    assert bool({issue.kind for issue in report.issues} & {"odd_sale_price", "unreadable_sale_window"}) == odd


def test_a_day_alone_lasts_to_its_end(
    tmp_path: Path, new_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = new_shop()
    (tmp_path / "feed.csv").write_text("id,title,price,sale_price,sale_end\n1,Lamp,20,15,2026-12-24\n")
    shop.load_products(tmp_path / "feed.csv")
    for hour, price in ((23, 15), (25, 20)):
        moment = datetime(2026, 12, 24, tzinfo=UTC) + timedelta(hours=hour)
        monkeypatch.setattr(schema, "now", lambda moment=moment: moment)
        assert shop.offers.products(["1"])["1"].price == price


def test_nothing_so_cheap_is_said(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    shop = new_shop(currency="EUR")
    shop.load_products(case(7) / "feed.xml")
    for query, said in (("copper lamp under 3", "under 3"), ("copper lamp under 3 €", "under 3")):
        answer = shop.search(query)
        assert answer.relaxed == ("filters",), query
        assert nothing_has(answer) == f"Nothing {said}; these come near."
        assert {hit.reason for hit in answer.items} == {"Matches your words, not your limits"}
    assert nothing_has(shop.search("copper lamp under 16")) == ""


def test_what_nobody_touched_is_not_popular(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    shop = new_shop()
    shop.load_products(case(7) / "feed.xml")
    answer = shop.recommend(session="v", k=4)
    assert answer.items
    assert not [item.reason for item in answer.items if "Popular" in item.reason]


YML = """<?xml version="1.0" encoding="UTF-8"?><yml_catalog date="2026-11-01"><shop><name>Shop</name>
<offers><offer id="0012" available="true"><name>Чайник</name><url>https://x/1</url><price>1500</price><oldprice>2000</oldprice>
<currencyId>RUB</currencyId><vendor>Kiln</vendor><picture>https://x/1.jpg</picture><param name="Цвет">синий</param></offer>
<offer id="13" available="false"><name>Чашка</name><price>300</price><currencyId>RUB</currencyId></offer></offers></shop></yml_catalog>"""
HEUREKA = """<?xml version="1.0" encoding="windows-1250"?><SHOP><SHOPITEM><ITEM_ID>A1</ITEM_ID><PRODUCTNAME>Hrnek žlutý</PRODUCTNAME>
<DESCRIPTION>Keramika</DESCRIPTION><IMGURL>https://x/h.jpg</IMGURL><PRICE_VAT>199,00</PRICE_VAT><MANUFACTURER>Kiln</MANUFACTURER>
<CATEGORYTEXT>Kuchyně | Hrnky</CATEGORYTEXT><EAN>4006381333931</EAN><PARAM><PARAM_NAME>Barva</PARAM_NAME><VAL>žlutá</VAL></PARAM></SHOPITEM></SHOP>"""
PLAIN = """<products><product><sku>K-1</sku><title>Kettle</title><price>20.00 EUR</price><sale_price>15.00 EUR</sale_price>
<images><image>https://x/k.jpg</image></images><status>active</status></product>
<product><sku>K-2</sku><title>Hidden kettle</title><price>5</price><status>draft</status></product></products>"""


def test_feeds_of_other_marketplaces(tmp_path: Path, new_shop: Callable[..., Shop]) -> None:
    shop = new_shop(currency="EUR")
    (tmp_path / "yml.xml").write_text(YML, "utf-8")
    shop.load_products(tmp_path / "yml.xml")
    shown = shop.offers.products(["0012", "13"])
    kettle = shown["0012"]
    assert (kettle.title, kettle.price, kettle.original_price, kettle.currency) == ("Чайник", 1500, 2000, "RUB")
    assert (kettle.brand, kettle.image_link, kettle.attributes["Цвет"]) == ("Kiln", "https://x/1.jpg", "синий")
    assert [str(product.availability) for product in shown.values()] == ["in_stock", "out_of_stock"]
    (tmp_path / "heureka.xml").write_bytes(HEUREKA.encode("cp1250"))
    shop.load_products(tmp_path / "heureka.xml")
    mug = shop.store.products(["A1"])["A1"]
    assert (mug.title, mug.price, mug.brand, mug.gtin) == ("Hrnek žlutý", 199, "Kiln", "4006381333931")
    assert mug.image_link == "https://x/h.jpg"
    (tmp_path / "plain.xml").write_text(PLAIN, "utf-8")
    report = shop.load_products(tmp_path / "plain.xml")
    assert (report.kept, report.hidden) == (2, 1)
    assert shop.offers.products(["K-1", "K-2"])["K-1"].price == 15
