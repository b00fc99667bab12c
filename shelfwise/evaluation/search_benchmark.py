"""Search measured against graded judgments, beside BM25: `benchmark search` and `benchmark rerank`.

NDCG@10 has the gain 2^rating - 1 and the discount log2(rank + 1) (Burges et al. 2005). "Condensed": the judged products
alone, all of them, are ranked (Sakai 2007): fairer to an engine whose results were not in the pool that was judged.
Queries without any relevant product count nowhere.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import polars as pl
import Stemmer

from shelfwise.catalogue.filters import SearchFilters
from shelfwise.errors import UnreadableFile
from shelfwise.models.encoders import VectorCache
from shelfwise.schema import PRODUCT_COLUMNS
from shelfwise.search.request import SearchRequest
from shelfwise.search.retrieve.dense import ShopEncoders
from shelfwise.search.search import Search
from shelfwise.settings import Settings

DEPTH = 100
Judgments = dict[str, dict[str, float]]
#: Parts of a score that each stage does without.
STAGES = {
    "words": frozenset({"meaning", "alike", "learned", "sold"}),
    "fused": frozenset({"learned", "sold"}),
    "learned": frozenset[str](),
}


def search_benchmark(search: Search, frame: pl.DataFrame, judgments: Path) -> dict[str, Any]:
    """Rows of: engine; its stages words, meaning, fused, learned; bm25-title, bm25 (title and description).

    frame: the products searched (PRODUCT_COLUMNS). Raises UnreadableFile.
    """
    judged = read_judgments(judgments)
    ids = frame["id"].to_list()
    titles = frame["title"].to_list()
    texts = [f"{a} {b}" for a, b in zip(titles, frame["description"].to_list(), strict=True)]
    everything = SearchFilters(availability=None)

    def engine(query: str) -> list[str]:
        request = SearchRequest(query=query, k=DEPTH, filters=everything, group=False)
        return [hit.product for hit in search.search(request).items]

    def staged(without: frozenset[str]) -> Callable[[str], list[str]]:
        def answer(query: str) -> list[str]:
            request = SearchRequest(query=query, k=200, filters=everything, group=False, explain=True)
            scored = [
                (sum(value for name, value in hit.parts.items() if name not in without), hit.product)
                for hit in search.search(request).items
            ]
            return [product for _, product in sorted(scored, key=lambda pair: -pair[0])[:DEPTH]]

        return answer

    def ranked(without: frozenset[str]) -> Callable[[str, list[str]], Any]:
        return lambda query, products: search.rank(query, products, without=without)

    def cosines(query: str, products: list[str]) -> Any:
        vector = search.indexes.meaning.of(query)
        rows = np.array([search.indexes.products.view.rows[product] for product in products], np.int32)
        return np.zeros(len(rows)) if vector is None else search.indexes.meaning.texts.cosines(vector, rows)

    def meaning(query: str) -> list[str]:
        vector = search.indexes.meaning.of(query)
        if vector is None:
            return []
        return [
            search.indexes.products.view.ids[row]
            for row in search.indexes.meaning.texts.near(vector, DEPTH)[0].tolist()
        ]

    known = set(ids)
    judged = {query: {p: r for p, r in ratings.items() if p in known} for query, ratings in judged.items()}
    rows = [_measured("engine", engine, ranked(frozenset()), judged)]
    rows += [_measured(name, staged(without), ranked(without), judged) for name, without in STAGES.items()]
    rows.insert(2, _measured("meaning", meaning, cosines, judged))
    rows += [
        _measured(name, *_bm25(ids, documents), judged) for name, documents in (("bm25-title", titles), ("bm25", texts))
    ]
    return {"rows": rows, "queries": len(judged), "products": len(ids)}


def rerank(pairs: Path, work: Path) -> dict[str, Any]:
    """Rank each query's own products. pairs: CSV query,title,rating[,description]. work: an empty folder for vectors.

    Rows: engine, bm25 (title and description), by NDCG@10. Raises UnreadableFile.
    """
    table = _table(pairs, ("query", "title", "rating"))
    if "description" not in table.columns:
        table = table.with_columns(description=pl.lit(""))
    table = table.with_columns(pl.col("title", "description").fill_null(""))
    known: dict[tuple[str, str], int] = {}
    number = [known.setdefault(pair, len(known)) for pair in table.select("title", "description").iter_rows()]
    ids = [f"t{n}" for n in range(len(known))]
    columns = {"id": ids, "title": [t[:1_000] for t, _ in known], "description": [d[:20_000] for _, d in known]}
    columns |= {"availability": ["in_stock"] * len(ids), "attributes": ["{}"] * len(ids)}
    rest = {
        name: [None if kind != pl.String() else ""] * len(ids)
        for name, kind in PRODUCT_COLUMNS.items()
        if name not in columns
    }
    frame = pl.DataFrame(columns | rest, schema_overrides=PRODUCT_COLUMNS).select(list(PRODUCT_COLUMNS))
    settings = Settings(image_encoder="none")
    search = Search(_Given(frame), None, ShopEncoders(work, settings, VectorCache(work)))
    search.indexes.complete()
    grouped: dict[str, tuple[list[str], list[float]]] = {}
    for query, n, rating in zip(table["query"].to_list(), number, table["rating"].to_list(), strict=True):
        candidates = grouped.setdefault(query, ([], []))
        candidates[0].append(ids[n])
        candidates[1].append(rating)
    texts = [f"{a} {b}" for a, b in known]
    _, bm25 = _bm25(ids, texts)
    rows = []
    for name, scorer in (("engine", search.rank), ("bm25", bm25)):
        values = []
        for query, (products, ratings) in grouped.items():
            if max(ratings) > 0:
                order = np.argsort(-np.asarray(scorer(query, products)), kind="stable")
                values.append(ndcg([ratings[at] for at in order.tolist()], ratings))
        rows.append({"name": name, "ndcg@10": round(float(np.mean(values)), 4)})
    return {"rows": rows, "queries": len(grouped), "pairs": table.height}


def ndcg(ratings: Sequence[float], judged: Sequence[float], k: int = 10) -> float:
    """Of the ratings of a list, best first, beside the best list of all judged ratings."""
    ideal = _dcg(sorted(judged, reverse=True)[:k])
    return _dcg(ratings[:k]) / ideal if ideal else 0.0


def _dcg(ratings: Sequence[float]) -> float:
    return sum((2**rating - 1) / math.log2(place + 2) for place, rating in enumerate(ratings))


def read_judgments(path: Path) -> Judgments:
    """query → product → rating of a CSV query,product_id,rating. Raises UnreadableFile."""
    table = _table(path, ("query", "product_id", "rating"))
    judgments: Judgments = {}
    for query, product, rating in table.select("query", "product_id", "rating").iter_rows():
        judgments.setdefault(query, {})[product] = rating
    return judgments


def _table(path: Path, names: Sequence[str]) -> pl.DataFrame:
    try:
        table = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnreadableFile(path, f"is no CSV: {error}") from None
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise UnreadableFile(path, f"has no column {', '.join(missing)}; it needs {', '.join(names)}", line=1)
    rated = table.with_columns(pl.col("rating").cast(pl.Float64, strict=False))
    if rated["rating"].is_null().any():
        raise UnreadableFile(path, "has a rating that is no number", column="rating")
    return rated


def _measured(
    name: str, answer: Callable[[str], list[str]], scores: Callable[[str, list[str]], Any], judged: Judgments
) -> dict[str, Any]:
    """answer: the products for a query, best first. scores: how well given products answer it."""
    answer(next(iter(judged)))  # what is made at the first question is not the question's time
    values: list[tuple[float, float, float, float]] = []
    times = []
    for query, ratings in judged.items():
        before = time.perf_counter()
        ranking = answer(query)
        times.append(1_000 * (time.perf_counter() - before))
        relevant = {product for product, rating in ratings.items() if rating > 0}
        if relevant:
            order = np.argsort(-np.asarray(scores(query, list(ratings))), kind="stable")
            alone = [list(ratings.values())[at] for at in order.tolist()]
            values.append(_metrics(ranking, alone, ratings, relevant))
    means = np.mean(values, axis=0).round(4).tolist()
    named = dict(zip(("ndcg@10", "condensed_ndcg@10", "recall@100", "judged@10"), means, strict=True))
    p50, p99 = np.quantile(times, [0.5, 0.99]).round(2).tolist()
    return {"name": name, **named, "p50_ms": p50, "p99_ms": p99}


def _metrics(
    ranking: Sequence[str], alone: Sequence[float], ratings: Mapping[str, float], relevant: set[str]
) -> tuple[float, float, float, float]:
    judged = list(ratings.values())
    top = ranking[:10]
    return (
        ndcg([ratings.get(product, 0.0) for product in top], judged),
        ndcg(alone, judged),
        len(relevant.intersection(ranking[:DEPTH])) / len(relevant),
        sum(product in ratings for product in top) / len(top) if top else 0.0,
    )


def _bm25(
    ids: Sequence[str], texts: Sequence[str]
) -> tuple[Callable[[str], list[str]], Callable[[str, list[str]], Any]]:
    """bm25s over stemmed texts: the best products of a query, and the scores of given ones."""
    stemmer = Stemmer.Stemmer("english")
    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(texts), stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    place = {name: at for at, name in enumerate(ids)}

    def every(query: str) -> Any:
        tokens = bm25s.tokenize([query], stopwords="en", stemmer=stemmer, show_progress=False, return_ids=False)[0]
        return index.get_scores(tokens) if tokens else np.zeros(len(ids), np.float32)

    def answer(query: str) -> list[str]:
        scores = every(query)
        return [ids[row] for row in np.argsort(-scores, kind="stable")[:DEPTH].tolist() if scores[row] > 0]

    def scores(query: str, products: list[str]) -> Any:
        return every(query)[[place[product] for product in products]]

    return answer, scores


class _Given:
    """A record of products that do not change."""

    url = "given"

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def product_revision(self) -> int:
        return 1

    def products_frame(self) -> pl.DataFrame:
        return self._frame

    def product_changes(self, since: int) -> tuple[int, list[Any]]:
        return since, []
