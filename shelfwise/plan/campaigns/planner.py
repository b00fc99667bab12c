"""Who gets which campaign under one budget: an assignment by Lagrangian relaxation.

    max  Σ value[i, j] x[i, j]   so that   Σ cost[j] x[i, j] ≤ budget,   Σ_j x[i, j] ≤ most,   Σ_i x[i, j] ≤ limit[j]

Prices on the budget and on each limit leave every customer a choice of their own: the campaigns worth more than they
cost at these prices. Subgradient steps (Held, Wolfe and Crowder, "Validation of subgradient optimization", 1974) look
for the prices with the lowest bound; at them pairs are taken by reduced value, and of few pairs some are exchanged
while that brings more. The bound is
kept: no plan, however found, can bring more, so `gap` says how far from the best this one is at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from shelfwise.errors import InvalidRequest

Floats = npt.NDArray[np.float64]
_STEPS = 120
_EXCHANGES = 4_000_000  # comparisons of pairs up to which the exchanges of a plan are tried


@dataclass(frozen=True, slots=True)
class Plan:
    """chosen: bool [customers, campaigns]. value: what it brings. bound: what no plan can exceed. spent: of the
    budget."""

    chosen: npt.NDArray[np.bool_]
    value: float
    bound: float
    spent: float

    @property
    def gap(self) -> float:
        """How far below the best plan this one is at most, as a part of the best."""
        return 0.0 if self.bound <= 0 else max(0.0, 1 - self.value / self.bound)


def plan(
    value: Floats, cost: Floats, budget: float, *, most: int = 1, limits: npt.NDArray[np.int64] | None = None
) -> Plan:
    """value: expected profit [customers, campaigns] before `cost`'s budget, -inf where it may not be sent; what loses
    is never sent. cost: what a contact takes of the budget, [campaigns]. most: campaigns a customer. limits: contacts a
    campaign, by default none. Raises InvalidRequest."""
    value, cost = np.ascontiguousarray(value, np.float64), np.asarray(cost, np.float64)
    if value.ndim != 2 or cost.shape != (value.shape[1],):
        raise InvalidRequest(
            "cost", f"has shape {cost.shape} for values of shape {value.shape}; one a campaign is needed"
        )
    if np.isnan(value).any() or np.isposinf(value).any():
        raise InvalidRequest("value", "has a value that is no number")
    if not np.isfinite(cost).all() or (cost < 0).any():
        raise InvalidRequest("cost", "must be 0 or more")
    if np.isnan(budget) or budget < 0:
        raise InvalidRequest("budget", f"is {budget}; it must be 0 or more")
    if most < 1:
        raise InvalidRequest("most", f"is {most}; a customer gets at least one campaign")
    people, campaigns = value.shape
    limit = np.full(campaigns, people, np.int64) if limits is None else np.asarray(limits, np.int64)
    if limit.shape != (campaigns,) or (limit < 0).any():
        raise InvalidRequest("limits", "must be 0 or more, one a campaign")
    if people == 0 or campaigns == 0:
        return Plan(np.zeros(value.shape, bool), 0.0, 0.0, 0.0)
    money = min(float(budget), float(cost.sum()) * people + 1.0)
    price, prices, bound = _prices(value, cost, money, most, limit)
    rows = np.flatnonzero(value.ravel() > 0)
    density = value / np.maximum(cost, 1e-12)
    small = len(rows) ** 2 <= _EXCHANGES
    # Around the best prices the order of pairs changes little by little: of few pairs each order is tried and mended.
    factors = np.linspace(0, 2, 21) if small else np.array([1.0])
    orders = [
        value - factor * price * cost - other * prices
        for factor in factors
        for other in ((0.0, 0.5, 1.0) if small else (1.0,))
    ]
    chosen, brought = np.zeros(value.shape, bool), -1.0
    for order in (*orders, density, value):
        ordered = rows[np.argsort(-order.ravel()[rows], kind="stable")]
        taken, worth = _take(ordered, value, cost, money, most, limit)
        if small:
            worth += _exchange(taken, value, cost, money, most, limit)
        if worth > brought:
            chosen, brought = taken, worth
    total = float(np.where(chosen, value, 0.0).sum())
    return Plan(chosen, total, max(bound, total), float((chosen * cost).sum()))


def _prices(
    value: Floats, cost: Floats, money: float, most: int, limit: npt.NDArray[np.int64]
) -> tuple[float, Floats, float]:
    """The prices with the lowest bound seen: of money, of each campaign's place, and that bound."""
    low, high = 0.0, float(np.max(np.where(value > 0, value / np.maximum(cost, 1e-9), 0.0), initial=0.0))
    prices = np.zeros(len(cost))
    best = (0.0, prices, np.inf)
    for _ in range(40):  # money alone, by halving: exact where no limit binds
        price = (low + high) / 2 if best[2] < np.inf else 0.0
        worth, used = _choices(value, cost, price, prices, most)
        bound = worth + price * money + float(prices @ limit)
        if bound < best[2]:
            best = (price, prices, bound)
        if float(used @ cost) > money:
            low = price
        elif price == 0.0:
            break
        else:
            high = price
    price, prices, bound = best
    worth, used = _choices(value, cost, price, prices, most)
    if (used <= limit).all():
        return best
    scale, stalled = 1.0, 0
    for _ in range(_STEPS):
        worth, used = _choices(value, cost, price, prices, most)
        bound = worth + price * money + float(prices @ limit)
        if bound < best[2] - 1e-9 * abs(best[2]):
            best, stalled = (price, prices, bound), 0
        else:
            stalled += 1
            if stalled >= 8:
                scale, stalled = scale / 2, 0
                price, prices = best[0], best[1]
                continue
        over_money, over = float(used @ cost) - money, (used - limit).astype(np.float64)
        # the budget's row is brought to the scale of the limits' rows
        unit = max(float(cost.mean()), 1e-12)
        square = (over_money / unit) ** 2 + float(over @ over)
        if square == 0:
            break
        step = scale * 0.05 * abs(best[2]) / square
        price = max(0.0, price + step * over_money / unit / unit)
        prices = np.maximum(0.0, prices + step * over)
    return best


@numba.njit(cache=True)
def _choices(value: Floats, cost: Floats, price: float, prices: Floats, most: int) -> tuple[float, Floats]:
    """What customers choose at these prices: worth after prices in all, and how many take each campaign."""
    people, campaigns = value.shape
    used = np.zeros(campaigns)
    worth = 0.0
    left = np.empty(campaigns)
    for i in range(people):
        for j in range(campaigns):
            left[j] = value[i, j] - price * cost[j] - prices[j]
        for _ in range(min(most, campaigns)):
            top = 0
            for j in range(1, campaigns):
                if left[j] > left[top]:
                    top = j
            if left[top] <= 0:
                break
            worth += left[top]
            used[top] += 1
            left[top] = -np.inf
    return worth, used


@numba.njit(cache=True)
def _take(rows, value, cost, money, most, limit):  # type: ignore[no-untyped-def]
    """Pairs in the order of `rows` while budget, customer and campaign allow it."""
    people, campaigns = value.shape
    chosen = np.zeros((people, campaigns), np.bool_)
    got, used = np.zeros(people, np.int64), np.zeros(campaigns, np.int64)
    spent = brought = 0.0
    slack = 1e-9 * (1.0 + money)
    for row in rows:
        i, j = row // campaigns, row % campaigns
        if got[i] < most and used[j] < limit[j] and spent + cost[j] <= money + slack:
            chosen[i, j] = True
            got[i] += 1
            used[j] += 1
            spent += cost[j]
            brought += value[i, j]
    return chosen, brought


@numba.njit(cache=True)
def _exchange(chosen, value, cost, money, most, limit):  # type: ignore[no-untyped-def]
    """Give one pair up for one or two others while that brings more; what was gained. Changes `chosen`."""
    people, campaigns = value.shape
    got, used = np.zeros(people, np.int64), np.zeros(campaigns, np.int64)
    spent = gained = 0.0
    slack = 1e-9 * (1.0 + money)
    for i in range(people):
        for j in range(campaigns):
            if chosen[i, j]:
                got[i] += 1
                used[j] += 1
                spent += cost[j]
    for _ in range(50):
        better = False
        for i in range(people):
            for j in range(campaigns):
                if not chosen[i, j]:
                    continue
                chosen[i, j] = False
                got[i] -= 1
                used[j] -= 1
                spent -= cost[j]
                total = 0.0
                first, second = -1, -1
                for turn in range(2):
                    top, place = 0.0, -1
                    for a in range(people):
                        if got[a] >= most:
                            continue
                        for b in range(campaigns):
                            if (
                                value[a, b] > top
                                and not chosen[a, b]
                                and used[b] < limit[b]
                                and spent + cost[b] <= money + slack
                            ):
                                top, place = value[a, b], a * campaigns + b
                    if place < 0:
                        break
                    a, b = place // campaigns, place % campaigns
                    chosen[a, b] = True
                    got[a] += 1
                    used[b] += 1
                    spent += cost[b]
                    total += top
                    if turn == 0:
                        first = place
                    else:
                        second = place
                if total > value[i, j] + 1e-12:
                    gained += total - value[i, j]
                    better = True
                    continue
                for place in (first, second):
                    if place >= 0:
                        a, b = place // campaigns, place % campaigns
                        chosen[a, b] = False
                        got[a] -= 1
                        used[b] -= 1
                        spent -= cost[b]
                chosen[i, j] = True
                got[i] += 1
                used[j] += 1
                spent += cost[j]
        if not better:
            break
    return gained
