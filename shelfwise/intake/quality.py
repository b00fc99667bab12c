"""`shelfwise check`: the quality of the record as it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl

from shelfwise import schema
from shelfwise.intake.extremes import LARGE_QUANTITY, add_bots, bot_like
from shelfwise.intake.ids import meeting
from shelfwise.intake.report import Findings, QualityReport
from shelfwise.schema import EVENT_COLUMNS

if TYPE_CHECKING:
    from shelfwise.store import Store

_FIELDS = ("title", "description", "brand", "product_type", "image_link", "price")
PRICE_FACTOR = 10.0  # an event's price beyond this many times (or parts of) the product's is flagged
_ROWS = 500_000


def check(store: Store, loads: Sequence[QualityReport] = ()) -> QualityReport:
    """Products and events: unknown and never seen products, missing fields, odd prices, bots, repeats, time range.

    loads: reports of the files loaded, newest first: they tell from which columns the ids came.
    read counts products and events. Memory holds the catalogue and half a million events at a time.
    """
    findings = Findings("the record")
    products = store.products_frame()
    _check_products(products, findings)
    prices = products.select(product="id", listed="price").with_columns(known=pl.lit(value=True))
    seen: dict[str, int] = {}
    types: Counter[str] = Counter()
    first: int | None = None
    last: int | None = None
    events = 0
    edge: pl.DataFrame | None = None  # the newest minute of the frame before, so that no repeat hides at its end
    for frame in _frames(store):
        times = frame["time"]
        first = int(times[0]) if first is None else first
        last = int(times[-1])
        types.update(dict(frame["type"].value_counts().iter_rows()))
        for product, count in frame.filter(pl.col("product") != "")["product"].value_counts().iter_rows():
            seen[product] = seen.get(product, 0) + count
        numbered = frame.with_columns(line=pl.int_range(events + 1, events + 1 + pl.len(), dtype=pl.Int64))
        _check_events(numbered, prices, findings)
        edge = _check_repeats(numbered, edge, findings)
        add_bots(bot_like(numbered.lazy()), findings)
        events += frame.height
    findings.read = products.height + events
    known = set(products["id"])
    _check_ids(products["id"], {name: count for name, count in seen.items() if name not in known}, loads, findings)
    unseen = products.filter(~pl.col("id").is_in(list(seen))).with_columns(line=pl.lit(0))
    findings.add_rows("never_seen", "note", "products no event names", unseen, "id", "title")
    findings.facts["products"] = products.height
    findings.facts["events"] = events
    findings.facts["events a type"] = dict(types.most_common())
    findings.facts["products seen"] = len(known & seen.keys())
    counts = store.counts()
    findings.facts["customers"] = counts.customers
    findings.facts["sessions"] = counts.sessions
    if first is not None and last is not None:
        findings.facts["from"] = f"{schema.from_micros(first):%Y-%m-%d %H:%M:%S}"
        findings.facts["to"] = f"{schema.from_micros(last):%Y-%m-%d %H:%M:%S}"
    return findings.report()


def _check_ids(known: pl.Series, unknown: dict[str, int], loads: Sequence[QualityReport], findings: Findings) -> None:
    """Ids of feed and log that differ by what a spreadsheet or pandas does to them."""
    if not unknown or known.is_empty():
        return
    missing = pl.DataFrame({"product": list(unknown), "events": list(unknown.values())})
    best = meeting(missing, known)
    if best is None:
        return
    side, rule, count = best
    field, other = ("product", "time") if side == "log" else ("id", "title")
    columns: dict[str, str] = next(
        (load.facts["columns"] for load in loads if other in load.facts.get("columns", {})), {}
    )
    option = f"--map '{field}={columns.get(field, 'COLUMN')}|{rule}'"
    command = "events" if side == "log" else "products"
    why = (
        f"events would find their product after one change of ids: `shelfwise load {command} … {option}` in a new shop"
    )
    findings.add("ids_meet_after", "note", why, [(0, name) for name in list(unknown)[:3]], count=count)


def _frames(store: Store) -> Iterator[pl.DataFrame]:
    for frame in store.event_frames(rows=_ROWS):
        if frame.height:
            yield frame.select(*EVENT_COLUMNS)


def _check_products(products: pl.DataFrame, findings: Findings) -> None:
    if products.is_empty():
        return
    numbered = products.with_columns(line=pl.lit(0))
    missing = {}
    for field in _FIELDS:
        empty = pl.col(field).is_null() if field == "price" else pl.col(field) == ""
        rows = numbered.filter(empty)
        missing[field] = f"{rows.height / products.height:.1%}"
        findings.add_rows(f"no_{field}", "note", f"products without {field}", rows, "id", "title")
    findings.facts["products without"] = missing
    free = numbered.filter(pl.col("price") == 0)
    findings.add_rows("price_zero", "flagged", "the listed price is 0", free, "id", "title")
    findings.flagged += free.height
    described = numbered.filter((pl.col("title") != "") & (pl.col("image_link") == ""))
    same = described.filter(pl.struct("title", "brand", "price", "description", "product_type").is_duplicated())
    why = "products nobody can tell apart: same title, brand, price, description and category, no photo"
    findings.add_rows("alike", "note", why, same, "id", "title")


def _check_events(events: pl.DataFrame, prices: pl.DataFrame, findings: Findings) -> None:
    joined = events.join(prices, on="product", how="left", maintain_order="left")
    unknown = (pl.col("product") != "") & pl.col("known").is_null()
    odd = pl.col("price").is_not_null() & (pl.col("price") > 0) & (pl.col("listed") > 0)
    ratio = pl.col("price") / pl.col("listed")
    flags = {
        "unknown_product": (unknown, "the event's product is not in the catalogue", ("product", "customer", "session")),
        "price_off": (
            odd & ((ratio > PRICE_FACTOR) | (ratio < 1 / PRICE_FACTOR)),
            f"the price is over {PRICE_FACTOR:g} times, or under a {PRICE_FACTOR:g}th of, the product's",
            ("product", "price", "listed"),
        ),
        "impossible_quantity": (
            pl.col("quantity") > LARGE_QUANTITY,
            f"over {LARGE_QUANTITY:,.0f} pieces in one event",
            ("product", "quantity"),
        ),
    }
    flagged = joined.with_columns(
        **{kind: condition.fill_null(value=False) for kind, (condition, _, _) in flags.items()}
    )
    for kind, (_, why, shown) in flags.items():
        findings.add_rows(kind, "flagged", why, flagged.filter(pl.col(kind)), *shown)
    findings.flagged += flagged.filter(pl.any_horizontal(*flags)).height


def _check_repeats(events: pl.DataFrame, edge: pl.DataFrame | None, findings: Findings) -> pl.DataFrame:
    """Events that equal an earlier one in all but id; returns this frame's newest second for the next call."""
    contents = [name for name in EVENT_COLUMNS if name != "id"]
    whole = events if edge is None else pl.concat([edge, events])
    start = 0 if edge is None else edge.height
    repeats = (
        whole.with_row_index("place")
        .filter(pl.struct(contents).is_duplicated())
        .filter(pl.int_range(pl.len()).over(contents) > 0)
        .filter(pl.col("place") >= start)
    )
    findings.add_rows(
        "repeated", "note", "equal to another event in all but the id", repeats, "type", "customer", "product"
    )
    return events.filter(pl.col("time") >= events["time"][-1])
