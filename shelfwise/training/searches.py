"""What customers had searched for: the ranker learns from states that know it, as it is asked with such."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shelfwise.engine.state import SEARCH_KEPT, SEARCHES_KEPT, Searched
from shelfwise.models.sequences import IdMap
from shelfwise.schema import EventType
from shelfwise.store import Store
from shelfwise.training.dataset import OWNER

Find = Callable[[str], Sequence[str]]  # a query → the products it finds, best first
_MICRO = 1_000_000


class PastSearches:
    """The searches of customers, by their rows in a data set's sequences.

    find: what a query finds today: what it found on its day nobody kept. It must not know what was chosen later.
    """

    def __init__(self, store: Store, customers: IdMap, items: IdMap, find: Find) -> None:
        self._find, self._items = find, items
        self._found: dict[str, Sequence[str]] = {}
        self._of: dict[int, list[tuple[int, str]]] = {}  # customer's row → (seconds, query), oldest first
        columns = ("time", "customer", "session", "query")
        for frame in store.event_frames(types=[EventType.SEARCH], columns=columns):
            rows = customers.inside_all(frame.select(OWNER).to_series())
            for row, time, query in zip(rows, frame["time"].to_list(), frame["query"].to_list(), strict=True):
                if row >= 0 and query:
                    self._of.setdefault(int(row), []).append((time // _MICRO, query))

    def __bool__(self) -> bool:
        return bool(self._of)

    def of(self, customer: int, now: int) -> list[Searched]:
        """The last different searches of the day before `now` (seconds), newest first."""
        newest: dict[str, Searched] = {}
        for time, query in reversed(self._of.get(customer, ())):
            if time >= now:
                continue
            if now - time > SEARCH_KEPT or len(newest) == SEARCHES_KEPT:
                break
            if query.casefold() not in newest:
                rows = self._items.inside_all(self._finds(query))
                newest[query.casefold()] = Searched(time, query, rows[rows >= 0])
        return list(newest.values())

    def _finds(self, query: str) -> Sequence[str]:
        if query not in self._found:
            self._found[query] = self._find(query)
        return self._found[query]
