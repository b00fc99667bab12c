"""Event logs → the record: GA4's BigQuery export, or any table of who, what, when."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from shelfwise.errors import UnreadableFile
from shelfwise.intake import (
    columns,
    dates,
    event_fields,
    event_ids,
    ga4,
    headings,
    lists,
    matomo,
    nested,
    orders,
    reading,
)
from shelfwise.intake.event_fields import SYNONYMS
from shelfwise.intake.extremes import LARGE_PRICE, LARGE_QUANTITY, add_bots, add_extremes, bot_like
from shelfwise.intake.ids import FloatIds, say_float_columns
from shelfwise.intake.mapping import Column, plain_name, resolve
from shelfwise.intake.report import Findings, Progress, QualityReport
from shelfwise.intake.rules import event_problem
from shelfwise.intake.spool import PARTITION, Spool
from shelfwise.schema import EventType

if TYPE_CHECKING:
    from shelfwise.store import Store

__all__ = ["FORMATS", "SYNONYMS", "load_events"]
FORMATS = ("ga4", "csv", "tsv", "jsonl", "parquet")

_TEXTS = ("id", "customer", "session", "product", "query", "request_id")
_SAMPLE = 1_000  # rows that say whether the dates of a table need a whole look
_PURCHASE = str(EventType.PURCHASE)
_YES = frozenset({"true", "yes", "y", "t", "ja", "oui", "wahr", "vrai"})
_RETURNS = frozenset({"return_date", "returned_at", "refund_date", "refunded_at", "retourdatum"})


def load_events(
    path: Path | str,
    store: Store,
    *,
    mapping: Mapping[str, str] | None = None,
    usual: Mapping[str, str] | None = None,
    format: str | None = None,
    named: Sequence[str] = (),
    nobodies: Sequence[str] = (),
    not_products: Sequence[str] = (),
    progress: Progress | None = None,
) -> QualityReport:
    """Load an event log: GA4's BigQuery export, CSV, TSV, JSON Lines (nested too) or Parquet; .gz too.

    `mapping`: field → column, see `mapping.py`; fields it leaves out are found in `usual`, a mapping that GA4's export
    needs none of, then by common names. `named`: the fields of a table without headings, in order, "-" for none.
    `nobodies`: more ids that stand for no customer. `not_products`: patterns of ids that are no products.

    Without a column for the type, rows are purchases when they have a quantity or a price, ratings when they have
    stars, else views. A record with a list of products is one event each. An event without an id gets one made of
    its contents and of its number among identical rows, so loading a file twice adds nothing; a purchase with an
    order gets one made of order and product, so an order sent again, at whatever time, adds nothing either. Negative
    quantities and orders given back become refunds. Rows against the rules of schema.py are dropped and reported.
    Streams: memory does not grow with the file. Raises UnreadableFile, having changed nothing.
    """
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise UnreadableFile(path, f"{format!r} is no format of events; use one of {', '.join(FORMATS)}")
    kind = format or reading.sniff(path)
    if format is None and kind in ("jsonl", "parquet") and mapping is None and ga4.is_export(path, kind):
        kind = "ga4" if kind == "jsonl" else "ga4 parquet"
    mapping = {**(usual or {}), **(mapping or {})} or None
    if kind == "xml":
        raise UnreadableFile(path, "is XML; event logs are CSV, JSON Lines or Parquet")
    findings = Findings(path.name)
    findings.facts["format"] = kind
    with tempfile.TemporaryDirectory(prefix="shelfwise-") as folder:
        known = frozenset(store.product_ids())
        frames = _frames(path, kind, mapping, named, Path(folder), known, findings)
        spool = Spool(Path(folder))
        strangers = bool(known)  # no event's product is in the catalogue
        floats = FloatIds(("customer", "session", "product"))
        for frame in frames:
            frame = orders.somebody(frame, nobodies, findings)
            frame = lists.lists_as_ids(frame, known, findings)
            frame = orders.products_only(frame, frame["name"], known, not_products, findings)
            spool.add(valid := _valid(frame, findings))
            strangers = strangers and not valid["product"].is_in(list(known)).any()
            floats.seen(valid)
            if progress is not None:
                progress(findings.read, 0, "events: reading")
        if not spool.rows:
            reason = findings.first("dropped") or "there are no rows"
            raise UnreadableFile(path, f"has no usable row: {reason}")
        floats.say(findings)
        if strangers and not floats.whole():
            found = spool.scan().filter(pl.col("product") != "").select("line", "product").head(5).collect()
            why = (
                "no event's product is in the catalogue: kept, and says nothing; `shelfwise check` seeks what mends it"
            )
            if found.height:
                findings.add("all_unknown", "note", why, found.rows(), count=spool.rows)
        _flag_bots(spool, findings)
        add_extremes(spool.scan(), findings)

        def imported() -> Iterator[pl.DataFrame]:
            done = 0
            placed = kind.startswith("ga4") or "lists" in findings.facts
            live = not spool.begins_anew() and store.newest_sequence() > 0
            for frame in spool.numbered(findings, drop_repeats=placed):
                frame = (event_ids.not_there(frame, store, findings) if live else frame).drop("sent", "line")
                yield floats.mend(frame, known, findings=findings)
                done += frame.height
                if progress is not None:
                    progress(done, spool.rows, "events: recording")

        appended = store.import_events(imported())
    findings.add("already_recorded", "dropped", "the record has this event already", count=appended.duplicates)
    findings.facts["types"] = dict(spool.types)
    return findings.report()


def _frames(
    path: Path,
    kind: str,
    mapping: Mapping[str, str] | None,
    named: Sequence[str],
    folder: Path,
    known: Collection[str],
    findings: Findings,
) -> Iterator[pl.DataFrame]:
    """EVENT_COLUMNS, `line`, `name` and where a record holds several products `place`, not yet checked."""
    if kind.startswith("ga4"):
        for frame in ga4.frames(path, kind.removeprefix("ga4 ").replace("ga4", "jsonl"), findings):
            yield orders.settled(frame.with_columns(name=pl.lit("")), pl.repeat("", frame.height, eager=True), findings)
    elif nested.is_nested(path, kind):
        when = _dates_of_lists(path, kind, mapping, known)
        for texts, columns in nested.frames(path, kind, mapping, SYNONYMS, known, findings):
            columns, texts = _typed_lists(columns, texts, findings)
            yield _events_of(texts, columns, findings, when)
    else:
        shift = 0
        if kind in ("csv", "tsv") and (named or headings.double_colons(path)):
            whole = headings.with_headings(path, kind, _named(path, named), folder)
            if not named and headings.seems_data(reading.header_of(whole, "csv")):
                raise _headless(path, whole, "csv")
            path, kind, shift = whole, "csv", 1 if named else 0
        yield from _table_frames(path, kind, mapping, findings, shift, known)


def _named(path: Path, named: Sequence[str]) -> list[str]:
    names = [name.strip() for name in named]
    for name in names:
        if name not in ("-", "") and name not in SYNONYMS:
            raise UnreadableFile(path, f"--columns names {name!r}; its words are {', '.join(SYNONYMS)} and - for none")
    return [f"column {place}" if name in ("-", "") else name for place, name in enumerate(names, 1)]


def _headless(path: Path, table: Path, kind: str) -> UnreadableFile:
    shown = ", ".join(reading.header_of(table, kind))[:80]
    return UnreadableFile(
        path,
        f"has no headings: its first line is data ({shown}). Name the columns in order, - for none: "
        f"{headings.proposal(table, kind)}",
        line=1,
    )


def _table_frames(
    path: Path,
    kind: str,
    mapping: Mapping[str, str] | None,
    findings: Findings,
    shift: int,
    known: Collection[str],
) -> Iterator[pl.DataFrame]:
    header = reading.header_of(path, kind)
    if kind in ("csv", "tsv") and not mapping and headings.seems_data(header):
        raise _headless(path, path, kind)
    if matomo.is_table(header):
        problem = "is Matomo's list of visits as a table; export it as JSON (Live.getLastVisitsDetails, format=JSON)"
        raise UnreadableFile(path, problem, line=1)
    if not mapping and event_fields.are_orders_alone(header):
        problem = "lists orders and not what was ordered; export their lines, one row for each product of an order"
        raise UnreadableFile(path, problem, line=1)
    columns = resolve(path, header, mapping, SYNONYMS, open_ended=kind == "jsonl")
    if "request_id" not in columns and not (mapping and "request_id" in mapping):
        event_fields.order_by_name(header, columns)
    whose = ("customer", "session", "request_id")  # an order without a customer is a visit of its own
    for field, fields in (("time", ("time",)), ("who", whose), ("what", ("product", "query"))):
        if not any(name in columns for name in fields):
            raise UnreadableFile(
                path,
                f"no column tells {field}; name one with --map {fields[0]}=COLUMN (columns: {', '.join(header[:20])})",
                line=1,
            )
    event_fields.order_by_id(path, kind, mapping, columns, findings)
    if not (mapping and "product" in mapping) and "product" in columns and known:
        columns["product"] = event_fields.known_best(path, kind, header, columns, known)
    parents = event_fields.lines_of_lines(header)
    if parents and columns.get("product") == Column(parents[1]) and not (mapping and "product" in mapping):
        columns["product"] = Column(next(name for name in header if plain_name(name) == "sku"))  # item_id is the line's
    clock = "" if mapping and "time" in mapping else event_fields.clock_beside(path, kind, header, columns)
    columns = _typed(columns, None, findings)
    findings.facts |= reading.dialect_of(path, kind)
    findings.facts["columns"] = {field: column.name or f"={column.constant}" for field, column in columns.items()}
    ids = {field: column.name for field, column in columns.items() if field in ("customer", "session", "product")}
    say_float_columns(reading.float_columns(path, kind), ids, findings)
    when = _dates_of(path, kind, columns["time"], findings)
    named = [column.name for column in columns.values() if column.name]
    names = list(dict.fromkeys([*named, clock] if clock else named))
    order = columns["request_id"].name if "request_id" in columns else ""
    carried = [
        column.name
        for field, column in columns.items()
        if field in ("time", "customer", "status", "cancelled") and column.name and column.name != order
    ]
    last: dict[str, str] = {}
    listed = columns["product"].name if "product" in columns else ""
    beside = [columns[field].name for field in ("quantity", "price") if field in columns and columns[field].name]
    for texts in reading.text_frames(path, kind, list(dict.fromkeys([*names, *parents]))):
        findings.read += texts.height
        if shift:
            texts = texts.with_columns(pl.col("line") - shift)
        if clock:
            day = columns["time"].name
            both = pl.when(pl.col(day) == "").then(pl.lit("")).otherwise(pl.concat_str(day, clock, separator=" "))
            texts = texts.with_columns(both.str.strip_chars().alias(day))
        if order:
            texts = orders.filled_down(texts, order, carried, last)
        if parents:
            texts = orders.without_children(texts, parents[0], parents[1], findings).select("line", *names)
        if listed:
            texts = lists.expanded(texts, listed, beside, known, findings)
        yield _events_of(texts, columns, findings, when)


def _typed_lists(
    columns: dict[str, Column], texts: pl.DataFrame, findings: Findings
) -> tuple[dict[str, Column], pl.DataFrame]:
    """The same of records with lists, whose refunds have a type where nothing else has."""
    said = set(texts["type"].unique().to_list()) if "type" in texts.columns else set()
    if said != {"", nested.REFUND}:
        return _typed(columns, texts, findings), texts
    others = _typed(columns, texts.with_columns(type=pl.lit("")), findings)["type"].constant
    filled = pl.when(pl.col("type") == "").then(pl.lit(others)).otherwise("type")
    return columns, texts.with_columns(type=filled)


def _typed(columns: dict[str, Column], texts: pl.DataFrame | None, findings: Findings) -> dict[str, Column]:
    """With a type for every row where no column has one."""
    there = {field for field, column in columns.items() if column.name or column.constant}
    if texts is not None:
        there = {field for field in there if field in texts.columns and (texts[field] != "").any()}
    if "type" in there:
        return columns
    bought = there & {"quantity", "price", "request_id"} if texts is not None else there & {"quantity", "price"}
    given_back = plain_name(columns["time"].name) in _RETURNS if "time" in columns else False
    kind = EventType.PURCHASE if bought else EventType.RATE if "value" in there else EventType.VIEW_ITEM
    kind = EventType.REFUND if given_back else kind
    findings.facts["type of every row"] = str(kind)
    return {**columns, "type": Column(constant=str(kind))}


def _dates_of(path: Path, kind: str, column: Column, findings: Findings) -> dates.Reading:
    """How the column of times is written, by all its values where the first need a look. Raises UnreadableFile."""
    if column.format or column.constant is not None:
        return dates.Reading()
    whole = reading.text_frames(path, kind, [column.name])
    first = next(whole, None)
    if first is None:
        return dates.Reading()
    sample = first[column.name].head(_SAMPLE)
    if not (columns.times(sample).is_null() & (sample.str.strip_chars() != "")).any():
        return dates.Reading()
    rest = (texts[column.name].unique().to_list() for texts in whole)
    order = dates.order_of(dates.distinct(_chain(first[column.name].to_list(), rest)))
    if problem := dates.doubtful(order, column.name):
        raise UnreadableFile(path, f"the dates cannot be read without doubt: {problem}", column=column.name)
    if order.count:
        says = "day" if order.day_first else "month"
        findings.facts["dates"] = f"the {says} first" + (f", as {order.example!r} says" if order.example else "")
    elif order.serials:
        findings.facts["dates"] = "Excel's serial numbers, days since 1899-12-30"
    return order


def _dates_of_lists(path: Path, kind: str, mapping: Mapping[str, str] | None, known: Collection[str]) -> dates.Reading:
    """The same of records with lists. Raises UnreadableFile."""
    if mapping and ("|" in mapping.get("time", "") or mapping.get("time", "").startswith("=")):
        return dates.Reading()

    def written() -> Iterator[list[str]]:
        for texts, _ in nested.frames(path, kind, mapping, SYNONYMS, known, Findings(path.name)):
            yield texts["time"].unique().to_list()

    for values in written():
        sample = pl.Series(values[:_SAMPLE], dtype=pl.String)
        if not (columns.times(sample).is_null() & (sample.str.strip_chars() != "")).any():
            return dates.Reading(True)
        break
    order = dates.order_of(dates.distinct(written()))
    if problem := dates.doubtful(order, "time"):
        raise UnreadableFile(path, f"the dates cannot be read without doubt: {problem}")
    return order


def _chain(first: list[str], rest: Iterator[list[str]]) -> Iterator[list[str]]:
    yield first
    yield from rest


def _events_of(
    texts: pl.DataFrame, known: Mapping[str, Column], findings: Findings, when: dates.Reading
) -> pl.DataFrame:
    """Texts → EVENT_COLUMNS, `line`, `name`, `written` (the time's text) and `place` where it has one; only rows of a
    known event type."""

    def text(field: str) -> pl.Series:
        column = known.get(field)
        if column is None or column.constant is not None or not column.name:
            value = "" if column is None or column.constant is None else column.constant
            return pl.repeat(value, texts.height, dtype=pl.String, eager=True)
        return texts[column.name]

    kinds = columns.types(text("type"), known.get("type", Column()).codes)
    other = kinds.is_null()
    if other.any():
        shown = texts.select("line").with_columns(type=text("type")).filter(other)
        coded = shown["type"].str.contains(r"^\s*\w{1,2}\s*$").any()
        hint = f'; say what codes mean with --map "type={known["type"].name}|1:view_item,2:purchase"' if coded else ""
        findings.add_rows("other_event", "dropped", f"is no e-commerce event{hint}", shown, "type")
    tests = text("test").str.to_lowercase().is_in(list(_YES)) & kinds.is_in([_PURCHASE, nested.REFUND])
    if tests.any():
        shown = texts.select("line").with_columns(order=text("request_id"), product=text("product")).filter(tests)
        findings.add_rows("test_order", "dropped", "its shop calls the order a test", shown, "order", "product")
        other |= tests.fill_null(value=False)
    made = {"line": texts["line"], "type": kinds, "written": text("time"), "name": text("name")}
    if "place" in texts.columns:
        made["place"] = texts["place"]
    for field in _TEXTS:
        if field == "query":
            made[field] = columns.words(text(field))
        else:
            made[field] = columns.ids(text(field), known.get(field, Column()).rule)
    made["time"] = columns.times(text("time"), known["time"].format, when)
    unreadable: dict[str, pl.Series] = {}
    for field in ("quantity", "price", "value"):
        column = known.get(field, Column())
        texts_ = text(field) if field == "price" else columns.counted(text(field))
        made[field], unreadable[field] = columns.numbers(texts_, money=field == "price", divide=column.divide)
    empty = made["quantity"].is_null() & ~unreadable["quantity"]
    made["quantity"] = made["quantity"].set(empty, 1.0)
    for field in ("price", "value"):
        if unreadable[field].any():
            shown = pl.DataFrame({"line": texts["line"], field: text(field)}).filter(unreadable[field])
            findings.add_rows(f"unreadable_{field}", "mended", f"the {field} is no number; left out", shown, field)
    gone = text("cancelled").str.strip_chars().str.to_lowercase()
    cancelled = ~gone.is_in(["", "0", "false", "no", "n", "null", "none"])
    frame = pl.DataFrame(made).with_columns(status_=text("status"), gone_=cancelled).filter(~other)
    frame = frame.with_columns(status_=pl.when("gone_").then(pl.lit("cancelled")).otherwise("status_")).drop("gone_")
    made_of_order = known.get("request_id", Column()).name
    if plain_name(made_of_order) == "amazon_order_id":  # whose prices are of all pieces together
        frame = frame.with_columns(price=pl.col("price") / pl.col("quantity"))
    if "place" in texts.columns:  # several events of one record share its id
        frame = frame.with_columns(
            id=pl.when((pl.col("id") != "") & (pl.col("place") > 0))
            .then(pl.format("{}-{}", "id", "place"))
            .otherwise("id")
        )
    frame = _with_returns(frame, text("returned").filter(~other), findings)
    ordered = (pl.col("type") == _PURCHASE) & (pl.col("request_id") != "") & (pl.col("product") != "")
    if plain_name(made_of_order) == "request_id" and "place" not in texts.columns:
        ordered = pl.lit(value=False)
    frame = frame.with_columns(ordered=ordered)
    return orders.settled(frame.drop("status_"), frame["status_"], findings)


def _with_returns(frame: pl.DataFrame, texts: pl.Series, findings: Findings) -> pl.DataFrame:
    """Beside each line of an order a refund of the pieces that its column says came back."""
    pieces, _ = columns.numbers(texts)
    counted = frame.with_columns(pieces=pieces)
    back = counted.filter((pl.col("type") == _PURCHASE) & (pl.col("pieces") > 0))
    back = back.filter(~pl.col("status_").str.to_lowercase().is_in(list(orders.GIVEN_BACK)))
    if not back.height:
        return frame
    why = "pieces of an order's line came back: a refund of this many; what it takes back counts for nothing"
    findings.add_rows("returned_pieces", "mended", why, back, "product", "pieces", "request_id")
    findings.read += back.height
    refund = back.with_columns(type=pl.lit(nested.REFUND), quantity=pl.col("pieces"), id=pl.lit(""))
    return pl.concat([frame, refund.drop("pieces")])


def _valid(frame: pl.DataFrame, findings: Findings) -> pl.DataFrame:
    """The rows that keep the rules, with a stable id where they had none."""
    for name, empty in (("written", ""), ("ordered", False)):
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit(empty).alias(name))
    judged = frame.with_columns(problem=event_problem())
    bad = judged.filter(pl.col("problem").is_not_null())
    for (problem,), rows in bad.partition_by("problem", as_dict=True, maintain_order=True).items():
        field, _, why = str(problem).partition(": ")
        shown = ("type", "written" if field == "time" else "time", "customer", "session", "product")
        findings.add_rows(f"invalid_{field}", "dropped", f"{field} {why}", rows, *shown)
    good = judged.filter(pl.col("problem").is_null()).drop("problem")
    doubts = {
        "impossible_quantity": (pl.col("quantity") > LARGE_QUANTITY, f"over {LARGE_QUANTITY:,.0f} pieces in one event"),
        "impossible_price": (pl.col("price") > LARGE_PRICE, f"a price over {LARGE_PRICE:,.0f}"),
    }
    for kind, (condition, why) in doubts.items():
        findings.add_rows(
            kind, "flagged", why, good.filter(condition), "customer", "session", "product", "quantity", "price"
        )
    findings.flagged += good.filter(pl.any_horizontal(condition for condition, _ in doubts.values())).height
    return event_ids.made(good)


def _flag_bots(spool: Spool, findings: Findings) -> None:
    parts = max(1, -(-spool.rows // PARTITION))
    who = pl.when(pl.col("customer") != "").then("customer").otherwise("session")
    for part in range(parts):
        add_bots(bot_like(spool.scan().filter(who.hash() % parts == part)), findings)
