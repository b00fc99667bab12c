"""Which candidates pass what the caller filters by and what the query was read to want."""

from __future__ import annotations

import numpy as np

from shelfwise.catalogue.columns import Mask
from shelfwise.catalogue.products import ProductsView
from shelfwise.models.sequences import Ints
from shelfwise.search.indexes import Indexes
from shelfwise.search.plan import Intent, QueryPlan
from shelfwise.search.request import SearchRequest
from shelfwise.search.retrieve.candidates import MOST

_SAID_IN = ("title", "category", "attributes")  # fields where an excluded word keeps a product out


def masks_of(
    indexes: Indexes, view: ProductsView, request: SearchRequest, plan: QueryPlan, rows: Ints
) -> dict[str, Mask]:
    """By facet, which of these rows [m] pass what the caller and the query filter by."""
    masks = view.masks(request.filters, rows)
    for intent in plan.filters:
        _narrow(masks, intent.field, fits(view, intent, rows))
    if plan.excluded:
        terms = [term for word in plan.excluded for term in indexes.analyzer.terms(word)]
        keys = [indexes.words.any_of(field, terms, MOST).keys for field in _SAID_IN]
        _narrow(masks, "", ~np.isin(rows, indexes.rows_of(np.concatenate(keys))))
    return masks


def fits(view: ProductsView, intent: Intent, rows: Ints) -> Mask:
    """Which rows [m] are as the intent says."""
    if intent.field == "price":
        low, high = intent.low, intent.high
        price = view.price[rows]
        if intent.share is not None and len(price) and not np.isnan(price).all():
            bound = float(np.nanquantile(price, intent.share))
            low, high = (None, bound) if intent.share < 0.5 else (bound, None)
        return (price >= (-np.inf if low is None else low)) & (price <= (np.inf if high is None else high))
    return view.having(intent.field, intent.values, rows)


def _narrow(masks: dict[str, Mask], facet: str, mask: Mask) -> None:
    masks[facet] = masks[facet] & mask if facet in masks else mask
