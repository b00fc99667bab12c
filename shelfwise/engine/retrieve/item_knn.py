"""What goes with the newest events, by directed co-occurrence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfwise.engine.context import Context
from shelfwise.engine.kernels import add_neighbours, weights_to
from shelfwise.engine.retrieve.history import EVENTS, named
from shelfwise.engine.retrieve.source import NO_ROWS, Candidates, Reason, Source, shared, top
from shelfwise.models.bundle import Bundle
from shelfwise.models.cooccurrence import READ
from shelfwise.models.sequences import Floats, Ints, moments_back

_MOST = 40
_SIMILAR = 60  # where the question is one product


class ItemKnn(Source):
    """The sum of the newest events' neighbours (`models/cooccurrence.py`), each step back counting less."""

    name = "item_knn"
    artefact = "cooccurrence"
    features = ("item_knn", "item_knn_share")  # the sum; that over the best candidate's
    texts = EVENTS

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self._fades = (bundle.cooccurrence.decay ** np.arange(READ)).astype(np.float32)

    def retrieve(self, context: Context) -> Ints:
        rows, scores = self._sums(context)
        if not len(rows):
            return NO_ROWS
        if len(context.hidden):
            shown = ~context.scratch.hidden[rows]
            rows, scores = rows[shown], scores[shown]
        return rows[top(scores, _SIMILAR if context.question == "similar" else _MOST)]

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        rows, scores = self._sums(context)
        if not len(rows):
            return
        total = context.scratch.total
        total[rows] = scores
        found = total[candidates.known]
        total[rows] = 0
        shared(columns, found)
        if candidates.likeness is not None:
            columns[:2] *= candidates.likeness

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        """The event whose neighbour this is most."""
        if not values["item_knn"] > 0:
            return None
        items, weights = self._asked(context)
        graph = self.bundle.cooccurrence
        parts = weights_to(graph.indptr, graph.ids, graph.weights, items, weights, int(context.view.proxy[row]))
        parts[context.items[-READ:] == row] = 0
        newest = len(parts) - 1 - int(parts[::-1].argmax())
        return named(context, len(context.items) - len(parts) + newest) if parts[newest] > 0 else None

    def _asked(self, context: Context) -> tuple[Ints, Floats]:
        """The newest events' rows, and how much each counts."""
        weights = self._fades[moments_back(context.times[-READ:])]
        if context.likeness is not None:
            weights = weights * context.likeness[-READ:]
        return context.known[-READ:], weights

    def _sums(self, context: Context) -> tuple[Ints, Floats]:
        """Distinct neighbours int32 [m] and their sums float32 [m]."""

        def found() -> tuple[Ints, Floats]:
            if not context.view.known or not len(context.items):
                return NO_ROWS, np.empty(0, np.float32)
            graph = self.bundle.cooccurrence
            return add_neighbours(graph.indptr, graph.ids, graph.weights, *self._asked(context), context.scratch.total)

        return context.once(ItemKnn, found)
