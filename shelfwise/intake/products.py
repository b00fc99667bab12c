"""Product feeds → the record: Google Merchant (CSV, TSV, XML), shop systems' exports, JSON Lines, Parquet."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from shelfwise.errors import UnreadableFile
from shelfwise.intake import moments, reading
from shelfwise.intake.cleaning import DOUBT, Cleaner
from shelfwise.intake.dates import Reading
from shelfwise.intake.exports import EXPORTS
from shelfwise.intake.feed import Feed
from shelfwise.intake.fields import SYNONYMS
from shelfwise.intake.ids import FloatIds, say_float_columns
from shelfwise.intake.images import Photos
from shelfwise.intake.mapping import plain_name, resolve
from shelfwise.intake.merging import Merged
from shelfwise.intake.moments import Moments
from shelfwise.intake.reading import Row, value_text
from shelfwise.intake.report import Findings, Progress, QualityReport
from shelfwise.intake.rules import product_problem
from shelfwise.schema import PRODUCT_COLUMNS, Status

if TYPE_CHECKING:
    from shelfwise.store import Store

__all__ = ["FORMATS", "SYNONYMS", "load_products"]
FORMATS = ("google", *EXPORTS, *reading.KINDS)
CHUNK = 10_000
_LOOKED_AT = 1_000  # rows that say whether dates need all of the file to be read
COLUMNS_TOLD = 300  # columns of a file that its report names, for choosing among them
_OF_ERRORS = frozenset(
    ("error", "errors", "message", "messages", "code", "status", "detail", "error_description", "ok")
)
PREVIEW = 10  # products whose ids a report keeps, for a look at them


def load_products(
    path: Path | str,
    store: Store,
    *,
    mapping: Mapping[str, str] | None = None,
    format: str | None = None,
    images: Path | str | None = None,
    currency: str = "",
    full: float | None = None,
    progress: Progress | None = None,
) -> QualityReport:
    """Load a product feed; the format is told by its content, or given: one of FORMATS. .gz too.

    currency: of prices that come without one (ISO 4217). full: the file is the whole catalogue: what it lacks is
    retired, unless that is more than this share of what is shown now.

    `mapping`: field → column, see `mapping.py`; fields it leaves out are found by common names, and columns no field
    takes become attributes. Columns that the file does not have keep their values; a file without titles changes known
    products only. Relative image links are looked for inside `images` (default: the feed's folder) and nowhere else; a
    broken photo is reported and its product kept without. Of several rows with one id the last is kept. Raises
    UnreadableFile, having changed nothing.
    """
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise UnreadableFile(path, f"{format!r} is no format of products; use one of {', '.join(FORMATS)}")
    findings = Findings(path.name)
    feed = Feed.opened(path, format, mapping, findings)
    cleaner = Cleaner(
        path,
        feed.header,
        feed.mapping,
        findings,
        photos=Photos(Path(images) if images is not None else path.parent),
        currency=currency,
        open_ended=feed.open_ended,
        moments=Moments(_dates_of(feed, path, format, mapping), feed.columns or feed.header),
    )
    if "id" not in cleaner.columns and {plain_name(name) for name in feed.header} <= _OF_ERRORS:
        said = next((text for _, row in feed.rows for text in map(value_text, row.values()) if text), "")
        raise UnreadableFile(path, f"holds no products but what an API says went wrong: {said[:200]}", line=1)
    if "id" not in cleaner.columns:
        raise UnreadableFile(
            path,
            f"no column holds the product's id; name it with --map id=COLUMN (columns: {', '.join(feed.header[:20])})",
            line=1,
        )
    dialect = reading.dialect_of(path, feed.kind)
    findings.facts |= {name: said for name, said in dialect.items() if findings.facts.get(name) in (None, feed.kind)}
    ids = {name: column.name for name, column in cleaner.columns.items() if name in ("id", "item_group_id")}
    say_float_columns(reading.float_columns(path, feed.kind), ids, findings)
    with tempfile.TemporaryDirectory(prefix="shelfwise-") as folder:
        spool = _Spool(Path(folder))
        for frame in _frames(feed.rows, cleaner, findings):
            spool.add(frame)
            if progress is not None:
                progress(findings.read, 0, "products: reading")
        findings.facts["columns"] = {
            name: column.name or f"={column.constant}" for name, column in sorted(cleaner.columns.items())
        }
        if len(cleaner.currencies) > 1:
            shown = [(0, f"{name}: {count:,} prices") for name, count in cleaner.currencies.most_common()]
            why = "prices are filtered and sorted as plain numbers, whatever their currency: load one currency"
            findings.add("several_currencies", "note", why, shown, count=len(shown))
        if not spool.last:
            raise UnreadableFile(path, f"has no usable row: {findings.first('dropped') or 'there are no rows'}")
        spool.close(findings)
        merged = Merged(path, store, cleaner, findings, frozenset(spool.last), full)

        def imported() -> Iterator[pl.DataFrame]:
            done = 0
            for frame in spool.frames(findings):
                judged = _judged(frame, cleaner, findings)
                kept = merged.frame(judged)
                yield kept
                done += kept.height
                if progress is not None:
                    progress(done, len(spool.last), "products: recording")

        store.import_products(imported())
        merged.finish()
        findings.facts["preview"] = spool.first
        findings.facts["header"] = (feed.columns or feed.header)[:COLUMNS_TOLD]
    return findings.report()


def _dates_of(feed: Feed, path: Path, format: str | None, mapping: Mapping[str, str] | None) -> Reading:
    """How the file's dates are written, told by all of them; the file is read once more only where that is in doubt."""
    first = list(islice(feed.rows, _LOOKED_AT))
    feed.rows = chain(first, feed.rows)
    synonyms = {field: SYNONYMS[field] for field in moments.FIELDS}
    columns = resolve(
        path, feed.header, feed.mapping, {**dict.fromkeys(feed.mapping or {}, ()), **synonyms}, open_ended=True
    )
    return moments.reading_of(
        columns, [row for _, row in first], lambda: Feed.opened(path, format, mapping, Findings(path.name)).rows
    )


def _frames(rows: Iterator[tuple[int, Row]], cleaner: Cleaner, findings: Findings) -> Iterator[pl.DataFrame]:
    """PRODUCT_COLUMNS, `line` and DOUBT of the rows that keep the rules."""
    made: list[tuple[Any, ...]] = []
    for line, row in rows:
        findings.read += 1
        if (why := cleaner.no_product(row)) != "":
            findings.add("no_product_row", "dropped", why, [(line, value_text(next(iter(row.values()), "")))])
            continue
        made.append(cleaner.product(line, row))
        if len(made) == CHUNK:
            yield _valid(made, findings)
            made = []
    if made:
        yield _valid(made, findings)


def _valid(made: list[tuple[Any, ...]], findings: Findings) -> pl.DataFrame:
    schema = {"line": pl.Int64(), **PRODUCT_COLUMNS, DOUBT: pl.String()}
    frame = pl.DataFrame(made, schema=schema, orient="row").with_columns(problem=product_problem())
    bad = frame.filter(pl.col("problem").is_not_null())
    for (problem,), rows in bad.partition_by("problem", as_dict=True, maintain_order=True).items():
        name, _, why = str(problem).partition(": ")
        kind = f"invalid_{name.partition('.')[0]}"
        shown = (name,) if name in ("price", "created") else ()
        findings.add_rows(kind, "dropped", f"{name} {why}", rows, "id", "title", *shown)
    return frame.filter(pl.col("problem").is_null()).drop("problem")


def _judged(frame: pl.DataFrame, cleaner: Cleaner, findings: Findings) -> pl.DataFrame:
    """Status words that nobody knows hide where others of the column are known; else the column says something else."""
    unknown = pl.any_horizontal(
        pl.lit(value=False), *(pl.col(DOUBT).str.contains(f"{name}: ", literal=True) for name in cleaner.understood)
    )
    doubtful = frame.filter(unknown & (pl.col("status") == Status.ACTIVE))
    if doubtful.height:
        why = 'the status is no known word; hidden. Say what is shown with --map "status=COLUMN|shown:WORD,WORD"'
        findings.add_rows("unknown_status", "flagged", why, doubtful, DOUBT, "id")
        findings.flagged += doubtful.height
        hides = unknown & (pl.col("status") == Status.ACTIVE)
        frame = frame.with_columns(status=pl.when(hides).then(pl.lit(str(Status.HIDDEN))).otherwise("status"))
    return frame.drop(DOUBT)


@dataclass(slots=True)
class _Spool:
    """Cleaned rows waiting on disk until the whole file is known to be good. last: id → the line of its last row."""

    folder: Path
    last: dict[str, int] = field(default_factory=dict)
    first: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    floats: FloatIds = field(default_factory=lambda: FloatIds(("id", "item_group_id")))

    def add(self, frame: pl.DataFrame) -> None:
        file = self.folder / f"{len(self.files):08d}.arrow"
        frame.write_ipc(file, compression="lz4")
        self.files.append(file)
        self.floats.seen(frame)
        self.last.update(frame.select("id", "line").iter_rows())

    def close(self, findings: Findings) -> None:
        self.floats.say(findings)
        if "id" in self.floats.whole():
            self.last = {name.removesuffix(".0"): line for name, line in self.last.items()}
        self.first = list(self.last)[:PREVIEW]

    def frames(self, findings: Findings) -> Iterator[pl.DataFrame]:
        """PRODUCT_COLUMNS, line and DOUBT, of each id its last row."""
        for file in self.files:
            frame = self.floats.mend(pl.read_ipc(file), field="id")
            newest = pl.Series([self.last[name] for name in frame["id"]], dtype=pl.Int64)
            again = frame["line"] != newest
            if again.any():
                why = "a later row has the same id; the last one is kept"
                findings.add_rows("duplicate_id", "dropped", why, frame.filter(again), "id", "title")
                frame = frame.filter(~again)
            yield frame
