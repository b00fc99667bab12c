"""GA4's BigQuery export as JSON Lines: one event a line, its products nested in `items` → one event a product.

https://support.google.com/analytics/answer/7029846 describes the fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from shelfwise.errors import UnreadableFile
from shelfwise.intake import columns, reading
from shelfwise.intake.reading import value_text
from shelfwise.intake.report import Findings
from shelfwise.schema import EventType

ROWS = 50_000
_FIELDS = (
    "line",
    "type",
    "time",
    "customer",
    "session",
    "product",
    "quantity",
    "price",
    "query",
    "request_id",
    "place",
)


def is_export(path: Path, kind: str = "jsonl") -> bool:
    """Whether the first object looks like one of GA4's events."""
    first = next(reading.rows_of(path, kind), None)
    return first is not None and "event_name" in first[1] and "event_timestamp" in first[1]


def frames(path: Path, kind: str, findings: Findings) -> Iterator[pl.DataFrame]:
    """Frames with the texts of an event, `line` and `place` (the item's position, part of a made id)."""
    rows: list[tuple[Any, ...]] = []
    for line, event in reading.rows_of(path, kind):
        if "event_name" not in event or "event_timestamp" not in event:
            missing = "event_name" if "event_name" not in event else "event_timestamp"
            raise UnreadableFile(path, "is no GA4 event: the field is missing", line=line, column=missing)
        name = value_text(event["event_name"])
        event_type = columns.TYPE_NAMES.get(name)
        items = event.get("items") or []
        if event_type is None or not isinstance(items, list):
            findings.read += 1
            findings.add("other_event", "dropped", "is no e-commerce event", [(line, name)])
            continue
        parameters = _parameters(event.get("event_params"))
        visitor = value_text(event.get("user_pseudo_id"))
        visit = parameters.get("ga_session_id", "")
        session = f"{visitor}.{visit}" if visitor and visit else visitor
        ecommerce = event.get("ecommerce")
        order = value_text(ecommerce.get("transaction_id")) if isinstance(ecommerce, dict) else ""
        order = order if order not in ("", "(not set)") else parameters.get("transaction_id", "")
        query = parameters.get("search_term", "")
        shared = (str(event_type), value_text(event["event_timestamp"]), value_text(event.get("user_id")), session)
        if event_type is EventType.SEARCH or not items:
            items = [{}]
        for place, item in enumerate(items):
            item = item if isinstance(item, dict) else {}
            product = value_text(item.get("item_id"))
            product = "" if product == "(not set)" else product
            quantity, price = value_text(item.get("quantity")), value_text(item.get("price"))
            rows.append((line, *shared, product, quantity, price, query, order, place))
            findings.read += 1
        if len(rows) >= ROWS:
            yield _frame(rows)
            rows = []
    if rows:
        yield _frame(rows)


def _frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    kinds = {name: pl.Int64() if name in ("line", "place") else pl.String() for name in _FIELDS}
    frame = pl.DataFrame(rows, schema=kinds, orient="row")
    quantity, _ = columns.numbers(frame["quantity"])
    price, _ = columns.numbers(frame["price"], money=True)
    return frame.with_columns(
        *(columns.ids(frame[name]) for name in ("customer", "session", "product", "request_id")),
        columns.words(frame["query"]),
        id=pl.lit(""),
        time=columns.times(frame["time"]),
        quantity=quantity.set(frame["quantity"] == "", 1.0),
        price=price,
        value=pl.lit(None, pl.Float64),
        ordered=(frame["type"] == EventType.PURCHASE) & (frame["request_id"] != "") & (frame["product"] != ""),
    )


def _parameters(given: Any) -> dict[str, str]:
    """[{"key": …, "value": {"string_value" | "int_value" | …: …}}, …] → key → text."""
    parameters: dict[str, str] = {}
    for one in given if isinstance(given, list) else ():
        if isinstance(one, dict) and isinstance(one.get("value"), dict):
            for text in map(value_text, one["value"].values()):
                if text:
                    parameters[value_text(one.get("key"))] = text
                    break
    return parameters
