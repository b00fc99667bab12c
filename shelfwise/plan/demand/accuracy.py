"""How the forecast has done so far: the last weeks as they would have been forecast, against what came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from shelfwise.errors import NotEnoughData
from shelfwise.plan.demand.model import Forecast
from shelfwise.plan.demand.panel import Panel
from shelfwise.plan.demand.quantiles import quantile_at


@dataclass(frozen=True, kw_only=True)
class Missed:
    """A product's units in all weeks together."""

    product: str
    expected: float
    came: float


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """starts, expected, came: each week's start, units expected (the mean) and sold, of all products that were
    forecast. bias: (expected − came) / came. wape: sum of |median − came| by product and week, over came. cover: share
    of product weeks within the interval of 80%. misses: the products furthest off, furthest first."""

    starts: list[date]
    expected: list[float]
    came: list[float]
    bias: float
    wape: float
    cover: float
    products: int
    misses: list[Missed]


def compare(panel: Panel, past: Panel, made: Forecast, weeks: int, *, most: int = 10) -> Accuracy:
    """panel: the record as it is now; past: as it was `weeks` weeks ago; made: the forecast from then, of its products.

    Weeks taken for an empty shelf are left out of both sums. Raises NotEnoughData where nothing can be compared."""
    rows = {product: i for i, product in enumerate(panel.ids)}
    known = np.array([i for i, product in enumerate(past.ids) if product in rows], dtype=int)
    if not len(known):
        raise NotEnoughData("no product of the weeks before is in the record")
    came = panel.y[[rows[past.ids[i]] for i in known], -weeks:].astype(float)
    seen = np.isfinite(came)
    total = float(came[seen].sum())
    if not seen.any() or total <= 0:
        raise NotEnoughData("nothing was sold in the last weeks")
    mean, quantiles = made.mean[known, :weeks], made.quantiles[known, :weeks]
    middle, low, high = (quantile_at(quantiles, level) for level in (0.5, 0.1, 0.9))
    inside = (low - 1e-9 <= came) & (came <= high + 1e-9)
    by_product = np.where(seen, mean, 0.0).sum(1), np.where(seen, came, 0.0).sum(1)
    furthest = np.argsort(-np.abs(by_product[0] - by_product[1]), kind="stable")[:most]
    return Accuracy(
        starts=[panel.date_of(panel.periods - weeks + week) for week in range(weeks)],
        expected=np.where(seen, mean, 0.0).sum(0).tolist(),
        came=np.where(seen, came, 0.0).sum(0).tolist(),
        bias=float(mean[seen].sum()) / total - 1,
        wape=float(np.abs(middle - came)[seen].sum()) / total,
        cover=float(inside[seen].mean()),
        products=len(known),
        misses=[
            Missed(product=past.ids[known[i]], expected=float(by_product[0][i]), came=float(by_product[1][i]))
            for i in furthest
        ],
    )
