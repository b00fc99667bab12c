# ruff: noqa: E501 (records are wide)
"""Event logs as analytics, recommenders and search engines export them, and values as people write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from events_of import brief, counts, feed, load, load_lines

from shelfwise.shop import Shop

NewShop = Callable[..., Shop]
AT = "2024-01-01T10:00:00Z"
PAIR = [{"product_id": "a", "quantity": 2, "price": 3}, {"product_id": "b", "quantity": 1, "price": 4}]
LOGS: dict[str, tuple[list[Any], list[tuple[str, ...]]]] = {
    "Segment": ([
        {"type": "track", "event": "Product Added to Wishlist", "anonymousId": "x", "userId": "u1", "timestamp": AT, "properties": {"product_id": "a"}},
        {"type": "track", "event": "Order Completed", "anonymousId": "x", "userId": "u1", "timestamp": AT, "properties": {"order_id": "o", "products": PAIR}}],
        [("add_to_wishlist", "u1", "x", "a", ""), ("purchase", "u1", "x", "a", "o"), ("purchase", "u1", "x", "b", "o")]),
    "Mixpanel": ([
        {"event": "Product Viewed", "properties": {"time": 1704103200, "distinct_id": "u1", "product_id": "a"}},
        {"event": "Order Completed", "properties": {"time": 1704103200, "distinct_id": "u1", "order_id": "o", "products": PAIR[:1]}}],
        [("purchase", "u1", "", "a", "o"), ("view_item", "u1", "", "a", "")]),
    "Amplitude": ([{"event_type": "purchase", "user_id": None, "device_id": "d", "event_time": "2024-01-01 10:00:01.000000", "event_properties": {"product_id": "b"}}],
        [("purchase", "", "d", "b", "")]),
    "Google Retail": ([
        {"eventType": "purchase-complete", "visitorId": "v", "eventTime": AT, "userInfo": {"userId": "u1"}, "productDetails": [{"product": {"id": "a"}, "quantity": 2}], "purchaseTransaction": {"id": "o"}},
        {"eventType": "detail-page-view", "visitorId": "v", "eventTime": AT, "productDetails": [{"product": {"id": "b"}}]}],
        [("purchase", "u1", "", "a", "o"), ("view_item", "v", "", "b", "")]),
    "Algolia": ([{"events": [
        {"eventType": "conversion", "eventSubtype": "purchase", "eventName": "Bought", "index": "p", "userToken": "u1", "timestamp": 1704103200000, "objectIDs": ["a", "b"], "objectData": [{"price": 3, "quantity": 2}, {"price": 4}]},
        {"eventType": "click", "eventName": "Clicked", "index": "p", "userToken": "u1", "timestamp": 1704103200000, "objectIDs": ["a"], "positions": [1]}]}],
        [("purchase", "u1", "", "a", ""), ("purchase", "u1", "", "b", ""), ("select_item", "u1", "", "a", "")]),
    "Gorse": ([{"FeedbackType": "star", "UserId": "u1", "ItemId": "a", "Timestamp": AT}, {"FeedbackType": "read", "UserId": "u1", "ItemId": "b", "Timestamp": AT}],
        [("add_to_wishlist", "u1", "", "a", ""), ("view_item", "u1", "", "b", "")]),
}  # fmt: skip


@pytest.mark.parametrize("name", LOGS)
def test_logs_of_other_systems(new_shop: NewShop, tmp_path: Path, name: str) -> None:
    lines, expected = LOGS[name]
    shop = new_shop()
    feed(shop, tmp_path, "a", "b")
    report = load_lines(shop, tmp_path, lines)
    assert sorted(brief(shop, "type", "customer", "session", "product", "request_id")) == expected
    assert report.dropped == 0


def test_numbers_with_the_word_for_what_they_count(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    rows = "".join(f"{n},u,a,{text},2024-01-01\n" for n, text in enumerate(["2 pcs", "x3", '"4,0"', "5 件", "two"]))
    report = load(shop, tmp_path, "orders.csv", "order_id,customer,sku,quantity,date\n" + rows)
    assert [row[0] for row in brief(shop, "quantity")] == [2, 3, 4, 5]
    assert counts(report) == {"invalid_quantity": 1}
    shop = new_shop()
    rows = "".join(f"u{n},a,{text},2024-01-01\n" for n, text in enumerate(["1 star", "4/5", "3★", "2.5"]))
    load(shop, tmp_path, "reviews.csv", "user_id,product_id,stars,time_stamp\n" + rows)
    assert [row[0] for row in brief(shop, "value")] == [1, 4, 3, 2.5]


def test_a_log_that_meets_no_product_says_so(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    feed(shop, tmp_path, "a", "b")
    text = "user_id,product_id,timestamp\nu1,https://shop/p/a,2024-01-01\nu2,https://shop/p/b,2024-01-01\n"
    assert counts(load(shop, tmp_path, "log.csv", text)) == {"all_unknown": 2}
    assert not counts(load(shop, tmp_path, "more.csv", text + "u2,b,2024-01-01\n")).keys() & {"all_unknown"}


PRESTASHOP = {"orders": [{"id": 1, "id_customer": "7", "date_add": "2024-03-01 10:00:00", "reference": "ABC", "associations": {"order_rows": [
    {"id": "1", "product_id": "12", "product_quantity": "2", "product_reference": "a", "unit_price_tax_incl": "9.9"},
    {"id": "2", "product_id": "13", "product_quantity": "1", "product_reference": "b", "unit_price_tax_incl": "5"}]}}]}  # fmt: skip
ORDERS = {
    "PrestaShop's API": (json.dumps(PRESTASHOP), [("7", "a", 2, 9.9), ("7", "b", 1, 5)]),
    "WooCommerce, by a plugin": ("Order Number,Order Status,Order Date,Customer User ID,SKU,Item #,Item Name,Quantity (- Refund),Item Cost\n727,Completed,2024-03-02 10:00,26,a,1,Cup,2,9\n727,Completed,2024-03-02 10:00,26,b,2,Pot,1,5\n", [("26", "a", 2, 9), ("26", "b", 1, 5)]),
    "eBay": ('"Sales Record Number","Order Number","Buyer Username","Item Title","Custom Label","Quantity","Sold For","Sale Date"\n"","","","","","","",""\n"1","11","ann","Cup","a","2","$9.00","Mar-02-24"\n"2","12","bob","Pot","b","1","$5.00","Mar-13-24"\n', [("ann", "a", 2, 9), ("bob", "b", 1, 5)]),
    "Etsy": ("Sale Date,Item Name,Buyer,Quantity,Price,Order ID,Listing ID,SKU\n03/22/24,Cup,ann,1,9.00,33,44,a\n", [("ann", "a", 1, 9)]),
    "Square": ("Date,Time,Item,Qty,SKU,Gross Sales,Transaction ID,Customer ID,Event Type\n2024-03-02,10:00:00,Cup,2.0,a,$18.00,TX1,C,Payment\n", [("C", "a", 2, None)]),
}  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", ORDERS)
def test_orders_of_other_systems(new_shop: NewShop, tmp_path: Path, name: str, known: bool) -> None:
    text, expected = ORDERS[name]
    shop = new_shop()
    if known or text.startswith("{"):  # of a document's several ids the catalogue decides
        feed(shop, tmp_path, "a", "b")
    load(shop, tmp_path, "orders", text)
    assert sorted(brief(shop, "customer", "product", "quantity", "price")) == expected
    assert {row[0] for row in brief(shop, "type")} == {"purchase"}
