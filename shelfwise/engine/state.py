"""State: what is known of who asks, the same shape live (from the record) and offline (cut from the dataset)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, repeat

import numpy as np
import numpy.typing as npt

from shelfwise.models.sequences import Floats, Ints, Longs, Sequences
from shelfwise.schema import DISLIKE, POSITIVE_TYPES, EventType

PURCHASE, SEARCH, VIEW = EventType.PURCHASE.code, EventType.SEARCH.code, EventType.VIEW_ITEM.code
_ADD, _REMOVE = EventType.ADD_TO_CART.code, EventType.REMOVE_FROM_CART.code
_POSITIVE = np.zeros(DISLIKE + 1, np.bool_)
_POSITIVE[[kind.code for kind in POSITIVE_TYPES]] = True
_OF_CARTS = np.zeros(DISLIKE + 1, np.bool_)
_OF_CARTS[[_ADD, _REMOVE, PURCHASE, EventType.RETURNED.code]] = True
TAKES_BACK = np.zeros(DISLIKE + 1, np.bool_)  # kinds that undo the addition to a cart before them
TAKES_BACK[[_REMOVE, EventType.RETURNED.code]] = True
IN_CART, ELSE = -1, -2  # of `decided`
_NONE = np.empty(0, np.int32)
_CART_KEPT = 7 * 86_400  # seconds after which a cart is taken as left behind
SEARCH_KEPT = 86_400  # seconds for which a search says what is wanted
SEARCHES_KEPT = 3
_EVER = 10_000  # events read where nothing may be shown that was ever bought
_MEANT = 5  # of the products a search found, best first: these are taken as meant


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """A search: when (seconds), its words, and the catalogue rows it finds now, best first, int32 [m]."""

    time: int
    query: str
    rows: Ints


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """The newest events of one customer or session, oldest first.

    events: one-row `Sequences` of positive events (`schema.POSITIVE_TYPES`); items are catalogue rows. Long enough
            for personal frequency (`settings.memory`); the network reads the newest `Network.reads` of it.
    now:    seconds, when the answer is asked for.
    cart:   rows in the cart: added, and neither removed nor bought since.
    disliked: rows that were rated low and not bought since; nothing else of them stands in `events`.
    searches: the last searches, newest first. The first products each finds stand among `events` with the kind
            `search`, at its time: what is sought is as telling as what is looked at.
    """

    events: Sequences
    now: int
    cart: Ints = field(default_factory=lambda: _NONE)
    searches: tuple[Searched, ...] = ()
    disliked: Ints = field(default_factory=lambda: _NONE)

    @classmethod
    def nothing(cls, now: int) -> State:
        """Nothing is known: a first visit."""
        none = np.empty(0, np.float32)
        return state_of(_NONE, np.empty(0, np.int8), np.empty(0, np.int64), none, now=now)


def states_of(histories: Sequences, now: Longs | int) -> list[State]:
    """One state a history: how evaluation asks. now: seconds, [len(histories)] or one for all."""
    times = np.broadcast_to(np.asarray(now, np.int64), len(histories)).tolist()
    liked, disliked = histories.liked(), histories.disliked()
    states = []
    for at, (start, stop) in enumerate(pairwise(liked.offsets.tolist())):
        events = _one_row(liked, slice(start, stop))
        carts = (events.kind == _ADD).any()
        cart = _cart(events.item, decided(events.item, events.kind), events.time, times[at]) if carts else _NONE
        states.append(State(events=events, now=times[at], cart=cart, disliked=disliked.items_of(at)))
    return states


def state_of(
    items: Ints,
    kinds: npt.NDArray[np.int8],
    times: Longs,
    prices: Floats,
    *,
    now: int,
) -> State:
    """State from columns of the record, oldest first: how serving asks.

    items: int32 [m] catalogue rows, -1 for none or unknown (left out). kinds: EventType codes. times: seconds.
    prices: float32, of one piece, NaN unknown; no answer asks for quantities, which are all taken as 1.
    A removal takes back the addition it answers: the product is no longer wanted, so neither counts; no more does what
    was bought and given back. Searches and lists shown say nothing of one product and are left out.
    """
    keep = (_POSITIVE[kinds] | (kinds == DISLIKE)) & (items >= 0)
    cart = _NONE
    if (kinds == _ADD).any():
        end = decided(items, kinds)
        answered = end >= 0
        keep[answered] &= ~TAKES_BACK[kinds[end[answered]]]
        cart = _cart(items, end, times, now)
    if not keep.all():
        items, kinds, times, prices = items[keep], kinds[keep], times[keep], prices[keep]
    events = Sequences(
        offsets=np.array([0, len(items)], np.int64),
        item=items.astype(np.int32, copy=False),
        kind=kinds.astype(np.int8, copy=False),
        time=times.astype(np.int64, copy=False),
        price=prices.astype(np.float32, copy=False),
    )
    return State(events=events.liked(), now=now, cart=cart, disliked=events.disliked().item)


def _cart(items: Ints, end: Longs, times: Longs, now: int) -> Ints:
    """What was added, and by `decided` neither removed nor bought since, unless it was left behind."""
    waiting = end == IN_CART
    if not waiting.any():
        return _NONE
    recent = set(items[waiting & (times >= now - _CART_KEPT)].tolist())
    return np.array([item for item in dict.fromkeys(items[waiting].tolist()) if item in recent], np.int32)


def decided(items: Ints, kinds: npt.NDArray[np.int8], owners: Ints | None = None) -> Longs:
    """What became of each addition to a cart: int64 [m], the row of the next removal or purchase (given back or not) of
    the product, IN_CART where there is none yet; ELSE for what is no addition.

    items: -1 for none or unknown. kinds: EventType codes. owners: whose events they are, where not all are one's. Rows
    are in time order within an owner. An addition that a removal answers is taken back: the product is no longer
    wanted. Linear but for a sort of the rows that concern carts.
    """
    ends_at = np.full(len(items), ELSE, np.int64)
    some = np.flatnonzero(_OF_CARTS[kinds] & (items >= 0))
    keys = (items[some],) if owners is None else (items[some], owners[some])
    order = some[np.lexsort(keys)]  # stable: time order stays within a product
    added = kinds[order] == _ADD
    places = np.arange(len(order))
    ends = np.minimum.accumulate(np.where(added, len(order), places)[::-1])[::-1]
    there = np.flatnonzero(added & (ends < len(order)))
    one, other = order[there], order[ends[there]]
    same = items[one] == items[other]
    if owners is not None:
        same &= owners[one] == owners[other]
    ends_at[order[added]] = IN_CART
    ends_at[one[same]] = other[same]
    return ends_at


def with_searches(state: State, searches: Sequence[Searched]) -> State:
    """The state of somebody who also searched."""
    searches = [search for search in searches if len(search.rows)]
    if not searches:
        return state
    # A search says nothing more of a product that was met after it.
    met = {int(item): int(time) for item, time in zip(state.events.item, state.events.time, strict=True)}
    meant = [
        (search.time, int(row))
        for search in sorted(searches, key=lambda search: search.time)
        for row in search.rows[:_MEANT][::-1]
        if met.get(int(row), -1) < search.time
    ]
    added = extended(state.events, [row for _, row in meant], SEARCH, 0)
    added.time[state.events.rows :] = [time for time, _ in meant]
    order = np.argsort(added.time, kind="stable")
    newest = sorted(searches, key=lambda search: -search.time)
    return State(
        events=Sequences(
            offsets=added.offsets,
            item=added.item[order],
            kind=added.kind[order],
            time=added.time[order],
            price=added.price[order],
        ),
        now=state.now,
        cart=state.cart,
        disliked=state.disliked,
        searches=tuple(newest),
    )


def events_read(memory: int, exclude_purchased: bool) -> int:
    """How many of someone's newest events an answer reads: all, in practice, where what was bought may not be shown."""
    return _EVER if exclude_purchased else memory


def rows_of(products: Sequence[str], rows: Mapping[str, int]) -> Ints:
    """Catalogue rows of outside ids, -1 for unknown ones."""
    return np.fromiter(map(rows.get, products, repeat(-1)), np.int32, len(products))


def extended(events: Sequences, items: Sequence[int], kind: int, time: int) -> Sequences:
    """A one-row history with these newest events after it."""
    m = len(items)
    if not m:
        return events
    return Sequences(
        offsets=np.array([0, events.rows + m], np.int64),
        item=np.concatenate((events.item, np.array(items, np.int32))),
        kind=np.concatenate((events.kind, np.full(m, kind, np.int8))),
        time=np.concatenate((events.time, np.full(m, time, np.int64))),
        price=np.concatenate((events.price, np.full(m, np.nan, np.float32))),
    )


def _one_row(histories: Sequences, rows: slice) -> Sequences:
    return Sequences(
        offsets=np.array([0, rows.stop - rows.start], np.int64),
        item=histories.item[rows],
        kind=histories.kind[rows],
        time=histories.time[rows],
        price=histories.price[rows],
    )
