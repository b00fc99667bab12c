"""A forest scores as LightGBM does, to the last bit."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shelfwise.models.forest import Forest, joined


def trained(leaves: int, seed: int, trees: int = 20, **more: object) -> tuple[lightgbm.Booster, np.ndarray]:
    chance = np.random.default_rng(seed)
    features = np.round(chance.normal(size=(600, 7)), 1).astype(np.float32)
    wanted = features[:, 0] * features[:, 1] + chance.normal(size=600)
    told = {"objective": "regression", "num_leaves": leaves, "min_data_in_leaf": 2, "verbose": -1, "num_threads": 1}
    return lightgbm.train(told | more, lightgbm.Dataset(features, wanted), trees), features


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 9), st.integers(0, 99), st.integers(1, 30))
@example(5, 0, 11)  # a threshold so near zero that LightGBM takes the value on it for zero
def test_scores_are_lightgbms(leaves: int, seed: int, trees: int) -> None:
    booster, features = trained(leaves, seed, trees)
    forest = Forest.of(booster.model_to_string())
    assert forest is not None
    # Values on thresholds too: LightGBM puts them between the values it saw.
    edges = [node for tree in booster.dump_model()["tree_info"] for node in _splits(tree["tree_structure"])]
    features[: len(edges), :] = np.array(edges[: len(features)], np.float64).astype(np.float32)[:, None]
    expected = booster.predict(features, num_threads=1, raw_score=True).astype(np.float32)
    np.testing.assert_array_equal(forest.score(features), expected)
    np.testing.assert_array_equal(forest.score(features[:1]), expected[:1])


def _splits(node: dict) -> list[float]:  # type: ignore[type-arg]
    if "leaf_value" in node:
        return []
    return [node["threshold"], *_splits(node["left_child"]), *_splits(node["right_child"])]


def test_models_are_joined_into_their_sum() -> None:
    parts = [trained(7, seed, trees)[0] for seed, trees in ((0, 3), (1, 12), (2, 1))]
    features = trained(7, 3)[1]
    expected = sum(part.predict(features, num_threads=1, raw_score=True) for part in parts)
    text = joined([part.model_to_string() for part in parts])
    forest = Forest.of(text)
    assert forest is not None
    np.testing.assert_allclose(forest.score(features), expected, rtol=1e-6)
    np.testing.assert_allclose(lightgbm.Booster(model_str=text).predict(features), expected, rtol=1e-6)


def test_many_rows_are_scored_in_parts() -> None:
    booster, features = trained(7, 0)
    forest = Forest.of(booster.model_to_string())
    assert forest is not None
    many = np.tile(features, (20, 1))
    np.testing.assert_array_equal(forest.score(many), booster.predict(many, num_threads=1).astype(np.float32))


@pytest.mark.parametrize(
    ("leaves", "more"), [(10, {}), (7, {"zero_as_missing": True}), (7, {"categorical_feature": [0]})]
)
def test_other_trees_are_left_to_lightgbm(leaves: int, more: dict[str, object]) -> None:
    if "categorical_feature" in more:
        chance = np.random.default_rng(0)
        features = chance.integers(0, 5, (300, 2)).astype(np.float32)
        data = lightgbm.Dataset(features, (features[:, 0] % 2) + chance.normal(size=300), categorical_feature=[0])
        booster = lightgbm.train({"num_leaves": 4, "verbose": -1, "num_threads": 1, "min_data_per_group": 5}, data, 3)
    else:
        booster, _ = trained(leaves, 1, **more)
    assert Forest.of(booster.model_to_string()) is None
