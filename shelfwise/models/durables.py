"""Durables: what is not bought again for long once it was bought, a vacuum cleaner, unlike coffee.

Having bought most things makes buying them again likelier. Of a durable it does the opposite: those who have one buy it
less often than those who have none. Both rates are counted from the record, by product and by category:

    expected = first purchases / time of all without it × time of all who have it

and where much fewer than expected were bought again (Poisson, one in ten), the product, or all of its category, waits:
as long as its buyers usually took, where enough bought it again, else a year or as long as the record reaches.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from shelfwise.models.sequences import DAY, Floats, Ints, Longs

Mask = npt.NDArray[np.bool_]
_LEAST = 2.0  # purchases expected, from which on that there were none says something
_PART = 0.5  # of those expected, above which a product is none
_AGAIN = 0.2  # of those who have one, above which buying again is usual: the first purchase seen may be no first
_CHANCE = 0.1  # that so few would be bought again if having one changed nothing
_GAPS = 5  # purchases again that show how long one lasts
_USUAL = 0.75  # of the median time between two, when it may be shown again
_YEAR = 365.0


def waits(owner: Longs, item: Ints, time: Longs, kind_of: Ints, kinds: int) -> Floats:
    """Days for which what was bought waits, float32 [kinds]; 0 for what is bought again.

    owner, item, time: [m], of purchases, by owner and then in time order. kind_of: int32 [n], which of `kinds` each
    product is, -1 none: the product itself, or its category."""
    wait = np.zeros(kinds, np.float32)
    kind = kind_of[item]
    owner, kind, time = owner[kind >= 0], kind[kind >= 0], time[kind >= 0]
    if not len(owner):
        return wait
    customers = int(np.count_nonzero(owner[1:] != owner[:-1])) + 1
    key = owner.astype(np.int64) * kinds + kind
    order = np.argsort(key, kind="stable")  # time order stays within a pair
    key, kind, time = key[order], kind[order], time[order]
    pair = np.ones(len(key), np.bool_)
    pair[1:] = key[1:] != key[:-1]
    again = ~pair
    again[1:] &= time[1:] // DAY != time[:-1] // DAY
    start, end = int(time.min()), int(time.max())
    span = (end - start) / DAY
    first = np.bincount(kind[pair], minlength=kinds)
    after = np.bincount(kind[pair], (end - time[pair]) / DAY, minlength=kinds)
    without = customers * span - after
    buyers = np.bincount(kind[pair][_has_again(pair, again)], minlength=kinds)
    expected = np.where(without > 0, first * after / np.maximum(without, 1e-9), 0)
    bought_again = np.bincount(kind[again], minlength=kinds)
    gaps = np.zeros(len(time))
    gaps[1:] = (time[1:] - time[:-1]) / DAY
    few = (bought_again <= _PART * expected) & (buyers <= _AGAIN * first)
    for code in np.flatnonzero((expected >= _LEAST) & few).tolist():
        if _at_most(int(bought_again[code]), float(expected[code])) < _CHANCE:
            usual = gaps[again & (kind == code)]
            wait[code] = _USUAL * float(np.median(usual)) if len(usual) >= _GAPS else max(span, _YEAR)
    return wait


def _has_again(pair: Mask, again: Mask) -> Mask:
    """Of each pair of customer and kind, whether it was bought again."""
    return np.add.reduceat(again.astype(np.int64), np.flatnonzero(pair)) > 0


def _at_most(count: int, expected: float) -> float:
    """The chance of at most `count` by a Poisson distribution."""
    return sum(math.exp(n * math.log(expected) - expected - math.lgamma(n + 1)) for n in range(count + 1))
