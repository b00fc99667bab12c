"""Ids of events that came without one, and of orders' lines whatever they came with: the same file again adds nothing,
and an order is one order, whether it came live or in an export.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import polars as pl

from shelfwise.intake.report import Findings
from shelfwise.schema import EVENT_COLUMNS, line_id

if TYPE_CHECKING:
    from shelfwise.store import Store


def made(good: pl.DataFrame) -> pl.DataFrame:
    """The spool's columns (see `Spool`) of rows that keep the rules."""
    good = good.with_columns(id=pl.when("ordered").then(pl.lit("")).otherwise("id"))
    own = good["id"] != ""
    if not own.all():
        made = [hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for text in _contents(good)]
        good = good.with_columns(id=pl.when(pl.col("id") == "").then(pl.Series(made, dtype=pl.String)).otherwise("id"))
    sent = [""] * good.height if "place" in good.columns else _lines(good)
    return good.select(
        "line",
        pl.lit(own).alias("own"),
        "ordered",
        pl.Series("sent", sent, dtype=pl.String),
        *(pl.col(n).cast(t) for n, t in EVENT_COLUMNS.items()),
    )


def not_there(frame: pl.DataFrame, store: Store, findings: Findings) -> pl.DataFrame:
    """Without a table's lines of orders that the record has from another way in: live over HTTP, or of a document."""
    there = store.recorded(frame.filter(pl.col("sent") != "")["sent"].to_list())
    known = frame["sent"].is_in(list(there))
    why = "the record has this line of the order already, as it came live or in another file: an order is one"
    findings.add_rows("order_recorded", "dropped", why, frame.filter(known), "request_id", "product", "customer")
    return frame.filter(~known)


def _lines(good: pl.DataFrame) -> list[str]:
    """Of a table's lines of orders the ids that other ways in give them (HTTP, documents), "" for other rows."""
    rows = good.select("ordered", "request_id", "product").iter_rows()
    return [line_id(order, product, 0) if ordered else "" for ordered, order, product in rows]


def _contents(good: pl.DataFrame) -> pl.Series:
    """What ids are made of: all that a row says, or of an order's line the order and its product.

    A line of a record with a place has its number among those of its product there; a table's order, whose numbers may
    begin anew with each customer (see `Spool.begins_anew`), has the customer."""
    placed = "place" in good.columns
    nth = pl.int_range(pl.len()).over("line", "type", "product").cast(pl.String) if placed else pl.col("customer")
    order = pl.concat_str(pl.lit("order"), "request_id", "product", nth, separator="\x1f")
    whole = pl.concat_str(
        *(pl.col(name) for name in ("type", "customer", "session", "product", "query", "request_id")),
        pl.col("time").cast(pl.String),
        *(
            (pl.col(name) * 1e6).round().cast(pl.Int64, strict=False).cast(pl.String).fill_null("")
            for name in ("quantity", "price", "value")
        ),
        *((pl.col("place").cast(pl.String),) if placed else ()),
        separator="\x1f",
    )
    return good.select(pl.when("ordered").then(order).otherwise(whole)).to_series()
