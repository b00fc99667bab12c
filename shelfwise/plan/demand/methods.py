"""Per-series methods of forecasting, run over all series and many origins in one pass.

Each method is an update from period to period, so what it would have forecast at any earlier origin comes for the
price of one run, and every forecast used in learning or validation knew only what was before it. A missing period
changes no state. Parameters are chosen series by series: each smoothing runs with a grid of them, weighed by how well
each has
forecast the next period so far.

Sources: seasonal naive; exponential smoothing with damped trend and additive seasons (Gardner 1985; Hyndman et al.
2008); SBA (Syntetos & Boylan 2005); TSB (Teunter, Syntetos & Babai 2011); theta (Assimakopoulos & Nikolopoulos 2000, as
simple smoothing with half the trend).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

Array = np.ndarray[Any, Any]

METHODS = (
    "seasonal naive",
    "moving average",
    "simple smoothing",
    "damped trend",
    "seasonal smoothing",
    "SBA",
    "TSB",
    "theta",
    "last season's growth",
    "mean",
)
#: What is known of a series at an origin, beside the methods' forecasts.
STATE = (
    "last",
    "last but one",
    "mean of 3",
    "mean of 6",
    "mean of a window",
    "mean of two windows",
    "mean of all",
    "spread of a window",
    "share of zeros in a window",
    "share of zeros",
    "size when sold",
    "spread of sizes",
    "periods since a sale",
    "most in a window",
    "periods known",
    "error of smoothing",
)
_ALPHAS = np.array([0.03, 0.1, 0.2, 0.4, 0.7])
_GAMMAS = np.array([0.0, 0.08, 0.25])
_BETAS = np.array([0.0, 0.05])
_PHI = 0.93
_FORGET = 0.985  # what an error of one period earlier counts
_SHARPNESS = 8.0  # weight of a set of parameters: mean squared error to the minus this


def run(y: Array, origins: Array, horizon: int, season: int, window: int) -> tuple[Array, Array]:
    """What each method forecasts at each origin, and the state there.

    y: [n, T], NaN unknown. origins: how many periods are known, ascending. → float32 forecasts
    [methods, n, origins, horizon] and float32 [n, origins, len(STATE)]. Nothing is negative or NaN.
    """
    forecasts = np.zeros((len(METHODS), len(y), len(origins), horizon), dtype=np.float32)
    state = np.zeros((len(y), len(origins), len(STATE)), dtype=np.float32)
    season = max(1, min(season, y.shape[1]))
    _run(y, np.asarray(origins, dtype=np.int64), horizon, season, window, forecasts, state, _ALPHAS, _GAMMAS, _BETAS)
    return forecasts, state


@njit(parallel=True, cache=True)
def _run(
    y: Array,
    origins: Array,
    horizon: int,
    season: int,
    window: int,
    forecasts: Array,
    state: Array,
    alphas: Array,
    gammas: Array,
    betas: Array,
) -> None:
    for i in prange(y.shape[0]):
        _series(y[i], origins, horizon, season, window, forecasts[:, i], state[i], alphas, gammas, betas)


@njit(cache=True)
def _series(
    y: Array,
    origins: Array,
    horizon: int,
    season: int,
    window: int,
    forecasts: Array,
    state: Array,
    alphas: Array,
    gammas: Array,
    betas: Array,
) -> None:
    kinds = len(alphas) * len(gammas) * len(betas)
    level = np.zeros(kinds)
    trend = np.zeros(kinds)
    seasonal = np.zeros((kinds, season))
    visits = np.zeros(season)
    error = np.zeros(kinds)
    seen = 0
    total = 0.0
    size, interval, since = 0.0, 1.0, 0  # SBA
    tsb_size, tsb_chance = 0.0, 0.0
    sales = 0
    sum_t, sum_tt, sum_y, sum_ty = 0.0, 0.0, 0.0, 0.0
    sold_total, sold_square, zeros = 0.0, 0.0, 0
    weight = 0.0
    next_origin = 0
    for t in range(origins[-1] + 1):
        while next_origin < len(origins) and origins[next_origin] == t:
            _write(
                y, t, horizon, season, window, forecasts[:, next_origin], state[next_origin], level, trend, seasonal,
                error, weight, seen, total, size, interval, tsb_size * tsb_chance, since, sales, zeros,
                sold_total, sold_square, sum_t, sum_tt, sum_y, sum_ty, alphas, gammas, betas,
            )  # fmt: skip
            next_origin += 1
        if t >= len(y) or next_origin >= len(origins):
            break
        value = float(y[t])
        place = t % season
        if np.isnan(value):
            continue
        k = 0
        for a in alphas:
            for g in gammas:
                for b in betas:
                    if seen == 0:
                        level[k] = value
                    else:
                        ahead = level[k] + _PHI * trend[k]
                        off = value - ahead - seasonal[k, place]
                        error[k] = error[k] * _FORGET + off * off
                        gain = max(a, 1.0 / (seen + 1.0))
                        if g > 0.0:
                            step = max(g, 1.0 / (visits[place] + 2.0))
                            seasonal[k, place] += step * (1.0 - gain) * off
                        level[k] = ahead + gain * off
                        if b > 0.0:
                            trend[k] = _PHI * trend[k] + b * gain * off
                    k += 1
        weight = weight * _FORGET + (1.0 if seen else 0.0)
        visits[place] += 1
        since += 1
        if value > 0:
            if sales == 0:
                size, interval, tsb_size = value, float(since), value
                tsb_chance = 1.0 / since
            else:
                size += 0.1 * (value - size)
                interval += 0.1 * (since - interval)
                tsb_size += 0.1 * (value - tsb_size)
                tsb_chance += 0.05 * (1.0 - tsb_chance)
            sales += 1
            since = 0
            sold_total += value
            sold_square += value * value
        else:
            zeros += 1
            tsb_chance -= 0.05 * tsb_chance
        sum_t += t
        sum_tt += float(t) * t
        sum_y += value
        sum_ty += t * value
        seen += 1
        total += value


@njit(cache=True)
def _window(y: Array, start: int, end: int) -> tuple[float, float, float, float]:
    """mean (NaN where nothing is known), spread, share of zeros, most."""
    count, total, square, zeros, most = 0, 0.0, 0.0, 0, 0.0
    for t in range(max(0, start), min(end, len(y))):
        value = float(y[t])
        if not np.isnan(value):
            count += 1
            total += value
            square += value * value
            zeros += value == 0
            most = max(most, value)
    if count == 0:
        return np.nan, np.nan, np.nan, np.nan
    mean = total / count
    return mean, np.sqrt(max(square / count - mean * mean, 0.0)), zeros / count, most


@njit(cache=True)
def _write(
    y: Array, t: int, horizon: int, season: int, window: int, forecasts: Array, state: Array, level: Array,
    trend: Array,
    seasonal: Array, error: Array, weight: float, seen: int, total: float, size: float, interval: float,
    tsb: float, since: int, sales: int, zeros: int, sold_total: float, sold_square: float, sum_t: float, sum_tt: float,
    sum_y: float, sum_ty: float, alphas: Array, gammas: Array, betas: Array,
) -> None:  # fmt: skip
    if seen == 0:
        for s in range(len(state)):
            state[s] = np.nan
        state[14] = 0
        return
    mean_all = total / seen
    mean, spread, share, most = _window(y, t - window, t)
    if np.isnan(mean):
        mean = mean_all
    mean3 = _window(y, t - 3, t)[0]
    mean6 = _window(y, t - 6, t)[0]
    mean2 = _window(y, t - 2 * window, t)[0]
    state[0] = y[t - 1] if t >= 1 else np.nan
    state[1] = y[t - 2] if t >= 2 else np.nan
    state[2], state[3], state[4], state[5], state[6] = mean3, mean6, mean, mean2, mean_all
    state[7], state[8], state[9] = spread, share, zeros / seen
    state[10] = sold_total / sales if sales else np.nan
    state[11] = np.sqrt(max(sold_square / sales - (sold_total / sales) ** 2, 0.0)) if sales else np.nan
    state[12], state[13], state[14] = since, most, seen
    # Which parameters have forecast best so far.
    least = error.min()
    state[15] = np.sqrt(least / weight) if weight > 0 else np.nan
    floor = 1e-9 + 1e-6 * mean_all * mean_all
    shares = ((least + floor) / (error + floor)) ** _SHARPNESS
    plain, damped, seasoned = 0.0, 0.0, 0.0
    k = 0
    for _a in alphas:
        for g in gammas:
            for b in betas:
                if g == 0.0 and b == 0.0:
                    plain += shares[k]
                if g == 0.0:
                    damped += shares[k]
                seasoned += shares[k]
                k += 1
    slope = 0.0
    spread_t = sum_tt - sum_t * sum_t / seen
    if seen >= 6 and spread_t > 0:
        slope = (sum_ty - sum_t * sum_y / seen) / spread_t
    width = min(season, 13)
    now = _window(y, t - width, t)[0]
    for h in range(horizon):
        phase = (t + h) % season
        # Seasonal naive: the newest known value of the same phase.
        back = t + h - season * ((h // season) + 1)
        naive = np.nan
        place = back
        while place >= 0 and np.isnan(naive):
            naive = float(y[place])
            place -= season
        forecasts[0, h] = mean if np.isnan(naive) else naive
        forecasts[1, h] = mean
        k = 0
        f2, f3, f4 = 0.0, 0.0, 0.0
        damping = _PHI * (1.0 - _PHI ** (h + 1)) / (1.0 - _PHI)
        for _a in alphas:
            for g in gammas:
                for b in betas:
                    flat = level[k] + damping * trend[k]
                    if g == 0.0 and b == 0.0:
                        f2 += shares[k] * level[k]
                    if g == 0.0:
                        f3 += shares[k] * flat
                    f4 += shares[k] * (flat + seasonal[k, phase])
                    k += 1
        f2 /= plain
        forecasts[2, h] = max(f2, 0.0)
        forecasts[3, h] = max(f3 / damped, 0.0)
        forecasts[4, h] = max(f4 / seasoned, 0.0)
        forecasts[5, h] = 0.95 * size / max(interval, 1.0) if sales else 0.0
        forecasts[6, h] = max(tsb, 0.0)
        forecasts[7, h] = max(f2 + 0.5 * slope * (h + 1), 0.0)
        grown = np.nan
        if back >= 0:
            then = _window(y, t - width - (t + h - back), back - h)[0]
            near = _window(y, back - 1, back + 2)[0] if season >= 26 else float(y[back])
            if not np.isnan(then) and not np.isnan(near) and not np.isnan(now):
                ratio = (now + 0.1 * mean_all + 1e-9) / (then + 0.1 * mean_all + 1e-9)
                grown = near * min(max(ratio, 0.2), 5.0)
        forecasts[8, h] = f4 / seasoned if np.isnan(grown) else grown
        forecasts[8, h] = max(forecasts[8, h], 0.0)
        forecasts[9, h] = mean_all
