"""Stock in the order of an answer: what there is too much of goes up, what runs out before its delivery goes down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from shelfwise.engine.arrange.ranked import Ranked
from shelfwise.engine.catalogue import View
from shelfwise.engine.context import Context
from shelfwise.models.sequences import Floats

_DEEP = 5  # times k, within which places are changed


@dataclass(frozen=True, eq=False)
class Pressure:
    """of: product → -1 (sure to run out before a delivery) to 1 (dead stock); others count as 0. dial: 0 to 1, how
    many standard deviations of the scores a pressure of 1 is worth."""

    of: Mapping[str, float]
    dial: float
    _made: dict[str, tuple[View, Floats]] = field(default_factory=dict)

    def over(self, view: View) -> Floats | None:
        """dial · pressure of each row, float32 [n]; None where it changes nothing."""
        if not self.of or self.dial <= 0:
            return None
        kept = self._made.get("view")
        if kept is None or kept[0] is not view:
            values = np.zeros(view.n, np.float32)
            for product, pressure in self.of.items():
                if (row := view.row(product)) is not None:
                    values[row] = self.dial * min(max(pressure, -1.0), 1.0)
            kept = self._made["view"] = (view, values)  # one assignment: readers take no lock
        return kept[1]


def by_stock(context: Context, ranked: Ranked) -> Ranked:
    """Of the best 5 k, scores plus dial · pressure · their standard deviation, sorted anew."""
    pressure = context.pressure
    m = min(_DEEP * context.request.k, len(ranked.rows))
    if pressure is None or m < 2:
        return ranked
    scores = ranked.scores[:m]
    pushed = scores + float(scores.std()) * pressure[ranked.rows[:m]]
    order = np.argsort(-pushed, kind="stable")
    # Scores never rise, so that sorting by them keeps the order.
    top = np.minimum.accumulate(scores[order])
    return Ranked(
        np.concatenate((ranked.rows[order], ranked.rows[m:])),
        np.concatenate((top, np.minimum(ranked.scores[m:], top[-1]))),
        ranked.ruled,
    )
