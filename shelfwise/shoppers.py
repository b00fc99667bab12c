"""What shoppers did, as search reads it: popular queries, what sells, what searchers turned to; follows the record."""

from __future__ import annotations

import time
from collections.abc import Collection

import polars as pl

from shelfwise.schema import EVENT_COLUMNS, EventType
from shelfwise.search.indexes import Indexes
from shelfwise.search.retrieve.clicks import TYPES, Clicks
from shelfwise.search.suggest import popular_queries
from shelfwise.store import Store

_ARRIVALS = 10_000  # events read at once
_SECONDS = 5.0  # at least, between two readings of all searches
_SHARE = 20  # times as long as a reading took, until the next
_SALES = (str(EventType.PURCHASE), str(EventType.REFUND))


class Shoppers:
    """Of one record. ignored: customers that count for nothing. Not for several threads at once."""

    def __init__(self, store: Store, ignored: Collection[str]) -> None:
        self._store, self._ignored = store, ignored
        self._arrived = self._count = 0  # the newest event known, and how many the record held then
        self._sold: dict[str, float] = {}
        self._next = 0.0  # when all searches may be read again
        self._stale = False

    def begin(self, indexes: Indexes) -> None:
        """Read everything."""
        self._arrived, self._count = self._store.newest_event()
        indexes.clicks = self._clicks()
        self._sold = self._store.sold(self._ignored)
        self._count_queries(indexes)

    def follow(self, indexes: Indexes) -> None:
        """Read what came since. Cheap when nothing did.

        What was bought counts at once. Popular queries are counted anew now and then. Where somebody was forgotten, so
        is what they did here."""
        arrived, count, events = self._store.arrivals(self._arrived, _ARRIVALS)
        forgotten = events.height < _ARRIVALS and self._count + events.height > count
        if events.height:
            indexes.clicks.learn(events)
            bought = events.filter(pl.col("type").is_in(_SALES))["product"].unique().to_list()
            if bought:
                self._sold |= dict.fromkeys(bought, 0.0) | self._store.sold(self._ignored, products=bought)
                indexes.sold.put(indexes.products.view, {name: self._sold[name] for name in bought})
            self._stale |= events["type"].is_in([str(EventType.SEARCH)]).any()
        if forgotten:
            self.begin(indexes)
            return
        self._arrived = arrived
        self._count = count if events.height < _ARRIVALS else self._count + events.height
        if self._stale and time.monotonic() >= self._next:
            self._count_queries(indexes)

    def _count_queries(self, indexes: Indexes) -> None:
        begun = time.monotonic()
        searches = pl.concat([pl.DataFrame(schema=EVENT_COLUMNS), *self._store.event_frames(types=[EventType.SEARCH])])
        indexes.learn(popular_queries(searches), self._sold)
        self._stale = False
        ended = time.monotonic()
        self._next = ended + max(_SECONDS, _SHARE * (ended - begun))

    def _clicks(self) -> Clicks:
        """Of those who have ever searched, and of lists: what the others did says nothing of a search."""
        clicks = Clicks(self._ignored)
        searches = pl.concat([pl.DataFrame(schema=EVENT_COLUMNS), *self._store.event_frames(types=[EventType.SEARCH])])
        if searches.is_empty():
            return clicks
        who = pl.when(pl.col("customer") != "").then("customer").otherwise("session")
        people = searches.select(who.alias("who")).unique()
        for frame in self._store.event_frames(types=TYPES):
            lists = pl.col("type") == str(EventType.VIEW_ITEM_LIST)
            known = who.is_in(people["who"].implode())
            clicks.learn(frame.filter(lists | (pl.col("query") != "") | known))
        return clicks
