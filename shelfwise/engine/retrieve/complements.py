"""What goes with the product shown, with a cart, or with the first looks of a visit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfwise.engine.context import Context
from shelfwise.engine.kernels import weights_to
from shelfwise.engine.retrieve.history import EVENTS, named
from shelfwise.engine.retrieve.source import NO_ROWS, Candidates, Reason, Source, best_shown
from shelfwise.models.complements import Complements
from shelfwise.models.sequences import Floats, Ints

_MOST = 120
_BELIEVED = 5.0  # pairs since the bundle was learned that count half of all that tells its best from its worst
_VISIT = 3  # newest products of a visit that ask


class ComplementsSource(Source):
    """Lift, backed off from the pair to products alike and to categories (`models/complements.py`); never what
    everybody buys, which would stand on every page."""

    name = "complements"
    artefact = "complements"
    features = (
        "complements",  # the score of its head
        "complements_below_best",  # that minus the best candidate's, of products it does not propose that of its worst
        "complements_rank",  # 1 / rank among its proposals, 0 for others
    )
    texts = EVENTS

    def retrieve(self, context: Context) -> Ints:
        proposed = best_shown(context, *self._proposed(context), _MOST)
        return np.concatenate((context.visible(self._late(context)[0]), proposed))

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        rows, scores = self._proposed(context)
        late, sums = self._late(context)
        if not len(rows) and not len(late):
            return
        if not len(rows):
            rows, scores = late[:1], np.zeros(1, np.float32)
        place = np.minimum(np.searchsorted(rows, candidates.known), len(rows) - 1)
        there = rows[place] == candidates.known
        worst = scores.min()
        above = np.where(there, scores[place] - worst, 0)
        columns[0] = worst + (above if candidates.likeness is None else above * candidates.likeness)
        if len(late):
            since = context.scratch.sums_at((late, sums), candidates.rows)
            span = max(float(scores.max()) - float(worst), 1.0)
            columns[0] += span * since / (since + _BELIEVED)
            there = there | (since > 0)
        columns[1] = columns[0] - columns[0].max()
        order = np.argsort(-columns[0], kind="stable")
        columns[2, order] = 1 / np.arange(1, len(order) + 1)
        columns[2, ~there] = 0

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        """The newest product that asks and was bought together with this one most; else the newest that asks."""
        if not values["complements_rank"] > 0:
            return None
        asking = self._asking(context)
        evidence, row = self.bundle.artefacts["complements"].evidence, int(context.view.proxy[row])
        items, ones = context.known[-asking:], np.ones(asking, np.float32)
        together = weights_to(evidence.indptr, evidence.ids, evidence.share, items, ones, row)
        newest = asking - 1 - int(together[::-1].argmax())
        return named(context, len(context.items) - asking + newest)

    def _late(self, context: Context) -> tuple[Ints, Floats]:
        """What followed what asks since the bundle was learned: rows int32 [m], and how often float32 [m]."""

        def made() -> tuple[Ints, Floats]:
            items = context.items[len(context.items) - self._asking(context) :]
            return context.crowd.following(items, np.ones(len(items), np.float32), context.scratch.total)

        return context.once((ComplementsSource, "late"), made)

    def _asking(self, context: Context) -> int:
        """How many of the newest events ask."""
        if context.question in ("product", "cart"):
            return context.seeds
        return min(_VISIT, len(context.items)) if context.question == "visit" else 0

    def _proposed(self, context: Context) -> tuple[Ints, Floats]:
        """What goes with what asks: rows int32 [m], ascending, and their scores float32 [m]."""

        def made() -> tuple[Ints, Floats]:
            asking = self._asking(context)
            if not asking or not context.view.known:
                return NO_ROWS, np.empty(0, np.float32)
            model: Complements = self.bundle.artefacts["complements"]
            seeds = context.known[-asking:]
            if context.likeness is not None:
                seeds = seeds[context.likeness[-asking:] > 0]
            if not len(seeds):
                return NO_ROWS, np.empty(0, np.float32)
            proposed = model.propose(np.unique(seeds), allowed=model.telling)
            order = np.argsort(proposed.ids, kind="stable")
            return proposed.ids[order], model.score(proposed)[order]

        return context.once(ComplementsSource, made)
