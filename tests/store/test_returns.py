"""Purchases given back: by order, by customer, in part, whole orders, in any order of arrival."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from shelfwise.errors import InvalidRecord
from shelfwise.schema import EVENT_COLUMNS, Event, EventType
from shelfwise.store import Store
from shelfwise.store.rows import event_row

START = datetime(2026, 1, 1, tzinfo=UTC)


def bought(customer: str, product: str, hour: int, *, pieces: float = 1, order: str = "") -> Event:
    return _event("purchase", customer, product, hour, pieces, order)


def refund(customer: str, product: str, hour: int, *, pieces: float = 1, order: str = "") -> Event:
    return _event("refund", customer, product, hour, pieces, order)


def _event(kind: str, customer: str, product: str, hour: int, pieces: float, order: str) -> Event:
    return Event(
        id=f"{kind}-{customer}-{product}-{hour}",
        type=EventType(kind),
        time=START + timedelta(hours=hour),
        customer=customer,
        product=product,
        quantity=pieces,
        request_id=order,
    )


def _record(store: Store, events: list[Event], way: str) -> None:
    if way == "append":
        store.append_events(events)
    elif way == "one by one":
        for event in events:
            store.append_events([event])
    else:
        store.import_events([pl.DataFrame([event_row(one) for one in events], schema=EVENT_COLUMNS, orient="row")])


def _owned(store: Store, customer: str) -> list[str]:
    return [event.product for event in store.last_events(customer=customer, n=99) if event.type is EventType.PURCHASE]


@pytest.mark.parametrize("way", ["append", "one by one", "import"])
def test_what_was_given_back_is_not_bought(store: Store, way: str) -> None:
    _record(
        store,
        [
            bought("A", "jar", 1, pieces=2, order="1"),
            bought("A", "wax", 1, pieces=6, order="1"),
            bought("A", "cup", 2, order="2"),
            bought("A", "mug", 2, order="2"),
            bought("B", "jar", 3, order="3"),
            refund("A", "jar", 5, pieces=2, order="credit note"),  # no such order: by customer and product
            refund("A", "wax", 6, pieces=2, order="1"),  # in part
            refund("A", "", 7, order="2"),  # the whole order
        ],
        way,
    )
    assert _owned(store, "A") == ["wax"]
    assert _owned(store, "B") == ["jar"]
    assert store.sold() == {"wax": 1.0, "jar": 1.0}
    frames = list(store.event_frames(types=[EventType.PURCHASE]))
    assert sorted(pl.concat(frames)["product"]) == ["jar", "wax"]
    pieces = {event.product: event.quantity for event in store.last_events(customer="A", n=99)}
    assert pieces["cup"] == 1  # as it came
    codes = store.last_rows(customer="A", n=99).kinds.tolist()
    assert codes.count(EventType.RETURNED.code) == 3
    assert codes.count(EventType.REFUND.code) == 3


def test_a_refund_may_come_before_its_purchase(store: Store) -> None:
    store.append_events([refund("A", "jar", 5, order="1")])
    assert _owned(store, "A") == []
    store.append_events([bought("A", "jar", 1, order="1"), bought("A", "jar", 9, order="2")])
    assert [event.request_id for event in store.last_events(customer="A", n=9) if event.type == "purchase"] == ["2"]


def test_the_office_refunds_an_order_of_somebody(store: Store) -> None:
    store.append_events([bought("A", "jar", 1, order="1"), bought("A", "cup", 1, order="1")])
    store.append_events([refund("office", "jar", 5, order="1")])
    assert _owned(store, "A") == ["cup"]
    store.append_events([refund("A", "pot", 6)])  # of nothing: changes nothing, gives nothing back again
    assert _owned(store, "A") == ["cup"]


def test_two_partial_refunds_make_a_whole_one(store: Store) -> None:
    store.append_events([bought("A", "wax", 1, pieces=3, order="1")])
    store.append_events([refund("A", "wax", 2, pieces=1, order="1")])
    assert _owned(store, "A") == ["wax"]
    store.append_events([refund("A", "wax", 3, pieces=2, order="1")])
    assert _owned(store, "A") == []


def test_bought_anew_is_bought(store: Store) -> None:
    store.append_events([bought("A", "jar", 1), refund("A", "jar", 2), bought("A", "jar", 3)])
    assert _owned(store, "A") == ["jar"]


def test_a_refund_names_a_product_or_an_order() -> None:
    with pytest.raises(InvalidRecord, match="order"):
        Event(type=EventType.REFUND, customer="A")


def test_best_sellers_are_what_many_buy(store: Store) -> None:
    alone = [bought("hotel", "T", hour, pieces=5000) for hour in range(0, 960, 24)]
    many = [bought(f"c{n}", "U", n) for n in range(3)]
    store.append_events(alone + many)
    assert store.sold() == {"T": 1.0, "U": 3.0}
