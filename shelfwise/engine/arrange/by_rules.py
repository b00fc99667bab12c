"""Merchants' rules on a ranked answer, recommended or found."""

from __future__ import annotations

from shelfwise.engine.arrange.ranked import AnswerContext, Ranked
from shelfwise.engine.arrange.rules import arranged


def by_rules(context: AnswerContext, ranked: Ranked) -> Ranked:
    """Hide, move and pin as the rules that hold here say; a pinned product need be no candidate, only one that the
    answer may hold."""
    if not context.rules:
        return ranked
    made = arranged(context.rules, ranked.rows, ranked.scores, context.view.row, context.allowed)
    return Ranked(made.rows, made.scores, frozenset(made.applied))
