"""The step that stock presses with, on scores made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shelfwise.engine.arrange.by_stock import Pressure, by_stock
from shelfwise.engine.arrange.ranked import Ranked

ROWS = np.arange(8, dtype=np.int32)
SCORES = np.array([8, 7, 6, 5, 4, 3, 2, 1], dtype=np.float32)  # standard deviation 2.29


def pressed(pressure: Any, k: int = 12) -> Ranked:
    context: Any = SimpleNamespace(pressure=pressure, request=SimpleNamespace(k=k))
    return by_stock(context, Ranked(ROWS, SCORES))


def test_overstock_goes_up_and_what_runs_out_down() -> None:
    pressure = np.zeros(8, np.float32)
    pressure[[1, 5]] = -1, 1
    made = pressed(pressure)
    assert made.rows.tolist() == [0, 2, 5, 3, 1, 4, 6, 7]
    assert (np.diff(made.scores) <= 0).all()


def test_without_pressure_nothing_changes() -> None:
    assert pressed(None).rows.tolist() == ROWS.tolist()
    assert pressed(np.zeros(8, np.float32)).rows.tolist() == ROWS.tolist()


def test_what_is_too_deep_stays_below() -> None:
    pressure = np.zeros(8, np.float32)
    pressure[7] = 1
    made = pressed(pressure, k=1)
    assert made.rows.tolist() == ROWS.tolist()
    assert (np.diff(made.scores) <= 0).all()


def test_pressure_is_laid_over_the_catalogue() -> None:
    view: Any = SimpleNamespace(n=3, row={"a": 0, "c": 2}.get)
    assert Pressure({}, 1.0).over(view) is None
    assert Pressure({"a": 1.0}, 0.0).over(view) is None
    found = Pressure({"a": 5.0, "c": -0.5, "gone": 1.0}, 0.4).over(view)
    assert found == pytest.approx([0.4, 0.0, -0.2])
