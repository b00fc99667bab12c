"""Popularity: what everybody buys, with yesterday counting more than last month.

The weight of a product is Σ 2^(-age / half life) over the days on which a customer turned to it (one customer, one
product, one day counts once, so that neither a bot nor a crate of forty shifts it). The keenest customer of a product
counts one day of all theirs: what one buyer takes each morning is not what everybody buys. The half life is chosen
among a few on validation. Beside it stand the counts of the last week and day and the order within each category.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from shelfwise.models.recommender import Items, Progress
from shelfwise.models.sequences import DAY, Floats, Ints, Longs, Sequences, distinct

WEEK = 7 * DAY
#: Days. Infinity counts all the past alike, which is also what data without real times needs.
HALF_LIVES: tuple[float, ...] = (3.0, 7.0, 14.0, 30.0, 90.0, float("inf"))
_CUT = 20  # how deep a list of popular products is judged on validation


class Popularity:
    """A `Recommender` that gives everyone the same answer.

    half_life: days; None chooses among `HALF_LIVES` on validation (14 without a validation).

    After `fit`, each [n_items]:
    weight: float32, decayed count of customer-days, as of the last event.
    week:   float32, count of customer-days in the last seven days. day: in the last one.
    ever:   float32, count of all customer-days.
    order:  int32, products best first.
    """

    name = "popularity"

    def __init__(self, *, half_life: float | None = None) -> None:
        self.half_life = half_life
        self.time = 0
        self.weight: Floats = np.empty(0, np.float32)
        self.week: Floats = np.empty(0, np.float32)
        self.day: Floats = np.empty(0, np.float32)
        self.ever: Floats = np.empty(0, np.float32)
        self.order: Ints = np.empty(0, np.int32)
        self._category: Ints = np.empty(0, np.int32)
        self._starts: Longs = np.zeros(1, np.int64)
        self._grouped: Ints = np.empty(0, np.int32)

    def fit(
        self,
        train: Sequences,
        items: Items,
        *,
        validation: Sequences | None = None,
        progress: Progress | None = None,
    ) -> Self:
        item, time, pairs = _customer_days(train)
        self.time = int(time.max()) if len(time) else 0
        half_life = self.half_life
        if half_life is None:
            half_life = 14.0
            if validation is not None and validation.rows:
                weights = [self._decayed(item, time, pairs, each, items.n) for each in HALF_LIVES]
                wanted = _wanted(train, validation, items.n)
                merits = [_merit(weight, *wanted) for weight in weights]
                half_life = HALF_LIVES[int(np.argmax(merits))]
        self.half_life = half_life
        self.weight = self._decayed(item, time, pairs, half_life, items.n)
        self.week, self.day = (
            _crowd(item, (self.time - time < span).astype(np.float64), pairs, items.n) for span in (WEEK, DAY)
        )
        self.ever = _crowd(item, np.ones(len(item)), pairs, items.n)
        self._category = np.full(items.n, -1, np.int32) if items.category is None else items.category
        self._arrange()
        if progress:
            progress(1, 1, f"popularity: half life {half_life:g} days")
        return self

    def scores(self, histories: Sequences, *, now: Longs | None = None) -> Floats:  # noqa: ARG002 - as said below
        """The weights, the same row for each history: time fades all of them alike, so `now` changes no order."""
        row = np.where(self.weight > 0, self.weight, -np.inf).astype(np.float32)
        return np.tile(row, (len(histories), 1))

    def in_category(self, code: int) -> Ints:
        """Products of a category (a code of `Items.category`), best first."""
        if not 0 <= code < len(self._starts) - 1:
            return self._grouped[:0]
        return self._grouped[self._starts[code] : self._starts[code + 1]]

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Everything learned, as arrays for a bundle."""
        return {
            "weight": self.weight,
            "week": self.week,
            "day": self.day,
            "ever": self.ever,
            "category": self._category,
            "half_life": np.array([self.half_life or 0.0], np.float64),
            "time": np.array([self.time], np.int64),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        model = cls(half_life=float(tensors["half_life"][0]))
        model.time = int(tensors["time"][0])
        model.weight, model.week = tensors["weight"], tensors["week"]
        model.ever = tensors.get("ever", model.weight)  # older bundles have none, nor of the day
        model.day = tensors.get("day", np.zeros_like(model.week))
        model._category = tensors["category"]
        model._arrange()
        return model

    def _decayed(self, item: Ints, time: Longs, pairs: Longs, half_life: float, n: int) -> Floats:
        return _crowd(item, np.exp2((time - self.time) / (half_life * DAY)), pairs, n)

    def _arrange(self) -> None:
        self.order = np.argsort(-self.weight, kind="stable").astype(np.int32)
        grouped = self.order[np.argsort(self._category[self.order], kind="stable")]
        self._grouped = grouped[self._category[grouped] >= 0]
        sizes = np.bincount(self._category[self._grouped])
        self._starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)


def _customer_days(train: Sequences) -> tuple[Ints, Longs, Longs]:
    """One row a (customer, product, day): product and the time of its first event that day; and where the rows of each
    pair of customer and product begin."""
    owner = np.repeat(np.arange(len(train)), train.lengths())
    order = np.lexsort((train.time, train.item, owner))
    owner, item, time = owner[order], train.item[order], train.time[order]
    day = time // DAY
    pair = np.ones(len(item), bool)
    pair[1:] = (owner[1:] != owner[:-1]) | (item[1:] != item[:-1])
    first = pair.copy()
    first[1:] |= day[1:] != day[:-1]
    return item[first], time[first], np.flatnonzero(pair[first])


def _crowd(item: Ints, weight: npt.NDArray[np.float64], pairs: Longs, n: int) -> Floats:
    """Sum of weights by product, float32 [n], the keenest customer's rows counting as the heaviest of them."""
    total = np.bincount(item, weight, minlength=n).astype(np.float64)
    if len(pairs):
        beyond = np.add.reduceat(weight, pairs) - np.maximum.reduceat(weight, pairs)
        most = np.zeros(n)
        np.maximum.at(most, item[pairs], beyond)
        total -= most
    return np.maximum(total, 0).astype(np.float32)


def _wanted(train: Sequences, validation: Sequences, n: int) -> tuple[Longs, Longs]:
    """Customer and product [m] of what each bought next and had not before; of all they bought if nothing was new."""
    owner = np.repeat(np.arange(len(validation), dtype=np.int64), validation.lengths())
    bought = distinct(owner * n + validation.item)
    before = np.repeat(np.arange(len(train), dtype=np.int64), train.lengths()) * n + train.item
    new = bought[~np.isin(bought, before)]
    return np.divmod(new if len(new) else bought, n)


def _merit(weight: Floats, owner: Longs, item: Longs) -> float:
    """Mean over customers of the NDCG of the most popular products against what each wanted (`_wanted`)."""
    n = len(weight)
    discount = np.zeros(n)
    best = np.argsort(-weight, kind="stable")[:_CUT]
    gains = 1 / np.log2(np.arange(2, len(best) + 2))
    discount[best] = gains
    relevant = np.bincount(owner)
    gained = np.bincount(owner, discount[item])
    ideal = np.cumsum(gains)[np.clip(relevant, 1, len(best)) - 1]
    return float((gained / ideal)[relevant > 0].mean())
