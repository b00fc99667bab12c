"""Ranking metrics over (top-k ids, relevant sets), with bootstrap intervals; and what a catalogue sees of itself.

All of it is vectorised over customers. Definitions, with r = number of relevant products of a customer and
hit(i) = 1 when the product at rank i (1-based) is relevant:

    precision@k   hits in the first k / k
    recall@k      hits in the first k / r
    accuracy@1    hit(1)
    hit_rate@k    1 when there is a hit in the first k
    ndcg@k        Σ hit(i) / log2(i + 1), over the same sum for min(r, k) hits at the top
                  (Järvelin & Kekäläinen 2002, binary gains)
    mrr@k         1 / rank of the first hit, 0 without one
    map@k         Σ hit(i) · precision@i / min(r, k)

`map` divides by min(r, k), so that a perfect list scores 1. trec_eval and `ir-measures` (`AP@k`) divide by r: theirs
is ours times min(r, k) / r. The rest agree (the tests check all of them against `ir-measures`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from shelfwise.models.sequences import Floats, Ints, Longs, Sequences, distinct

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Names of the metrics that `ranking` computes for each k, in the order reports show them.
METRICS: tuple[str, ...] = ("precision", "recall", "hit_rate", "ndcg", "mrr", "map")
CONFIDENCE = 0.95
_SLICE = 256  # customers whose item vectors are gathered at a time: small enough to stay in the cache


@dataclass(frozen=True, slots=True)
class Relevant:
    """What each customer should have been shown: ragged sets of inside product ids (CSR layout).

    offsets: int64 [n + 1]. ids: int32 [rows], ascending and distinct within a customer.
    """

    offsets: Longs
    ids: Ints

    @classmethod
    def of(cls, sets: Iterable[Iterable[int]]) -> Self:
        """From plain collections of ids; repetitions count once."""
        rows = [np.unique(np.fromiter(one, np.int32)) for one in sets]
        return cls(_offsets([len(row) for row in rows]), np.concatenate([*rows, np.empty(0, np.int32)]))

    @classmethod
    def distinct(cls, sequences: Sequences) -> Self:
        """The distinct products of each customer's events."""
        if not sequences.rows:
            return cls(np.zeros(len(sequences) + 1, np.int64), np.empty(0, np.int32))
        width = int(sequences.item.max()) + 1
        owner = np.repeat(np.arange(len(sequences), dtype=np.int64), sequences.lengths())
        owner, item = np.divmod(distinct(owner * width + sequences.item), width)
        return cls(_offsets(np.bincount(owner, minlength=len(sequences))), item.astype(np.int32))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> Longs:
        return np.diff(self.offsets)

    def owners(self) -> Longs:
        """int64 [rows]: which customer each row belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths())

    def keys(self, n_items: int) -> Longs:
        """int64 [rows]: one number for each (customer, product), ascending."""
        return self.owners() * n_items + self.ids

    def keep(self, rows: Mask) -> Relevant:
        """Only the rows where the mask [rows] is true; every customer stays, some perhaps with nothing."""
        kept = np.concatenate(([0], np.cumsum(rows, dtype=np.int64)))
        return Relevant(kept[self.offsets], self.ids[rows])

    def select(self, customers: npt.NDArray[np.integer]) -> Relevant:
        """Only these customers, in this order."""
        starts, lengths = self.offsets[customers], self.lengths()[customers]
        offsets = _offsets(lengths)
        return Relevant(offsets, self.ids[np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)])


def _offsets(lengths: Sequence[int] | npt.NDArray[np.integer]) -> Longs:
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)


def hits(ids: Ints, relevant: Relevant) -> Mask:
    """bool [n, k]: which of the recommended ids [n, k] (-1 = none) are relevant to that customer."""
    if ids.shape[0] != len(relevant):
        raise ValueError(f"{ids.shape[0]} lists for {len(relevant)} customers")
    if not ids.size or not len(relevant.ids):
        return np.zeros(ids.shape, np.bool_)
    # One sorted table of (customer, product) keys. Ids are shifted by one so that -1 becomes a product nobody wants.
    width = np.int64(max(int(ids.max()), int(relevant.ids.max())) + 2)
    wanted = relevant.owners() * width + relevant.ids + 1
    keys = np.arange(len(ids), dtype=np.int64)[:, None] * width + ids + 1
    place = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    hit: Mask = wanted[place] == keys
    return hit


def ranking(ids: Ints, relevant: Relevant, ks: Sequence[int]) -> dict[str, Doubles]:
    """Every metric of METRICS at every k, as "ndcg@10" and so on, and "accuracy@1": values float64 [n].

    ids: int32 [n, at least max(ks) or as many as the model has], best first, -1 = none, no repetitions in a row.
    A list shorter than k counts as if -1 followed. Customers without anything relevant get NaN: `summarise` leaves
    them out.
    """
    hit = hits(ids, relevant)
    if hit.shape[1] < max(ks):
        hit = np.pad(hit, ((0, 0), (0, max(ks) - hit.shape[1])))
    count = relevant.lengths().astype(np.float64)
    counted = np.where(count > 0, 1.0, np.nan)
    rank = np.arange(1, hit.shape[1] + 1)
    discount = 1 / np.log2(rank + 1)
    ideal = np.concatenate(([0.0], np.cumsum(discount)))
    so_far = np.cumsum(hit, axis=1)
    measured: dict[str, Doubles] = {"accuracy@1": hit[:, 0].astype(np.float64) * counted}
    for k in ks:
        top = hit[:, :k]
        best = np.minimum(count, k)
        reachable = np.maximum(best, 1)
        first = np.argmax(top, axis=1)
        values = {
            "precision": so_far[:, k - 1] / k,
            "recall": so_far[:, k - 1] / np.maximum(count, 1),
            "hit_rate": (so_far[:, k - 1] > 0).astype(np.float64),
            "ndcg": top @ discount[:k] / ideal[reachable.astype(np.int64)],
            "mrr": top.any(axis=1) / (first + 1),
            "map": np.where(top, so_far[:, :k] / rank[:k], 0.0).sum(axis=1) / reachable,
        }
        measured |= {f"{name}@{k}": values[name] * counted for name in METRICS}
    return measured


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `n` customers and its 95 % interval. NaN throughout when n is 0."""

    mean: float
    low: float
    high: float
    n: int


def summarise(values: dict[str, Doubles], *, seed: int = 0, resamples: int = 1000) -> dict[str, Estimate]:
    """Mean and percentile-bootstrap interval (Efron 1979) of each column, customers without a value (NaN) left out.

    values: float64 [n] each, all over the same customers in the same order. One set of resamples serves all of
    them, so differences between columns are paired. Time and memory grow with n · resamples, in slices.
    """
    if not values:
        return {}
    table = np.column_stack(list(values.values()))
    n, columns = table.shape
    present = ~np.isnan(table)
    filled = np.where(present, table, 0.0)
    counts = present.sum(axis=0)
    with np.errstate(invalid="ignore"):
        means = filled.sum(axis=0) / counts
    if not n:
        return {name: Estimate(np.nan, np.nan, np.nan, 0) for name in values}
    whole = bool((present == present[:, :1]).all())  # then one column of counts serves all
    weigh = present[:, :1].astype(np.float64) if whole else present.astype(np.float64)
    draws = np.empty((resamples, columns))
    generator = np.random.default_rng(seed)
    step = max(1, min(resamples, 4_000_000 // n))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(0, n, (rows, n), dtype=np.int32).astype(np.int64)
        drawn += np.arange(rows, dtype=np.int64)[:, None] * n
        weights = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
        with np.errstate(invalid="ignore"):
            draws[start : start + rows] = (weights @ filled) / (weights @ weigh)
    tail = (1 - CONFIDENCE) / 2
    estimates: dict[str, Estimate] = {}
    for column, name in enumerate(values):
        drawn_means = draws[:, column][~np.isnan(draws[:, column])]
        low, high = np.quantile(drawn_means, (tail, 1 - tail)) if len(drawn_means) else (np.nan, np.nan)
        estimates[name] = Estimate(float(means[column]), float(low), float(high), int(counts[column]))
    return estimates


def differences(
    ours: dict[str, Doubles], theirs: dict[str, Doubles], *, seed: int = 0, resamples: int = 1000
) -> dict[str, Estimate]:
    """Paired bootstrap of ours - theirs, for every metric both have. An interval without 0 is a real difference."""
    shared = {name: ours[name] - theirs[name] for name in ours if name in theirs}
    return summarise(shared, seed=seed, resamples=resamples)


def coverage(ids: Ints, n_items: int) -> Estimate:
    """Share of the catalogue that appears in anybody's list.

    A bootstrap of it is biased down (a resample holds only 63 % of the customers), so the interval is the
    jackknife's (Burnham & Overton 1978): what would vanish if one customer were not asked.
    """
    n = len(ids)
    shown = np.bincount(ids[ids >= 0], minlength=n_items)
    share = float((shown > 0).sum()) / max(n_items, 1)
    alone = np.where(ids >= 0, shown[ids] == 1, False).sum(axis=1) / max(n_items, 1)
    if n < 2:
        return Estimate(share, share, share, n)
    spread = 1.959964 * float(np.sqrt((n - 1) / n * ((alone - alone.mean()) ** 2).sum()))
    return Estimate(share, max(0.0, share - spread), min(1.0, share + spread), n)


def diversity(ids: Ints, *, vectors: Floats | None = None, groups: Ints | None = None) -> Doubles:
    """Intra-list distance per customer, float64 [n]: the mean over pairs of a list (Ziegler et al. 2005).

    vectors: float32 [n_items, d], unit rows (zero rows for nothing): distance is 1 - cosine.
    groups: int32 [n_items], categories, -1 unknown: distance is 1 when they differ (unknown differs from all).
    Exactly one of them is given. NaN for lists of fewer than two.
    """
    if (vectors is None) == (groups is None):
        raise ValueError("give vectors or groups")
    there = ids >= 0
    size = there.sum(axis=1).astype(np.float64)
    pairs = size * (size - 1) / 2
    alike = np.zeros(len(ids))
    for start in range(0, len(ids), _SLICE):
        part, mask = ids[start : start + _SLICE], there[start : start + _SLICE]
        if vectors is not None:
            # Σ over pairs of a·b is (|Σ a|² - Σ |a|²) / 2.
            rows = vectors[part]
            rows[~mask] = 0
            total = rows.sum(axis=1)
            alike[start : start + _SLICE] = (np.vecdot(total, total) - np.vecdot(rows, rows).sum(axis=1)) / 2
        elif groups is not None:
            group = np.where(mask, groups[part], -1)
            same = (group[:, :, None] == group[:, None, :]) & (group >= 0)[:, :, None]
            alike[start : start + _SLICE] = (same.sum(axis=(1, 2)) - (group >= 0).sum(axis=1)) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pairs > 0, 1 - alike / pairs, np.nan)


def novelty(ids: Ints, popularity: npt.NDArray[np.integer], customers: int) -> Doubles:
    """Mean self-information of a list in bits, float64 [n] (Zhou et al. 2010): -log2 of the share of customers.

    popularity: [n_items], how many of the `customers` chose each product in training. A product nobody chose counts
    as chosen by one, lest it be infinitely new. NaN for empty lists.
    """
    bits = -np.log2(np.maximum(popularity, 1) / max(customers, 1))
    there = ids >= 0
    with np.errstate(invalid="ignore", divide="ignore"):
        bits_shown: Doubles = np.where(there, bits[ids], 0.0).sum(axis=1) / there.sum(axis=1)
    return bits_shown


def gini(ids: Ints, n_items: int) -> float:
    """Popularity bias: Gini coefficient of how often each product is shown; 0 all alike, near 1 a few take all."""
    shown = np.sort(np.bincount(ids[ids >= 0], minlength=n_items)).astype(np.float64)
    total = shown.sum()
    if not total:
        return float("nan")
    return float((2 * np.arange(1, n_items + 1) - n_items - 1) @ shown / (n_items * total))
