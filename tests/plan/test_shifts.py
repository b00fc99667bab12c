"""A level that moved for all products at once: found where it did, and nowhere else."""

from datetime import date
from typing import Any

import numpy as np
import pytest

from shelfwise.plan.demand.model import forecast
from shelfwise.plan.demand.panel import FREQUENCIES, Panel
from shelfwise.plan.demand.shifts import on_one_level

Array = np.ndarray[Any, Any]


def panel(mean: Array, *, frequency: str = "week", known: dict[str, Array] | None = None) -> Panel:
    y = np.random.default_rng(1).poisson(mean).astype(np.float32)
    return Panel(
        ids=tuple(map(str, range(len(y)))), y=y, start=date(2022, 1, 3), frequency=frequency,
        season=FREQUENCIES[frequency][1], known=known or {},
    )  # fmt: skip


def level(n: int, periods: int) -> Array:
    return np.repeat(np.exp(np.random.default_rng(0).normal(3.5, 0.7, n))[:, None], periods, 1)


def stepped(mean: Array, *, at: int, by: float) -> Array:
    return np.asarray(mean * np.where(np.arange(mean.shape[1]) >= at, by, 1.0))


@pytest.mark.parametrize("by", [0.5, 1.5, 3.0])
def test_what_was_before_a_common_shift_is_brought_to_the_new_level(by: float) -> None:
    made = panel(stepped(level(30, 80), at=74, by=by))
    y = on_one_level(made, 36)
    assert y[:, :74].mean() == pytest.approx(y[:, 74:].mean(), rel=0.08)
    np.testing.assert_array_equal(y[:, 74:], made.y[:, 74:])


def test_a_dip_that_is_over_is_lifted_and_what_was_before_it_stays() -> None:
    made = panel(stepped(stepped(level(30, 80), at=60, by=0.4), at=70, by=2.5))
    y = on_one_level(made, 36)
    assert y[:, 60:70].mean() == pytest.approx(y[:, :60].mean(), rel=0.08)
    assert y[:, :60].mean() == pytest.approx(made.y[:, :60].mean(), rel=0.08)


def test_a_shift_of_days_is_found_in_spite_of_weekdays_and_closed_sundays() -> None:
    week = np.array([1.0, 0.8, 0.9, 1.0, 1.3, 1.6, 0.0])[np.arange(200) % 7]
    made = panel(stepped(level(20, 200) * week, at=186, by=1.8), frequency="day")
    y = on_one_level(made, 90)
    assert y[:, 172:186].mean() == pytest.approx(y[:, 186:].mean(), rel=0.1)


@pytest.mark.parametrize("kind", ["steady", "growing", "season", "peak", "few products", "noise", "promotion"])
def test_what_is_no_shift_of_all_products_changes_nothing(kind: str) -> None:
    mean, known = level(30, 130), {}
    at = np.arange(130)
    if kind == "growing":
        mean = mean * np.exp(0.02 * at)
    elif kind == "season":  # the same step a year before
        mean = mean * np.where(at % 52 >= 20, 2.0, 1.0)
    elif kind == "peak":
        mean = stepped(stepped(mean, at=126, by=2.0), at=128, by=0.5)
    elif kind == "few products":
        mean = np.concatenate([stepped(mean[:10], at=122, by=2.0), mean[10:]])
    elif kind == "noise":
        mean = mean * np.exp(np.random.default_rng(3).normal(0, 0.3, 130))
    elif kind == "promotion":
        mean = stepped(mean, at=122, by=1.6)
        known = {"promotion": np.repeat((at >= 122).astype(np.float32)[None], 30, 0)}
    made = panel(mean, known=known)
    assert on_one_level(made, 36) is made.y


def test_a_doubled_shop_is_forecast_at_its_new_level() -> None:
    mean = stepped(level(8, 40), at=35, by=2.0)
    made = forecast(panel(mean), 1)
    assert made.mean.mean() == pytest.approx(mean[:, -1].mean(), rel=0.12)
    assert (made.quantiles[..., -1] < 3 * mean[:, -1:]).all()
