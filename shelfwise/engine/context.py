"""The context of one answer: a request and a state, hydrated over one view of the catalogue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from shelfwise.catalogue.columns import Mask
from shelfwise.engine.catalogue import View
from shelfwise.engine.crowd import Counts
from shelfwise.engine.request import Request
from shelfwise.engine.state import PURCHASE, Searched
from shelfwise.models.sequences import Floats, Ints, Longs
from shelfwise.schema import Rule

RECENT = 5  # newest distinct products that count as "now"
HELD = "held"  # what of a context the durables that wait are kept under
_T = TypeVar("_T")


_NONE: Ints = np.empty(0, np.int32)


class Scratch(threading.local):
    """Tables as long as the catalogue, one set a thread, so that sets of rows need no sorting.

    hidden: bool, rows that must not be shown. slot: int32, free to write. total: float32, zeros between uses.
    """

    def __init__(self) -> None:
        self.hidden: Mask = np.zeros(0, np.bool_)
        self.slot: Ints = np.zeros(0, np.int32)
        self.total: Floats = np.zeros(0, np.float32)
        self._gathered: Floats = np.empty(0, np.float32)

    @contextmanager
    def hiding(self, n: int, rows: Ints) -> Iterator[Scratch]:
        """Room for n rows, with `rows` hidden until the end, whatever happens in between."""
        if len(self.slot) < n:
            n += n // 10
            self.hidden, self.slot, self.total = np.zeros(n, np.bool_), np.zeros(n, np.int32), np.zeros(n, np.float32)
        try:
            self.hidden[rows] = True
            yield self
        finally:
            self.hidden[rows] = False

    def sums_at(self, sums: tuple[Ints, Floats], rows: Ints) -> Floats:
        """Of (distinct rows, their sums) those of `rows`, 0 for none: float32 [len(rows)]."""
        self.total[sums[0]] = sums[1]
        at_rows = self.total[rows]
        self.total[sums[0]] = 0
        return at_rows

    def gather(self, vectors: Floats, rows: Ints) -> Floats:
        """`vectors[rows]`, good until the next call: fresh memory each time costs more than the copy."""
        m, d = len(rows), vectors.shape[1]
        if self._gathered.size < m * d:
            self._gathered = np.empty(2 * m * d, np.float32)
        return np.take(vectors, rows, axis=0, out=self._gathered[: m * d].reshape(m, d), mode="clip")


@dataclass(kw_only=True, eq=False)
class Context:
    """What every stage reads.

    question: what is asked: home, new, visit, category, product, cart or similar.
    items, kinds, times: the history, oldest first, seeds as its newest events, [m]. seeds: how many these are.
    now: seconds on the shop's clock. searches, cart: see State.
    excluded: rows that must not be shown whatever was bought. rules: merchants' rules that hold here.
    disliked: rows rated low. crowd: what everybody turned to since the bundle was learned.
    pressure: how stock presses on each row, None where it does not.
    """

    view: View
    request: Request
    question: str
    items: Ints
    kinds: npt.NDArray[np.int8]
    times: Longs
    seeds: int
    now: int
    searches: tuple[Searched, ...]
    excluded: Ints
    scratch: Scratch
    rules: tuple[Rule, ...] = ()
    disliked: Ints = field(default_factory=lambda: _NONE)
    crowd: Counts = field(default_factory=Counts.none)
    pressure: Floats | None = None
    _kept: dict[object, Any] = field(default_factory=dict)

    @property
    def head(self) -> str:
        """Which of the ranker's heads answers: the cart of who has a past has its own."""
        return "cart_known" if self.question == "cart" and len(self.items) > self.seeds else self.question

    def once(self, key: object, make: Callable[[], _T]) -> _T:
        """What a source worked out for this question, made when first asked for."""
        if key not in self._kept:
            self._kept[key] = make()
        kept: _T = self._kept[key]
        return kept

    @property
    def held(self) -> tuple[Ints, Ints]:
        """Durables that this asker has: (products, categories), not to be offered on the home page yet."""
        held: tuple[Ints, Ints] = self._kept.get(HELD, (_NONE, _NONE))
        return held

    def keep(self, key: object, value: object) -> None:
        self._kept[key] = value

    @cached_property
    def known(self) -> Ints:
        """The history's items as the bundle's rows: a product without counts of its own stands in by its proxy."""
        return self.view.proxy[self.items] if self._any_new else self.items

    @cached_property
    def likeness(self) -> Floats | None:
        """How far each of `known` stands for its item; None where all are the bundle's own."""
        return self.view.likeness[self.items] if self._any_new else None

    @cached_property
    def _any_new(self) -> bool:
        return len(self.items) > 0 and int(self.items.max()) >= self.view.known

    @cached_property
    def recent(self) -> Ints:
        """The newest distinct products, newest first: int32 [up to RECENT]."""
        return np.array(list(dict.fromkeys(self.items[: -4 * RECENT - 1 : -1].tolist()))[:RECENT], np.int32)

    @cached_property
    def bought(self) -> Mask:
        """Which events are purchases, bool [m]."""
        bought: Mask = self.kinds == PURCHASE
        return bought

    @cached_property
    def hidden(self) -> Ints:
        """Rows that must not be shown."""
        if not self.request.exclude_purchased:
            return self.excluded
        return np.concatenate((self.excluded, self.items[self.bought]))

    @property
    def narrow(self) -> bool:
        """Must candidates be sought inside the filters, since they leave only a part of the catalogue?"""
        return self.request.filters.narrow

    def visible(self, rows: npt.NDArray[np.integer]) -> Ints:
        """Of these rows those that are not hidden, in their order."""
        if len(self.hidden):
            rows = rows[~self.scratch.hidden[rows]]
        return rows.astype(np.int32, copy=False)

    def allowed(self, row: int) -> bool:
        """May this row be shown?"""
        return row not in self.hidden and bool(self.view.allowed(self.request.filters, np.array([row], np.int32))[0])
