# ruff: noqa: E501 (tables of cases are wide)
"""Case 13: one record holds many products."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from events_of import brief, counts, feed, load, times

from shelfwise.errors import UnreadableFile
from shelfwise.schema import Product
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]


def test_lists_of_the_case_are_one_event_each(case: Callable[[int], Path], new_shop: NewShop) -> None:
    folder = case(13)
    shop = new_shop()
    shop.load_products(folder / "feed.csv")
    shop.load_events(folder / "otto-style.jsonl")
    assert brief(shop, "type", "session", "product") == [
        ("view_item", "11", "100"),
        ("view_item", "12", "102"),
        ("add_to_cart", "11", "101"),
        ("purchase", "11", "101"),
    ]
    shop = new_shop()
    report = shop.load_events(folder / "order-completed.jsonl")
    assert sorted(brief(shop, "type", "customer", "session", "product", "quantity", "price", "query")) == [
        ("purchase", "u1", "", "103", 2.0, 8.0, ""),
        ("purchase", "u1", "", "104", 1.0, 9.0, ""),
        ("purchase", "u2", "", "106", 1.0, 11.0, ""),
        ("search", "", "a9", "", 1.0, None, "rake"),
        ("view_item", "", "a9", "105", 1.0, 10.0, ""),
    ]
    assert counts(report) == {"other_event": 1}
    assert shop.load_events(folder / "order-completed.jsonl").kept == 0
    mapping = {"customer": "userId", "session": "anonymousId", "product": "properties.products"}
    shop = new_shop()
    shop.load_events(folder / "order-completed.jsonl", mapping=mapping)
    bought = [row for row in brief(shop, "type", "customer", "product") if row[0] == "purchase"]
    assert sorted(bought) == [("purchase", "u1", "103"), ("purchase", "u1", "104"), ("purchase", "u2", "106")]
    shop = new_shop()
    shop.load_events(folder / "basket-lists.parquet")
    assert brief(shop, "customer", "product") == [("u1", "100"), ("u1", "101"), ("u2", "102")]


SHOPIFY = {
    "id": 5001, "name": "#1001", "created_at": "2026-03-01T10:00:00+01:00", "email": "ann@example.org",
    "financial_status": "paid", "customer": {"id": 77, "email": "ann@example.org"},
    "line_items": [
        {"id": 1, "product_id": 9, "variant_id": 91, "sku": "A", "quantity": 2, "price": "4.00"},
        {"id": 2, "product_id": 9, "variant_id": 92, "sku": "B", "quantity": 1, "price": "5.00"},
    ],
}  # fmt: skip
WOOCOMMERCE = {
    "id": 727, "status": "refunded", "date_created": "2026-03-02T10:00:00", "customer_id": 26,
    "billing": {"email": "x@example.org"},
    "line_items": [{"id": 315, "name": "Woo Single", "product_id": 93, "sku": "W", "quantity": 2, "price": 3}],
}  # fmt: skip
MAGENTO = {
    "increment_id": "000000012", "created_at": "2026-03-03 10:00:00", "customer_id": 5, "status": "complete",
    "items": [
        {"item_id": 1, "sku": "M-red", "product_type": "configurable", "qty_ordered": 1, "price": 20},
        {"item_id": 2, "parent_item_id": 1, "sku": "M-red", "product_type": "simple", "qty_ordered": 1, "price": 0},
    ],
}  # fmt: skip


def test_orders_of_shop_systems(tmp_path: Path, new_shop: NewShop) -> None:
    shop = new_shop()
    report = load(shop, tmp_path, "shopify.jsonl", json.dumps({"orders": [SHOPIFY]}))
    assert brief(shop, "type", "customer", "product", "quantity", "request_id") == [
        ("purchase", "77", "A", 2.0, "#1001"),
        ("purchase", "77", "B", 1.0, "#1001"),
    ] or brief(shop, "type", "product", "quantity") == [("purchase", "9", 2.0), ("purchase", "9", 1.0)]
    assert report.kept == 2
    shop = new_shop()
    report = load(shop, tmp_path, "woo.jsonl", json.dumps(WOOCOMMERCE))
    assert counts(report)["order_given_back"] == 1
    assert [row[0] for row in brief(shop, "type")] == ["purchase_returned", "refund"]
    shop = new_shop()
    load(shop, tmp_path, "magento.jsonl", json.dumps(MAGENTO))
    assert brief(shop, "type", "customer", "product", "quantity", "price") == [("purchase", "5", "M-red", 1.0, 20.0)]


@pytest.mark.parametrize(
    "record",
    [
        {"user": "u", "ts": 1772000000, "event": "purchase", "order_id": "1", "basket": [{"sku": "a"}, {"sku": "b"}]},
        {"user": "u", "ts": 1772000000, "event": "purchase", "skus": ["a", "b"], "quantities": [1, 2]},
        {"user": "u", "ts": 1772000000, "event": "purchase", "product_ids": '["a", "b"]'},
        {"user": "u", "ts": 1772000000, "event": "Purchase", "custom_data": {"contents": [{"id": "a"}, {"id": "b"}]}},
        {"user": "u", "ts": 1772000000, "event": "purchase", "order": {"lines": [{"item_id": "a"}, {"item_id": "b"}]}},
        {"user": {"id": "u"}, "ts": 1772000000, "event": "purchase", "products": [{"product_id": "a"}, {"product_id": "b"}]},
    ],
)  # fmt: skip
def test_containers_of_other_shapes(tmp_path: Path, new_shop: NewShop, record: dict[str, object]) -> None:
    shop = new_shop()
    load(shop, tmp_path, "log.jsonl", json.dumps(record) + "\n")
    assert sorted(brief(shop, "type", "customer", "product")) == [("purchase", "u", "a"), ("purchase", "u", "b")]


def test_parallel_lists_and_structs_of_parquet(tmp_path: Path, new_shop: NewShop) -> None:
    frame = pl.DataFrame(
        {
            "user_id": ["u"], "time": ["2026-01-01"], "item_id": [["a", "b"]], "quantity": [[3, 1]], "price": [[1.5, 2.0]],
        }
    )  # fmt: skip
    frame.write_parquet(tmp_path / "lists.parquet")
    shop = new_shop()
    shop.load_events(tmp_path / "lists.parquet")
    assert brief(shop, "product", "quantity", "price") == [("a", 3.0, 1.5), ("b", 1.0, 2.0)]
    items = [[{"sku": "a", "qty": 2}, {"sku": "b", "qty": 1}]]
    pl.DataFrame({"user_id": ["u"], "time": ["2026-01-01"], "items": items}).write_parquet(tmp_path / "s.parquet")
    shop = new_shop()
    shop.load_events(tmp_path / "s.parquet")
    assert brief(shop, "type", "product", "quantity") == [("purchase", "a", 2.0), ("purchase", "b", 1.0)]


def test_a_list_is_never_an_id(tmp_path: Path, new_shop: NewShop) -> None:
    shop = new_shop()
    feed(shop, tmp_path, "a")
    record = {"user": "u", "ts": 1772000000, "event": "purchase", "product": {"odd": {"inner": [1]}}}
    with pytest.raises(UnreadableFile, match=r"no usable row|list"):
        load(shop, tmp_path, "log.jsonl", json.dumps(record) + "\n")
    assert brief(shop, "product") == []


CELLS = [
    ('"[""a"",""b""]"', '"[2,1]"'), ("\"['a', 'b']\"", "1"), ('"a,b"', "1"), ("a|b", "1"), ("a;b", "1"), ('"(""a"", ""b"")"', "1"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "quantity"), CELLS)
def test_lists_in_the_cells_of_a_table(tmp_path: Path, new_shop: NewShop, cell: str, quantity: str) -> None:
    shop = new_shop()
    feed(shop, tmp_path, "a", "b")
    shop.put_products([Product(id="c,d", title="Of one id with a comma")])
    text = f'user_id,timestamp,event,product_id,quantity\nu,2026-01-01,purchase,{cell},{quantity}\nu,2026-01-02,view,"c,d",1\n'
    report = load(shop, tmp_path, "log.csv", text)
    assert brief(shop, "product") == [("a",), ("b",), ("c,d",)]
    assert counts(report) == {"listed_products": 1}
    if quantity != "1":
        assert brief(shop, "quantity")[:2] == [(2.0,), (1.0,)]
    assert load(shop, tmp_path, "log.csv", text).kept == 0


def test_lines_of_orders_in_a_cell(tmp_path: Path, new_shop: NewShop) -> None:
    shop = new_shop()
    lines = json.dumps([{"sku": "a", "quantity": 2}, {"sku": "b"}]).replace('"', '""')
    load(shop, tmp_path, "orders.csv", f'order_id,email,created_at,line_items\n1,u@x,2026-01-01,"{lines}"\n')
    assert brief(shop, "type", "customer", "product", "quantity") == [
        ("purchase", "u@x", "a", 2.0),
        ("purchase", "u@x", "b", 1.0),
    ]


@pytest.mark.parametrize("cell", ['"{""x"": {""y"": 1}}"', '"[{""x"": 1}]"', '"[a b]"'])
def test_what_is_no_id_is_dropped_and_said(tmp_path: Path, new_shop: NewShop, cell: str) -> None:
    shop = new_shop()
    text = f"user_id,timestamp,event,product_id\nu,2026-01-01,purchase,{cell}\nu,2026-01-01,purchase,a\n"
    report = load(shop, tmp_path, "log.csv", text)
    assert brief(shop, "product") == [("a",)]
    assert counts(report) == {"list_as_id": 1}


def test_dates_beside_lists_are_decided_by_the_column(tmp_path: Path, new_shop: NewShop) -> None:
    def order(day: str) -> dict[str, object]:
        return {"user": "u", "date": day, "event": "purchase", "items": [{"sku": "a"}]}

    with pytest.raises(UnreadableFile, match=r"--map .time=time\|%d/%m/%Y"):
        load(new_shop(), tmp_path, "log.jsonl", json.dumps(order("03/11/2025")) + "\n")
    shop = new_shop()
    load(shop, tmp_path, "log.json", json.dumps([order("03/11/2025"), order("11/13/2025")]))
    assert [time.isoformat()[:10] for time in times(shop)] == ["2025-03-11", "2025-11-13"]
