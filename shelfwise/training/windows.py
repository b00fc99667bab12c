"""Windows: what customers did before a moment and after it, what the ranker learns from.

Several, because one may be Thanksgiving: on Complete Journey a ranker fitted on the two ordinary windows before it was
better in the next two weeks than one fitted on that window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwise.metrics import Relevant
from shelfwise.models.sequences import DAY, Longs, Sequences
from shelfwise.schema import EventType

WINDOWS = 3
LEAST = 30  # customers active in a window, else it is none
Positions = npt.NDArray[np.intp]
_PURCHASE = EventType.PURCHASE.code


@dataclass(frozen=True, slots=True)
class Window:
    """What customers did `before`, and `after` it; row i is the same customer. now: int64 [n], when each is asked."""

    before: Sequences
    after: Sequences
    now: Longs

    def liked(self) -> Window:
        """What was disliked left out of both."""
        return Window(self.before.liked(), self.after.liked(), self.now)

    def active(self) -> Positions:
        return np.flatnonzero((self.before.lengths() > 0) & (self.after.lengths() > 0))


def windows_of(past: Sequences, newest: int, span: int, most: int = WINDOWS) -> list[Window]:
    """Up to `most` windows of `span` seconds, the last starting at `newest`, oldest first. A window counts when at
    least 30 customers are active in it and more events lie before it than in it."""
    windows: list[Window] = []
    for back in range(most):
        start = newest - back * span
        before = past.before(start)
        after = past.take((past.time >= start) & (past.time < start + span))
        window = Window(before, after, np.full(len(past), start, np.int64))
        if before.rows <= after.rows or len(window.active()) < LEAST:
            break
        windows.append(window)
    return windows[::-1]


def lookers(window: Window, chosen: Positions, n: int) -> tuple[Sequences, Longs, Relevant]:
    """What these customers, nothing else known of them, wanted after the first one to three events of the window:
    (these events, when each is asked in seconds, wanted). n: products."""
    after = window.after.liked().select(chosen)
    steps = np.arange(after.rows) - np.repeat(after.offsets[:-1], after.lengths())
    shown = steps < np.repeat(np.arange(len(after)) % 3 + 1, after.lengths())
    seen, rest = after.take(shown), after.take(~shown)
    some = np.flatnonzero(seen.lengths() > 0)
    seen, rest = seen.select(some), rest.select(some)
    return seen, seen.time[seen.offsets[1:] - 1], unseen(bought(rest), seen, n)


def bought(after: Sequences) -> Relevant:
    """The distinct products bought and not disliked; of events without any purchase, all products."""
    after = after.liked()
    bought = after.kind == _PURCHASE
    return Relevant.distinct(after.take(bought) if bought.any() else after)


def followed(before: Sequences, after: Sequences) -> Sequences:
    """Each customer's events of `before`, then those of `after` (row i is the same customer in both)."""
    owner = np.concatenate(
        (np.repeat(np.arange(len(before)), before.lengths()), np.repeat(np.arange(len(after)), after.lengths()))
    )
    order = np.argsort(owner, kind="stable")
    return Sequences(
        offsets=before.offsets + after.offsets,
        item=np.concatenate((before.item, after.item))[order],
        kind=np.concatenate((before.kind, after.kind))[order],
        time=np.concatenate((before.time, after.time))[order],
        price=np.concatenate((before.price, after.price))[order],
    )


def unseen(wanted: Relevant, before: Sequences, n: int) -> Relevant:
    """Of what each customer wanted, what the events before do not hold."""
    seen = np.repeat(np.arange(len(before), dtype=np.int64), before.lengths()) * n + before.item
    return wanted.keep(~np.isin(wanted.owners() * n + wanted.ids, seen))


def midnight(past: Sequences) -> int:
    """The end of the last day with an event, seconds."""
    return int(past.time.max()) // DAY * DAY + DAY
