"""The planner keeps every limit, comes within 1% of the exact optimum, and its bound is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from shelfwise.errors import InvalidRequest
from shelfwise.plan.campaigns.planner import plan


def exact(value: np.ndarray, cost: np.ndarray, budget: float, most: int, limits: np.ndarray) -> float:
    people, campaigns = value.shape
    allowed = np.isfinite(value).ravel()
    by_customer = np.kron(np.eye(people), np.ones(campaigns))
    by_campaign = np.kron(np.ones(people), np.eye(campaigns))
    rows = [np.tile(cost, people)[None], by_customer, by_campaign]
    highest = np.concatenate([[budget], np.full(people, most), limits])
    answer = milp(
        -np.where(allowed, value.ravel(), 0),
        constraints=LinearConstraint(np.vstack(rows), ub=highest),
        bounds=Bounds(0, allowed.astype(float)),
        integrality=np.ones(value.size),
        options={"mip_rel_gap": 0},
    )
    return float(-answer.fun)


def case(seed: int, people: int, campaigns: int) -> tuple[np.ndarray, np.ndarray, float, int, np.ndarray]:
    draw = np.random.default_rng(seed)
    value = draw.normal(1, 2, (people, campaigns)) + draw.normal(0, 1, (people, 1))
    value[draw.random(value.shape) < 0.1] = -np.inf
    cost = draw.uniform(0.2, 3, campaigns)
    limits = draw.integers(1, people, campaigns)
    return value, cost, float(draw.uniform(0.1, 0.6) * people * cost.mean()), int(draw.integers(1, 4)), limits


@pytest.mark.parametrize("seed", range(12))
def test_within_a_hundredth_of_the_exact_optimum(seed: int) -> None:
    value, cost, budget, most, limits = case(seed, 60, 5)
    made = plan(value, cost, budget, most=most, limits=limits)
    best = exact(value, cost, budget, most, limits)
    assert best * 0.99 <= made.value <= best + 1e-6
    assert made.bound >= best - 1e-6


@given(st.integers(0, 10_000), st.integers(1, 25), st.integers(1, 5))
def test_no_limit_is_broken_and_nothing_that_loses_is_sent(seed: int, people: int, campaigns: int) -> None:
    value, cost, budget, most, limits = case(seed, people + 1, campaigns)
    made = plan(value, cost, budget, most=most, limits=limits)
    assert (made.chosen.sum(1) <= most).all()
    assert (made.chosen.sum(0) <= limits).all()
    assert (made.chosen * cost).sum() <= budget + 1e-6
    assert (value[made.chosen] > 0).all()
    assert made.value == pytest.approx(value[made.chosen].sum())
    assert 0 <= made.gap <= 1


def test_without_a_budget_nothing_is_sent_and_free_campaigns_are() -> None:
    value = np.array([[5.0, 1.0], [2.0, -1.0]])
    assert not plan(value, np.array([1.0, 1.0]), 0).chosen.any()
    assert plan(value, np.array([0.0, 0.0]), 0, most=2).value == 8


@pytest.mark.parametrize(
    ("cost", "budget", "most"), [([1.0], 1, 1), ([-1.0, 1.0], 1, 1), ([1.0, 1.0], -1, 1), ([1.0, 1.0], 1, 0)]
)
def test_what_makes_no_sense_is_refused(cost: list[float], budget: float, most: int) -> None:
    with pytest.raises(InvalidRequest):
        plan(np.ones((3, 2)), np.array(cost), budget, most=most)
