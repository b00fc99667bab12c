"""Event logs → the record: GA4's BigQuery export, or any table of who, what, when."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from shelfwise.errors import UnreadableFile
from shelfwise.intake import columns, ga4, reading
from shelfwise.intake.ids import FloatIds, say_float_columns
from shelfwise.intake.mapping import Column, resolve
from shelfwise.intake.report import Findings, Progress, QualityReport
from shelfwise.intake.rules import event_problem
from shelfwise.schema import EVENT_COLUMNS, EventType

if TYPE_CHECKING:
    from shelfwise.store import Store

FORMATS = ("ga4", "csv", "tsv", "jsonl", "parquet")
#: Per field, what columns are commonly called (as `plain_name` writes them), the likeliest first.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "id": ("event_id", "id", "uuid", "insert_id"),
    "type": ("type", "event_type", "event_name", "event", "action", "behavior", "behaviour", "interaction"),
    "time": (
        "time", "timestamp", "ts", "event_time", "event_timestamp", "datetime", "date", "created_at", "created",
        "invoice_date", "order_date", "transaction_timestamp", "unix_time",
    ),
    "customer": (
        "customer", "customer_id", "user", "user_id", "userid", "visitorid", "visitor_id", "household_id", "member_id",
        "client_id", "customer_number", "reviewer_id", "uid",
    ),
    "session": ("session", "session_id", "sessionid", "user_session", "visit_id", "anonymous_id", "user_pseudo_id"),
    "product": (
        "product", "product_id", "productid", "item", "item_id", "itemid", "sku", "article_id", "stock_code", "asin",
        "parent_asin", "content_id",
    ),
    "quantity": ("quantity", "qty", "count", "units", "pieces"),
    "price": ("price", "unit_price", "item_price"),
    "value": ("value", "rating", "stars", "score"),
    "query": ("query", "search_term", "search_query", "q", "keyword", "keywords"),
    "request_id": ("request_id", "transaction_id", "transactionid", "order_id", "invoice_no", "basket_id", "order"),
}  # fmt: skip

_TEXTS = ("id", "customer", "session", "product", "query", "request_id")
_PARTITION = 4_000_000  # rows whose keys are compared at once
MANY_A_MINUTE = 120  # moments (distinct times) of one visitor within one minute above which no person is behind them
MANY_A_DAY = 5_000
LARGE_QUANTITY = 10_000.0
LARGE_PRICE = 1e6
_BROWSING = [str(kind) for kind in EventType if kind not in (EventType.PURCHASE, EventType.RATE)]


def load_events(
    path: Path | str,
    store: Store,
    *,
    mapping: Mapping[str, str] | None = None,
    usual: Mapping[str, str] | None = None,
    format: str | None = None,
    progress: Progress | None = None,
) -> QualityReport:
    """Load an event log: GA4's BigQuery export (JSON Lines), CSV, TSV, JSON Lines or Parquet; .gz too.

    `mapping`: field → column, see `mapping.py`; fields it leaves out are found in `usual`, a mapping that GA4's export
    needs none of, then by common names. Without a column for
    the type, rows are purchases when they have a quantity or a price, else views. An event without an id gets one made
    of its contents and of its number among identical rows, so loading a file twice adds nothing; GA4's identical rows
    (same visitor, microsecond and item) were sent twice and are dropped. Rows against the rules of schema.py are
    dropped and reported. Streams: memory does not grow with the file. Raises UnreadableFile, having changed nothing.
    """
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise UnreadableFile(path, f"{format!r} is no format of events; use one of {', '.join(FORMATS)}")
    kind = format or reading.sniff(path)
    if format is None and kind == "jsonl" and mapping is None and ga4.is_export(path):
        kind = "ga4"
    mapping = {**(usual or {}), **(mapping or {})} or None
    if kind == "xml":
        raise UnreadableFile(path, "is XML; event logs are CSV, JSON Lines or Parquet")
    findings = Findings(path.name)
    findings.facts["format"] = kind
    frames = ga4.frames(path, findings) if kind == "ga4" else _table_frames(path, kind, mapping, findings)
    with tempfile.TemporaryDirectory(prefix="shelfwise-") as folder:
        spool = _Spool(Path(folder))
        floats = FloatIds(("customer", "session", "product"))
        for frame in frames:
            spool.add(valid := _valid(frame, findings))
            floats.seen(valid)
            if progress is not None:
                progress(findings.read, 0, "events: reading")
        if not spool.rows:
            reason = findings.first("dropped") or "there are no rows"
            raise UnreadableFile(path, f"has no usable row: {reason}")
        floats.say(findings)
        known = frozenset(store.product_ids())
        _flag_bots(spool, findings)

        def imported() -> Iterator[pl.DataFrame]:
            done = 0
            for frame in _numbered(spool, findings, drop_repeats=kind == "ga4"):
                yield floats.mend(frame, known)
                done += frame.height
                if progress is not None:
                    progress(done, spool.rows, "events: recording")

        appended = store.import_events(imported())
    findings.add("already_recorded", "dropped", "the record has this event already", count=appended.duplicates)
    findings.facts["types"] = dict(spool.types)
    return findings.report()


def _table_frames(
    path: Path, kind: str, mapping: Mapping[str, str] | None, findings: Findings
) -> Iterator[pl.DataFrame]:
    header = reading.header_of(path, kind)
    found = resolve(path, header, mapping, SYNONYMS, open_ended=kind == "jsonl")
    for field, fields in (("time", ("time",)), ("who", ("customer", "session")), ("what", ("product", "query"))):
        if not any(name in found for name in fields):
            raise UnreadableFile(
                path,
                f"no column tells {field}; name one with --map {fields[0]}=COLUMN (columns: {', '.join(header[:20])})",
                line=1,
            )
    if "type" not in found:
        bought = "quantity" in found or "price" in found
        found["type"] = Column(constant=str(EventType.PURCHASE if bought else EventType.VIEW_ITEM))
        findings.facts["type of every row"] = found["type"].constant
    findings.facts |= reading.dialect_of(path, kind)
    findings.facts["columns"] = {field: column.name or f"={column.constant}" for field, column in found.items()}
    ids = {field: column.name for field, column in found.items() if field in ("customer", "session", "product")}
    say_float_columns(reading.float_columns(path, kind), ids, findings)
    names = list(dict.fromkeys(column.name for column in found.values() if column.name))
    for texts in reading.text_frames(path, kind, names):
        findings.read += texts.height
        yield _events_of(texts, found, findings)


def _events_of(texts: pl.DataFrame, found: Mapping[str, Column], findings: Findings) -> pl.DataFrame:
    """Texts → EVENT_COLUMNS, `line` and `doubt` (kept, but flagged). Only rows of a known event type come back."""

    def text(field: str) -> pl.Series:
        column = found.get(field)
        if column is None or column.constant is not None:
            value = "" if column is None or column.constant is None else column.constant
            return pl.repeat(value, texts.height, dtype=pl.String, eager=True)
        return texts[column.name]

    kinds = columns.types(text("type"))
    other = kinds.is_null()
    if other.any():
        shown = texts.select("line").with_columns(type=text("type")).filter(other)
        findings.add_rows("other_event", "dropped", "is no e-commerce event", shown, "type")
    made = {"line": texts["line"], "type": kinds}
    for field in _TEXTS:
        if field == "query":
            made[field] = columns.words(text(field))
        else:
            made[field] = columns.ids(text(field), found.get(field, Column()).rule)
    when = found["time"]
    made["time"] = columns.times(text("time"), when.format)
    unreadable: dict[str, pl.Series] = {}
    for field in ("quantity", "price", "value"):
        column = found.get(field, Column())
        made[field], unreadable[field] = columns.numbers(text(field), money=field == "price", divide=column.divide)
    empty = made["quantity"].is_null() & ~unreadable["quantity"]
    made["quantity"] = made["quantity"].set(empty, 1.0)
    for field in ("price", "value"):
        if unreadable[field].any():
            shown = pl.DataFrame({"line": texts["line"], field: text(field)}).filter(unreadable[field])
            findings.add_rows(f"unreadable_{field}", "mended", f"the {field} is no number; left out", shown, field)
    return pl.DataFrame(made).filter(~other)


def _valid(frame: pl.DataFrame, findings: Findings) -> pl.DataFrame:
    """The rows that keep the rules, with a doubt flag and a stable id where they had none."""
    judged = frame.with_columns(problem=event_problem())
    bad = judged.filter(pl.col("problem").is_not_null())
    for (problem,), rows in bad.partition_by("problem", as_dict=True, maintain_order=True).items():
        field, _, why = str(problem).partition(": ")
        findings.add_rows(
            f"invalid_{field}", "dropped", f"{field} {why}", rows, "type", "time", "customer", "session", "product"
        )
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
    own = good["id"] != ""
    if not own.all():
        contents = good.select(
            pl.concat_str(
                *(pl.col(name) for name in ("type", "customer", "session", "product", "query", "request_id")),
                pl.col("time").cast(pl.String),
                *(
                    (pl.col(name) * 1e6).round().cast(pl.Int64, strict=False).cast(pl.String).fill_null("")
                    for name in ("quantity", "price", "value")
                ),
                *((pl.col("place").cast(pl.String),) if "place" in good.columns else ()),
                separator="\x1f",
            )
        ).to_series()
        made = [hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for text in contents]
        good = good.with_columns(id=pl.when(pl.col("id") == "").then(pl.Series(made, dtype=pl.String)).otherwise("id"))
    return good.select("line", pl.lit(own).alias("own"), *(pl.col(n).cast(t) for n, t in EVENT_COLUMNS.items()))


class _Spool:
    """Cleaned rows waiting on disk until the whole file is known to be good."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = 0
        self.types: Counter[str] = Counter()
        self._files: list[Path] = []

    def add(self, frame: pl.DataFrame) -> None:
        if frame.is_empty():
            return
        file = self.folder / f"{len(self._files):08d}.arrow"
        frame.with_columns(key=pl.col("id").hash()).write_ipc(file, compression="lz4")
        self._files.append(file)
        self.rows += frame.height
        self.types.update(dict(frame["type"].value_counts().iter_rows()))

    def frames(self) -> Iterator[pl.DataFrame]:
        for file in self._files:
            yield pl.read_ipc(file)

    def scan(self) -> pl.LazyFrame:
        return pl.scan_ipc(self._files)

    def repeated_keys(self) -> pl.Series:
        """Hashes of ids that stand more than once, found part by part so that memory stays bounded."""
        parts = max(1, -(-self.rows // _PARTITION))
        found = [
            self.scan()
            .select("key")
            .filter(pl.col("key") % parts == part)
            .group_by("key")
            .len()
            .filter(pl.col("len") > 1)
            .select("key")
            .collect(engine="streaming")["key"]
            for part in range(parts)
        ]
        return pl.concat(found)


def _numbered(spool: _Spool, findings: Findings, *, drop_repeats: bool) -> Iterator[pl.DataFrame]:
    """EVENT_COLUMNS with ids unique within the file: identical rows without an id of their own get their number at the
    end of it, or are dropped; a row whose own id stood before is dropped."""
    repeated = spool.repeated_keys()
    seen: Counter[str] = Counter()
    for frame in spool.frames():
        if len(repeated):
            again = frame["key"].is_in(repeated.implode())
            if again.any():
                frame = _resolve_repeats(frame, again, seen, findings, drop_repeats=drop_repeats)
        yield frame.select(*EVENT_COLUMNS)


def _resolve_repeats(
    frame: pl.DataFrame, again: pl.Series, seen: Counter[str], findings: Findings, *, drop_repeats: bool
) -> pl.DataFrame:
    numbers = []
    for name in frame["id"].filter(again):
        numbers.append(seen[name])
        seen[name] += 1
    places = again.arg_true()
    number = pl.repeat(0, frame.height, dtype=pl.Int64, eager=True).scatter(places, pl.Series(numbers, dtype=pl.Int64))
    frame = frame.with_columns(number=number)
    copies = frame.filter(pl.col("number") > 0)
    shown = ("type", "customer", "session", "product", "id")
    own = copies.filter("own")
    findings.add_rows("duplicate_id", "dropped", "an earlier row of the file has this id", own, *shown)
    same = copies.filter(~pl.col("own"))
    if drop_repeats:
        findings.add_rows("sent_twice", "dropped", "identical to an earlier row to the microsecond", same, *shown)
        return frame.filter(pl.col("number") == 0)
    findings.add_rows("identical_row", "flagged", "identical to an earlier row; kept as a repeat", same, *shown)
    findings.flagged += same.height
    return frame.filter(~(pl.col("own") & (pl.col("number") > 0))).with_columns(
        id=pl.when(pl.col("number") > 0).then(pl.format("{}-{}", "id", "number")).otherwise("id")
    )


def bot_like(events: pl.LazyFrame) -> pl.DataFrame:
    """who, moments, peak (the busiest minute's moments), first (line): visitors no person can be, by browsing alone:
    a purchase of a hundred products is one moment."""
    who = pl.when(pl.col("customer") != "").then("customer").otherwise("session")
    minute = 60_000_000
    per_minute = (
        events.filter(pl.col("type").is_in(_BROWSING))
        .group_by(who=who, minute=pl.col("time") // minute)
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


BOT_REASON = f"browses faster than people do: over {MANY_A_MINUTE} moments a minute or {MANY_A_DAY:,} a day"


def _flag_bots(spool: _Spool, findings: Findings) -> None:
    parts = max(1, -(-spool.rows // _PARTITION))
    who = pl.when(pl.col("customer") != "").then("customer").otherwise("session")
    for part in range(parts):
        bots = bot_like(spool.scan().filter(who.hash() % parts == part))
        add_bots(bots, findings)


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
