"""What a feed changes of the record, and what it leaves alone.

A column that the file does not have keeps its values. A file without titles is an update: it changes known products
only, and an empty cell of it changes nothing. A full feed retires what it no longer has.
"""

from __future__ import annotations

from pathlib import Path

import orjson
import polars as pl

from shelfwise.errors import UnreadableFile
from shelfwise.intake.cleaning import Cleaner
from shelfwise.intake.report import Findings
from shelfwise.schema import PRODUCT_COLUMNS, Status
from shelfwise.store import Store

_SHOWN = ("id", "title")
_WHY_HIDDEN = {
    Status.DRAFT: "kept and not shown: a draft by the feed's status",
    Status.ARCHIVED: "kept and not shown: archived by the feed's status",
    Status.HIDDEN: "kept and not shown: unpublished, private, disabled or hidden by the feed",
    Status.RETIRED: "kept and not shown: retired",
}


class Merged:
    """Takes the cleaned frames of one file in turn; `finish` afterwards.

    ids: of the whole file. full: the share of what is shown that may be retired; None for no full feed. Raises
    UnreadableFile where a full feed would retire more.
    """

    def __init__(
        self, path: Path, store: Store, cleaner: Cleaner, findings: Findings, ids: frozenset[str], full: float | None
    ) -> None:
        self._store, self._findings, self._cleaner = store, findings, cleaner
        self._known = frozenset(store.product_ids())
        self._given = cleaner.given
        self.update = "title" not in self._given and bool(ids & self._known)
        self._missing: list[str] = []
        if self.update:
            findings.facts["update"] = f"no titles: changes {', '.join(sorted(self._given - {'id'}))} of known products"
        if full is not None:
            self._missing = self._missed(path, ids, full)

    def _missed(self, path: Path, ids: frozenset[str], most: float) -> list[str]:
        if self.update:
            raise UnreadableFile(
                path, "has no titles, so it is an update and not the whole catalogue; leave --full out"
            )
        shown = self._store.products_frame().filter(pl.col("status") == Status.ACTIVE)["id"].to_list()
        missing = [name for name in shown if name not in ids]
        if shown and len(missing) > most * len(shown):
            some = ", ".join(missing[:5])
            raise UnreadableFile(
                path,
                f"lacks {len(missing):,} of {len(shown):,} products shown now ({some}, …), more than the share of "
                f"{most:.0%} that --full may retire; is the file cut off? Nothing changed. --retire-most 1 allows it",
            )
        return missing

    def frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`line` and PRODUCT_COLUMNS as cleaned → PRODUCT_COLUMNS as they shall be recorded."""
        if self.update:
            there = pl.Series([name in self._known for name in frame["id"]], dtype=pl.Boolean)
            why = "no product has this id, and the file gives no title; load the full feed first"
            self._findings.add_rows("unknown_product", "dropped", why, frame.filter(~there), "id")
            frame = frame.filter(there)
        merged = self._kept(frame)
        for status in Status:
            if status is not Status.ACTIVE:
                rows = merged.filter(pl.col("status") == status)
                self._findings.add_rows(f"hidden_{status}", "hidden", _WHY_HIDDEN[status], rows, *_SHOWN)
        untitled = merged.filter(pl.col("title") == "")
        self._findings.add_rows("no_title", "flagged", "has no title: nobody can tell what it is", untitled, "id")
        self._findings.flagged += untitled.height
        perhaps = self._cleaner.perhaps_prices
        if "price" in self._given or perhaps:
            free = pl.col("price").is_null() & (pl.col("status") == Status.ACTIVE) & (pl.col("title") != "")
            hint = f"; perhaps --map price={perhaps[0]!r}" if perhaps and "price" not in self._given else ""
            self._findings.add_rows("no_price", "note", f"shown without a price{hint}", merged.filter(free), *_SHOWN)
        return merged.drop("line")

    def _kept(self, frame: pl.DataFrame) -> pl.DataFrame:
        known = self._store.products_frame([name for name in frame["id"] if name in self._known])
        if known.is_empty():
            return frame
        columns = [name for name in PRODUCT_COLUMNS if name not in ("id", "created")]
        old = known.select("id", **{f"old_{name}": pl.col(name) for name in columns})
        joined = frame.join(old, on="id", how="left", maintain_order="left")
        there = pl.col("old_title").is_not_null()
        exprs = []
        for name in columns:
            if name == "attributes":
                continue
            before = pl.col(f"old_{name}")
            if name == "status":
                # What was retired comes back with a feed that has it; what the merchant hid does not by itself.
                retired = (before == Status.RETIRED) if not self.update else pl.lit(value=False)
                keeps = there & ~retired & pl.lit("status" not in self._given)
            elif name not in self._given:
                keeps = there
            elif self.update:
                keeps = there & self._blank(name)
            else:
                continue
            exprs.append(pl.when(keeps).then(before).otherwise(pl.col(name)).alias(name))
        attributes = [
            self._attributes(new, before)
            for new, before in zip(joined["attributes"].to_list(), joined["old_attributes"].to_list(), strict=True)
        ]
        joined = joined.with_columns(*exprs, pl.Series("attributes", attributes, dtype=pl.String))
        return joined.select("line", *PRODUCT_COLUMNS)

    def _blank(self, name: str) -> pl.Expr:
        """An empty cell, as far as the cleaned value still tells."""
        if name == "availability":
            return pl.col("line").is_in(list(self._cleaner.silent)) if self._cleaner.silent else pl.lit(value=False)
        column = pl.col(name)
        if name == "currency":
            return (column == "") | pl.col("price").is_null()
        return column.is_null() if PRODUCT_COLUMNS[name] != pl.String() else column == ""

    def _attributes(self, new: str, before: str | None) -> str:
        """Attributes whose column the file lacks stay."""
        if before in (None, "", "{}"):
            return new
        assert before is not None
        old, own = orjson.loads(before), orjson.loads(new)
        keys = own.keys() if self.update else self._cleaner.keys
        kept = {key: value for key, value in old.items() if key not in keys}
        return orjson.dumps({**kept, **own}).decode() if kept else new

    def finish(self) -> None:
        """Retire what a full feed no longer has."""
        if self._missing:
            products = self._store.products(self._missing)
            why = "the full feed no longer has it; kept for its history, not shown. `shelfwise load restore` undoes it"
            shown = [(0, f"{name}: {product.title}") for name, product in products.items()]
            self._findings.add("retired", "hidden", why, shown, count=len(self._missing))
            self._store.retire(self._missing)
            self._findings.facts["retired"] = len(self._missing)
