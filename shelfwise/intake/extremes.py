"""What no person does, or only one of thousands: flagged, so that the merchant can look and leave it out."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import polars as pl

from shelfwise.intake.report import Findings
from shelfwise.schema import EventType, from_micros, to_micros

MANY_A_MINUTE = 120  # moments (distinct times) of one visitor within one minute above which no person is behind them
MANY_A_DAY = 5_000
LARGE_QUANTITY = 10_000.0
LARGE_PRICE = 1e6
MANY_PURCHASES = 100  # of one customer on one day
SHARE, SHARE_FROM, SHARE_AMONG = 0.1, 200, 5  # of all events; from this many on, among this many who act
BULK, BULK_TIMES = 100.0, 50.0  # pieces, and times the median, above which one purchase is outlandish
GAP_YEARS = 1  # empty years before a shop's first real one
_BROWSING = [
    str(kind)
    for kind in EventType
    if kind not in (EventType.PURCHASE, EventType.RETURNED, EventType.REFUND, EventType.RATE)
]
_DAY = 86_400_000_000
_WHO = pl.when(pl.col("customer") != "").then("customer").otherwise("session")
BOT_REASON = f"browses faster than people do: over {MANY_A_MINUTE} moments a minute or {MANY_A_DAY:,} a day"
LEAVE_OUT = "the setting ignored_customers leaves them out"


def bot_like(events: pl.LazyFrame) -> pl.DataFrame:
    """who, moments, peak (the busiest minute's moments), first (line): visitors no person can be, by browsing alone:
    a purchase of a hundred products is one moment."""
    per_minute = (
        events.filter(pl.col("type").is_in(_BROWSING))
        .group_by(who=_WHO, minute=pl.col("time") // 60_000_000)
        .agg(moments=pl.col("time").n_unique(), events=pl.len(), line=pl.col("line").min())
    )
    per_day = per_minute.group_by("who", day=pl.col("minute") // 1_440).agg(
        pl.col("moments").sum(), peak=pl.col("moments").max(), events=pl.col("events").sum(), line=pl.col("line").min()
    )
    return (
        per_day.filter((pl.col("peak") > MANY_A_MINUTE) | (pl.col("moments") > MANY_A_DAY))
        .group_by("who")
        .agg(pl.col("moments", "events").sum(), pl.col("peak").max(), pl.col("line").min())
        .sort("line")
        .collect(engine="streaming")
    )


def add_bots(bots: pl.DataFrame, findings: Findings) -> None:
    if bots.height:
        examples = [
            (line, f"{name}: {moments:,} moments, {peak:,} in its busiest minute")
            for name, moments, peak, line in bots.select("who", "moments", "peak", "line").head(5).iter_rows()
        ]
        count = int(bots["events"].sum())
        findings.add("bot_like", "flagged", BOT_REASON, examples, count=count)
        findings.flagged += count
        findings.facts["bot-like visitors"] = findings.facts.get("bot-like visitors", 0) + bots.height


def add_extremes(events: pl.LazyFrame, findings: Findings) -> None:
    """Outlandish quantities, customers who buy like machines or hold a large share of all, times apart from all others.

    events: `line` and EVENT_COLUMNS."""
    bought = events.filter(pl.col("type") == EventType.PURCHASE)
    median = bought.select(pl.col("quantity").median()).collect(engine="streaming").item() or 1.0
    least = max(BULK, BULK_TIMES * median)
    bulk = (
        bought.filter(pl.col("quantity") > least)
        .group_by(who=_WHO)
        .agg(events=pl.len(), most=pl.col("quantity").max(), line=pl.col("line").min())
        .sort("events", descending=True)
        .collect(engine="streaming")
    )
    if bulk.height:
        why = f"over {least:,.0f} pieces at once, where half of all purchases have at most {median:g}; {LEAVE_OUT}"
        examples = [
            (line, f"{who}: {count:,} purchases, up to {most:,.0f} pieces")
            for who, count, most, line in bulk.iter_rows()
        ]
        _flag("outlandish_quantity", why, examples, int(bulk["events"].sum()), findings)
    busy = (
        bought.group_by(who=_WHO, day=pl.col("time") // _DAY)
        .agg(
            events=pl.len(),
            moments=pl.col("time").n_unique(),
            products=pl.col("product").n_unique(),
            line=pl.col("line").min(),
        )
        .filter((pl.col("events") > MANY_PURCHASES) & (pl.col("moments") > MANY_PURCHASES // 2))
        .sort("events", descending=True)
        .collect(engine="streaming")
    )
    if busy.height:
        why = f"over {MANY_PURCHASES} purchases of one customer on one day: a tester or a machine? {LEAVE_OUT}"
        examples = [
            (line, f"{who}: {count:,} purchases of {products:,} products on {from_micros(day * _DAY):%Y-%m-%d}")
            for who, day, count, _, products, line in busy.iter_rows()
        ]
        _flag("machine_like", why, examples, int(busy["events"].sum()), findings)
    shares = events.group_by(who=_WHO).agg(events=pl.len(), line=pl.col("line").min()).collect(engine="streaming")
    total = int(shares["events"].sum())
    large = shares.filter((pl.col("events") > SHARE * total) & (pl.col("events") >= SHARE_FROM)).sort(
        "events", descending=True
    )
    if large.height and shares.height >= SHARE_AMONG:
        why = f"one customer has over {SHARE:.0%} of all events: somebody, or a placeholder? {LEAVE_OUT}"
        examples = [(line, f"{who}: {count:,} of {total:,} events") for who, count, line in large.iter_rows()]
        _flag("large_share", why, examples, int(large["events"].sum()), findings)
    _add_early(events, findings)
    _two_cases(events, findings)


def _two_cases(events: pl.LazyFrame, findings: Findings) -> None:
    """Addresses of e-mail that differ in upper and lower case alone: one person, two customers."""
    several = (
        events.filter(pl.col("customer").str.contains("@", literal=True))
        .group_by(lower=pl.col("customer").str.to_lowercase())
        .agg(names=pl.col("customer").unique().sort(), line=pl.col("line").min())
        .filter(pl.col("names").list.len() > 1)
        .collect(engine="streaming")
    )
    if several.height:
        why = "addresses alike but for upper and lower case are two customers; --map customer=COLUMN|lower makes one"
        examples = [
            (line, ", ".join(names)) for names, line in several.select("names", "line").sort("line").iter_rows()
        ]
        _flag("customer_in_two_cases", why, examples, several.height, findings)


def _add_early(events: pl.LazyFrame, findings: Findings) -> None:
    years = (
        events.group_by(year=pl.from_epoch(pl.col("time"), time_unit="us").dt.year())
        .agg(events=pl.len())
        .sort("year")
        .collect(engine="streaming")
    )
    total = int(years["events"].sum())
    first: int | None = None
    before = 0
    counts = list(years.iter_rows())
    for (year, count), (following, _) in pairwise(counts):
        before += count
        if (before <= 0.02 * total and following - year > GAP_YEARS) or following <= 1980:
            first = following
    if first is None and counts and counts[0][0] <= 1980:
        first = counts[0][0] + 1
    if first is not None:
        limit = to_micros(datetime(first, 1, 1, tzinfo=UTC))
        rows = events.filter(pl.col("time") < limit).collect(engine="streaming").sort("line")
        examples = [
            (line, f"{from_micros(time):%Y-%m-%d}, {who}, {product}")
            for line, time, who, product in rows.select("line", "time", _WHO.alias("who"), "product")
            .head(5)
            .iter_rows()
        ]
        _flag("long_before", "lies years before all others: is the date wrong?", examples, rows.height, findings)


def _flag(kind: str, why: str, examples: list[tuple[int, str]], count: int, findings: Findings) -> None:
    findings.add(kind, "flagged", why, examples[:5], count=count)
    findings.flagged += count
