"""Merchants' rules on a recommended answer."""

from __future__ import annotations

from shelfwise.engine.arrange.ranked import Ranked
from shelfwise.engine.arrange.rules import arranged
from shelfwise.engine.context import Context


def by_rules(context: Context, ranked: Ranked) -> Ranked:
    """Hide, move and pin as the rules that hold here say; a pinned product need be no candidate, only one that the
    answer may hold."""
    if not context.rules:
        return ranked
    made = arranged(context.rules, ranked.rows, ranked.scores, context.view.row, context.allowed)
    return Ranked(made.rows, made.scores, frozenset(made.applied))
