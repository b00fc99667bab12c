"""What the whole history calls for, by one linear item-item model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfwise.engine.context import Context
from shelfwise.engine.retrieve.history import EVENTS, named
from shelfwise.engine.retrieve.source import NO_ROWS, Candidates, Reason, Source, shared, top
from shelfwise.models.ease import Ease
from shelfwise.models.sequences import DAY, Floats, Ints

_MOST, _MOST_NEW = 40, 150  # the second where nothing is proposed that was bought: what is new lies further down


class EaseSource(Source):
    """EASE with decay (`models/ease.py`) over the most bought products."""

    name = "ease"
    artefact = "ease"
    features = ("ease", "ease_share")  # the score; that over the best candidate's
    texts = EVENTS

    def retrieve(self, context: Context) -> Ints:
        scores = self._scores(context)
        ease = self.bundle.ease
        if scores is None or ease is None or context.question == "similar":
            return NO_ROWS
        rows = ease.known
        keep = ~context.scratch.hidden[rows]
        if not context.request.exclude_purchased:  # what was bought has a source of its own
            place = ease.place(context.known[context.bought])
            keep[place[place >= 0]] = False
        rows, scores = rows[keep], scores[keep]
        return rows[top(scores, _MOST_NEW if context.request.exclude_purchased else _MOST)]

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        scores, ease = self._scores(context), self.bundle.ease
        if scores is None or ease is None:
            return
        place = ease.place(candidates.known)
        shared(columns, np.where(place >= 0, scores[place], 0))
        if candidates.likeness is not None:
            columns[:2] *= candidates.likeness

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        """The event that adds most to the score."""
        ease = self.bundle.ease
        if ease is None or not values["ease"] > 0:
            return None
        (column,) = ease.place(context.view.proxy[row : row + 1]).tolist()
        if column < 0:
            return None
        held, fade = context.once((EaseSource, "fade"), lambda: _faded(ease, context))
        weights = ease.weights[held, column] * fade
        weights[context.items == row] = 0
        newest = len(weights) - 1 - int(weights[::-1].argmax())
        return named(context, newest) if weights[newest] > 0 else None

    def _scores(self, context: Context) -> Floats | None:
        """The score of each of `Ease.known`; None where it knows nothing of the history."""

        def made() -> Floats | None:
            ease = self.bundle.ease
            own = context.items < context.view.known
            if ease is None or not len(ease.known) or not own.any():
                return None
            return ease.of(context.items[own], context.times[own], context.now)[1]

        return context.once(EaseSource, made)


def _faded(ease: Ease, context: Context) -> tuple[Ints, Floats]:
    """Of each event the place of its product, and how much it counts now: nothing where EASE does not know it."""
    held = ease.place(context.known)
    fade = np.exp2(np.minimum(context.times - context.now, 0) / (ease.half_life * DAY))
    return held, np.where(held >= 0, fade, 0).astype(np.float32)
