"""Shop: one folder, and the Python API over everything below.

my-shop/
  shelfwise.toml   settings, every one explained
  record.db        products and events (SQLite; or a PostgreSQL database, by setting)
  bundles/         what was learned, by version; one is in use
  cache/           vectors of texts and photos, by content
  reports/         quality and evaluation reports
  keys.json        hashes of the API's keys
  search/          the word index; rebuilt from the record when lost
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import polars as pl

from shelfwise.engine.catalogue import Catalogue
from shelfwise.engine.engine import Engine
from shelfwise.engine.request import Answer, Filters, Request
from shelfwise.engine.search.clicks import TYPES, Clicks
from shelfwise.engine.search.meaning import ShopEncoders
from shelfwise.engine.search.personal import Taste
from shelfwise.engine.search.request import SearchAnswer, SearchFilters, SearchRequest
from shelfwise.engine.search.search import Search
from shelfwise.engine.search.suggest import Entry, Suggestion, popular_queries
from shelfwise.engine.search.synonyms import TURNED_TO, Proposal, mined
from shelfwise.engine.state import SEARCH_KEPT, SEARCHES_KEPT
from shelfwise.errors import BundleError, ShopError, UnknownProduct
from shelfwise.intake import QualityReport
from shelfwise.model.bundle import Bundle, Bundles
from shelfwise.model.encoders import VectorCache, encode_products
from shelfwise.model.recommender import Progress
from shelfwise.schema import EVENT_COLUMNS, PRODUCT_COLUMNS, Event, EventType, Product, from_micros
from shelfwise.settings import FILE, Settings, load_settings, template
from shelfwise.store import Appended, Counts, History, Store, open_store
from shelfwise.store.rows import product_row
from shelfwise.trust.keys import KeyRing

_LOADS = 20  # reports of loads that `check` shows
_FINDS = 30  # products of a search that count for the next recommendation
_SOUGHT_KEPT = 2_000  # queries whose products are remembered

if TYPE_CHECKING:
    from shelfwise.learn.results import Evaluation

_ARRIVALS = 10_000  # events read at once to follow what searchers turn to
_LIKED = 200  # products the engine would show that count for a search


class Shop:
    """An existing shop's folder. A context manager; one Shop serves many threads.

    Raises ShopError when the folder is no shop, SettingsError when its settings are wrong.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).resolve()
        if not (self.folder / FILE).exists():
            raise ShopError(f"{folder} is not a shop: it has no {FILE}; make one with `shelfwise init {folder}`")
        self.settings: Settings = load_settings(self.folder)
        self.keys = KeyRing(self.folder)
        self._bundles = Bundles(self.folder / "bundles")
        self._engine: Engine | None = None
        self._version = ""
        self._revision = -1
        self._refreshing = threading.Lock()
        self._search: Search | None = None
        self._searching = threading.Lock()
        self._steered = -1
        self._arrived = 0
        self._sought: dict[tuple[int, str], list[str]] = {}

    @classmethod
    def create(cls, folder: Path | str, **settings: Any) -> Self:
        """Make a shop in a new or empty folder; `settings` are written into its shelfwise.toml."""
        path = Path(folder)
        if (path / FILE).exists():
            raise ShopError(f"{folder} is a shop already; its settings are in {path / FILE}")
        text = template(settings)
        path.mkdir(parents=True, exist_ok=True)
        (path / FILE).write_text(text, "utf-8")
        shop = cls(path)
        shop.store.counts()
        return shop

    def close(self) -> None:
        if "store" in self.__dict__:
            self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The record

    @cached_property
    def store(self) -> Store:
        url = self.settings.store or f"sqlite:///{self.folder / 'record.db'}"
        return open_store(url, durable=self.settings.durable)

    def counts(self) -> Counts:
        return self.store.counts()

    def load_products(
        self,
        file: Path,
        *,
        mapping: Mapping[str, str] | None = None,
        format: str | None = None,
        images: Path | None = None,
        progress: Progress | None = None,
    ) -> QualityReport:
        """Load a product feed. mapping: which column is which field, before the setting `product_columns`; see
        `intake/mapping.py`. Raises UnreadableFile, having changed nothing."""
        from shelfwise.intake import load_products

        report = load_products(
            file,
            self.store,
            mapping={**self.settings.product_columns, **(mapping or {})} or None,
            format=format,
            images=images,
            currency=self.settings.currency,
            progress=progress,
        )
        return self.keep_report(report)

    def load_events(
        self,
        file: Path,
        *,
        mapping: Mapping[str, str] | None = None,
        format: str | None = None,
        progress: Progress | None = None,
    ) -> QualityReport:
        """Load an event log. mapping: which column is which field, before the setting `event_columns`; see
        `intake/mapping.py`. Raises UnreadableFile, having changed nothing."""
        from shelfwise.intake import load_events

        usual = self.settings.event_columns
        report = load_events(file, self.store, mapping=mapping, usual=usual, format=format, progress=progress)
        return self.keep_report(report)

    def load_dataset(self, name: str, *, file: Path | None = None, progress: Progress | None = None) -> QualityReport:
        """Load public data: complete_journey, or online_retail from its file."""
        from shelfwise.intake import datasets

        if name == "complete_journey":
            return self.keep_report(datasets.complete_journey(self.store, progress=progress))
        if name == "online_retail":
            if file is None:
                raise ShopError("online_retail needs its file: --file online_retail.csv.gz")
            return self.keep_report(datasets.online_retail(file, self.store, progress=progress))
        raise ShopError(f"no public data is named {name!r}; use complete_journey or online_retail")

    def check(self) -> QualityReport:
        """The record's quality, and what was read, kept and dropped of the files last loaded; also written to
        reports/quality.md and reports/quality.json."""
        from shelfwise.intake import check

        kept = sorted((self.folder / "reports" / "loads").glob("*.json"), reverse=True)[:_LOADS]
        loads = tuple(QualityReport.from_json(json.loads(path.read_text("utf-8"))) for path in kept)
        report = replace(check(self.store), loads=loads)
        report.write(self.folder / "reports")
        return report

    def keep_report(self, report: QualityReport) -> QualityReport:
        """Keep what is to be said of a file just loaded, for `check`, in reports/loads; returns it."""
        report.write(self.folder / "reports" / "loads", f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
        return report

    def put_products(self, products: Sequence[Product]) -> int:
        """Insert or replace products: durable, and recommendable by content, when this returns."""
        stored = self.store.put_products(products)
        if self._engine is not None or self._search is not None:
            self.refresh()
        return stored

    def delete_product(self, product: str) -> bool:
        """Take a product out of the catalogue; False when there is none of this id."""
        found = self.store.delete_product(product)
        if self._engine is not None or self._search is not None:
            self.refresh()
        return found

    def append_events(self, events: Sequence[Event]) -> Appended:
        """Record events; durable when this returns, and known to the very next answer."""
        return self.store.append_events(events)

    def last_events(self, *, customer: str = "", session: str = "", n: int) -> list[Event]:
        return self.store.last_events(customer=customer, session=session, n=n)

    # Learning

    def train(self, progress: Progress | None = None) -> str:
        """Learn from the record, write bundle and report, put it to use; the bundle's version.

        Search is made ready too. Raises NotEnoughData. What was served before keeps serving until the new bundle is
        whole. After a training that was killed, the network's fits that were over are taken and the one that was not
        goes on, if neither the record nor the settings have changed.
        """
        from shelfwise.learn.pipeline import forget_work, learn_bundle
        from shelfwise.learn.report import write_training_report

        bundle = learn_bundle(self.store, self.folder, self.settings, progress)
        version = self._bundles.add(bundle)
        forget_work(self.folder)
        write_training_report(bundle, self.settings, self.folder / "reports" / version)
        self.index(progress)
        return version

    def evaluate(
        self,
        *,
        only: Iterable[str] | None = None,
        baseline_minutes: float | None = None,
        progress: Progress | None = None,
    ) -> tuple[Evaluation, Path]:
        """Time split, whole catalogue, every baseline: the evaluation and the folder of its report.

        baseline_minutes: most of fitting each network among the baselines; 0 leaves them out, None is no limit."""
        from shelfwise.learn.evaluate import evaluate
        from shelfwise.learn.report import write_report

        result = evaluate(
            self.store, self.folder, self.settings, only=only, baseline_minutes=baseline_minutes, progress=progress
        )
        folder = self.folder / "reports" / f"evaluation-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        write_report(result, folder)
        return result, folder

    def next_period(
        self,
        cutoff: datetime,
        days: int,
        *,
        only: Iterable[str] | None = None,
        baseline_minutes: float | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """The benchmark `next-period` on this shop's record."""
        from shelfwise.learn.next_period import next_period

        options: dict[str, Any] = {"only": only, "baseline_minutes": baseline_minutes, "progress": progress}
        return next_period(self.store, self.folder, self.settings, cutoff, days, **options)

    # Bundles

    def bundles(self) -> list[dict[str, Any]]:
        """version, created, metrics and current (bool) of every bundle, newest first."""
        return self._bundles.list()

    def bundle(self) -> Bundle:
        """The bundle in use. Raises BundleError when nothing was learned yet."""
        return self._bundles.load()

    def use_bundle(self, version: str) -> None:
        self._bundles.use(version)

    def rollback(self) -> str:
        return self._bundles.rollback()

    # Answers

    @property
    def engine(self) -> Engine:
        """The engine in use. Raises BundleError when nothing was learned yet."""
        if self._engine is None:
            self.refresh()
        if self._engine is None:
            raise BundleError("nothing was learned yet; run `shelfwise train`")
        return self._engine

    @property
    def bundle_version(self) -> str:
        return self._version

    @property
    def product_count(self) -> int:
        return len(self._engine.catalogue) if self._engine else self.counts().products

    def refresh(self) -> None:
        """Follow what other processes did: the catalogue's changes and the bundle in use. Cheap when nothing changed.

        A bundle that cannot be loaded raises BundleError and leaves the one in use serving.
        """
        with self._refreshing:
            version = self._bundles.current()
            if version and version != self._version:
                self._swap(version)
            if self._engine is not None and self.store.product_revision() != self._revision:
                self._revision, changes = self.store.product_changes(self._revision)
                self._apply(self._engine.catalogue, [c.product for c in changes if c.product is not None])
                for change in changes:
                    if change.product is None:
                        self._engine.catalogue.delete(change.id)
            self._steer()
            if self._search is not None:
                self._search.follow()
                self._arrived, events = self.store.events_since(self._arrived, _ARRIVALS)
                if events.height:
                    self._search.clicks.learn(events)

    def _swap(self, version: str) -> None:
        bundle = self._bundles.load(version)
        revision = self.store.product_revision()
        frame = self.store.products_frame()
        # The bundle brings the vectors of the products it knows.
        known = bundle.items.inside_all(frame["id"]) >= 0
        catalogue = Catalogue(bundle, frame=frame.filter(known))
        late = frame.filter(~known)
        if late.height:
            catalogue.upsert(late, *self._vectors(late))
        self._engine = Engine(bundle, catalogue, language=self.settings.language)
        self._version, self._revision = version, revision
        self._steered = -1

    def _apply(self, catalogue: Catalogue, products: list[Product]) -> None:
        if products:
            frame = pl.DataFrame([product_row(product) for product in products], schema=PRODUCT_COLUMNS)
            catalogue.upsert(products, *self._vectors(frame))

    def _vectors(self, frame: pl.DataFrame) -> tuple[Any, Any]:
        return encode_products(frame, self.folder, self.settings, self._cache)

    @cached_property
    def _cache(self) -> VectorCache:
        return VectorCache(self.folder / "cache")

    def recommend(
        self,
        *,
        customer: str = "",
        session: str = "",
        surface: str = "home",
        seeds: Sequence[str] = (),
        k: int = 12,
        filters: Filters | None = None,
        exclude_purchased: bool = False,
        now: datetime | None = None,
        language: str = "",
    ) -> Answer:
        """Products for a customer or a session, from their events up to this moment. Raises InvalidRequest."""
        request = Request(
            customer=customer,
            session=session,
            surface=surface,
            seeds=tuple(seeds),
            k=k,
            filters=filters or Filters(),
            exclude_purchased=exclude_purchased,
            now=now,
            language=language,
        )
        engine = self.engine
        history = self._history(request)
        searches = self._searches(history, request) if history.queries else ()
        return engine.recommend(request, engine.state(request, history, searches))

    def recommend_many(
        self,
        customers: Sequence[str],
        *,
        k: int = 12,
        exclude_purchased: bool = False,
        now: datetime | None = None,
    ) -> list[list[tuple[str, float]]]:
        """For each customer the products that `recommend` gives for the home page, best first, with their scores but
        without reasons: a fraction of the time. Raises InvalidRequest."""
        now = now or datetime.now(UTC)
        everyone = Request(k=k, exclude_purchased=exclude_purchased, now=now)
        engine = self.engine
        states = []
        for customer in customers:
            request = replace(everyone, customer=customer)
            history = self._history(request)
            searches = self._searches(history, request) if history.queries else ()
            states.append(engine.state(request, history, searches))
        rows, scores = engine.recommend_many(states, everyone)
        ids = engine.catalogue.view.ids
        return [
            [(ids[row], score) for row, score in zip(found.tolist(), values.tolist(), strict=True) if row >= 0]
            for found, values in zip(rows, scores, strict=True)
        ]

    def lists(
        self,
        out: Path,
        *,
        k: int = 12,
        exclude_purchased: bool = False,
        customers: Path | None = None,
        now: datetime | None = None,
        on: Literal["processes", "ray"] = "processes",
        processes: int | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Write what to show every customer of the record, or those of a file with an id a line; how many.

        out: .jsonl or .parquet. All lists are as of one moment, `now`. See `lists.write_lists` for the file, and for
        `on` and `processes`. Raises InvalidRequest, UnreadableFile, BundleError, MissingDependency.
        """
        from shelfwise.lists import Asked, read_customers, write_lists

        asked = Request(k=k, exclude_purchased=exclude_purchased, now=now or datetime.now(UTC))
        if not self._bundles.current():
            raise BundleError("nothing was learned yet; run `shelfwise train`")
        total = self.counts().customers if customers is None else sum(1 for _ in read_customers(customers))
        assert asked.now is not None
        return write_lists(
            self.folder,
            out,
            self.store.customers() if customers is None else read_customers(customers),
            Asked(k=asked.k, exclude_purchased=exclude_purchased, now=asked.now),
            on=on,
            processes=processes,
            total=total,
            progress=progress,
        )

    def _searches(self, history: History, request: Request) -> list[tuple[int, str, list[str]]]:
        """The last searches of a history, a day old at most, newest first: seconds, words, products found now."""
        now = time.time() if request.now is None else request.now.timestamp()
        found: dict[str, tuple[int, str, list[str]]] = {}
        for place, query in sorted(history.queries.items(), reverse=True):
            seconds = int(history.times[place])
            if now - seconds > SEARCH_KEPT or len(found) == SEARCHES_KEPT:
                break
            key = query.casefold()
            if key not in found:
                found[key] = (seconds, query, self.finds(query))
        return list(found.values())

    def finds(self, query: str) -> list[str]:
        """The first products a query finds for anybody, remembered until the catalogue changes."""
        search = self.searching
        key = (search.revision, query)
        products = self._sought.get(key)
        if products is None:
            answer = search.search(SearchRequest(query=query, k=_FINDS, personal=False))
            # What was found by giving up words or filters is not what was sought.
            products = [] if answer.relaxed else [hit.product for hit in answer.items]
            if len(self._sought) >= _SOUGHT_KEPT:
                self._sought.clear()
            self._sought[key] = products
        return products

    @property
    def searching(self) -> Search:
        """Search over this shop's products; its index is opened, or built, when first asked for."""
        return self._search or self._opened_search(None)

    def index(self, progress: Progress | None = None) -> None:
        """Make search ready: word index and vectors of all products, which else the first search begins with."""
        search = self._opened_search(progress)
        if progress is not None:
            progress(0, 0, "waiting for the vectors of products")
        search.complete()

    def _opened_search(self, progress: Progress | None) -> Search:
        if self._search is None:
            with self._searching:
                if self._search is None:
                    search = Search(
                        self.store,
                        self.folder / "search",
                        ShopEncoders(self.folder, self.settings, self._cache),
                        language=self.settings.language,
                        progress=progress,
                    )
                    self._arrived = self.store.newest_sequence()
                    search.learn(*self._shoppers(search.clicks))
                    search.steer(self.store.rules(), self.store.synonyms())
                    self._search = search
                    self._steered = -1
        return self._search

    def _steer(self) -> None:
        """Follow the merchants' rules and synonyms."""
        if self._engine is None and self._search is None:
            return
        revision = self.store.steering_revision()
        if revision != self._steered:
            rules = self.store.rules()
            if self._engine is not None:
                self._engine.steer(rules)
            if self._search is not None:
                self._search.steer(rules, self.store.synonyms())
            self._steered = revision

    def suggested_synonyms(self, limit: int = 100) -> list[Proposal]:
        """Synonyms that shoppers' behaviour proposes, for a person to accept; best founded first. Reads every search
        and what its customers turned to afterwards."""
        searchers = pl.concat(
            [pl.DataFrame(schema=EVENT_COLUMNS), *self.store.event_frames(types=[EventType.SEARCH])]
        ).filter(pl.col("customer") != "")
        if searchers.is_empty():
            return []
        who = searchers.select("customer").unique()
        first = from_micros(int(searchers["time"][0]))
        frames = [
            frame.join(who, on="customer", how="semi")
            for frame in self.store.event_frames(types=[EventType.SEARCH, *TURNED_TO], since=first)
        ]
        return mined(pl.concat(frames), self.store.synonyms(), limit)

    def _shoppers(self, clicks: Clicks) -> tuple[list[Entry], dict[str, float]]:
        """Popular queries, and pieces sold by product id; what searchers turned to goes to `clicks`."""
        asked = pl.concat([pl.DataFrame(schema=EVENT_COLUMNS), *self.store.event_frames(types=[EventType.SEARCH])])
        if asked.height:
            for frame in self.store.event_frames(types=TYPES):
                clicks.learn(frame)
        return popular_queries(asked), self.store.sold()

    def suggest(self, prefix: str, *, k: int = 8) -> list[Suggestion]:
        """Completions of what is being typed: popular queries, categories, brands, products."""
        return self.searching.suggest(prefix, k)

    def search(self, query: str = "", *, filters: SearchFilters | None = None, **options: Any) -> SearchAnswer:
        """Products for a query, without a bundle too. options: the other fields of SearchRequest (customer, session, k,
        after, sort, facets, group, personal, learned, explain, undo, now, language). Raises InvalidRequest.

        Records nothing: a search that should change the next recommendation is an event of type `search`.
        """
        request = SearchRequest(query=query, filters=filters or SearchFilters(), **options)
        return self.searching.search(request, self.taste(request))

    def search_image(self, photo: bytes, *, filters: SearchFilters | None = None, **options: Any) -> SearchAnswer:
        """Products that look like a photo (JPEG, PNG or WebP). options: as in `search`. Raises EncodingError."""
        return self.searching.look(photo, SearchRequest(filters=filters or SearchFilters(), **options))

    def taste(self, request: SearchRequest) -> Taste | None:
        """What the asker turned to, and what the engine would show them."""
        if not request.personal or not (request.customer or request.session):
            return None
        asked = Request(customer=request.customer, session=request.session, k=_LIKED, now=request.now)
        rows = self._history(asked)
        products = [product for product in rows.products if product]
        if not products:
            return None
        liked: dict[str, float] = {}
        if self._engine is not None:
            found, _ = self._engine.recommend_many([self._engine.state(asked, rows)], asked)
            ids = self._engine.catalogue.view.ids
            liked = {ids[row]: 1 - place / _LIKED for place, row in enumerate(found[0].tolist()) if row >= 0}
        return Taste(products, liked)

    def _history(self, request: Request) -> History:
        return self.store.last_rows(
            customer=request.customer,
            session=request.session,
            n=self.settings.memory,
            prices=False,  # no answer depends on what was paid
        )

    def similar(self, product: str, *, k: int = 12, filters: Filters | None = None, language: str = "") -> Answer:
        """Products like this one or bought with it. Raises UnknownProduct."""
        return self.engine.similar(product, k, filters or Filters(), language)

    def knows(self, product: str) -> bool:
        """Is there such a product, in the live catalogue or in the record?"""
        if self._engine is not None and product in self._engine.catalogue:
            return True
        return self.store.product(product) is not None

    def title(self, product: str) -> str:
        """The product's title. Raises UnknownProduct."""
        found = self.store.product(product)
        if found is None:
            raise UnknownProduct(product)
        return found.title or found.id
