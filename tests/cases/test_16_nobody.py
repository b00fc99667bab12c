# ruff: noqa: E501 (tables of cases are wide)
"""Case 16: 'undefined', 'None', 'guest' are nobody, by file and by HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from events_of import brief, counts, load, text_of

from shelfwise.engine.request import Request
from shelfwise.errors import InvalidRecord
from shelfwise.schema import Event, EventType, is_nobody
from shelfwise.search.request import SearchRequest
from shelfwise.serve.wire import parse_batch
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]


def test_placeholders_of_the_case(case: Callable[[int], Path], new_shop: NewShop) -> None:
    folder, shop = case(16), new_shop()
    shop.load_products(folder / "feed.csv")
    report = shop.load_events(folder / "log.csv")
    told = text_of(report, "no_customer")
    assert counts(report)["no_customer"] > 50
    for name in ("None", "undefined", "guest", "(not set)", "-1"):
        assert f"'{name}':" in told
    customers = {customer for (customer,) in brief(shop, "customer")}
    assert not {name for name in customers if is_nobody(name)}
    assert shop.counts().events == report.kept == report.read
    batch = parse_batch((folder / "batch.json").read_bytes())
    assert [(event.customer, event.session) for event in batch.events] == [("", "web-1"), ("", "web-2")]
    assert batch.nobody == [0, 1]
    asked = Request(customer="undefined", session="web-2")
    assert (asked.customer, asked.session) == ("", "web-2")


@pytest.mark.parametrize(
    "name",
    ["undefined", "NULL", "none", "NaN", "(not set)", "<null>", "Guest", "anonymous", "0", "-1", "000000", "游客", "N/A",
     "00000000-0000-0000-0000-000000000000", "xxxxxxxx", "[object Object]", "---", "ゲスト"],
)  # fmt: skip
def test_who_is_nobody(name: str) -> None:
    assert is_nobody(name)
    event = Event(type=EventType.VIEW_ITEM, customer=name, session="s", product="p")
    assert event.customer == ""
    with pytest.raises(InvalidRecord, match="nobody"):
        Event(type=EventType.VIEW_ITEM, customer=name, product="p")
    assert SearchRequest(query="tea", customer=name).customer == ""


@pytest.mark.parametrize("name", ["1", "42", "007", "ann", "Nullman", "guest-7", "111", "c0", "None of us"])
def test_who_is_somebody(name: str) -> None:
    assert not is_nobody(name)


def test_a_session_may_be_numbered_from_nought(tmp_path: Path, new_shop: NewShop) -> None:
    shop = new_shop(no_customers=["KASSE"])
    text = (
        "time,user_id,session_id,event_type,product_id\n2026-01-01,null,0,view,p\n2026-01-02,KASSE,1,view,p\n"
        "2026-01-03,ann,undefined,view,p\n2026-01-04,guest,,view,p\n"
    )
    report = load(shop, tmp_path, "log.csv", text)
    assert brief(shop, "customer", "session") == [("", "0"), ("", "1"), ("ann", "")]
    assert counts(report) == {"no_customer": 3, "no_session": 1, "invalid_customer": 1}


def test_one_customer_with_a_large_share_is_flagged(tmp_path: Path, new_shop: NewShop) -> None:
    lines = [f"2026-01-{1 + n % 28:02}T{n % 24:02}:{n // 24 % 60:02}:00Z,till,view,p{n % 9}" for n in range(400)]
    lines += [f"2026-01-{1 + n % 28:02},c{n},view,p" for n in range(100)]
    report = load(new_shop(), tmp_path, "log.csv", "\n".join(["time,customer,type,product", *lines, ""]))
    assert "till: 400 of 500" in text_of(report, "large_share")


def test_a_batch_says_what_it_left_out() -> None:
    body = {
        "on_error": "skip",
        "events": [
            {"type": "view_item", "session": "s", "product": "p"},
            {"type": "view_item", "product": "p"},
            {"type": "nonsense", "session": "s"},
            {"type": "purchase", "customer": "c", "product": "p", "transaction_id": "T1"},
            {"type": "purchase", "customer": "c", "product": "p", "transaction_id": "T1"},
            {"type": "refund", "customer": "c", "transaction_id": "T1"},
        ],
    }
    batch = parse_batch(json.dumps(body).encode())
    assert batch.places == [0, 3, 4, 5]
    assert list(batch.refused) == [1, 2]
    assert batch.refused[1].field == "events[1].customer"
    again = parse_batch(json.dumps(body).encode())
    assert [event.id for event in batch.events[1:3]] == [event.id for event in again.events[1:3]]
    assert batch.events[1].id != batch.events[2].id
    assert batch.events[3].request_id == "T1"
