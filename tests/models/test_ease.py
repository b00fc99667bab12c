import numpy as np

from shelfwise.models.ease import Ease
from shelfwise.models.recommender import Items, Recommender, recommend
from shelfwise.models.sequences import DAY, Sequences, sequences_of


def checkerboard(half: int = 6) -> Sequences:
    """Even customers buy even products, odd ones odd, each leaving one out."""
    rows = [[i for i in range(2 * half) if i % 2 == c % 2 and i != c] for c in range(2 * half)]
    return sequences_of(rows)


def test_keeps_the_contract() -> None:
    assert isinstance(Ease(), Recommender)


def test_finds_the_one_left_out() -> None:
    train = checkerboard()
    model = Ease().fit(train, Items(n=12))
    ids, _ = recommend(model, train, 1, exclude_seen=True)
    assert ids.ravel().tolist() == list(range(12))


def test_solves_the_regression_of_the_paper() -> None:
    train = checkerboard()
    held = np.zeros((12, 12))
    held[np.repeat(np.arange(12), train.lengths()), train.item] = 1
    model = Ease(penalty=0.5, half_life=float("inf")).fit(train, Items(n=12))
    penalty = 0.5 * held.sum(axis=0).mean()
    for wanted in range(12):
        others = np.delete(held, wanted, axis=1)
        exact = np.linalg.solve(others.T @ others + penalty * np.eye(11), others.T @ held[:, wanted])
        assert np.allclose(np.delete(model.weights[:, wanted], wanted), exact, atol=1e-5)
        assert model.weights[wanted, wanted] == 0


def test_knows_only_the_most_bought() -> None:
    train = sequences_of([[0, 3], [0, 3], [0, 3, 1], [2]])
    model = Ease(products=2).fit(train, Items(n=5))
    assert model.known.tolist() == [0, 3]
    assert np.isneginf(model.scores(train)[:, [1, 2, 4]]).all()


def test_one_history_answers_as_many_do() -> None:
    train = sequences_of([[0, 1, 2], [1, 2, 2], [0, 2, 3]], times=[[0, DAY, 9 * DAY]] * 3)
    model = Ease(half_life=5).fit(train, Items(n=5))
    now = 10 * DAY
    many = model.scores(train, now=np.full(3, now))
    model = Ease.from_tensors(model.tensors())
    for at in range(3):
        one = train.select(slice(at, at + 1))
        ids, scores = model.of(one.item, one.time, now)
        assert np.allclose(scores, many[at][ids], atol=1e-6)
    assert model.of(np.empty(0, np.int32), np.empty(0, np.int64), now)[1].tolist() == [0, 0, 0, 0]


def test_without_events_there_is_nothing_to_say() -> None:
    model = Ease().fit(sequences_of([[], []]), Items(n=3))
    assert np.isneginf(model.scores(sequences_of([[], [1]]))).all()
