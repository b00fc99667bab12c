from typing import Literal

import numpy as np
import pytest

from shelfwise.errors import NotEnoughData
from shelfwise.learn.described import Described
from shelfwise.model.recommender import Items, Recommender, recommend
from shelfwise.model.sequences import Sequences, sequences_of


def circle(customers: int = 200) -> Sequences:
    """After product i comes product i + 1, and after the last the first."""
    return sequences_of([[(c + step) % 12 for step in range(5)] for c in range(customers)])


def test_keeps_the_contract() -> None:
    assert isinstance(Described(), Recommender)
    with pytest.raises(NotEnoughData):
        Described().fit(sequences_of([[1], [2]]), Items(n=3))
    with pytest.raises(NotEnoughData):
        Described().scores(sequences_of([[0]]))


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_both_losses_and_all_optimisers_learn_the_order(
    loss: Literal["cross_entropy", "mse"], optimizer: Literal["adam", "rmsprop", "sgd"]
) -> None:
    rate = {"adam": 0.01, "rmsprop": 0.003, "sgd": 0.1 if loss == "cross_entropy" else 0.3}[optimizer]
    model = Described(loss=loss, optimizer=optimizer, width=24, learning_rate=rate, dropout=0.0, steps=250)
    model.fit(sequences_of([[(c + step) % 12 for step in range(8)] for c in range(400)]), Items(n=12))
    ids, _ = recommend(model, sequences_of([[i, (i + 1) % 12] for i in range(12)]), 1)
    assert (ids[:, 0] == (np.arange(12) + 2) % 12).mean() > 0.8


def test_the_photo_branch_is_there_only_with_photos() -> None:
    image = np.eye(12, 1280, dtype=np.float32)
    with_photos = Described(width=8, steps=20).fit(circle(), Items(n=12, image=image))
    without = Described(width=8, steps=20).fit(circle(), Items(n=12))
    assert with_photos.sees_photos
    assert not without.sees_photos
    for model in (with_photos, without):
        scores = model.scores(sequences_of([[], [3], list(range(12)) * 5]))
        assert scores.shape == (3, 12)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
    assert not np.allclose(with_photos.scores(sequences_of([[3]])), without.scores(sequences_of([[3]])))


def test_a_seed_repeats() -> None:
    one, other = (Described(width=8, steps=15, seed=4).fit(circle(), Items(n=12)) for _ in range(2))
    np.testing.assert_array_equal(one.scores(circle(5)), other.scores(circle(5)))
