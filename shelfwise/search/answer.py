"""The page of an answer: order, rules, variants, facets, highlights and reasons."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shelfwise.catalogue.columns import Mask
from shelfwise.catalogue.facets import facets_of
from shelfwise.catalogue.products import ProductsView, passing
from shelfwise.engine.arrange.ranked import Ranked
from shelfwise.engine.arrange.rules import Rules
from shelfwise.engine.arrange.steps import SEARCH_STEPS
from shelfwise.models.sequences import Floats, Ints
from shelfwise.schema import SELLS, Rule
from shelfwise.search import paging
from shelfwise.search.highlights import Highlights
from shelfwise.search.indexes import Indexes
from shelfwise.search.plan import QueryPlan
from shelfwise.search.reasons import REASONS, reason_of
from shelfwise.search.request import Hit, SearchAnswer, SearchRequest


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Candidates with their scores, in row order: rows int32 [c], scores float32 [c], parts: what each score is the sum
    of, float32 [c] each. masks: by facet, which pass its filter (before anything is left out)."""

    rows: Ints
    scores: Floats
    parts: Mapping[str, Floats]
    masks: Mapping[str, Mask]

    @property
    def any(self) -> bool:
        """Whether some product passes every filter."""
        return bool(passing(self.masks.values(), len(self.rows)).any())


def answered(
    indexes: Indexes,
    view: ProductsView,
    request: SearchRequest,
    plan: QueryPlan,
    scored: Scored,
    rules: Rules,
    highlights: Highlights,
    language: str,
) -> SearchAnswer:
    """The page of what was found, with all that is said about it. Raises InvalidRequest for a foreign page token."""
    kept = np.flatnonzero(passing(scored.masks.values(), len(scored.rows)))
    sort = request.sort if request.sort != "relevance" else plan.sort or "relevance"
    order = kept[paging.order(view, sort, scored.rows[kept], scored.scores[kept], indexes.sold.values)]
    ranked = Ranked(scored.rows[order], scored.scores[order])
    if sort == "relevance":
        ranked = _arranged(view, request, ranked, rules)
    ruled = ranked.ruled
    page = paging.page(view, request, ranked.rows, ranked.scores)
    terms = highlights.terms((plan.text, *plan.variants))
    place = dict(zip(scored.rows[kept].tolist(), kept.tolist(), strict=True)) if request.explain else {}
    sold = indexes.sold.of(np.array([row for row, _, _ in page.items], np.int32)) > 0
    hits = []
    wanted = request.filters.availability != SELLS or "stock" not in plan.relaxed  # for what cannot be bought
    for (row, value, others), bought in zip(page.items, sold.tolist(), strict=True):
        source = "rules" if row in ruled and row not in place and request.explain else plan.source
        why = reason_of("rules" if row in ruled else source, plan.relaxed, bought)
        state = view.availability(row)
        hits.append(
            Hit(
                product=view.ids[row],
                score=value,
                sources=(source, *(["rules"] if row in ruled else [])),
                reason=REASONS[language][why if wanted or state in SELLS else state],
                title=view.titles[row],
                highlights=highlights.of(view.titles[row], view.descriptions[row], terms),
                variants=tuple(view.ids[other] for other in others),
                parts={n: float(part[place[row]]) for n, part in scored.parts.items()} if row in place else {},
            )
        )
    return SearchAnswer(
        request_id=uuid.uuid4().hex,
        query=request.query,
        items=tuple(hits),
        total=page.total,
        facets=tuple(facets_of(view, request.facets, scored.masks, scored.rows, group=request.group)),
        reading=plan.chips,
        did_you_mean=plan.alternative,
        corrected=plan.corrected,
        relaxed=plan.relaxed,
        after=page.after,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _SearchContext:
    """A search, as the steps of arrange read it."""

    view: ProductsView
    request: SearchRequest
    rules: tuple[Rule, ...]

    def allowed(self, row: int) -> bool:
        return bool(self.view.allowed(self.request.filters, np.array([row], np.int32))[0])


def _arranged(view: ProductsView, request: SearchRequest, ranked: Ranked, rules: Rules) -> Ranked:
    """The same steps as a recommendation's (engine/arrange/steps.py)."""
    now = time.time() if request.now is None else request.now.timestamp()
    context = _SearchContext(view, request, rules.holding(request.query, request.filters.categories, now))
    for step in SEARCH_STEPS:
        ranked = step(context, ranked)
    return ranked
