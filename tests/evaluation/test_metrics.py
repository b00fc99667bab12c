"""The metrics against an independent implementation (ir-measures over pytrec_eval) and against known answers."""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Success, nDCG

from shelfwise import metrics
from shelfwise.metrics import Relevant
from shelfwise.models.sequences import Floats, Ints, sequences_of

CATALOGUE = 12


@st.composite
def rankings(draw: st.DrawFn) -> tuple[Ints, list[set[int]]]:
    """Lists of distinct ids, some cut short by -1, and what was relevant, never nothing."""
    n, k = draw(st.integers(1, 6)), draw(st.integers(1, CATALOGUE))
    ids = np.full((n, k), -1, np.int32)
    for row in ids:
        shown = draw(st.permutations(range(CATALOGUE)))[: draw(st.integers(0, k))]
        row[: len(shown)] = shown
    relevant = draw(
        st.lists(st.sets(st.integers(0, CATALOGUE - 1), min_size=1, max_size=CATALOGUE), min_size=n, max_size=n)
    )
    return ids, relevant


def independently(ids: Ints, relevant: list[set[int]], measures: list[object]) -> dict[tuple[int, str], float]:
    qrels = {f"{user:02}": {str(item): 1 for item in items} for user, items in enumerate(relevant)}
    # A list that is empty must still be asked for: an answer nobody wants stands in.
    run = {
        f"{user:02}": {str(item): float(len(row) - rank) for rank, item in enumerate(row) if item >= 0} or {"none": 1.0}
        for user, row in enumerate(ids)
    }
    return {(int(m.query_id), str(m.measure)): m.value for m in ir_measures.iter_calc(measures, qrels, run)}


@given(rankings())
@settings(max_examples=150, deadline=None)
def test_agrees_with_ir_measures(case: tuple[Ints, list[set[int]]]) -> None:
    ids, relevant = case
    ks = [1, 3, 10]
    names = {
        f"{ours}@{k}": theirs @ k
        for k in ks
        for ours, theirs in {
            "precision": P,
            "recall": R,
            "hit_rate": Success,
            "ndcg": nDCG,
            "mrr": RR,
            "map": AP,
        }.items()
    }
    names["accuracy@1"] = Success @ 1
    expected = independently(ids, relevant, list(names.values()))
    found = metrics.ranking(ids, Relevant.of(relevant), ks)
    assert set(found) == set(names)
    for name, measure in names.items():
        for user, items in enumerate(relevant):
            theirs = expected[user, str(measure)]
            if name.startswith("map"):  # theirs divides by all relevant, ours by as many as fit into k
                theirs *= len(items) / min(len(items), int(name.split("@")[1]))
            assert found[name][user] == pytest.approx(theirs, abs=1e-6), (name, user)


@given(rankings())
@settings(max_examples=50, deadline=None)
def test_every_metric_lies_between_0_and_1_and_a_perfect_list_scores_1(case: tuple[Ints, list[set[int]]]) -> None:
    ids, relevant = case
    for values in metrics.ranking(ids, Relevant.of(relevant), [1, 5]).values():
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
    perfect = np.full((len(relevant), CATALOGUE), -1, np.int32)
    for row, items in zip(perfect, relevant, strict=True):
        row[: len(items)] = sorted(items)
    best = metrics.ranking(perfect, Relevant.of(relevant), [5])
    for name in ("accuracy@1", "hit_rate@5", "ndcg@5", "mrr@5", "map@5"):
        assert best[name] == pytest.approx(1.0)


def test_known_answer() -> None:
    ids = np.array([[4, 1, 7], [2, -1, -1]], np.int32)
    found = metrics.ranking(ids, Relevant.of([{1, 7, 9, 8}, {3}]), [3])
    assert found["precision@3"].tolist() == [2 / 3, 0]
    assert found["recall@3"].tolist() == [0.5, 0]
    assert found["mrr@3"].tolist() == [0.5, 0]
    assert found["map@3"].tolist() == [pytest.approx((1 / 2 + 2 / 3) / 3), 0]
    dcg = 1 / np.log2(3) + 1 / np.log2(4)
    assert found["ndcg@3"].tolist() == [pytest.approx(dcg / (dcg + 1)), 0]


def test_customers_without_relevant_products_are_left_out() -> None:
    ids = np.array([[0], [1]], np.int32)
    found = metrics.ranking(ids, Relevant.of([{0}, set()]), [1])
    assert np.isnan(found["ndcg@1"][1])
    estimate = metrics.summarise(found)["ndcg@1"]
    assert (estimate.mean, estimate.n) == (1.0, 1)


def test_nothing_relevant_and_nobody_asked() -> None:
    nothing = metrics.ranking(np.zeros((2, 1), np.int32), Relevant.of([[], []]), [1])
    assert np.isnan(metrics.summarise(nothing)["ndcg@1"].mean)
    nobody = metrics.summarise(metrics.ranking(np.empty((0, 1), np.int32), Relevant.of([]), [1]))
    assert nobody["ndcg@1"].n == 0


def test_a_list_shorter_than_k_counts_as_if_nothing_followed() -> None:
    relevant = Relevant.of([{0}])
    short = metrics.ranking(np.array([[5, 0]], np.int32), relevant, [10])
    padded = metrics.ranking(np.array([[5, 0] + [-1] * 8], np.int32), relevant, [10])
    assert {name: values[0] for name, values in short.items()} == {name: v[0] for name, v in padded.items()}


def test_as_many_lists_as_customers() -> None:
    with pytest.raises(ValueError, match="1 lists for 2 customers"):
        metrics.hits(np.zeros((1, 1), np.int32), Relevant.of([{0}, {1}]))


@given(st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=1, max_size=6))
def test_relevant_of_sequences_are_their_distinct_products(rows: list[list[int]]) -> None:
    found = Relevant.distinct(sequences_of(rows))
    assert [found.ids[a:b].tolist() for a, b in zip(found.offsets, found.offsets[1:], strict=False)] == [
        sorted(set(row)) for row in rows
    ]
    assert np.array_equal(found.ids, Relevant.of(rows).ids)
    backwards = found.select(np.arange(len(rows))[::-1])
    assert backwards.select(np.arange(len(rows))[::-1]).ids.tolist() == found.ids.tolist()
    even = found.keep(found.ids % 2 == 0)
    assert len(even) == len(rows)
    assert not (even.ids % 2).any()


def test_interval_is_as_wide_as_theory_says_and_repeats() -> None:
    values = np.random.default_rng(5).normal(3.0, 2.0, 4_000)
    once = metrics.summarise({"x": values}, seed=1)["x"]
    half_width = 1.96 * values.std() / np.sqrt(len(values))
    assert once.mean == pytest.approx(values.mean())
    assert (once.high - once.low) / 2 == pytest.approx(half_width, rel=0.1)
    assert once.low < once.mean < once.high
    assert metrics.summarise({"x": values}, seed=1)["x"] == once


def test_intervals_cover_the_truth_about_as_often_as_they_promise() -> None:
    generator = np.random.default_rng(2)
    inside = 0
    for trial in range(200):
        values = (generator.random(150) < 0.2).astype(np.float64)
        estimate = metrics.summarise({"x": values}, seed=trial, resamples=400)["x"]
        inside += estimate.low <= 0.2 <= estimate.high
    assert 178 <= inside <= 199


def test_paired_difference_is_narrower_than_the_two_intervals() -> None:
    generator = np.random.default_rng(0)
    theirs = {"x": generator.random(500)}
    ours = {"x": theirs["x"] + 0.02 + 0.01 * generator.standard_normal(500), "only": theirs["x"]}
    found = metrics.differences(ours, theirs)
    assert set(found) == {"x"}
    assert 0 < found["x"].low < 0.02 < found["x"].high < 0.03
    alone = metrics.summarise(ours)["x"]
    assert found["x"].high - found["x"].low < (alone.high - alone.low) / 5


def test_missing_values_differ_by_column() -> None:
    found = metrics.summarise({"a": np.array([1.0, np.nan, 3.0]), "b": np.array([np.nan, np.nan, 5.0])})
    assert (found["a"].mean, found["a"].n) == (2.0, 2)
    assert (found["b"].mean, found["b"].low, found["b"].high, found["b"].n) == (5.0, 5.0, 5.0, 1)


def test_coverage_counts_what_anybody_sees() -> None:
    everybody_the_same = np.tile(np.array([0, 1], np.int32), (50, 1))
    found = metrics.coverage(everybody_the_same, 10)
    assert (found.mean, found.low, found.high) == (0.2, 0.2, 0.2)
    each_their_own = np.array([[0], [1], [2], [-1]], np.int32)
    own = metrics.coverage(each_their_own, 10)
    assert own.mean == pytest.approx(0.3)
    assert own.low < 0.3 < own.high


@given(rankings())
@settings(max_examples=50, deadline=None)
def test_diversity_is_the_mean_distance_of_pairs(case: tuple[Ints, list[set[int]]]) -> None:
    ids, _ = case
    generator = np.random.default_rng(0)
    vectors: Floats = generator.standard_normal((CATALOGUE, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[3] = 0  # a product without text or photo
    groups = generator.integers(-1, 3, CATALOGUE).astype(np.int32)
    by_vectors = metrics.diversity(ids, vectors=vectors)
    by_groups = metrics.diversity(ids, groups=groups)
    for user, row in enumerate(ids):
        shown = [int(item) for item in row if item >= 0]
        pairs = [(a, b) for place, a in enumerate(shown) for b in shown[place + 1 :]]
        if not pairs:
            assert np.isnan(by_vectors[user])
            assert np.isnan(by_groups[user])
            continue
        far = np.mean([1 - float(vectors[a] @ vectors[b]) for a, b in pairs])
        differ = np.mean([groups[a] != groups[b] or groups[a] < 0 for a, b in pairs])
        assert by_vectors[user] == pytest.approx(far, abs=1e-5)
        assert by_groups[user] == pytest.approx(differ)


def test_diversity_needs_one_kind_of_distance() -> None:
    with pytest.raises(ValueError, match="vectors or groups"):
        metrics.diversity(np.zeros((1, 2), np.int32))


def test_novelty_is_bits_of_surprise() -> None:
    ids = np.array([[0, 1], [2, -1], [-1, -1]], np.int32)
    found = metrics.novelty(ids, np.array([8, 2, 0]), 8)
    assert found[:2].tolist() == [1.0, 3.0]
    assert np.isnan(found[2])


def test_gini_from_all_alike_to_one_takes_all() -> None:
    assert metrics.gini(np.arange(10, dtype=np.int32)[:, None], 10) == pytest.approx(0)
    assert metrics.gini(np.zeros((5, 1), np.int32), 10) == pytest.approx(0.9)
    assert np.isnan(metrics.gini(np.full((2, 2), -1, np.int32), 10))
