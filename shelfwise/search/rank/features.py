"""The features of candidates, float32 [c] each, 0 to 1: what speaks for each as the answer to a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from shelfwise.catalogue.columns import Mask
from shelfwise.catalogue.products import ProductsView
from shelfwise.models.sequences import Floats, Ints
from shelfwise.search.filters import fits
from shelfwise.search.indexes import Indexes
from shelfwise.search.plan import QueryPlan
from shelfwise.search.query.text import normal
from shelfwise.search.rank.personal import Taste, liking
from shelfwise.search.rank.score import parts_of, score, share, spread
from shelfwise.search.request import SearchRequest
from shelfwise.search.retrieve.candidates import Candidates
from shelfwise.search.retrieve.lexical import WordHits

_RANKED = 500  # of the candidates, the best by words, whose titles and meaning are compared
_BEST = 10  # products the others are likened to
_FIELDS = ("text", "brand", "category", "attributes")  # fields that together hold every word of a product
_PART = 0.8  # of an exact code: what is found by a part of its model number


def features_of(
    indexes: Indexes,
    view: ProductsView,
    request: SearchRequest,
    plan: QueryPlan,
    candidates: Candidates,
    taste: Taste | None,
) -> dict[str, Floats]:
    """Every feature of candidates (names of score.WEIGHTS)."""
    rows, words, vector = candidates.rows, candidates.words, candidates.vector
    known = _known(indexes, view, plan)
    features = {
        "exact": np.maximum(_among(rows, candidates.exact), _PART * _among(rows, candidates.partial)),
        "every": _among(rows, candidates.every),
        "words": known * share(words),
        "text": known * _text(indexes, view, rows, candidates.text),
    }
    ahead = np.arange(len(rows))  # in whose order the page is decided
    if len(rows) > _RANKED:
        first = np.argpartition(-words, _RANKED)[:_RANKED]
        ahead = np.union1d(first, np.flatnonzero((words == 0) | _among(rows, candidates.proposed)))
    features |= spread(_titles(indexes, view, rows[ahead], plan), ahead, len(rows))
    if vector is not None:
        texts = indexes.meaning.texts
        features |= spread({"meaning": texts.cosines(vector, rows[ahead])}, ahead, len(rows))
        so_far = score(parts_of({n: f[ahead].astype(np.float32) for n, f in features.items()}), len(ahead))
        best = ahead[np.argsort(-so_far, kind="stable")[:_BEST]]
        mean = texts.mean(rows[best])
        if mean is not None:
            features |= spread({"alike": known * texts.cosines(mean, rows[ahead])}, ahead, len(rows))
    features |= of_asker(indexes, view, request, plan, rows, taste)
    if candidates.clicks:
        clicks = candidates.clicks
        features["learned"] = np.fromiter((clicks.get(row, 0.0) for row in rows.tolist()), np.float32, len(rows))
    return {name: values.astype(np.float32) for name, values in features.items()}


def of_asker(
    indexes: Indexes,
    view: ProductsView,
    request: SearchRequest,
    plan: QueryPlan,
    rows: Ints,
    taste: Taste | None,
) -> dict[str, Floats]:
    """Features that no word of the text makes: intents read from it, who asks, what sells."""
    wish = np.zeros(len(rows), np.float32)
    for intent in plan.boosts:
        wish += fits(view, intent, rows)
    features = {"wish": wish, "sold": share(np.log1p(indexes.sold.of(rows)))}
    if taste is not None and request.personal:
        features["personal"] = liking(taste, view, indexes.meaning.texts, rows)
    return features


def _among(rows: Ints, some: Ints) -> Mask:
    """Which of these rows are among some, -1 left out: bool [m]. By a table: sorting takes ten times as long."""
    mask: Mask = np.isin(rows, some, kind="table") if len(some) else np.zeros(len(rows), np.bool_)
    return mask


def _known(indexes: Indexes, view: ProductsView, plan: QueryPlan) -> float:
    """How much of the query products have words for, from 0 to 1; rare words weigh more (by their idf in BM25).
    Of "green tea" in a Chinese shop that reads colours in English, the tea is what is wanted."""
    n = max(1, len(view.ids))
    met, total = 0.0, 0.0
    for forms in indexes.analyzer.forms(plan.text):
        held = max(indexes.words.frequency(form, _FIELDS) for form in forms)
        weight = math.log(1 + (n - min(held, n) + 0.5) / (held + 0.5))
        met += weight if held else 0.0
        total += weight
    return met / total if total else 1.0


def _text(indexes: Indexes, view: ProductsView, rows: Ints, texts: Sequence[WordHits]) -> Floats:
    """BM25 of title and description as one text, in parts of the best."""
    table = np.zeros(view.n + 1, np.float32)
    for hits in texts:
        at = indexes.rows_of(hits.keys)
        at = np.where(at < view.n, at, -1)
        table[at] = np.maximum(table[at], hits.score)
    table[-1] = 0  # products of no row
    return share(table[rows])


def _titles(indexes: Indexes, view: ProductsView, rows: Ints, plan: QueryPlan) -> dict[str, Floats]:
    """Whose title is the query, or has its words one after another, or means another thing by its last word."""
    text = plan.text
    terms = indexes.analyzer.terms(text)
    phrase, head, qualifies = indexes.titles.match(rows, terms[:20], indexes.analyzer.forms(text))
    whole = np.zeros(len(rows), np.float32)
    for at in (np.flatnonzero(phrase) if len(terms) > 1 else np.arange(len(rows))).tolist():
        title = view.titles[rows[at]]
        if len(title) <= len(text) + 20 and normal(title) == text:
            whole[at] = 1
    return {"whole": whole, "phrase": phrase, "head": head, "qualifies": qualifies}
