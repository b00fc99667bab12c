"""How stock presses on the order of answers, as the newest order list left it."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from shelfwise.store.store import Store

_TABLE = "stock_pressure"
_COLUMNS = {"product": pl.String(), "pressure": pl.Float64()}


def put_pressure(store: Store, pressure: Mapping[str, float]) -> None:
    """Keep how stock presses on the order of answers: product → -1 (runs out) to 1 (dead stock)."""
    store.put_table(_TABLE, pl.DataFrame({"product": list(pressure), "pressure": list(pressure.values())}, _COLUMNS))


def pressure_of(store: Store) -> dict[str, float]:
    """As of the newest order list; empty before one was made."""
    if _TABLE not in store.tables():
        return {}
    return dict(store.table(_TABLE).select("product", "pressure").iter_rows())
