"""Each compiled loop gives what its NumPy reference gives."""

from __future__ import annotations

from itertools import chain

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from shelfwise.engine.kernels import add_neighbours, interest_shares, merged, nearness, towards, weights_to

N = 30


def graph(seed: int) -> sparse.csr_array:
    found = sparse.random_array((N, N), density=0.2, rng=np.random.default_rng(seed), dtype=np.float32).tocsr()
    found.indices, found.indptr = found.indices.astype(np.int32), found.indptr.astype(np.int64)
    return found


@given(st.integers(0, 1_000), st.lists(st.integers(0, N - 1), max_size=12))
def test_neighbours_add_up(seed: int, items: list[int]) -> None:
    edges, random = graph(seed), np.random.default_rng(seed)
    asked, factors = np.array(items, np.int32), random.random(len(items)).astype(np.float32)
    total = np.zeros(N, np.float32)
    rows, sums = add_neighbours(edges.indptr, edges.indices, edges.data, asked, factors, total)
    expected = np.zeros(N, np.float32)
    for item, factor in zip(items, factors, strict=True):
        expected += factor * edges[[item]].toarray()[0]
    assert len(set(rows.tolist())) == len(rows)
    assert set(rows.tolist()) == set(np.flatnonzero(expected).tolist())
    np.testing.assert_allclose(sums, expected[rows], rtol=1e-4)
    assert not total.any(), "the table is clean again"
    for row in range(0, N, 7):
        parts = weights_to(edges.indptr, edges.indices, edges.data, asked, factors, row)
        np.testing.assert_allclose(parts.sum(), expected[row], rtol=1e-4, atol=1e-6)


@given(st.lists(st.lists(st.integers(0, N - 1), max_size=9), min_size=1, max_size=6), st.sets(st.integers(0, N - 1)))
def test_merged_rows_keep_their_first_mention(parts: list[list[int]], hidden: set[int]) -> None:
    mask = np.zeros(N, np.bool_)
    mask[list(hidden)] = True
    slot = np.random.default_rng(0).integers(-5, N, N).astype(np.int32)  # whatever was left there
    ends, proposed = np.cumsum([len(part) for part in parts]), list(chain(*parts))
    rows, by = merged(np.array(proposed, np.int32), ends, 2, mask, slot)
    assert rows.tolist() == [row for row in dict.fromkeys(proposed) if row not in hidden]
    for source in range(2):
        assert set(rows[by[source]].tolist()) == set(chain(*parts[source::2])) - hidden


@given(st.integers(0, 1_000), st.integers(1, 20))
def test_shares_of_interest(seed: int, m: int) -> None:
    random = np.random.default_rng(seed)
    category, top, brand = random.integers(0, 5, N), random.integers(5, 8, N), random.integers(8, 12, N)
    kinds, unknown = np.stack((category, top, brand)).astype(np.int32), np.array([4, 7, 11], np.int32)
    items, rows = random.integers(0, N, m).astype(np.int32), np.arange(N, dtype=np.int32)
    age = np.sort(random.random(m) * 100)[::-1].copy()
    columns = np.zeros((5, N), np.float32)
    interest_shares(kinds, unknown, 12, items, age, 60.0, 5, rows, columns)
    fade = np.exp2(-age / 60) / np.exp2(-age / 60).sum()
    for row in range(N):
        for kind in range(3):
            mine = kinds[kind, row]
            share = 0.0 if mine == unknown[kind] else fade[kinds[kind, items] == mine].sum()
            np.testing.assert_allclose(columns[kind, row], share, rtol=1e-4, atol=1e-6)
        same = category[items] == category[row] if category[row] != 4 else np.zeros(m, np.bool_)
        np.testing.assert_allclose(columns[3, row], same[-5:].sum() / 5, atol=1e-5)
        idle = np.log1p(age[same][-1]) if same.any() else 0
        np.testing.assert_allclose(columns[4, row], idle, rtol=1e-4, atol=1e-6)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), c=st.integers(0, 40), m=st.integers(1, 20))
def test_products_and_cosines_of_rows(seed: int, c: int, m: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((30, 8)).astype(np.float32)
    vectors[3] = 0
    rows, vector, other = random.integers(30, size=c).astype(np.int32), vectors[1], vectors[seed % 5]
    products, cosines = towards(vectors, rows, vector, other)
    np.testing.assert_allclose(products, vectors[rows] @ vector, atol=1e-5)
    lengths = np.linalg.norm(vectors[rows], axis=1) * np.linalg.norm(other)
    expected = np.where(lengths > 0, vectors[rows] @ other / np.where(lengths > 0, lengths, 1), 0)
    np.testing.assert_allclose(cosines, expected, atol=1e-5)

    cosine, fades = random.uniform(-1, 1, (c, m)).astype(np.float32), np.float32(0.8) ** np.arange(min(m, 5))
    columns = np.zeros((3, c), np.float32)
    nearness(cosine, fades.astype(np.float32), 5, columns)
    if c:
        np.testing.assert_allclose(columns[0], (cosine[:, : len(fades)] * fades).max(axis=1), atol=1e-6)
        np.testing.assert_array_equal(columns[1], cosine[:, 0])
        np.testing.assert_allclose(columns[2], np.sort(cosine, axis=1)[:, -5:].mean(axis=1), atol=1e-6)
