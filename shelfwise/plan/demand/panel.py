"""Sales of many products over one calendar: the long table `unique_id, ds, y` as a matrix.

A value that is missing, or was sold out of (`in_stock` false), is NaN: demand is unknown there, not zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shelfwise.errors import InvalidRecord, NotEnoughData, UnreadableFile
from shelfwise.plan.demand.holidays import check_country

Array = np.ndarray[Any, Any]

#: Name → (days between, periods of its usual season).
FREQUENCIES = {"day": (1, 7), "week": (7, 52), "month": (30, 12), "quarter": (91, 4), "year": (365, 1)}
MOST_PERIODS = 20_000


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Demand of n products over T periods.

    y:      float32 [n, T]; NaN is unknown. Never negative.
    start:  the first period's date; `frequency` is a key of FREQUENCIES; `season`: periods of a season.
    known:  known ahead, name → float32 [n, T or more]: prices, promotions. Columns after T are the future's.
    static: name → int32 [n]: category codes.
    notes:  what was mended on the way in, in words.
    country: whose public holidays the calendar has (ISO 3166), "" for none.
    """

    ids: tuple[str, ...]
    y: Array
    start: date
    frequency: str
    season: int
    known: Mapping[str, Array] = field(default_factory=dict)
    static: Mapping[str, Array] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    country: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def periods(self) -> int:
        return int(self.y.shape[1])

    def until(self, end: int) -> Panel:
        """As it was known after its first `end` periods; what is known ahead stays."""
        return replace(self, y=self.y[:, :end])

    def date_of(self, period: int) -> date:
        """The date of a period, counted from 0; those after the last are the future's."""
        return _date(self.start, self.frequency, period)

    def rows(self, index: Array) -> Panel:
        return replace(
            self,
            ids=tuple(self.ids[i] for i in index),
            y=self.y[index],
            known={name: values[index] for name, values in self.known.items()},
            static={name: values[index] for name, values in self.static.items()},
        )


def read_panel(path: Path, *, season: int = 0, static: Path | None = None, country: str = "") -> Panel:
    """A panel from CSV (plain or .gz) or Parquet with `unique_id, ds, y` and what else is there (see `panel_of`).

    static: a table `unique_id, …` of facts that do not change. Raises UnreadableFile, InvalidRecord, NotEnoughData.
    """
    table = read_table(path)
    if static is not None:
        facts = read_table(static)
        if "unique_id" not in facts.columns:
            raise UnreadableFile(static, "has no column unique_id")
        facts = facts.unique("unique_id", keep="first", maintain_order=True)
        fresh = [name for name in facts.columns if name == "unique_id" or name not in table.columns]
        table = table.join(
            facts.select(fresh).with_columns(pl.col("unique_id").cast(pl.String)), on="unique_id", how="left"
        )
    return replace(panel_of(table, season=season, source=str(path)), country=check_country(country))


def read_table(path: Path) -> pl.DataFrame:
    if not path.exists():
        raise UnreadableFile(path, "there is no such file")
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=10_000)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UnreadableFile(path, f"cannot be read: {str(error).splitlines()[0]}") from None
    if "unique_id" in frame.columns:
        frame = frame.with_columns(pl.col("unique_id").cast(pl.String))
    return frame


def panel_of(table: pl.DataFrame, *, season: int = 0, source: str = "the table") -> Panel:
    """A panel from a long table.

    Columns: unique_id, ds (a date), y; optional in_stock (false masks y); any other is static when no product's value
    of it changes, and known ahead otherwise. Rows of one product and date are summed, negative y (returns) count as 0,
    and both are noted. Raises UnreadableFile without the three columns, InvalidRecord for dates that fit no calendar.
    """
    for name in ("unique_id", "ds", "y"):
        if name not in table.columns:
            raise UnreadableFile(source, f"has no column {name}; it needs unique_id, ds and y")
    if not len(table):
        raise NotEnoughData(f"{source} has no rows")
    table = table.with_columns(
        pl.col("unique_id").cast(pl.String),
        _dates(table["ds"], source),
        pl.col("y").cast(pl.Float64, strict=False).fill_nan(None),
    )
    if (table["y"].is_infinite().any()) or table["unique_id"].null_count():
        raise InvalidRecord("y" if table["y"].is_infinite().any() else "unique_id", "holds infinite or missing values")
    if table["y"].null_count() == len(table):
        raise NotEnoughData(f"{source}: no value of y is a number")
    notes = []
    if negative := int((table["y"] < 0).sum()):
        notes.append(f"{negative} negative values (returns) counted as 0")
    stocked = _stocked(table)
    table = table.with_columns(pl.when(stocked).then(pl.col("y").clip(lower_bound=0)).alias("y"))
    keys = table.select("unique_id", "ds").n_unique()
    if keys < len(table):
        notes.append(f"{len(table) - keys} rows of the same product and date were summed")
        rest = [name for name in table.columns if name not in ("unique_id", "ds", "y")]
        total = pl.when(pl.col("y").is_not_null().any()).then(pl.col("y").sum()).alias("y")
        table = table.group_by("unique_id", "ds", maintain_order=True).agg(
            total, *(pl.col(name).first() for name in rest)
        )
    frequency = frequency_of(table)
    start = table["ds"].min()
    assert isinstance(start, date)
    column = _columns(table["ds"], start, frequency)
    wide = int(column.max()) + 1
    if wide > MOST_PERIODS:
        raise InvalidRecord("ds", f"spans {wide:,} periods of one {frequency}; at most {MOST_PERIODS:,}")
    ids = table["unique_id"].unique(maintain_order=True)
    row = table["unique_id"].replace_strict(ids, pl.int_range(len(ids), eager=True)).to_numpy()
    y = np.full((len(ids), wide), np.nan, dtype=np.float32)
    y[row, column] = table["y"].to_numpy()
    known: dict[str, Array] = {}
    fixed: dict[str, Array] = {}
    for name in table.columns:
        if name not in ("unique_id", "ds", "y", "in_stock"):
            _place(table, name, row, column, y.shape, known, fixed)
    return Panel(
        ids=tuple(ids),
        y=y,
        start=start,
        frequency=frequency,
        season=season or FREQUENCIES[frequency][1],
        known=known,
        static=fixed,
        notes=tuple(notes),
    )


def frequency_of(table: pl.DataFrame) -> str:
    """day, week, month, quarter or year, by the smallest usual step between a product's dates. Raises InvalidRecord
    when products have different ones."""
    steps = (
        table.select("unique_id", "ds")
        .sort("unique_id", "ds")
        .with_columns(pl.col("ds").diff().over("unique_id").dt.total_days().alias("step"))
        .drop_nulls("step")
    )
    if not len(steps):
        dates = table["ds"].unique().sort()
        steps = pl.DataFrame({"unique_id": "", "step": dates.diff().drop_nulls().dt.total_days()})
        if not len(steps):
            return "month" if int(dates[0].day) == 1 else "day"
    usual = steps.group_by("unique_id").agg(pl.col("step").median())["step"].to_numpy()
    smallest = steps["step"].quantile(0.02, "nearest")
    assert smallest is not None
    least = {"day": 0, "week": 6, "month": 27, "quarter": 89, "year": 360}
    name = [name for name, days in least.items() if smallest >= days][-1]
    few = FREQUENCIES[name][0]
    if name == "day" and float(np.mean(usual >= 7)) > 0.05 and float(np.mean(usual < 2)) > 0.05:
        raise InvalidRecord("ds", "some products have daily dates and others weekly or longer ones; give one calendar")
    dates = table["ds"]
    if name == "week" and dates.dt.weekday().n_unique() > 1:
        raise InvalidRecord("ds", "steps are of weeks but the weekdays differ; give each week the same weekday")
    if name in ("month", "quarter", "year"):
        months = table.select("unique_id", pl.col("ds").dt.strftime("%Y-%m").alias("m"))
        if months.n_unique() < len(table) * 0.99:
            raise InvalidRecord("ds", f"steps are of {few} days but some months hold several dates; give one calendar")
    return name


def _date(start: date, frequency: str, period: int) -> date:
    if frequency in ("day", "week"):
        return start + timedelta(days=period * FREQUENCIES[frequency][0])
    months = start.year * 12 + start.month - 1 + period * {"month": 1, "quarter": 3, "year": 12}[frequency]
    return date(min(months // 12, 9999), months % 12 + 1, 1)


def _columns(dates: pl.Series, start: date, frequency: str) -> Array:
    if frequency in ("day", "week"):
        days = (dates.cast(pl.Int32) - (start - date(1970, 1, 1)).days).to_numpy()
        return np.asarray(days // FREQUENCIES[frequency][0])
    months = (dates.dt.year() * 12 + dates.dt.month().cast(pl.Int32) - 1).to_numpy()
    first = start.year * 12 + start.month - 1
    return np.asarray((months - first) // {"month": 1, "quarter": 3, "year": 12}[frequency])


def _dates(values: pl.Series, source: str) -> pl.Series:
    if values.dtype == pl.Date:
        dates = values
    elif values.dtype == pl.Datetime:
        dates = values.cast(pl.Date)
    else:
        dates = values.cast(pl.String).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if wrong := dates.null_count():
        first = values.filter(dates.is_null())[0]
        raise UnreadableFile(source, f"{wrong} dates are not like 2024-05-31; the first is {first!r}", column="ds")
    return dates.alias("ds")


def _stocked(table: pl.DataFrame) -> pl.Expr:
    if "in_stock" not in table.columns:
        return pl.lit(True)
    text = pl.col("in_stock").cast(pl.String).str.strip_chars().str.to_lowercase()
    return ~text.is_in(["0", "false", "no", "0.0", "n"]).fill_null(False)


def _place(
    table: pl.DataFrame,
    name: str,
    row: Array,
    column: Array,
    shape: tuple[int, ...],
    known: dict[str, Array],
    fixed: dict[str, Array],
) -> None:
    """Put a further column where it belongs: `fixed` or `known`."""
    values = table[name]
    constant = table.group_by("unique_id").agg(pl.col(name).drop_nulls().n_unique().alias("n"))["n"].max()
    numbers: Array
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        numbers = values.cast(pl.Float32).fill_null(float("nan")).to_numpy()
    else:
        numbers = values.cast(pl.String).fill_null("").cast(pl.Categorical).to_physical().cast(pl.Float32).to_numpy()
    if isinstance(constant, int) and constant <= 1:
        facts = np.full(shape[0], np.nan, dtype=np.float32)
        facts[row] = numbers
        if len(np.unique(facts[~np.isnan(facts)])) > 1:
            fixed[name] = facts
        return
    matrix = np.full(shape, np.nan, dtype=np.float32)
    matrix[row, column] = numbers
    known[name] = matrix
