"""Products that came after learning."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfwise.engine.context import Context
from shelfwise.engine.retrieve.collaborative import customer_vector
from shelfwise.engine.retrieve.source import NO_ROWS, Candidates, Reason, Source, top
from shelfwise.models.sequences import Floats, Ints

_MOST = 32


class New(Source):
    """All late products where they are few, else those nearest to the customer and to the newest event."""

    name = "new"
    features = ("new",)  # 1 for a product that came after learning
    texts = {
        "en": {"new_in": "New in {category}", "new": "New in our shop"},
        "zh": {"new_in": "“{category}”新品", "new": "本店新品"},
    }

    def retrieve(self, context: Context) -> Ints:
        view = context.view
        late = np.arange(view.known, view.n, dtype=np.int32)
        if not len(late):
            return NO_ROWS
        if len(late) <= _MOST:
            return context.visible(late)
        scores = np.zeros(len(late), np.float32)
        vector, _ = customer_vector(context)
        if vector is not None and view.vectors is not None:
            scores += view.vectors[view.known : view.n] @ vector
        if len(context.recent) and view.content is not None:
            near = view.content[view.known : view.n] @ view.content[context.recent[0]]
            return context.visible(np.concatenate((late[top(scores, _MOST // 2)], late[top(near, _MOST // 2)])))
        return context.visible(late[top(scores, _MOST)])

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        columns[0] = candidates.rows >= context.view.known

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        category = context.view.top_category(row)
        return Reason("new_in", values={"category": category}) if category else Reason("new")
