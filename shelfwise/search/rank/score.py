"""One score of a product for a query: a weighted sum of what speaks for it, each from 0 to 1.

The weights of what a text says were fitted to graded judgments of an electronics shop by benchmarks/search_weights.py
(held-out queries: docs/log.md); the others stand beside them by hand. No weight belongs to one query or one shop.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfwise.models.sequences import Floats, Longs

#: Feature → weight.
WEIGHTS: dict[str, float] = {
    "exact": 4.5,  # its SKU, GTIN or model number was asked for
    "whole": 1.8,  # its title is the query
    "phrase": 0.4,  # its title has the query's words one after another
    "head": 0.3,  # its title has the word that names what is sought
    "every": 1.5,  # it has every word
    "words": 0.6,  # BM25 of all fields, in parts of the best
    "text": 1.6,  # BM25 of title and description as one text, in parts of the best
    "qualifies": -0.55,  # the last word of the query is followed by what the product is: "keyboard" in "keyboard cover"
    "meaning": 2.0,  # cosine of the query's and the product's texts
    "alike": 1.8,  # cosine of its text and the ten best by all of the above
    "wish": 0.1,  # a brand, colour, category that the query was read to wish
    "learned": 0.9,  # what earlier searchers of this query turned to
    "personal": 0.4,  # to this shopper's liking
    "sold": 0.08,  # how often it was bought, logarithmic, in parts of the best
}
FEATURES: tuple[str, ...] = tuple(WEIGHTS)


def parts_of(features: Mapping[str, Floats]) -> dict[str, Floats]:
    """What each feature (float32 [c]) adds to the score."""
    return {name: (WEIGHTS[name] * values).astype(np.float32) for name, values in features.items()}


def score(parts: Mapping[str, Floats], n: int) -> Floats:
    """float32 [n]: the sum of the parts."""
    total = np.zeros(n, np.float32)
    for values in parts.values():
        total += values
    return total


def share(values: Floats) -> Floats:
    """In parts of the highest; zeros stay."""
    most = float(values.max(initial=0))
    return values / most if most > 0 else np.zeros_like(values)


def spread(features: Mapping[str, Floats], at: Longs, n: int) -> dict[str, Floats]:
    """Features known for some of n products: 0 for the others, and nowhere below."""
    spread = {}
    for name, values in features.items():
        spread[name] = np.zeros(n, np.float32)
        spread[name][at] = np.clip(values, 0, 1)
    return spread
