"""Ordering: the newsvendor's answer where it is known, and the play by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwise.errors import InvalidRequest, NotEnoughData, UnreadableFile
from shelfwise.plan.demand.panel import panel_of
from shelfwise.plan.demand.quantiles import LEVELS
from shelfwise.plan.inventory.benchmark import Terms, orders_benchmark, play, play_all
from shelfwise.plan.inventory.policy import decide
from tests.plan.test_demand import drawn, long


def uniform(n: int, periods: int, top: float) -> np.ndarray:
    return np.tile(np.array(LEVELS) * top, (n, periods, 1))


def test_without_a_lead_time_the_order_is_the_newsvendors_quantile() -> None:
    made = decide(
        uniform(1, 1, 100.0),
        np.zeros(1),
        np.zeros((1, 1)),
        lead=0,
        review=1,
        holding=np.array([0.2]),
        shortage=np.array([0.8]),
    )
    assert made.quantity[0] == pytest.approx(80, abs=4)
    assert made.shortage[0] == pytest.approx(0.2, abs=0.05)
    assert made.cost[0] < made.cost_without[0]


def test_what_is_there_and_due_is_not_ordered_again() -> None:
    options = {"lead": 1, "review": 1, "holding": np.full(3, 0.2), "shortage": np.ones(3)}
    made = decide(uniform(3, 2, 10.0), np.array([0.0, 40.0, 0.0]), np.array([[0, 0], [0, 0], [10, 40]]), **options)  # type: ignore[arg-type]
    assert made.quantity[0] > 0
    assert made.quantity[1] == 0
    assert made.quantity[2] == 0
    assert made.stockout[0] > made.stockout[1]


def test_packs_and_minimum() -> None:
    made = decide(
        uniform(2, 2, 10.0),
        np.zeros(2),
        np.zeros((2, 2)),
        lead=1,
        review=1,
        holding=np.full(2, 0.2),
        shortage=np.ones(2),
        pack=np.array([6.0, 6.0]),
        minimum=np.array([0.0, 24.0]),
    )
    assert made.quantity[0] % 6 == 0
    assert made.quantity[1] in (0, 24)


def test_play_by_hand() -> None:
    """Lead 1: the order before the first round is there in the second. 3 left, 5 missed, then 4 ordered come."""
    y = np.concatenate([np.full(20, 5.0), [2.0, 8.0]])[None, :]
    panel = panel_of(long(y))
    terms = Terms(lead=1, review=1, holding=np.array([0.5]), shortage=np.array([2.0]))
    seen: list[tuple[int, float]] = []

    def policy(period: int, stock: np.ndarray, due: np.ndarray) -> np.ndarray:
        seen.append((period, float(stock[0])))
        return np.array([1.0])

    result = play(panel, 20, np.array([4.0]), np.zeros((1, 3)), terms, policy)
    # Round 1: 4 - 2 = 2 left. Round 2: 2 + 1 due = 3, of 8 wanted 5 are missed.
    assert result == {"cost": 0.5 * 2 + 2.0 * 5, "holding": 1.0, "shortage": 10.0, "fill_rate": 0.5}
    assert seen == [(20, 4.0), (21, 2.0)]


@pytest.mark.slow
def test_the_engine_is_played_beside_policies(tmp_path: Path) -> None:
    panel = panel_of(long(drawn(60, 80)))
    result = play_all(panel, 1, 1, 4, 0.2, 1.0)
    rows = {row["name"]: row for row in result["rows"]}
    assert rows["engine"]["cost"] < 1.15 * rows[result["best_baseline"]]["cost"]
    assert all(0 <= row["fill_rate"] <= 1 for row in rows.values())
    assert "best fixed policy in hindsight" in rows


def test_state_is_read_and_bad_input_named(tmp_path: Path) -> None:
    table, state = tmp_path / "sales.csv", tmp_path / "state.csv"
    long(drawn(5, 40)).write_csv(table)
    pl.DataFrame({"unique_id": ["p0"], "on_hand": [1e9], "due_1": [0], "due_2": [3]}).write_csv(state)
    options = {"lead": 2, "review": 1, "rounds": 2, "holding": 0.2, "shortage": 1.0}
    result = orders_benchmark(table, state=state, **options)  # type: ignore[arg-type]
    assert all(row["holding"] > 1e8 for row in result["rows"])
    state.write_text("unique_id,stock\np0,1\n")
    with pytest.raises(UnreadableFile, match="on_hand"):
        orders_benchmark(table, state=state, **options)  # type: ignore[arg-type]
    with pytest.raises(NotEnoughData):
        orders_benchmark(table, **(options | {"rounds": 39}))  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest):
        orders_benchmark(table, **(options | {"review": 0}))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    top=st.floats(0, 1e6),
    stock=st.floats(0, 1e6),
    due=st.floats(0, 1e6),
    lead=st.integers(0, 4),
    review=st.integers(1, 4),
    costs=st.tuples(st.floats(0.001, 10), st.floats(0.001, 10)),
)
def test_an_order_is_never_negative_nor_nan(
    top: float, stock: float, due: float, lead: int, review: int, costs: tuple[float, float]
) -> None:
    span = lead + review
    arriving = np.zeros((1, span))
    arriving[0, 0] = due
    made = decide(
        uniform(1, span, top),
        np.array([stock]),
        arriving,
        lead=lead,
        review=review,
        holding=np.array([costs[0]]),
        shortage=np.array([costs[1]]),
    )
    assert np.isfinite(list(vars(made).values())).all()
    assert made.quantity[0] >= 0
    assert made.cost[0] <= made.cost_without[0] + 1e-6
