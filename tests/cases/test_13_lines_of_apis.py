# ruff: noqa: E501 (records are wide)
"""Kinds of cases 03, 13, 15: what Shopify's bulk operations and Matomo's API write, one JSON object a line or a whole answer."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from events_of import brief, counts, feed

from shelfwise.errors import UnreadableFile
from shelfwise.intake.recognise import recognise
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]
P, V, ORDER, L = ("gid://shopify/" + name for name in ("Product", "ProductVariant", "Order", "LineItem"))
PRODUCTS: list[dict[str, Any]] = [
    {"id": f"{P}/1", "title": "Flax shirt", "handle": "flax", "status": "ACTIVE", "vendor": "Bay", "productType": "Shirts", "descriptionHtml": "<p>Airy</p>", "onlineStoreUrl": "https://x/flax"},
    {"id": f"{V}/11", "sku": "F-S", "price": "49.00", "compareAtPrice": "59.00", "inventoryQuantity": 0, "inventoryPolicy": "DENY", "selectedOptions": [{"name": "Size", "value": "S"}], "__parentId": f"{P}/1"},
    {"id": f"{V}/12", "sku": "F-M", "price": "49.00", "compareAtPrice": None, "inventoryQuantity": 0, "inventoryPolicy": "DENY", "inventoryItem": {"tracked": False}, "selectedOptions": [{"name": "Size", "value": "M"}], "__parentId": f"{P}/1"},
    {"url": "https://x/f.jpg", "__parentId": f"{P}/1"},
    {"id": f"{P}/2", "title": "Storm coat", "handle": "coat", "status": "DRAFT", "onlineStoreUrl": None},
    {"id": f"{V}/21", "sku": "", "price": "9.00", "__parentId": f"{P}/2"},
    {"id": f"{P}/3", "title": "Trade roll", "handle": "roll", "status": "ACTIVE", "onlineStoreUrl": None},
    {"id": f"{V}/31", "sku": "ROLL", "price": "5.00", "inventoryQuantity": 4, "__parentId": f"{P}/3"},
]  # fmt: skip
ORDERS: list[dict[str, Any]] = [
    {"id": f"{ORDER}/1", "name": "#1001", "createdAt": "2026-03-01T10:00:00Z", "displayFinancialStatus": "PAID", "cancelledAt": None, "customer": {"id": "gid://shopify/Customer/7"}},
    {"id": f"{L}/1", "quantity": 2, "currentQuantity": 1, "sku": "F-S", "variant": {"id": f"{V}/11"}, "originalUnitPriceSet": {"shopMoney": {"amount": "49.0", "currencyCode": "USD"}}, "__parentId": f"{ORDER}/1"},
    {"id": f"{L}/2", "quantity": 1, "currentQuantity": 1, "sku": "ROLL", "originalUnitPriceSet": {"shopMoney": {"amount": "5.0", "currencyCode": "USD"}}, "__parentId": f"{ORDER}/1"},
    {"id": f"{ORDER}/2", "name": "#1002", "createdAt": "2026-03-02T10:00:00Z", "displayFinancialStatus": "REFUNDED", "cancelledAt": None, "customer": {"id": "gid://shopify/Customer/8"}},
    {"id": f"{L}/3", "quantity": 1, "sku": "ROLL", "originalUnitPriceSet": {"shopMoney": {"amount": "5.0", "currencyCode": "USD"}}, "__parentId": f"{ORDER}/2"},
]  # fmt: skip


def write(folder: Path, name: str, lines: list[Any]) -> Path:
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / name


def shuffled(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return random.Random(3).sample(lines[1:], len(lines) - 1) + lines[:1]


@pytest.mark.parametrize("order", [list, shuffled])
def test_shopify_products_of_a_bulk_operation(new_shop: NewShop, tmp_path: Path, order: Callable[..., Any]) -> None:
    path = write(tmp_path, "bulk.jsonl", order(PRODUCTS))
    assert recognise(path) == "products"
    shop = new_shop()
    report = shop.load_products(path)
    assert report.facts["format"] == "Shopify (API)"
    products = shop.store.products(shop.store.product_ids())
    assert {name: (one.title, one.price, one.sale_price, str(one.availability), str(one.status)) for name, one in products.items()} == {
        "F-S": ("Flax shirt S", 59, 49, "out_of_stock", "active"), "F-M": ("Flax shirt M", 49, None, "in_stock", "active"),
        "21": ("Storm coat", 9, None, "in_stock", "draft"), "ROLL": ("Trade roll", 5, None, "in_stock", "hidden"),
    }  # fmt: skip
    one = products["F-M"]
    assert (one.item_group_id, one.brand, one.product_type, one.description) == ("flax", "Bay", "Shirts", "Airy")
    assert products["F-S"].image_link == "https://x/f.jpg"


@pytest.mark.parametrize("order", [list, shuffled])
def test_shopify_orders_of_a_bulk_operation(new_shop: NewShop, tmp_path: Path, order: Callable[..., Any]) -> None:
    path = write(tmp_path, "orders.jsonl", order(ORDERS))
    assert recognise(path) == "events"
    shop = new_shop()
    feed(shop, tmp_path, "F-S", "ROLL")
    shop.load_events(path)
    assert sorted(brief(shop, "customer", "product", "type", "quantity", "price", "request_id")) == [
        ("7", "F-S", "purchase", 2.0, 49.0, "1"),
        ("7", "F-S", "refund", 1.0, 49.0, "1"),
        ("7", "ROLL", "purchase", 1.0, 5.0, "1"),
        ("8", "ROLL", "purchase_returned", 1.0, 5.0, "2"),
        ("8", "ROLL", "refund", 1.0, 5.0, "2"),
    ]
    assert shop.load_events(path).kept == 0


def test_orders_as_graphql_answers_them(new_shop: NewShop, tmp_path: Path) -> None:
    lines = [{"node": {key: value for key, value in line.items() if key != "__parentId"}} for line in ORDERS[1:3]]
    back = [
        {
            "createdAt": "2026-03-09T10:00:00Z",
            "refundLineItems": {"nodes": [{"quantity": 1, "lineItem": {"id": f"{L}/2"}}]},
        }
    ]
    order = {**ORDERS[0], "lineItems": {"edges": lines}, "refunds": back}
    path = write(
        tmp_path,
        "answer.json",
        [{"data": {"orders": {"edges": [{"node": order}], "pageInfo": {"hasNextPage": False}}}}],
    )
    shop = new_shop()
    feed(shop, tmp_path, "F-S", "ROLL")
    shop.load_events(path)
    assert sorted(brief(shop, "product", "type", "quantity")) == [
        ("F-S", "purchase", 2.0),
        ("ROLL", "purchase_returned", 1.0),
        ("ROLL", "refund", 1.0),
    ]


def test_a_line_without_its_parent_is_said(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    with pytest.raises(UnreadableFile, match=r"line 7.*gid://shopify/Product/3.*cut off"):
        shop.load_products(write(tmp_path, "bulk.jsonl", PRODUCTS[:6] + PRODUCTS[7:]))
    assert not shop.store.product_ids()


VISIT = {
    "idSite": "1", "idVisit": "42", "visitorId": "c0ffee", "userId": "u7", "serverDate": "2026-03-01", "actionDetails": [
        {"type": "action", "url": "https://x/", "pageTitle": "Home", "timestamp": 1772359200},
        {"type": "search", "siteSearchKeyword": "tea cup", "timestamp": 1772359210},
        {"type": "action", "url": "https://x/cup", "productViewName": "Cup", "productViewSku": "0012", "productViewPrice": "4", "timestamp": 1772359220},
        {"type": "event", "eventCategory": "video", "eventAction": "play", "timestamp": 1772359230},
        {"type": "ecommerceAbandonedCart", "revenue": "4", "itemDetails": [{"itemSKU": "0012", "itemName": "Cup", "price": 4, "quantity": "1"}], "timestamp": 1772359240},
        {"type": "ecommerceOrder", "orderId": "A-9", "revenue": 13, "itemDetails": [
            {"itemSKU": "0012", "itemName": "Cup", "itemCategory": "Cups", "price": 4, "quantity": "2"},
            {"itemSKU": "0013", "itemName": "Pot", "itemCategory": "Pots", "price": 5, "quantity": 1}], "timestamp": 1772359250},
        {"type": "goal", "goalName": "bought", "timestamp": 1772359250},
    ],
}  # fmt: skip


@pytest.mark.parametrize("lines", [[[VISIT, {**VISIT, "idVisit": 43, "userId": None}]], [VISIT, {**VISIT, "idVisit": 43, "userId": None}]])  # fmt: skip
def test_visits_of_matomo(new_shop: NewShop, tmp_path: Path, lines: list[Any]) -> None:
    path = write(tmp_path, "visits.json", lines)
    assert recognise(path) == "events"
    shop = new_shop()
    feed(shop, tmp_path, "0012", "0013")
    report = shop.load_events(path)
    first = [row[2:] for row in brief(shop, "customer", "session", "type", "product", "query", "quantity", "request_id") if row[:2] == ("u7", "c0ffee.42")]  # fmt: skip
    assert first == [
        ("search", "", "tea cup", 1.0, ""),
        ("view_item", "0012", "", 1.0, ""),
        ("add_to_cart", "0012", "", 1.0, ""),
        ("purchase", "0012", "", 2.0, "A-9"),
        ("purchase", "0013", "", 1.0, "A-9"),
    ]
    assert {row[0] for row in brief(shop, "session") if row[0] != "c0ffee.42"} == {"c0ffee.43"}
    assert counts(report)["other_event"] == 6


def test_matomo_as_a_table_says_what_to_export(new_shop: NewShop, tmp_path: Path) -> None:
    path = tmp_path / "visits.csv"
    path.write_text(
        "idSite,idVisit,visitorId,actionDetails_0_type,actionDetails_0_timestamp\n1,42,c0,action,1772359200\n"
    )
    assert recognise(path) == "events"
    with pytest.raises(UnreadableFile, match="format=JSON"):
        new_shop().load_events(path)


def test_a_log_whose_first_order_comes_late(new_shop: NewShop, tmp_path: Path) -> None:
    """Views first, and lists of products only hundreds of lines behind."""
    views = [
        {"event": "view_item", "user_id": f"u{n}", "product_id": "a", "timestamp": 1_772_359_200 + n}
        for n in range(250)
    ]
    order = {
        "event": "purchase",
        "user_id": "u1",
        "order_id": "9",
        "timestamp": 1_772_369_200,
        "items": [{"sku": "a", "quantity": 2}, {"sku": "b"}],
    }
    for name, lines in (("log.jsonl", [*views, order]), ("log.json", [[*views, order]])):
        shop = new_shop()
        shop.load_events(write(tmp_path, name, lines))
        assert brief(shop, "type", "product", "quantity")[-2:] == [("purchase", "a", 2.0), ("purchase", "b", 1.0)]
