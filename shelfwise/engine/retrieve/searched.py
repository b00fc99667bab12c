"""What the customer's last searches find now."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfwise.engine.context import Context
from shelfwise.engine.retrieve.history import EVENTS, searched
from shelfwise.engine.retrieve.source import NO_ROWS, Reason, Source
from shelfwise.models.sequences import Ints

_MOST = 30  # of each search


class Searched(Source):
    """No number of its own: what was sought speaks through the numbers of what was found."""

    name = "search"
    texts = {language: {"search": texts["search"]} for language, texts in EVENTS.items()}

    def retrieve(self, context: Context) -> Ints:
        rows = [search.rows[:_MOST] for search in context.searches]
        return context.visible(np.concatenate(rows)) if rows else NO_ROWS

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        return None if values.get("repurchase_count", 0) > 0 else searched(context, row)
