"""Live: what a shop answers with, kept abreast of what any process changes.

The bundle in use and its engine, the catalogue as the record has it, search with the merchants' rules, and the states
of those who ask. Made when first asked for; `refresh` follows, and costs little when nothing changed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from shelfwise.catalogue.products import Products
from shelfwise.engine.catalogue import Catalogue
from shelfwise.engine.pipeline import Engine
from shelfwise.engine.request import Answer, Request
from shelfwise.engine.state import SEARCH_KEPT, SEARCHES_KEPT, State, events_read, rows_of
from shelfwise.errors import BundleError
from shelfwise.models.bundle import Bundle
from shelfwise.models.bundles import Bundles
from shelfwise.models.recommender import Progress
from shelfwise.models.sequences import DAY
from shelfwise.models.vectors import VectorCache
from shelfwise.schema import POSITIVE_TYPES, PRODUCT_COLUMNS
from shelfwise.settings import Settings
from shelfwise.store import History, Offers, Store
from shelfwise.store.pressure import pressure_of
from shelfwise.store.rows import product_row

if TYPE_CHECKING:
    from shelfwise.search.rank.personal import Taste
    from shelfwise.search.request import SearchRequest
    from shelfwise.search.search import Search
    from shelfwise.shoppers import Shoppers

FINDS = 30  # products of a search that count for the next recommendation
_SOUGHT_KEPT = 2_000  # queries whose products are remembered
_CHUNK = 4_096  # products encoded at once
_ARRIVALS, _BATCHES = 10_000, 20  # events counted at once, and how often in one turn
_RECOUNT = 30.0, 1.2  # of a shop without a bundle: seconds at least, and how many times the events, until a new count
_PRESS = 60.0  # seconds until the pressure of stock is read again
_LAZY = 1.0  # seconds for which a record that nobody wrote to is not looked at
_RETRY = 30.0  # seconds until a bundle that cannot be read is tried again
_UNREADABLE = "the bundle in use cannot be read: train again (`shelfwise train`)"
_ANSWERS = "; meanwhile the newest good one answers, or what is popular and alike"
_LIKED = 200  # products the engine would show that count for a search
log = logging.getLogger("shelfwise.live")


class Live:
    """One shop's engine and search. Thread-safe.

    version: of the bundle in use, "" before one is.
    """

    def __init__(self, folder: Path, settings: Settings, store: Store, bundles: Bundles) -> None:
        self.version = ""
        self.problems: dict[str, str] = {}  # what is degraded, in words that anybody may read
        self._folder, self._settings, self._store, self._bundles = folder, settings, store, bundles
        self._offers = Offers(store)
        self._cache = VectorCache(folder / "cache")
        self._engine: Engine | None = None
        self._refused = "", 0.0  # the bundle that cannot be used, and when it is tried again
        self._revision = -1
        self._counted = -1  # the newest event the engine's crowd counts
        self._begun = 0.0, 0  # where nothing was learned: when the record was counted, and its newest event then
        self._unencoded: dict[str, None] = {}  # products whose vectors the engine lacks, oldest first
        self._refreshing = threading.Lock()
        #: After the last `follow`: the record's stamp and what answered, and until when that will do.
        self._followed: tuple[tuple[int | None, Engine | None, Search | None], float] = (None, None, None), 0.0
        self._search: Search | None = None
        self._searching = threading.Lock()
        self._steered = -1
        self._pressed: tuple[Engine | None, float] = None, 0.0  # the engine that stock presses on, and when it was read
        self._shoppers: Shoppers | None = None
        self._sought: dict[tuple[int, str], list[str]] = {}

    @property
    def answers(self) -> bool:
        """Whether there is an engine, also one without a bundle."""
        return self._engine is not None

    @property
    def cache_problem(self) -> str:
        return "texts and photos are encoded anew each time: the cache cannot be written" if self._cache.problem else ""

    @property
    def searches(self) -> bool:
        return self._search is not None

    @property
    def catalogue(self) -> Catalogue | None:
        """What is for sale this second; None while nothing that was learned is in use."""
        return None if self._engine is None else self._engine.catalogue

    @property
    def engine(self) -> Engine:
        """The engine in use. Raises BundleError where there are no products."""
        if self._engine is None:
            self.refresh()
        if self._engine is None:
            raise BundleError("there are no products yet; load them with `shelfwise load products`")
        return self._engine

    @property
    def search(self) -> Search:
        """Search over the products; its index is opened, or built, when first asked for."""
        return self._search or self.open_search()

    @property
    def _searched(self) -> Products | None:
        return None if self._search is None else self._search.indexes.products

    def open_search(self, progress: Progress | None = None) -> Search:
        if self._search is None:
            with self._searching:
                if self._search is None:
                    search = self._opened_search(progress)
                    from shelfwise.shoppers import Shoppers

                    self._shoppers = Shoppers(self._store, self._settings.ignored_customers)
                    self._shoppers.begin(search.indexes)
                    search.steer(self._store.rules(), self._store.synonyms())
                    with self._refreshing:  # the products are as search read them: the engine follows from there
                        self._search = search
                        self._revision = min(self._revision, search.indexes.revision)
                        self._steered = -1
        return self._search

    def _opened_search(self, progress: Progress | None) -> Search:
        # Search takes a second to import; what only recommends does not wait for it.
        from shelfwise.search.retrieve.dense import ShopEncoders
        from shelfwise.search.search import Search

        encoders = ShopEncoders(self._folder, self._settings, self._cache)
        held = None if self._engine is None else self._engine.catalogue.products
        options: dict[str, Any] = {"products": held, "language": self._settings.language, "progress": progress}
        try:
            return Search(self._offers, self._folder / "search", encoders, **options)
        except (OSError, ValueError) as error:  # tantivy raises ValueError for what the disk refuses
            log.error("the word index is kept in memory, for %s cannot be written: %s", self._folder / "search", error)
            self.problems["index"] = "the word index cannot be written and is kept in memory: see disk and rights"
            return Search(self._offers, None, encoders, **options)

    def refresh(self, most: int | None = None) -> bool:
        """Follow what other processes did: the catalogue's changes and the bundle in use. Cheap when nothing changed.

        most: products to encode at most; True is returned when more wait, which the next call goes on with, newest
        first. What products say holds at once, their vectors follow.
        A bundle that cannot be loaded raises BundleError and leaves the one in use serving. One failure leaves the
        rest followed, and what failed is tried again by the next call.
        """
        steps: list[Callable[[], None]] = [
            self._offers.turn,
            self._follow_bundle,
            self._follow_products,
            self._follow_crowd,
            self._steer,
            self._follow_stock,
            lambda: self._encode(most),
            lambda: self._follow_search(most),
        ]
        failures: list[Exception] = []
        with self._refreshing:
            for step in steps:
                try:
                    step()
                except Exception as error:  # each step is an edge: rules are followed though an encoder fails
                    failures.append(error)
        if failures:
            raise failures[0]
        return bool(self._unencoded) or (self._search is not None and self._search.indexes.behind)

    def follow(self, most: int) -> bool:
        """`refresh`, but of the bundle alone where nobody wrote to the record: that costs a thread of a busy server
        milliseconds of others' time. What time alone changes (a sale begins) is seen within `_LAZY` seconds."""
        stamp, (followed, until) = self._store.stamp(), self._followed
        if stamp is not None and (stamp, self._engine, self._search) == followed and time.monotonic() < until:
            with self._refreshing:
                self._follow_bundle()
            return False
        more = self.refresh(most)
        if not more:
            self._followed = (stamp, self._engine, self._search), time.monotonic() + _LAZY
        return more

    def changed(self, products: Iterable[str] = ()) -> None:
        """This process changed the catalogue: follow, if anything here answers from it, and encode these products.

        What was changed is recorded already: a failure here is logged, and the follower tries again."""
        if self._engine is None and self._search is None:
            return
        try:
            self.refresh(0)
            ids = list(products)
            with self._refreshing:
                self._encode_these(ids)
                if self._search is not None:
                    self._search.indexes.encode(ids)
        except Exception:
            log.exception("the catalogue's change is recorded, but not followed yet")

    def recommend(self, request: Request) -> Answer:
        engine = self.engine
        return engine.recommend(request, self._state(engine, request))

    def recommend_many(self, customers: Sequence[str], request: Request) -> list[list[tuple[str, float]]]:
        """For each customer the products of `recommend` with their scores, best first, without reasons."""
        engine = self.engine
        states = [self._state(engine, replace(request, customer=customer)) for customer in customers]
        rows, scores = engine.recommend_many(states, request)
        ids = engine.catalogue.view.ids
        return [
            [(ids[row], score) for row, score in zip(answer.tolist(), values.tolist(), strict=True) if row >= 0]
            for answer, values in zip(rows, scores, strict=True)
        ]

    def finds(self, query: str) -> list[str]:
        """The first products a query finds for anybody, remembered until the catalogue changes."""
        key = (self.search.indexes.revision, query)
        products = self._sought.get(key)
        if products is None:
            from shelfwise.search.request import SearchRequest

            answer = self.search.search(SearchRequest(query=query, k=FINDS, personal=False))
            # What was found by giving up words or filters is not what was sought.
            products = [] if answer.relaxed else [hit.product for hit in answer.items]
            if len(self._sought) >= _SOUGHT_KEPT:
                self._sought.clear()
            self._sought[key] = products
        return products

    def taste(self, request: SearchRequest) -> Taste | None:
        """What who searches turned to, and what the engine would show them."""
        if not request.personal or not (request.customer or request.session):
            return None
        home = Request(customer=request.customer, session=request.session, k=_LIKED, now=request.now)
        rows = self._history(home)
        products = [product for product in rows.products if product]
        if not products:
            return None
        liked: dict[str, float] = {}
        if self._engine is not None:
            liked_rows, _ = self._engine.recommend_many([self._engine.state(home, rows)], home)
            ids = self._engine.catalogue.view.ids
            liked = {ids[row]: 1 - place / _LIKED for place, row in enumerate(liked_rows[0].tolist()) if row >= 0}
        from shelfwise.search.rank.personal import Taste

        return Taste(products, liked)

    def _swap(self, version: str) -> None:
        bundle = self._bundles.load(version)
        revision = self._store.product_revision()
        frame = self._offers.products_frame()
        # The bundle brings the vectors of the products it knows.
        known = bundle.items.inside_all(frame["id"]) >= 0
        catalogue = Catalogue(bundle, frame=frame.filter(known), beside=self._searched)
        late = frame.filter(~known)
        catalogue.upsert(late)
        self._unencoded = dict.fromkeys(late["id"].to_list())
        self._use(bundle, catalogue, revision)

    def _use(self, bundle: Bundle, catalogue: Catalogue, revision: int) -> None:
        self._engine = Engine(bundle, catalogue, language=self._settings.language)
        self.version, self._revision = bundle.version, revision
        self._steered, self._counted = -1, int(bundle.learned.get("arrived", -1))

    def _follow_bundle(self) -> None:
        """Use the bundle that is to serve. One that cannot be read is tried again now and then: what served before goes
        on; where nothing did, the newest good one answers, else what needs none."""
        version, (refused, until) = self._bundles.pointed(), self._refused
        if not version:
            self._begin()
            return
        if version == refused and time.monotonic() < until:
            return
        try:
            if version and version != self.version:
                self._swap(version)
        except BundleError as error:
            if version != refused:
                log.error("%s", error)
            self._refused = version, time.monotonic() + _RETRY
            self.problems["bundle"] = _UNREADABLE + (_ANSWERS if self._engine is None else "")
            if self._engine is not None:
                raise
            self._fall_back()
            return
        self._refused = "", 0.0
        self.problems.pop("bundle", None)

    def _fall_back(self) -> None:
        for info in self._bundles.list():
            try:
                self._swap(info["version"])
            except BundleError:
                continue
            log.error("bundle %s answers instead; train again (`shelfwise train`)", self.version)
            return
        self._count_anew()
        log.error("no bundle can be read: what is popular and alike answers; train again (`shelfwise train`)")

    def _begin(self) -> None:
        """Where nothing was learned yet, count the record, and again as it grows."""
        when, newest = self._begun
        if self._engine is not None:
            if self.version:  # every bundle was removed; what served goes on
                return
            arrived = self._store.newest_sequence()
            if time.monotonic() - when < _RECOUNT[0] or arrived <= _RECOUNT[1] * newest:
                return
        elif not self._store.product_revision():
            return
        self._count_anew()

    def _count_anew(self) -> None:
        from shelfwise.fallback import unlearned

        revision, arrived = self._store.product_revision(), self._store.newest_sequence()
        bundle = unlearned(self._store, self._folder, self._settings, self._cache)
        catalogue = Catalogue(bundle, frame=self._offers.products_frame(), beside=self._searched)
        self._use(bundle, catalogue, revision)
        self._counted = arrived
        self._begun = time.monotonic(), arrived

    def _follow_products(self) -> None:
        if self._engine is None or self._store.product_revision() == self._revision:
            return
        revision, changes = self._offers.product_changes(self._revision)
        there = [change.product for change in changes if change.product is not None]
        for change in changes:
            if change.product is None:
                self._engine.catalogue.delete(change.id)
        self._engine.catalogue.upsert(there)
        self._unencoded |= dict.fromkeys(product.id for product in there)
        self._revision = revision

    def _follow_crowd(self) -> None:
        """Count what everybody turned to since the bundle was learned."""
        if self._engine is None:
            return
        if self._counted < 0:  # a bundle that does not say what it learned from
            self._counted = self._store.newest_sequence()
        for _ in range(_BATCHES):
            self._counted, events = self._store.events_since(self._counted, _ARRIVALS)
            if events.height:
                self._count(self._engine, events)
            if events.height < _ARRIVALS:
                break

    def _count(self, engine: Engine, events: pl.DataFrame) -> None:
        view = engine.catalogue.view
        events = events.with_columns(
            who=pl.when(pl.col("customer") != "").then("customer").otherwise("session:" + pl.col("session")),
            row=pl.Series(rows_of(events["product"].to_list(), view.rows), dtype=pl.Int32),
            seconds=pl.col("time") // 1_000_000,
        ).filter(
            pl.col("type").is_in([str(kind) for kind in POSITIVE_TYPES]),
            ~pl.col("customer").is_in(list(self._settings.ignored_customers)),
            pl.col("row") >= 0,
            pl.col("seconds") > engine.bundle.until - DAY,  # a history loaded late says nothing of now
        )
        engine.crowd.add(view.n, events["who"].to_list(), events["row"].to_numpy(), events["seconds"].to_numpy())

    def _encode(self, most: int | None) -> None:
        """Encode the newest of what waits, a chunk at a time."""
        left = len(self._unencoded) if most is None else min(most, len(self._unencoded))
        while left > 0:
            some = list(reversed(self._unencoded))[: min(left, _CHUNK)]
            self._encode_these(some)
            left -= len(some)

    def _encode_these(self, ids: Sequence[str]) -> None:
        waiting = [id for id in ids if id in self._unencoded]
        if self._engine is None or not waiting:
            return
        products = list(self._offers.products(waiting).values())
        if products:
            frame = pl.DataFrame([product_row(product) for product in products], schema=PRODUCT_COLUMNS)
            from shelfwise.models.encoders import encode_products

            vectors = encode_products(frame, self._folder, self._settings, self._cache)
            self._engine.catalogue.upsert(products, *vectors)
        for id in waiting:
            self._unencoded.pop(id, None)

    def _follow_search(self, most: int | None) -> None:
        if self._search is not None:
            self._search.indexes.follow(most)
            assert self._shoppers is not None, "search is open"
            self._shoppers.follow(self._search.indexes)

    def _steer(self) -> None:
        """Follow the merchants' rules and synonyms."""
        if self._engine is None and self._search is None:
            return
        revision = self._store.steering_revision()
        if revision != self._steered:
            rules = self._store.rules()
            if self._engine is not None:
                self._engine.steer(rules)
            if self._search is not None:
                self._search.steer(rules, self._store.synonyms())
            self._steered = revision

    def _follow_stock(self) -> None:
        """With the setting `stock_dial`, let the newest order list press on the order of answers."""
        engine, pressed, settings = self._engine, self._pressed, self._settings
        if engine is None or settings.stock_dial <= 0:
            return
        if engine is pressed[0] and time.monotonic() - pressed[1] < _PRESS:
            return
        engine.weigh_stock(pressure_of(self._store), settings.stock_dial)
        self._pressed = engine, time.monotonic()

    def _state(self, engine: Engine, request: Request) -> State:
        history = self._history(request)
        return engine.state(request, history, self._searches(history, request) if history.queries else ())

    def _history(self, request: Request) -> History:
        return self._store.last_rows(
            customer=request.customer,
            session=request.session,
            n=events_read(self._settings.memory, request.exclude_purchased),
            prices=False,  # no answer depends on what was paid
            until=request.now,
            low_rating=self._settings.low_rating,
        )

    def _searches(self, history: History, request: Request) -> list[tuple[int, str, list[str]]]:
        """The last searches of a history, a day old at most, newest first: seconds, words, products found now."""
        now = time.time() if request.now is None else request.now.timestamp()
        newest: dict[str, tuple[int, str, list[str]]] = {}
        for place, query in sorted(history.queries.items(), reverse=True):
            seconds = int(history.times[place])
            if now - seconds > SEARCH_KEPT or len(newest) == SEARCHES_KEPT:
                break
            key = query.casefold()
            if key not in newest:
                newest[key] = (seconds, query, self.finds(query))
        return list(newest.values())
