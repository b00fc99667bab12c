"""Customers alike: what those who share the newest items of a history had besides (user-kNN over sequences).

A history asks with its newest items, each step back counting `decay` as much and common items less; every customer
of the training is as near as the items they share add up to, divided by a root of how many they had; the answer is
the sum of what the near ones had (after the vector-multiplication session-kNN of Ludewig & Jannach 2018). It reaches
two steps where item-to-item co-occurrence reaches one, and a pair many steps apart counts as much as a near one.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import scipy

from shelfwise.models.recommender import Items, Progress
from shelfwise.models.sequences import Floats, Longs, Sequences

_REACH = 20  # newest items of a history that ask


class Neighbours:
    """User-kNN over sequences (a Recommender).

    decay: weight of each step back in the history that asks. specific: exponent of an item's popularity that divides
    its weight. long: exponent of a customer's number of events that divides what they tell.
    """

    name = "neighbours"

    def __init__(self, *, decay: float = 0.5, specific: float = 0.5, long: float = 0.5) -> None:
        self.decay = decay
        self.specific = specific
        self.long = long
        self._had = scipy.sparse.csr_array((0, 0), dtype=np.float32)  # [n_items, customers]
        self._targets = scipy.sparse.csr_array((0, 0), dtype=np.float32)  # [customers, n_items]
        self._weight = np.empty(0, np.float32)

    def fit(
        self,
        train: Sequences,
        items: Items,
        *,
        validation: Sequences | None = None,  # noqa: ARG002 - nothing is chosen here
        progress: Progress | None = None,
    ) -> Self:
        """Remember who had what."""
        lengths = train.lengths()
        ones = np.ones(train.rows, np.float32)
        # A copy: putting a matrix in order sorts its indices in place, and these are the customers' histories.
        had = scipy.sparse.csr_array((ones, train.item.copy(), train.offsets), shape=(len(train), items.n))
        had.sum_duplicates()
        had.data[:] = 1
        self._had = scipy.sparse.csr_array(had.T)
        share = np.maximum(lengths, 1).astype(np.float32) ** np.float32(-self.long)
        self._targets = scipy.sparse.csr_array(scipy.sparse.diags_array(share) @ had)
        count = np.bincount(train.item, minlength=items.n)
        self._weight = np.maximum(count, 1).astype(np.float32) ** np.float32(-self.specific)
        if progress is not None:
            progress(1, 1, f"{len(train):,} customers")
        return self

    def scores(self, histories: Sequences, *, now: Longs | None = None) -> Floats:  # noqa: ARG002 - no clock here
        """float32 [len(histories), n_items]."""
        recent = histories.last(_REACH)
        back = np.repeat(recent.offsets[1:], recent.lengths()) - 1 - np.arange(recent.rows)
        weight = np.float32(self.decay) ** back.astype(np.float32) * self._weight[recent.item]
        history = scipy.sparse.csr_array((weight, recent.item, recent.offsets), shape=(len(recent), self._had.shape[0]))
        scores: Floats = (history @ self._had @ self._targets).toarray().astype(np.float32, copy=False)
        return scores
