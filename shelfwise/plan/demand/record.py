"""A shop's record as a panel of sales: purchases of each product by day or week, silence as 0 or as not in stock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from shelfwise.errors import NotEnoughData
from shelfwise.plan.demand.panel import FREQUENCIES, Panel
from shelfwise.schema import Availability
from shelfwise.store import Store

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A silence that sales before make less likely than this is taken for an empty shelf.
IMPLAUSIBLE = 1e-4
_MOST_PERIODS = {"day": 730, "week": 157}


def sales_panel(
    store: Store, *, frequency: str = "week", until: datetime | None = None, sold: pl.DataFrame | None = None
) -> Panel:
    """Units sold of each product in whole days or weeks up to `until`, from its first sale on. sold: what
    `store.units_by_day` gave, where it was read already. Raises NotEnoughData.

    The last period ends with the last whole day before `until`, or before the record's last purchase. Static facts:
    category (number), price. A long silence (IMPLAUSIBLE; or the product is not in stock now) is unknown, not 0.
    """
    sold = store.units_by_day() if sold is None else sold
    if until is not None:
        sold = sold.filter(pl.col("day") <= (until - _EPOCH) // timedelta(days=1))
    if sold.is_empty():
        raise NotEnoughData("no purchase is in the record; load some with `shelfwise load events`")
    step = FREQUENCIES[frequency][0]
    newest = sold["day"].max()
    assert isinstance(newest, int)
    # The day of the newest purchase may not be over; a day asked for by `until` is.
    end = newest if until is None else min(newest + 1, (until - _EPOCH) // timedelta(days=1))
    sold = sold.filter(pl.col("day") < end)
    if sold.is_empty():
        raise NotEnoughData("the record holds less than one whole day of purchases")
    sold = sold.with_columns(back=(end - 1 - pl.col("day")) // step)
    back = sold["back"].max()
    assert isinstance(back, int)
    periods = min(back + 1, _MOST_PERIODS[frequency])
    if periods > 1 and back < _MOST_PERIODS[frequency] and (end - sold["day"].min()) % step:  # type: ignore[operator]
        periods -= 1  # the oldest period is not whole
    sold = sold.filter(pl.col("back") < periods)
    ids = sold["product"].unique().sort()
    row = sold["product"].replace_strict(ids, pl.int_range(len(ids), eager=True)).to_numpy()
    y = np.zeros((len(ids), periods), dtype=np.float32)
    np.add.at(y, (row, periods - 1 - sold["back"].to_numpy()), sold["quantity"].to_numpy())
    began = (y > 0).argmax(1)
    y[np.arange(periods) < began[:, None]] = np.nan
    products = pl.DataFrame({"id": ids}).join(
        store.products_frame().select("id", "product_type", "price", "availability"), on="id", how="left"
    )
    away = products["availability"].fill_null(Availability.IN_STOCK).is_in([str(Availability.OUT_OF_STOCK)]).to_numpy()
    y, masked = without_silence(y, away)
    static = {}
    categories = products["product_type"].fill_null("").str.split(" > ").list.first()
    if categories.n_unique() > 1:
        static["category"] = categories.rank("dense").cast(pl.Float32).to_numpy()
    prices = products["price"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    if np.isfinite(prices).any():
        static["price"] = prices
    notes = (f"{masked:,} periods without a sale are taken for an empty shelf",) if masked else ()
    return Panel(
        ids=tuple(ids),
        y=y,
        start=date(1970, 1, 1) + timedelta(days=int(end) - periods * step),
        frequency=frequency,
        season=FREQUENCIES[frequency][1],
        static=static,
        notes=notes,
    )


def without_silence(y: np.ndarray, away: np.ndarray) -> tuple[np.ndarray, int]:
    """Silences too long to be chance become NaN; how many periods. y: [n, T]; away: [n], not in stock now.

    The chance of a silence of r periods is (share of periods without a sale before it)^r, as that share was over the
    last 26 known periods; a silence counts when sales followed, or when the product is not in stock now."""
    y = y.copy()
    n, periods = y.shape
    lately = np.full(n, np.nan)  # share of periods without a sale, before the silence
    run = np.zeros(n, dtype=int)
    masked = 0
    for t in range(periods + 1):
        ended = (np.nan_to_num(y[:, t]) > 0) if t < periods else away
        with np.errstate(invalid="ignore"):
            unlikely = ended & (run > 0) & (np.maximum(lately, 0.02) ** run < IMPLAUSIBLE)
        for i in np.flatnonzero(unlikely):
            y[i, t - run[i] : t] = np.nan
            masked += int(run[i])
        if t == periods:
            break
        sold = np.nan_to_num(y[:, t]) > 0
        known = np.isfinite(y[:, t])
        settled = sold & known
        run = np.where(sold, 0, np.where(known, run + 1, 0))
        window = y[:, max(0, t - 25) : t + 1]
        count = np.isfinite(window).sum(1)
        share = ((window == 0).sum(1) + 0.5) / np.maximum(count + 1, 1)
        lately = np.where(settled & (count >= 6), share, lately)
    return y, masked
