"""What everybody buys."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfwise.catalogue.products import first_levels
from shelfwise.engine.context import Context
from shelfwise.engine.retrieve.source import Candidates, Reason, Source, top
from shelfwise.models.bundle import Bundle
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import Floats, Ints

_MOST = 40
_ALL = 200  # products inside a filter that are all taken
_OWN = 4  # columns of the product itself; the others are its kind's
_EVER = 1e-3  # how much what was ever sold counts there beside what is sold now


class Popular(Source):
    """Decayed customer-days (`models/popularity.py`), and those since."""

    name = "popular"
    artefact = "popularity"
    features = (
        "popular",  # log(1 + decayed customer-days)
        "popular_week",  # of the last week
        "popular_day",  # of the last day
        "popular_ever",  # of all time; of products never sold what was sold of those most like them
        "popular_category",  # log(1 + decayed customer-days) of all products of the category
        "popular_level",  # of its first level
        "popular_brand",  # of the brand
    )
    texts = {
        "en": {
            "popular_week_in": "Popular in {category} this week",
            "popular_in": "Popular in {category}",
            "popular_week": "Popular this week",
            "popular": "Popular with our customers",
            "range_in": "From {category}",
            "range": "From our range",
        },
        "zh": {
            "popular_week_in": "本周“{category}”热销",
            "popular_in": "“{category}”热销",
            "popular_week": "本周热销",
            "popular": "大家都在买",
            "range_in": "“{category}”商品",
            "range": "本店商品",
        },
    }

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        popularity = bundle.popularity
        ever = np.log1p(popularity.ever)
        if bundle.taste is not None:
            ever = np.where(ever > 0, ever, bundle.taste.borrowed)
        kinds = _kinds(bundle.facts)
        sold = (np.log1p(each) for each in (popularity.weight, popularity.week, popularity.day))
        columns = (*sold, ever, *_sold(popularity.weight, kinds))
        self._columns = np.stack(columns, axis=1).astype(np.float32)

    def retrieve(self, context: Context) -> Ints:
        most = max(_MOST, context.request.k)
        order = self.bundle.popularity.order[: _MOST + context.request.k + len(context.excluded)]
        rows = context.visible(order)[:most]
        if not len(context.crowd.leading):
            return rows
        return np.concatenate((rows, context.visible(context.crowd.leading)[:_MOST]))

    def retrieve_within(self, context: Context, rows: Ints) -> Ints:
        if len(rows) <= _ALL:
            return rows
        view = context.view
        known = view.proxy[rows]
        sold = self.bundle.popularity.weight[known] + _EVER * self._columns[known, _OWN - 1]
        scores = sold * view.likeness[rows] + context.crowd.of(rows)
        return rows[top(scores, _MOST + context.request.k)]

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        columns[:] = np.take(self._columns, candidates.known, axis=0).T
        if candidates.likeness is not None:
            columns *= candidates.likeness
        if len(context.crowd.leading):
            columns[:_OWN] = np.log1p(np.expm1(columns[:_OWN]) + context.crowd.of(candidates.rows))

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        category, week = context.view.top_category(row), "_week" if values["popular_week"] > 0 else ""
        text = f"popular{week}" if self._touched(context, row, values) else "range"
        return Reason(f"{text}_in", values={"category": category}) if category else Reason(text)

    @staticmethod
    def _touched(context: Context, row: int, values: Mapping[str, float]) -> bool:
        """Whether anybody turned to it: a new product's number is what its likes are worth."""
        own = values["popular"] > 0 and context.view.likeness[row] >= 1
        return bool(own or (len(context.crowd.leading) and context.crowd.of(np.array([row], np.int32))[0] > 0))


def _kinds(facts: Items) -> tuple[Ints, Ints, Ints]:
    """Codes of each product's category, first level of it, and brand, int32 [n], -1 unknown."""
    none = np.full(facts.n, -1, np.int32)
    brand = none if facts.brand is None else facts.brand
    if facts.category is None or not len(facts.category_names):
        return none, none, brand
    return facts.category, first_levels(facts.category_names)[facts.category], brand


def _sold(weight: Floats, kinds: tuple[Ints, ...]) -> list[Floats]:
    """Of each of these codes float32 [n], log(1 + the weight of all products that share it), 0 for unknown ones."""
    columns = []
    for codes in kinds:
        sums = np.bincount(codes + 1, weight)
        sums[0] = 0
        columns.append(np.log1p(sums[codes + 1]).astype(np.float32))
    return columns
