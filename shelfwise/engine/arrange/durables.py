"""What the asker has and will not need again yet is not offered on the home page."""

from __future__ import annotations

import numpy as np

from shelfwise.engine.arrange.ranked import Ranked
from shelfwise.engine.context import Context


def durables_wait(context: Context, ranked: Ranked) -> Ranked:
    """The very product is left out; others of its category come last. What a merchant's rule placed stays."""
    products, categories = context.held
    if not len(ranked.rows) or not (len(products) or len(categories)):
        return ranked
    ruled = np.isin(ranked.rows, list(ranked.ruled)) if ranked.ruled else np.zeros(len(ranked.rows), np.bool_)
    keep = ruled | ~np.isin(ranked.rows, products)
    rows, scores, ruled = ranked.rows[keep], ranked.scores[keep], ruled[keep]
    last = np.isin(context.view.category[rows], categories) & ~ruled
    order = np.argsort(last, kind="stable")
    # Scores never rise, so that pages are cut by them: what comes last takes the lowest there is.
    return Ranked(rows[order], np.minimum.accumulate(scores[order]), ranked.ruled)
