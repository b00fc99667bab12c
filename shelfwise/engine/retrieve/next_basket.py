"""What comes in the next basket after the newest one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfwise.engine.context import Context
from shelfwise.engine.kernels import add_neighbours, weights_to
from shelfwise.engine.retrieve.history import EVENTS, named
from shelfwise.engine.retrieve.source import NO_ROWS, Candidates, Reason, Source, best_shown
from shelfwise.models.baskets import GAP
from shelfwise.models.sequences import Floats, Ints, Longs
from shelfwise.models.transitions import Transitions

_MOST = 40
_ASKED = 64  # newest products of a basket


class NextBasket(Source):
    """The rows of the newest basket's products (`models/transitions.py`)."""

    name = "next_basket"
    artefact = "transitions"
    features = ("next_basket", "next_basket_lift")  # the sum; log of it over what is usual
    texts = EVENTS

    def retrieve(self, context: Context) -> Ints:
        return best_shown(context, *self._sums(context), _MOST)

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        following = self._sums(context)
        if not len(following[0]):
            return
        sums = context.scratch.sums_at(following, candidates.known)
        if candidates.likeness is not None:
            sums *= candidates.likeness
        columns[0] = sums
        model: Transitions = self.bundle.artefacts["transitions"]
        columns[1] = model.lift(sums, len(self._newest(context)), candidates.known)

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        """The product of the newest basket after which this comes most."""
        if not values["next_basket"] > 0:
            return None
        newest = self._newest(context)
        model: Transitions = self.bundle.artefacts["transitions"]
        ones = np.ones(len(newest), np.float32)
        items = context.known[newest]
        parts = weights_to(model.indptr, model.ids, model.weights, items, ones, int(context.view.proxy[row]))
        return named(context, int(newest[parts.argmax()])) if parts.max() > 0 else None

    def _newest(self, context: Context) -> Longs:
        """Places of the newest basket's products in the history."""

        def made() -> Longs:
            bought = np.flatnonzero(context.bought)
            if not len(bought):
                return bought
            newest: Longs = bought[context.times[bought] > context.times[bought[-1]] - GAP][-_ASKED:]
            return newest

        return context.once((NextBasket, "newest"), made)

    def _sums(self, context: Context) -> tuple[Ints, Floats]:
        """Distinct products int32 [m] and the sums of their weights float32 [m]."""

        def made() -> tuple[Ints, Floats]:
            newest = self._newest(context)
            if not context.view.known or not len(newest) or context.question == "similar":
                return NO_ROWS, np.empty(0, np.float32)
            model: Transitions = self.bundle.artefacts["transitions"]
            weights = np.ones(len(newest), np.float32) if context.likeness is None else context.likeness[newest]
            return add_neighbours(
                model.indptr, model.ids, model.weights, context.known[newest], weights, context.scratch.total
            )

        return context.once(NextBasket, made)
