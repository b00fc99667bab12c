import numpy as np
import pytest

from shelfwise.metrics import Relevant, ranking
from shelfwise.models.ranker import Linear, Trees
from shelfwise.models.sequences import Floats
from shelfwise.training.fit_ranker import Questions, collect, fit_ranker, ndcg


def made(n: int, seed: int, rule: str) -> Questions:
    """Questions of 40 candidates and three features; what is bought follows `rule`."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(n * 40, 3)).astype(np.float32)
    x, y, _ = features.T
    truth: Floats = {"one": x, "sum": x + y, "either": np.where(y > 0, x, -x), "none": random.normal(size=len(x))}[rule]
    cut = np.sort(truth.reshape(n, 40), axis=1)[:, -3:-2]
    found = (truth.reshape(n, 40) >= cut).ravel()
    return Questions(features, found, np.arange(0, n * 40 + 1, 40), np.full(n, 3))


def test_ndcg_agrees_with_the_metrics() -> None:
    questions = made(30, 0, "sum")
    scores = questions.features[:, 0] + 0.5 * questions.features[:, 2]
    order = np.argsort(-scores.reshape(30, 40), axis=1)[:, :12].astype(np.int32)
    relevant = Relevant.of([np.flatnonzero(row) for row in questions.relevance.reshape(30, 40)])
    assert ndcg(scores, questions) == pytest.approx(np.nanmean(ranking(order, relevant, [12])["ndcg@12"]))


def test_what_was_not_proposed_counts_as_missed() -> None:
    ids = np.array([4, 7], np.int32)
    questions = collect([(ids, np.eye(2, dtype=np.float32))], [np.array([7, 9], np.int32)])
    assert questions.relevance.tolist() == [False, True]
    assert questions.relevant.tolist() == [2]
    assert ndcg(np.array([0.0, 1.0], np.float32), questions) == pytest.approx(1 / (1 + 1 / np.log2(3)))


def test_a_single_source_that_tells_all_is_kept() -> None:
    _, fits = fit_ranker("xyz", {"home": [made(200, 0, "one")], "new": [made(200, 1, "one")]})
    for fit in fits.values():
        assert fit.ndcg[fit.chosen] == pytest.approx(1)
        assert fit.ndcg["x"] == pytest.approx(1)
        assert fit.chosen != "trees"


def test_questions_of_which_nothing_is_left_teach_nothing_and_break_nothing() -> None:
    """Few wrong candidates are learned from: of one without a right one, none may be."""
    large = made(100, 0, "sum")
    alone = Questions(large.features[:1], np.zeros(1, np.bool_), np.array([0, 1]), np.array([1]))
    padded = Questions(
        np.tile(large.features, (20, 1)), np.tile(large.relevance, 20), large.offsets * 20, large.relevant
    )
    window = padded.joined(*[alone] * 50)
    fewer = window.downsampled(120, 0)
    assert (np.diff(fewer.offsets) == 0).any()
    ranker, fits = fit_ranker("xyz", {"home": [window], "new": [window]})
    assert np.isfinite(list(fits["home"].ndcg.values())).all()
    assert np.isfinite(ranker.score(large.features)).all()


def test_trees_win_where_features_depend_on_each_other() -> None:
    windows = [made(300, seed, "either") for seed in range(3)]
    ranker, fits = fit_ranker("xyz", {"home": windows, "new": windows})
    assert fits["new"].chosen == "trees"
    assert isinstance(ranker.heads["new"], Trees)
    assert fits["new"].ndcg["trees"] > 1.5 * max(fits["new"].ndcg[name] for name in "xyz")
    fresh = made(100, 9, "either")
    assert ndcg(ranker.score(fresh.features, "new"), fresh) == pytest.approx(
        fits["new"].ndcg[fits["new"].chosen], abs=0.1
    )


def test_never_worse_than_the_best_source_where_it_was_chosen() -> None:
    for rule in ("one", "sum", "either", "none"):
        _, fits = fit_ranker("xyz", {"home": [made(60, 3, rule)], "new": [made(60, 4, rule)]})
        for fit in fits.values():
            assert fit.ndcg[fit.chosen] >= max(fit.ndcg[name] for name in "xyz")


def test_few_questions_are_all_asked_in_turn() -> None:
    """Of one small window a fifth would choose by chance; each question judges heads that did not learn from it."""
    window = made(100, 5, "sum")
    _, fits = fit_ranker("xyz", {"home": [window], "new": []})
    for at, name in enumerate("xyz"):
        assert fits["home"].ndcg[name] == pytest.approx(ndcg(window.features[:, at], window))
    assert fits["home"].chosen == "trees"


def test_too_little_to_learn_from_falls_back_to_a_source() -> None:
    ranker, fits = fit_ranker("xyz", {"home": [made(5, 0, "sum")], "new": []}, alone="yxz")
    assert fits["home"].chosen == fits["new"].chosen == "y"
    assert ranker.score(np.array([[1, 2, 3]], np.float32), "new").tolist() == [2]


def test_is_deterministic() -> None:
    windows = [made(100, 0, "either"), made(100, 1, "either")]
    first, second = (fit_ranker("xyz", {"home": windows, "new": windows}, seed=3)[0] for _ in range(2))
    assert np.array_equal(first.heads["home"].tensor(), second.heads["home"].tensor())


def test_what_was_never_sold_is_ordered_by_a_linear_head() -> None:
    windows = [made(100, seed, "sum") for seed in range(3)]
    ranker, fits = fit_ranker("xyz", {"home": windows, "cold": windows})
    assert fits["cold"].chosen == "linear"
    head = ranker.heads["cold"]
    assert isinstance(head, Linear)
    x, y, z = head.weights.tolist()
    assert x == pytest.approx(y, rel=0.2)
    assert abs(z) < 0.1 * x
    fresh = made(100, 9, "sum")
    assert ndcg(ranker.score(fresh.features, "cold"), fresh) > 0.9
