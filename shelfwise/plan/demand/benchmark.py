"""`shelfwise benchmark demand`: the engine's forecasts beside per-series baselines, on a table's newest periods."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shelfwise.errors import InvalidRequest, NotEnoughData
from shelfwise.plan.demand.features import CLASSES, WINDOW, demand_class
from shelfwise.plan.demand.methods import METHODS, run
from shelfwise.plan.demand.model import Forecast, Progress, forecast
from shelfwise.plan.demand.panel import Panel, read_panel
from shelfwise.plan.demand.quantiles import LEVELS

Array = np.ndarray[Any, Any]
Model = Callable[[Panel, int], Forecast]
_BASELINES = ("seasonal naive", "moving average", "simple smoothing", "seasonal smoothing", "SBA", "TSB", "theta")


def demand_benchmark(
    file: Path,
    *,
    horizon: int,
    season: int = 0,
    windows: int = 1,
    country: str = "",
    threads: int = 1,
    only: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Rows of the measures for the engine and each baseline. Raises InvalidRequest, NotEnoughData, UnreadableFile.

    windows: how many times the newest `horizon` periods are forecast, each window before the one after it.
    """
    panel = read_panel(file, season=season, country=country)
    return measure(panel, horizon, windows=windows, threads=threads, only=only, progress=progress)


def measure(
    panel: Panel,
    horizon: int,
    *,
    windows: int = 1,
    threads: int = 1,
    only: Iterable[str] | None = None,
    peers: Mapping[str, Model] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """As `demand_benchmark`, of a panel. peers: further rows."""
    if horizon < 1 or windows < 1:
        raise InvalidRequest("horizon" if horizon < 1 else "windows", "must be 1 or more")
    if horizon * windows >= panel.periods:
        raise NotEnoughData(
            f"the table has {panel.periods} periods; {windows} windows of {horizon} leave nothing to learn from"
        )
    wanted = set(only or ())
    models: dict[str, Model] = {"engine": lambda p, h: forecast(p, h, threads=threads)}
    for name in _BASELINES:
        models[name] = lambda p, h, name=name: by_method(p, h, name)  # type: ignore[misc]
    models.update(peers or {})
    if unknown := wanted - set(models):
        raise InvalidRequest("only", f"no row is named {sorted(unknown)[0]!r}; there are {', '.join(models)}")
    rows: list[dict[str, Any]] = []
    for done, (name, model) in enumerate(models.items()):
        if wanted and name not in wanted:
            continue
        if progress:
            progress(done, len(models), name)
        parts, seconds, weights = [], 0.0, {}
        for window in range(windows, 0, -1):
            end = panel.periods - window * horizon
            known = panel.until(end)
            begin = time.perf_counter()
            made = model(known, horizon)
            seconds += time.perf_counter() - begin
            weights = made.weights
            parts.append((made, known, panel.y[:, end : end + horizon]))
        row: dict[str, Any] = (
            {"name": name} | _measures(parts, panel.season) | {"fit_seconds": seconds, "predict_seconds": 0.0}
        )
        if name == "engine":
            row["weights"] = weights
        rows.append(row)
    return {
        "rows": rows,
        "series": len(panel),
        "periods": panel.periods,
        "frequency": panel.frequency,
        "season": panel.season,
        "horizon": horizon,
        "windows": windows,
        "notes": list(panel.notes),
    }


def by_method(panel: Panel, horizon: int, name: str) -> Forecast:
    """One per-series method; its quantiles are those of the series' own errors, wider at a distance where all were."""
    m = METHODS.index(name)
    end = panel.periods
    oldest = max(2, end - max(3 * panel.season, 2 * horizon, 24))
    origins = np.unique(np.linspace(oldest, end - 1, 24).round().astype(int)) if end > oldest else np.array([end])
    origins = np.unique(np.append(origins[origins < end], end))
    forecasts, state = run(panel.y, origins, horizon, panel.season, WINDOW[panel.frequency])
    points = forecasts[m]
    scale = np.where(np.nan_to_num(state[:, -1, 6]) > 0, state[:, -1, 6], 1.0)
    offs = np.full((len(panel), horizon, len(origins) - 1), np.nan)
    for k, origin in enumerate(origins[:-1]):
        reach = min(horizon, end - origin)
        offs[:, :reach, k] = panel.y[:, origin : origin + reach] - points[:, k, :reach]
    flat = offs.reshape(len(panel), -1)
    spread = np.nan_to_num(np.array([_quantiles(row) for row in flat]))
    growth = np.ones(horizon)
    for h in range(horizon):
        column = offs[:, h] / scale[:, None]
        known = column[np.isfinite(column)]
        growth[h] = np.mean(np.abs(known)) if len(known) else np.nan
    usual = np.nanmean(growth) if np.isfinite(growth).any() else 1.0
    growth = np.where(np.isfinite(growth) & (usual > 0), growth / max(usual, 1e-9), 1.0)
    quantiles = np.maximum(points[:, -1, :, None] + spread[:, None, :] * growth[None, :, None], 0.0)
    quantiles = np.sort(quantiles, axis=2)
    return Forecast(quantiles=quantiles, mean=points[:, -1].astype(float), weights={})


def _quantiles(row: Array) -> Array:
    known = row[np.isfinite(row)]
    return np.quantile(known, LEVELS) if len(known) > 3 else np.zeros(len(LEVELS))


def _measures(parts: list[tuple[Forecast, Panel, Array]], season: int) -> dict[str, float]:
    loss = np.zeros(9)
    total = error = signed = 0.0
    scaled: list[Array] = []
    hits: dict[tuple[int, int], list[int]] = {}
    inner = [LEVELS.index(q) for q in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)]
    levels = np.array(LEVELS)[inner]
    for made, known, y in parts:
        begun: Array = np.asarray(np.isfinite(known.y).any(1))
        seen: Array = np.isfinite(y) & begun[:, None]
        rows, columns = np.nonzero(seen)
        truth = y[seen].astype(float)
        off = truth[:, None] - made.quantiles[rows, columns][:, inner]
        loss += 2 * np.maximum(levels * off, (levels - 1) * off).sum(0)
        total += float(np.abs(truth).sum())
        middle = made.quantiles[:, :, LEVELS.index(0.5)]
        error += float(np.abs(truth - middle[seen]).sum())
        signed += float((made.mean[seen] - truth).sum())
        ahead = np.abs(np.where(seen, y - middle, np.nan))
        scale = _seasonal_error(known.y, season)
        use = seen.any(1) & (scale > 0)
        scaled.append(np.nanmean(ahead[use], axis=1) / scale[use])
        kinds = demand_class(known)
        for low, high, width in ((1, 9, 80), (0, 10, 90)):
            least, most = made.quantiles[..., low] - 1e-9, made.quantiles[..., high] + 1e-9
            inside: Array = np.asarray(np.logical_and(least <= y, y <= most))
            for kind in range(4):
                of_kind: Array = np.asarray(kinds == kind)
                mine = seen & of_kind[:, None]
                count = hits.setdefault((width, kind), [0, 0])
                count[0] += int((inside & mine).sum())
                count[1] += int(mine.sum())
    values = np.concatenate(scaled) if scaled else np.zeros(0)
    result = {
        "wql": float(loss.mean() / max(total, 1e-9)),
        "mase": float(values.mean()) if len(values) else float("nan"),
        "wape": error / max(total, 1e-9),
        "bias": signed / max(total, 1e-9),
    }
    for width in (80, 90):
        counts = np.array([hits[width, kind] for kind in range(4)])
        result[f"cover{width}"] = float(counts[:, 0].sum() / max(counts[:, 1].sum(), 1))
    for (width, kind), (inside_count, count_all) in sorted(hits.items()):
        if count_all:
            result[f"cover{width}_{CLASSES[kind]}"] = inside_count / count_all
    return result


def _seasonal_error(y: Array, season: int) -> Array:
    """Mean absolute error of the seasonal naive forecast within the training part; of the naive one where the series is
    shorter than two seasons. [n], NaN where nothing can be compared."""
    lag = season if y.shape[1] > season else 1
    steps = np.abs(y[:, lag:] - y[:, :-lag])
    count = np.isfinite(steps).sum(1)
    return np.where(count > 0, np.nansum(steps, axis=1) / np.maximum(count, 1), np.nan)
