"""What the customer looked at lately and has not bought since."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfwise.engine.context import Context
from shelfwise.engine.retrieve.source import NO_ROWS, Candidates, Reason, Source
from shelfwise.engine.state import SEARCH
from shelfwise.models.sequences import Floats, Ints

_MOST = 30


class Viewed(Source):
    """The newest events that were no purchase."""

    name = "viewed"
    features = ("viewed",)  # 1 / steps back to the newest event that was no purchase
    texts = {"en": {"viewed": "You looked at this lately"}, "zh": {"viewed": "您最近看过"}}

    def retrieve(self, context: Context) -> Ints:
        if context.question == "similar":
            return NO_ROWS
        return context.visible(context.items[~context.bought & (context.kinds != SEARCH)][-_MOST:])

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        looked = context.items[~context.bought][-_MOST:]
        for steps, item in enumerate(reversed(looked.tolist())):  # the newest look at a product is the one that stays
            columns[0][(candidates.rows == item) & (columns[0] == 0)] = np.float32(1 / (steps + 1))

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        return Reason("viewed", row=row) if values["viewed"] > 0 else None
