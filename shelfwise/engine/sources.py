"""Sources: each proposes products for one question, and every candidate gets every source's number.

What is computed here is all the ranker ever sees, offline and live: `learn` fits it on `FEATURES`, `engine` ranks by
them, and the reason shown is read from them. A number no source can give is 0.

Sources and their bit in `Candidates.sources`: `SOURCES`.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shelfwise.engine.catalogue import View
from shelfwise.engine.request import Filters
from shelfwise.engine.similar import SCANNED, alike, top
from shelfwise.engine.state import PURCHASE, SEARCH, Searched
from shelfwise.models.bundle import Bundle
from shelfwise.models.cooccurrence import READ
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import DAY, Floats, Ints, Longs, moments_back

#: Names as an answer shows them, in the order of their bits.
SOURCES: tuple[str, ...] = ("behaviour", "neighbours", "content", "popular", "again", "fresh", "search")
BIT = {name: np.uint8(1 << place) for place, name in enumerate(SOURCES)}

#: Each feature and the source it speaks for ("" for what only describes the question or the product).
_FEATURES: tuple[tuple[str, str], ...] = (
    ("behaviour", "behaviour"),  # customer vector · item vector
    ("behaviour_below_best", "behaviour"),  # that minus the best candidate's
    ("behaviour_rank", "behaviour"),  # 1 / rank among the candidates
    ("neighbours", "neighbours"),  # co-occurrence with the newest events, as Cooccurrence.scores
    ("neighbours_share", "neighbours"),  # that over the best candidate's
    ("ease", "neighbours"),  # EASE over the whole history
    ("ease_share", "neighbours"),  # that over the best candidate's
    ("content", "content"),  # highest cosine with one of the newest products, each step back counting less
    ("content_newest", "content"),  # cosine with the newest product
    ("popular", "popular"),  # log(1 + decayed customer-days)
    ("popular_week", "popular"),  # log(1 + customer-days of the last week)
    ("again", "again"),  # Repurchase.of
    *((f"again_{name}", "again") for name in Repurchase.FEATURES),
    ("looked", "again"),  # 1 / steps back to the newest event that was no purchase
    ("category_share", "behaviour"),  # decayed share of the history in the product's category
    ("category_now", "behaviour"),  # share of the newest events in it
    ("category_top_share", "behaviour"),  # decayed share in the first level of it
    ("category_idle", ""),  # log(1 + days since an event in the category), 0 without one
    ("brand_share", "behaviour"),  # decayed share of the history with the product's brand
    ("price_gap", ""),  # log of price over the history's median price, 0 unknown
    ("fresh", "fresh"),  # 1 for a product that came after learning
    ("history", ""),  # log(1 + events known)
    ("idle", ""),  # log(1 + days since the newest event)
)
FEATURES: tuple[str, ...] = tuple(name for name, _ in _FEATURES)
COLUMN = {name: place for place, name in enumerate(FEATURES)}
#: Columns by source: what an explanation takes away to see what is left.
COLUMNS_OF: dict[str, list[int]] = {
    source: [place for place, (_, owner) in enumerate(_FEATURES) if owner == source] for source in SOURCES
}
_AGAIN_AT = slice(COLUMN["again_" + Repurchase.FEATURES[0]], COLUMN["again_" + Repurchase.FEATURES[-1]] + 1)

# How many each source proposes. Proposals overlap; about 250 candidates reach the ranker, 400 were no better.
BEHAVIOUR, NEIGHBOURS, EASE, CONTENT, POPULAR, AGAIN, LOOKED, FRESH = 60, 40, 40, 10, 40, 100, 30, 32
EASE_NEW, CONTENT_NEW = 150, 30  # where nothing is proposed that was bought: what is new lies further down
SEARCHED = 30  # of each of the last searches
_CATEGORIES = 3  # of the customer's interest, whose most popular products are proposed
_POPULAR_THERE = 10
_CONTENT_STEPS = 5  # newest distinct products that content compares with
_CONTENT_ASKED = 3  # of these, whose most alike products are proposed
_CONTENT_FADES = 0.8 ** np.arange(_CONTENT_STEPS, dtype=np.float32)
_NOW = 5  # events that are "now"
_INTEREST_DAYS = 60.0  # half life of interest in a category or brand
_NO_ROWS = np.empty(0, np.int32)
_RECIPROCALS = (1 / np.arange(1, 2_049)).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A request and a state, ready to be answered over one view of the catalogue.

    items, kinds, times: the history, oldest first, seeds as its newest events; [m]. now: seconds on the shop's clock.
    visit: is it asked because of a look: a seed, or the newest of a few events?
    vector: the customer's, float32 [d], None without network or known event.
    hits: rows that the behaviour index found for `vector`, best first.
    excluded: rows that must not be shown. searches: see State.
    """

    view: View
    filters: Filters
    k: int
    exclude_purchased: bool
    items: Ints
    kinds: npt.NDArray[np.int8]
    times: Longs
    now: int
    visit: bool
    vector: Floats | None
    hits: Longs | None
    excluded: Ints
    searches: tuple[Searched, ...] = ()


class Neighbours(NamedTuple):
    """What goes with the newest events, with repetition. rows: int32 [m]. weights: float32 [m], of co-occurrence, each
    step back counting less. place: int64 [m], the event, by its place in the history."""

    rows: Ints
    weights: Floats
    place: Longs


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """ids: int32 [c], catalogue rows (the bundle's inside ids, then later products), distinct.
    features: float32 [c, len(FEATURES)]. sources: uint8 [c], bits of who proposed each. visit: the question's.
    near: the newest events' neighbours."""

    ids: Ints
    features: Floats
    sources: npt.NDArray[np.uint8]
    visit: bool
    near: Neighbours


class _Scratch(threading.local):
    """Per thread: tables as long as the catalogue, clean between questions, so that sets need no sorting."""

    def __init__(self) -> None:
        self.slot = np.empty(0, np.int32)
        self.total = np.empty(0, np.float32)
        self.flag = np.empty(0, np.bool_)
        self.hides = False
        self._gathered = np.empty(0, np.float32)

    def gather(self, vectors: Floats, rows: Ints) -> Floats:
        """`vectors[rows]`, good until the next call: fresh memory each time costs more than the copy."""
        m, d = len(rows), vectors.shape[1]
        if self._gathered.size < m * d:
            self._gathered = np.empty(2 * m * d, np.float32)
        return np.take(vectors, rows, axis=0, out=self._gathered[: m * d].reshape(m, d), mode="clip")

    def fit(self, n: int) -> None:
        if len(self.slot) < n:
            n += n // 10
            self.slot = np.zeros(n, np.int32)
            self.total = np.zeros(n, np.float32)
            self.flag = np.zeros(n, np.bool_)


class Sources:
    """All sources over one bundle. Thread-safe; no lock and no loop over candidates."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._scratch = _Scratch()
        popularity = bundle.popularity
        self._fades = (bundle.cooccurrence.decay ** np.arange(READ)).astype(np.float32)
        self._popular = np.stack((np.log1p(popularity.weight), np.log1p(popularity.week)), axis=1).astype(np.float32)

    def candidates(self, question: Question) -> Candidates:
        """Propose, drop what may not be shown, and compute every feature of the rest."""
        view = question.view
        scratch = self._scratch
        scratch.fit(view.n)
        recent = _newest_distinct(question.items, _CONTENT_STEPS)
        bought = question.items[question.kinds == PURCHASE]
        hidden = np.concatenate((question.excluded, bought)) if question.exclude_purchased else question.excluded
        scratch.flag[hidden] = True
        scratch.hides = bool(len(hidden))
        near = self._neighbours(question)
        touched = _distinct(near.rows, scratch.slot)
        np.add.at(scratch.total, near.rows, near.weights)
        try:
            ease = self._ease(question)
            again = self._again(question)
            proposals = self._propose(question, recent, touched, ease, again)
            rows, bits = self._merge(question, proposals)
            if question.filters.narrow or len(rows) < 2 * question.k:
                rows, bits = self._merge(question, [*proposals, *self._within(question, recent)])
            features = self._features(question, rows, recent, ease, again)
        finally:
            scratch.flag[hidden] = False
            scratch.total[touched] = 0
        return Candidates(rows, features, bits, question.visit, near)

    # Proposals

    def _propose(
        self,
        question: Question,
        recent: Ints,
        touched: Ints,
        ease: tuple[Ints, Floats] | None,
        again: tuple[Ints, Floats, Floats],
    ) -> list[tuple[str, Ints]]:
        view, total = question.view, self._scratch.total
        found: list[tuple[str, Ints]] = []
        if question.hits is not None:
            found.append(("behaviour", self._visible(question.hits[question.hits >= 0])[:BEHAVIOUR]))
        if len(touched):
            shown = self._visible(touched)
            found.append(("neighbours", shown[top(total[shown], NEIGHBOURS)]))
        if ease is not None:
            rows, scores = ease
            missing = ~self._scratch.flag[rows]
            if not question.exclude_purchased:
                assert self.bundle.ease is not None
                place = self.bundle.ease.place(again[0])
                missing[place[place >= 0]] = False
            rows, scores = rows[missing], scores[missing]
            found.append(("neighbours", rows[top(scores, EASE_NEW if question.exclude_purchased else EASE)]))
        most = CONTENT_NEW if question.exclude_purchased or question.visit else CONTENT
        found += [("content", self._alike(view, int(row), most)) for row in recent[:_CONTENT_ASKED]]
        if len(again[0]):
            found.append(("again", again[0][top(again[1], AGAIN)]))
        looked = question.items[(question.kinds != PURCHASE) & (question.kinds != SEARCH)]
        if len(looked):
            found.append(("again", looked[-LOOKED:]))
        found += [("search", self._visible(search.rows[:SEARCHED])) for search in question.searches]
        found.append(
            ("popular", self._visible(self.bundle.popularity.order[: POPULAR + len(question.excluded)])[:POPULAR])
        )
        for code in _interests(view.category[question.items[-50:]]):
            found.append(("popular", self.bundle.popularity.in_category(code)[:_POPULAR_THERE]))
        late = self._late(question, recent)
        if len(late):
            found.append(("fresh", late))
        return found

    def _visible(self, rows: npt.NDArray[np.integer]) -> Ints:
        if self._scratch.hides:
            rows = rows[~self._scratch.flag[rows]]
        return rows.astype(np.int32, copy=False)

    def _late(self, question: Question, recent: Ints) -> Ints:
        """Products that came after learning: all of a few, else those nearest to the customer."""
        view = question.view
        late = np.arange(view.known, view.n, dtype=np.int32)
        if len(late) <= FRESH:
            return late
        score = np.zeros(len(late), np.float32)
        if question.vector is not None and view.behaviour is not None:
            score += view.behaviour[view.known : view.n] @ question.vector
        if len(recent) and view.content is not None:
            near = view.content[view.known : view.n] @ view.content[recent[0]]
            return np.concatenate((late[top(score, FRESH // 2)], late[top(near, FRESH // 2)]))
        return late[top(score, FRESH)]

    def _alike(self, view: View, row: int, k: int) -> Ints:
        """The k products most like this one by content."""
        if view.content is None or view.content_index is None:
            return _NO_ROWS
        return alike(view, row, k)

    def _within(self, question: Question, recent: Ints) -> list[tuple[str, Ints]]:
        """Proposals sought inside what passes the filters, so that an answer has k products wherever there are k."""
        view = question.view
        rows = self._visible(view.matching(question.filters.shared()))
        if len(rows) <= AGAIN:
            return [("popular", rows)]
        deep = POPULAR + question.k
        known = view.twin[rows]
        found = [("popular", rows[top(self.bundle.popularity.weight[known] * view.likeness[rows], deep)])]
        if question.vector is not None and view.behaviour is not None:
            if len(rows) <= SCANNED or view.behaviour_index is None:
                found.append(("behaviour", rows[top(view.behaviour[rows] @ question.vector, BEHAVIOUR)]))
            else:
                allowed = np.zeros(view.n, np.bool_)
                allowed[rows] = True
                hits, _ = view.behaviour_index.search(question.vector[None], BEHAVIOUR, allowed=allowed)
                found.append(("behaviour", hits[0][hits[0] >= 0].astype(np.int32)))
        if len(recent) and view.content is not None and len(rows) <= SCANNED:
            found.append(("content", rows[top(view.content[rows] @ view.content[recent[0]], CONTENT)]))
        return found

    def _merge(self, question: Question, proposals: list[tuple[str, Ints]]) -> tuple[Ints, npt.NDArray[np.uint8]]:
        """Distinct rows that may be shown, and the bits of who proposed each."""
        slot = self._scratch.slot
        every = np.concatenate([rows for _, rows in proposals])
        rows = _distinct(every, slot)
        keep = question.view.allowed(question.filters, rows)
        if self._scratch.hides:
            keep &= ~self._scratch.flag[rows]
        slot[rows] = np.arange(len(rows), dtype=np.int32)
        places, start = slot[every], 0
        bits = np.zeros(len(rows), np.uint8)
        for source, group in groupby(proposals, key=itemgetter(0)):
            stop = start + sum(len(proposed) for _, proposed in group)
            bits[places[start:stop]] |= BIT[source]
            start = stop
        return rows[keep], bits[keep]

    # Numbers

    def _neighbours(self, question: Question) -> Neighbours:
        graph, view = self.bundle.cooccurrence, question.view
        items = question.items[-READ:]
        weight = self._fades[moments_back(question.times[-READ:])]
        if len(items) and int(items.max()) >= view.known:
            weight, items = weight * view.likeness[items], view.twin[items]
        if not view.known or not len(items):
            return Neighbours(_NO_ROWS, np.empty(0, np.float32), np.empty(0, np.int64))
        start = graph.indptr[items]
        sizes = graph.indptr[items + 1] - start
        ends = np.cumsum(sizes)
        at = np.arange(int(ends[-1])) + np.repeat(start - ends + sizes, sizes)
        weights = np.take(graph.weights, at) * np.repeat(weight, sizes)
        place = np.arange(len(question.items) - len(items), len(question.items))
        return Neighbours(np.take(graph.ids, at), weights, np.repeat(place, sizes))

    def _ease(self, question: Question) -> tuple[Ints, Floats] | None:
        ease = self.bundle.ease
        if ease is None or not len(ease.known):
            return None
        known = question.items < question.view.known
        if not known.any():
            return None
        return ease.of(question.items[known], question.times[known], question.now)

    def _again(self, question: Question) -> tuple[Ints, Floats, Floats]:
        """What was bought and may be shown: (rows [m] ascending, scores [m], Repurchase.FEATURES [m, f])."""
        bought = question.kinds == PURCHASE
        if question.exclude_purchased or not bought.any():
            return _NO_ROWS, np.empty(0, np.float32), np.empty((0, len(Repurchase.FEATURES)), np.float32)
        items, times = question.items[bought], question.times[bought]
        return self.bundle.again.told(items, times, question.now)

    def _features(
        self,
        question: Question,
        rows: Ints,
        recent: Ints,
        ease: tuple[Ints, Floats] | None,
        again: tuple[Ints, Floats, Floats],
    ) -> Floats:
        view, scratch = question.view, self._scratch
        # One row a feature while filling (each is written at once), one column a feature for the ranker.
        table = np.zeros((len(FEATURES), len(rows)), np.float32)
        if not len(rows):
            return table.T
        late = rows >= view.known
        any_late = bool(late.any())
        known, like = (view.twin[rows], view.likeness[rows]) if any_late else (rows, None)

        if question.vector is not None and view.behaviour is not None:
            score = scratch.gather(view.behaviour, rows) @ question.vector
            table[COLUMN["behaviour"]] = score
            table[COLUMN["behaviour_below_best"]] = score - score.max()
            order = np.argsort(-score, kind="stable")
            table[COLUMN["behaviour_rank"], order] = _reciprocals(len(rows))
        _shared(table, "neighbours", scratch.total[known])
        if ease is not None:
            assert self.bundle.ease is not None
            at = self.bundle.ease.place(known)
            _shared(table, "ease", np.where(at >= 0, ease[1][at], 0))
        if len(recent) and view.content is not None:
            cosine = scratch.gather(view.content, rows) @ view.content[recent].T
            nearest = table[COLUMN["content"]]
            table[COLUMN["content_newest"]] = nearest[:] = cosine[:, 0]
            for step in range(1, len(recent)):
                np.maximum(nearest, cosine[:, step] * _CONTENT_FADES[step], out=nearest)
        first = COLUMN["popular"]
        table[first : first + 2] = np.take(self._popular, known, axis=0).T
        if like is not None:
            borrowed = [COLUMN["neighbours"], COLUMN["neighbours_share"], COLUMN["ease"], COLUMN["ease_share"]]
            table[[*borrowed, first, first + 1]] *= like
            table[COLUMN["fresh"]] = late
        scratch.slot[rows] = np.arange(len(rows), dtype=np.int32)
        if len(again[0]):
            place = _place(again[0], rows, scratch.slot)
            there = place >= 0
            table[COLUMN["again"], place[there]] = again[1][there]
            table[_AGAIN_AT, place[there]] = again[2][there].T
        looked = question.items[question.kinds != PURCHASE][-LOOKED:]
        if len(looked):
            place = _place(looked, rows, scratch.slot)
            there = place >= 0
            # Oldest first, so that the newest look at a product is the one that stays.
            table[COLUMN["looked"], place[there]] = _reciprocals(len(looked))[::-1][there]
        if len(question.items):
            self._interest(table, question, rows)
        return table.T

    def _interest(self, table: Floats, question: Question, rows: Ints) -> None:
        """Features of the candidate's kind against the history's kinds."""
        view, items = question.view, question.items
        age = np.maximum(question.now - question.times, 0) / DAY
        fade = np.exp2(-age / _INTEREST_DAYS)
        fade /= max(float(fade.sum()), 1e-9)
        fade = fade.astype(np.float32)
        # Categories, their first levels and brands share one row of sums, see `Kinds`.
        kinds = view.kinds
        had, wanted = np.take(kinds.of, items, axis=1), np.take(kinds.of, rows, axis=1)
        sums = np.zeros(kinds.count, np.float32)
        for of in had:
            np.add.at(sums, of, fade)
        sums[kinds.unknown] = 0
        shares = sums[wanted]
        for place, name in enumerate(("category_share", "category_top_share", "brand_share")):
            table[COLUMN[name]] = shares[place]
        category, wanted = had[0], wanted[0]
        sums[category] = 0
        np.add.at(sums, category[-_NOW:], np.float32(1 / _NOW))
        sums[kinds.unknown] = 0
        table[COLUMN["category_now"]] = sums[wanted]
        newest = np.zeros(kinds.count)
        newest[category] = age  # oldest first: the newest stays
        newest[kinds.unknown] = 0
        table[COLUMN["category_idle"]] = np.log1p(newest[wanted])
        paid = view.price[items[-50:]]
        paid = paid[paid > 0]
        if len(paid):
            price = view.price[rows]
            paid.sort()
            middle = (paid[(len(paid) - 1) // 2] + paid[len(paid) // 2]) / 2
            gap = np.log(np.where(price > 0, price, 1) / middle)
            table[COLUMN["price_gap"]] = np.where(price > 0, gap, 0)
        table[COLUMN["history"]] = np.log1p(len(items))
        table[COLUMN["idle"]] = np.log1p(age[-1])


def merged(features: Floats, exclude_purchased: bool) -> Floats:
    """The score without a learned ranker, float32 [c]: shares of each source, weighed as a shop's engineer would."""

    def of(name: str) -> Floats:
        return np.asarray(features[:, COLUMN[name]])

    if not len(features):
        return np.empty(0, np.float32)
    popular = of("popular") / max(float(of("popular").max()), 1e-9)
    score = (
        0.5 * np.exp(np.maximum(of("behaviour_below_best"), -20)) * (of("behaviour_rank") > 0)
        + 1.0 * of("neighbours_share")
        + 0.5 * of("ease_share")
        + 0.3 * of("content")
        + 0.2 * popular
        + 0.2 * of("category_share")
        + 0.2 * of("looked")
    )
    if not exclude_purchased:
        again = of("again")
        score = score + 2.0 * again / max(float(again.max()), 1e-9)
    return np.asarray(score, np.float32)


def _distinct(rows: Ints, slot: Ints) -> Ints:
    """Each row once, in the order of its last mention; linear, by writing places into `slot` and reading them back."""
    place = np.arange(len(rows), dtype=np.int32)
    slot[rows] = place
    return np.asarray(rows[slot[rows] == place], np.int32)


def _place(wanted: Ints, rows: Ints, slot: Ints) -> npt.NDArray[np.intp]:
    """Where each wanted row stands in `rows`, -1 for nowhere; slot[rows] must hold 0 … len(rows) - 1."""
    place = slot[wanted]
    there = place < len(rows)
    there[there] = rows[place[there]] == wanted[there]
    return np.where(there, place, -1)


def _newest_distinct(items: Ints, m: int) -> Ints:
    """The newest m distinct products, newest first."""
    found = list(dict.fromkeys(items[: -4 * m - 1 : -1].tolist()))[:m]
    return np.array(found, np.int32)


def _interests(categories: Ints) -> list[int]:
    """The categories met most often, the newest first among equals."""
    counts = Counter(categories[::-1].tolist())
    counts.pop(-1, None)
    return sorted(counts, key=counts.__getitem__, reverse=True)[:_CATEGORIES]


def _reciprocals(n: int) -> Floats:
    return _RECIPROCALS[:n] if n <= len(_RECIPROCALS) else (1 / np.arange(1, n + 1)).astype(np.float32)


def _shared(table: Floats, name: str, score: Floats) -> None:
    """A score and its share of the best candidate's."""
    table[COLUMN[name]] = score
    best = float(score.max())
    if best > 0:
        table[COLUMN[f"{name}_share"]] = np.maximum(score, 0) / best
