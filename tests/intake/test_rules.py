"""The rules of columns and of records must agree: one verdict, whichever way a record comes in."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shelfwise import schema
from shelfwise.errors import InvalidRecord
from shelfwise.intake.rules import event_problem, product_problem
from shelfwise.schema import (
    EVENT_COLUMNS,
    EVENT_TYPES,
    MAX_ID,
    MAX_QUERY,
    PRODUCT_COLUMNS,
    Availability,
    Event,
    Product,
    Status,
    from_micros,
)

NOW = schema.to_micros(schema.now())
character = st.characters(exclude_categories=["Cs"])
odd = st.sampled_from(
    ["", " ", "\t", "a", "a b", "\x00", "a\x7f", "\x85", "é", "\n", "\u200b", "\ufeff", "x" * 201, "y" * 1001]
)
text = st.one_of(odd, st.text(character, max_size=8), st.just("z" * MAX_ID), st.just("q" * (MAX_QUERY + 1)))
number = st.one_of(
    st.none(),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1e-9, 1e-10, 1e9, 1.0000001e9, 1e12, 1.1e12, -1e6, -1.1e6, 1.0]),
)
DAY = 86_400_000_000
time = st.sampled_from([0, -1, 1, NOW, NOW - DAY, NOW + DAY, NOW + 300_000_000])


@st.composite
def event(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(
        st.one_of(st.sampled_from([str(k) for k in EVENT_TYPES]), st.sampled_from(["", "page_view", "PURCHASE"]))
    )
    row: dict[str, Any] = {
        "id": draw(text.filter(bool)),
        "type": kind,
        "time": draw(time),
        "quantity": draw(number.filter(lambda n: n is not None)),
        "price": draw(number),
        "value": draw(number),
    }
    # mostly plain values, so that valid records are drawn too
    for name in ("customer", "session", "product", "query", "request_id"):
        row[name] = draw(st.one_of(st.sampled_from(["", "a1"]), text))
    return row


def refused(make: Any, **fields: Any) -> bool:
    try:
        make(**fields)
    except InvalidRecord:
        return True
    return False


@settings(max_examples=600, deadline=None)
@given(event())
@example(
    {
        "id": "1", "type": "view_item", "time": NOW, "customer": "a", "session": "", "product": "p", "quantity": 1.0,
        "price": None, "value": None, "query": "", "request_id": "",
    }
)  # fmt: skip
def test_event_rules_agree(row: dict[str, Any]) -> None:
    for name in ("customer", "session"):  # as the intake does before it asks
        if schema.is_nobody(row[name].strip(), session=name == "session"):
            row = row | {name: ""}
    frame = pl.DataFrame([row], schema=dict(EVENT_COLUMNS), orient="row")
    problem = frame.select(event_problem()).item()
    assert (problem is not None) == refused(Event, **row | {"time": from_micros(row["time"])}), (row, problem)


attribute = st.one_of(
    st.booleans(), st.floats(allow_nan=False, allow_infinity=False), odd, st.sampled_from([1e15, 1e16, -1e16])
)


@st.composite
def product(draw: st.DrawFn) -> dict[str, Any]:
    row: dict[str, Any] = {name: "" for name, kind in PRODUCT_COLUMNS.items() if kind == pl.String()}
    row |= {"id": draw(st.one_of(st.just("a1"), text)), "price": draw(number)}
    for name in draw(
        st.lists(st.sampled_from(["title", "description", "brand", "currency", "link", "gtin"]), max_size=3)
    ):
        row[name] = draw(st.one_of(text, st.sampled_from(["t" * 1_000, "t" * 4_001, "t" * 20_001])))
    row["status"] = draw(st.sampled_from([*map(str, Status), ""]))
    row["availability"] = draw(st.sampled_from([*map(str, Availability), "in stock", ""]))
    row["created"] = draw(st.one_of(st.none(), time))
    row["attributes"] = draw(st.dictionaries(text, attribute, max_size=3))
    return row


@settings(max_examples=600, deadline=None)
@given(product())
def test_product_rules_agree(row: dict[str, Any]) -> None:
    frame = pl.DataFrame(
        [row | {"attributes": json.dumps(row["attributes"])}], schema=dict(PRODUCT_COLUMNS), orient="row"
    )
    problem = frame.select(product_problem()).item()
    created = None if row["created"] is None else from_micros(row["created"])
    assert (problem is not None) == refused(Product, **row | {"created": created}), (row, problem)


def test_a_problem_names_its_field() -> None:
    good = {
        "id": "1", "type": "purchase", "time": NOW, "customer": "a", "session": "", "product": "p", "quantity": 1.0,
        "price": 2.0, "value": None, "query": "", "request_id": "",
    }  # fmt: skip
    bad = {
        "type": "page_view", "time": schema.to_micros(schema.now() + timedelta(days=1)), "customer": "", "product": "",
        "quantity": -1.0, "price": float("nan"),
    }  # fmt: skip
    rows = [good, *(good | {field: value} for field, value in bad.items())]
    problems = (
        pl.DataFrame(rows, schema=dict(EVENT_COLUMNS), orient="row").select(event_problem()).to_series().to_list()
    )
    assert problems[0] is None
    assert [str(problem).split(":")[0] for problem in problems[1:]] == list(bad)
