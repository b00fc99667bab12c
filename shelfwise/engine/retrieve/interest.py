"""What sells in the categories that the customer keeps coming back to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from shelfwise.engine.context import Context
from shelfwise.engine.kernels import interest_shares
from shelfwise.engine.retrieve.source import NO_ROWS, Candidates, Reason, Source, top
from shelfwise.models.sequences import DAY, Floats, Ints

_CATEGORIES = 3  # met most often, whose most popular products are proposed
_MOST = 10  # of each
_MOST_WITHIN = 60  # inside narrow filters, of the categories met most often
_EVENTS = 50  # newest events that say what is met often
_LEVEL = 1e-3  # how much the first level of a category counts beside it
_NOW = 5  # events that are "now"
_HALF_LIFE = 60.0  # days, of interest in a category or brand


class Interest(Source):
    """Shares of the history in a product's category and brand, recent events counting more."""

    name = "interest"
    artefact = "popularity"
    features = (
        "category_share",  # decayed share of the history in the product's category
        "category_top_share",  # decayed share in the first level of it
        "brand_share",  # decayed share of the history with the product's brand
        "category_now",  # share of the newest events in the category
        "category_idle",  # log(1 + days since an event in the category), 0 without one
    )
    texts = {
        "en": {"often_in": "You often choose {category}"},
        "zh": {"often_in": "您常选“{category}”"},
    }

    def retrieve(self, context: Context) -> Ints:
        if context.question == "similar" or not len(context.items):
            return NO_ROWS
        counts = Counter(context.view.category[context.items[-_EVENTS:]][::-1].tolist())
        counts.pop(-1, None)
        codes = sorted(counts, key=counts.__getitem__, reverse=True)[:_CATEGORIES]
        rows = [self.bundle.popularity.in_category(code)[:_MOST] for code in codes]
        return context.visible(np.concatenate(rows)) if rows else NO_ROWS

    def retrieve_within(self, context: Context, rows: Ints) -> Ints:
        if not len(context.items) or len(rows) <= _MOST_WITHIN:
            return NO_ROWS
        kinds = context.view.kinds
        category, level = kinds.of[:2, rows]
        met = np.bincount(kinds.of[:2, context.items].ravel(), minlength=kinds.count).astype(np.float32)
        met[kinds.unknown] = 0
        scores = met[category] + _LEVEL * met[level]
        return NO_ROWS if np.ptp(scores) == 0 else rows[top(scores, _MOST_WITHIN)]

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        if not len(context.items):
            return
        kinds = context.view.kinds
        age = np.maximum(context.now - context.times, 0) / DAY
        interest_shares(
            kinds.of, kinds.unknown, kinds.count, context.items, age, _HALF_LIFE, _NOW, candidates.rows, columns
        )

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        category = context.view.top_category(row)
        if category and values["category_share"] > 0 and len(context.items) > _NOW:
            return Reason("often_in", values={"category": category})
        return None
