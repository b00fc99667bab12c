"""The questions that a window asks, each as the shop's pages will ask it: who asks, what is on the screen, what was
right. The ranker learns a head from each (`fit_ranker.py`).

home, new: customers with a past, what they bought in the window; new: of it what they had not bought before.
visit: nobody known, after the first one to three looks, what else was turned to; of records that hold looks.
cart_known: half a basket of a customer with a past, the other half.
category: customers with a past on the page of a leaf category, what they bought in it.
cold: customers with a past, only products first sold in the window being shown: what they bought of them.

What a stranger's page, cart or first look is answered by needs no ranker (`engine.rank.GOES_WITH`).

Beside a look or a cart what everybody buys is no right answer: it would be right often, and say nothing of the
question.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from shelfwise.catalogue.filters import Filters
from shelfwise.engine.request import MAX_SEEDS, Request
from shelfwise.engine.state import State, events_read, states_of, with_searches
from shelfwise.metrics import Mask, Relevant
from shelfwise.models.bundle import Bundle
from shelfwise.models.sequences import Ints, Longs, Sequences
from shelfwise.schema import EventType
from shelfwise.training.searches import PastSearches
from shelfwise.training.windows import Positions, Window, bought, lookers, unseen

MOST = 1_500  # of a kind in a window; of 1,700, 1,000 taught up to 3% less
POPULAR = 100  # most popular products, which are no answer to a look or a cart
_CATEGORY_PAGES = 500  # questions of category pages in a window
_EACH = 2  # of one customer
_COLD = 500  # customers asked about products first sold in a window
_TOGETHER = 1_800  # seconds within which a customer's purchases are one basket
_FEWEST = 4  # products of a basket that is cut in two
_PURCHASE = EventType.PURCHASE.code
EVERYTHING = Filters(availability=None)
#: Asked in every window, so that a head is judged by a window that it has not learned: within one, what sold in those
#: weeks is learned by heart.
OF_EVERY_WINDOW = ("home", "new", "category", "cold")


@dataclass(frozen=True, slots=True)
class QuestionBatch:
    """Questions of one kind: row i of each is one question. wanted: distinct inside ids that are right. shown: bool
    [n_items], what is in stock; None for all."""

    states: list[State]
    requests: list[Request]
    wanted: list[Ints]
    shown: Mask | None = None

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


def questions_of(
    window: Window, bundle: Bundle, memory: int, seed: int, searches: PastSearches | None = None
) -> dict[str, Callable[[], QuestionBatch]]:
    """How to make the questions of each kind; made one after the other, they need not be held at once. Those of visits
    and carts are for the newest window: there are baskets enough, and what goes with what is counted once."""
    maker = _Maker(window, bundle, memory, seed, searches)
    kinds = {
        "home": lambda: maker.home(new=False),
        "new": lambda: maker.home(new=True),
        "cold": maker.cold,
        "cart_known": maker.carts,
    }
    if maker.leaf is not None and len(maker.leaf_names) > 1:
        kinds["category"] = maker.categories
    return kinds if (window.after.kind == _PURCHASE).all() else kinds | {"visit": maker.visit}


class _Maker:
    def __init__(self, window: Window, bundle: Bundle, memory: int, seed: int, searches: PastSearches | None) -> None:
        self.window, self.bundle, self.memory, self.searches = window, bundle, memory, searches
        self.n = len(bundle.items)
        self.random = np.random.default_rng(seed)
        self.leaf, self.leaf_names = bundle.facts.category, bundle.facts.category_names
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
        return self._batch(before, self.window.now[chosen], wanted, request, chosen)

    def visit(self) -> QuestionBatch:
        chosen = self.random.permutation(self.window.active())[:MOST]
        histories, now, wanted = lookers(self.window, chosen, self.n)
        wanted = wanted.keep(~self.usual[wanted.ids])
        return self._batch(histories, now, wanted, Request(session="training", filters=EVERYTHING))

    def carts(self) -> QuestionBatch:
        carts = QuestionBatch([], [], [])
        baskets = baskets_of(self.window.after.liked())
        for basket in self.random.permutation(np.flatnonzero(np.diff(baskets.offsets) >= _FEWEST)).tolist():
            owner, items = int(baskets.owner[basket]), self.random.permutation(baskets[basket])
            past = self.window.before.select(slice(owner, owner + 1))
            half = min(len(items) // 2, MAX_SEEDS)
            rest = items[half:]
            rest = rest[~self.usual[rest]]
            if not past.rows or not len(rest):
                continue
            carts.states.extend(self._states(past.last(self.memory), baskets.time[basket : basket + 1], [owner]))
            seeds = tuple(self.bundle.items.outside[item] for item in items[:half].tolist())
            carts.requests.append(Request(session="training", surface="cart", seeds=seeds, filters=EVERYTHING))
            carts.wanted.append(rest)
            if len(carts) == MOST:
                break
        return carts

    def categories(self) -> QuestionBatch:
        pages = QuestionBatch([], [], [])
        assert self.leaf is not None
        for customer in self.random.permutation(self.window.active()).tolist():
            before = self.window.before.select(slice(customer, customer + 1))
            of = bought(self.window.after.select(slice(customer, customer + 1))).ids
            codes = np.unique(self.leaf[of][self.leaf[of] >= 0])
            for code in self.random.permutation(codes)[:_EACH].tolist():
                filters = Filters(availability=None, categories=(self.leaf_names[code],))
                now = self.window.now[customer : customer + 1]
                pages.states.extend(self._states(before.last(self.memory), now, [customer]))
                pages.requests.append(Request(session="training", surface="category", filters=filters))
                pages.wanted.append(of[self.leaf[of] == code])
            if len(pages) >= _CATEGORY_PAGES:
                break
        return pages

    def cold(self) -> QuestionBatch:
        sold = np.zeros(self.n, np.bool_)
        sold[self.window.before.item] = True
        wanted = bought(self.window.after)
        shown = np.zeros(self.n, np.bool_)
        shown[wanted.ids] = True
        shown &= ~sold
        wanted = wanted.keep(shown[wanted.ids])
        chosen = np.flatnonzero((self.window.before.lengths() > 0) & (wanted.lengths() > 0))
        chosen = np.sort(self.random.permutation(chosen)[:_COLD])
        before, request = self.window.before.select(chosen), Request(session="training")
        batch = self._batch(before, self.window.now[chosen], wanted.select(chosen), request, chosen)
        return replace(batch, shown=shown)

    def _batch(
        self,
        histories: Sequences,
        now: Longs,
        wanted: Relevant,
        request: Request,
        owners: Positions | None = None,
    ) -> QuestionBatch:
        """owners: whose each history is, None where nobody is known."""
        some = np.flatnonzero(wanted.lengths() > 0)
        histories, now, wanted = histories.select(some), now[some], wanted.select(some)
        known = () if owners is None else owners[some].tolist()
        states = self._states(histories.last(events_read(self.memory, request.exclude_purchased)), now, known)
        rows = [wanted.ids[wanted.offsets[at] : wanted.offsets[at + 1]] for at in range(len(wanted))]
        return QuestionBatch(states, [request] * len(states), rows)

    def _states(self, histories: Sequences, now: Longs, owners: Sequence[int]) -> list[State]:
        states = states_of(histories, now)
        if not self.searches or not owners:
            return states
        sought = (self.searches.of(owner, state.now) for state, owner in zip(states, owners, strict=True))
        return [with_searches(state, searches) for state, searches in zip(states, sought, strict=True)]
