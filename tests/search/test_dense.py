from __future__ import annotations

import numpy as np
import pytest

from shelfwise.search.retrieve import dense
from shelfwise.search.retrieve.dense import Nearest


def unit(draw: np.random.Generator, n: int, d: int = 96) -> np.ndarray:
    found = draw.standard_normal((n, d)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_nearest_finds_what_lies_near_as_rows_come_and_change() -> None:
    draw = np.random.default_rng(0)
    vectors = unit(draw, 5_000)
    nearest = Nearest()
    assert nearest.near(vectors[0], 3)[0].tolist() == []
    nearest.put(np.arange(3_000, dtype=np.int32), vectors[:3_000])
    for end in (3_001, 3_500, 5_000):  # one, then some beside the index, then enough for a new one
        rows = np.arange(len(nearest), end, dtype=np.int32)
        nearest.put(rows, vectors[rows])
        for row in (0, end - 1):
            found, cosine = nearest.near(vectors[row], 5)
            assert found[0] == row
            assert np.isclose(cosine[0], 1, atol=1e-5)
            assert (np.diff(cosine) <= 0).all()
    nearest.put(np.array([7], np.int32), vectors[4_999:])
    assert set(nearest.near(vectors[4_999], 2)[0].tolist()) == {7, 4_999}
    allowed = np.ones(5_000, np.bool_)
    allowed[7] = False
    assert 7 not in nearest.near(vectors[4_999], 50, allowed)[0]
    assert np.allclose(nearest.cosines(vectors[3], np.array([3, 9_999], np.int32)), [1, 0], atol=1e-5)


def test_an_index_that_knows_an_old_vector_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "_SCANNED", 1_000)
    draw = np.random.default_rng(1)
    vectors = unit(draw, 3_000)
    nearest = Nearest()
    nearest.put(np.arange(3_000, dtype=np.int32), vectors)
    new = unit(draw, 1)
    nearest.put(np.array([7], np.int32), new)
    assert nearest.near(new[0], 1)[0].tolist() == [7]
    assert 7 not in nearest.near(vectors[7], 20)[0]
    assert len(set(nearest.near(vectors[8], 50)[0].tolist())) == 50
    some = np.arange(2_500, dtype=np.int32)
    nearest.put(some, vectors[:2_500])  # enough for a new index
    assert nearest.near(vectors[7], 1)[0].tolist() == [7]


def test_rows_without_a_vector_are_never_near() -> None:
    nearest = Nearest()
    nearest.put(np.arange(3, dtype=np.int32), np.array([[1, 0], [0, 0], [0, 1]], np.float32))
    assert nearest.near(np.array([1, 0], np.float32), 3)[0].tolist() == [0]
    assert nearest.mean(np.array([1], np.int32)) is None


@pytest.mark.parametrize("scanned", [1_000, 50_000])  # with an inverted file and without
def test_a_mask_of_an_older_view_is_no_error(monkeypatch: pytest.MonkeyPatch, scanned: int) -> None:
    """A search under way holds a mask that is shorter than an index made meanwhile."""
    monkeypatch.setattr(dense, "_SCANNED", scanned)
    draw = np.random.default_rng(2)
    vectors = unit(draw, 6_000)
    nearest = Nearest()
    nearest.put(np.arange(3_000, dtype=np.int32), vectors[:3_000])
    allowed = np.ones(3_000, np.bool_)
    nearest.put(np.arange(3_000, 6_000, dtype=np.int32), vectors[3_000:])
    rows, _ = nearest.near(vectors[17], 40, allowed)
    assert rows[0] == 17
    assert rows.max() < 3_000
    nearest.put(np.arange(6_000, 6_010, dtype=np.int32), vectors[:10])  # beside the index
    rows, _ = nearest.near(vectors[3], 40, allowed)
    assert rows[0] == 3
    assert rows.max() < 3_000
