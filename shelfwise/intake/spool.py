"""Cleaned events waiting on disk until the whole file is known to be good, and their ids, once each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from shelfwise.intake.report import Findings
from shelfwise.schema import EVENT_COLUMNS

_MISTAKEN = 0.1  # share of orders whose lines may name two customers by mistake
PARTITION = 4_000_000  # rows whose keys are compared at once
_SHOWN = ("type", "customer", "session", "product", "id")


class Spool:
    """Frames of EVENT_COLUMNS with `line`, `own` (the id came with the row), `ordered` (the id is made of an order and
    its product) and `sent` (the id that other ways in give an order's line)."""

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
        parts = max(1, -(-self.rows // PARTITION))
        keys = [
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
        return pl.concat(keys)

    def numbered(self, findings: Findings, *, drop_repeats: bool) -> Iterator[pl.DataFrame]:
        """EVENT_COLUMNS, `line` and `sent`, with ids unique within the file.

        Identical rows without an id of their own get their number at the end of it, or are dropped (`drop_repeats`:
        where each row's place in its record is part of the id). A row whose own id stood before is dropped, and so is a
        line of an order that was sent before, at whatever time."""
        repeated = self.repeated_keys()
        numbers = _Numbers(drop_repeats=drop_repeats)
        for frame in self.frames():
            if len(repeated):
                again = frame["key"].is_in(repeated.implode())
                if again.any():
                    frame = numbers.resolve(frame, again, findings)
            yield frame.select(*EVENT_COLUMNS, "sent", "line")

    def begins_anew(self) -> bool:
        """Do numbers of orders stand for several customers' orders, more than by mistake?"""
        orders = self.scan().filter(pl.col("sent") != "").group_by("request_id").agg(pl.col("customer").n_unique())
        share = orders.select((pl.col("customer") > 1).mean()).collect(engine="streaming").item()
        return bool((share or 0) > _MISTAKEN)


class _Numbers:
    def __init__(self, *, drop_repeats: bool) -> None:
        self._drop = drop_repeats
        self._seen: Counter[str] = Counter()
        self._first: dict[str, int] = {}  # of an order's line: when it came first
        self._sent: Counter[tuple[str, int]] = Counter()  # lines of an order with this id at this time

    def resolve(self, frame: pl.DataFrame, again: pl.Series, findings: Findings) -> pl.DataFrame:
        numbers: list[int] = []
        orders: list[bool] = []
        for name, time, ordered in frame.filter(again).select("id", "time", "ordered").iter_rows():
            number, sent_again = self._seen[name], False
            if ordered:
                first = self._first.setdefault(name, time)
                if time != first:
                    number = self._sent[name, time]
                    sent_again = number < max(self._sent[name, first], 1)
                self._sent[name, time] += 1
            if not sent_again:
                self._seen[name] += 1
            numbers.append(number)
            orders.append(sent_again)
        places = again.arg_true()
        copy_of = pl.repeat(0, frame.height, dtype=pl.Int64, eager=True).scatter(
            places, pl.Series(numbers, dtype=pl.Int64)
        )
        resent = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True).scatter(
            places, pl.Series(orders, dtype=pl.Boolean)
        )
        frame = frame.with_columns(number=copy_of, resent=resent)
        why = "the order came before with this product: sent again, it is one order"
        findings.add_rows("order_sent_again", "dropped", why, frame.filter("resent"), *_SHOWN, "request_id")
        frame = frame.filter(~pl.col("resent"))
        copies = frame.filter(pl.col("number") > 0)
        own = copies.filter("own")
        findings.add_rows("duplicate_id", "dropped", "an earlier row of the file has this id", own, *_SHOWN)
        same = copies.filter(~pl.col("own"))
        if self._drop:
            findings.add_rows("sent_twice", "dropped", "identical to an earlier row to the microsecond", same, *_SHOWN)
            return frame.filter(pl.col("number") == 0)
        findings.add_rows("identical_row", "flagged", "identical to an earlier row; kept as a repeat", same, *_SHOWN)
        findings.flagged += same.height
        return frame.filter(~(pl.col("own") & (pl.col("number") > 0))).with_columns(
            id=pl.when(pl.col("number") > 0).then(pl.format("{}-{}", "id", "number")).otherwise("id")
        )
