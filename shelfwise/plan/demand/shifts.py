"""Shifts of the level of all products at once: a shop that moved, doubled its traffic, shut half its branches.

Such a shift inside the newest periods spoils what is learned of them: validation takes it for an error every forecast
makes, the models for a season. The history before it is therefore brought to the new level (intervention analysis, Box
& Tiao 1975, with a step found from the data). A shift counts where the mean of all products, each over its usual
amount, moved at one period by far more than it usually does, most products went with it, both sides are level, nothing
known ahead moved then, and nothing alike happened a season before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shelfwise.plan.demand.panel import Panel

Array = np.ndarray[Any, Any]

#: Periods looked at before a shift; after it at least the second number must be known.
_SIDES = {"day": (28, 7), "week": (8, 3), "month": (6, 3), "quarter": (4, 2), "year": (3, 2)}
_LEAST = 0.2  # of the logarithm: a fifth more or less
_SURE = 5.0  # times the chance error of the step
_MOST = 3  # shifts


def on_one_level(panel: Panel, reach: int) -> Array:
    """Demand [n, T] with what was before a common shift in the newest `reach` periods multiplied by what it changed."""
    y = panel.y
    for _ in range(_MOST):
        shift = _shift(panel, y, reach)
        if shift is None:
            return y
        at, by = shift
        y = y.copy()
        y[:, :at] *= np.float32(by)
    return y


def _shift(panel: Panel, y: Array, reach: int) -> tuple[int, float] | None:
    """The clearest shift: its first period, and how many times as much has been sold since."""
    before, after = _SIDES[panel.frequency]
    end = y.shape[1]
    level, noise = _level(panel, y)
    best = None
    for at in range(max(end - reach, before), end - after + 1):
        old, new = level[at - before : at], level[at : at + before]
        if np.isfinite(old).sum() < before // 2 or np.isfinite(new).sum() < after // 2 + 1:
            continue
        step = float(np.nanmedian(new) - np.nanmedian(old))
        chance = noise * np.sqrt(np.pi / 2 * (1 / np.isfinite(old).sum() + 1 / np.isfinite(new).sum()))
        size = abs(step) / max(chance, 1e-9)
        if abs(step) < _LEAST or size < _SURE or (best is not None and size <= best[0]):
            continue
        if not (_at_once(level, at, step) and _lasts(old, new, after, step) and _shared(y, at, before, step)):
            continue
        if not (_yearly(panel, level, at, step) or _explained(panel, at, before)):
            best = (size, at, step)
    return None if best is None else (best[1], float(np.exp(best[2])))


def _level(panel: Panel, y: Array) -> tuple[Array, float]:
    """The logarithm of the mean product's demand over its usual amount [T], without weekdays; the spread of its noise,
    of two neighbours' difference. NaN where the shop was closed."""
    known = np.isfinite(y)
    values = np.where(known, y, 0.0)
    usual = values / np.maximum(values.sum(1) / np.maximum(known.sum(1), 1), 1e-9)[:, None]
    mean = np.minimum(usual, 6.0).sum(0) / np.maximum(known.sum(0), 1)
    open_ = mean > 0.05 * np.median(mean)
    level = np.where(open_, np.log(np.maximum(mean, 1e-9)), np.nan)
    if panel.frequency == "day":
        for weekday in range(7):
            mine = level[weekday::7]
            if np.isfinite(mine).any():
                level[weekday::7] = mine - np.nanmedian(mine)
    steps = np.diff(level)
    steps = steps[np.isfinite(steps)]
    noise = 1.4826 * float(np.median(np.abs(steps))) / np.sqrt(2) if len(steps) else np.inf
    return level, noise


def _at_once(level: Array, at: int, step: float) -> bool:
    """Whether most of the step was made between the two periods before and the two from `at` on."""
    old, new = level[max(at - 2, 0) : at], level[at : at + 2]
    if not (np.isfinite(old).any() and np.isfinite(new).any()):
        return False
    return float(np.nanmean(new) - np.nanmean(old)) * float(np.sign(step)) > 0.6 * abs(step)


def _lasts(old: Array, new: Array, after: int, step: float) -> bool:
    """Whether the last periods looked at are still there: a peak comes down again."""
    newest = new[-after:]
    if not np.isfinite(newest).any():
        return False
    return float(np.nanmedian(newest) - np.nanmedian(old)) * float(np.sign(step)) > 0.6 * abs(step)


def _yearly(panel: Panel, level: Array, at: int, step: float) -> bool:
    """Whether a step half as large at least was made about a season before."""
    season = 364 if panel.frequency == "day" else panel.season
    before, after = _SIDES[panel.frequency]
    for then in range(at - season - after, at - season + after + 1):
        if then >= before and season > 1:
            old, new = level[then - before : then], level[then : then + after]
            if not (np.isfinite(old).any() and np.isfinite(new).any()):
                continue
            was = float(np.nanmedian(new) - np.nanmedian(old))
            if was * np.sign(step) > 0.5 * abs(step):
                return True
    return False


def _shared(y: Array, at: int, before: int, step: float) -> bool:
    """Whether three products of four, by amount of evidence, moved that way by a third of the step at least."""
    was, now = _rate(y[:, at - before : at]), _rate(y[:, at : at + before])
    weight = np.sqrt(np.nan_to_num(was + now))
    with np.errstate(invalid="ignore"):
        moved = np.log((now + 1e-9) / (was + 1e-9)) * np.sign(step) > abs(step) / 3
    return bool((weight * moved).sum() > 0.75 * weight.sum())


def _rate(y: Array) -> Array:
    known = np.isfinite(y).sum(1)
    return np.where(known > 0, np.nansum(y, axis=1) / np.maximum(known, 1), np.nan)


def _explained(panel: Panel, at: int, before: int) -> bool:
    """Whether what is known ahead (price, promotion) moved at that time by more than half of its usual spread."""
    for values in panel.known.values():
        old, new = values[:, at - before : at], values[:, at : min(at + before, panel.periods)]
        spread = float(np.nanstd(values)) if np.isfinite(values).any() else 0.0
        if not (np.isfinite(old).any() and np.isfinite(new).any()):
            continue
        if spread > 0 and abs(float(np.nanmean(new) - np.nanmean(old))) > 0.5 * spread:
            return True
    return False
