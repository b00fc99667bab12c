"""Of several variants of one product only the best is shown."""

from __future__ import annotations

import numpy as np

from shelfwise.engine.arrange.ranked import Ranked
from shelfwise.engine.context import Context


def one_variant(context: Context, ranked: Ranked) -> Ranked:
    """At most `request.variants` products of a group (`item_group_id`); seeds' groups count as shown on their pages."""
    most, group = context.request.variants, context.view.variant
    if not most or not len(ranked.rows):
        return ranked
    groups = group[ranked.rows]
    if not (groups >= 0).any():
        return ranked
    shown: dict[int, int] = {}
    if context.question in ("product", "similar") and context.seeds:
        shown = {int(code): most for code in group[context.items[-context.seeds :]] if code >= 0}
    keep = np.ones(len(groups), np.bool_)
    for place, (code, row) in enumerate(zip(groups.tolist(), ranked.rows.tolist(), strict=True)):
        if code < 0 or row in ranked.ruled:
            continue
        shown[code] = shown.get(code, 0) + 1
        keep[place] = shown[code] <= most
    return Ranked(ranked.rows[keep], ranked.scores[keep], ranked.ruled)
