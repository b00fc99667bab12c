"""The one path to an answer, for serving and for evaluation alike:

    hydrate → retrieve → features → rank → arrange → explain

It knows nothing of HTTP, of the store or of training.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shelfwise.catalogue.filters import Filters
from shelfwise.engine.arrange.by_stock import Pressure
from shelfwise.engine.arrange.ranked import Ranked
from shelfwise.engine.arrange.rules import Rules
from shelfwise.engine.arrange.steps import STEPS
from shelfwise.engine.catalogue import Catalogue, View
from shelfwise.engine.context import Context, Scratch
from shelfwise.engine.crowd import Crowd
from shelfwise.engine.explain import LANGUAGES, RULED, Explainer
from shelfwise.engine.features import DESCRIPTIVE, describe
from shelfwise.engine.kernels import merged
from shelfwise.engine.rank import COLUMN, FEATURES, best, rank
from shelfwise.engine.request import Answer, Because, Item, Request
from shelfwise.engine.retrieve.source import Candidates
from shelfwise.engine.retrieve.sources import SOURCES
from shelfwise.engine.state import PURCHASE, SEARCH, Searched, State, extended, rows_of, state_of, with_searches
from shelfwise.errors import BundleError, SettingsError, UnknownProduct
from shelfwise.models.bundle import Bundle
from shelfwise.models.sequences import DAY, Floats, Ints, Longs, Sequences
from shelfwise.schema import EventType, Rule, to_micros

_VIEW, _ADD = EventType.VIEW_ITEM.code, EventType.ADD_TO_CART.code
_STALE = 90 * DAY
_VISIT = 5  # most events of a history whose newest look decides; what a search found is none
_BATCH = 256


class Columns(Protocol):
    """Someone's last events in columns, oldest first (the store's `last_rows`).

    products: ids, "" for none. kinds: int8 codes. times: int64 seconds. prices: float32, NaN unknown.
    """

    @property
    def products(self) -> Sequence[str]: ...
    @property
    def kinds(self) -> npt.NDArray[np.int8]: ...
    @property
    def times(self) -> Longs: ...
    @property
    def prices(self) -> Floats: ...


class Engine:
    """Answers over one bundle and one live catalogue. Thread-safe; readers take no lock.

    language: of reasons where a request names none, en or zh.
    Raises BundleError when the bundle's ranker was fitted on other features than this version computes.
    """

    def __init__(self, bundle: Bundle, catalogue: Catalogue, *, language: str = "en") -> None:
        if language not in LANGUAGES:
            raise SettingsError(f"language: {language!r} has no reasons; use one of {', '.join(LANGUAGES)}")
        if bundle.ranker is not None and not set(bundle.ranker.features) <= set(FEATURES):
            raise BundleError("the bundle's ranker reads other features than this version; train again")
        self.bundle = bundle
        self.catalogue = catalogue
        self.sources = [source(bundle) for source in SOURCES if not source.artefact or source.artefact in bundle]
        self.crowd = Crowd(bundle.artefacts.get("cooccurrence"))
        self._language = language
        self._explainer = Explainer(self.sources)
        self._scratch = Scratch()
        self._rules = Rules()
        self._pressure = Pressure({}, 0.0)

    def steer(self, rules: Sequence[Rule]) -> None:
        """Merchants' rules, all that there are now. Those of categories hold on category pages."""
        self._rules = Rules(rules)

    def weigh_stock(self, pressure: Mapping[str, float], dial: float) -> None:
        """How stock presses on the order of answers from now on; see `Pressure`."""
        self._pressure = Pressure(pressure, dial)

    # Answers

    def recommend(self, request: Request, state: State) -> Answer:
        """The best `request.k` products, each with its reason; `unknown` names seeds the catalogue does not have.

        Where none of them is known the answer is for who asks alone. Raises UnknownProduct for `similar` to nothing
        known."""
        (context,) = self._hydrate([state], [request])
        view = context.view
        with self._scratch.hiding(view.n, context.hidden):
            candidates = self._retrieve(context)
            features = self._features(context, candidates)
            head = self._head(context, features)
            scores = rank(self.bundle.ranker, head, features)
            ranked = self._arrange(context, candidates, scores)
            rows = ranked.rows[: request.k]
            chosen = np.flatnonzero(np.isin(candidates.rows, rows)).astype(np.int32)
            reasons = self._explainer.reasons(
                context, candidates, features, chosen, lambda some: rank(self.bundle.ranker, head, some)
            )
        why = dict(zip(candidates.rows[chosen].tolist(), reasons, strict=True))
        language = request.language or self._language
        items = []
        for row, score in zip(rows.tolist(), ranked.scores.tolist(), strict=False):
            sources, reason = why.get(row, ((), RULED))
            if row in ranked.ruled:
                sources, reason = (*sources, "rules"), RULED
            named = view.ids[reason.row] if reason.row >= 0 else ""
            words = self._explainer.words(reason, view, language)
            because = Because(product=named, query=reason.query)
            items.append(Item(product=view.ids[row], score=score, sources=sources, reason=words, because=because))
        unknown = tuple(seed for seed in request.seeds if view.row(seed) is None)
        return Answer(request_id=uuid.uuid4().hex, items=tuple(items), unknown=unknown)

    def recommend_many(self, states: Sequence[State], requests: Request | Sequence[Request]) -> tuple[Ints, Floats]:
        """`recommend` for many, without reasons: (rows int32 [n, k], scores float32 [n, k]), -1 and -inf for no more.
        Rows below len(bundle.items) are its inside ids. requests: one of each, or one for all."""
        k = max((each.k for each in _of_each(states, requests)), default=0)
        rows = np.full((len(states), k), -1, np.int32)
        values = np.full((len(states), k), -np.inf, np.float32)
        for place, (context, candidates, features) in enumerate(self._many(states, requests)):
            ranked = self._arrange(context, candidates, self._rank(context, features))
            k = min(context.request.k, len(ranked.rows))
            rows[place, :k] = ranked.rows[:k]
            values[place, :k] = ranked.scores[:k]
        return rows, values

    def candidates_many(
        self, states: Sequence[State], requests: Request | Sequence[Request]
    ) -> Iterator[tuple[Ints, Floats]]:
        """What `recommend_many` ranks, and by which numbers: (rows int32 [c], features float32 [c, f]) of each."""
        for _, candidates, features in self._many(states, requests):
            yield candidates.rows, features

    def similar(self, product: str, k: int = 12, filters: Filters | None = None, language: str = "") -> Answer:
        """Products like this one. Raises UnknownProduct, InvalidRequest."""
        filters = filters or Filters()
        request = Request(surface="similar", seeds=(product,), k=k, filters=filters, language=language)
        return self.recommend(request, State.nothing(int(time.time())))

    def state(self, request: Request, rows: Columns, searches: Sequence[tuple[int, str, Sequence[str]]] = ()) -> State:
        """The state of who asks, from the record's columns. Products no longer known are left out.

        searches: of the last searches the time (seconds), the words, and the products they find now, best first.
        """
        known = self.catalogue.view.rows
        state = state_of(rows_of(rows.products, known), rows.kinds, rows.times, rows.prices, now=int(_moment(request)))
        if not searches:
            return state
        searched = ((when, query, rows_of(products, known)) for when, query, products in searches)
        return with_searches(state, [Searched(when, query, there[there >= 0]) for when, query, there in searched])

    # Stages

    def _hydrate(self, states: Sequence[State], requests: Sequence[Request]) -> list[Context]:
        """Who asks, where and when, as every stage reads it. Raises UnknownProduct."""
        view = self.catalogue.view
        contexts = [self._context(view, state, request) for state, request in zip(states, requests, strict=True)]
        for source in self.sources:
            source.prepare(contexts)
        return contexts

    def _context(self, view: View, state: State, request: Request) -> Context:
        seeds = [row for product in request.seeds if (row := view.row(product)) is not None]
        if request.seeds and not seeds and request.surface == "similar":
            raise UnknownProduct(request.seeds[0])
        excluded = (row for product in request.filters.exclude if (row := view.rows.get(product)) is not None)
        hidden = np.array([*seeds, *excluded], np.int32)
        rules: tuple[Rule, ...] = ()
        if request.surface == "category" and len(self._rules):
            rules = self._rules.holding("", request.filters.categories, _moment(request))
        now, events = self._clock(state)
        if request.surface == "similar":
            events = events.last(0)
        events = extended(events, seeds, _ADD if request.surface == "cart" else _VIEW, now)
        return Context(
            view=view,
            request=request,
            question=question_of(request, events, len(seeds)),
            items=events.item,
            kinds=events.kind,
            times=events.time,
            seeds=len(seeds),
            now=now,
            searches=state.searches,
            excluded=np.concatenate((hidden, state.cart, state.disliked)),
            scratch=self._scratch,
            rules=rules,
            disliked=state.disliked,
            crowd=self.crowd.counts,
            pressure=self._pressure.over(view),
        )

    def _retrieve(self, context: Context) -> Candidates:
        """What every source proposes and the filters allow; inside narrow filters, or where too little came, once more
        among what passes them."""
        proposals = [source.retrieve(context) for source in self.sources]
        candidates = self._candidates(context, proposals)
        if context.narrow or len(candidates) < 2 * context.request.k:
            rows = context.visible(context.view.matching(context.request.filters.shared()))
            proposals += [source.retrieve_within(context, rows) for source in self.sources]
            candidates = self._candidates(context, proposals)
        return candidates

    def _candidates(self, context: Context, proposals: Sequence[Ints]) -> Candidates:
        ends = np.cumsum([len(proposal) for proposal in proposals])
        scratch = self._scratch
        rows, proposed = merged(np.concatenate(proposals), ends, len(self.sources), scratch.hidden, scratch.slot)
        keep = context.view.allowed(context.request.filters.shared(), rows)
        if not keep.all():
            rows, proposed = rows[keep], proposed[:, keep]
        return Candidates.of(context.view, rows, proposed)

    def _features(self, context: Context, candidates: Candidates) -> Floats:
        """float32 [c, len(FEATURES)]: each source's numbers, then what describes the question and the product."""
        table = np.zeros((len(FEATURES), len(candidates)), np.float32)  # a row a feature: each is written at once
        if len(candidates):
            for source in self.sources:
                if source.features:
                    start = COLUMN[source.features[0]]
                    source.compute(context, candidates, table[start : start + len(source.features)])
            describe(context, candidates, table[-len(DESCRIPTIVE) :])
        return table.T

    def _rank(self, context: Context, features: Floats) -> Floats:
        return rank(self.bundle.ranker, self._head(context, features), features)

    @staticmethod
    def _head(context: Context, features: Floats) -> str:
        """Which of the ranker's heads answers: home has another one where nothing was ever sold that may be shown."""
        head = context.head
        return "cold" if head == "home" and not features[:, COLUMN["popular"]].any() else head

    def _arrange(self, context: Context, candidates: Candidates, scores: Floats) -> Ranked:
        order = best(scores, candidates.rows, len(scores))
        ranked = Ranked(candidates.rows[order], scores[order])
        for step in STEPS:
            ranked = step(context, ranked)
        return ranked

    def _many(
        self, states: Sequence[State], requests: Request | Sequence[Request]
    ) -> Iterator[tuple[Context, Candidates, Floats]]:
        requests = _of_each(states, requests)
        for start in range(0, len(states), _BATCH):
            part = slice(start, start + _BATCH)
            for context in self._hydrate(states[part], requests[part]):
                with self._scratch.hiding(context.view.n, context.hidden):
                    candidates = self._retrieve(context)
                    features = self._features(context, candidates)
                yield context, candidates, features

    def _clock(self, state: State) -> tuple[int, Sequences]:
        """Now and the events on the clock of what was learned.

        Months after the newest event learned from (an old data set, a shop that slept) "days since" would mean nothing
        the ranker has seen: the clock then stands at that event, and later events count as of that moment.
        """
        until = self.bundle.until
        if not until or state.now - until <= _STALE:
            return state.now, state.events
        events = state.events
        if not events.rows or events.time[-1] <= until:
            return until, events
        return until, replace(events, time=np.minimum(events.time, until))


def _of_each(states: Sequence[State], requests: Request | Sequence[Request]) -> Sequence[Request]:
    return [requests] * len(states) if isinstance(requests, Request) else requests


def _moment(request: Request) -> float:
    return time.time() if request.now is None else to_micros(request.now) / 1e6


def question_of(request: Request, events: Sequences, seeds: int) -> str:
    """Which ranker answers."""
    if request.surface in ("similar", "cart") or (request.surface == "product" and seeds):
        return request.surface
    if request.filters.categories and not seeds and events.rows and not request.exclude_purchased:
        return "category"  # a category's page, or a row of other departments on the home page
    done = int((events.kind != SEARCH).sum())
    if seeds or (events.rows and done <= _VISIT and int(events.kind[-1]) != PURCHASE):
        return "visit"
    return "new" if request.exclude_purchased else "home"
