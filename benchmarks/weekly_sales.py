"""Weekly sales of a real shop as the long table that `benchmark demand` and `benchmark orders` read.

    python benchmarks/weekly_sales.py online_retail OUT.parquet [--least 20] [--facts] [--promotions]

`online_retail` or `complete_journey` is loaded into a new shop, as a merchant's would be; the table holds the products
sold in at least `--least` weeks: unique_id, ds, y, unit_price (the median paid). `--facts` adds the category.
`--promotions` (complete_journey) adds what is known ahead: the share of the shops that show a product in the mailer or
on a display in a week. Those are in the data by product and week whether or not anybody bought.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from shelfwise.intake.datasets import complete_journey, online_retail
from shelfwise.plan.demand.panel import Panel
from shelfwise.plan.demand.record import sales_panel
from shelfwise.store import open_store

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def table(shop: str, least: int, *, facts: bool, promotions: bool, data: Path) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{folder}/shop.db") as store:
        if shop == "online_retail":
            online_retail(data / "online_retail.csv.gz", store)
        else:
            complete_journey(store, tables=promotions)
        panel = sales_panel(store)
        panel = panel.rows(np.flatnonzero((np.nan_to_num(panel.y) > 0).sum(1) >= least))
        long = _long(panel, facts)
        if promotions:
            long = long.join(_promotions(store.table("promotions"), panel), on=["unique_id", "ds"], how="left")
            long = long.with_columns(pl.col("mailer", "display").fill_null(0.0))
    return long


def _long(panel: Panel, facts: bool) -> pl.DataFrame:
    n, periods = panel.y.shape
    columns = {
        "unique_id": np.repeat(np.array(panel.ids, dtype=object), periods),
        "ds": [panel.date_of(t) for t in range(periods)] * n,
        "y": panel.y.ravel(),
        "unit_price": np.repeat(panel.static["price"], periods),
    }
    if facts and "category" in panel.static:
        columns["category"] = np.repeat(panel.static["category"], periods)
    # What is masked stays in as a row without a value, so that every product has the same calendar.
    return pl.DataFrame(columns, schema_overrides={"unique_id": pl.String, "ds": pl.Date})


def _promotions(shown: pl.DataFrame, panel: Panel) -> pl.DataFrame:
    """The grocer's week 1 begins on 2016-12-26; a week of the panel takes the promotions of its middle."""
    weeks = pl.DataFrame({"ds": [panel.date_of(t) for t in range(panel.periods)]}).with_columns(
        week=((pl.col("ds") - pl.date(2016, 12, 26)).dt.total_days() + 3) // 7 + 1
    )
    shops = shown["store"].n_unique()
    share = shown.group_by("product", pl.col("week").cast(pl.Int64)).agg(
        mailer=pl.col("store").filter(pl.col("mailer") != "0").n_unique() / shops,
        display=pl.col("store").filter(pl.col("display") != "0").n_unique() / shops,
    )
    return share.join(weeks, on="week").select(pl.col("product").alias("unique_id"), "ds", "mailer", "display")


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("shop", choices=("online_retail", "complete_journey"))
    ask.add_argument("out", type=Path)
    ask.add_argument("--least", type=int, default=20)
    ask.add_argument("--facts", action="store_true")
    ask.add_argument("--promotions", action="store_true")
    ask.add_argument("--data", type=Path, default=DATA)
    given = ask.parse_args()
    made = table(given.shop, given.least, facts=given.facts, promotions=given.promotions, data=given.data)
    if given.out.suffix == ".parquet":
        made.write_parquet(given.out)
    else:
        made.write_csv(given.out)
    print(f"{made['unique_id'].n_unique():,} products, {made['ds'].n_unique()} weeks", file=sys.stderr)


if __name__ == "__main__":
    main()
