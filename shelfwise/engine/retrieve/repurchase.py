"""What the customer buys time and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shelfwise.engine.context import HELD, Context
from shelfwise.engine.retrieve.source import NO_ROWS, Candidates, Reason, Source, top
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import Floats, Ints

_MOST = 100


class RepurchaseSource(Source):
    """Personal frequency, recency and rhythm (`models/repurchase.py`)."""

    name = "repurchase"
    artefact = "repurchase"
    features = ("repurchase", *(f"repurchase_{name}" for name in Repurchase.FEATURES))
    texts = {
        "en": {
            "every": "You buy this about every {days} days",
            "daily": "You buy this almost every day",
            "often": "You buy this often",
            "before": "You bought this before",
        },
        "zh": {
            "every": "您大约每 {days} 天购买一次",
            "daily": "您几乎每天都会购买",
            "often": "您经常购买",
            "before": "您以前购买过",
        },
    }

    def prepare(self, contexts: Sequence[Context]) -> None:
        for context in contexts:
            if context.request.surface == "home" and context.bought.any():
                items, times = context.items[context.bought], context.times[context.bought]
                categories = context.view.category[items]
                context.keep(HELD, self.bundle.repurchase.held(items, times, context.now, categories))

    def retrieve(self, context: Context) -> Ints:
        rows, scores, _ = self._bought(context)
        return context.visible(rows[top(scores, _MOST)])

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        rows, scores, features = self._bought(context)
        if not len(rows):
            return
        place = np.minimum(np.searchsorted(rows, candidates.rows), len(rows) - 1)
        there = np.flatnonzero(rows[place] == candidates.rows)
        columns[0, there] = scores[place[there]]
        columns[1:, there] = features[place[there]].T

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        count = _whole(values["repurchase_count"])
        if count >= 3:
            days = _whole(values["repurchase_mean_gap"])
            text = "before" if days > 60 else "every" if days >= 2 else "daily" if days == 1 else "often"
            return Reason(text, row=row, values={"days": days})
        return Reason("before", row=row) if count else None

    def _bought(self, context: Context) -> tuple[Ints, Floats, Floats]:
        """What was bought and may be shown: (rows [m] ascending, scores [m], Repurchase.FEATURES [m, f])."""

        def made() -> tuple[Ints, Floats, Floats]:
            if context.request.exclude_purchased or context.question == "similar" or not context.bought.any():
                return NO_ROWS, np.empty(0, np.float32), np.empty((0, len(Repurchase.FEATURES)), np.float32)
            items, times = context.items[context.bought], context.times[context.bought]
            return self.bundle.repurchase.score_history(items, times, context.now)

        return context.once(RepurchaseSource, made)


def _whole(logarithm: float) -> int:
    """The whole number behind a feature log(1 + number)."""
    return round(float(np.expm1(np.float32(logarithm))))
