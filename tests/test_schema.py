from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.errors import InvalidRecord
from shelfwise.schema import (
    EVENT_TYPES,
    LEARNED_KINDS,
    Campaign,
    Event,
    EventType,
    Product,
    from_micros,
    now,
    to_micros,
)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_microseconds_lose_nothing(time):
    assert from_micros(to_micros(time)) == time


def test_codes_of_event_types_never_move():
    """Bundles keep these numbers: a new type goes to the end."""
    assert [kind.value for kind in EVENT_TYPES] == [
        "view_item",
        "add_to_cart",
        "remove_from_cart",
        "purchase",
        "search",
        "view_item_list",
        "select_item",
        "add_to_wishlist",
        "rate",
        "refund",
        "purchase_returned",
    ]
    assert [kind.code for kind in EVENT_TYPES] == list(range(11))
    assert LEARNED_KINDS == 9  # what networks of older bundles were made with


def test_an_event_gets_an_id_and_the_present():
    first, second = (Event(type=EventType.PURCHASE, customer="a", product="b") for _ in range(2))
    assert first.id != second.id
    assert abs(now() - first.time) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("type", {"type": "buy"}),
        ("customer", {"customer": "", "session": ""}),
        ("product", {"product": ""}),
        ("query", {"type": "search", "query": " "}),
        ("price", {"price": -1.0}),
        ("price", {"price": float("nan")}),
        ("price", {"price": True}),
        ("quantity", {"quantity": 0.0}),
        ("quantity", {"quantity": float("inf")}),
        ("time", {"time": datetime(2020, 1, 1)}),
        ("time", {"time": datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=2)))}),
        ("time", {"time": datetime(1969, 12, 31, tzinfo=UTC)}),
        ("time", {"time": now() + timedelta(days=1)}),
        ("customer", {"customer": "x" * 201}),
        ("product", {"product": "a\x00b"}),
        ("product", {"product": "\ud800"}),
        ("query", {"type": "search", "query": "q" * 1001}),
    ],
)
def test_a_wrong_event_names_its_field(field, values):
    with pytest.raises(InvalidRecord) as caught:
        Event(**{"type": "purchase", "customer": "a", "product": "b", **values})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("id", {"id": " "}),
        ("id", {"id": 7}),
        ("price", {"price": float("inf")}),
        ("availability", {"availability": "soon"}),
        ("attributes.size", {"attributes": {"size": float("nan")}}),
        ("attributes", {"attributes": {"": "x"}}),
        ("title", {"title": "t" * 1001}),
    ],
)
def test_a_wrong_product_names_its_field(field, values):
    with pytest.raises(InvalidRecord) as caught:
        Product(**{"id": "p", **values})
    assert caught.value.field == field


def test_category_is_the_first_level():
    assert Product(id="p", product_type="Frozen > Pizza > Thin").category == "Frozen"


def test_a_campaign_ends_after_it_starts():
    with pytest.raises(InvalidRecord, match="before start"):
        Campaign(id="c", start=datetime(2020, 2, 1, tzinfo=UTC), end=datetime(2020, 1, 1, tzinfo=UTC))
