"""What arrives is counted as counting anew would."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.engine.crowd import Counts, Crowd
from shelfwise.models.cooccurrence import Cooccurrence, directed_pairs
from shelfwise.models.popularity import Popularity
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import DAY, sequences_of

N = 8
EVENT = st.tuples(st.sampled_from("abcd"), st.integers(0, N - 1), st.integers(0, 3))


@given(st.lists(EVENT, min_size=1, max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_counts_are_those_of_counting_anew(events: list[tuple[str, int, int]], cuts: list[int]) -> None:
    events.sort(key=lambda event: event[2])  # days
    people = sorted({name for name, _, _ in events})
    rows = [[item for name, item, _ in events if name == one] for one in people]
    times = [[day * DAY for name, _, day in events if name == one] for one in people]
    whole = sequences_of(rows, times=times)
    learned = Cooccurrence().fit(whole, Items(n=N))
    crowd = Crowd(learned)
    marks = [0, *sorted(cuts), len(events)]
    for start, stop in pairwise(marks):
        some = events[start:stop]
        crowd.add(
            N,
            [name for name, _, _ in some],
            np.array([item for _, item, _ in some], np.int32),
            np.array([day * DAY for _, _, day in some], np.int64),
        )
    counts = crowd.counts
    days = Popularity(half_life=float("inf")).fit(whole, Items(n=N)).weight
    assert np.array_equal(counts.of(np.arange(N, dtype=np.int32)), days)
    assert counts.leading[0] in np.flatnonzero(days == days.max())
    pairs = directed_pairs(whole, N, window=learned.window, backward=learned.backward).toarray()
    found = np.zeros((N, N), np.float32)
    for row in range(N):
        part = slice(counts.indptr[row], counts.indptr[row + 1])
        np.add.at(found[row], counts.ids[part], counts.weights[part])
    assert np.allclose(found, pairs / learned.commonness(N)[:, None], atol=1e-5)


def test_products_later_than_the_counts_have_none() -> None:
    crowd = Crowd(None)
    crowd.add(3, ["a"], np.array([2], np.int32), np.array([0]))
    assert crowd.counts.of(np.array([2, 7], np.int32)).tolist() == [1, 0]
    crowd.add(9, ["b", "a"], np.array([7, 7], np.int32), np.array([0, 0]))
    assert crowd.counts.of(np.array([2, 7], np.int32)).tolist() == [1, 2]
    assert Counts.none().of(np.array([5], np.int32)).tolist() == [0]
