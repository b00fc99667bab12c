"""Explain: why a product is in the answer, read from the numbers that ranked it.

The source that counts is found by taking each away: its features are set to the median candidate's, the ranker scores
again, and the source whose loss costs most is the reason. That works for any ranker and says what is true of this one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwise.engine.catalogue import View
from shelfwise.engine.sources import BIT, COLUMN, COLUMNS_OF, FEATURES, SOURCES, Candidates, Neighbours, Question
from shelfwise.engine.state import SEARCH
from shelfwise.models.bundle import Bundle
from shelfwise.models.sequences import DAY, Floats, Ints
from shelfwise.schema import EventType

Score = Callable[[Floats], Floats]

_TITLE = 80  # characters of a product's title inside a sentence
_USUAL = 64  # candidates, about, whose median stands for all
_EVENTS = 20  # newest events that a reason of likeness may name
_TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "goes_with": "Goes with {title}",
        "view_item": "Because you viewed {title}",
        "select_item": "Because you viewed {title}",
        "add_to_cart": "Because you put {title} in your cart",
        "purchase": "Because you bought {title}",
        "add_to_wishlist": "Because you wished for {title}",
        "rate": "Because you rated {title}",
        "search": "Because you searched for {title}",
        "like": "Similar to {title}",
        "every": "You buy this about every {days} days",
        "daily": "You buy this almost every day",
        "often": "You buy this often",
        "before": "You bought this before",
        "looked": "You looked at this lately",
        "popular_week_in": "Popular in {category} this week",
        "popular_in": "Popular in {category}",
        "popular_week": "Popular this week",
        "popular": "Popular with our customers",
        "new_in": "New in {category}",
        "new": "New in our shop",
        "rules": "Chosen by the shop",
    },
    "zh": {
        "goes_with": "与“{title}”搭配",
        "view_item": "因为您浏览过“{title}”",
        "select_item": "因为您浏览过“{title}”",
        "add_to_cart": "因为您把“{title}”加入了购物车",
        "purchase": "因为您购买过“{title}”",
        "add_to_wishlist": "因为您收藏了“{title}”",
        "rate": "因为您评价过“{title}”",
        "search": "因为您搜索过“{title}”",
        "like": "与“{title}”相似",
        "every": "您大约每 {days} 天购买一次",
        "daily": "您几乎每天都会购买",
        "often": "您经常购买",
        "before": "您以前购买过",
        "looked": "您最近看过",
        "popular_week_in": "本周“{category}”热销",
        "popular_in": "“{category}”热销",
        "popular_week": "本周热销",
        "popular": "大家都在买",
        "new_in": "“{category}”新品",
        "new": "本店新品",
        "rules": "店家推荐",
    },
}
LANGUAGES = tuple(_TEXTS)
_KINDS = tuple(EventType)
_SEARCH = SOURCES.index("search")
_BITS = np.array([BIT[source] for source in SOURCES])[:, None]
#: Which columns each source speaks through, bool [sources with numbers, features]; these come first in SOURCES.
_TAKEN = np.array(
    [[place in COLUMNS_OF[source] for place in range(len(FEATURES))] for source in SOURCES if COLUMNS_OF[source]]
)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, in words; and what of the history it names: a product's row, or a query; -1 and "" for nothing."""

    words: str
    row: int = -1
    query: str = ""


class Explainer:
    """Reasons in one language, over one bundle."""

    def __init__(self, bundle: Bundle, language: str) -> None:
        self.bundle = bundle
        self._texts = _TEXTS[language]

    def reasons(
        self, question: Question, candidates: Candidates, chosen: Ints, score: Score, seeds: int
    ) -> list[tuple[tuple[str, ...], Reason]]:
        """Of each chosen candidate (positions [k]): its sources, the decisive one first, and the reason.

        score: the ranker. seeds: how many of the question's newest items are seeds.
        """
        if not len(chosen):
            return []
        weight = _weights(candidates, chosen, score)
        decisive, orders = weight.argmax(axis=0).tolist(), np.argsort(-weight, axis=0, kind="stable").T.tolist()
        companions = _Companions(question, candidates.near, self.bundle)
        proposed = ((candidates.sources[chosen] & _BITS) > 0).T.tolist()
        found = []
        for row, values, source, by, order in zip(
            candidates.ids[chosen].tolist(),
            candidates.features[chosen].tolist(),
            decisive,
            proposed,
            orders,
            strict=True,
        ):
            names = [SOURCES[each] for each in order if by[each]]
            first = SOURCES[source]
            if by[_SEARCH] and not values[COLUMN["again_count"]] > 0:
                # Its own number is none: what was sought speaks through the numbers of what was found.
                first = "search"
                names = [first, *(name for name in names if name != first)]
            reason = None
            for each in dict.fromkeys([first, *names]):
                reason = self._reason(each, question, companions, row, values, seeds)
                if reason:
                    break
            found.append((tuple(names), reason or self._popular(question.view, row, values)))
        return found

    def chosen(self) -> Reason:
        """Why a product stands where a merchant's rule put it."""
        return Reason(self._say("rules"))

    def similar(self, view: View, row: int, source: str) -> str:
        """Why a product stands beside `row`."""
        return self._say("like" if source == "content" else "goes_with", title=_short(view.title(row)))

    def _reason(
        self, source: str, question: Question, companions: _Companions, row: int, values: list[float], seeds: int
    ) -> Reason | None:
        view = question.view
        if source == "search":
            return self._searched(question, row)
        if source == "again":
            return self._again(row, values)
        if source == "popular":
            return self._popular(view, row, values)
        if source == "fresh":
            category = view.top_category(row)
            return Reason(self._say("new_in", category=category) if category else self._say("new"))
        if not len(question.items):
            return None
        if source == "content":
            place = self._most_alike(question, row, view.content)
            if place >= 0 and question.kinds[place] == SEARCH:
                return self._searched(question, int(question.items[place]))
            return None if place < 0 else self._of("like", view, int(question.items[place]))
        place = companions.of(row) if source == "neighbours" else -1
        if place < 0:
            place = self._most_alike(question, row, view.behaviour)
        if place < 0:
            return None
        item = int(question.items[place])
        if place >= len(question.items) - seeds:
            return self._of("goes_with", view, item)
        if question.kinds[place] == SEARCH:
            return self._searched(question, item)
        kind = _KINDS[int(question.kinds[place])]
        return self._of(str(kind) if str(kind) in self._texts else "view_item", view, item)

    def _most_alike(self, question: Question, row: int, vectors: Floats | None) -> int:
        """The newest event with the most similar product by these vectors; -1 for none."""
        if vectors is None:
            return -1
        items = question.items[-_EVENTS:]
        had = vectors[items]
        length = np.linalg.norm(had, axis=1)
        likeness = np.where(length > 0, had @ vectors[row] / np.where(length > 0, length, 1), -np.inf)
        likeness[items == row] = -np.inf
        newest = len(items) - 1 - int(likeness[::-1].argmax())
        return len(question.items) - len(items) + newest if likeness[newest] > 0 else -1

    def _again(self, row: int, values: list[float]) -> Reason | None:
        count = _count(values[COLUMN["again_count"]])
        if count >= 3:
            days = _count(values[COLUMN["again_mean_gap"]])
            name = "before" if days > 60 else "every" if days >= 2 else "daily" if days == 1 else "often"
            return Reason(self._say(name, days=days), row)
        if count:
            return Reason(self._say("before"), row)
        return Reason(self._say("looked"), row) if values[COLUMN["looked"]] > 0 else None

    def _searched(self, question: Question, row: int) -> Reason | None:
        """The newest search that found this row."""
        query = next((search.query for search in question.searches if row in search.rows), "")
        return Reason(self._say("search", title=_short(query)), query=query) if query else None

    def _popular(self, view: View, row: int, values: list[float]) -> Reason:
        category, week = view.top_category(row), values[COLUMN["popular_week"]] > 0
        if category:
            return Reason(self._say("popular_week_in" if week else "popular_in", category=category))
        return Reason(self._say("popular_week" if week else "popular"))

    def _of(self, text: str, view: View, row: int) -> Reason:
        return Reason(self._say(text, title=_short(view.title(row))), row)

    def _say(self, text: str, **values: object) -> str:
        return self._texts[text].format(**values)


class _Companions:
    """Which event of a question's history a product goes with. near: the newest events' neighbours."""

    def __init__(self, question: Question, near: Neighbours, bundle: Bundle) -> None:
        self.question = question
        self.near = near
        self.bundle = bundle

    def of(self, row: int) -> int:
        """The event whose neighbour this is most, by co-occurrence or else by EASE; -1 for none."""
        known = int(self.question.view.twin[row])
        near = self.near
        at = np.flatnonzero(near.rows == known)[::-1]  # the newest first
        at = at[self.question.items[near.place[at]] != row]
        if len(at):
            best = at[int(near.weights[at].argmax())]
            if near.weights[best] > 0:
                return int(near.place[best])
        return self._by_ease(known)

    def _by_ease(self, known: int) -> int:
        question, ease = self.question, self.bundle.ease
        if ease is None or not len(ease.known):
            return -1
        known_by_ease = question.items < question.view.known
        at = min(int(np.searchsorted(ease.known, known)), len(ease.known) - 1)
        if ease.known[at] != known or not known_by_ease.any():
            return -1
        items = np.where(known_by_ease, question.items, 0)
        had = np.minimum(np.searchsorted(ease.known, items), len(ease.known) - 1)
        there = (ease.known[had] == items) & known_by_ease
        fade = np.exp2(np.minimum(question.times - question.now, 0) / (ease.half_life * DAY))
        weights = np.where(there, ease.weights[had, at] * fade, 0)
        newest = len(weights) - 1 - int(weights[::-1].argmax())
        return newest if weights[newest] > 0 else -1


def _weights(candidates: Candidates, chosen: Ints, score: Score) -> npt.NDArray[np.float32]:
    """What each source is worth to each chosen candidate: float32 [sources, k], -inf where it says nothing of it."""
    features = candidates.features[chosen]
    some = candidates.features[:: max(1, len(candidates.ids) // _USUAL)]
    middle = len(some) // 2
    usual = np.partition(np.ascontiguousarray(some.T), middle, axis=1)[:, middle]
    k = len(chosen)
    without = np.where(_TAKEN[:, None], usual, features).reshape(-1, features.shape[1])
    scores = score(np.concatenate((features, without))).reshape(len(_TAKEN) + 1, k)
    worth = np.zeros((len(SOURCES), k), np.float32)
    worth[: len(_TAKEN)] = scores[0] - scores[1:]
    # Who proposed a product goes before who merely has a number for it, when the numbers do not decide.
    worth += 1e-6 * ((candidates.sources[chosen] & _BITS) > 0)
    worth[: len(_TAKEN)][~(_TAKEN @ (features != 0).T)] = -np.inf
    worth[len(_TAKEN) :] = -np.inf
    return worth


def _count(logarithm: float) -> int:
    """The whole number behind a feature log(1 + number)."""
    return round(float(np.expm1(np.float32(logarithm))))


def _short(title: str) -> str:
    return title if len(title) <= _TITLE else title[: _TITLE - 1].rstrip() + "…"
