"""Directed co-occurrence: weights by hand, and back from a bundle."""

from __future__ import annotations

import numpy as np
import pytest

from shelfwise.models.cooccurrence import Cooccurrence, directed_pairs
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import sequences_of


def test_weights_by_hand() -> None:
    pairs = directed_pairs(sequences_of([[0, 1, 2], [0, 1]]), 3, window=2, backward=0.5).toarray()
    assert np.allclose(pairs, [[0, 2, 0.5], [1, 0, 1], [0.25, 0.5, 0]])


def test_direction_counts() -> None:
    model = Cooccurrence().fit(sequences_of([[0, 1], [0, 1], [1, 2]]), Items(n=3))
    scores = model.scores(sequences_of([[1]]))
    assert scores[0, 2] > scores[0, 0] > 0


def test_tensors_come_back() -> None:
    model = Cooccurrence(window=3).fit(sequences_of([[0, 1, 2, 3], [3, 1]]), Items(n=4))
    asked = sequences_of([[0, 3], []])
    assert np.array_equal(Cooccurrence.from_tensors(model.tensors()).scores(asked), model.scores(asked))


def test_a_basket_asks_as_one_step() -> None:
    # 0 → 5, 1 → 6, 2 → 7, each as often; the history bought 0, then 1 and 2 together.
    model = Cooccurrence(specific=0.0).fit(sequences_of([[0, 5], [1, 6], [2, 7]]), Items(n=8))
    asked = sequences_of([[0, 1, 2], [0, 1, 2]], times=[[0, 60, 60], [0, 60, 61]])
    together, apart = model.scores(asked)
    assert together[6] == together[7] > 0
    assert together[6] == pytest.approx(2 * together[5], rel=1e-3)
    assert apart[7] == pytest.approx(2 * apart[6], rel=1e-3)
    assert apart[6] == pytest.approx(2 * apart[5], rel=1e-3)
