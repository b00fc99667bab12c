"""Stock as the merchant gives it: on hand, on order, lead time, costs, packs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from shelfwise.errors import InvalidRecord, UnreadableFile
from shelfwise.schema import MAX_ID, MAX_TITLE, check_number, check_text
from shelfwise.store import Store

TABLE = "stock"
#: Columns of the table; null is unknown. Amounts in units, money in the shop's currency, times in days.
STOCK_COLUMNS: dict[str, pl.DataType] = {
    "product": pl.String(),
    "location": pl.String(),
    "on_hand": pl.Float64(),
    "on_order": pl.Float64(),
    "due": pl.String(),  # the date what is on order comes, "" unknown
    "lead_time": pl.Float64(),
    "lead_time_spread": pl.Float64(),  # standard deviation
    "review": pl.Float64(),
    "unit_cost": pl.Float64(),
    "holding_cost": pl.Float64(),  # of a unit a week
    "shortage_cost": pl.Float64(),  # of a unit not there when wanted
    "service_level": pl.Float64(),
    "pack": pl.Float64(),
    "minimum": pl.Float64(),
    "supplier": pl.String(),
    "shelf_life": pl.Float64(),
}
_LIMITS = {
    "lead_time": (0, 730),
    "lead_time_spread": (0, 365),
    "review": (1, 365),
    "service_level": (0.01, 0.999),
    "pack": (1e-6, 1e9),
    "shelf_life": (1, 36_500),
}
_ALIASES = {"unique_id": "product", "id": "product", "quantity": "on_hand", "stock": "on_hand", "cost": "unit_cost"}


def stock_row(values: Mapping[str, Any]) -> dict[str, Any]:
    """One checked row of STOCK_COLUMNS; what is absent or empty is unknown. Raises InvalidRecord."""
    row: dict[str, Any] = {}
    for name, dtype in STOCK_COLUMNS.items():
        value = values.get(name)
        if isinstance(dtype, pl.String):
            text = "" if value is None else str(value).strip()
            check_text(name, text, MAX_ID if name in ("product", "location") else MAX_TITLE, required=name == "product")
            row[name] = text
            continue
        if value is None or (isinstance(value, str) and not value.strip()):
            row[name] = None
            continue
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise InvalidRecord(name, f"must be a number, not {str(value)[:40]!r}") from None
        low, high = _LIMITS.get(name, (0, 1e12))
        check_number(name, number, low=low, high=high)
        row[name] = number
    if row["due"]:
        try:
            row["due"] = date.fromisoformat(row["due"][:10]).isoformat()
        except ValueError:
            raise InvalidRecord("due", f"{row['due'][:40]!r} is not a date like 2026-12-01") from None
    if row["on_hand"] is None:
        raise InvalidRecord("on_hand", "is required; give 0 for an empty shelf")
    return row


def put_stock(store: Store, rows: Iterable[Mapping[str, Any]], *, keep: bool = True) -> int:
    """Record stock: the rows given replace those of the same product and location; others stay with `keep`."""
    frame = pl.DataFrame(list(rows), schema=STOCK_COLUMNS, orient="row")
    frame = frame.unique(["product", "location", "due"], keep="last", maintain_order=True)
    old = stock(store)
    if keep and len(old):
        frame = pl.concat([old.join(frame, on=["product", "location"], how="anti"), frame])
    return store.put_table(TABLE, frame)


def stock(store: Store) -> pl.DataFrame:
    """All stock recorded, STOCK_COLUMNS; empty before any was."""
    if TABLE not in store.tables():
        return pl.DataFrame(schema=STOCK_COLUMNS)
    return store.table(TABLE)


def load_stock(store: Store, path: Path) -> tuple[int, list[tuple[int, str]]]:
    """Load a CSV, Parquet or JSON Lines file with the names of STOCK_COLUMNS; it replaces all stock recorded before.

    → rows kept, and (line, problem) of each that was not. Raises UnreadableFile, having changed nothing."""
    if not path.exists():
        raise UnreadableFile(path, "there is no such file")
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
        elif path.suffix in (".jsonl", ".ndjson"):
            frame = pl.read_ndjson(path)
        else:
            frame = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UnreadableFile(path, f"cannot be read: {str(error).splitlines()[0]}") from None
    names = {name: _ALIASES.get(name.strip().lower(), name.strip().lower()) for name in frame.columns}
    if "product" not in names.values() or "on_hand" not in names.values():
        raise UnreadableFile(path, f"needs the columns product and on_hand; it has {', '.join(frame.columns)[:200]}")
    if unknown := set(names.values()) - set(STOCK_COLUMNS):
        known = ", ".join(STOCK_COLUMNS)
        raise UnreadableFile(path, f"has a column {min(unknown)!r} that says nothing here; known are {known}")
    kept, problems = [], []
    for line, values in enumerate(frame.iter_rows(named=True), start=2):
        try:
            kept.append(stock_row({names[name]: value for name, value in values.items()}))
        except InvalidRecord as error:
            problems.append((line, str(error)))
    if not kept:
        raise UnreadableFile(
            path, f"has no usable row; line {problems[0][0]}: {problems[0][1]}" if problems else "is empty"
        )
    put_stock(store, kept, keep=False)
    return len(kept), problems
