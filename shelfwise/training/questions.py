"""The questions that a window asks, each as the shop's pages will ask it: who asks, what is on the screen, what was
right. The ranker learns a head from each (`fit_ranker.py`).

home, new: customers with a past, what they bought in the window; new: of it what they had not bought before.
visit: nobody known, after the first one to three looks; what else was turned to, or the rest of the basket.
product: one product of a basket, the rest of it. cart: half a basket, the other half. Of strangers; product_known and
cart_known of the same baskets' customers with their past.

Beside a look, a page or a cart what everybody buys is no right answer: it would be right often, and say nothing of the
question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from shelfwise.catalogue.filters import Filters
from shelfwise.engine.request import MAX_SEEDS, Request
from shelfwise.engine.state import State, events_read, states_of
from shelfwise.metrics import Mask, Relevant
from shelfwise.models.bundle import Bundle
from shelfwise.models.sequences import Ints, Longs, Sequences
from shelfwise.schema import EventType
from shelfwise.training.windows import Window, bought, lookers, unseen

MOST = 1_500  # of a kind in a window; of 1,700, 1,000 taught up to 3% less
POPULAR = 100  # most popular products, which are no answer to a look, a page or a cart
_TOGETHER = 1_800  # seconds within which a customer's purchases are one basket
_LOOKS = 3  # most of a first visit
_PURCHASE = EventType.PURCHASE.code
EVERYTHING = Filters(availability=None)


@dataclass(frozen=True, slots=True)
class QuestionBatch:
    """Questions of one kind: row i of each is one question. wanted: distinct inside ids that are right."""

    states: list[State]
    requests: list[Request]
    wanted: list[Ints]

    def __len__(self) -> int:
        return len(self.states)


@dataclass(frozen=True, slots=True)
class Baskets:
    """What was bought together. items: int32 [m], distinct within a basket. offsets: int64 [b + 1]. owner: int64 [b],
    the customer's row. time: int64 [b], seconds, of the first purchase."""

    items: Ints
    offsets: Longs
    owner: Longs
    time: Longs

    def __len__(self) -> int:
        return len(self.owner)

    def __getitem__(self, basket: int) -> Ints:
        return self.items[self.offsets[basket] : self.offsets[basket + 1]]


def baskets_of(events: Sequences) -> Baskets:
    """A customer's purchases with less than half an hour between them are one basket; of events without any purchase,
    all events are taken."""
    some = events.kind == _PURCHASE
    events = events.take(some) if some.any() else events
    owner = np.repeat(np.arange(len(events)), events.lengths())
    first = np.ones(events.rows, np.bool_)
    first[1:] = (owner[1:] != owner[:-1]) | (events.time[1:] - events.time[:-1] > _TOGETHER)
    basket = np.cumsum(first) - 1
    at = np.flatnonzero(first)
    order = np.lexsort((events.item, basket))
    item, basket = events.item[order], basket[order]
    distinct = np.ones(len(item), np.bool_)
    distinct[1:] = (item[1:] != item[:-1]) | (basket[1:] != basket[:-1])
    sizes = np.bincount(basket[distinct], minlength=len(at))
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    return Baskets(item[distinct], offsets, owner[at], events.time[at])


def questions_of(window: Window, bundle: Bundle, memory: int, seed: int) -> dict[str, Callable[[], QuestionBatch]]:
    """How to make the questions of each kind; made one after the other, they need not be held at once. Those of visits,
    pages and carts are for the newest window: there are baskets enough, and what goes with what is counted once."""
    maker = _Maker(window, bundle, memory, seed)
    return {
        "home": lambda: maker.home(new=False),
        "new": lambda: maker.home(new=True),
        "visit": maker.visit,
        "product": lambda: maker.baskets("product", known=False),
        "cart": lambda: maker.baskets("cart", known=False),
        "product_known": lambda: maker.baskets("product", known=True),
        "cart_known": lambda: maker.baskets("cart", known=True),
    }


class _Maker:
    def __init__(self, window: Window, bundle: Bundle, memory: int, seed: int) -> None:
        self.window, self.bundle, self.memory = window, bundle, memory
        self.n = len(bundle.items)
        self.random = np.random.default_rng(seed)
        self.usual: Mask = np.zeros(self.n, np.bool_)
        self.usual[bundle.popularity.order[: min(POPULAR, self.n // 20)]] = True

    def home(self, *, new: bool) -> QuestionBatch:
        chosen = self.window.active()
        if len(chosen) > MOST:
            chosen = np.sort(self.random.choice(chosen, MOST, replace=False))
        before, after = self.window.before.select(chosen), self.window.after.select(chosen)
        wanted = bought(after)
        if new:
            wanted = unseen(wanted, before, self.n)
        request = Request(session="training", exclude_purchased=new, filters=EVERYTHING)
        return self._batch(before, self.window.now[chosen], wanted, request)

    def visit(self) -> QuestionBatch:
        """Where the record has purchases only, a part of a basket stands for what was looked at."""
        if (self.window.after.kind == _PURCHASE).all():
            return self.baskets("home", known=False)
        chosen = self.random.permutation(self.window.active())[:MOST]
        histories, now, wanted = lookers(self.window, chosen, self.n, known=False)
        wanted = wanted.keep(~self.usual[wanted.ids])
        return self._batch(histories, now, wanted, Request(session="training", filters=EVERYTHING))

    def baskets(self, surface: str, *, known: bool) -> QuestionBatch:
        """A part of a basket shown on this surface, the rest of it wanted. known: with what its customer did before."""
        asked = QuestionBatch([], [], [])
        for shown, rest, owner, now in self._parts(surface):
            past = self.window.before.select(slice(owner, owner + 1))
            if known and not past.rows:
                continue
            state = states_of(past.last(self.memory), now)[0] if known else State.nothing(int(now[0]))
            seeds = tuple(self.bundle.items.outside[item] for item in shown.tolist())
            asked.states.append(state)
            asked.requests.append(Request(session="training", surface=surface, seeds=seeds, filters=EVERYTHING))
            asked.wanted.append(rest)
            if len(asked) == MOST:
                break
        return asked

    def _parts(self, surface: str) -> Iterator[tuple[Ints, Ints, int, Longs]]:
        """Of the window's baskets in random order: what is shown, what is wanted, whose it was, and when."""
        baskets = baskets_of(self.window.after)
        sizes = np.diff(baskets.offsets)
        for basket in self.random.permutation(np.flatnonzero(sizes >= (4 if surface == "cart" else 2))).tolist():
            items = self.random.permutation(baskets[basket])
            if surface == "cart":
                part = min(len(items) // 2, MAX_SEEDS)
            else:
                part = 1 if surface == "product" else min(int(self.random.integers(1, _LOOKS + 1)), len(items) - 1)
            rest = items[part:]
            rest = rest[~self.usual[rest]]
            if len(rest):
                yield items[:part], rest, int(baskets.owner[basket]), baskets.time[basket : basket + 1]

    def _batch(self, histories: Sequences, now: Longs, wanted: Relevant, request: Request) -> QuestionBatch:
        some = np.flatnonzero(wanted.lengths() > 0)
        histories, now, wanted = histories.select(some), now[some], wanted.select(some)
        states = states_of(histories.last(events_read(self.memory, request.exclude_purchased)), now)
        rows = [wanted.ids[wanted.offsets[at] : wanted.offsets[at + 1]] for at in range(len(wanted))]
        return QuestionBatch(states, [request] * len(states), rows)
