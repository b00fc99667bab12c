"""Shop: one folder, and the Python API over everything below.

my-shop/
  shelfwise.toml   settings, every one explained
  record.db        products and events (SQLite; or a PostgreSQL database, by setting)
  bundles/         what was learned, by version; one is in use
  cache/           vectors of texts and photos, by content
  reports/         quality and evaluation reports
  keys.json        hashes of the API's keys
  search/          the word index; rebuilt from the record when lost
  running/         which processes run, and what those that were killed were doing
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import polars as pl

from shelfwise.catalogue.filters import Filters
from shelfwise.engine.pipeline import Engine
from shelfwise.engine.request import Answer, Request
from shelfwise.errors import BundleError, ShopError, UnknownProduct
from shelfwise.live import FINDS, Live
from shelfwise.models.bundle import Bundle
from shelfwise.models.bundles import Bundles
from shelfwise.models.recommender import Progress
from shelfwise.running import TRAINING, alone
from shelfwise.schema import EVENT_COLUMNS, Event, EventType, Product, from_micros
from shelfwise.settings import FILE, Settings, load_settings, template
from shelfwise.store import Appended, Counts, Offers, Store, open_store
from shelfwise.trust.keys import KeyRing

log = logging.getLogger("shelfwise")
_LOADS = 20  # reports of loads that `check` shows

if TYPE_CHECKING:
    from shelfwise.catalogue.filters import SearchFilters
    from shelfwise.evaluation.results import Evaluation
    from shelfwise.intake import QualityReport
    from shelfwise.plan.campaigns.desk import Desk
    from shelfwise.plan.inventory.orders import Order
    from shelfwise.plan.planner import Planner
    from shelfwise.search.query.synonyms import Proposal
    from shelfwise.search.rank.personal import Taste
    from shelfwise.search.request import SearchAnswer, SearchRequest
    from shelfwise.search.search import Search
    from shelfwise.search.suggest import Suggestion


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

    @cached_property
    def offers(self) -> Offers:
        """The catalogue as shoppers see it this second."""
        return Offers(self.store)

    def counts(self) -> Counts:
        return self.store.counts()

    def load_products(
        self,
        file: Path,
        *,
        mapping: Mapping[str, str] | None = None,
        format: str | None = None,
        encoding: str | None = None,
        images: Path | None = None,
        full: bool = False,
        retire_most: float | None = None,
        progress: Progress | None = None,
    ) -> QualityReport:
        """Load a product feed. mapping: which column is which field, before the setting `product_columns`; see
        `intake/mapping.py`. full: the file is the whole catalogue, so what it lacks is retired, unless that is a larger
        share than `retire_most` (the setting's). Raises UnreadableFile, having changed nothing."""
        from shelfwise.intake import load_products
        from shelfwise.intake.encoding import read_as

        with read_as(encoding):
            report = load_products(
                file,
                self.store,
                mapping={**self.settings.product_columns, **(mapping or {})} or None,
                format=format,
                images=images,
                currency=self.settings.currency,
                full=(self.settings.retire_most if retire_most is None else retire_most) if full else None,
                progress=progress,
            )
        self._changed()
        return self.keep_report(report)

    def restore_products(self) -> int:
        """Show again what the last full feed retired; how many."""
        restored = self.store.restore()
        self._changed()
        return restored

    def load_events(
        self,
        file: Path,
        *,
        mapping: Mapping[str, str] | None = None,
        format: str | None = None,
        encoding: str | None = None,
        columns: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> QualityReport:
        """Load an event log. mapping: which column is which field, before the setting `event_columns`; see
        `intake/mapping.py`. columns: the fields of a table without headings, in order. Raises UnreadableFile, having
        changed nothing."""
        from shelfwise.intake import load_events
        from shelfwise.intake.encoding import read_as

        usual = self.settings.event_columns
        with read_as(encoding):
            report = load_events(
                file,
                self.store,
                mapping=mapping,
                usual=usual,
                format=format,
                named=columns,
                nobodies=self.settings.no_customers,
                not_products=self.settings.not_products,
                progress=progress,
            )
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
        from shelfwise.intake import QualityReport, check

        kept = sorted((self.folder / "reports" / "loads").glob("*.json"), reverse=True)[:_LOADS]
        loads = tuple(QualityReport.from_json(json.loads(path.read_text("utf-8"))) for path in kept)
        report = replace(check(self.store, loads), loads=loads)
        report.write(self.folder / "reports")
        return report

    def keep_report(self, report: QualityReport) -> QualityReport:
        """Keep what is to be said of a file just loaded, for `check`, in reports/loads; returns it."""
        report.write(self.folder / "reports" / "loads", f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
        return report

    def put_products(self, products: Sequence[Product]) -> int:
        """Insert or replace products: durable, and recommendable by content, when this returns."""
        stored = self.store.put_products(products)
        self._changed([product.id for product in products])
        return stored

    def delete_product(self, product: str) -> bool:
        """Take a product out of the catalogue; False when there is none of this id."""
        existed = self.store.delete_product(product)
        self._changed()
        return existed

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
        goes on, if neither the record nor the settings have changed; that it was killed is logged, with what to do.
        Raises Busy while another process trains this shop.
        """
        with alone(self.folder, TRAINING) as (running, killed):
            if killed is not None:
                log.warning("%s.", killed)
            self._bundles.sweep()

            def noted(done: int, total: int, status: str) -> None:
                running.note(status)
                if progress is not None:
                    progress(done, total, status)

            return self._train(noted)

    def _train(self, progress: Progress) -> str:
        from shelfwise.evaluation.trained import learn_bundle, publish
        from shelfwise.models.pictograms import draw
        from shelfwise.training.memory import give_back

        bundle = learn_bundle(self.store, self.folder, self.settings, progress, self._finds_untaught)
        version = publish(bundle, self._bundles, self.folder, self.settings)
        del bundle  # some hundred megabytes, which search has no use for
        give_back()
        self.index(progress)
        draw(self.store.products_frame(), self.folder, self.settings, progress)
        return version

    def _finds_untaught(self, query: str) -> list[str]:
        """What a query finds by words and meaning alone: clicks of today would tell the past what came of it."""
        answer = self.search(query, k=FINDS, personal=False, learned=False)
        return [] if answer.relaxed else [hit.product for hit in answer.items]

    def evaluate(
        self,
        *,
        only: Iterable[str] | None = None,
        baseline_minutes: float | None = None,
        questions: bool = False,
        progress: Progress | None = None,
    ) -> tuple[Evaluation, Path]:
        """Time split, whole catalogue, every baseline: the evaluation and the folder of its report.

        baseline_minutes: most of fitting each network among the baselines; 0 leaves them out, None is no limit.
        questions: ask every question too, of the engine learned whole, without the network, without texts and without
        photos, which takes as many trainings."""
        from shelfwise.evaluation.engine_answers import WITHOUT
        from shelfwise.evaluation.evaluate import evaluate
        from shelfwise.evaluation.report import write_report

        result = evaluate(
            self.store, self.folder, self.settings, only=only, baseline_minutes=baseline_minutes, progress=progress
        )
        if questions:
            cutoff, days = datetime.fromtimestamp(result.facts.cutoff, UTC), result.facts.days
            asked = self.questions(cutoff, days, without=WITHOUT, progress=progress)
            result = replace(result, questions=asked)
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
        from shelfwise.evaluation.next_period import next_period

        options: dict[str, Any] = {"only": only, "baseline_minutes": baseline_minutes, "progress": progress}
        return next_period(self.store, self.folder, self.settings, cutoff, days, **options)

    def questions(
        self,
        cutoff: datetime,
        days: int,
        *,
        only: Iterable[str] | None = None,
        engine: bool = True,
        without: Iterable[str] = (),
        seed: int = 0,
        most: int | None = None,
        export: Path | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """The benchmark `questions` on this shop's record."""
        from shelfwise.evaluation.protocols import MOST
        from shelfwise.evaluation.questions import questions

        options: dict[str, Any] = {"only": only, "engine": engine, "without": without, "seed": seed, "export": export}
        options["most"] = MOST if most is None else most
        return questions(self.store, self.folder, self.settings, cutoff, days, **options, progress=progress)

    def explanations(self, *, asked: int = 300, seed: int = 0, progress: Progress | None = None) -> dict[str, Any]:
        """The benchmark `explanations` on the bundle in use. Raises BundleError, NotEnoughData."""
        from shelfwise.evaluation.explanations import explanations, histories_of
        from shelfwise.training.dataset import read_dataset

        engine, dataset = self.engine, read_dataset(self.store, None, self.settings)
        histories = histories_of(engine, dataset, self.settings.memory)
        return explanations(engine, histories, asked=asked, seed=seed, progress=progress)

    def write_baskets(self, file: Path) -> int:
        """Write the record's baskets as "customer basket item" lines, customers numbered; how many lines."""
        from shelfwise.evaluation.baskets_benchmark import write_baskets
        from shelfwise.training.dataset import read_dataset

        return write_baskets(read_dataset(self.store, None, self.settings), file)

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

    @cached_property
    def _live(self) -> Live:
        return Live(self.folder, self.settings, self.store, self._bundles)

    def _changed(self, products: Iterable[str] = ()) -> None:
        if "_live" in self.__dict__:
            self._live.changed(products)

    @property
    def engine(self) -> Engine:
        """The engine in use. Raises BundleError when nothing was learned yet."""
        return self._live.engine

    @property
    def bundle_version(self) -> str:
        """Of the bundle in use, "" before one is."""
        return self._live.version

    @property
    def answers(self) -> bool:
        """Whether `recommend` answers now; without a readable bundle by what is popular and alike."""
        return self._live.answers

    @property
    def searches(self) -> bool:
        """Whether search is open."""
        return self._live.searches

    @property
    def problems(self) -> dict[str, str]:
        """What is degraded: name → words that anybody may read."""
        cache = self._live.cache_problem
        return {**self._live.problems, **({"vectors": cache} if cache else {})}

    @property
    def product_count(self) -> int:
        catalogue = self._live.catalogue
        return self.counts().products if catalogue is None else len(catalogue)

    def refresh(self, most: int | None = None) -> bool:
        """Follow what other processes did: the catalogue's changes and the bundle in use.

        most: products to encode at most; whether more wait. Raises BundleError for a bundle that cannot be loaded,
        which leaves the one in use serving."""
        return self._live.refresh(most)

    def follow(self, most: int) -> bool:
        """`refresh` for who asks five times a second: where nobody wrote, most of it only every second."""
        return self._live.follow(most)

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
        variants: int = 1,
        diversity: float | None = None,
        now: datetime | None = None,
        language: str = "",
    ) -> Answer:
        """Products for a customer or a session, from their events up to this moment; see `Request` for what each means.
        diversity: None is the setting. Raises InvalidRequest, UnknownProduct."""
        request = Request(
            customer=customer,
            session=session,
            surface=surface,
            seeds=tuple(seeds),
            k=k,
            filters=filters or Filters(),
            exclude_purchased=exclude_purchased,
            variants=variants,
            diversity=self.settings.diversity if diversity is None else diversity,
            now=now,
            language=language,
        )
        return self._live.recommend(request)

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
        moment, diversity = now or datetime.now(UTC), self.settings.diversity
        request = Request(k=k, exclude_purchased=exclude_purchased, now=moment, diversity=diversity)
        return self._live.recommend_many(customers, request)

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
        from shelfwise.lists import ListRequest, read_customers, write_lists

        request = Request(k=k, exclude_purchased=exclude_purchased, now=now or datetime.now(UTC))
        if not self._bundles.current():
            raise BundleError("nothing was learned yet; run `shelfwise train`")
        total = self.counts().customers if customers is None else sum(1 for _ in read_customers(customers))
        assert request.now is not None
        return write_lists(
            self.folder,
            out,
            self.store.customers() if customers is None else read_customers(customers),
            ListRequest(k=request.k, exclude_purchased=exclude_purchased, now=request.now, shop=Shop),
            on=on,
            processes=processes,
            total=total,
            progress=progress,
        )

    @property
    def searching(self) -> Search:
        """Search over this shop's products; its index is opened, or built, when first asked for."""
        return self._live.search

    def index(self, progress: Progress | None = None) -> None:
        """Make search ready: word index and vectors of all products, which else the first search begins with."""
        search = self._live.open_search(progress)
        if progress is not None:
            progress(0, 0, "waiting for the vectors of products")
        search.indexes.complete()

    def suggested_synonyms(self, limit: int = 100) -> list[Proposal]:
        """Synonyms that shoppers' behaviour proposes, for a person to accept; best founded first. Reads every search
        and what its customers turned to afterwards."""
        from shelfwise.search.query.synonyms import TURNED_TO, mined

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

    def suggest(self, prefix: str, *, k: int = 8) -> list[Suggestion]:
        """Completions of what is being typed: popular queries, categories, brands, products."""
        return self.searching.suggest(prefix, k)

    def search(self, query: str = "", *, filters: SearchFilters | None = None, **options: Any) -> SearchAnswer:
        """Products for a query, without a bundle too. options: the other fields of SearchRequest (customer, session, k,
        after, sort, facets, group, personal, learned, explain, undo, now, language). Raises InvalidRequest.

        Records nothing: a search that should change the next recommendation is an event of type `search`.
        """
        from shelfwise.catalogue.filters import SearchFilters
        from shelfwise.search.request import SearchRequest

        request = SearchRequest(query=query, filters=filters or SearchFilters(), **options)
        return self.searching.search(request, self.taste(request))

    def taste(self, request: SearchRequest) -> Taste | None:
        """What who searches turned to, and what the engine would show them; None where that is not to count."""
        return self._live.taste(request)

    def finds(self, query: str) -> list[str]:
        """The first products a query finds for anybody."""
        return self._live.finds(query)

    def search_image(self, photo: bytes, *, filters: SearchFilters | None = None, **options: Any) -> SearchAnswer:
        """Products that look like a photo (JPEG, PNG or WebP). options: as in `search`. Raises EncodingError."""
        from shelfwise.catalogue.filters import SearchFilters
        from shelfwise.search.request import SearchRequest

        return self.searching.by_photo(photo, SearchRequest(filters=filters or SearchFilters(), **options))

    def similar(self, product: str, *, k: int = 12, filters: Filters | None = None, language: str = "") -> Answer:
        """Products like this one or bought with it. Raises UnknownProduct."""
        return self.engine.similar(product, k, filters or Filters(), language)

    @cached_property
    def campaigns(self) -> Desk:
        """Campaigns: drafts, audiences, lists, effects, and what a customer is offered."""
        from shelfwise.plan.campaigns.desk import Desk

        return Desk(self.store)

    @cached_property
    def planner(self) -> Planner:
        """Forecasts and orders over this shop's record, and its stock."""
        from shelfwise.plan.planner import Planner

        return Planner(self.store, self.settings)

    def forecast(self, **options: Any) -> pl.DataFrame:
        """Demand of the next days or weeks by product, category or brand. options: those of `Planner.forecast`."""
        return self.planner.forecast(**options)

    def orders(self, **options: Any) -> list[Order]:
        """What to order of every product whose stock is recorded. options: those of `Planner.orders`."""
        return self.planner.orders(**options)

    def knows(self, product: str) -> bool:
        """Is there such a product, in the live catalogue or in the record?"""
        catalogue = self._live.catalogue
        return (catalogue is not None and product in catalogue) or self.store.product(product) is not None

    def behind(self, products: Sequence[str]) -> bool:
        """Does the record have one of these that the engine does not know yet? No read where it knows them all."""
        catalogue = self._live.catalogue
        unknown = [] if catalogue is None else [product for product in products if product not in catalogue]
        return bool(unknown) and bool(self.store.products(unknown))

    def title(self, product: str) -> str:
        """The product's title. Raises UnknownProduct."""
        record = self.store.product(product)
        if record is None:
            raise UnknownProduct(product)
        return record.title or record.id
