"""What was rated low: by everybody, and by who asks, with what is like it. It proposes nothing and is no reason."""

from __future__ import annotations

import numpy as np

from shelfwise.engine.context import Context
from shelfwise.engine.kernels import add_neighbours
from shelfwise.engine.retrieve.source import Candidates, Source
from shelfwise.models.ratings import Ratings
from shelfwise.models.sequences import Floats

_MOST = 50  # newest dislikes that are read


class Rated(Source):
    """Shares of low ratings (`models/ratings.py`), and nearness to what the asker dislikes."""

    name = "rated"
    artefact = "ratings"
    features = (
        "rated_low",  # share of low ratings, less the usual one
        "disliked_with",  # Σ co-occurrence with what the asker dislikes
        "disliked_like",  # highest content cosine with one of these
        "disliked_category",  # share of these in the category
    )

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        ratings: Ratings = self.bundle.artefacts["ratings"]
        columns[0] = ratings.low[candidates.known]
        if candidates.likeness is not None:
            columns[0] *= candidates.likeness
        disliked = context.disliked[-_MOST:]
        if not len(disliked):
            return
        view, graph = context.view, self.bundle.cooccurrence
        scratch, ones = context.scratch, np.ones(len(disliked), np.float32)
        sums = add_neighbours(graph.indptr, graph.ids, graph.weights, view.proxy[disliked], ones, scratch.total)
        columns[1] = scratch.sums_at(sums, candidates.known)
        if view.content is not None:
            columns[2] = (scratch.gather(view.content, candidates.rows) @ view.content[disliked].T).max(axis=1)
        category = view.kinds.of[0]
        same = category[candidates.rows][:, None] == category[disliked]
        columns[3] = same.mean(axis=1)
