"""What goes with the newest events, by directed co-occurrence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfwise.engine.context import Context
from shelfwise.engine.kernels import add_neighbours, weights_to
from shelfwise.engine.retrieve.history import EVENTS, named
from shelfwise.engine.retrieve.source import NO_ROWS, Candidates, Reason, Source, best_shown, shared
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
        rows, scores = (np.concatenate(both) for both in zip(self._sums(context), self._late(context), strict=True))
        return best_shown(context, rows, scores, _SIMILAR if context.question == "similar" else _MOST)

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        sums = context.scratch.sums_at(self._sums(context), candidates.known)
        if candidates.likeness is not None:
            sums *= candidates.likeness
        late = self._late(context)
        if len(late[0]):
            sums += context.scratch.sums_at(late, candidates.rows)
        if not sums.any():
            return
        shared(columns, sums)
        if context.question == "similar" and candidates.likeness is not None:
            # What stands in for the very product asked is as near as it is alike.
            itself = candidates.known == context.known[-1]
            columns[1] = np.where(itself, np.maximum(columns[1], candidates.likeness), columns[1])

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        """The event whose neighbour this is most."""
        if not values["item_knn"] > 0:
            return None
        items, weights = self._weighted(context)
        graph = self.bundle.cooccurrence
        parts = weights_to(graph.indptr, graph.ids, graph.weights, items, weights, int(context.view.proxy[row]))
        parts += context.crowd.weights_to(row, context.items[-READ:], weights)
        parts[context.items[-READ:] == row] = 0
        newest = len(parts) - 1 - int(parts[::-1].argmax())
        return named(context, len(context.items) - len(parts) + newest) if parts[newest] > 0 else None

    def _weighted(self, context: Context) -> tuple[Ints, Floats]:
        """The newest events' rows, and how much each counts."""
        weights = self._fades[moments_back(context.times[-READ:])]
        if context.likeness is not None:
            weights = weights * context.likeness[-READ:]
        return context.known[-READ:], weights

    def _sums(self, context: Context) -> tuple[Ints, Floats]:
        """Distinct neighbours int32 [m] and their sums float32 [m]."""

        def computed() -> tuple[Ints, Floats]:
            if not context.view.known or not len(context.items):
                return NO_ROWS, np.empty(0, np.float32)
            graph = self.bundle.cooccurrence
            return add_neighbours(
                graph.indptr, graph.ids, graph.weights, *self._weighted(context), context.scratch.total
            )

        return context.once(ItemKnn, computed)

    def _late(self, context: Context) -> tuple[Ints, Floats]:
        """The same of what followed these events since the bundle was learned."""

        def computed() -> tuple[Ints, Floats]:
            fades = self._fades[moments_back(context.times[-READ:])]
            return context.crowd.following(context.items[-READ:], fades, context.scratch.total)

        return context.once((ItemKnn, "late"), computed)
