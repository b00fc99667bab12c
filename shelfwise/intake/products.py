"""Product feeds → the record: Google Merchant (CSV, TSV, XML), Shopify CSV, JSON Lines, Parquet."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl

from shelfwise import schema
from shelfwise.errors import UnreadableFile
from shelfwise.intake import icecat, markup, reading, shopify
from shelfwise.intake.ids import FloatIds, changed, is_damaged_gtin, say_float_columns
from shelfwise.intake.images import Photos
from shelfwise.intake.mapping import Column, plain_name, resolve
from shelfwise.intake.reading import Row, value_text
from shelfwise.intake.report import Findings, Progress, QualityReport
from shelfwise.intake.rules import product_problem
from shelfwise.intake.values import (
    clean_path,
    clean_text,
    normalise_unit,
    parse_availability,
    parse_money,
    parse_time,
)
from shelfwise.schema import MAX_ATTRIBUTES, MAX_ID, MAX_TEXT, MAX_TITLE, PRODUCT_COLUMNS, Availability

if TYPE_CHECKING:
    from shelfwise.store import Store

FORMATS = ("google", "shopify", *reading.KINDS)
CHUNK = 10_000
SYNONYMS: dict[str, tuple[str, ...]] = {
    "id": (
        "id",
        "product_id",
        "item_id",
        "sku",
        "variant_id",
        "article_id",
        "stock_code",
        "asin",
        "parent_asin",
        "code",
    ),
    "title": ("title", "name", "product_name", "product_title", "item_name"),
    "description": (
        "description",
        "desc",
        "short_description",
        "long_description",
        "body",
        "body_html",
        "content",
        "summary",
    ),
    "brand": ("brand", "brand_name", "manufacturer", "vendor", "supplier", "maker", "store"),
    "product_type": ("product_type", "category", "categories", "category_path", "google_product_category", "type"),
    "price": ("price", "unit_price", "regular_price", "list_price", "sale_price", "current_price"),
    "currency": ("currency", "currency_code", "price_currency"),
    "availability": ("availability", "stock_status", "in_stock", "available"),
    "image_link": ("image_link", "image", "image_url", "img", "img_url", "image_src", "picture", "photo", "thumbnail"),
    "link": ("link", "url", "product_url", "permalink"),
    "item_group_id": ("item_group_id", "parent_id", "group_id", "parent_sku"),
    "gtin": ("gtin", "ean", "upc", "barcode", "isbn", "gtin13"),
    "mpn": ("mpn", "manufacturer_part_number", "part_number"),
    "created": ("created", "created_at", "date_added", "date_released", "release_date", "published_at"),
}
#: Attributes that hold a measure, whose unit is written one way.
_MEASURES = ("size", "weight", "volume", "length", "width", "height", "measure", "dimension", "capacity", "package")
_LIMITS = {"title": MAX_TITLE, "description": MAX_TEXT, **dict.fromkeys(("brand", "product_type"), MAX_TITLE)}


def load_products(
    path: Path | str,
    store: Store,
    *,
    mapping: Mapping[str, str] | None = None,
    format: str | None = None,
    images: Path | str | None = None,
    currency: str = "",
    progress: Progress | None = None,
) -> QualityReport:
    """Load a product feed; the format is told by its content, or given: one of FORMATS. .gz too.

    currency: of prices that come without one (ISO 4217).

    `mapping`: field → column, see `mapping.py`; fields it leaves out are found by common names, and columns no field
    takes become attributes. Relative image links are looked for inside `images` (default: the feed's folder) and
    nowhere else; a broken photo is reported and its product kept without. Of several rows with one id the last is
    kept. Raises UnreadableFile, having changed nothing.
    """
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise UnreadableFile(path, f"{format!r} is no format of products; use one of {', '.join(FORMATS)}")
    kind = format if format in reading.KINDS else reading.sniff(path)
    assert kind is not None
    findings = Findings(path.name)
    if kind == "xml":
        rows = markup.xml_rows(path)
    elif kind in ("csv", "tsv") and (
        format == "shopify" or (format is None and shopify.is_export(reading.header_of(path, kind)))
    ):
        rows, kind = shopify.rows(path, kind), "shopify"
    else:
        rows = reading.rows_of(path, kind)
    findings.facts["format"] = kind
    photos = Photos(Path(images) if images is not None else path.parent)
    header, rows = _header(path, kind, rows)
    if kind == "jsonl" and icecat.is_export(header):
        header, rows = list(dict.fromkeys(icecat.plain(name) for name in header)), icecat.rows(rows)
        mapping = icecat.MAPPING | dict(mapping or {})
        findings.facts["format"] = "icecat"
    found = resolve(path, header, mapping, SYNONYMS, open_ended=kind in ("jsonl", "xml"))
    if "id" not in found:
        raise UnreadableFile(
            path,
            f"no column holds the product's id; name it with --map id=COLUMN (columns: {', '.join(header[:20])})",
            line=1,
        )
    findings.facts |= reading.dialect_of(path, "csv" if kind == "shopify" else kind)
    columns_of_ids = {field: column.name for field, column in found.items() if field in ("id", "item_group_id")}
    say_float_columns(reading.float_columns(path, kind), columns_of_ids, findings)
    findings.facts["columns"] = {field: column.name or f"={column.constant}" for field, column in found.items()}
    cleaner = _Cleaner(found, photos, findings, currency)
    with tempfile.TemporaryDirectory(prefix="shelfwise-") as folder:
        files: list[Path] = []
        last: dict[str, int] = {}  # id → the line of its last row
        floats = FloatIds(("id", "item_group_id"))
        for frame in _frames(rows, cleaner, findings):
            floats.seen(frame)
            file = Path(folder) / f"{len(files):08d}.arrow"
            frame.write_ipc(file, compression="lz4")
            files.append(file)
            last.update(frame.select("id", "line").iter_rows())
            if progress is not None:
                progress(findings.read, 0, "products: reading")
        if not last:
            raise UnreadableFile(path, f"has no usable row: {findings.first('dropped') or 'there are no rows'}")
        floats.say(findings)
        if "id" in floats.whole():
            last = {name.removesuffix(".0"): line for name, line in last.items()}

        def imported() -> Iterator[pl.DataFrame]:
            done = 0
            for file in files:
                frame = floats.mend(pl.read_ipc(file), field="id")
                newest = pl.Series([last[name] for name in frame["id"]], dtype=pl.Int64)
                again = frame["line"] != newest
                if again.any():
                    why = "a later row has the same id; the last one is kept"
                    findings.add_rows("duplicate_id", "dropped", why, frame.filter(again), "id", "title")
                    frame = frame.filter(~again)
                yield frame.drop("line")
                done += frame.height
                if progress is not None:
                    progress(done, len(last), "products: recording")

        store.import_products(imported())
    return findings.report()


def _header(path: Path, kind: str, rows: Iterator[tuple[int, Row]]) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    """The columns there are; of JSON Lines and XML, whose rows differ, those of the first hundred rows."""
    if kind in ("csv", "tsv", "parquet"):
        return reading.header_of(path, kind), rows
    first = []
    for pair in rows:
        first.append(pair)
        if len(first) == 100:
            break
    if not first:
        raise UnreadableFile(
            path, "has no products (XML needs <item> or <entry> elements)" if kind == "xml" else "has no rows"
        )
    header = list(dict.fromkeys(name for _, row in first for name in row))
    return header, chain(first, rows)


def _frames(rows: Iterator[tuple[int, Row]], cleaner: _Cleaner, findings: Findings) -> Iterator[pl.DataFrame]:
    """PRODUCT_COLUMNS and `line` of the rows that keep the rules."""
    made: list[tuple[Any, ...]] = []
    for line, row in rows:
        findings.read += 1
        made.append(cleaner.product(line, row))
        if len(made) == CHUNK:
            yield _valid(made, findings)
            made = []
    if made:
        yield _valid(made, findings)


def _valid(made: list[tuple[Any, ...]], findings: Findings) -> pl.DataFrame:
    frame = pl.DataFrame(made, schema={"line": pl.Int64(), **PRODUCT_COLUMNS}, orient="row")
    frame = frame.with_columns(problem=product_problem())
    bad = frame.filter(pl.col("problem").is_not_null())
    for (problem,), rows in bad.partition_by("problem", as_dict=True, maintain_order=True).items():
        field, _, why = str(problem).partition(": ")
        kind = f"invalid_{field.partition('.')[0]}"
        shown = (field,) if field in ("price", "created") else ()
        findings.add_rows(kind, "dropped", f"{field} {why}", rows, "id", "title", *shown)
    return frame.filter(pl.col("problem").is_null()).drop("problem")


class _Cleaner:
    """One raw row → one product row, every mending reported."""

    def __init__(self, found: Mapping[str, Column], photos: Photos, findings: Findings, currency: str) -> None:
        self._currency = currency.upper()
        self._found = found
        self._photos = photos
        self._findings = findings
        self._taken = frozenset(column.name for column in found.values())

    def product(self, line: int, row: Row) -> tuple[Any, ...]:
        """(line, *PRODUCT_COLUMNS)."""
        name = self._id(row, "id")
        texts = {field: self._cleaned(line, row, field) for field in ("title", "description", "brand")}
        texts["item_group_id"] = self._id(row, "item_group_id")
        texts["mpn"] = clean_text(self._text(row, "mpn"), markup=False)
        texts["gtin"] = self._gtin(line, row)
        price, currency = self._price(line, row)
        attributes = self._attributes(line, row)
        return (
            line,
            name,
            texts["title"],
            texts["description"],
            texts["brand"],
            self._category(line, row),
            price,
            currency,
            self._availability(line, row),
            self._photo(line, row),
            self._text(row, "link").strip(),
            texts["item_group_id"],
            texts["gtin"],
            texts["mpn"],
            self._created(line, row),
            attributes,
        )

    def _value(self, row: Row, field: str) -> Any:
        column = self._found.get(field)
        if column is None:
            return None
        return row.get(column.name) if column.constant is None else column.constant

    def _text(self, row: Row, field: str) -> str:
        return value_text(self._value(row, field))

    def _id(self, row: Row, field: str) -> str:
        """Text as given: 0017, 12.0 and 1E3 stay what they are."""
        rule = self._found[field].rule if field in self._found else ""
        name = self._text(row, field).strip()
        return str(changed(pl.Series([name]), rule)[0]) if rule else name

    def _gtin(self, line: int, row: Row) -> str:
        gtin = clean_text(_first(self._value(row, "gtin")), markup=False)
        if is_damaged_gtin(gtin):
            why = "a spreadsheet kept only the first digits of the GTIN; left out. Format the column as text"
            self._findings.add("damaged_gtin", "mended", why, [(line, gtin)])
            return ""
        return gtin

    def _cleaned(self, line: int, row: Row, field: str) -> str:
        text = clean_text(self._text(row, field))
        return self._cut(line, field, text)

    def _cut(self, line: int, field: str, text: str) -> str:
        limit = _LIMITS[field]
        if len(text) > limit:
            self._findings.add(
                f"long_{field}", "mended", f"the {field} is over {limit:,} characters; cut there", [(line, text[:60])]
            )
            text = text[:limit]
        return text

    def _category(self, line: int, row: Row) -> str:
        value = self._value(row, "product_type")
        if isinstance(value, list):
            value = " > ".join(value_text(level) for level in value)
        return self._cut(line, "product_type", clean_path(value_text(value)))

    def _price(self, line: int, row: Row) -> tuple[float | None, str]:
        shop = clean_text(self._text(row, "currency"), markup=False).upper() or self._currency
        value = self._value(row, "price")
        column = self._found.get("price", Column())
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value) / column.divide, shop
        text = value_text(value)
        if not text.strip():
            return None, shop
        money = parse_money(clean_text(text), shop)
        if money is None:
            self._findings.add("unreadable_price", "mended", "the price is no amount; left out", [(line, text)])
            return None, shop
        return money[0] / column.divide, money[1] or shop

    def _availability(self, line: int, row: Row) -> str:
        text = self._text(row, "availability")
        if not text.strip():
            return str(Availability.IN_STOCK)
        known = parse_availability(text)
        if known is None:
            self._findings.add(
                "unknown_availability",
                "mended",
                "the availability is no known word; taken as out_of_stock",
                [(line, text)],
            )
            return str(Availability.OUT_OF_STOCK)
        return str(known)

    def _photo(self, line: int, row: Row) -> str:
        link = _first(self._value(row, "image_link")).strip()
        kept, problem = self._photos.find(link)
        if problem:
            self._findings.add(
                "broken_image",
                "mended",
                "the photo cannot be used; the product is kept without",
                [(line, f"{link} {problem}")],
            )
        return kept

    def _created(self, line: int, row: Row) -> int | None:
        value = self._value(row, "created")
        text = value.isoformat() if isinstance(value, datetime) else value_text(value)
        if not text.strip():
            return None
        time = parse_time(text)
        if time is None or schema.to_micros(time) < 0:
            self._findings.add("unreadable_created", "mended", "the date cannot be read; left out", [(line, text)])
            return None
        return schema.to_micros(time)

    def _attributes(self, line: int, row: Row) -> str:
        """The columns no field took, as JSON: texts cleaned, numbers and booleans kept, lists joined by " | "."""
        made: dict[str, str | float | bool] = {}
        for key, value in row.items():
            if key not in self._taken and value is not None and value != "":
                self._attribute(made, plain_name(clean_text(key)) if " " in key or ":" in key else key, value)
        if len(made) > MAX_ATTRIBUTES:
            why = f"over {MAX_ATTRIBUTES:,} attributes; the rest is left out"
            self._findings.add("many_attributes", "mended", why, [(line, f"{len(made):,}")])
            made = dict(list(made.items())[:MAX_ATTRIBUTES])
        return orjson.dumps(made).decode() if made else "{}"

    def _attribute(self, made: dict[str, str | float | bool], key: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, part in value.items():
                self._attribute(made, f"{key}.{name}", part)
            return
        key = clean_text(key, markup=False)[:MAX_ID]
        if not key:
            return
        if isinstance(value, bool):
            made[key] = value
        elif isinstance(value, int | float):
            if abs(value) <= 1e15:
                made[key] = value
            else:
                made[key] = str(value)
        else:
            parts = value if isinstance(value, list) else [value]
            text = " | ".join(part for part in (clean_text(value_text(part)) for part in parts) if part)[:MAX_TEXT]
            if any(word in key.lower() for word in _MEASURES):
                text = normalise_unit(text)
            if text:
                made[key] = text


def _first(value: Any) -> str:
    return value_text((value[0] if value else "") if isinstance(value, list) else value)
