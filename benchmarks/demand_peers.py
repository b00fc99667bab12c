"""The engine's forecasts beside statsforecast's (extra `peers`), on a table's newest periods.

    python benchmarks/demand_peers.py FILE --horizon 8 [--season 1] [--most 1000] [--only AutoETS] [--json]

AutoETS, AutoTheta and CrostonSBA with their own intervals at 20, 40, 60, 80 (the levels 0.1 … 0.9; CrostonSBA by
conformal intervals). --most: so many products at random, for these methods take long.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import AutoETS, AutoTheta, CrostonSBA
from statsforecast.utils import ConformalIntervals

from shelfwise.plan.demand.benchmark import measure
from shelfwise.plan.demand.model import Forecast
from shelfwise.plan.demand.panel import Panel, read_panel
from shelfwise.plan.demand.quantiles import LEVELS


def by_statsforecast(panel: Panel, horizon: int, name: str, season: int) -> Forecast:
    y = panel.y
    begun = np.isfinite(y).any(1)
    rows, columns = np.nonzero(np.isfinite(y))
    table = pd.DataFrame({"unique_id": rows, "ds": columns, "y": y[rows, columns].astype(float)})
    model = {
        "AutoETS": AutoETS(season_length=season),
        "AutoTheta": AutoTheta(season_length=season),
        "CrostonSBA": CrostonSBA(prediction_intervals=ConformalIntervals(h=horizon, n_windows=2)),
    }[name]
    # What has too few values for a method is forecast by its mean.
    enough = table.groupby("unique_id")["y"].transform("size") > 2 * horizon + 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = StatsForecast(models=[model], freq=1).forecast(df=table[enough], h=horizon, level=[20, 40, 60, 80, 90])
    made = made.sort_values(["unique_id", "ds"])
    usual = np.where(begun, np.nanmean(np.where(begun[:, None], y, 0.0), axis=1), 0.0)
    quantiles = np.repeat(np.repeat(usual[:, None, None], horizon, 1), len(LEVELS), 2)
    mean = np.repeat(usual[:, None], horizon, 1)
    index = made["unique_id"].unique().astype(int)
    shape = (len(index), horizon)
    mean[index] = np.maximum(made[name].to_numpy().reshape(shape), 0.0)
    for j, level in enumerate(LEVELS):
        width = round(abs(2 * level - 1) * 100)
        column = name if width == 0 else f"{name}-{'lo' if level < 0.5 else 'hi'}-{width}"
        quantiles[index, :, j] = np.maximum(np.nan_to_num(made[column].to_numpy().reshape(shape)), 0.0)
    return Forecast(quantiles=np.sort(quantiles, axis=2), mean=mean, weights={})


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("file", type=Path)
    ask.add_argument("--horizon", type=int, required=True)
    ask.add_argument("--season", type=int, default=1)
    ask.add_argument("--windows", type=int, default=1)
    ask.add_argument("--most", type=int, default=0)
    ask.add_argument("--only", action="append", help="only this row; repeatable")
    ask.add_argument("--json", action="store_true")
    given = ask.parse_args()
    panel = read_panel(given.file)
    if 0 < given.most < len(panel):
        panel = panel.rows(np.sort(np.random.default_rng(0).choice(len(panel), given.most, replace=False)))
    peers = {
        name: lambda p, h, name=name: by_statsforecast(p, h, name, given.season)
        for name in ("AutoETS", "AutoTheta", "CrostonSBA")
    }
    only = ["engine", "simple smoothing", "theta", *peers]
    result = measure(panel, given.horizon, windows=given.windows, only=given.only or only, peers=peers)
    if given.json:
        print(json.dumps(result))
        return
    for row in result["rows"]:
        print(f"{row['name']:18s} {row['wql']:.4f} {row['mase']:.4f} {row['cover80']:.3f} {row['fit_seconds']:.0f} s")


if __name__ == "__main__":
    main()
