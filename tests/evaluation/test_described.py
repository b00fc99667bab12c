from typing import Literal

import numpy as np
import pytest
import torch

from shelfwise.errors import NotEnoughData
from shelfwise.evaluation.described import Described
from shelfwise.models.recommender import Items, Recommender, recommend
from shelfwise.models.sequences import Sequences, sequences_of


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


def painted(n: int) -> Items:
    """Products with photos: the even ones are bright on the left, the odd ones on the right, and all else differs."""
    pixels = np.random.default_rng(1).integers(0, 100, (n, 32, 32, 3), np.uint8)
    pixels[::2, :, :16] += 155
    pixels[1::2, :, 16:] += 155
    return Items(n=n, pixels=pixels)


def test_the_photo_branch_is_there_only_with_photos() -> None:
    with_photos = Described(width=8, steps=20).fit(circle(), painted(12))
    without = Described(width=8, steps=20).fit(circle(), Items(n=12))
    black = Described(width=8, steps=20).fit(circle(), Items(n=12, pixels=np.zeros((12, 32, 32, 3), np.uint8)))
    assert with_photos.sees_photos
    assert not without.sees_photos
    assert not black.sees_photos
    for model in (with_photos, without):
        scores = model.scores(sequences_of([[], [3], list(range(12)) * 5]))
        assert scores.shape == (3, 12)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
    assert not np.allclose(with_photos.scores(sequences_of([[3]])), without.scores(sequences_of([[3]])))


def test_vectors_of_photos_are_not_read() -> None:
    image = np.eye(12, 1280, dtype=np.float32)
    assert not Described(width=8, steps=5).fit(circle(), Items(n=12, image=image)).sees_photos


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_every_convolution_learns(
    loss: Literal["cross_entropy", "mse"], optimizer: Literal["adam", "rmsprop", "sgd"]
) -> None:
    weights = []
    for steps in (1, 9):
        model = Described(loss=loss, optimizer=optimizer, width=8, steps=steps).fit(circle(), painted(12))
        assert model._network is not None
        weights.append([part.detach().numpy() for part in model._network.convolution.parameters()])
    assert len(weights[0]) == 6  # three layers' weights and biases
    for before, after in zip(*weights, strict=True):
        assert np.abs(after - before).max() > 0


def test_photos_tell_of_products_never_seen() -> None:
    """Shoppers buy what looks alike. Asked with products nobody bought, only their photos can say which."""
    n, known = 40, 24
    random = np.random.default_rng(0)
    items = [(2 * random.integers(known // 2, size=6) + customer % 2).tolist() for customer in range(300)]
    asked = sequences_of([[25, 27, 29], [24, 26, 28], [39], [38]])
    side = np.array([1, 0, 1, 0])
    found = []
    for features in (painted(n), Items(n=n)):
        model = Described(width=24, steps=150, dropout=0.0).fit(sequences_of(items), features)
        found.append((recommend(model, asked, 10)[0] % 2 == side[:, None]).mean())
    assert found[0] > 0.9
    assert found[1] < 0.7


def test_products_without_a_photo_are_passed_over() -> None:
    features = painted(12)
    assert features.pixels is not None
    features.pixels[6:] = 0
    model = Described(width=8, steps=10).fit(circle(), features)
    assert model._network is not None
    seen = model._network._shown
    item, lengths = torch.tensor([[3, 9], [3, 0], [9, 0]]), torch.tensor([2, 1, 1])
    assert model._network.photos is not None
    with torch.inference_mode():
        both, one, none = seen(model._network.photos, item, lengths)
    torch.testing.assert_close(both, one)
    assert not none.any()


@pytest.mark.parametrize("threads", [1, 4])
def test_a_seed_repeats(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    for items in (Items(n=12), painted(12)):
        one, other = (Described(width=8, steps=15, seed=4).fit(circle(), items) for _ in range(2))
        np.testing.assert_array_equal(one.scores(circle(5)), other.scores(circle(5)))
    torch.set_num_threads(before)
