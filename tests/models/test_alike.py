"""Likes found beforehand are what the index finds, for the popular products only."""

from __future__ import annotations

import numpy as np
import pytest

from shelfwise.models import alike as module
from shelfwise.models.alike import NEAR, Alike, Contents
from shelfwise.models.index import VectorIndex


def vectors(n: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(n, 16)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_likes_are_the_nearest_and_the_same_content_shares_them() -> None:
    told = vectors(300)
    told[7] = told[5]  # the same text
    told[9] = 0  # no text
    order = np.random.default_rng(1).permutation(300).astype(np.int32)
    found = Alike.find(told, VectorIndex.build(told), order)
    assert found.of(9) is None
    assert found.place[7] == found.place[5]
    assert len(found.rows) == 298
    for row in (0, 5, 7, 299):
        nearest = np.sort((told @ told[row]).astype(np.float32))[::-1][:NEAR]
        rows = found.of(row)
        assert rows is not None
        np.testing.assert_allclose(told[rows] @ told[row], nearest, atol=2e-3)  # the index holds 16 bits


def test_only_the_popular_are_asked_and_few_products_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 4)
    told = vectors(10)
    found = Alike.find(told, VectorIndex.build(told), np.arange(9, -1, -1, dtype=np.int32))
    assert [found.of(row) is None for row in range(12)] == [True] * 6 + [False] * 4 + [True] * 2
    rows = found.of(9)
    assert rows is not None
    assert sorted(rows[:10].tolist()) == list(range(10))
    assert (rows[10:] == -1).all()


def test_it_survives_a_bundle() -> None:
    told = vectors(50)
    found = Alike.find(told, VectorIndex.build(told), np.arange(50, dtype=np.int32))
    again = Alike.from_tensors(found.tensors())
    np.testing.assert_array_equal(again.place, found.place)
    np.testing.assert_array_equal(again.rows, found.rows)


def test_products_of_one_content_stand_behind_the_most_popular() -> None:
    told = vectors(6)
    told[4] = told[1]
    told[5] = told[1]
    told[3] = told[0]
    contents = Contents.of(told, np.array([2, 4, 3, 0], np.int32))  # 1 and 5 came later
    assert np.flatnonzero(contents.head).tolist() == [2, 3, 4]
    assert contents.products(np.array([4, 2, 3]), 9).tolist() == [4, 1, 5, 2, 3, 0]
    assert contents.products(np.array([4, 3]), 2).tolist() == [4, 1, 3, 0]
    assert contents.products(np.empty(0, np.int64), 2).tolist() == []
