"""How much to order: the quantity of least expected cost over demand drawn from the forecast.

An order placed at the end of a period is in use after `lead` whole periods; the next one, `review` periods later, after
`lead + review`. So it decides about the `review` periods after the lead time, and must reckon with what is sold, and
what sales are lost, before it arrives. Its cost is what is left over at each period's end times the holding cost, and
each unit of missed demand times the shortage cost. With one period of review the least cost is where the chance of
having enough is shortage / (shortage + holding): the newsvendor's quantile (Arrow, Harris & Marschak 1951).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.special import ndtri

from shelfwise.plan.demand.quantiles import LEVELS

Array = np.ndarray[Any, Any]

_PATHS = 256
_TOGETHER = 0.35  # correlation of a product's demand between periods, given the forecast
#: Of a shortage cost what is reckoned with. Lost demand need not be ordered again, which the cost of one order's span
#: does not see, and the forecast's upper quantiles are its least certain; chosen on real and drawn shops.
RECKONED = 0.75
_TRIED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.84, 0.88, 0.91, 0.94, 0.96, 0.98, 0.99)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """All [n]. quantity ≥ 0; level: the order-up-to level in stock terms; stockout: the chance of missing demand before
    this order's arrival; shortage: that of missing some while it must last; ordered: expected cost with it."""

    quantity: Array
    level: Array
    stockout: Array
    shortage: Array
    cost: Array
    cost_without: Array


@cache
def _ranks(periods: int) -> Array:
    """Ranks of the paths drawn, the same for every product: [paths, periods], each evenly spread over 0 … 1."""
    from scipy.stats import qmc  # takes a second to import, which every start of a server would wait for

    points = qmc.Sobol(periods + 1, scramble=True, seed=7).random(_PATHS)
    normal = ndtri(np.clip(points, 1e-4, 1 - 1e-4))
    together = np.sqrt(_TOGETHER) * normal[:, :1] + np.sqrt(1 - _TOGETHER) * normal[:, 1:]
    ranks = np.argsort(np.argsort(together, axis=0), axis=0)
    return np.asarray((ranks + 0.5) / _PATHS)


def paths(quantiles: Array, *, whole: bool = True) -> Array:
    """Demand drawn from quantiles [n, periods, levels]: [n, paths, periods]. whole: in pieces."""
    n, periods, _ = quantiles.shape
    levels = np.array([0.0, *LEVELS, 1.0])
    low = np.maximum(2 * quantiles[..., :1] - quantiles[..., 1:2], 0.0)
    high = quantiles[..., -1:] + 1.2 * (quantiles[..., -1:] - quantiles[..., -2:-1])
    full = np.concatenate([np.minimum(low, quantiles[..., :1]), quantiles, high], axis=-1)
    ranks = _ranks(periods)
    out = np.empty((n, _PATHS, periods))
    for p in range(periods):
        j = np.clip(np.searchsorted(levels, ranks[:, p], side="right") - 1, 0, len(levels) - 2)
        part = (ranks[:, p] - levels[j]) / (levels[j + 1] - levels[j])
        out[:, :, p] = full[:, p, j] * (1 - part) + full[:, p, j + 1] * part
    return np.asarray(np.rint(out)) if whole else out


def before_arrival(demand: Array, on_hand: Array, due: Array, lead: int) -> tuple[Array, Array]:
    """Stock when the order arrives, with what is due then, on each path, and whether demand was missed until then."""
    stock = np.repeat(on_hand[:, None].astype(float), demand.shape[1], axis=1)
    missed = np.zeros(stock.shape, dtype=bool)
    for p in range(lead):
        stock = stock + due[:, p, None] - demand[:, :, p]
        missed |= stock < -1e-9
        stock = np.maximum(stock, 0.0)
    return stock, missed


def decide(
    quantiles: Array,
    on_hand: Array,
    due: Array,
    *,
    lead: int,
    review: int,
    holding: Array,
    shortage: Array,
    pack: Array | None = None,
    minimum: Array | None = None,
    whole: bool = True,
) -> Decision:
    """What to order of each product now.

    quantiles: [n, lead + review, levels] of demand in each period ahead. due: [n, lead + review] what arrives in each.
    holding, shortage: [n] cost of a unit left over at a period's end, and of one missed. pack, minimum: [n].
    """
    parts = [
        _decide(
            quantiles[rows], on_hand[rows], due[rows], lead, review, holding[rows], shortage[rows],
            None if pack is None else pack[rows], None if minimum is None else minimum[rows], whole,
        )
        for rows in (slice(start, start + 1_000) for start in range(0, max(len(quantiles), 1), 1_000))
    ]  # fmt: skip
    return Decision(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def _decide(
    quantiles: Array, on_hand: Array, due: Array, lead: int, review: int, holding: Array, shortage: Array,
    pack: Array | None, minimum: Array | None, whole: bool,
) -> Decision:  # fmt: skip
    demand = paths(quantiles, whole=whole)
    stock, missed = before_arrival(demand, on_hand, due, lead)
    later = demand[:, :, lead:]
    coming = due[:, lead:]
    need = np.maximum((later.cumsum(2) - coming.cumsum(1)[:, None, :]).max(2) - stock, 0.0)
    tried = np.quantile(need, _TRIED, axis=1, method="inverted_cdf").T
    if whole:
        tried = np.ceil(tried - 1e-9)
    tried = np.concatenate([np.zeros((len(tried), 1)), tried], axis=1)
    if minimum is not None:
        tried = np.where(tried > 0, np.maximum(tried, minimum[:, None]), 0.0)
    if pack is not None:
        packs = tried / np.maximum(pack, 1e-9)[:, None]
        # Both the packs below and above are tried.
        down, up = np.floor(packs + 1e-9) * pack[:, None], np.ceil(packs - 1e-9) * pack[:, None]
        if minimum is not None:
            down = np.where(down >= minimum[:, None] - 1e-9, down, up)
        tried = np.concatenate([down, up], axis=1)
    cost, risk = np.empty(tried.shape), np.empty(tried.shape)
    for j in range(tried.shape[1]):
        level = stock + tried[:, j, None]
        over, short = np.zeros(stock.shape), np.zeros(stock.shape)
        for r in range(review):
            level = level + coming[:, r, None] - later[:, :, r]
            short += np.maximum(-level, 0.0)
            level = np.maximum(level, 0.0)
            over += level
        cost[:, j] = holding * over.mean(1) + shortage * short.mean(1)
        risk[:, j] = (short > 1e-9).mean(1)
    best = cost.argmin(1)
    rows = np.arange(len(best))
    quantity = tried[rows, best]
    position = on_hand + due.sum(1)
    return Decision(
        quantity=quantity,
        level=position + quantity,
        stockout=missed.mean(1),
        shortage=risk[rows, best],
        cost=cost[rows, best],
        cost_without=cost[rows, tried.argmin(1)],
    )
