"""Case 14: a sales ledger with cancellations, negative quantities, postage and zero prices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from events_of import brief, counts, feed, load, text_of

from shelfwise.shop import Shop

NewShop = Callable[..., Shop]


def test_the_ledger_of_the_case(case: Callable[[int], Path], new_shop: NewShop) -> None:
    folder, shop = case(14), new_shop()
    shop.load_products(folder / "feed.csv")
    report = shop.load_events(folder / "invoices.csv")
    found = counts(report)
    assert found["negative_quantity"] == 4
    assert found["zero_quantity"] == 1
    assert found["no_product"] == 2
    assert "B, Adjust bad debt" in text_of(report, "no_product")
    assert "POST, POSTAGE" in text_of(report, "no_product")
    owned = sorted(brief(shop, "customer", "product", "quantity", "price", "type"))
    assert [row[:4] for row in owned if row[4] == "purchase"] == [
        ("15001", "22002", 12.0, 4.0),
        ("15002", "22002", 1.0, 0.0),  # free, and kept
        ("15002", "22003", 6.0, 3.0),  # two of six came back
    ]
    assert shop.store.sold() == {"22002": 2.0, "22003": 1.0}  # 22004 was undone: no bestseller
    assert shop.load_events(folder / "invoices.csv").kept == 0


@pytest.mark.parametrize("status", ["Cancelled", "wc-refunded", "storniert", "已退款", "VOIDED"])
def test_orders_given_back_by_their_status(tmp_path: Path, new_shop: NewShop, status: str) -> None:
    shop = new_shop()
    report = load(
        shop, tmp_path, "orders.csv",
        "order_id,order_status,date,customer_id,sku,quantity\n"
        f"1,completed,2026-01-01,c,a,1\n2,{status},2026-01-02,c,b,1\n3,pending,2026-01-03,c,d,1\n",
    )  # fmt: skip
    assert brief(shop, "type", "product") == [("purchase", "a"), ("purchase_returned", "b"), ("refund", "b")]
    assert counts(report) == {"order_given_back": 1, "unpaid_order": 1}


def test_postage_and_more_by_name_and_by_setting(tmp_path: Path, new_shop: NewShop) -> None:
    shop = new_shop(not_products=["PRINT-*"])
    feed(shop, tmp_path, "a", "TIP")  # a shop that sells felt tips
    report = load(
        shop, tmp_path, "orders.csv",
        "order_id,date,customer_id,sku,item_name,quantity\n"
        "1,2026-01-01,c,a,Thing,1\n1,2026-01-01,c,SHIPPING_STD,Parcel,1\n1,2026-01-01,c,gift_card_50,Card,1\n"
        "1,2026-01-01,c,x1,Gift card for you,1\n1,2026-01-01,c,PRINT-7,Engraving,1\n1,2026-01-01,c,TIP,Felt tip,1\n",
    )  # fmt: skip
    assert brief(shop, "product") == [("a",), ("TIP",)]
    assert counts(report) == {"no_product": 4}
