"""What a query names and nobody can buy now: found by its title or code, first and as what it is, where nothing that
can be bought has every word of the query."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shelfwise.catalogue.filters import SearchFilters
from shelfwise.catalogue.products import ProductsView, passing
from shelfwise.schema import SELLS
from shelfwise.search.answer import Scored
from shelfwise.search.plan import QueryPlan
from shelfwise.search.request import SearchRequest


def unsold(view: ProductsView, request: SearchRequest, plan: QueryPlan, scored: Scored) -> Scored | None:
    """Those of the candidates; None where there are none, or the caller says himself which availability he wants."""
    if request.filters.availability != SELLS or plan.source != "words":
        return None
    every, exact = scored.parts["every"] > 0, scored.parts["exact"] > 0
    named = exact | (every & ((scored.parts["whole"] > 0) | (scored.parts["phrase"] > 0)))
    if not named.any() or ((every | exact) & view.allowed(request.filters, scored.rows)).any():
        return None
    there = named & view.allowed(SearchFilters(availability=None), scored.rows)
    kept = passing({**scored.masks, "availability": there}.values(), len(scored.rows))
    if not kept.any():
        return None
    parts = {name: part[kept] for name, part in scored.parts.items()}
    return Scored(scored.rows[kept], scored.scores[kept], parts, {})


def with_unsold(plan: QueryPlan, scored: Scored, first: Scored) -> tuple[QueryPlan, Scored]:
    """What was found, with these ahead of it."""
    others = ~np.isin(scored.rows, first.rows)
    rows = np.concatenate((first.rows, scored.rows[others]))
    order = np.argsort(rows, kind="stable")
    none = np.zeros(len(first.rows), np.float32)
    passes = np.ones(len(first.rows), np.bool_)
    top = np.float32(scored.scores[others].max(initial=0))
    scores = np.concatenate((first.scores + top, scored.scores[others]))[order]
    parts = {
        name: np.concatenate((first.parts.get(name, none), part[others]))[order] for name, part in scored.parts.items()
    }
    masks = {name: np.concatenate((passes, mask[others]))[order] for name, mask in scored.masks.items()}
    return replace(plan, relaxed=("stock", *plan.relaxed)), Scored(rows[order], scores, parts, masks)
