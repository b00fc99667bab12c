"""Who stands in an evaluation, and who is left out of it and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shelfwise.errors import NotEnoughData
from shelfwise.evaluation.baselines import counting, fit_baselines, networks
from shelfwise.evaluation.evaluate import cutoff_of
from shelfwise.models.sequences import IdMap, sequences_of
from shelfwise.training.dataset import Dataset
from tests.training.test_pipeline import ITEMS, SMALL, shop


def dataset() -> Dataset:
    sequences = shop(customers=40)
    return Dataset(IdMap(map(str, range(ITEMS.n))), IdMap(map(str, range(len(sequences)))), sequences, ITEMS)


def test_names_and_limits() -> None:
    assert [one.model.name for one in counting()] == ["popularity", "repurchase", "item-knn", "ease"]
    assert all(one.refit for one in counting())
    found = networks(SMALL, 0.5, squared=True)
    assert [one.model.name for one in found] == ["ncf", "described", "described-mse"]
    assert [one.model.seconds for one in found] == [30, 30, 30]  # type: ignore[union-attr]
    assert [one.model.seconds for one in networks(SMALL, None)] == [None, None]  # type: ignore[union-attr]


def test_networks_are_fitted_within_their_time() -> None:
    whole, bounded = dataset(), networks(SMALL, 1e-6)
    seconds = fit_baselines(bounded, whole, cutoff_of(whole, SMALL), SMALL)
    assert all(one.model.stopped_after is not None for one in bounded)  # type: ignore[union-attr]
    assert set(seconds) == {"ncf", "described"}


def test_a_record_that_is_too_short_is_said() -> None:
    # A single event a customer before the window: nothing to foretell.
    day = 86_400
    alone = sequences_of([[c % 5, c % 7] for c in range(40)], times=[[c, 15 * day + c] for c in range(40)])
    with pytest.raises(NotEnoughData):
        fit_baselines(networks(SMALL, None), replace(dataset(), sequences=alone), day, SMALL)
