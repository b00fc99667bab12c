# ruff: noqa: E501 (rows are wide)
"""Logs whose events are codes, orders given back in part, lines that are part of lines, orders without lines, sessions
that are none, headings in other languages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from events_of import brief, counts, feed, load, load_lines, text_of, times

from shelfwise.errors import UnreadableFile
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]


def test_what_codes_of_events_mean(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    feed(shop, tmp_path, "A", "B")
    log = "user_id,sku_id,time,type\n1,A,2016-02-01 23:59:02,1\n1,A,2016-02-01 23:59:30,2\n1,B,2016-02-01 23:59:50,4\n"
    with pytest.raises(UnreadableFile, match=r'--map "type=type\|1:view_item'):
        load(shop, tmp_path, "f.csv", log)
    load(shop, tmp_path, "f.csv", log, mapping={"type": "type|1:view,2:add_to_cart,4:buy"})
    assert brief(shop, "type", "product") == [("view_item", "A"), ("add_to_cart", "A"), ("purchase", "B")]


def test_codes_of_nested_events(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    lines = [{"user": "u", "at": {"time": "2026-05-01"}, "kind": "k7", "items": [{"sku": "A"}]}]
    path = tmp_path / "f.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    shop.load_events(path, mapping={"type": "kind|k7:purchase"})
    assert brief(shop, "type", "product") == [("purchase", "A")]


ORDERS = """Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem price,Lineitem sku,Refunded Amount
#1,a@x.example,partially_refunded,2026-05-02 10:00:00 +0200,2,20,A,20
#1,,,,1,5,B,
#2,b@x.example,paid,2026-05-02 10:00:00 +0200,1,20,A,0
"""


def test_an_order_given_back_in_part_is_said(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    report = load(shop, tmp_path, "f.csv", ORDERS)
    assert counts(report)["partly_given_back"] == 2
    assert "does not say which" in text_of(report, "partly_given_back")
    assert len(brief(shop, "type")) == 3


def test_pieces_that_came_back_leave_nothing_to_say(new_shop: NewShop, tmp_path: Path) -> None:
    order = {
        "id": 1, "created_at": "2026-05-02T10:00:00Z", "email": "a@x.example", "financial_status": "partially_refunded",
        "line_items": [{"id": 5, "sku": "A", "quantity": 2, "price": "20"}],
        "refunds": [{"created_at": "2026-05-03T10:00:00Z", "refund_line_items": [{"line_item_id": 5, "quantity": 1}]}],
    }  # fmt: skip
    report = load_lines(new_shop(), tmp_path, [order])
    assert "partly_given_back" not in counts(report)


def test_the_variant_inside_a_line_is_no_second_purchase(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    text = """increment_id,created_at,customer_id,sku,qty_ordered,price,parent_item_id,item_id
1,2026-05-01 10:00:00,5,A,2,20,,1
1,2026-05-01 10:00:00,5,A,2,0,1,2
2,2026-05-01 11:00:00,5,B,1,5,,3
"""
    report = load(shop, tmp_path, "f.csv", text)
    assert brief(shop, "product", "quantity") == [("A", 2), ("B", 1)]
    assert counts(report) == {"line_of_a_line": 1}


@pytest.mark.parametrize(
    "text",
    [
        "ID;Référence;Client;Total;Paiement;État;Date\n1;ABC;J. Dupont;40,00 €;CB;Paiement accepté;2026-05-01 10:00:00\n",
        "Order ID,Customer,Grand Total,Payment Method,Created at\n1,5,40,Card,2026-05-01 10:00:00\n",
    ],
)
def test_orders_without_their_lines_are_refused(text: str, new_shop: NewShop, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="not what was ordered"):
        load(new_shop(), tmp_path, "f.csv", text)


def test_amplitude_outside_of_sessions(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    event = {"event_type": "purchase", "event_time": "2026-05-01 10:02:00", "session_id": -1}
    load_lines(
        shop, tmp_path, [{**event, "device_id": f"d{n}", "event_properties": {"product_id": "A"}} for n in (1, 2)]
    )
    assert brief(shop, "session") == [("d1",), ("d2",)]
    report = load(new_shop(), tmp_path, "f.csv", "customer,session,product,time\nu1,-1,A,2026-05-01\n")
    assert counts(report)["no_session"] == 1


def test_snowplow_s_table(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    cell = json.dumps([{"id": "A", "price": 20, "quantity": 2}, {"id": "B", "price": 5}]).replace('"', '""')
    action = json.dumps({"type": "transaction", "transaction_id": "T1"}).replace('"', '""')
    text = f"""collector_tstamp,event_name,domain_userid,user_id,unstruct_event_com_x_snowplow_ecommerce_action_1,contexts_com_x_ecommerce_product_1
2026-05-01 10:02:00.123,snowplow_ecommerce_action,d1,u1,"{action}","{cell}"
"""
    load(shop, tmp_path, "f.csv", text)
    assert brief(shop, "type", "product", "quantity", "request_id") == [
        ("purchase", "A", 2, "T1"),
        ("purchase", "B", 1, "T1"),
    ]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        (
            "shift-jis",
            "ユーザーID,商品コード,イベント,日時\n顧客一,A,購入,2026/05/01 10:00\n顧客二,B,閲覧,2026/05/01 11:00\n",
        ),
        (
            "cp1251",
            "клиент;артикул;событие;дата\nИванов;A;покупка;01.05.2026 10:00\nПетрова;B;просмотр;13.05.2026 11:00\n",
        ),
        ("gb18030", "用户id,商品编号,行为,时间\n王小明,A,购买,2026年5月1日 10:00\n李雷,B,浏览,2026年5月1日 11:00\n"),
    ],
)
def test_headings_and_words_of_other_languages(encoding: str, text: str, new_shop: NewShop, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(text.encode(encoding))
    shop = new_shop()
    shop.load_events(tmp_path / "f.csv")
    assert brief(shop, "type", "product") == [("purchase", "A"), ("view_item", "B")]


def test_a_german_time_of_day(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    load(shop, tmp_path, "f.csv", 'customer,product,event,time\nu,A,purchase,"1. Mai 2026, 10:30 Uhr"\n')
    assert [f"{time:%d %H:%M}" for time in times(shop)] == ["01 10:30"]
