"""The engine: the one path from a bundle and a live state to an answer, for serving and for evaluation alike.

    request, state → question → candidates with features → one score → the best k → reasons

It knows nothing of HTTP, of the store or of training.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shelfwise.engine.arrange.rules import Rules, arranged
from shelfwise.engine.catalogue import Catalogue, View
from shelfwise.engine.explain import LANGUAGES, Explainer, Reason
from shelfwise.engine.request import MAX_K, Answer, Because, Filters, Item, Request, check_k, check_language
from shelfwise.engine.similar import similar
from shelfwise.engine.sources import BEHAVIOUR, COLUMN, FEATURES, Candidates, Question, Sources, merged
from shelfwise.engine.state import PURCHASE, SEARCH, VIEW, Searched, State, extended, rows_of, state_of, with_searches
from shelfwise.errors import BundleError, SettingsError
from shelfwise.models.bundle import Bundle
from shelfwise.models.index import FEW_CELLS
from shelfwise.models.sequences import DAY, Floats, Ints, Longs, Sequences
from shelfwise.schema import EventType, Rule, to_micros

_VIEW, _ADD = EventType.VIEW_ITEM.code, EventType.ADD_TO_CART.code
_STALE = 90 * DAY
_VISIT = 5  # most events of a history whose newest look decides; what a search found is none
_BATCH = 256
_MOST_EXTRA = 200  # further products sought where the bought ones will be left out


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
        if bundle.ranker is not None and bundle.ranker.features != FEATURES:
            raise BundleError("the bundle's ranker reads other features than this version; train again")
        self.bundle = bundle
        self.catalogue = catalogue
        self._sources = Sources(bundle)
        self._language = language
        self._explainers = {each: Explainer(bundle, each) for each in LANGUAGES}
        self._rules = Rules()

    def steer(self, rules: Sequence[Rule]) -> None:
        """Merchants' rules, all that there are now. Those of categories hold on category pages."""
        self._rules = Rules(rules)

    def state(self, request: Request, rows: Columns, searches: Sequence[tuple[int, str, Sequence[str]]] = ()) -> State:
        """The state of who asks, from the record's columns. Products no longer known are left out.

        searches: of the last searches the time (seconds), the words, and the products they find now, best first.
        """
        now = time.time() if request.now is None else to_micros(request.now) / 1e6
        known = self.catalogue.view.rows
        state = state_of(
            rows_of(rows.products, known),
            rows.kinds,
            rows.times,
            rows.prices,
            now=int(now),
        )
        if not searches:
            return state
        found = ((when, query, rows_of(products, known)) for when, query, products in searches)
        return with_searches(state, [Searched(when, query, there[there >= 0]) for when, query, there in found])

    def recommend(self, request: Request, state: State) -> Answer:
        """The best `request.k` products; on a category page as its rules have it. Raises UnknownProduct for an unknown
        seed."""
        rules: tuple[Rule, ...] = ()
        if request.surface == "category" and len(self._rules):
            now = time.time() if request.now is None else to_micros(request.now) / 1e6
            rules = self._rules.holding("", request.filters.categories, now)
        # What rules hide makes room for others.
        asked = min(MAX_K, request.k + sum(len(rule.products) for rule in rules))
        (question,) = self._questions([state], request if asked == request.k else replace(request, k=asked))
        candidates = self._sources.candidates(question)

        def score(features: Floats) -> Floats:
            return self._score(features, request.exclude_purchased, candidates.visit)

        scores = score(candidates.features)
        ids = question.view.ids
        if rules:
            chosen, rows, values, ruled = _ruled(rules, question, candidates.ids, scores, request.k)
        else:
            chosen = best(scores, candidates.ids, request.k)
            rows, values, ruled = candidates.ids[chosen].tolist(), scores[chosen].tolist(), frozenset()
        explainer = self._explainers[request.language or self._language]
        told = explainer.reasons(question, candidates, chosen, score, len(request.seeds))
        why = dict(zip(candidates.ids[chosen].tolist(), told, strict=True))
        items = []
        for row, value in zip(rows, values, strict=True):
            sources, reason = why.get(row, ((), Reason("")))
            if row in ruled:
                sources, reason = (*sources, "rules"), explainer.chosen()
            named = ids[reason.row] if reason.row >= 0 else ""
            because = Because(product=named, query=reason.query)
            items.append(Item(product=ids[row], score=value, sources=sources, reason=reason.words, because=because))
        return Answer(request_id=uuid.uuid4().hex, items=tuple(items))

    def candidates(self, state: State, request: Request) -> Candidates:
        """What `recommend` ranks, with the numbers it ranks by."""
        (question,) = self._questions([state], request)
        return self._sources.candidates(question)

    def candidates_many(self, states: Sequence[State], request: Request) -> Iterator[Candidates]:
        """The same for many who ask alike; only encoding and index search run in batches."""
        for start in range(0, len(states), _BATCH):
            for question in self._questions(states[start : start + _BATCH], request):
                yield self._sources.candidates(question)

    def recommend_many(self, states: Sequence[State], request: Request) -> tuple[Ints, Floats]:
        """`recommend` for many, without reasons: (rows int32 [n, k], scores float32 [n, k]), -1 and -inf where there
        are fewer. Rows below len(bundle.items) are its inside ids."""
        rows = np.full((len(states), request.k), -1, np.int32)
        values = np.full((len(states), request.k), -np.inf, np.float32)
        for place, candidates in enumerate(self.candidates_many(states, request)):
            scores = self._score(candidates.features, request.exclude_purchased, candidates.visit)
            chosen = best(scores, candidates.ids, request.k)
            rows[place, : len(chosen)] = candidates.ids[chosen]
            values[place, : len(chosen)] = scores[chosen]
        return rows, values

    def similar(self, product: str, k: int = 12, filters: Filters | None = None, language: str = "") -> Answer:
        """Products like this one, or bought with it. Raises UnknownProduct, InvalidRequest."""
        check_k(k)
        check_language(language)
        explainer = self._explainers[language or self._language]
        view = self.catalogue.view
        row = view.require(product)
        rows, scores, worth = similar(self.bundle, view, row, filters or Filters(), k)
        chosen = best(scores, rows, k)
        items = []
        for position in chosen.tolist():
            names = [
                name for name, value in sorted(worth.items(), key=lambda w: -w[1][position]) if value[position] > 0
            ]
            names = names or ["popular"]
            items.append(
                Item(
                    product=view.ids[int(rows[position])],
                    score=float(scores[position]),
                    sources=tuple(names),
                    reason=explainer.similar(view, row, names[0]),
                )
            )
        return Answer(request_id=uuid.uuid4().hex, items=tuple(items))

    def _score(self, features: Floats, exclude_purchased: bool, visit: bool) -> Floats:
        if not features[:1, COLUMN["history"]].any():
            # Nobody without a history taught the ranker anything: what is popular, then.
            return np.ascontiguousarray(features[:, COLUMN["popular"]])
        ranker = self.bundle.ranker
        if ranker is None:
            return merged(features, exclude_purchased)
        return ranker.score(features, exclude_purchased, visit=visit)

    def _questions(self, states: Sequence[State], request: Request) -> list[Question]:
        view = self.catalogue.view
        seeds = [view.require(product) for product in request.seeds]
        kind = _ADD if request.surface == "cart" else _VIEW
        hidden = np.array(
            [*seeds, *(row for name in request.filters.exclude if (row := view.rows.get(name)) is not None)], np.int32
        )
        told, nows = [], []
        for state in states:
            now, events = self._clock(state)
            told.append(extended(events, seeds, kind, now))
            nows.append(now)
        vectors = self._vectors(view, [_as_views(events) for events in told], nows)
        hits: list[Longs | None] = [None] * len(told)
        there = [place for place, vector in enumerate(vectors) if vector is not None]
        if there and view.behaviour_index is not None:
            extra = 0
            if request.exclude_purchased:
                extra = min(max(int((told[place].kind == PURCHASE).sum()) for place in there), _MOST_EXTRA)
            asked = np.array([vector for vector in vectors if vector is not None])
            found, _ = view.behaviour_index.search(asked, BEHAVIOUR + len(hidden) + extra, cells=FEW_CELLS)
            for place, rows in zip(there, found, strict=True):
                hits[place] = rows
        return [
            Question(
                view=view,
                filters=request.filters,
                k=request.k,
                exclude_purchased=request.exclude_purchased,
                items=events.item,
                kinds=events.kind,
                times=events.time,
                now=now,
                visit=bool(seeds) or _ends_with_a_look(events),
                vector=vectors[place],
                hits=hits[place],
                excluded=np.concatenate((hidden, states[place].cart)) if len(states[place].cart) else hidden,
                searches=states[place].searches,
            )
            for place, (events, now) in enumerate(zip(told, nows, strict=True))
        ]

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
        return until, Sequences(
            offsets=events.offsets,
            item=events.item,
            kind=events.kind,
            time=np.minimum(events.time, until),
            price=events.price,
            quantity=events.quantity,
        )

    def _vectors(self, view: View, histories: Sequence[Sequences], nows: Sequence[int]) -> list[Floats | None]:
        """The customer vector of each history, None for one without events."""
        vectors: list[Floats | None] = [None] * len(histories)
        network = self.bundle.network
        if network is None or view.behaviour is None:
            return vectors
        there = [place for place, events in enumerate(histories) if events.rows]
        if not there:
            return vectors
        batch = _joined([histories[place].last(network.reads) for place in there])
        late = view.behaviour if (batch.item >= view.known).any() else None
        found = network.encode(batch, np.array([nows[place] for place in there], np.int64), vectors=late)
        for place, vector in zip(there, found, strict=True):
            vectors[place] = vector
        return vectors


def _joined(histories: Sequence[Sequences]) -> Sequences:
    """Histories of one row each as rows of one."""
    if len(histories) == 1:
        return histories[0]
    return Sequences(
        offsets=np.concatenate(([0], np.cumsum([events.rows for events in histories]))).astype(np.int64),
        item=np.concatenate([events.item for events in histories]),
        kind=np.concatenate([events.kind for events in histories]),
        time=np.concatenate([events.time for events in histories]),
        price=np.concatenate([events.price for events in histories]),
        quantity=np.concatenate([events.quantity for events in histories]),
    )


def _ruled(
    rules: Sequence[Rule], question: Question, candidates: Ints, scores: Floats, k: int
) -> tuple[Ints, list[int], list[float], frozenset[int]]:
    """Under these rules: positions of the candidates among the best k, their rows and scores, and the rows that rules
    moved. A pinned product need be no candidate, only one that the answer may hold."""
    view = question.view
    bought = question.items[question.kinds == PURCHASE] if question.exclude_purchased else question.items[:0]

    def shown(row: int) -> bool:
        out = row in question.excluded or row in bought
        return not out and bool(view.allowed(question.filters, np.array([row], np.int32))[0])

    made = arranged(rules, candidates, scores, view.row, shown)
    rows = made.rows[:k]
    return (
        np.flatnonzero(np.isin(candidates, rows)).astype(np.int32),
        rows.tolist(),
        made.scores[:k].tolist(),
        frozenset(made.told),
    )


def _ends_with_a_look(events: Sequences) -> bool:
    done = int((events.kind != SEARCH).sum())
    return events.rows > 0 and done <= _VISIT and int(events.kind[-1]) != PURCHASE


def _as_views(events: Sequences) -> Sequences:
    """What a search found, as the network knows it: products looked at."""
    found = events.kind == SEARCH
    return replace(events, kind=np.where(found, VIEW, events.kind).astype(np.int8)) if found.any() else events


def best(scores: Floats, rows: Ints, k: int) -> Ints:
    """Positions of the k highest scores, best first; ties go to the smaller row. int32 [min(k, c)]."""
    if k < len(scores):
        kth = np.partition(scores, len(scores) - k)[len(scores) - k]
        chosen = np.flatnonzero(scores >= kth)
    else:
        chosen = np.arange(len(scores))
    order = np.lexsort((rows[chosen], -scores[chosen]))[:k]
    return chosen[order].astype(np.int32)
