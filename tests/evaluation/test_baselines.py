"""Who stands in an evaluation, and who is left out of it and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shelfwise.errors import NotEnoughData
from shelfwise.evaluation.baselines import bounded_networks, counting, fit_baselines, networks
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
    whole = dataset()
    found = bounded_networks(whole, cutoff_of(whole, SMALL), SMALL.model_copy(update={"baseline_minutes": 1e-6}))
    assert [one.model.name for one in found.models] == ["ncf", "described"]
    assert all(one.model.stopped_after is not None for one in found.models)  # type: ignore[union-attr]
    assert set(found.seconds) == {"ncf", "described"}
    assert found.left_out == {}


def test_no_minutes_leave_them_out() -> None:
    whole = dataset()
    found = bounded_networks(whole, cutoff_of(whole, SMALL), SMALL.model_copy(update={"baseline_minutes": 0}))
    assert found.models == []
    assert found.left_out == {"ncf": "minutes", "described": "minutes"}


def test_one_that_cannot_be_fitted_hinders_no_other() -> None:
    # A single event a customer before the window: nothing for the described network to foretell.
    day = 86_400
    alone = sequences_of([[c % 5, c % 7] for c in range(40)], times=[[c, 15 * day + c] for c in range(40)])
    short = replace(dataset(), sequences=alone)
    found = bounded_networks(short, 30 * day, SMALL.model_copy(update={"validation_days": 20}))
    assert [one.model.name for one in found.models] == ["ncf"]
    assert found.left_out == {"described": "data"}
    with pytest.raises(NotEnoughData):
        fit_baselines(networks(SMALL, None), short, day, SMALL)
