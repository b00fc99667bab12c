"""Baskets: what a customer bought together, as one sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy

from shelfwise.models.sequences import DAY, Floats, Longs, Sequences

_PURCHASE = 3
#: Seconds between two purchases of one customer that still belong to one basket.
GAP = 1_800


@dataclass(frozen=True, slots=True, eq=False)
class Baskets:
    """held: csr float32 [b, n], 1 where the basket holds the product. time: int64 [b], seconds, of the first purchase.
    customer: int64 [b], row of the sequences they came from."""

    held: scipy.sparse.csr_matrix
    time: Longs
    customer: Longs

    @classmethod
    def of(cls, sequences: Sequences, n: int, *, kind: int = _PURCHASE, gap: int = GAP) -> Self:
        """The events of this kind; a pause of more than `gap` seconds begins a basket. With the code of a look as
        `kind` these are visits."""
        events = sequences.take(sequences.kind == kind)
        owner = np.repeat(np.arange(len(events), dtype=np.int64), events.lengths())
        if not events.rows:
            return cls(scipy.sparse.csr_matrix((0, n), dtype=np.float32), np.empty(0, np.int64), owner)
        begins = np.ones(events.rows, np.bool_)
        begins[1:] = (owner[1:] != owner[:-1]) | (np.diff(events.time) > gap)
        basket = np.cumsum(begins) - 1
        held = scipy.sparse.csr_matrix(
            (np.ones(events.rows, np.float32), (basket, events.item)), shape=(int(basket[-1]) + 1, n)
        )
        held.sum_duplicates()
        held.data[:] = 1
        return cls(held, events.time[begins], owner[begins])

    def __len__(self) -> int:
        return len(self.time)

    def sizes(self) -> Longs:
        """int64 [b]: distinct products of each."""
        return np.asarray(np.diff(self.held.indptr), np.int64)

    def sequences(self) -> Sequences:
        """One sequence a basket."""
        rows = self.held.nnz
        return Sequences(
            offsets=self.held.indptr.astype(np.int64),
            item=self.held.indices.astype(np.int32),
            kind=np.full(rows, _PURCHASE, np.int8),
            time=np.repeat(self.time, self.sizes()),
            price=np.full(rows, np.nan, np.float32),
        )

    def where(self, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Baskets:
        """Only those where the mask [b] is true."""
        return Baskets(self.held[rows], self.time[rows], self.customer[rows])

    def before(self, time: int) -> Baskets:
        return self.where(self.time < time)

    def ages(self, now: int) -> Floats:
        """Days before `now`: float32 [b]."""
        return ((now - self.time) / DAY).astype(np.float32)
