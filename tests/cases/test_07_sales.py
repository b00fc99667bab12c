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
