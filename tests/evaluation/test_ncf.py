import numpy as np
import pytest

from shelfwise.errors import NotEnoughData
from shelfwise.evaluation.ncf import Ncf
from shelfwise.metrics import Relevant, ranking
from shelfwise.models.recommender import Items, Recommender, recommend
from shelfwise.models.sequences import Sequences, sequences_of


def checkerboard(customers: int = 200) -> Sequences:
    """Customers of even number buy even products only, the others odd ones."""
    random = np.random.default_rng(0)
    return sequences_of([(2 * random.choice(10, 6, replace=False) + c % 2).tolist() for c in range(customers)])


def test_keeps_the_contract() -> None:
    assert isinstance(Ncf(), Recommender)
    with pytest.raises(NotEnoughData):
        Ncf().fit(sequences_of([]), Items(n=3))
    with pytest.raises(NotEnoughData):
        Ncf().scores(sequences_of([[0]]))


def test_learns_the_checkerboard_for_customers_it_never_saw() -> None:
    model = Ncf(width=16, batch=256, learning_rate=0.02).fit(checkerboard(), Items(n=20))
    ids, _ = recommend(model, sequences_of([[0, 4], [1, 7, 3]]), 8)
    assert (ids % 2 == [[0], [1]]).mean() > 0.9


def test_an_empty_history_gets_finite_scores_and_a_seed_repeats() -> None:
    one, other = (Ncf(width=8, batch=64, steps=20, seed=3).fit(checkerboard(50), Items(n=20)) for _ in range(2))
    histories = sequences_of([[], [2, 4]])
    scores = one.scores(histories)
    assert scores.shape == (2, 20)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, other.scores(histories))


def test_slices_of_the_catalogue_agree_with_pairs() -> None:
    import torch

    model = Ncf(width=8, batch=64, steps=5).fit(checkerboard(50), Items(n=20))
    assert model._network is not None
    with torch.inference_mode():
        customer = model._network.customers(np.array([1, 3, 5]), np.array([0, 2]))
        pairs = model._network.pairs(customer, torch.arange(20).expand(2, 20))
    np.testing.assert_allclose(model.scores(sequences_of([[1, 3], [5]])), pairs.numpy(), atol=1e-5)


def test_validation_keeps_the_best() -> None:
    train, told = checkerboard(), []
    following = sequences_of([[c % 2, 2 + c % 2] for c in range(200)])
    model = Ncf(width=8, batch=128, steps=60).fit(
        train, Items(n=20), validation=following, progress=lambda *seen: told.append(seen)
    )
    reached = [float(status.rsplit(" ", 1)[1]) for _, _, status in told]
    ids, _ = recommend(model, train, 10)
    now = np.nanmean(ranking(ids, Relevant.distinct(following), (10,))["ndcg@10"])
    assert now == pytest.approx(max(reached), abs=1e-3)
