"""Public holidays of a country by period, and how far Easter is: what moves through the calendar from year to year."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np

from shelfwise.errors import InvalidRequest

Array = np.ndarray[Any, Any]
_FAR = 45  # days from Easter beyond which it is no nearer than ever


def check_country(country: str) -> str:
    """The code in capitals, "" for none. Raises InvalidRequest for a code that the holidays package does not have."""
    country = country.strip().upper()
    if country and country not in _countries():
        raise InvalidRequest("country", f"is {country[:20]!r}; use a code of ISO 3166 like US, GB, DE or CN")
    return country


def holiday_counts(country: str, starts: Sequence[date]) -> Array:
    """Public holidays from each start to before the next; of the last start none. [len(starts)]"""
    import holidays

    years = range(starts[0].year, starts[-1].year + 1)
    days = sorted(holidays.country_holidays(country, years=years))
    number = [np.datetime64(day) for day in starts]
    return np.diff(np.searchsorted(np.array(days, dtype="datetime64[D]"), number), append=0).clip(0).astype(np.float32)


def easter_distance(starts: Sequence[date]) -> Array:
    """Days from each start to the nearest Easter Sunday, negative before it; NaN beyond 45. [len(starts)]"""
    years = range(starts[0].year - 1, starts[-1].year + 2)
    sundays = np.array([_easter(year) for year in years], dtype="datetime64[D]")
    off = (np.array(starts, dtype="datetime64[D]")[:, None] - sundays[None, :]).astype(int)
    nearest = off[np.arange(len(starts)), np.abs(off).argmin(1)].astype(np.float32)
    return np.where(np.abs(nearest) <= _FAR, nearest, np.nan)


@cache
def _countries() -> frozenset[str]:
    import holidays

    return frozenset(holidays.list_supported_countries())


def _easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (the anonymous algorithm, Nature 1876)."""
    a, b, c = year % 19, year // 100, year % 100
    d = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    e = (32 + 2 * (b % 4) + 2 * (c // 4) - d - c % 4) % 7
    f = d + e - 7 * ((a + 11 * d + 22 * e) // 451) + 114
    return date(year, f // 31, 1) + timedelta(days=f % 31)
