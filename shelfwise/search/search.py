"""Search: from a query to a page of products.

    plan → retrieve → features → score → filters → rules → variants → page, facets, highlights, reasons

Without a bundle words and meaning answer; with one, behaviour adds who asks and what sells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from shelfwise.catalogue.products import Products, ProductsView
from shelfwise.engine.arrange.rules import Rules
from shelfwise.models.recommender import Progress
from shelfwise.models.sequences import Floats, Ints
from shelfwise.schema import Rule, Synonym
from shelfwise.search.answer import Scored, answered
from shelfwise.search.filters import masks_of
from shelfwise.search.highlights import Highlights
from shelfwise.search.indexes import Indexes, Record
from shelfwise.search.plan import RELAXATIONS, QueryPlan
from shelfwise.search.query.text import normal
from shelfwise.search.rank.features import features_of, of_asker
from shelfwise.search.rank.personal import Taste
from shelfwise.search.rank.score import parts_of, score
from shelfwise.search.request import SearchAnswer, SearchRequest
from shelfwise.search.retrieve.candidates import named_exactly, retrieve
from shelfwise.search.retrieve.dense import Encoders
from shelfwise.search.suggest import Suggestion
from shelfwise.search.unsold import unsold, with_unsold

_ALIKE = 500  # products proposed for a photo


class Search:
    """Search over a shop's products. Thread-safe.

    indexes: what it reads; they follow the record. language: of reasons and chips, en or zh. Else see `Indexes`.
    """

    def __init__(
        self,
        record: Record,
        folder: Path | None,
        encoders: Encoders | None = None,
        *,
        products: Products | None = None,
        language: str = "en",
        patience: float = 30,
        progress: Progress | None = None,
    ) -> None:
        self.indexes = Indexes(record, folder, encoders, products=products, patience=patience, progress=progress)
        self._language = language
        self._highlights = Highlights(self.indexes.analyzer)
        self._rules = Rules()

    def steer(self, rules: Sequence[Rule], synonyms: Sequence[Synonym]) -> None:
        """Merchants' rules and synonyms, all that there are now."""
        self._rules = Rules(rules, normal)
        self.indexes.lexicon.synonyms(synonyms)

    def suggest(self, prefix: str, k: int = 8) -> list[Suggestion]:
        """Completions of what is being typed."""
        return self.indexes.lexicon.suggest(prefix, k)

    def search(self, request: SearchRequest, taste: Taste | None = None) -> SearchAnswer:
        """A page of products for the request. Raises InvalidRequest for a foreign page token.

        taste: what the asker turned to and would be recommended (`personal.py`); None for a stranger.
        """
        view = self.indexes.products.view
        plan, scored = self._relaxed(view, request, self._plan(request), taste)
        return self._answer(view, request, plan, scored)

    def by_photo(self, photo: bytes, request: SearchRequest) -> SearchAnswer:
        """Products whose photo looks like this one. Raises EncodingError for what is no photo."""
        view, meaning = self.indexes.products.view, self.indexes.meaning
        vector = meaning.seen(photo)
        rows, cosine = np.empty(0, np.int32), np.empty(0, np.float32)
        if vector is not None:
            rows, cosine = meaning.photos.near(vector, _ALIKE, view.allowed(request.filters, view.all()))
            rows, cosine = rows[rows < view.n], cosine[rows < view.n]
        plan = QueryPlan(source="photo")
        masks = masks_of(self.indexes, view, request, plan, rows)
        return self._answer(view, replace(request, query=""), plan, Scored(rows, cosine, {"photo": cosine}, masks))

    def parts(self, query: str, products: Sequence[str]) -> dict[str, Floats]:
        """What each feature (score.FEATURES) adds to the scores of these products beside all that is found for a query,
        whether they would be found or not: float32 [m] each."""
        view = self.indexes.products.view
        request = SearchRequest(query=query, k=200)
        plan = self.indexes.lexicon.plan(request, self._language)
        rows = np.array([view.rows[name] for name in products], np.int32)
        if not plan.text:
            return {}
        scored = self._scored(view, request, plan, None, also=rows)
        at = np.searchsorted(scored.rows, rows)
        return {name: part[at] for name, part in scored.parts.items()}

    def rank(self, query: str, products: Sequence[str], *, without: frozenset[str] = frozenset()) -> Floats:
        """How well each of these products answers a query: float32 [m]. without: features left out of the score."""
        parts = self.parts(query, products)
        return score({name: part for name, part in parts.items() if name not in without}, len(products))

    def _plan(self, request: SearchRequest) -> QueryPlan:
        if named_exactly(self.indexes, request.query):
            request = replace(request, correct=False)
        return self.indexes.lexicon.plan(request, request.language or self._language)

    def _relaxed(
        self, view: ProductsView, request: SearchRequest, plan: QueryPlan, taste: Taste | None
    ) -> tuple[QueryPlan, Scored]:
        """The first plan that finds something, and what it finds: as read, in its other spelling, with less and less
        insisted on. What the caller filters by is always kept."""
        scored = self._scored(view, request, plan, taste)
        if (first := unsold(view, request, plan, scored)) is not None:
            return with_unsold(*self._less(view, request, plan, taste, scored), first)
        if scored.any:
            return plan, scored
        if plan.alternative:
            other = self._plan(replace(request, query=plan.alternative, correct=False))
            respelled = self._scored(view, request, other, taste)
            if respelled.any:
                return replace(other, corrected=plan.alternative), respelled
        return self._less(view, request, plan, taste, scored)

    def _less(
        self, view: ProductsView, request: SearchRequest, plan: QueryPlan, taste: Taste | None, scored: Scored
    ) -> tuple[QueryPlan, Scored]:
        """The plan, given up step by step until something is found. scored: what it finds as it is."""
        if scored.any:
            return plan, scored
        for relaxation in RELAXATIONS:
            less = plan.without(relaxation)
            if less is None:
                continue
            plan = less
            if relaxation == "filters":  # the same candidates
                scored = replace(scored, masks=masks_of(self.indexes, view, request, plan, scored.rows))
            else:
                scored = self._scored(view, request, plan, taste)
            if scored.any:
                break
        return plan, scored

    def _scored(
        self,
        view: ProductsView,
        request: SearchRequest,
        plan: QueryPlan,
        taste: Taste | None,
        also: Ints | None = None,
    ) -> Scored:
        """Candidates of a plan, by row; all of the catalogue where there is nothing to look for."""
        if plan.source == "words":
            candidates = retrieve(self.indexes, view, request, plan, also)
            rows = candidates.rows
            features = features_of(self.indexes, view, request, plan, candidates, taste)
        else:
            rows = view.live()
            features = of_asker(self.indexes, view, request, plan, rows, taste)
        parts = parts_of(features)
        masks = masks_of(self.indexes, view, request, plan, rows)
        return Scored(rows, score(parts, len(rows)), parts, masks)

    def _answer(self, view: ProductsView, request: SearchRequest, plan: QueryPlan, scored: Scored) -> SearchAnswer:
        language = request.language or self._language
        return answered(self.indexes, view, request, plan, scored, self._rules, self._highlights, language)
