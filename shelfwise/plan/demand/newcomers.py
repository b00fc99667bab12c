"""Products without sales: as products of the same category began."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from shelfwise.plan.demand.panel import Panel
from shelfwise.plan.demand.quantiles import LEVELS

Array = np.ndarray[Any, Any]
_FEWEST = 10  # beginnings to judge a category by


def by_analogy(panel: Panel, catalogue: pl.DataFrame, products: list[str], horizon: int) -> tuple[Array, Array]:
    """Quantiles [n, horizon, levels] and mean [n, horizon] of the first periods of products that began in the record.

    catalogue: id, product_type. A product is likened to those of its own category path, else of a level above, else to
    all. That these sold at all makes the answer somewhat high; it is wide."""
    paths = dict(zip(catalogue["id"], catalogue["product_type"].fill_null(""), strict=True))
    began = np.isfinite(panel.y).argmax(1)
    fresh = np.flatnonzero((began >= 2) & (panel.periods - began >= 3))
    if not len(fresh):
        fresh = np.arange(len(panel))
    reach = min(horizon, 13)
    # From the period after the first sale, which was there by choice of what is looked at.
    curves = np.full((len(fresh), reach), np.nan)
    for j, i in enumerate(fresh):
        part = panel.y[i, began[i] + 1 : began[i] + 1 + reach]
        curves[j, : len(part)] = part
    groups: dict[str, list[int]] = {}
    for j, i in enumerate(fresh):
        for level in _levels(paths.get(panel.ids[i], "")):
            groups.setdefault(level, []).append(j)
    quantiles = np.zeros((len(products), horizon, len(LEVELS)))
    mean = np.zeros((len(products), horizon))
    made: dict[str, tuple[Array, Array]] = {}
    for n, product in enumerate(products):
        levels = _levels(paths.get(product, ""))
        level = next((one for one in levels if len(groups.get(one, ())) >= _FEWEST), "")
        if level not in made:
            made[level] = _curve(curves[groups.get(level) or slice(None)])
        q, m = made[level]
        last = np.minimum(np.arange(horizon), len(m) - 1)
        quantiles[n], mean[n] = q[last], m[last]
    return quantiles, mean


def _levels(path: str) -> list[str]:
    """From the whole path up to "", which is everything."""
    parts = path.split(" > ") if path else []
    return [" > ".join(parts[:n]) for n in range(len(parts), -1, -1)]


def _curve(curves: Array) -> tuple[Array, Array]:
    quantiles = np.zeros((curves.shape[1], len(LEVELS)))
    mean = np.zeros(curves.shape[1])
    for h in range(curves.shape[1]):
        known = curves[:, h][np.isfinite(curves[:, h])]
        if len(known):
            quantiles[h] = np.quantile(known, LEVELS)
            mean[h] = known.mean()
        elif h:
            quantiles[h], mean[h] = quantiles[h - 1], mean[h - 1]
    return quantiles, mean
