"""Relevance against likeness: the products of one answer differ from one another as far as the request wants."""

from __future__ import annotations

import math

import numpy as np

from shelfwise.engine.arrange.ranked import Ranked
from shelfwise.engine.catalogue import View
from shelfwise.engine.context import Context
from shelfwise.models.sequences import Floats, Ints

_DEEP = 5  # times k, of which the answer is chosen
_DEPARTMENTS = 4  # that an answer to somebody unknown shows at least, where there are so many
_CONTENT, _CATEGORY, _BRAND = 0.6, 0.25, 0.15  # parts of likeness, by judgement


def diverse(context: Context, ranked: Ranked) -> Ranked:
    """Maximal marginal relevance (Carbonell & Goldstein 1998): of the best 5 k, one after the other that which has the
    highest (1 - d) · relevance - d · likeness to the most alike of those chosen; d is `request.diversity`."""
    d, k = context.request.diversity, context.request.k
    m = min(_DEEP * k, len(ranked.rows))
    if d <= 0 or m <= 2 or ranked.ruled:
        return ranked
    rows, scores = ranked.rows[:m], ranked.scores[:m]
    relevance = (scores - scores[-1]) / max(float(scores[0] - scores[-1]), 1e-9)
    likeness = _likeness(context.view, rows)
    nearest, left = np.zeros(m, np.float32), np.ones(m, np.bool_)
    order = np.empty(m, np.int64)
    for place in range(m):
        if place >= k:  # what lies further down keeps its order
            order[place:] = np.flatnonzero(left)
            break
        worth = np.where(left, (1 - d) * relevance - d * nearest, -np.inf)
        order[place] = chosen = int(worth.argmax())
        left[chosen] = False
        np.maximum(nearest, likeness[chosen], out=nearest)
    return _ordered(ranked, np.concatenate((order, np.arange(m, len(ranked.rows)))))


def departments(context: Context, ranked: Ranked) -> Ranked:
    """Somebody of whom nothing is known sees several departments (first levels of the categories): of one at most a
    quarter of the answer comes first."""
    if len(context.items) or context.narrow or ranked.ruled or not len(ranked.rows):
        return ranked
    most = math.ceil(context.request.k / _DEPARTMENTS)
    seen: dict[int, int] = {}
    later = np.zeros(len(ranked.rows), np.bool_)
    for place, top in enumerate(context.view.top[context.view.category[ranked.rows]].tolist()):
        if top >= 0:
            seen[top] = seen.get(top, 0) + 1
            later[place] = seen[top] > most
    return _ordered(ranked, np.argsort(later, kind="stable"))


def _likeness(view: View, rows: Ints) -> Floats:
    """float32 [m, m], 0 to 1."""
    category, brand = view.category[rows], view.brand[rows]
    likeness = _CATEGORY * ((category[:, None] == category) & (category >= 0)).astype(np.float32)
    likeness += _BRAND * ((brand[:, None] == brand) & (brand >= 0))
    if view.content is not None:
        content = view.content[rows]
        likeness += _CONTENT * np.maximum(content @ content.T, 0)
    return np.asarray(likeness, np.float32)


def _ordered(ranked: Ranked, order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Ranked:
    """Another order; scores never rise, so that sorting by them keeps it."""
    return Ranked(ranked.rows[order], np.minimum.accumulate(ranked.scores[order]), ranked.ruled)
