"""Features that belong to no source: they describe the question or the product."""

from __future__ import annotations

import numpy as np

from shelfwise.engine.context import Context
from shelfwise.engine.retrieve.source import Candidates
from shelfwise.engine.retrieve.sources import SOURCES
from shelfwise.models.sequences import DAY, Floats

DESCRIPTIVE: tuple[str, ...] = (
    "price_gap",  # log of price over the history's median price, 0 unknown
    "history",  # log(1 + events known)
    "idle",  # log(1 + days since the newest event)
)
_PAID = 50  # newest events whose prices are the usual ones


def names() -> tuple[str, ...]:
    """Every feature, in the order of the ranker's columns: the sources', then the descriptive ones."""
    owned = [name for source in SOURCES for name in source.features]
    return (*owned, *DESCRIPTIVE)


def describe(context: Context, candidates: Candidates, columns: Floats) -> None:
    """Fill float32 [len(DESCRIPTIVE), c]."""
    view, items = context.view, context.items
    if not len(items):
        return
    paid = view.price[items[-_PAID:]]
    paid = paid[paid > 0]
    if len(paid):
        paid.sort()
        price = view.price[candidates.rows]
        usual = (paid[(len(paid) - 1) // 2] + paid[len(paid) // 2]) / 2
        gap = np.log(np.where(price > 0, price, 1) / usual)
        columns[0] = np.where(price > 0, gap, 0)
    columns[1] = np.log1p(len(items))
    columns[2] = np.log1p(max(context.now - int(context.times[-1]), 0) / DAY)
