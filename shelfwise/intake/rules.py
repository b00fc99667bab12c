"""The rules of schema.py as polars expressions: whole columns are checked at once.

A test draws random records and holds both to the same verdict.
"""

from __future__ import annotations

import json

import polars as pl

from shelfwise import schema
from shelfwise.errors import InvalidRecord
from shelfwise.schema import (
    BLANKS,
    CLOCK_SKEW,
    EVENT_TYPES,
    MAX_ID,
    MAX_QUERY,
    MAX_TEXT,
    MAX_TITLE,
    Availability,
    EventType,
    Status,
)

# Unicode category Cc without tab, newline and carriage return; surrogates (Cs) cannot stand in a polars text.
_IDS = ("id", "item_group_id", "customer", "session", "product", "request_id")
CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]"


def event_problem() -> pl.Expr:
    """For a frame with EVENT_COLUMNS: null where the event is valid, else "field: problem"."""
    latest = schema.to_micros(schema.now() + CLOCK_SKEW)
    types = [str(kind) for kind in EVENT_TYPES]
    search = pl.col("type") == EventType.SEARCH
    whole_order = (pl.col("type") == EventType.REFUND) & (_id("request_id") != "")
    no_product_needed = search | whole_order | (pl.col("type") == EventType.VIEW_ITEM_LIST)
    return pl.coalesce(
        _when(~pl.col("type").is_in(types).fill_null(value=False), "type: is not one of the event types"),
        *(_text(name, MAX_ID) for name in ("id", "customer", "session", "product", "request_id")),
        _text("query", MAX_QUERY),
        _when(pl.col("time").is_null(), "time: is missing or cannot be read"),
        _when(pl.col("time") < 0, "time: lies before 1970"),
        _when(pl.col("time") > latest, "time: lies in the future; check the sender's clock"),
        _when(pl.col("quantity").is_null(), "quantity: must be a finite number"),
        _number("quantity", 1e-9, 1e9),
        _number("price", 0, 1e12),
        _number("value", -1e6, 1e6),
        _when(
            (_id("customer") == "") & (_id("session") == ""),
            "customer: give a customer or a session: whose event is it?",
        ),
        _when(search & (pl.col("query").str.strip_chars() == ""), "query: a search event needs its query"),
        _when(
            (pl.col("type") == EventType.REFUND) & (_id("product") == "") & ~whole_order,
            "product: a refund needs its product, or the order (request_id) given back whole",
        ),
        _when(~no_product_needed & (_id("product") == ""), "product: the event needs its product"),
    )


def product_problem() -> pl.Expr:
    """For a frame with PRODUCT_COLUMNS: null where the product is valid, else "field: problem"."""
    return pl.coalesce(
        _when(pl.col("id").fill_null("").str.strip_chars() == "", "id: is required; give it a value"),
        _text("id", MAX_ID),
        _text("title", MAX_TITLE),
        _text("description", MAX_TEXT),
        *(_text(name, MAX_TITLE) for name in ("brand", "product_type", "item_group_id", "gtin", "mpn", "currency")),
        *(_text(name, 4_000) for name in ("image_link", "link")),
        *(_number(name, 0, 1e12) for name in ("price", "sale_price")),
        _when(pl.col("sale_end") <= pl.col("sale_start"), "sale_end: must lie after sale_start"),
        _when(pl.col("shown_until") <= pl.col("shown_from"), "shown_until: must lie after shown_from"),
        _when(pl.col("created") < 0, "created: lies before 1970"),
        _when(
            ~pl.col("availability").is_in([str(a) for a in Availability]).fill_null(value=False),
            "availability: is not one of in_stock, out_of_stock, preorder, backorder",
        ),
        _when(
            ~pl.col("status").is_in([str(each) for each in Status]).fill_null(value=False),
            f"status: is not one of {', '.join(Status)}",
        ),
        pl.when(~pl.col("attributes").is_in(["", "{}"]))
        .then(pl.col("attributes"))
        .map_elements(attributes_problem, return_dtype=pl.String, skip_nulls=True),
    )


def attributes_problem(text: str) -> str | None:
    """One product's attributes (JSON text) by the record's own rule: their keys differ from product to product."""
    try:
        attributes = json.loads(text)
    except ValueError:
        return "attributes: are not JSON"
    if not isinstance(attributes, dict):
        return "attributes: are not a JSON object"
    try:
        schema.Product(id="-", attributes=attributes)
    except InvalidRecord as error:
        return str(error)
    return None


def _id(name: str) -> pl.Expr:
    """An id as the record trims it."""
    return pl.col(name).str.strip_chars(BLANKS)


def _when(condition: pl.Expr, problem: str) -> pl.Expr:
    return pl.when(condition).then(pl.lit(problem)).otherwise(pl.lit(None, pl.String))


def _text(name: str, limit: int) -> pl.Expr:
    column = _id(name) if name in _IDS else pl.col(name)
    return (
        pl.when(column.is_null())
        .then(pl.lit(f"{name}: must be text"))
        .when(column.str.len_chars() > limit)
        .then(pl.lit(f"{name}: is too long; at most {limit} characters are kept"))
        .when(column.str.contains(CONTROL))
        .then(pl.lit(f"{name}: contains control characters; remove them"))
        .otherwise(pl.lit(None, pl.String))
    )


def _number(name: str, low: float, high: float) -> pl.Expr:
    column = pl.col(name)
    return (
        pl.when(column.is_not_null() & ~column.is_finite())
        .then(pl.lit(f"{name}: must be a finite number"))
        .when(~column.is_between(low, high))
        .then(pl.lit(f"{name}: must lie between {low:g} and {high:g}"))
        .otherwise(pl.lit(None, pl.String))
    )
