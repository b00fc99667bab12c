"""How far a product is to a shopper's liking: by what they turned to, and by what the engine would show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shelfwise.catalogue.products import ProductsView
from shelfwise.models.sequences import Floats, Ints
from shelfwise.search.retrieve.dense import Nearest

_RECENT = 50  # newest events that count
_HALF = 10  # events after which one counts half
_WEIGHTS = {"brand": 0.25, "category": 0.25, "alike": 0.25, "engine": 0.25}


@dataclass(frozen=True, slots=True)
class Taste:
    """products: ids the shopper turned to, oldest first. liked: what the engine would recommend, id → 0 to 1."""

    products: Sequence[str] = ()
    liked: Mapping[str, float] | None = None


def liking(taste: Taste, view: ProductsView, texts: Nearest, rows: Ints) -> Floats:
    """float32 [m] from 0 to 1 for rows [m]: shares of the brand and the category in what they turned to (newer events
    count more), likeness to the last five products, and the engine's own order."""
    total = np.zeros(len(rows), np.float32)
    known = [row for product in taste.products[-_RECENT:] if (row := view.row(product)) is not None]
    if known:
        past = np.array(known, np.int32)
        weights = 0.5 ** (np.arange(len(past))[::-1] / _HALF)
        for name, codes in (("brand", view.brand), ("category", view.category)):
            there = codes[past] >= 0
            if there.any():
                share = np.zeros(int(codes[past].max()) + 2, np.float32)
                np.add.at(share, codes[past][there], weights[there])
                share /= weights.sum()
                here = codes[rows]
                total += _WEIGHTS[name] * np.where(
                    (here >= 0) & (here < len(share) - 1), share[np.clip(here, 0, len(share) - 1)], 0
                )
        mean = texts.mean(past[-5:])
        if mean is not None:
            total += _WEIGHTS["alike"] * np.clip(texts.cosines(mean, rows), 0, 1)
    if taste.liked:
        liked = taste.liked
        total += _WEIGHTS["engine"] * np.fromiter(
            (liked.get(view.ids[row], 0.0) for row in rows.tolist()), np.float32, len(rows)
        )
    return total.astype(np.float32)
