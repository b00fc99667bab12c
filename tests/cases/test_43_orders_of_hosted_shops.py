# ruff: noqa: E501 (rows are wide)
"""Orders and events as hosted shops and trackers export them: unpaid orders, pieces that came back, what is no purchase."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from events_of import brief, counts, feed, load, load_lines

from shelfwise.shop import Shop

NewShop = Callable[..., Shop]
AT = "2025-11-13T10:00:00Z"

TABLES: dict[str, tuple[str, list[tuple[str, str, float]]]] = {
    "Wix": (
        'Order number,Date created,Time,Contact email,Item,SKU,Qty,Quantity refunded,Price,Payment status\n1,"Nov 13, 2025",10:05:00 AM,a@x.example,Mug,mug,1,0,10,Paid\n'
        '1,"Nov 13, 2025",10:05:00 AM,a@x.example,Pot,pot,2,1,10,Paid\n2,"Nov 14, 2025",1:05:00 PM,b@x.example,Mug,mug,1,0,5,Unpaid\n',
        [("purchase", "mug", 1), ("purchase", "pot", 2), ("refund", "pot", 1)],
    ),
    "Ecwid": (
        "order_number,order_date,email,payment_status,item_sku,item_quantity\n1,2025-11-13,a@x.example,PAID,mug,1\n2,2025-11-14,b@x.example,AWAITING_PAYMENT,pot,1\n",
        [("purchase", "mug", 1)],
    ),
    "BigCommerce": (
        'Order ID,Customer ID,Order Date,Order Status,Product Details\n5,31,13/11/2025,Completed,"Product ID: 77, Product Qty: 1, Product SKU: mug, Product Name: Mug, with lid, Product Unit Price: 10.00|Product ID: 78, Product Qty: 2, Product SKU: pot, Product Name: Pot, Product Unit Price: 10.00"\n'
        '6,32,14/11/2025,Incomplete,"Product ID: 77, Product Qty: 1, Product SKU: mug, Product Name: Mug, Product Unit Price: 10.00"\n',
        [("purchase", "mug", 1), ("purchase", "pot", 2)],
    ),
    "eBay": (
        '"Sales Record Number","Order Number","Buyer Username","Custom Label","Quantity","Sold For","Sale Date"\n"","","","","","",""\n"1","03-1","ann","mug","1","$10.00","Nov-13-25"\n\n"1 record(s) downloaded"\n"Seller ID : acme"\n',
        [("purchase", "mug", 1)],
    ),
    "Lightspeed": (
        "Receipt ID,Date,Customer,Item,Custom SKU,Qty\n1,11/13/2025,Ann,Mug,mug,1\n2,11/14/2025,Ann,Mug,mug,-1\n",
        [("purchase_returned", "mug", 1), ("refund", "mug", 1)],
    ),
    "WooCommerce's plugin": (
        "Order ID,Order Date,Order Status,Customer User ID,Item SKU,Item Quantity,Item Refunded Quantity\n1,2025-11-13 10:00:00,Completed,4,mug,3,2\n",
        [("purchase", "mug", 3), ("refund", "mug", 2)],
    ),
    "book-keepers": (
        "date,customer,sku,qty\n2025-11-13,ann,mug,1\n2025-11-14,ann,mug,(1)\n2025-11-13,bob,pot,3\n2025-11-14,bob,pot,2-\n",
        [("purchase", "pot", 3), ("purchase_returned", "mug", 1), ("refund", "mug", 1), ("refund", "pot", 2)],
    ),
}  # fmt: skip
LOGS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str, float]]]] = {
    "Dynamic Yield": (
        [
            {"uid": "ann", "timestamp": 1763028000000, "name": "Purchase", "properties": {"uniqueTransactionId": "D1", "cart": [{"productId": "mug", "quantity": 2}]}},
            {"uid": "bob", "timestamp": 1763028000000, "name": "Add to Cart", "properties": {"productId": "pot", "quantity": 1}},
        ],
        [("add_to_cart", "pot", 1), ("purchase", "mug", 2)],
    ),
    "Medusa": (
        [{"id": "o1", "status": "completed", "created_at": AT, "customer_id": "c", "items": [{"id": "i", "product_id": "mug", "quantity": 2, "detail": {"returned_quantity": 1}}]}],
        [("purchase", "mug", 2), ("refund", "mug", 1)],
    ),
    "Shopware": (
        [{"orderNumber": "1", "orderDateTime": AT, "orderCustomer": {"customerNumber": "C1"}, "stateMachineState": {"technicalName": "completed"}, "lineItems": [{"type": "product", "productId": "mug", "quantity": 1, "unitPrice": 10}]}],
        [("purchase", "mug", 1)],
    ),
    "Snowplow": (
        [
            {"collector_tstamp": "2025-11-13 10:00:00.000", "event": "unstruct", "event_name": "snowplow_ecommerce_action", "domain_userid": "d", "domain_sessionid": "s", "unstruct_event_com_x_1": {"type": "product_view"}, "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1": [{"id": "mug"}]},
            {"collector_tstamp": "2025-11-13 10:05:00.000", "event": "unstruct", "event_name": "snowplow_ecommerce_action", "domain_userid": "d", "domain_sessionid": "s", "unstruct_event_com_x_1": {"type": "transaction"}, "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1": [{"id": "mug", "quantity": 2}]},
        ],
        [("purchase", "mug", 2), ("view_item", "mug", 1)],
    ),
    "ClickHouse": (
        [{"ts": "2025-11-13 10:00:00", "uid": "ann", "event": "purchase", "order_id": "o", "items.id": ["mug", "pot"], "items.qty": [1, 2]}],
        [("purchase", "mug", 1), ("purchase", "pot", 2)],
    ),
    "RudderStack": (
        [{"type": "track", "event": "Product Viewed", "anonymousId": "a", "originalTimestamp": AT, "properties": {"product_id": "mug"}}],
        [("view_item", "mug", 1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables(new_shop: NewShop, tmp_path: Path, name: str) -> None:
    text, expected = TABLES[name]
    shop = new_shop()
    feed(shop, tmp_path, "mug", "pot")
    load(shop, tmp_path, "orders.csv", text)
    assert sorted(brief(shop, "type", "product", "quantity")) == expected


@pytest.mark.parametrize("name", LOGS)
def test_records(new_shop: NewShop, tmp_path: Path, name: str) -> None:
    lines, expected = LOGS[name]
    shop = new_shop()
    feed(shop, tmp_path, "mug", "pot")
    load_lines(shop, tmp_path, lines)
    assert sorted(brief(shop, "type", "product", "quantity")) == expected


def test_prices_in_cents(new_shop: NewShop, tmp_path: Path) -> None:
    def session(number: int, currency: str, amount: int) -> dict[str, Any]:
        line = {"quantity": 1, "price": {"product": "mug", "unit_amount": amount}}
        return {"id": f"cs_{number}", "created": 1763028000, "customer": "c", "payment_status": "paid", "currency": currency, "line_items": {"object": "list", "data": [line]}}  # fmt: skip

    shop = new_shop()
    feed(shop, tmp_path, "mug")
    rows = [session(1, "usd", 1050), session(2, "jpy", 1050)]
    load_lines(shop, tmp_path, rows)
    assert sorted(brief(shop, "price")) == [(10.5,), (1050.0,)]


def test_an_orders_line_of_another_kind_is_said(new_shop: NewShop, tmp_path: Path) -> None:
    lines = [{"type": "promotion", "label": "10% off", "id": "p", "quantity": 1, "unitPrice": -1}]
    lines += [{"type": "product", "productId": "mug", "quantity": 1, "unitPrice": 10}]
    record = {"orderNumber": "1", "orderDateTime": AT, "orderCustomer": {"customerNumber": "C"}, "lineItems": lines}
    shop = new_shop()
    feed(shop, tmp_path, "mug")
    report = load(shop, tmp_path, "log.json", json.dumps([record]))
    assert brief(shop, "product") == [("mug",)]
    assert sum(counts(report).values()) == 1
