"""What earlier searchers of a query turned to.

Evidence is clicks over expected clicks (Zhang and Jones 2007, "Comparing click logs and editorial labels"): a click
counts by how rarely its place in the list is clicked, so that what stood on top for no merit of its own gains nothing.
Places are known where the shop records what it showed (view_item_list, in order, with the answer's request_id); else a
click counts as one of the first place. A cart counts three clicks, a purchase six. Each person counts once for a query
and a product, by the strongest thing they did.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import TypeVar

import polars as pl

from shelfwise.schema import EventType
from shelfwise.search.query.text import normal

WITHIN = 30 * 60 * 1_000_000  # microseconds after a query in which what is turned to answers it
_WORTH = {
    str(EventType.VIEW_ITEM): 1.0,
    str(EventType.SELECT_ITEM): 1.0,
    str(EventType.ADD_TO_WISHLIST): 2.0,
    str(EventType.ADD_TO_CART): 3.0,
    str(EventType.PURCHASE): 6.0,
}
TYPES = tuple(EventType(kind) for kind in (EventType.SEARCH, EventType.VIEW_ITEM_LIST, *_WORTH))
_PRIOR = 5.0  # clicks a product must gather to be half believed
_PLACES = tuple(1 / (1 + 0.5 * place) for place in range(50))  # how often a place is clicked, beside the first
_PEOPLE = 200_000  # whose last query is remembered
_QUERIES = 200_000  # whose evidence is kept
_PRODUCTS = 500  # of a query that gather evidence; those that came first
_CROWD = 500  # people whose evidence a product keeps for a query: more make it no surer
_LISTS = 50_000  # answers whose places are remembered


_T = TypeVar("_T")


def _put(kept: OrderedDict[str, _T], key: str, value: _T, most: int) -> None:
    """Keep the newest `most`."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)


class Clicks:
    """Evidence by query. `learn` takes events as they arrive; `of` may be asked at any time, from any thread.

    ignored: customers whose clicks are no evidence."""

    def __init__(self, ignored: Iterable[str] = ()) -> None:
        self._ignored = frozenset(ignored)
        self._lock = threading.Lock()
        self._last_query: OrderedDict[str, tuple[str, int]] = OrderedDict()  # person → query, when
        self._places: OrderedDict[str, dict[str, int]] = OrderedDict()  # request_id → product → place
        self._evidence: OrderedDict[str, dict[str, dict[str, float]]] = (
            OrderedDict()
        )  # query → product → person → worth

    def __len__(self) -> int:
        """Queries with evidence."""
        return len(self._evidence)

    def learn(self, events: pl.DataFrame) -> None:
        """Events (EVENT_COLUMNS) in their order; later calls go on from earlier ones."""
        names = ("type", "time", "customer", "session", "product", "query", "request_id")
        with self._lock:
            for kind, time, customer, session, product, query, answer in events.select(names).iter_rows():
                person = customer or session
                if customer and customer in self._ignored:
                    continue
                if kind == EventType.SEARCH:
                    _put(self._last_query, person, (normal(query), time), _PEOPLE)
                elif kind == EventType.VIEW_ITEM_LIST:
                    if answer and product:
                        places = self._places.get(answer)
                        if places is None:
                            places = {}
                            _put(self._places, answer, places, _LISTS)
                        places.setdefault(product, len(places))
                elif kind == EventType.REFUND:
                    self._given_back(person, product)
                elif kind in _WORTH and product:
                    self._clicked(person, time, product, query, answer, _WORTH[kind])

    def _clicked(self, person: str, time: int, product: str, query: str, answer: str, worth: float) -> None:
        said = normal(query)
        if not said:
            last = self._last_query.get(person)
            if last is None or not 0 <= time - last[1] <= WITHIN:
                return
            said = last[0]
        place = self._places.get(answer, {}).get(product, 0)
        value = worth / _PLACES[min(place, len(_PLACES) - 1)]
        products = self._evidence.get(said)
        if products is None:
            products = {}
            _put(self._evidence, said, products, _QUERIES)
        people = products.get(product)
        if people is None:
            if len(products) >= _PRODUCTS:
                return
            people = products[product] = {}
        if person in people or len(people) < _CROWD:
            people[person] = max(value, people.get(person, 0.0))

    def _given_back(self, person: str, product: str) -> None:
        for products in self._evidence.values():
            people = products.get(product)
            if people is not None and people.pop(person, None) is not None and not people:
                del products[product]

    def of(self, query: str) -> dict[str, float]:
        """Product → evidence from 0 to 1 for a (normal) query: its share of all the clicks, as far as they are many."""
        products = self._evidence.get(query)
        if not products:
            return {}
        with self._lock:
            gathered = dict(self._gathered(products))
        most = max(gathered.values(), default=0.0)
        return {product: value / most * value / (value + _PRIOR) for product, value in gathered.items()}

    @staticmethod
    def _gathered(products: dict[str, dict[str, float]]) -> Iterator[tuple[str, float]]:
        for product, people in products.items():
            yield product, sum(people.values())
