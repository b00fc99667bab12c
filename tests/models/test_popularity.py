import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.models.popularity import Popularity
from shelfwise.models.recommender import Items, Recommender, recommend
from shelfwise.models.sequences import DAY, sequences_of


def test_keeps_the_contract() -> None:
    assert isinstance(Popularity(), Recommender)


def test_lately_popular_beats_popular_once_with_a_short_half_life() -> None:
    train = sequences_of([[0], [0], [0], [1], [1]], times=[[0], [0], [0], [60 * DAY], [60 * DAY]])
    fading = Popularity(half_life=7).fit(train, Items(n=3))
    counting = Popularity(half_life=float("inf")).fit(train, Items(n=3))
    assert fading.order.tolist()[:2] == [1, 0]
    assert counting.order.tolist()[:2] == [0, 1]
    assert counting.weight.tolist() == [3, 2, 0]
    assert fading.week.tolist() == [0, 2, 0]


def test_a_crate_in_one_day_counts_once() -> None:
    train = sequences_of([[0] * 40, [1], [1]], times=[list(range(40)), [5], [6]])
    assert Popularity(half_life=float("inf")).fit(train, Items(n=2)).weight.tolist() == [1, 2]


def test_chooses_its_half_life_on_validation() -> None:
    # What was popular long ago is bought no more; what came up lately is.
    train = sequences_of(
        [[0, 2], [0, 2], [0, 1], [3, 1]], times=[[0, 90 * DAY], [0, 90 * DAY], [0, 91 * DAY], [0, 91 * DAY]]
    )
    validation = sequences_of([[1], [1], [2], [2]], times=[[92 * DAY]] * 4)
    assert (Popularity().fit(train, Items(n=4), validation=validation).half_life or 0) < float("inf")
    assert Popularity().fit(train, Items(n=4)).half_life == 14


def test_products_nobody_bought_are_no_candidates() -> None:
    model = Popularity().fit(sequences_of([[0], [0, 1]]), Items(n=4))
    ids, _ = recommend(model, sequences_of([[], [0]]), 3, exclude_seen=True)
    assert ids.tolist() == [[0, 1, -1], [1, -1, -1]]


@given(st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=1, max_size=8))
def test_categories_partition_the_order(rows: list[list[int]]) -> None:
    category = np.array([0, 0, 1, 1, 1, 3, 3, -1, -1, 0], np.int32)
    model = Popularity().fit(sequences_of(rows), Items(n=10, category=category))
    found = [model.in_category(code).tolist() for code in range(-1, 6)]
    assert sorted(i for ids in found for i in ids) == np.flatnonzero(category >= 0).tolist()
    for code, ids in enumerate(found, start=-1):
        assert all(category[i] == code for i in ids)
        assert np.all(np.diff(model.weight[ids]) <= 0)
    again = Popularity.from_tensors(model.tensors())
    assert again.order.tolist() == model.order.tolist()
    assert [again.in_category(code).tolist() for code in range(-1, 6)] == found


def test_what_one_customer_buys_each_day_is_not_popular() -> None:
    alone, others = [[0] * 40], [[1], [1], [1, 0]]
    times = [[day * DAY for day in range(40)], [39 * DAY], [39 * DAY], [39 * DAY, 39 * DAY]]
    model = Popularity(half_life=float("inf")).fit(sequences_of(alone + others, times=times), Items(n=2))
    assert model.weight.tolist() == [2, 3]
    assert model.week.tolist() == [2, 3]
