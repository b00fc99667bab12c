"""The search desk: a query with each stage's result side by side, and what shoppers ask for."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import polars as pl

from shelfwise.catalogue.filters import SearchFilters
from shelfwise.errors import InvalidRequest
from shelfwise.schema import EVENT_COLUMNS, MAX_QUERY, EventType, Rule, now
from shelfwise.search.queries import Outcome, QueryCount, count_queries, outcomes
from shelfwise.search.query.synonyms import TURNED_TO
from shelfwise.search.query.text import normal
from shelfwise.search.request import Chip, SearchRequest
from shelfwise.search.stages import Stage, stages
from shelfwise.shop import Shop

SHOWN = 10  # products a stage
MOST_QUERIES = 200  # asked again to see how they fare
DAYS = (7, 30, 90, 365)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskPage:
    """A query tried. stages: none before one is tried. rules: those whose query this is."""

    template: ClassVar[str] = "console/search.html"
    section: ClassVar[str] = "search"
    query: str
    category: str
    customer: str
    stages: tuple[Stage, ...] = ()
    total: int = 0
    corrected: str = ""
    did_you_mean: str = ""
    relaxed: tuple[str, ...] = ()
    chips: tuple[Chip, ...] = ()
    rules: tuple[Rule, ...] = ()
    popular: tuple[QueryCount, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class QueriesPage:
    """top: most asked. failing: without results. corrected: found under another spelling. relaxed: found only after
    something was given up. unloved: found, often asked, and nobody turned to a product."""

    template: ClassVar[str] = "console/queries.html"
    section: ClassVar[str] = "queries"
    days: int
    choices: ClassVar[tuple[int, ...]] = DAYS
    searches: int
    top: tuple[Outcome, ...]
    failing: tuple[Outcome, ...]
    corrected: tuple[Outcome, ...]
    relaxed: tuple[Outcome, ...]
    unloved: tuple[Outcome, ...]


def desk_page(shop: Shop, *, query: str = "", category: str = "", customer: str = "") -> DeskPage:
    """Raises InvalidRequest."""
    query = query.strip()[:MAX_QUERY]
    if not query:
        return DeskPage(query="", category=category, customer=customer, popular=tuple(_counted(shop, 90)[:8]))
    request = SearchRequest(
        query=query, customer=customer, filters=SearchFilters(categories=(category,) if category else ())
    )
    answer, shown_stages = stages(shop.searching, request, SHOWN, taste=shop.taste(request))
    key = _key(query)
    return DeskPage(
        query=query,
        category=category,
        customer=customer,
        stages=shown_stages,
        total=answer.total,
        corrected=answer.corrected,
        did_you_mean=answer.did_you_mean,
        relaxed=answer.relaxed,
        chips=answer.reading,
        rules=tuple(rule for rule in shop.store.rules() if _key(rule.query) == key),
    )


class Queries:
    """The page of queries, remembered until something arrives or changes that may alter it."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._lock = threading.Lock()
        self._pages: dict[int, tuple[tuple[int, ...], QueriesPage]] = {}

    def page(self, days: int = 30) -> QueriesPage:
        """Raises InvalidRequest for days that are not offered."""
        if days not in DAYS:
            raise InvalidRequest("days", f"is {days}; use one of {', '.join(map(str, DAYS))}")
        store = self._shop.store
        with self._lock:
            mark = (store.newest_sequence(), store.steering_revision(), store.product_revision())
            kept = self._pages.get(days)
            if kept is None or kept[0] != mark:
                kept = self._pages[days] = (mark, queries_page(self._shop, days))
            return kept[1]


def queries_page(shop: Shop, days: int) -> QueriesPage:
    """The queries of the last days before the newest event, each asked again."""
    answered = outcomes(shop.searching, _counted(shop, days))

    def of(kind: str) -> tuple[Outcome, ...]:
        return tuple(one for one in answered if one.kind == kind)[:30]

    return QueriesPage(
        days=days,
        searches=sum(one.counted.times for one in answered),
        top=tuple(answered[:30]),
        failing=of("none"),
        corrected=of("corrected"),
        relaxed=of("relaxed"),
        unloved=tuple(one for one in answered if one.total and one.counted.times >= 3 and not one.counted.turned)[:30],
    )


def _counted(shop: Shop, days: int) -> list[QueryCount]:
    """Counted back from the newest event: a shop of old data has a last month too."""
    until = shop.counts().last or now()
    since = until - timedelta(days=days)
    searches = [*shop.store.event_frames(types=[EventType.SEARCH], since=since)]
    if not searches:
        return []
    who = pl.concat([frame.select("customer", "session") for frame in searches]).unique()
    kinds = [EventType.SEARCH, *TURNED_TO]
    frames = [
        frame.join(who, on=["customer", "session"], how="semi")
        for frame in shop.store.event_frames(types=kinds, since=since)
    ]
    return count_queries(pl.concat([pl.DataFrame(schema=EVENT_COLUMNS), *frames]), MOST_QUERIES)


def _key(query: str) -> str:
    return " ".join(normal(query).split())
