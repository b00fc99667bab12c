"""Tables without headings (Taobao, MovieLens), ids that repeat, lines of an order that name it once (Shopify)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from events_of import brief, counts, load

from shelfwise.errors import UnreadableFile
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]
TAOBAO = "1,2268318,2520377,pv,1511544070\n1,2333346,2520771,cart,1511561733\n2,2576651,149192,buy,1511572885\n"


def test_taobao_names_the_option_that_reads_it(tmp_path: Path, new_shop: NewShop) -> None:
    shop = new_shop()
    with pytest.raises(UnreadableFile, match="--columns customer,product,-,type,time"):
        load(shop, tmp_path, "UserBehavior.csv", TAOBAO)
    report = load(shop, tmp_path, "UserBehavior.csv", TAOBAO, columns=["customer", "product", "-", "type", "time"])
    assert report.kept == 3
    assert brief(shop, "type", "customer", "product") == [
        ("view_item", "1", "2268318"),
        ("add_to_cart", "1", "2333346"),
        ("purchase", "2", "2576651"),
    ]


def test_movielens_has_double_colons(tmp_path: Path, new_shop: NewShop) -> None:
    shop = new_shop()
    text = "1::1193::5::978300760\n1::661::3::978302109\n2::1357::4::978298709\n"
    with pytest.raises(UnreadableFile, match="--columns customer,product,value,time"):
        load(shop, tmp_path, "ratings.dat", text)
    load(shop, tmp_path, "ratings.dat", text, columns=["customer", "product", "value", "time"])
    assert sorted(brief(shop, "type", "customer", "product", "value")) == [
        ("rate", "1", "1193", 5.0),
        ("rate", "1", "661", 3.0),
        ("rate", "2", "1357", 4.0),
    ]
    headed = load(new_shop(), tmp_path, "headed.dat", "user_id::movie_id::rating::timestamp\n" + text)
    assert headed.kept == 3


def test_columns_must_fit(tmp_path: Path, new_shop: NewShop) -> None:
    with pytest.raises(UnreadableFile, match="5 fields"):
        load(new_shop(), tmp_path, "a.csv", TAOBAO, columns=["customer", "product"])
    with pytest.raises(UnreadableFile, match="its words are"):
        load(new_shop(), tmp_path, "a.csv", TAOBAO, columns=["customer", "product", "-", "kind", "time"])


def test_an_id_that_repeats_is_an_order(tmp_path: Path, new_shop: NewShop) -> None:
    shop = new_shop()
    text = "Id,date,user,item,qty\n5,2026-01-01,u,a,1\n5,2026-01-01,u,b,2\n6,2026-01-02,u,c,1\n"
    report = load(shop, tmp_path, "orders.csv", text)
    assert counts(report) == {"repeated_id": 1}
    assert "--map id=Id" in report.issues[0].explanation
    assert brief(shop, "product", "request_id") == [("a", "5"), ("b", "5"), ("c", "6")]


def test_shopify_writes_an_order_once(tmp_path: Path, new_shop: NewShop) -> None:
    shop = new_shop()
    text = (
        "Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Id\n"
        "#1,ann@x.org,paid,2026-01-01 10:00:00 +0100,1,Cup,4.00,CUP,99\n#1,,,,2,Mug,5.00,MUG,\n"
        "#2,bob@x.org,refunded,2026-01-02 10:00:00 +0100,1,Cup,4.00,CUP,100\n#2,,,,1,Pot,9.00,POT,\n"
    )
    report = load(shop, tmp_path, "orders_export.csv", text)
    assert brief(shop, "type", "customer", "product", "request_id") == [
        ("purchase", "ann@x.org", "CUP", "#1"),
        ("purchase", "ann@x.org", "MUG", "#1"),
        ("purchase_returned", "bob@x.org", "CUP", "#2"),
        ("purchase_returned", "bob@x.org", "POT", "#2"),
        ("refund", "bob@x.org", "CUP", "#2"),
        ("refund", "bob@x.org", "POT", "#2"),
    ]
    assert counts(report) == {"order_given_back": 2}
