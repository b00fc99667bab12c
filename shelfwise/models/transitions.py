"""Transitions: what comes in the next basket after a product, counted over everybody's pairs of baskets.

A first-order Markov chain of baskets (Rendle et al. 2010, without its factors): the row of a product says in what share
of the baskets that came after one with it each other product was; a history is answered by the rows of its newest
basket. Whether a product itself comes again is told by `repurchase.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy

from shelfwise.models.baskets import Baskets
from shelfwise.models.evidence import Rows
from shelfwise.models.recommender import Items, Progress
from shelfwise.models.sequences import Floats, Ints, Longs, Sequences, steps_back

_KEPT = 100  # entries of a product's row, the strongest by `merit`
_SHRINK = 5.0  # baskets that count as if nothing had followed them
_RARE = 1e-5  # a share below which a product is as rare as any


class Transitions:
    """A `Recommender`. After `fit` what follows product i is `ids[indptr[i]:indptr[i + 1]]` with `weights` in the same
    rows: indptr int64 [n + 1], ids int32, weights float32, shares of the baskets that came after i.

    usual: float32 [n], the share of all baskets that came after another one.
    """

    name = "next-basket"

    def __init__(self) -> None:
        self.indptr: Longs = np.zeros(1, np.int64)
        self.ids: Ints = np.empty(0, np.int32)
        self.weights: Floats = np.empty(0, np.float32)
        self.usual: Floats = np.empty(0, np.float32)

    def fit(
        self,
        train: Sequences,
        items: Items,
        *,
        validation: Sequences | None = None,  # noqa: ARG002 - nothing is chosen here
        progress: Progress | None = None,
    ) -> Self:
        baskets = Baskets.of(train, items.n)
        followed = np.flatnonzero(baskets.customer[1:] == baskets.customer[:-1])
        before, after = baskets.held[followed], baskets.held[followed + 1]
        came = np.bincount(after.indices, minlength=items.n).astype(np.float32)
        rows = Rows(came)
        rows.add(before, before.data, after, after.data, _KEPT)
        counted = rows.arrays()
        self.indptr, self.ids = counted["indptr"], counted["ids"]
        times = np.bincount(before.indices, minlength=items.n).astype(np.float32) + np.float32(_SHRINK)
        self.weights = (counted["count"] / np.repeat(times, np.diff(self.indptr))).astype(np.float32)
        self.usual = came / np.float32(max(len(followed), 1))
        if progress:
            progress(1, 1, f"next-basket: {len(followed):,} pairs of baskets")
        return self

    def lift(self, sums: Floats, products: int, rows: Ints) -> Floats:
        """Log of how much more likely these products are than usual; sums: of the weights of so many `products`."""
        share = sums / np.float32(max(products, 1))
        return np.log((share + np.float32(_RARE)) / (self.usual[rows] + np.float32(_RARE)))

    def scores(self, histories: Sequences, *, now: Longs | None = None) -> Floats:  # noqa: ARG002 - no clock here
        """float32 [len(histories), n]: the sum over the newest basket."""
        n = len(self.indptr) - 1
        newest = histories.take(steps_back(histories) == 0)
        ones = np.ones(newest.rows, np.float32)
        held = scipy.sparse.csr_array((ones, newest.item, newest.offsets), shape=(len(newest), n))
        graph = scipy.sparse.csr_array((self.weights, self.ids, self.indptr), shape=(n, n))
        return np.asarray((held @ graph).toarray(), np.float32)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Everything learned, as arrays for a bundle."""
        return {"indptr": self.indptr, "ids": self.ids, "weights": self.weights, "usual": self.usual}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        model = cls()
        model.indptr, model.ids = tensors["indptr"], tensors["ids"]
        model.weights, model.usual = tensors["weights"], tensors["usual"]
        return model
