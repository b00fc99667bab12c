"""The candidates of a plan: products with its words, near its meaning, or turned to by its earlier searchers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shelfwise.catalogue.products import ProductsView
from shelfwise.models.sequences import Floats, Ints
from shelfwise.search.indexes import Indexes
from shelfwise.search.plan import QueryPlan
from shelfwise.search.query.codes import codes_in, joined_in, whole_code
from shelfwise.search.query.text import normal
from shelfwise.search.request import SearchRequest
from shelfwise.search.retrieve.lexical import Keys, WordHits

MOST = 5_000  # products a query finds at most
_TEXTED = 1_000  # products whose title and description are scored as one text
_NEAR = 150  # products proposed by meaning
_NEAR_FROM = 0.35  # cosine, beside what has the words
_FAR_FROM, _FAR = 0.14, 0.6  # cosine, and part of the highest, where no product has every word
_FEW = 100  # products with every word below which those with some are taken too
_VARIANT = 0.9  # of its score: what is found by a variant of the text
_NO_KEYS: Keys = np.empty(0, np.uint64)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Candidates:
    """Products that may answer, in row order, and what retrieval knows of them.

    rows: int32 [c]. words: float32 [c], BM25 of all fields, the best of the plan's texts; else 0.
    text: BM25 of title and description as one text, for each of the plan's texts. every: rows with every word.
    exact, partial: rows whose code was asked for, and those found by a part of it.
    clicks: row → evidence of what earlier searchers of this query turned to. proposed: rows from elsewhere than words.
    vector: float32 [d], the query's; None where nothing has a meaning.
    """

    rows: Ints
    words: Floats
    text: Sequence[WordHits]
    every: Ints
    exact: Ints
    partial: Ints
    clicks: dict[int, float]
    proposed: Ints
    vector: Floats | None


def named_exactly(indexes: Indexes, query: str) -> bool:
    """Whether the query as a whole is the code of a product: then it is no typing error."""
    return bool(len(_coded(indexes, whole_code(query))) or len(_coded(indexes, joined_in(query))))


def retrieve(
    indexes: Indexes, view: ProductsView, request: SearchRequest, plan: QueryPlan, also: Ints | None = None
) -> Candidates:
    """Candidates of a plan with a text. also: rows that are among them in any case; then no list is cut."""
    most = MOST if also is None else max(MOST, view.n)
    named = _coded(indexes, whole_code(request.query))
    joined = _coded(indexes, joined_in(request.query))
    codes = codes_in(request.query)
    partly = _coded(indexes, codes)
    coded = _coded(indexes, [code for code in codes if not code.startswith("part:")])
    keys: list[Keys] = []
    scores: list[Floats] = []
    every: list[Keys] = []
    texts: list[WordHits] = []
    for text, weight in ((plan.text, 1.0), *((variant, _VARIANT) for variant in plan.variants)):
        terms = indexes.analyzer.forms(text)
        lists = [indexes.words.search(terms, most, every=True)]
        every.append(lists[0].keys)
        few = 0 < len(lists[0].keys) < max(request.k, _FEW)
        if len(terms) > 1 and not len(named) and (not plan.every or also is not None or few):
            some = max(4 * request.k, _FEW) if plan.every and also is None else most
            lists.append(indexes.words.search(terms, some))
        texts.append(indexes.words.field("text", terms, _TEXTED if also is None else most))
        keys += [hits.keys for hits in lists]
        scores += [hits.score * weight for hits in lists]
    if len(joined):
        every.append(joined)
    for codes_found in (partly, named, joined):
        keys.append(codes_found)
        scores.append(np.zeros(len(codes_found), np.float32))
    rows, words = _strongest(indexes.rows_of(np.concatenate(keys)), np.concatenate(scores), view.n)
    clicks = _clicks(indexes, view, request)
    proposed = [np.fromiter(clicks, np.int32, len(clicks))]
    vector = indexes.meaning.of(plan.spoken)
    if vector is not None and (len(rows) or not plan.every) and not len(named):
        allowed = view.allowed(request.filters, view.all()) if request.filters.narrow else None
        near, cosine = indexes.meaning.texts.near(vector, _NEAR, allowed)
        least = _NEAR_FROM if plan.every else max(_FAR_FROM, _FAR * float(cosine.max(initial=0)))
        proposed.append(near[(cosine >= least) & (near < view.n)])
    if also is not None:
        proposed.append(also)
    extra = np.concatenate(proposed)
    rows, words = _strongest(
        np.concatenate((rows, extra)), np.concatenate((words, np.zeros(len(extra), np.float32))), view.n
    )
    return Candidates(
        rows=rows,
        words=words,
        text=texts,
        every=indexes.rows_of(np.concatenate(every)),
        exact=indexes.rows_of(np.concatenate((coded, joined))),
        partial=indexes.rows_of(np.concatenate((partly, named))),
        clicks=clicks,
        proposed=proposed[-1],
        vector=vector,
    )


def _coded(indexes: Indexes, codes: Sequence[str]) -> Keys:
    """Products with one of these codes (codes.py)."""
    return indexes.words.any_of("sku", codes, MOST).keys if codes else _NO_KEYS


def _clicks(indexes: Indexes, view: ProductsView, request: SearchRequest) -> dict[int, float]:
    if not request.learned or not len(indexes.clicks):
        return {}
    evidence = indexes.clicks.of(normal(request.query))
    return {row: value for product, value in evidence.items() if (row := view.row(product)) is not None}


def _strongest(rows: Ints, values: Floats, n: int) -> tuple[Ints, Floats]:
    """Each row (of 0 … n-1) once, with the highest of its values."""
    there = (rows >= 0) & (rows < n)
    unique, at = np.unique(rows[there], return_inverse=True)
    highest = np.zeros(len(unique), np.float32)
    np.maximum.at(highest, at, values[there].astype(np.float32))
    return unique.astype(np.int32), highest
