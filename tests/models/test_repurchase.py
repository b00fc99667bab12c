import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.models.recommender import Items, Recommender, recommend
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import DAY, sequences_of


def test_keeps_the_contract() -> None:
    assert isinstance(Repurchase(), Recommender)


def test_frequency_first_then_recency() -> None:
    history = sequences_of([[0, 0, 1, 2]], times=[[0, DAY, 2 * DAY, 3 * DAY]])
    model = Repurchase(half_life=float("inf"), rhythm=0).fit(history, Items(n=5))
    ids, scores = recommend(model, history, 5)
    assert ids.tolist() == [[0, 2, 1, -1, -1]]
    assert np.isneginf(scores[0, 3:]).all()


def test_a_short_half_life_prefers_the_recent() -> None:
    history = sequences_of([[0, 0, 1]], times=[[0, DAY, 200 * DAY]])
    model = Repurchase(half_life=30, rhythm=0).fit(history, Items(n=2))
    assert recommend(model, history, 1)[0].tolist() == [[1]]


def test_rhythm_prefers_what_is_due() -> None:
    # 0 comes each day and has just come; 1 comes each ten days and is due.
    times = [[0, DAY, 2 * DAY, 10 * DAY, 20 * DAY]]
    history = sequences_of([[1, 0, 0, 1, 0]], times=times)
    due = Repurchase(half_life=float("inf"), rhythm=0.5).fit(history, Items(n=2))
    now = np.array([20 * DAY])
    plain = Repurchase(half_life=float("inf"), rhythm=0).fit(history, Items(n=2))
    assert recommend(plain, history, 1, now=now)[0].tolist() == [[0]]
    assert recommend(due, history, 1, now=now)[0].tolist() == [[1]]


def test_chooses_on_validation() -> None:
    # Customers buy next what they bought last, never what they once bought often.
    rows = [[i, i, i, (i + 1) % 6] for i in range(6)]
    train = sequences_of(rows, times=[[0, DAY, 2 * DAY, 120 * DAY]] * 6)
    validation = sequences_of([[(i + 1) % 6] for i in range(6)], times=[[121 * DAY]] * 6)
    chosen = Repurchase().fit(train, Items(n=6), validation=validation)
    assert chosen.half_life == 30
    assert recommend(chosen, train, 1)[0].ravel().tolist() == [(i + 1) % 6 for i in range(6)]


def test_features_of_a_known_history() -> None:
    items = np.array([7, 3, 7, 7], np.int32)
    times = np.array([0, DAY, 4 * DAY, 4 * DAY + 60], np.int64)
    ids, rows = Repurchase().features(items, times, 8 * DAY)
    assert ids.tolist() == [3, 7]
    named = dict(zip(Repurchase.FEATURES, rows.T.tolist(), strict=True))
    assert np.allclose(named["count"], np.log1p([1, 2]))
    assert np.allclose(named["days_since"], np.log1p([7, 4]))
    assert np.allclose(named["mean_gap"], np.log1p([0, 4]))
    assert named["due"][0] == 0
    assert np.allclose(named["share"], [1 / 3, 2 / 3])


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 300)), max_size=12), min_size=1, max_size=5),
    st.sampled_from([30.0, float("inf")]),
    st.sampled_from([0.0, 0.5]),
)
def test_one_history_answers_as_many_do(rows: list[list[tuple[int, int]]], half_life: float, rhythm: float) -> None:
    rows = [sorted(row, key=lambda pair: pair[1]) for row in rows]
    histories = sequences_of([[i for i, _ in row] for row in rows], times=[[t * DAY for _, t in row] for row in rows])
    model = Repurchase(half_life=half_life, rhythm=rhythm).fit(histories, Items(n=6))
    now = 301 * DAY
    many = model.scores(histories, now=np.full(len(rows), now))
    model = Repurchase.from_tensors(model.tensors())
    for at in range(len(rows)):
        one = histories.select(slice(at, at + 1))
        ids, scores = model.of(one.item, one.time, now)
        expected = np.flatnonzero(many[at] > -np.inf)
        assert ids.tolist() == expected.tolist() == sorted(set(one.item.tolist()))
        assert np.allclose(scores, many[at][expected])
        assert np.isfinite(model.features(one.item, one.time, now)[1]).all()


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 90 * DAY)), min_size=1, max_size=40), st.integers(0, 40))
def test_one_history_is_told_as_the_batch_has_it(events: list[tuple[int, int]], later: int) -> None:
    """The compiled pass over one history against the NumPy of many, and against the definitions of the features."""
    events.sort(key=lambda event: event[1])
    items, times = (np.array(column) for column in zip(*events, strict=True))
    now = int(times.max()) + later * DAY
    model = Repurchase(half_life=90, rhythm=0.25).fit(sequences_of([[6]], times=[[0]]), Items(n=7))
    rows, scores, features = model.score_history(items.astype(np.int32), times, now)
    batch = model.scores(sequences_of([items.tolist()], times=[times.tolist()]), now=np.array([now]))[0]
    assert rows.tolist() == sorted(set(items.tolist()))
    np.testing.assert_allclose(scores, batch[rows], rtol=1e-5)
    everything = len(set((times // DAY).tolist()))
    pairs = len(set(zip(items.tolist(), (times // DAY).tolist(), strict=True)))
    usual = [0, np.log(everything), np.log(pairs / everything)]
    for row, values in zip(rows.tolist(), features, strict=True):
        days: dict[int, int] = {}
        for time in times[items == row].tolist():
            days.setdefault(time // DAY, time)
        first, last, count = min(days.values()), max(days.values()), len(days)
        ages = np.array([now - time for time in days.values()]) / DAY
        gap, since = (last - first) / DAY / max(count - 1, 1), (now - last) / DAY
        due = float(np.clip(np.log((since + 0.5) / (gap + 0.5)), -3, 3)) if gap > 0 else 0.0
        decayed = [np.log1p(np.exp2(-ages / half_life).sum()) for half_life in (30, 90)]
        expected = [np.log1p(count), *decayed, np.log1p(since), np.log1p(gap), due, count / everything, *usual]
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


def test_how_often_a_product_is_bought_again() -> None:
    # Milk (0) is in the next basket each time, a pan (1) never; what comes last is followed by nothing.
    history = sequences_of([[0, 1, 0, 0, 2]] * 30, times=[[0, 60, DAY, 5 * DAY, 5 * DAY]] * 30)
    model = Repurchase().fit(history, Items(n=4))
    usual = 60 / 90
    np.testing.assert_allclose(model.again, [(60 + 10 * usual) / 70, 10 * usual / 40, usual, usual], rtol=1e-6)
    assert Repurchase.from_tensors(model.tensors()).again.tolist() == model.again.tolist()
