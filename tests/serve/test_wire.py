"""Bodies: what is taken, what is refused and why; nothing but Refused ever comes out of bad input."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.catalogue.filters import Filters
from shelfwise.schema import MAX_ID, Availability, Event, EventType, Product, now
from shelfwise.serve.openapi import SCHEMAS
from shelfwise.serve.wire import (
    EVENT,
    MAX_EVENTS,
    PRODUCT,
    QUESTION,
    SIMILAR,
    Refused,
    filters_of,
    parse_events,
    parse_fields,
    parse_json,
    parse_products,
)

EVENT_BODY = {"type": "purchase", "customer": "c1", "product": "p1"}


def refused(call: Any, *arguments: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        call(*arguments)
    assert 400 <= caught.value.status < 500
    assert caught.value.message
    return caught.value


def taken_or_refused(call: Any, *arguments: Any) -> None:
    with suppress(Refused):
        call(*arguments)


def body(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def test_an_event_needs_little_and_gets_time_and_id() -> None:
    (event,) = parse_events(body(EVENT_BODY))
    assert event.type is EventType.PURCHASE
    assert event.id
    assert abs(event.time - now()) < timedelta(seconds=5)
    assert event.quantity == 1


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: [e], lambda e: {"events": [e]}])
def test_one_a_list_or_named(wrap: Any) -> None:
    assert parse_events(body(wrap({**EVENT_BODY, "id": "e1"})))[0].id == "e1"


@pytest.mark.parametrize(
    "sent",
    ["2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00", "20240501T120000Z", 1714564800, 1714564800.0],
)
def test_times(sent: Any) -> None:
    (event,) = parse_events(body({**EVENT_BODY, "time": sent}))
    assert event.time == datetime(2024, 5, 1, 12, tzinfo=UTC)


FAR = (now() + timedelta(days=2)).isoformat()


@pytest.mark.parametrize(
    ("change", "field", "why"),
    [
        ({"type": "bought"}, "type", "use one of"),
        ({"type": None}, "type", "required"),
        ({"type": ["purchase"]}, "type", "use one of"),
        ({"type": {}}, "type", "use one of"),
        ({"price": -1}, "price", "must lie between"),
        ({"price": "3"}, "price", "finite number"),
        ({"price": True}, "price", "finite number"),
        ({"quantity": 0}, "quantity", "must lie between"),
        ({"time": FAR}, "time", "future"),
        ({"time": 1714564800000}, "time", "milliseconds"),
        ({"time": -5}, "time", "before 1970"),
        ({"time": "yesterday"}, "time", "ISO 8601"),
        ({"time": "2024-05-01T12:00:00"}, "time", "time zone"),
        ({"time": "0001-01-01T00:00:00+23:59"}, "time", "calendar"),
        ({"time": "1969-12-31T23:00:00Z"}, "time", "before 1970"),
        ({"time": []}, "time", "ISO 8601"),
        ({"time": True}, "time", "ISO 8601"),
        ({"customer": "x" * (MAX_ID + 1)}, "customer", "at most"),
        ({"customer": 7}, "customer", "must be text"),
        ({"customer": None}, "customer", "whose event"),
        ({"product": None}, "product", "needs its product"),
        ({"product": "a\x00b"}, "product", "control characters"),
        ({"type": "search", "product": None}, "query", "needs its query"),
        ({"costumer": "c1"}, "costumer", "did you mean 'customer'"),
        ({"": 1}, "", "not a field"),
    ],
)
def test_a_bad_event_says_where_and_why(change: dict[str, Any], field: str, why: str) -> None:
    error = refused(parse_events, body({**EVENT_BODY, **change}))
    assert (error.status, error.field or "") == (422, field)
    assert why in error.message
    error = refused(parse_events, body([EVENT_BODY, {**EVENT_BODY, **change}]))
    assert error.field == f"events[1].{field}"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"NaN",
        b'{"price": NaN}',
        b'{"price": Infinity}',
        b'{"price": 1e999}',
        b"\xff\xfe",
        b'"\\ud800"',
        b"[" * 5000,
        b"[" * 5000 + b"]" * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"\xef\xbb\xbf{}",
        b"{} {}",
    ],
)
def test_what_is_not_json_is_a_400(raw: bytes) -> None:
    assert refused(parse_json, raw).status == 400


def test_batches_are_bounded() -> None:
    error = refused(parse_events, body([EVENT_BODY] * (MAX_EVENTS + 1)))
    assert (error.status, error.code) == (413, "too_many")
    assert refused(parse_events, body([])).status == 422
    assert refused(parse_events, body({"events": []})).status == 422
    assert refused(parse_events, body({"events": {}})).status == 422
    assert refused(parse_events, body({"events": [EVENT_BODY], "x": 1})).status == 422
    assert len(parse_events(body([EVENT_BODY] * MAX_EVENTS))) == MAX_EVENTS


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": None}, "id"),
        ({"price": -0.01}, "price"),
        ({"availability": "maybe"}, "availability"),
        ({"attributes": []}, "attributes"),
        ({"attributes": {"a": [1]}}, "attributes.a"),
        ({"attributes": {"": 1}}, "attributes"),
        ({"created": "soon"}, "created"),
        ({"title": "x" * 1001}, "title"),
        ({"titel": "x"}, "titel"),
    ],
)
def test_a_bad_product_says_where(change: dict[str, Any], field: str) -> None:
    error = refused(parse_products, body({"products": [{"id": "ok"}, {"id": "p", **change}]}))
    assert (error.status, error.field) == (422, f"products[1].{field}")


def test_products_are_taken_whole() -> None:
    sent = {
        "id": "茶-1",
        "title": "绿茶",
        "price": 3,
        "availability": "out_of_stock",
        "attributes": {"organic": True, "grams": 100.0, "origin": "杭州", "unknown": None},
        "created": "2024-01-01T00:00:00Z",
    }
    (product,) = parse_products(body(sent))
    assert isinstance(product, Product)
    assert dict(product.attributes) == {"organic": True, "grams": 100.0, "origin": "杭州"}
    assert refused(parse_products, body([sent, sent])).field == "products[1].id"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"k": 0}, "k"),
        ({"k": 201}, "k"),
        ({"k": 2.5}, "k"),
        ({"k": True}, "k"),
        ({"k": "9"}, "k"),
        ({"surface": "moon"}, "surface"),
        ({"seeds": "p1"}, "seeds"),
        ({"seeds": ["p1", 3]}, "seeds[1]"),
        ({"seeds": ["p"] * 101}, "seeds"),
        ({"customer": ["c"]}, "customer"),
        ({"customer": "c" * 201}, "customer"),
        ({"customer": "c\n"}, "customer"),
        ({"filters": []}, "filters"),
        ({"filters": {"price_min": -1}}, "filters.price_min"),
        ({"filters": {"colour": "red"}}, "filters.colour"),
        ({"filters": {"brands": [None]}}, "filters.brands[0]"),
        ({"filters": {"brands": [""]}}, "filters.brands[0]"),
        ({"filters": {"availability": ["sold"]}}, "filters.availability[0]"),
        ({"filters": {"exclude": ["p"] * 1001}}, "filters.exclude"),
        ({"exclude_purchased": "yes"}, "exclude_purchased"),
        ({"limit": 3}, "limit"),
    ],
)
def test_a_bad_question_says_where(change: dict[str, Any], field: str) -> None:
    error = refused(parse_fields, {"customer": "c", **change}, QUESTION)
    assert (error.status, error.field) == (422, field)


def test_filters() -> None:
    values = parse_fields({"filters": {"brands": ["A"], "price_max": 3, "availability": ["preorder"]}}, QUESTION)
    assert filters_of(values) == Filters(brands=("A",), price_max=3, availability=(Availability.PREORDER,))
    assert filters_of({}) == Filters()
    crossed = parse_fields({"filters": {"price_min": 3, "price_max": 2}}, QUESTION)
    assert refused(filters_of, crossed).field == "filters.price_min"


def test_nulls_are_as_good_as_absent() -> None:
    assert parse_fields(dict.fromkeys(QUESTION), QUESTION) == {}
    assert refused(parse_fields, {"product": None}, SIMILAR).field == "product"


def test_the_document_shows_what_is_parsed() -> None:
    for name, fields in (("Event", EVENT), ("Product", PRODUCT), ("Question", QUESTION), ("Similar", SIMILAR)):
        assert list(SCHEMAS[name]["properties"]) == list(fields)
        assert all(spec["description"] for spec in SCHEMAS[name]["properties"].values())
    slots = {name for name in Event.__slots__ if not name.startswith("_")}
    assert slots | {"transaction_id"} == set(EVENT)  # which becomes the request_id, and the id, of a purchase
    assert {name for name in Product.__slots__ if not name.startswith("_")} - {"original_price"} == set(PRODUCT)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def near(fields: Any, plural: str) -> st.SearchStrategy[Any]:
    """Objects with the right names and any values: what gets past the outermost checks."""
    row = st.dictionaries(st.sampled_from(sorted(fields)), json_values, max_size=6)
    return row | st.lists(row | json_values, max_size=3) | st.fixed_dictionaries({plural: st.lists(row) | json_values})


@given(raw=st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    for parse in (parse_events, parse_products):
        taken_or_refused(parse, raw)


@given(value=near(EVENT, "events") | near(PRODUCT, "products") | json_values)
def test_any_json_is_parsed_or_refused(value: Any) -> None:
    try:
        raw = orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits or a lone surrogate
        raw = body(value)
    for parse in (parse_events, parse_products):
        taken_or_refused(parse, raw)


@given(value=near(QUESTION, "seeds") | near(SIMILAR, "seeds") | json_values)
def test_any_question_is_parsed_or_refused(value: Any) -> None:
    for fields in (QUESTION, SIMILAR):
        taken_or_refused(parse_fields, value, fields)
