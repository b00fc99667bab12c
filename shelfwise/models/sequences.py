"""Ids inside, ids outside, and the one shape behaviour has everywhere: ragged sequences of events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from shelfwise.schema import DISLIKE, EventType

#: Seconds.
DAY = 86_400
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class IdMap:
    """The only border between outside ids (text) and inside ids (0 … n-1). Immutable."""

    __slots__ = ("_inside", "outside")

    def __init__(self, outside: Iterable[str]) -> None:
        self.outside: tuple[str, ...] = tuple(outside)
        self._inside = {name: index for index, name in enumerate(self.outside)}
        if len(self._inside) != len(self.outside):
            raise ValueError("ids repeat")

    def __len__(self) -> int:
        return len(self.outside)

    def __contains__(self, name: str) -> bool:
        return name in self._inside

    def __iter__(self) -> Iterator[str]:
        return iter(self.outside)

    def inside(self, name: str) -> int:
        """The inside id, or -1 when unknown."""
        return self._inside.get(name, -1)

    def inside_all(self, names: Iterable[str]) -> Ints:
        get = self._inside.get
        return np.fromiter((get(name, -1) for name in names), np.int32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sequences:
    """Events of many customers, each customer's in time order, one after the other (CSR layout).

    offsets: int64 [n + 1]; customer i owns rows offsets[i]:offsets[i+1].
    item:    int32 [rows], inside product id.
    kind:    int8  [rows], EventType.code.
    time:    int64 [rows], seconds since 1970 UTC (a plain counter for data without times).
    price:   float32 [rows], price of one piece, NaN when unknown.
    """

    offsets: Longs
    item: Ints
    kind: npt.NDArray[np.int8]
    time: Longs
    price: Floats

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def rows(self) -> int:
        return len(self.item)

    def lengths(self) -> Longs:
        return np.diff(self.offsets)

    def items_of(self, index: int) -> Ints:
        return self.item[self.offsets[index] : self.offsets[index + 1]]

    def liked(self) -> Sequences:
        """Without dislikes and without all else that these customers did with what they dislike: the newest of their
        ratings and purchases of a product decides."""
        if not (self.kind == DISLIKE).any():
            return self
        owner = np.repeat(np.arange(len(self)), self.lengths())
        disliked = self.disliked()
        n = int(self.item.max()) + 1
        pairs = np.repeat(np.arange(len(disliked)), disliked.lengths()) * n + disliked.item
        return self.take((self.kind != DISLIKE) & ~np.isin(owner * n + self.item, pairs))

    def disliked(self) -> Sequences:
        """The dislikes that hold, one for each customer and product."""
        if not (self.kind == DISLIKE).any():
            return self.take(np.zeros(self.rows, np.bool_))
        owner = np.repeat(np.arange(len(self)), self.lengths())
        decides = np.flatnonzero(np.isin(self.kind, (DISLIKE, EventType.RATE.code, EventType.PURCHASE.code)))
        order = decides[np.lexsort((decides, self.item[decides], owner[decides]))]
        last = np.ones(len(order), np.bool_)
        last[:-1] = (owner[order][1:] != owner[order][:-1]) | (self.item[order][1:] != self.item[order][:-1])
        holds = np.zeros(self.rows, np.bool_)
        holds[order[last]] = True
        return self.take(holds & (self.kind == DISLIKE))

    def take(self, rows: npt.NDArray[np.bool_]) -> Sequences:
        """Keep the rows where the mask [rows] is true; every customer stays, some perhaps empty."""
        kept = np.concatenate(([0], np.cumsum(rows)))
        return Sequences(
            offsets=kept[self.offsets].astype(np.int64),
            item=self.item[rows],
            kind=self.kind[rows],
            time=self.time[rows],
            price=self.price[rows],
        )

    def select(self, customers: npt.NDArray[np.integer] | slice) -> Sequences:
        """Only these customers, in this order."""
        chosen = np.arange(len(self))[customers]
        starts, lengths = self.offsets[chosen], self.lengths()[chosen]
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return Sequences(
            offsets=offsets,
            item=self.item[rows],
            kind=self.kind[rows],
            time=self.time[rows],
            price=self.price[rows],
        )

    def last(self, n: int) -> Sequences:
        """Each customer's newest n events."""
        if len(self) == 1:
            rows = slice(max(0, self.rows - n), None)
            return Sequences(
                offsets=np.array([0, min(n, self.rows)], np.int64),
                item=self.item[rows],
                kind=self.kind[rows],
                time=self.time[rows],
                price=self.price[rows],
            )
        position = np.arange(self.rows) - np.repeat(self.offsets[:-1], self.lengths())
        return self.take(position >= np.repeat(self.lengths() - n, self.lengths()))

    def before(self, time: int) -> Sequences:
        """Events strictly before `time` (seconds)."""
        return self.take(self.time < time)


def steps_back(sequences: Sequences) -> Longs:
    """int64 [rows], how many later moments with events the same customer has; what was bought together is one step."""
    later = np.zeros(sequences.rows, np.int64)
    later[1:] = np.cumsum(sequences.time[1:] != sequences.time[:-1])
    lengths = sequences.lengths()
    return np.repeat(later[sequences.offsets[1:][lengths > 0] - 1], lengths[lengths > 0]) - later


def distinct(values: Longs) -> Longs:
    """`np.unique` of many integers in a tenth of the time: by sorting, where NumPy hashes."""
    values = np.sort(values)
    return values[np.concatenate(([True], values[1:] != values[:-1]))[: len(values)]]


def among(values: Longs, ordered: Longs) -> npt.NDArray[np.bool_]:
    """Which of these stand in `ordered`, ascending: `np.isin` without sorting both."""
    if not len(ordered):
        return np.zeros(len(values), np.bool_)
    nearest = ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)]
    return np.asarray(nearest == values)


@numba.njit(cache=True, nogil=True)
def moments_back(time: Longs) -> Longs:
    """`steps_back` of one customer's events, by their times alone."""
    back = np.zeros(len(time), np.int64)
    for row in range(len(time) - 2, -1, -1):
        back[row] = back[row + 1] + (time[row] != time[row + 1])
    return back


def sequences_of(
    items: Sequence[Sequence[int]],
    *,
    kinds: Sequence[Sequence[int]] | None = None,
    times: Sequence[Sequence[int]] | None = None,
) -> Sequences:
    """Sequences from plain lists; kinds default to purchase (3), times to 0, 1, 2, …"""
    lengths = [len(row) for row in items]
    rows = sum(lengths)
    return Sequences(
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        item=np.fromiter((i for row in items for i in row), np.int32, rows),
        kind=np.full(rows, 3, np.int8)
        if kinds is None
        else np.fromiter((i for row in kinds for i in row), np.int8, rows),
        time=np.fromiter((i for row in items for i in range(len(row))), np.int64, rows)
        if times is None
        else np.fromiter((i for row in times for i in row), np.int64, rows),
        price=np.full(rows, np.nan, np.float32),
    )
