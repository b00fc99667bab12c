"""Fits what goes with what: evidence on what came before, a head on the baskets that followed, the evidence once
more on everything.

The questions are the shop's own: of baskets of the newest weeks some products are shown, and the rest is wanted, the
most popular products left out, which are in every basket anyway. Half ask from one product, as a page does, half from
up to half of a basket, as a cart does. In one of ten the evidence of what asks is hidden, so that the head learns to
answer for products never sold.
"""

from __future__ import annotations

import numpy as np

from shelfwise.models.baskets import Baskets
from shelfwise.models.complements import FEATURES, Complements, content_of
from shelfwise.models.recommender import Items, Progress
from shelfwise.models.sequences import DAY, Floats, Ints, Sequences
from shelfwise.training.fit_ranker import Questions, collect
from shelfwise.training.memory import give_back
from shelfwise.training.perceptron import fit_perceptron

_WINDOW = 28  # days asked about
_QUESTIONS = 5_000
_LEAST = 300  # fewer questions teach less than the merit knows
_EACH = 3  # questions of one basket
_HIDDEN = 0.1
_SHARE_OF_TIME = 0.25  # of a short record


def fit_complements(
    train: Sequences,
    items: Items,
    *,
    content: Floats | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Complements:
    """`Complements` with a head, or without one where the record has too few baskets to learn from.

    content: float32 [n, d], `content_of(items)` where it was made before."""
    baskets, content = Baskets.of(train, items.n), content_of(items) if content is None else content
    model = Complements()
    if len(baskets):
        end = int(baskets.time.max()) + 1
        span = min(_WINDOW * DAY, int((end - int(baskets.time.min())) * _SHARE_OF_TIME))
        questions = questions_of(baskets, items, content, end - span, seed=seed, progress=progress)
        if questions.answerable() >= _LEAST:
            model.head = fit_perceptron(questions, seed=seed, progress=progress)
        del questions
        give_back()
    return model.count(baskets, items, content, int(train.time.max()) if train.rows else 0, progress)


def questions_of(
    baskets: Baskets,
    items: Items,
    content: Floats,
    cut: int,
    *,
    most: int = _QUESTIONS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Questions:
    """Questions from the baskets at and after `cut` (seconds), with the candidates of what was counted before it."""
    random = np.random.default_rng(seed)
    model = Complements().count(baskets.before(cut), items, content, cut, progress)
    allowed = model.telling
    questions: list[tuple[Ints, Ints, bool]] = []
    after = baskets.where((baskets.time >= cut) & (baskets.sizes() > 1))
    for basket in np.tile(random.permutation(len(after)), _EACH):
        held = after.held.indices[after.held.indptr[basket] : after.held.indptr[basket + 1]]
        held = random.permutation(held)
        shown = 1 if random.random() < 0.5 else int(random.integers(1, len(held) // 2 + 1))
        wanted = held[shown:][allowed[held[shown:]]]
        if len(wanted):
            questions.append((held[:shown], wanted, bool(random.random() < _HIDDEN)))
        if len(questions) == most:
            break
    proposals = (model.propose(seeds, allowed=allowed, hidden=hidden, twins=True) for seeds, _, hidden in questions)
    if not questions:
        empty = np.empty((0, len(FEATURES)), np.float32)
        return Questions(empty, np.empty(0, np.bool_), np.zeros(1, np.int64), np.empty(0, np.int64))
    return collect(
        ((one.ids, one.features) for one in proposals), [wanted for _, wanted, _ in questions], progress=progress
    )
