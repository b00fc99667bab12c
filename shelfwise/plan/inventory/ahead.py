"""What the newest order list expects to sell, kept in the record for whoever cannot wait for a forecast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import polars as pl

from shelfwise.store import Store

Array = np.ndarray[Any, Any]

_TABLE = "demand_ahead"
_COLUMNS: dict[str, pl.DataType] = {"product": pl.String(), "start": pl.String(), "mean": pl.Float64()}
_WEEK = timedelta(days=7)
_OLD = timedelta(days=21)  # after which a forecast says nothing of now


def put_ahead(store: Store, products: Sequence[str], start: date, means: Array) -> None:
    """Keep the mean demand [n, weeks] of the weeks from `start` on; it replaces what was kept."""
    weeks = means.shape[1]
    rows = {
        "product": np.repeat(np.array(products, dtype=object), weeks),
        "start": [(start + week * _WEEK).isoformat() for week in range(weeks)] * len(products),
        "mean": means.ravel(),
    }
    store.put_table(_TABLE, pl.DataFrame(rows, schema=_COLUMNS))


def expected(store: Store, products: Iterable[str], moment: datetime, end: datetime) -> dict[str, float]:
    """product → units expected from `moment` to `end`, of those a forecast not much older than `moment` was kept of.
    After its last week that week's demand goes on."""
    if _TABLE not in store.tables():
        return {}
    kept = store.table(_TABLE).filter(pl.col("product").is_in(list(products))).sort("product", "start")
    if kept.is_empty() or end <= moment:
        return {}
    demand: dict[str, float] = {}
    for (product,), weeks in kept.partition_by("product", as_dict=True).items():
        starts = [datetime.combine(date.fromisoformat(text), time(), UTC) for text in weeks["start"]]
        if not starts[0] <= moment <= starts[0] + _OLD:
            continue
        means = weeks["mean"].to_list()
        total = max(0.0, (end - max(moment, starts[-1] + _WEEK)) / _WEEK) * means[-1]
        for begin, mean in zip(starts, means, strict=True):
            total += max(0.0, (min(end, begin + _WEEK) - max(moment, begin)) / _WEEK) * mean
        demand[str(product)] = total
    return demand
