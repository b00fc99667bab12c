"""Rank: features → score, by question."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from shelfwise.engine.features import names
from shelfwise.engine.retrieve.sources import SOURCES
from shelfwise.models.ranker import Linear, Ranker
from shelfwise.models.sequences import Floats, Ints

FEATURES: tuple[str, ...] = names()
COLUMN = {name: place for place, name in enumerate(FEATURES)}
#: Each source's own score, by which alone candidates may be ordered.
SCORES: tuple[str, ...] = tuple(source.features[0] for source in SOURCES if source.features)


def _linear(**weights: float) -> Linear:
    row = np.zeros(len(FEATURES), np.float32)
    for name, weight in weights.items():
        row[COLUMN[name]] = weight
    return Linear(row)


#: Until a ranker is learned: shares of each source, weighed by judgement.
PRIOR = _linear(
    complements_rank=1.0,
    collaborative_rank=0.5,
    item_knn_share=1.0,
    ease_share=0.5,
    content=0.3,
    popular=0.1,
    category_share=0.2,
    viewed=0.2,
    repurchase=2.0,
)
#: What goes with a product, a cart or a first look, who asks being unknown: what was bought together decides, and a
#: ranker over all sources learned the weeks it was fitted on by heart (docs/log.md, 2026-11-29).
GOES_WITH = _linear(complements=1.0).plus(PRIOR, 1e-3)
#: What makes two products similar: of what kind they are, and of a kind what is bought (chosen on two cutoffs'
#: substitutes and `benchmarks/similar.py`; docs/log.md, 2026-12-01). What goes together is another question.
SIMILAR = _linear(content_newest=0.8, item_knn_share=0.1, collaborative_newest=0.1, popular=0.03)
#: Who is unknown gets what is popular: everybody a ranker learns from has a history.
UNKNOWN = _linear(popular=1.0)


def rank(ranker: Ranker | None, question: str, features: Floats) -> Floats:
    """float32 [c] for features float32 [c, len(FEATURES)]; higher is better."""
    if question == "similar":
        return SIMILAR.score(features)
    if not features[:1, COLUMN["history"]].any():
        return UNKNOWN.score(features)
    if ranker is None:
        return PRIOR.score(features)
    columns = _read(ranker.features)
    return ranker.score(features if columns is None else features[:, columns], question)


@lru_cache(maxsize=8)
def _read(names: tuple[str, ...]) -> Ints | None:
    """Columns of the features that a ranker of an earlier version reads; None for all, as they are."""
    return None if names == FEATURES else np.array([COLUMN[name] for name in names], np.int32)


def best(scores: Floats, rows: Ints, k: int) -> Ints:
    """Positions of the k highest scores, best first; ties go to the smaller row. int32 [min(k, c)]."""
    if k < len(scores):
        kth = np.partition(scores, len(scores) - k)[len(scores) - k]
        chosen = np.flatnonzero(scores >= kth)
    else:
        chosen = np.arange(len(scores))
    order = np.lexsort((rows[chosen], -scores[chosen]))[:k]
    return chosen[order].astype(np.int32)
