"""What comes in the next basket, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from shelfwise.models.recommender import Items
from shelfwise.models.sequences import DAY, sequences_of
from shelfwise.models.transitions import Transitions

TEA, CUP, CAKE, NEVER = range(4)


@pytest.fixture
def model() -> Transitions:
    """Five customers buy tea and a cup, then cake and tea; one begins with cake, then buys a cup."""
    baskets = [[TEA, CUP, CAKE, TEA]] * 5 + [[CAKE, CUP]]
    days = [[0, 60, DAY, DAY]] * 5 + [[0, DAY]]
    return Transitions().fit(sequences_of(baskets, times=days), Items(n=4))


def test_what_follows_is_counted_by_hand(model: Transitions) -> None:
    scores = model.scores(sequences_of([[TEA], [CAKE, TEA], [NEVER]], times=[[0], [0, DAY], [0]]))
    np.testing.assert_allclose(scores[0], [0, 0, 5 / 10, 0])  # of itself it says nothing
    np.testing.assert_allclose(scores[1], scores[0])  # only the newest basket asks
    assert not scores[2].any()
    np.testing.assert_allclose(model.usual, [5 / 6, 1 / 6, 5 / 6, 0])


def test_lift_is_over_what_is_usual(model: Transitions) -> None:
    sums = np.array([0.5, 0.0], np.float32)
    above, below = model.lift(sums, 1, np.array([CAKE, CUP], np.int32))
    assert above == pytest.approx(np.log(0.5 / (5 / 6)), abs=1e-3)
    assert below == pytest.approx(np.log(1e-5 / (1 / 6)), abs=1e-3)


def test_tensors_give_the_same(model: Transitions) -> None:
    asked = sequences_of([[TEA, CUP]], times=[[0, 0]])
    assert np.array_equal(Transitions.from_tensors(model.tensors()).scores(asked), model.scores(asked))
