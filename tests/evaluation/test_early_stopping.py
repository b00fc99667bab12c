"""A bounded fit of the baseline networks: it ends when its time is up, with the best state it saw."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shelfwise.evaluation.described import Described
from shelfwise.evaluation.ncf import Ncf
from shelfwise.metrics import Relevant, ranking
from shelfwise.models.recommender import Items, recommend
from shelfwise.models.sequences import Sequences, sequences_of

Network = type[Ncf] | type[Described]
FOLLOWING = sequences_of([[(c + 5) % 12] for c in range(200)])


def circle() -> Sequences:
    """After product i comes product i + 1, and after the last the first."""
    return sequences_of([[(c + step) % 12 for step in range(5)] for c in range(200)])


@pytest.mark.parametrize("network", [Ncf, Described])
def test_no_time_is_one_step_and_one_look(network: Network) -> None:
    told: list[tuple[int, int, str]] = []
    model = network(width=8, seconds=0.0)
    model.fit(circle(), Items(n=12), validation=FOLLOWING, progress=lambda *seen: told.append(seen))
    assert [done for done, _, _ in told] == [1]
    assert model.stopped_after is not None
    assert model.scores(circle()).shape == (200, 12)


@pytest.mark.parametrize("network", [Ncf, Described])
def test_time_enough_is_no_stop(network: Network) -> None:
    told: list[int] = []
    model = network(width=8, steps=12, seconds=600.0)
    model.fit(circle(), Items(n=12), validation=FOLLOWING, progress=lambda done, _total, _what: told.append(done))
    assert model.stopped_after is None
    assert told[-1] == 12
    unbounded = network(width=8, steps=12).fit(circle(), Items(n=12), validation=FOLLOWING)
    np.testing.assert_array_equal(model.scores(circle()), unbounded.scores(circle()))


@pytest.mark.parametrize("network", [Ncf, Described])
def test_stopped_in_the_middle_keeps_the_best_look(network: Network) -> None:
    told: list[tuple[int, int, str]] = []
    # Thousands of steps wait to be made: a second is not enough.
    many = sequences_of([[(c + step) % 12 for step in range(100)] for c in range(2_000)])
    following = sequences_of([[(c + 100) % 12] for c in range(2_000)])
    model = network(width=8, steps=100_000, seconds=1.0)
    model.fit(many, Items(n=12), validation=following, progress=lambda *seen: told.append(seen))
    assert model.stopped_after is not None
    assert len(told) > 1
    assert told[-1][0] < told[-1][1]
    reached = [float(what.rsplit(" ", 1)[1]) for _, _, what in told]
    ids, _ = recommend(model, many, 10)
    found = float(np.nanmean(ranking(ids, Relevant.distinct(following), (10,))["ndcg@10"]))
    assert found == pytest.approx(max(reached), abs=0.05)  # the looks ask a part of the customers
    # A later fit without a limit forgets that one was stopped.
    model.seconds, model.steps = None, 3
    assert model.fit(circle(), Items(n=12)).stopped_after is None


def test_without_validation_the_limit_holds_too() -> None:
    model = Ncf(width=8, seconds=0.0).fit(circle(), Items(n=12))
    assert model.stopped_after is not None
    assert math.isfinite(float(model.scores(circle()).max()))
