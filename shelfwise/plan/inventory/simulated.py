"""SIMULATED stock for a demo whose data have none; every row says so in its supplier."""

from __future__ import annotations

import numpy as np
import polars as pl

from shelfwise.plan.demand.record import sales_panel
from shelfwise.plan.inventory.stock import put_stock
from shelfwise.store import Store

SIMULATED = "SIMULATED stock"
_MOST = 2_000  # products, those sold in most of the last 26 weeks
_COST = 0.7  # of the price


def simulate_stock(store: Store, *, seed: int = 0) -> int:
    """Put stock of the products that sell most steadily on record; how many. Raises NotEnoughData without sales.

    On hand: the mean week of the last 13 times a log-normal number of weeks (median 3, a tenth over 14): some run out,
    some are far too many. Lead time 7 or 14 days, a third are on order, packs of 1, 6 or 12."""
    panel = sales_panel(store)
    lately = np.nan_to_num(panel.y[:, -26:])
    chosen = np.sort(np.argsort(-(lately > 0).sum(1), kind="stable")[:_MOST])
    rng = np.random.default_rng(seed)
    n = len(chosen)
    weekly = lately[chosen, -13:].mean(1)
    weeks = 3 * np.exp(1.2 * rng.standard_normal(n))
    prices = dict(store.products_frame().select("id", pl.col("price").cast(pl.Float64)).iter_rows())
    rows = []
    for i, row in enumerate(chosen):
        product, price = panel.ids[row], prices.get(panel.ids[row])
        rows.append(
            {
                "product": product,
                "location": "",
                "on_hand": float(np.rint(weekly[i] * weeks[i])),
                "on_order": float(np.ceil(weekly[i] * 2)) if rng.random() < 1 / 3 else 0.0,
                "due": "",
                "lead_time": float(rng.choice([7, 14])),
                "unit_cost": None if price is None else round(_COST * price, 2),
                "pack": float(rng.choice([1, 6, 12])),
                "supplier": SIMULATED,
            }
        )
    return put_stock(store, rows)
