"""The crowd: what customers turned to since the bundle was learned, counted as it arrives.

Counts of customer-days and pairs of products that follow each other, the same numbers as counting those events anew
(`models/popularity.py` without decay, `models/cooccurrence.py`), so that sources add them to what was learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from shelfwise.engine.kernels import add_neighbours, weights_to
from shelfwise.models.cooccurrence import Cooccurrence, directed_pairs
from shelfwise.models.sequences import DAY, Floats, Ints, Longs, Sequences

_LEADING = 100  # most turned to, which are proposed to everybody
_REMEMBERED = 300_000  # pairs of customer and product; beyond, who it was is forgotten and the counts stay


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """One moment's counts over the first m rows of the catalogue; rows beyond have none. Immutable.

    days: float32 [m], customer-days, the keenest customer of a product counting one. leading: int32, rows with most of
    them, best first. indptr, ids, weights: what follows each row, CSR.
    """

    days: Floats
    leading: Ints
    indptr: Longs
    ids: Ints
    weights: Floats

    @classmethod
    def none(cls) -> Counts:
        floats, rows = np.empty(0, np.float32), np.empty(0, np.int32)
        return cls(floats, rows, np.zeros(1, np.int64), rows, floats)

    def following(self, items: Ints, factors: Floats, total: Floats) -> tuple[Ints, Floats]:
        """What followed these rows: distinct rows, and Σ factor · weight. total: as `kernels.add_neighbours` has it."""
        counted = items < len(self.indptr) - 1
        return add_neighbours(self.indptr, self.ids, self.weights, items[counted], factors[counted], total)

    def weights_to(self, row: int, items: Ints, factors: Floats) -> Floats:
        """float32 [len(items)], what each adds to the row by its pairs."""
        counted = items < len(self.indptr) - 1
        parts = np.zeros(len(items), np.float32)
        parts[counted] = weights_to(self.indptr, self.ids, self.weights, items[counted], factors[counted], row)
        return parts

    def of(self, rows: Ints) -> Floats:
        """Customer-days of these rows: float32 [len(rows)]."""
        if not len(self.leading):
            return np.zeros(len(rows), np.float32)
        there = rows < len(self.days)
        return np.where(there, self.days[np.where(there, rows, 0)], np.float32(0))


class Crowd:
    """Counts of one engine. One thread adds; readers take `counts`, which is replaced whole."""

    def __init__(self, learned: Cooccurrence | None) -> None:
        self.counts = Counts.none()
        self._graph = learned or Cooccurrence()
        self._days: dict[tuple[int, str], tuple[int, int]] = {}  # (row, who) → (days, the newest of them)
        self._total: dict[int, int] = {}
        self._most: dict[int, int] = {}  # of one customer, by row
        self._tails: dict[str, list[int]] = {}  # the newest rows of who, which the next event follows
        self._pairs = scipy.sparse.csr_array((0, 0), dtype=np.float32)

    def add(self, n: int, who: Sequence[str], rows: Ints, times: Longs) -> None:
        """Count events in order of arrival. n: rows of the catalogue. times: seconds."""
        if not len(rows):
            return
        for name, row, time in zip(who, rows.tolist(), times.tolist(), strict=True):
            day = time // DAY
            days, newest = self._days.get((row, name), (0, -1))
            if day != newest:
                self._days[row, name] = days + 1, day
                self._total[row] = self._total.get(row, 0) + 1
                self._most[row] = max(self._most.get(row, 0), days + 1)
        self._follow(n, who, rows)
        self._publish(n)
        if len(self._days) > _REMEMBERED:
            self._days.clear()
            self._tails.clear()

    def _follow(self, n: int, who: Sequence[str], rows: Ints) -> None:
        """Pairs of the new events with each other and with those that each follows."""
        new: dict[str, list[int]] = {}
        for name, row in zip(who, rows.tolist(), strict=True):
            new.setdefault(name, []).append(row)
        tails = [self._tails.get(name, []) for name in new]
        whole = [tail + more for tail, more in zip(tails, new.values(), strict=True)]
        window, backward = self._graph.window, self._graph.backward
        pairs = directed_pairs(_sequences(whole), n, window=window, backward=backward)
        pairs = pairs - directed_pairs(_sequences(tails), n, window=window, backward=backward)
        before = self._pairs
        before.resize((n, n))
        self._pairs = scipy.sparse.csr_array(before + pairs)
        self._tails |= {name: each[-window:] for name, each in zip(new, whole, strict=True)}

    def _publish(self, n: int) -> None:
        rows = np.fromiter(self._total, np.int32, len(self._total))
        days = np.zeros(n, np.float32)
        beyond = np.fromiter((max(self._most[row] - 1, 0) for row in self._total), np.float32, len(rows))
        days[rows] = np.fromiter(self._total.values(), np.float32, len(rows)) - beyond
        leading = rows[np.argsort(-days[rows], kind="stable")[:_LEADING]]
        graph = self._pairs
        asks = np.repeat(np.arange(n), np.diff(graph.indptr))
        weights = (graph.data / self._graph.commonness(n)[asks]).astype(np.float32)
        self.counts = Counts(days, leading, graph.indptr.astype(np.int64), graph.indices.astype(np.int32), weights)


def _sequences(rows: Sequence[Sequence[int]]) -> Sequences:
    lengths = [len(each) for each in rows]
    total = sum(lengths)
    return Sequences(
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        item=np.fromiter((row for each in rows for row in each), np.int32, total),
        kind=np.zeros(total, np.int8),
        time=np.zeros(total, np.int64),
        price=np.full(total, np.nan, np.float32),
    )
