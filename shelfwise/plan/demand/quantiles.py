"""A distribution of demand by its quantiles at fixed levels: what every forecast is made of and judged by."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def quantile_at(quantiles: Array, level: float) -> Array:
    levels = np.array(LEVELS)
    j = int(np.clip(np.searchsorted(levels, level) - 1, 0, len(levels) - 2))
    slope = (quantiles[..., j + 1] - quantiles[..., j]) / (levels[j + 1] - levels[j])
    if level > levels[-1]:  # a tail that falls off as the normal one does, from the last two levels
        reach = float(np.sqrt(np.log((1 - levels[-2]) / (1 - level)) / np.log((1 - levels[-2]) / (1 - levels[-1]))))
        return np.asarray(quantiles[..., -2] + (quantiles[..., -1] - quantiles[..., -2]) * reach)
    return np.asarray(np.maximum(quantiles[..., j] + slope * (level - levels[j]), 0.0))


def mean_of(quantiles: Array) -> Array:
    """The mean of the distribution whose quantile function runs straight between the levels and on to 0 and 1."""
    levels = np.array([0.0, *LEVELS, 1.0])
    low = np.maximum(2 * quantiles[..., :1] - quantiles[..., 1:2], 0.0)
    high = quantile_at(quantiles, 0.995)[..., None]
    full = np.concatenate([np.minimum(low, quantiles[..., :1]), quantiles, high], axis=-1)
    return np.asarray(((full[..., 1:] + full[..., :-1]) / 2 * np.diff(levels)).sum(-1))


def pinball(quantiles: Array, y: Array) -> Array:
    """Twice the pinball loss of each row, the mean over the levels. [rows]"""
    levels = np.array(LEVELS)
    off = y[:, None] - quantiles
    return np.asarray(2 * np.maximum(levels * off, (levels - 1) * off).mean(1))
