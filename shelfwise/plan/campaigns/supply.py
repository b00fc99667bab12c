"""What is left over to advertise: stock, less what sells by itself until the campaign ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from shelfwise.plan.campaigns.response import History
from shelfwise.plan.inventory.ahead import expected
from shelfwise.plan.inventory.stock import stock
from shelfwise.schema import to_micros
from shelfwise.store import Store

_COUNTS = ("stock", "quantity", "inventory")  # attributes of a product that say how many there are
_DAYS = 56  # whose sales say what sells by itself


def spare(store: Store, history: History, products: Sequence[str], moment: datetime, end: datetime) -> dict[str, float]:
    """product -> units left over by `end`, 0 for what runs out; only products whose stock is known.

    Stock is what is on hand and what comes before the end, as loaded by `load stock`, else an attribute of the product.
    What sells by itself is what the newest order list's forecast expects; of what it does not have, the rate of the
    last eight weeks.
    """
    held = _recorded(store, products, end)
    for id, product in store.products([id for id in products if id not in held]).items():
        for name in _COUNTS:
            value = product.attributes.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                held[id] = float(value)
                break
    if not held:
        return {}
    since = to_micros(moment - timedelta(days=_DAYS))
    lately = history.purchases.filter((pl.col("time") >= since) & (pl.col("time") < to_micros(moment)))
    mine = lately.join(pl.DataFrame({"product": list(held)}), on="product", how="semi")
    sold = dict(mine.group_by("product").agg(pl.col("quantity").fill_null(1.0).sum()).iter_rows())
    days = max(0.0, (end - moment).total_seconds() / 86_400)
    usual = {id: sold.get(id, 0.0) / _DAYS * days for id in held}
    demand = usual | expected(store, held, moment, end)
    return {id: max(0.0, units - demand[id]) for id, units in held.items()}


def _recorded(store: Store, products: Sequence[str], end: datetime) -> dict[str, float]:
    """product -> on hand over all places, and on order where it is known to come before the end."""
    rows = stock(store).filter(pl.col("product").is_in(list(products)))
    shelves = rows.unique(["product", "location"], keep="first", maintain_order=True)
    coming = rows.filter((pl.col("due") != "") & (pl.col("due") < f"{end:%Y-%m-%d}"))
    units = pl.concat([shelves.select("product", units="on_hand"), coming.select("product", units="on_order")])
    return dict(units.group_by("product").agg(pl.col("units").sum()).iter_rows())
