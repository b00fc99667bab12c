"""Ids are text as given. What spreadsheets and pandas did to them is found here, by the whole column.

A column of whole numbers with one gap becomes floating point in pandas: 12345 is written 12345.0. A column that holds
nothing else is such a column and is read as whole numbers; in a mixed one 12.0 stays 12.0, and only where the record
has no 12.0 and has a 12 is that product meant.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import product

import polars as pl

from shelfwise.intake.report import Findings

_FLOAT = r"^-?\d+\.0$"
_WHOLE = r"^-?\d+(?:\.0)?$"
_PEOPLE = frozenset(("customer", "session"))
_EXPONENT = re.compile(r"^\d(?:[.,]\d+)?[eE]\+?\d{1,2}$")
EXACT = 2**53  # above it a floating point number skips whole numbers
RULES = ("whole", "no-zeros", "zeros:N", "lower", "upper", "nfkc")


def say_float_columns(floats: Mapping[str, bool], column_of: Mapping[str, str], findings: Findings) -> None:
    """Report Parquet's ids that are floats. floats: see reading.float_columns. column_of: field → column."""
    for field, column in column_of.items():
        if column in floats:
            why = f"{field} is a column of floats, as pandas makes of numbers with a gap; read as whole numbers"
            findings.add("float_ids", "note", why, [(0, f"column {column}: 12.0 is 12")])
            if floats[column]:
                why = f"{field} is a float above 2^53: its last digits may be lost; write the column as text"
                findings.add("rounded_ids", "flagged", why, [(0, f"column {column}")])


class FloatIds:
    """Sees the frames of a file go by, then mends them: `seen` for each, `mend` for each again."""

    def __init__(self, fields: Collection[str]) -> None:
        self._fields = tuple(fields)
        self._mixed: set[str] = set()  # fields with an id that is no such float
        self._words: set[str] = set()  # fields with an id that is no whole number, written as a float or not
        self._floats: dict[str, set[str]] = {field: set() for field in fields}

    def seen(self, frame: pl.DataFrame) -> None:
        for field in self._fields:
            ids = frame[field].filter(frame[field] != "")
            floats = ids.str.contains(_FLOAT)
            if floats.any():
                self._floats[field].update(ids.filter(floats).unique())
            if not floats.all():
                self._mixed.add(field)
            if not ids.str.contains(_WHOLE).all():
                self._words.add(field)

    def whole(self) -> list[str]:
        """Fields whose every id is a whole number written as a float; of customers and sessions, some of which are."""
        return [
            field
            for field in self._fields
            if self._floats[field] and (field not in self._mixed or (field in _PEOPLE and field not in self._words))
        ]

    def say(self, findings: Findings) -> None:
        for field in self.whole():
            example = min(self._floats[field])
            why = f"every {field} is a whole number, some written as floats, as pandas does; read without the .0"
            findings.add("float_ids", "note", why, [(0, f"{example} is {example[:-2]}")])

    def mend(
        self, frame: pl.DataFrame, known: Collection[str] = (), field: str = "product", findings: Findings | None = None
    ) -> pl.DataFrame:
        """known: ids of the record; a float `field` that it lacks means the whole number that it has."""
        whole = self.whole()
        if whole:
            frame = frame.with_columns(pl.col(name).str.replace(r"\.0$", "") for name in whole)
        if field in self._mixed and self._floats.get(field):
            meant = {name: name[:-2] for name in self._floats[field] if name not in known and name[:-2] in known}
            if meant:
                if findings is not None:
                    why = f"the {field} is known without the .0, and not with it: taken for that"
                    counts = frame[field].filter(frame[field].is_in(list(meant))).value_counts(sort=True)
                    said = [(0, f"{name} is {meant[name]}: {count:,} events") for name, count in counts.iter_rows()]
                    findings.add("float_ids_met", "mended", why, said, count=int(counts["count"].sum()))
                frame = frame.with_columns(pl.col(field).replace(meant))
        return frame


def changed(ids: pl.Series, rule: str) -> pl.Series:
    """A column of ids after one of RULES: `whole` 12.0 → 12, `no-zeros` 0017 → 17, `zeros:4` 17 → 0017."""
    if rule == "whole":
        return ids.str.replace(r"^(-?\d+)\.0$", "$1")
    if rule == "no-zeros":
        return ids.str.replace(r"^0+(\d)", "$1")
    if rule.startswith("zeros:"):
        width = int(rule.removeprefix("zeros:"))
        return pl.select(pl.when(ids.str.contains(r"^\d+$")).then(ids.str.zfill(width)).otherwise(ids)).to_series()
    if rule == "lower":
        return ids.str.to_lowercase()
    if rule == "upper":
        return ids.str.to_uppercase()
    if rule == "nfkc":
        return ids.str.normalize("NFKC")
    raise ValueError(rule)


def is_rule(rule: str) -> bool:
    return rule in RULES or re.fullmatch(r"zeros:\d{1,2}", rule) is not None


def is_damaged_gtin(text: str) -> bool:
    """'4.01234E+12': a spreadsheet kept the first digits only."""
    return _EXPONENT.match(text.strip()) is not None


def is_damaged_id(text: str) -> bool:
    """'1.2E+4', '4,01E+12'; 1E3 and 219E01 are ids like others."""
    return re.fullmatch(r"\d[.,]\d+[eE]\+\d{1,2}|\d[eE]\+\d{2}", text) is not None


def meeting(unknown: pl.DataFrame, known: pl.Series) -> tuple[str, str, int] | None:
    """(whose ids to change: "log" or "feed", rule, events that would then find their product), the best there is.

    unknown: `product` and `events` (count) of events whose product the catalogue lacks. known: the catalogue's ids."""
    best: tuple[str, str, int] | None = None
    widths = known.filter(known.str.contains(r"^0\d+$")).str.len_chars()
    padded = [f"zeros:{widths.mode().to_list()[0]}"] if len(widths) else []
    rules = ("whole", "no-zeros", *padded, "nfkc", "lower", "upper")
    for side, rule in product(("log", "feed"), rules):  # the feed's ids are the shop's own: rather change the log
        events = unknown.with_columns(changed(unknown["product"], rule)) if side == "log" else unknown
        ids = changed(known, rule) if side == "feed" else known
        count = int(events.filter(pl.col("product").is_in(ids.unique().implode()))["events"].sum())
        if side == "feed" and ids.n_unique() < len(ids):
            continue  # two products would become one
        if count and (best is None or count > best[2]):
            best = side, rule, count
    return best
