# ruff: noqa: E501 (records are wide)
"""Case 15: the same order sent again, minutes or weeks later; refunds; "(not set)"."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from events_of import brief, counts, load

from shelfwise.schema import Event, line_id
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]


def test_the_export_of_the_case(case: Callable[[int], Path], new_shop: NewShop) -> None:
    folder, shop = case(15), new_shop()
    shop.load_products(folder / "feed.csv")
    report = shop.load_events(folder / "events_20261102.jsonl")
    assert counts(report) == {"order_sent_again": 6, "invalid_product": 2}
    bought = [
        row[1:]
        for row in brief(shop, "type", "customer", "session", "product", "quantity", "time")
        if row[0] == "purchase"
    ]
    assert [(*row[:4], f"{row[4]:%Y-%m-%d}") for row in bought] == [
        ("c-1", "1.1.1763000001", "SKU-2", 2.0, "2026-11-02"),
        ("", "2.2.1763200000", "0003", 1.0, "2026-11-04"),
        ("", "3.3.1763300000", "0003", 1.0, "2026-11-05"),
    ]  # fmt: skip
    returned = [row[1] for row in brief(shop, "type", "product") if row[0] == "purchase_returned"]
    assert returned == ["SKU-1"]
    assert shop.load_events(folder / "events_20261102.jsonl").kept == 0
    assert shop.counts().events == 10


def test_an_order_again_in_a_table(tmp_path: Path, new_shop: NewShop) -> None:
    """Sent again minutes or weeks later it is one; two lines with the same product in it are two; another customer's
    order of the same number is another."""
    shop = new_shop()
    text = (
        "order_id,time,customer_id,sku,quantity\n"
        "7,2026-01-01T10:00:00Z,c,a,1\n7,2026-01-01T10:00:00Z,c,a,2\n7,2026-01-01T10:00:00Z,c,b,1\n"
        "7,2026-01-01T10:04:00Z,c,a,1\n7,2026-02-01T10:00:00Z,c,b,1\n7,2026-01-01T11:00:00Z,d,a,1\n"
    )
    report = load(shop, tmp_path, "orders.csv", text)
    assert counts(report)["order_sent_again"] == 2
    kept = [("c", "a", 1.0), ("c", "a", 2.0), ("c", "b", 1.0), ("d", "a", 1.0)]
    assert sorted(brief(shop, "customer", "product", "quantity")) == kept
    late = "order_id,time,customer_id,sku,quantity\n7,2026-03-01T10:00:00Z,c,b,1\n8,2026-03-01T10:00:00Z,c,b,1\n"
    assert load(shop, tmp_path, "late.csv", late).kept == 1


def test_an_order_that_came_live_is_not_another_in_the_export(tmp_path: Path, new_shop: NewShop) -> None:
    """But where numbers begin anew with each customer, the customer makes the difference."""
    document = json.dumps(
        [
            {
                "order_id": "A-9",
                "customer_id": "v",
                "created_at": "2026-03-01T10:00:00Z",
                "items": [{"sku": "a"}, {"sku": "b"}],
            }
        ]
    )
    table = "order_id,customer,sku,quantity,date\nA-9,ann@x,a,1,2026-03-01\nA-9,ann@x,b,1,2026-03-01\nA-8,bob@x,a,1,2026-03-01\n"
    shop = new_shop()
    live = {"type": "purchase", "customer": "v", "request_id": "A-9"}
    shop.append_events([Event(id=line_id("A-9", name, 0), product=name, **live) for name in "ab"])
    assert counts(load(shop, tmp_path, "orders.csv", table)) == {"order_recorded": 2}
    assert load(shop, tmp_path, "orders.json", document).kept == 0
    assert sorted(brief(shop, "request_id", "product")) == [("A-8", "a"), ("A-9", "a"), ("A-9", "b")]
    anew = "order_number,customer,sku,quantity,date\n" + "".join(
        f"{n},{who},a,1,2026-03-0{n}\n" for who in ("ann", "bob") for n in (1, 2)
    )
    shop = new_shop()
    assert load(shop, tmp_path, "anew.csv", anew).kept == 4
    assert load(shop, tmp_path, "anew.csv", anew).kept == 0
