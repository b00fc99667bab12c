"""Of several variants of one product only the best is shown."""

from __future__ import annotations

import numpy as np

from shelfwise.catalogue.variants import first_of_group
from shelfwise.engine.arrange.ranked import Ranked
from shelfwise.engine.context import Context


def one_variant(context: Context, ranked: Ranked) -> Ranked:
    """At most `request.variants` products of a group (`item_group_id`); seeds' groups count as shown on their pages and
    beside a cart that holds them."""
    most, group = context.request.variants, context.view.variant
    if not most or not len(ranked.rows):
        return ranked
    groups = group[ranked.rows]
    if ranked.ruled:
        groups = np.where(np.isin(ranked.rows, list(ranked.ruled)), -1, groups)
    keep = first_of_group(groups, most)
    if context.question in ("product", "similar", "cart") and context.seeds:
        keep &= (groups < 0) | ~np.isin(groups, group[context.items[-context.seeds :]])
    if keep.all():
        return ranked
    return Ranked(ranked.rows[keep], ranked.scores[keep], ranked.ruled)
