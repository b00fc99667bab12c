import lightgbm
import numpy as np
import pytest

from shelfwise.errors import BundleError
from shelfwise.models.ranker import Linear, Ranker, Trees

RANDOM = np.random.default_rng(0)


def boosted() -> Trees:
    features = RANDOM.normal(size=(500, 3))
    booster = lightgbm.train(
        {"objective": "regression", "num_leaves": 4, "verbose": -1, "num_threads": 1},
        lightgbm.Dataset(features, features[:, 0] * features[:, 1]),
        5,
    )
    return Trees(booster.model_to_string())


def test_each_question_has_its_head() -> None:
    first, second = (Linear(np.array(weights, np.float32)) for weights in ([1, 0, 0], [0, 2, 0]))
    ranker = Ranker("abc", {"home": first, "new": second})
    features = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    assert ranker.score(features, "home").tolist() == [1, 4]
    assert ranker.score(features, "new").tolist() == [4, 10]
    assert ranker.score(features, "cart").tolist() == [1, 4], "the nearest question's answers where it has none"


def test_comes_back_from_its_tensors_as_it_was() -> None:
    ranker = Ranker(["x", "y", "z"], {"home": boosted(), "new": Linear(np.array([0.5, -1, 2], np.float32))})
    found = Ranker.from_tensors(ranker.tensors())
    assert found.features == ("x", "y", "z")
    features = RANDOM.normal(size=(50, 3)).astype(np.float32)
    for question in ("home", "new"):
        assert np.array_equal(found.score(features, question), ranker.score(features, question))
        assert found.score(features, question).dtype == np.float32
    assert len(ranker.score(features[:0])) == 0


def test_what_is_no_ranker_is_refused() -> None:
    tensors = Ranker(["x", "y", "z"], {"home": boosted(), "new": boosted()}).tensors()
    with pytest.raises(BundleError, match="train again"):
        Ranker.from_tensors({**tensors, "features": np.frombuffer(b"x\ny", np.uint8)})
    with pytest.raises(BundleError, match="train again"):
        Ranker.from_tensors({name: value for name, value in tensors.items() if name != "head.new"})
    with pytest.raises(BundleError, match="train again"):
        Ranker.from_tensors({**tensors, "head.new": np.frombuffer(b"no trees", np.uint8)})
