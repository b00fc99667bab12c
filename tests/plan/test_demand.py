"""Forecasts: known answers on drawn demand, and sane ones on whatever a table may hold."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from shelfwise.errors import InvalidRecord, InvalidRequest, NotEnoughData, ShelfwiseError, UnreadableFile
from shelfwise.plan.demand.benchmark import by_method, measure
from shelfwise.plan.demand.features import demand_class
from shelfwise.plan.demand.holidays import check_country, easter_distance, holiday_counts
from shelfwise.plan.demand.methods import METHODS, run
from shelfwise.plan.demand.mixing import stretches
from shelfwise.plan.demand.model import forecast, without_outliers
from shelfwise.plan.demand.panel import Panel, panel_of, read_panel
from shelfwise.plan.demand.quantiles import LEVELS, quantile_at


def long(y: np.ndarray, *, step: int = 7) -> pl.DataFrame:
    n, periods = y.shape
    return pl.DataFrame(
        {
            "unique_id": np.repeat([f"p{i}" for i in range(n)], periods),
            "ds": [date(2022, 1, 3) + timedelta(days=step * t) for t in range(periods)] * n,
            "y": y.ravel(),
        }
    )


def drawn(n: int = 60, periods: int = 110, seed: int = 0) -> np.ndarray:
    """Poisson demand of a yearly season, 1 to 40 a week."""
    rng = np.random.default_rng(seed)
    level = np.exp(rng.uniform(0, 3.7, n))
    season = 1 + 0.5 * np.sin(np.arange(periods) / 52 * 2 * np.pi)
    return rng.poisson(level[:, None] * season).astype(float)


def test_calendars_are_recognised() -> None:
    for step, name in ((1, "day"), (7, "week")):
        assert panel_of(long(drawn(3, 40), step=step)).frequency == name
    months = pl.DataFrame(
        {
            "unique_id": "a",
            "ds": pl.date_range(date(2020, 1, 31), date(2022, 1, 31), "1mo", eager=True),
            "y": list(range(25)),
        }
    )
    panel = panel_of(months)
    assert (panel.frequency, panel.periods, panel.season) == ("month", 25, 12)
    assert np.isfinite(panel.y).all()
    assert panel.date_of(25) == date(2022, 2, 1)


def test_mixed_calendars_are_an_error() -> None:
    mixed = pl.concat([long(drawn(3, 40), step=1), long(drawn(3, 40)).with_columns(pl.col("unique_id") + "w")])
    with pytest.raises(InvalidRecord, match="calendar"):
        panel_of(mixed)


def test_bad_tables_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no column y"):
        panel_of(pl.DataFrame({"unique_id": ["a"], "ds": ["2024-01-01"]}))
    with pytest.raises(UnreadableFile, match="dates"):
        panel_of(pl.DataFrame({"unique_id": ["a"], "ds": ["soon"], "y": [1]}))
    with pytest.raises(NotEnoughData):
        panel_of(pl.DataFrame({"unique_id": ["a"], "ds": ["2024-01-01"], "y": ["none"]}))
    with pytest.raises(UnreadableFile):
        read_panel(tmp_path / "absent.csv")


def test_what_is_mended_is_noted() -> None:
    table = pl.DataFrame(
        {"unique_id": ["a", "a", "a"], "ds": ["2024-01-01", "2024-01-01", "2024-01-03"], "y": [2.0, 3.0, -1.0]}
    )
    panel = panel_of(table)
    assert panel.y[0, 0] == 5
    assert np.isnan(panel.y[0, 1])
    assert panel.y[0, 2] == 0
    assert len(panel.notes) == 2


def test_sold_out_periods_are_unknown_and_further_columns_find_their_place() -> None:
    table = long(np.arange(20.0).reshape(2, 10), step=1).with_columns(
        in_stock=pl.Series(["true"] * 9 + ["false"] + ["1"] * 10),
        price=pl.Series(np.arange(20.0)),
        brand=pl.Series(["x"] * 10 + ["y"] * 10),
    )
    panel = panel_of(table)
    assert np.isnan(panel.y[0, 9])
    assert np.isfinite(panel.y).sum() == 19
    assert set(panel.known) == {"price"}
    assert set(panel.static) == {"brand"}


def test_the_future_does_not_reach_a_forecast() -> None:
    y = drawn(5, 60).astype(np.float32)
    early, _ = run(y, np.array([40]), 6, 52, 26)
    changed = y.copy()
    changed[:, 40:] = 1e6
    late, _ = run(changed, np.array([40]), 6, 52, 26)
    assert np.array_equal(early, late)


def test_methods_give_what_their_formulas_give() -> None:
    y = np.tile(np.array([0, 0, 4], np.float32), 40)[None, :]
    forecasts, _ = run(y, np.array([120]), 3, 3, 26)
    by = {name: forecasts[m, 0, 0] for m, name in enumerate(METHODS)}
    assert list(by["seasonal naive"]) == [0, 0, 4]
    assert by["SBA"] == pytest.approx([0.95 * 4 / 3] * 3, rel=1e-3)
    assert by["seasonal smoothing"][2] > 3
    assert by["mean"] == pytest.approx([4 / 3] * 3, rel=1e-5)


def test_classes() -> None:
    rng = np.random.default_rng(0)
    smooth = rng.poisson(20, 100)
    erratic = np.exp(rng.normal(3, 1.5, 100))
    intermittent = (rng.random(100) < 0.3) * 5.0
    lumpy = (rng.random(100) < 0.3) * np.exp(rng.normal(3, 1.5, 100))
    panel = panel_of(long(np.array([smooth, erratic, intermittent, lumpy])))
    assert list(demand_class(panel)) == [0, 1, 2, 3]


@pytest.mark.slow
def test_it_beats_the_baselines_and_covers_on_drawn_demand() -> None:
    result = measure(panel_of(long(drawn(120, 130)[:, :124])), 8)
    rows = {row["name"]: row for row in result["rows"]}
    engine = rows.pop("engine")
    assert engine["wql"] < min(row["wql"] for row in rows.values())
    assert abs(engine["cover80"] - 0.8) < 0.08
    assert abs(engine["cover90"] - 0.9) < 0.07
    assert abs(engine["bias"]) < 0.08


def test_intermittent_demand_has_a_median_of_nothing() -> None:
    rng = np.random.default_rng(1)
    y = (rng.random((80, 100)) < 0.2) * rng.integers(1, 4, (80, 100))
    made = forecast(panel_of(long(y.astype(float))), 4)
    assert np.median(made.quantiles[:, :, LEVELS.index(0.5)]) == 0
    assert made.mean.mean() == pytest.approx(0.4, abs=0.12)


def test_totals_over_several_periods() -> None:
    panel = panel_of(long(drawn(100, 110)))
    total = forecast(panel, 4, blocks=[(1, 4)])
    single = forecast(panel, 4)
    assert total.quantiles.shape == (100, 1, len(LEVELS))
    assert total.mean.sum() == pytest.approx(single.mean.sum(), rel=0.1)
    width = total.at(0.9)[:, 0] - total.at(0.1)[:, 0]
    assert np.median(width / (single.at(0.9) - single.at(0.1)).sum(1)) < 0.8  # errors of periods cancel in part


def test_quantiles_beyond_the_levels_go_on_rising() -> None:
    made = forecast(panel_of(long(drawn(40, 90))), 2)
    values = [quantile_at(made.quantiles, level) for level in (0.0, 0.05, 0.5, 0.95, 0.99, 0.999)]
    assert all((b >= a - 1e-9).all() for a, b in itertools.pairwise(values))


def test_one_wholesale_order_is_cut() -> None:
    y = np.full((1, 30), 5.0, np.float32)
    y[0, 4] = 80_000
    assert without_outliers(y).max() == 15


@pytest.mark.parametrize("horizon", [0, -1, 10_000])
def test_a_horizon_of_nothing_is_an_error(horizon: int) -> None:
    with pytest.raises(InvalidRequest):
        forecast(panel_of(long(drawn(3, 30))), horizon)


def test_a_benchmark_needs_something_to_learn_from() -> None:
    with pytest.raises(NotEnoughData):
        measure(panel_of(long(drawn(3, 10))), 10)
    with pytest.raises(InvalidRequest):
        measure(panel_of(long(drawn(3, 10))), 2, only=["oracle"])


values = st.one_of(st.none(), st.floats(-50, 1e6), st.just(0.0), st.integers(0, 5).map(float))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    series=st.lists(st.lists(values, min_size=1, max_size=30), min_size=1, max_size=6),
    step=st.sampled_from([1, 7, 30, 91]),
    horizon=st.integers(1, 40),
)
def test_any_table_gets_a_sane_answer_or_a_named_error(
    series: list[list[float | None]], step: int, horizon: int
) -> None:
    rows = [
        (f"s{i}", date(2021, 1, 4) + timedelta(days=step * t), value)
        for i, one in enumerate(series)
        for t, value in enumerate(one)
    ]
    table = pl.DataFrame(rows, schema={"unique_id": pl.String, "ds": pl.Date, "y": pl.Float64}, orient="row")
    try:
        panel = panel_of(table)
        made = forecast(panel, horizon)
    except ShelfwiseError:
        return
    assert made.quantiles.shape == (len(panel), horizon, len(LEVELS))
    assert np.isfinite(made.quantiles).all()
    assert np.isfinite(made.mean).all()
    assert (made.quantiles >= 0).all()
    assert (np.diff(made.quantiles, axis=2) >= -1e-9).all()
    if panel.periods > 4:
        baseline = by_method(panel, horizon, "seasonal smoothing")
        assert np.isfinite(baseline.quantiles).all()
        assert (baseline.quantiles >= 0).all()


def test_a_panel_is_cut_in_time() -> None:
    panel = panel_of(long(drawn(4, 30)))
    assert isinstance(panel, Panel)
    assert panel.until(10).periods == 10
    assert panel.rows(np.array([2])).ids == ("p2",)


def test_a_peak_seen_once_comes_again() -> None:
    rng = np.random.default_rng(3)
    weeks = np.arange(100)
    peak = np.where(weeks % 52 >= 44, 2.5, 1.0)  # once in what is known, and again in the weeks ahead
    y = np.exp(rng.uniform(4, 8, 12))[:, None] * peak * rng.normal(1, 0.05, (12, 100))
    known = panel_of(long(y[:, :96]))
    made = forecast(known, 4)
    usual = y[:, 60:95].mean(1)
    assert (made.mean.mean(1) > 2.0 * usual).mean() > 0.8
    assert "seasonal" in made.weights["smooth"]
    short = forecast(panel_of(long(y[:, :50])), 4)
    assert "seasonal" not in short.weights["smooth"]


@pytest.mark.slow
def test_days_know_their_year() -> None:
    rng = np.random.default_rng(1)
    days = np.arange(830)
    week = np.array([0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 0.9])[days % 7]
    season = 1 + 0.5 * np.sin(2 * np.pi * (days - 100) / 365)  # the last known day lies at its height
    y = rng.poisson(np.exp(rng.uniform(2.5, 4, 6))[:, None] * week * season)
    made = forecast(panel_of(long(y[:, :740], step=1)), 90)
    assert abs(made.mean.sum() / y[:, 740:].sum() - 1) < 0.15
    with_season = made.weights["smooth"]
    assert "seasonal" in with_season


def test_holidays_move_through_the_calendar() -> None:
    starts = [date(2024, 3, 18) + timedelta(days=7 * week) for week in range(4)]
    assert holiday_counts("GB", starts).tolist() == [0, 1, 0, 0]  # Good Friday, in the whole country
    assert easter_distance([date(2024, 3, 30), date(2025, 4, 20), date(2025, 7, 1)]).tolist()[:2] == [-1, 0]
    with pytest.raises(InvalidRequest, match="ISO 3166"):
        check_country("Atlantis")
    panel = replace(panel_of(long(drawn(20, 60))), country="US")
    assert np.isfinite(forecast(panel, 4).mean).all()


def test_a_level_that_has_moved_is_not_answered_by_last_season() -> None:
    rng = np.random.default_rng(1)
    level = np.where(np.arange(104) < 60, 20, 60)  # a season ago a third of what sells now
    y = rng.poisson(level, (12, 104))
    made = forecast(panel_of(long(y[:, :96])), 8)
    assert abs(made.mean.mean() / 60 - 1) < 0.08


def test_a_fan_that_holds_too_little_is_drawn_apart_and_a_class_of_few_rows_leans_on_its_kin() -> None:
    rng = np.random.default_rng(0)
    came = rng.normal(100, 10, 1_040)
    quantiles = 100 + np.tile(norm.ppf(LEVELS) * 7, (1_040, 1))  # narrower by 1.43
    classes = np.where(np.arange(1_040) < 1_000, 0, 1)
    stretch = stretches(quantiles, came, classes)
    assert stretch[0] == pytest.approx(10 / 7, abs=0.08)
    assert stretch[1] == pytest.approx(stretch[0], abs=0.02)
    assert set(stretch) == {0, 1}
    assert stretches(100 + np.tile(norm.ppf(LEVELS) * 12, (1_040, 1)), came, classes) == {0: 1.0, 1: 1.0}
