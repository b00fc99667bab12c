# ruff: noqa: E501 (records are wide)
"""Kinds of cases 03, 05, 13, 14: JSON as shop systems' APIs answer it: arrays, wrappers, variants; products and orders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from events_of import brief, counts, feed

from shelfwise.errors import UnreadableFile
from shelfwise.intake.recognise import recognise
from shelfwise.intake.report import QualityReport
from shelfwise.schema import Product
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]


def _products(
    shop: Shop, folder: Path, value: object, indent: int | None = 1
) -> tuple[QualityReport, dict[str, Product]]:
    (folder / "feed.json").write_text(json.dumps(value, indent=indent, ensure_ascii=False), "utf-8")
    report = shop.load_products(folder / "feed.json")
    return report, shop.store.products(shop.store.product_ids())


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("wrapped", [lambda rows: rows, lambda rows: {"products": rows}, lambda rows: {"data": {"items": rows, "total": 2}}])  # fmt: skip
def test_an_array_of_products(
    new_shop: NewShop, tmp_path: Path, indent: int | None, wrapped: Callable[..., Any]
) -> None:
    rows = [
        {"id": 12, "title": "Cup", "price": 3.5},
        {"id": "0012", "title": "Pot", "price": "4,00 €", "brand": "Kiln"},
    ]
    report, products = _products(new_shop(currency="EUR"), tmp_path, wrapped(rows), indent)
    assert (report.read, report.kept) == (2, 2)
    assert [(name, one.price, one.brand) for name, one in products.items()] == [("12", 3.5, ""), ("0012", 4.0, "Kiln")]


def test_values_that_objects_wrap(new_shop: NewShop, tmp_path: Path) -> None:
    cup = {
        "product_id": "A", "title": {"en": "Cup"}, "price": {"amount": "5.00", "currencyCode": "USD"}, "images": [{"url": "https://x/1.jpg"}],
        "categories": [{"id": 3, "name": "Cups"}], "attributes": [{"name": "Colour", "value": "red"}], "brand": {"name": "Kiln"},
        "stock": {"quantity": 0},
    }  # fmt: skip
    shirt = {
        "product_id": "p",
        "title": "Shirt",
        "categories": ["Men", "Shirts"],
        "variants": [
            {"sku": "p-s", "size": "S", "price": 10, "stock": 3},
            {"sku": "p-m", "size": "M", "price": 11, "stock": 0},
        ],
    }
    report, products = _products(new_shop(), tmp_path, [cup, shirt])
    one = products["A"]
    assert (one.title, one.price, one.currency, one.brand) == ("Cup", 5.0, "USD", "Kiln")
    assert (one.product_type, one.image_link, dict(one.attributes)) == ("Cups", "https://x/1.jpg", {"Colour": "red"})
    assert one.availability == "out_of_stock"
    assert {(name, one.item_group_id, one.price, str(one.availability)) for name, one in products.items() if name != "A"} == {
        ("p-s", "p", 10, "in_stock"), ("p-m", "p", 11, "out_of_stock"),
    }  # fmt: skip
    assert report.facts["format"] == "JSON"


def test_the_shape_of_json_api(new_shop: NewShop, tmp_path: Path) -> None:
    inner = {"name": "Hat", "active": False, "price": [{"gross": 11.9, "net": 10}], "sizes": {"xs": "3", "xl": "4"}}
    _, products = _products(
        new_shop(), tmp_path, {"data": [{"id": "a1", "type": "product", "attributes": inner}], "links": {}}
    )
    hat = products["a1"]
    assert (hat.title, hat.price, str(hat.status)) == ("Hat", 11.9, "hidden")
    assert dict(hat.attributes) == {"sizes.xs": "3", "sizes.xl": "4"}


SHOPIFY = {"products": [
    {"id": 1, "title": "Flax shirt", "body_html": "<p>Airy</p>", "vendor": "Bay", "product_type": "Shirts", "handle": "flax", "status": "active", "published_at": "2026-01-01",
     "options": [{"name": "Size"}], "images": [{"src": "https://x/f.jpg"}], "variants": [
        {"id": 11, "sku": "F-S", "price": "49.00", "compare_at_price": "59.00", "option1": "S", "inventory_management": "shopify", "inventory_policy": "deny", "inventory_quantity": 0},
        {"id": 12, "sku": "F-M", "price": "49.00", "option1": "M", "inventory_management": "shopify", "inventory_policy": "continue", "inventory_quantity": 0},
        {"id": 13, "sku": "F-L", "price": "49.00", "option1": "L", "inventory_management": None, "inventory_quantity": 0}]},
    {"id": 2, "title": "Storm coat", "handle": "coat", "status": "draft", "published_at": None, "variants": [{"id": 21, "sku": "", "price": "9.00"}]},
    {"id": 3, "title": "Old mug", "handle": "mug", "status": "archived", "variants": [{"id": 31, "sku": "MUG", "price": "9.00"}]},
    {"id": 4, "title": "Trade roll", "handle": "roll", "status": "active", "published_at": None, "variants": [{"id": 41, "sku": "ROLL", "price": "9.00"}]}]}  # fmt: skip


def test_shopify(new_shop: NewShop, tmp_path: Path) -> None:
    report, products = _products(new_shop(), tmp_path, SHOPIFY)
    assert report.facts["format"] == "Shopify (API)"
    stock = {name: str(one.availability) for name, one in products.items() if one.item_group_id == "flax"}
    assert stock == {"F-S": "out_of_stock", "F-M": "in_stock", "F-L": "in_stock"}
    one = products["F-S"]
    assert (one.title, one.price, one.sale_price, one.brand, one.description) == ("Flax shirt S", 59, 49, "Bay", "Airy")
    assert {name: str(one.status) for name, one in products.items() if one.status != "active"} == {
        "21": "draft",
        "MUG": "archived",
        "ROLL": "hidden",
    }
    assert report.hidden == 3


WOO = {
    "type": "simple",
    "status": "publish",
    "catalog_visibility": "visible",
    "regular_price": "18",
    "sale_price": "",
    "stock_status": "instock",
    "parent_id": 0,
}


def test_woocommerce(new_shop: NewShop, tmp_path: Path) -> None:
    report, products = _products(new_shop(), tmp_path, [
        {**WOO, "id": 102, "type": "variation", "name": "Hoody - Green", "sku": "H-G", "regular_price": "45", "sale_price": "39.5", "parent_id": 101, "attributes": [{"name": "Colour", "option": "Green"}]},
        {**WOO, "id": 101, "type": "variable", "name": "Hoody", "sku": "H", "regular_price": "", "categories": [{"name": "Clothes, warm"}], "images": [{"src": "https://x/h.jpg"}]},
        {**WOO, "id": 104, "name": "Secret", "status": "private"}, {**WOO, "id": 105, "name": "Hidden", "catalog_visibility": "hidden"},
        {**WOO, "id": 106, "name": "Gone", "stock_status": "outofstock"}, {**WOO, "id": 107, "name": "Later", "stock_status": "onbackorder"},
    ])  # fmt: skip
    assert report.facts["format"] == "WooCommerce (API)"
    one = products["102"]
    assert (one.price, one.sale_price, one.item_group_id, one.product_type) == (45, 39.5, "101", "Clothes, warm")
    assert one.image_link == "https://x/h.jpg"
    assert "101" not in products
    assert {name for name, one in products.items() if one.status == "active"} == {"102", "106", "107"}
    assert [str(products[name].availability) for name in ("106", "107")] == ["out_of_stock", "backorder"]


def test_magento(new_shop: NewShop, tmp_path: Path) -> None:
    items = [
        {"id": 2, "sku": "W-S", "name": "Wool-S", "status": 1, "visibility": 1, "type_id": "simple", "price": 40, "extension_attributes": {"stock_item": {"qty": 0, "is_in_stock": False}}, "custom_attributes": [{"attribute_code": "special_price", "value": "30"}]},
        {"id": 1, "sku": "W", "name": "Wool", "status": 1, "visibility": 4, "type_id": "configurable", "price": 0, "extension_attributes": {"configurable_product_links": [2]}, "custom_attributes": [{"attribute_code": "description", "value": "<p>Warm</p>"}]},
        {"id": 4, "sku": "OFF", "name": "Off", "status": 2, "visibility": 4, "type_id": "simple", "price": 40, "custom_attributes": []},
        {"id": 5, "sku": "LONE", "name": "Part", "status": 1, "visibility": 1, "type_id": "simple", "price": 40, "custom_attributes": []},
    ]  # fmt: skip
    report, products = _products(new_shop(), tmp_path, {"items": items, "search_criteria": {}, "total_count": 4})
    assert report.facts["format"] == "Magento (API)"
    one = products["W-S"]
    assert (one.price, one.sale_price, one.item_group_id, one.description, str(one.availability)) == (
        40,
        30,
        "W",
        "Warm",
        "out_of_stock",
    )
    assert {name for name, one in products.items() if one.status == "active"} == {"W-S"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[\n {"id": 1, "title": "a"},\n {"id": 2, "title": "b"\n', "line 4.*cut off"),
        ('[{"id": 1},\n{"id": oops}]', "line 2.*character 8"),
        ("[]", "no rows"),
        ('[{"id": 1}, 5]', "not a JSON object"),
    ],
)
def test_what_is_wrong_has_its_line(new_shop: NewShop, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "feed.json").write_text(text)
    shop = new_shop()
    with pytest.raises(UnreadableFile, match=f"(?s){said}"):
        shop.load_products(tmp_path / "feed.json")
    assert not shop.store.product_ids()


def test_a_long_array_streams(new_shop: NewShop, tmp_path: Path) -> None:
    rows = [{"id": n, "title": f"Thing {n}", "description": "long " * 200, "extra": n} for n in range(3_000)]
    for indent in (None, 1):
        report, products = _products(new_shop(), tmp_path, rows, indent)
        assert report.kept == len(products) == 3_000


# Orders


def _events(shop: Shop, folder: Path, value: object) -> QualityReport:
    (folder / "log.json").write_text(json.dumps(value, indent=1))
    return shop.load_events(folder / "log.json")


LINES = [
    {"id": 1, "product_id": 9, "variant_id": 91, "sku": "A", "quantity": 2, "price": "4.00"},
    {"id": 2, "product_id": 9, "variant_id": 92, "sku": "B", "quantity": 1, "price": "5.00"},
]
ORDER = {
    "id": 5001,
    "name": "#1001",
    "created_at": "2026-03-01T10:00:00+01:00",
    "financial_status": "paid",
    "cancelled_at": None,
    "customer": {"id": 77},
    "line_items": LINES,
}


def test_refunds_of_a_shopify_order(new_shop: NewShop, tmp_path: Path) -> None:
    refunds = [{"created_at": "2026-03-05T10:00:00+01:00", "refund_line_items": [{"line_item_id": 2, "quantity": 1}]}]
    shop = new_shop()
    feed(shop, tmp_path, "A", "B")
    _events(shop, tmp_path, {"orders": [{**ORDER, "financial_status": "partially_refunded", "refunds": refunds}]})
    assert brief(shop, "type", "product", "quantity") == [
        ("purchase", "A", 2.0),
        ("purchase_returned", "B", 1.0),
        ("refund", "B", 1.0),
    ]
    assert (
        _events(
            shop, tmp_path, {"orders": [{**ORDER, "financial_status": "partially_refunded", "refunds": refunds}]}
        ).kept
        == 0
    )
    shop = new_shop()
    feed(shop, tmp_path, "A", "B")
    report = _events(shop, tmp_path, [{**ORDER, "cancelled_at": "2026-03-02T10:00:00Z"}])
    assert counts(report) == {"order_given_back": 2}
    assert {row[0] for row in brief(shop, "type")} == {"purchase_returned", "refund"}


def test_lines_that_are_no_products(new_shop: NewShop, tmp_path: Path) -> None:
    more = [{"sku": "GC-50", "name": "Gift card", "quantity": 1}, {"sku": "", "name": "Shipping", "quantity": 1}]
    shop = new_shop()
    report = _events(shop, tmp_path, [{**ORDER, "line_items": [LINES[0], *more]}])
    assert counts(report) == {"no_product": 2}
    assert brief(shop, "product", "quantity") == [("9", 2.0)] or brief(shop, "product") == [("A",)]


def test_refunds_of_woocommerce_and_magento(new_shop: NewShop, tmp_path: Path) -> None:
    line = {"id": 5, "product_id": 101, "variation_id": 103, "sku": "H-S", "quantity": 2, "price": 3}
    order = {
        "id": 727,
        "parent_id": 0,
        "status": "completed",
        "date_created": "2026-03-02T10:00:00",
        "customer_id": 26,
        "line_items": [line],
    }
    refund = {
        "id": 728,
        "parent_id": 727,
        "date_created": "2026-03-05T10:00:00",
        "line_items": [{**line, "quantity": -2}],
    }
    shop = new_shop()
    feed(shop, tmp_path, "102", "103")
    _events(shop, tmp_path, [order, refund])
    assert brief(shop, "type", "product", "request_id") == [
        ("purchase_returned", "103", "727"),
        ("refund", "103", "727"),
    ]
    items = [
        {"item_id": 1, "sku": "M", "qty_ordered": 2, "qty_refunded": 2, "price": 20},
        {"item_id": 2, "sku": "N", "qty_ordered": 3, "qty_canceled": 1, "price": 10},
    ]
    shop = new_shop()
    _events(
        shop,
        tmp_path,
        {
            "items": [
                {
                    "increment_id": "12",
                    "created_at": "2026-03-03 10:00:00",
                    "customer_id": 5,
                    "status": "complete",
                    "items": items,
                }
            ],
            "total_count": 1,
        },
    )
    assert sorted(brief(shop, "type", "product", "quantity")) == [
        ("purchase", "N", 3.0),
        ("purchase_returned", "M", 2.0),
        ("refund", "M", 2.0),
        ("refund", "N", 1.0),
    ]


def test_fields_that_later_records_are_the_first_to_have(new_shop: NewShop, tmp_path: Path) -> None:
    view = {"event": "view", "user_id": "u", "product_id": "p", "timestamp": "2026-11-01T10:00:00Z"}
    bought = {**view, "event": "purchase", "quantity": 2, "price": 3.5, "timestamp": "2026-11-02T10:00:00Z"}
    shop = new_shop()
    _events(shop, tmp_path, [view, bought])
    assert brief(shop, "type", "quantity", "price") == [("view_item", 1.0, None), ("purchase", 2.0, 3.5)]
    shop = new_shop()
    (tmp_path / "log.jsonl").write_text(json.dumps(view) + "\n" + json.dumps(bought) + "\n")
    shop.load_events(tmp_path / "log.jsonl")
    assert brief(shop, "type", "quantity", "price")[1] == ("purchase", 2.0, 3.5)


def test_ga4_as_an_array(new_shop: NewShop, tmp_path: Path) -> None:
    bought = {"event_date": "20261102", "event_timestamp": "1793610000000000", "event_name": "purchase", "user_id": None, "user_pseudo_id": "1.1", "event_params": [{"key": "ga_session_id", "value": {"int_value": "77"}}], "ecommerce": {"transaction_id": "T1"}, "items": [{"item_id": "0012", "price": 2.5, "quantity": "2"}]}  # fmt: skip
    shop = new_shop()
    report = _events(
        shop, tmp_path, [bought, {**bought, "event_name": "refund", "event_timestamp": "1793620000000000", "items": []}]
    )
    assert report.facts["format"] == "ga4"
    assert brief(shop, "type", "product", "session") == [
        ("purchase_returned", "0012", "1.1.77"),
        ("refund", "", "1.1.77"),
    ]


TABLES = {
    "Shopify, cancelled": ("CUP,MUG", "Name,Email,Financial Status,Created at,Cancelled at,Lineitem quantity,Lineitem price,Lineitem sku\n#1,a@x,paid,2026-01-01 10:00:00 +0100,2026-01-02 10:00:00 +0100,1,4.00,CUP\n#1,,,,,1,4.00,MUG\n#2,b@x,paid,2026-01-03 10:00:00 +0100,,1,4.00,CUP\n", [("a@x", "CUP", "purchase_returned"), ("a@x", "MUG", "purchase_returned"), ("b@x", "CUP", "purchase")]),
    "Amazon, without a buyer": ("P-S,P-M", "amazon-order-id\tpurchase-date\torder-status\tsku\tasin\titem-status\tquantity\titem-price\n111-1\t2026-03-01T10:00:00+00:00\tShipped\tP-S\tB01\tShipped\t2\t90.00\n111-2\t2026-03-02T10:00:00+00:00\tCancelled\tP-M\tB02\tCancelled\t1\t45.00\n", [("", "P-S", "purchase"), ("", "P-M", "purchase_returned")]),
    "PrestaShop": ("TP", "id_order;reference;date_add;customer;product_id;product_reference;product_quantity;unit_price;order_state\n1;ABC;2026-03-01 10:00:00;ann;12;TP;2;9,90;Payment accepted\n2;ABD;2026-03-02 10:00:00;bob;12;TP;1;9,90;Canceled\n", [("ann", "TP", "purchase"), ("bob", "TP", "purchase_returned")]),
    "Shopware": ("SW-1", "orderNumber;orderDateTime;customerNumber;productNumber;quantity;unitPrice;stateMachineState\n10001;2026-03-01T10:00:00.000+00:00;C1;SW-1;2;9.9;completed\n10002;2026-03-02T10:00:00.000+00:00;C2;SW-1;1;9.9;cancelled\n", [("C1", "SW-1", "purchase"), ("C2", "SW-1", "purchase_returned")]),
    "Taobao": ("A1", "订单编号,买家会员名,订单状态,商品编号,数量,单价,下单时间\n1,小明,交易成功,A1,2,9.90,2026-03-01 10:00:00\n2,小红,交易关闭,A1,1,9.90,2026-03-02 10:00:00\n", [("小明", "A1", "purchase"), ("小红", "A1", "purchase_returned")]),
    "Magento, pieces back": ("M,N", "increment_id,created_at,customer_email,status,sku,qty_ordered,qty_refunded,price\n12,2026-03-02 10:00:00,x@e,complete,M,2,2,5\n12,2026-03-02 10:00:00,x@e,complete,N,2,1,5\n", [("x@e", "M", "purchase_returned"), ("x@e", "N", "purchase")]),
    "WooCommerce, several ids": ("103", "order_id,order_date,status,customer_id,item_id,item_quantity,item_sku,item_product_id\n727,2026-03-02 10:00:00,completed,26,315,2,H-S,103\n", [("26", "103", "purchase")]),
    "GA4, flat": ("0012", "event_date,event_timestamp,event_name,user_id,user_pseudo_id,items_item_id,items_quantity,items_price,ecommerce_transaction_id\n20261102,1793610000000000,purchase,u,1.1,0012,2,2.5,T1\n20261102,1793610000000000,page_view,u,1.1,,,,\n", [("u", "0012", "purchase")]),
    "Excel's texts": ("0017", 'order_id,date,customer_id,sku,quantity\n1,2026-03-01,"=""0042""","=""0017""",2\n', [("0042", "0017", "purchase")]),
    "given back under its own number": ("x,y", "order_id,date,customer_id,sku,quantity\n1,2026-03-01,c,x,2\n1,2026-03-01,c,y,1\n1,2026-03-04,c,x,-2\n", [("c", "x", "purchase_returned"), ("c", "y", "purchase")]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_orders_in_tables(new_shop: NewShop, tmp_path: Path, name: str) -> None:
    ids, text, owned = TABLES[name]
    shop = new_shop()
    feed(shop, tmp_path, *ids.split(","))
    (tmp_path / "orders.csv").write_text(text, "utf-8")
    shop.load_events(tmp_path / "orders.csv")
    assert [row for row in brief(shop, "customer", "product", "type") if row[2] != "refund"] == owned
    if name.startswith("Amazon"):
        assert brief(shop, "price", "quantity")[0] == (45.0, 2.0)


def test_the_console_tells_orders_from_products(tmp_path: Path) -> None:
    for value, contents in (
        ({"orders": [ORDER]}, "events"),
        (SHOPIFY, "products"),
        ([{"id": 1, "title": "Cup"}], "products"),
    ):
        (tmp_path / "file.json").write_text(json.dumps(value))
        assert recognise(tmp_path / "file.json") == contents
