"""Customers alike."""

from __future__ import annotations

import numpy as np

from shelfwise.models.recommender import Items
from shelfwise.models.sequences import Sequences
from shelfwise.models.user_knn import Neighbours


def sequences_of(histories: list[list[int]]) -> Sequences:
    rows = [item for history in histories for item in history]
    return Sequences(
        offsets=np.concatenate(([0], np.cumsum([len(one) for one in histories]))).astype(np.int64),
        item=np.array(rows, np.int32),
        kind=np.full(len(rows), 3, np.int8),
        time=np.arange(len(rows), dtype=np.int64),
        price=np.full(len(rows), np.nan, np.float32),
    )


def test_what_customers_alike_had_by_the_formula() -> None:
    model = Neighbours(decay=0.5, specific=1.0, long=1.0).fit(sequences_of([[3, 0, 1], [0, 2]]), Items(n=5))
    found = model.scores(sequences_of([[1, 0], [4], []]))
    # 1 is one step back and one customer had it; 0 is the newest and two had it: the customers weigh 1 and 0.5.
    np.testing.assert_allclose(found[0], [1 / 3 + 0.25, 1 / 3, 0.25, 1 / 3, 0], rtol=1e-6)
    assert not found[1:].any()


def test_learning_leaves_the_histories_in_their_order() -> None:
    train = sequences_of([[3, 0, 1, 3], [2, 0]])
    Neighbours().fit(train, Items(n=5))
    assert train.item.tolist() == [3, 0, 1, 3, 2, 0]


def test_a_history_has_no_say_twice() -> None:
    once = Neighbours(long=0.0).fit(sequences_of([[0, 1]]), Items(n=2))
    twice = Neighbours(long=0.0, specific=0.0).fit(sequences_of([[0, 1, 1]]), Items(n=2))
    asked = sequences_of([[0]])
    np.testing.assert_allclose(twice.scores(asked), once.scores(asked), rtol=1e-6)
