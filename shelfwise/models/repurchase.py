"""Repurchase: what a customer buys time and again, how often, how lately, and whether it is due.

    score = Σ 2^(-age / half life) + ε · 2^(-age of the newest / 30 days)   over the days of the product

With an endless half life this is plain personal frequency, ties going to the most recent. A product that comes in a
rhythm (bread each week, coffee each month) is further weighed by how its time since the last purchase compares with its
mean gap: little just after a purchase, much when due, less again when long given up. Half life and the strength of the
rhythm are chosen on validation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, ClassVar, Self

import numba
import numpy as np
import numpy.typing as npt

from shelfwise.models.durables import waits
from shelfwise.models.kernels import gained
from shelfwise.models.recommender import Items, Progress
from shelfwise.models.sequences import DAY, Floats, Ints, Longs, Sequences, among, distinct
from shelfwise.schema import EventType

#: Days.
HALF_LIVES: tuple[float, ...] = (30.0, 60.0, 90.0, 180.0, 360.0, float("inf"))
#: Strength of the rhythm: 0 ignores it.
RHYTHMS: tuple[float, ...] = (0.0, 0.25, 0.5)
_TIE = 1e-3  # weight of recency against frequency: it only breaks ties
_CUT = 12
_BELIEVED = 10  # of a product's days, that count as much as what is usual
_TIME_BITS = 36  # of the seconds since 1970, enough for two thousand years


class Repurchase:
    """A `Recommender` of what the customer had before; everything else scores -inf.

    half_life: days, rhythm: 0 to 1; None chooses on validation (without one: no decay, no rhythm).
    """

    name = "repurchase"
    #: Columns of `features`. Days unless said: log counts; see `features`.
    FEATURES: ClassVar[tuple[str, ...]] = (
        "count", "count_30", "count_90", "days_since", "mean_gap", "due", "share", "again", "days", "size",
    )  # fmt: skip

    def __init__(self, *, half_life: float | None = None, rhythm: float | None = None) -> None:
        self.half_life = half_life
        self.rhythm = rhythm
        self.time = 0
        self.n = 0
        #: Days that what was bought waits, by product [n] and by category (a code of `Items.category`): durables.py.
        self.item_wait: Floats = np.zeros(0, np.float32)
        self.category_wait: Floats = np.zeros(0, np.float32)
        #: By product [n]: of the days on which a customer bought it the share whose next day has it again.
        self.again: Floats = np.zeros(0, np.float32)

    def fit(
        self,
        train: Sequences,
        items: Items,
        *,
        validation: Sequences | None = None,
        progress: Progress | None = None,
    ) -> Self:
        self.n = items.n
        self.time = int(train.time.max()) if train.rows else 0
        halves = HALF_LIVES if self.half_life is None else (self.half_life,)
        rhythms = RHYTHMS if self.rhythm is None else (self.rhythm,)
        best = (halves[-1], rhythms[0])
        if validation is not None and validation.rows and len(halves) * len(rhythms) > 1:
            active = np.flatnonzero((validation.lengths() > 0) & (train.lengths() > 0))
            rows = _rows(train.select(active))
            wanted = _wanted(validation.select(active), self.n)
            now = int(validation.time.min())
            choices = list(product(halves, rhythms))
            merits = [_merit(rows, _weigh(rows, now, *choice), wanted, self.n) for choice in choices]
            best = choices[int(np.argmax(merits))]
        self.half_life, self.rhythm = best
        self._learn_waits(train, items)
        if progress:
            progress(1, 1, f"repurchase: half life {best[0]:g} days, rhythm {best[1]:g}")
        return self

    def _learn_waits(self, train: Sequences, items: Items) -> None:
        bought = train.kind == EventType.PURCHASE.code
        owner = np.repeat(np.arange(len(train), dtype=np.int64), train.lengths())[bought]
        item, time = train.item[bought], train.time[bought]
        self.again = _again(owner, item, time, items.n)
        self.item_wait = waits(owner, item, time, np.arange(items.n, dtype=np.int32), items.n)
        categories = 0 if items.category is None else len(items.category_names)
        if items.category is not None and categories:
            self.category_wait = waits(owner, item, time, items.category, categories)

    def held(self, items: Ints, times: Longs, now: int, categories: Ints) -> tuple[Ints, Ints]:
        """Of what was bought (items, times: [m]) the products, and their categories, that are not bought again yet.

        categories: of the products, [m], -1 unknown. Products that came after learning go by their category."""
        if not self._any_waits:
            return np.empty(0, np.int32), np.empty(0, np.int32)
        since = np.maximum(now - times, 0) / DAY
        by_category = np.zeros(len(items), np.bool_)
        known = (categories >= 0) & (categories < len(self.category_wait))
        by_category[known] = since[known] < self.category_wait[categories[known]]
        by_item = by_category.copy()
        known = items < len(self.item_wait)
        by_item[known] |= since[known] < self.item_wait[items[known]]
        return np.unique(items[by_item]), np.unique(categories[by_category])

    @cached_property
    def _any_waits(self) -> bool:
        return bool(self.item_wait.any() or self.category_wait.any())

    def scores(self, histories: Sequences, *, now: Longs | None = None) -> Floats:
        result = np.full((len(histories), self.n), -np.inf, np.float32)
        rows = _rows(histories)
        times = np.full(len(histories), self.time, np.int64) if now is None else now
        half_life, rhythm = self._fitted()
        result[rows.owner, rows.item] = _weigh(rows, times[rows.owner], half_life, rhythm)
        return result

    def of(self, items: Ints, times: Longs, now: int) -> tuple[Ints, Floats]:
        """One history (any order): the distinct products (int32 [m], ascending) and their scores (float32 [m])."""
        rows = _one(items, times)
        half_life, rhythm = self._fitted()
        return rows.item, _weigh(rows, now, half_life, rhythm)

    def features(self, items: Ints, times: Longs, now: int) -> tuple[Ints, Floats]:
        """One history: the distinct products (int32 [m], ascending) and float32 [m, len(FEATURES)]:

        count:      log(1 + days on which the customer turned to the product)
        count_30:   log(1 + that count decayed with a half life of 30 days); count_90: of 90 days
        days_since: log(1 + days since the newest)
        mean_gap:   log(1 + mean days between), 0 where there was one only
        due:        log of days since the newest over the mean gap (clipped to ±3), 0 where there was one only
        share:      the product's days over all days of the customer
        again:      how often anybody who bought it has it again on their next day with a purchase
        days, size: log of the customer's days, and of the mean number of products on one
        """
        rows, _, features = self.score_history(items, times, now)
        return rows, features

    def score_history(self, items: Ints, times: Longs, now: int) -> tuple[Ints, Floats, Floats]:
        """`of` and `features` together: the distinct products, their scores and their features."""
        half_life, rhythm = self._fitted()
        days = len(distinct(times // DAY))
        return _scored(_ordered(items, times), days, now, half_life, rhythm, self.again)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Everything learned, as arrays for a bundle."""
        return {
            "fitted": np.array(self._fitted(), np.float64),
            "shape": np.array([self.n, self.time], np.int64),
            "item_wait": self.item_wait,
            "category_wait": self.category_wait,
            "again": self.again,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        half_life, rhythm = tensors["fitted"].tolist()
        model = cls(half_life=half_life, rhythm=rhythm)
        model.n, model.time = (int(value) for value in tensors["shape"])
        if "item_wait" in tensors:  # older bundles have none
            model.item_wait, model.category_wait = tensors["item_wait"], tensors["category_wait"]
        model.again = tensors.get("again", model.again)
        return model

    def _fitted(self) -> tuple[float, float]:
        return float("inf") if self.half_life is None else self.half_life, self.rhythm or 0.0


@dataclass(frozen=True, slots=True)
class _Rows:
    """Distinct (customer, product) pairs, by customer then product, with the days of each.

    owner, item, count: [m]. first, last: seconds [m]. day: seconds of every day's first event; pair j owns those
    from start[j] on.
    """

    owner: Longs
    item: Ints
    count: Longs
    first: Longs
    last: Longs
    day: Longs
    start: Longs

    def gap(self) -> npt.NDArray[np.float64]:
        """Mean days between purchases, 0 where there was one only."""
        return (self.last - self.first) / DAY / np.maximum(self.count - 1, 1)

    def decayed(self, now: npt.NDArray[np.int64] | int, half_life: float) -> npt.NDArray[np.float64]:
        """Count of days, each fading with its age at `now` (seconds, for all or of each pair)."""
        if not len(self.day):
            return np.zeros(0)
        when = now if isinstance(now, int) else np.repeat(now, self.count)
        fading: npt.NDArray[np.float64] = np.exp2(np.minimum(self.day - when, 0) / (half_life * DAY))
        return np.add.reduceat(fading, self.start)


def _rows(histories: Sequences) -> _Rows:
    return _group(np.repeat(np.arange(len(histories)), histories.lengths()), histories.item, histories.time)


def _ordered(items: Ints, times: Longs) -> Longs:
    """Product and time in one number each, sorted."""
    key = (items.astype(np.int64) << _TIME_BITS) + times
    key.sort()
    return np.asarray(key, np.int64)


@numba.njit(cache=True, nogil=True)
def _scored(
    key: Longs, days: int, now: int, half_life: float, rhythm: float, again: Floats
) -> tuple[Ints, Floats, Floats]:
    """One history's distinct products int32 [m], their scores float32 [m] and `FEATURES` float32 [m, 10], in one pass
    over `_ordered`; a day counts once. What `_weigh` and the definitions of `features` say, for one customer.

    days: on which the customer turned to anything."""
    rows = len(key)
    item, scores, table = np.empty(rows, np.int32), np.empty(rows, np.float32), np.zeros((10, rows), np.float32)
    m, at, pairs = 0, 0, 0
    while at < rows:
        product = key[at] >> _TIME_BITS
        count, day, first, last = 0, np.int64(-1), np.int64(0), np.int64(0)
        weight, month, quarter = 0.0, 0.0, 0.0
        while at < rows and key[at] >> _TIME_BITS == product:
            time = key[at] & ((1 << _TIME_BITS) - 1)
            at += 1
            if time // DAY == day:
                continue
            day = time // DAY
            age = max(now - int(time), 0) / DAY
            first, last, count = (time if count == 0 else first), time, count + 1
            weight += 2.0 ** (-age / half_life)
            month += 2.0 ** (-age / 30)
            quarter += 2.0 ** (-age / 90)
        since = max(now - int(last), 0) / DAY
        gap = (last - first) / DAY / max(count - 1, 1)
        weight += _TIE * 2.0 ** (-since / 30)
        if rhythm and gap > 0:
            weight *= math.exp(-rhythm * abs(math.log((since + 1) / (gap + 1))))
        item[m], scores[m] = product, weight
        table[0, m], table[1, m], table[2, m] = math.log1p(count), math.log1p(month), math.log1p(quarter)
        table[3, m], table[4, m] = math.log1p(since), math.log1p(gap)
        table[5, m] = min(max(math.log((since + 0.5) / (gap + 0.5)), -3.0), 3.0) if gap > 0 else 0.0
        table[6, m] = count
        if product < len(again):
            table[7, m] = again[product]
        pairs += count
        m += 1
    days = max(days, 1)
    table[6, :m] /= np.float32(days)
    table[8, :m] = math.log(days)
    table[9, :m] = math.log(max(pairs, 1) / days)
    return item[:m], scores[:m], table[:, :m].T


def _again(owner: Longs, item: Ints, time: Longs, n: int) -> Floats:
    """float32 [n], see `Repurchase.again`; few days are mixed with what is usual. Rows in time order by owner."""
    day = time // DAY
    new = np.ones(len(day), np.int64)
    new[1:] = (owner[1:] != owner[:-1]) | (day[1:] != day[:-1])
    number = np.cumsum(new)  # of each customer's day, counted over all customers
    whose = np.append(owner[new == 1], -1)
    followed = np.append(whose[1:] == whose[:-1], False)  # by another day of the same customer
    held = distinct(number * n + item)  # what each day holds
    before, product = np.divmod(held, n)
    counted = followed[before - 1]
    twice = counted & among(held + n, held)
    days, kept = np.bincount(product[counted], minlength=n), np.bincount(product[twice], minlength=n)
    usual = kept.sum() / max(days.sum(), 1)
    return np.asarray((kept + _BELIEVED * usual) / (days + _BELIEVED), np.float32)


def _one(items: Ints, times: Longs) -> _Rows:
    """One customer's rows: product and time in one number, so that a plain sort orders both."""
    key = _ordered(items, times)
    item, time = (key >> _TIME_BITS).astype(np.int32), key & ((1 << _TIME_BITS) - 1)
    return _days(np.zeros(len(item), np.int64), item, time)


def _group(owner: Longs, item: Ints, time: Longs) -> _Rows:
    order = np.lexsort((time, item, owner))
    return _days(owner[order], item[order], time[order])


def _days(owner: Longs, item: Ints, time: Longs) -> _Rows:
    """The pairs of events that are in order."""
    day = time // DAY
    new_pair = np.ones(len(item), np.bool_)
    new_pair[1:] = item[1:] != item[:-1]
    if len(owner) and owner[0] != owner[-1]:
        new_pair[1:] |= owner[1:] != owner[:-1]
    new_day = new_pair.copy()
    new_day[1:] |= day[1:] != day[:-1]
    days = np.flatnonzero(new_day)
    start = np.flatnonzero(new_pair[days])
    pairs = days[start]
    count = np.empty_like(start)
    count[:-1] = start[1:] - start[:-1]
    count[-1:] = len(days) - start[-1:]
    last = days[start + count - 1]
    return _Rows(owner[pairs], item[pairs], count, time[pairs], time[last], time[days], start)


def _weigh(rows: _Rows, now: Longs | int, half_life: float, rhythm: float) -> Floats:
    """Scores [m] of the pairs at `now` (seconds, for all or of each pair)."""
    since = np.maximum(now - rows.last, 0) / DAY
    weight = rows.decayed(now, half_life) + _TIE * np.exp2(-since / 30)
    if rhythm:
        gap = rows.gap()
        away = np.abs(np.log((since + 1) / (gap + 1)))
        weight = weight * np.where(gap > 0, np.exp(-rhythm * away), 1.0)
    return weight.astype(np.float32)


def _merit(rows: _Rows, weight: Floats, wanted: Longs, n: int) -> float:
    """Mean NDCG of each customer's best pairs. wanted: sorted keys customer * n + product of what they bought next."""
    relevant = np.bincount(wanted // n)
    offsets = np.searchsorted(rows.owner, np.arange(len(relevant) + 1))
    gains = 1 / np.log2(np.arange(2, _CUT + 2))
    gain = gained(weight, among(rows.owner * n + rows.item, wanted), offsets, gains)
    ideal = np.cumsum(gains)[np.clip(relevant, 1, _CUT) - 1]
    return float((gain / ideal)[relevant > 0].mean())


def _wanted(validation: Sequences, n: int) -> Longs:
    owner = np.repeat(np.arange(len(validation), dtype=np.int64), validation.lengths())
    return distinct(owner * n + validation.item)
