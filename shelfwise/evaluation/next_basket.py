"""Baselines of the next-basket literature: frequency, global and personal, and TIFU-KNN.

Li et al., "A Next Basket Recommendation Reality Check" (TOIS 2023), found them hard to beat. Each gives scores of the
whole catalogue for customers given by row, 0 for what it does not propose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy import sparse

from shelfwise.models.sequences import Floats, Longs, Sequences, steps_back


class Scorer(Protocol):
    """Fitted on every customer's baskets; `scores` of customers by row: float32 [b, n], 0 for no candidate."""

    name: str

    def scores(self, rows: Longs) -> Floats: ...


class Frequency:
    """In how many baskets: everybody's (g), the customer's own (p), or own first and then everybody's (gp)."""

    def __init__(self, histories: Sequences, n: int, kind: str) -> None:
        self.name = f"{kind}-topfreq"
        self.kind = kind
        self.own = counted(histories, n)
        total = np.asarray(self.own.sum(axis=0), np.float32).ravel()
        self.all = total / max(float(total.max(initial=0)) + 1, 1)  # below 1: decides only between equals

    def scores(self, rows: Longs) -> Floats:
        if self.kind == "g":
            return np.repeat(self.all[None], len(rows), axis=0)
        own = self.own[rows].toarray()
        return np.asarray(own if self.kind == "p" else own + self.all, np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tifu:
    """size: baskets of a group. within, between: decay a basket inside a group, and a group. neighbours: customers.
    own: share of the customer's own vector in the score (alpha of the paper)."""

    size: int = 7
    within: float = 0.9
    between: float = 0.7
    neighbours: int = 300
    own: float = 0.7

    def alternatives(self, part: str) -> Iterator[Tifu]:
        """Those tried on validation for one of `TUNED`, the others as here: around what the paper chose."""
        if part == "groups":
            for size, within, between in ((3, 0.9, 0.7), (7, 0.9, 0.7), (7, 1.0, 0.6), (7, 0.9, 0.95), (11, 0.9, 0.6)):
                yield replace(self, size=size, within=within, between=between)
        elif part == "neighbours":
            for neighbours in (30, 100, 300, 900):
                yield replace(self, neighbours=neighbours)
        else:
            for own in (0.2, 0.5, 0.7, 0.8, 0.9, 0.95):
                yield replace(self, own=own)


#: Parts of the setting in the order in which they are chosen; the share again once the neighbours are known.
TUNED = ("groups", "own", "neighbours", "own")


class TifuKnn:
    """TIFU-KNN (Hu, He, Gao, Zhang: "Modeling Personalized Item Frequency Information for Next-basket
    Recommendation", SIGIR 2020): a customer's vector is a mean of baskets decayed within groups and of groups decayed
    in turn; scores mix it with the mean vector of the nearest customers by Euclidean distance."""

    name = "tifu-knn"

    def __init__(self, histories: Sequences, n: int, setting: Tifu) -> None:
        self.setting = setting
        self.vectors = counted(histories, n, _decay(setting))
        self._squares = np.asarray(self.vectors.multiply(self.vectors).sum(axis=1), np.float32).ravel()

    def scores(self, rows: Longs) -> Floats:
        near = self.vectors[rows] @ self.vectors.T
        distance = self._squares[None] - 2 * near.toarray()
        distance[np.arange(len(rows)), rows] = np.inf
        distance[:, self._squares == 0] = np.inf  # who bought nothing is nobody's neighbour
        k = min(self.setting.neighbours, distance.shape[1] - 1)
        if k < 1:
            return np.asarray(self.vectors[rows].toarray(), np.float32)
        chosen = np.argpartition(distance, k - 1, axis=1)[:, :k]
        there = np.isfinite(np.take_along_axis(distance, chosen, 1))
        weight = there / np.maximum(there.sum(axis=1, keepdims=True), 1)
        start = np.arange(0, chosen.size + 1, k)
        mean = sparse.csr_matrix(
            (weight.astype(np.float32).ravel(), chosen.ravel(), start), shape=(len(rows), self.vectors.shape[0])
        )
        own = np.float32(self.setting.own)
        scores = own * self.vectors[rows] + (1 - own) * (mean @ self.vectors)
        return np.asarray(scores.toarray(), np.float32)


def counted(histories: Sequences, n: int, weigh: Callable[[Longs, Longs], Floats] | None = None) -> sparse.csr_matrix:
    """csr float32 [customers, n]: baskets that hold the product, each weighed by `weigh(back, count)`: how many baskets
    lie behind it, and how many there are."""
    owner = np.repeat(np.arange(len(histories), dtype=np.int64), histories.lengths())
    weight = np.ones(histories.rows, np.float32)
    if weigh is not None and histories.rows:
        back = steps_back(histories)
        count = np.zeros(len(histories), np.int64)
        np.maximum.at(count, owner, back + 1)
        weight = weigh(back, count[owner])
    matrix = sparse.csr_matrix((weight, (owner, histories.item)), shape=(len(histories), n), dtype=np.float32)
    matrix.sum_duplicates()
    return matrix


def _decay(setting: Tifu) -> Callable[[Longs, Longs], Floats]:
    """Groups are counted from the newest basket back, so that only the oldest may be short."""

    def weigh(back: Longs, count: Longs) -> Floats:
        group, place = np.divmod(back, setting.size)
        groups = -(-count // setting.size)
        members = np.where(group == groups - 1, count - (groups - 1) * setting.size, setting.size)
        decayed = setting.within**place / members * setting.between**group / groups
        return np.asarray(decayed, np.float32)

    return weigh
