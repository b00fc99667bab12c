import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.models.recommender import top_k
from shelfwise.models.sequences import IdMap, sequences_of

ragged = st.lists(st.lists(st.integers(0, 50), max_size=12), min_size=1, max_size=8)


def test_ids_go_in_and_out():
    ids = IdMap(["b", "a"])
    assert [ids.inside(name) for name in ("b", "a", "c")] == [0, 1, -1]
    assert ids.inside_all(["a", "x", "b"]).tolist() == [1, -1, 0]
    with pytest.raises(ValueError, match="repeat"):
        IdMap(["a", "a"])


@given(ragged, st.integers(1, 15))
def test_last_keeps_the_newest_of_each(rows, n):
    cut = sequences_of(rows).last(n)
    assert [cut.items_of(i).tolist() for i in range(len(cut))] == [row[-n:] for row in rows]


@given(ragged, st.data())
def test_select_takes_customers_in_the_order_asked(rows, data):
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6))
    picked = sequences_of(rows).select(np.array(chosen, np.int64))
    assert [picked.items_of(i).tolist() for i in range(len(picked))] == [rows[i] for i in chosen]


@given(ragged, st.integers(0, 12))
def test_before_is_strict(rows, time):
    cut = sequences_of(rows).before(time)
    assert [cut.items_of(i).tolist() for i in range(len(cut))] == [row[:time] for row in rows]


@given(st.integers(1, 6), st.integers(1, 12), st.integers(1, 15), st.integers(0, 99))
def test_top_k_is_a_sort(rows, columns, k, seed):
    scores = np.random.default_rng(seed).permutation(rows * columns).reshape(rows, columns).astype(np.float32)
    scores[scores < 2] = -np.inf
    ids, best = top_k(scores, k)
    for row, found, values in zip(scores, ids, best, strict=True):
        order = np.argsort(-row, kind="stable")[:k]
        expected = [int(i) if np.isfinite(row[i]) else -1 for i in order]
        assert found.tolist() == expected
        assert values[found >= 0].tolist() == [row[i] for i in found if i >= 0]
