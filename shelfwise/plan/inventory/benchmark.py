"""`shelfwise benchmark orders`: a table's last periods played round by round, by the engine and by common policies.

In each period what is due arrives, then demand comes, then costs fall on what is left and what was missed, then, every
`review` periods, an order is placed. An order placed at a period's end is on its way for `lead` whole periods: it is
there at the start of the period after them. The first is placed at the end of the period before the first round. Demand
that finds no stock is lost. Every policy knows the demand of the periods before, and nothing of later ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shelfwise.errors import InvalidRequest, NotEnoughData, UnreadableFile
from shelfwise.plan.demand.model import Progress, forecast
from shelfwise.plan.demand.panel import Panel, read_panel, read_table
from shelfwise.plan.inventory.policy import RECKONED, decide

Array = np.ndarray[Any, Any]
Policy = Callable[[int, Array, Array], Array]  # periods known, on hand [n], due [n, ahead] → orders [n]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """lead, review: periods. holding, shortage: [n] cost of a unit left at a period's end, of one missed."""

    lead: int
    review: int
    holding: Array
    shortage: Array


def orders_benchmark(
    file: Path,
    *,
    lead: int,
    review: int,
    rounds: int,
    holding: float,
    shortage: float,
    state: Path | None = None,
    static: Path | None = None,
    season: int = 0,
    country: str = "",
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Costs of the engine and of each policy. A fact `unit_price` of FILE or STATIC multiplies both costs.

    Raises InvalidRequest, NotEnoughData, UnreadableFile."""
    for name, value, low in (("lead-time", lead, 0), ("review", review, 1), ("rounds", rounds, 1)):
        if value < low:
            raise InvalidRequest(name, f"is {value}; it must be {low} or more")
    if min(holding, shortage) < 0 or holding + shortage <= 0 or not np.isfinite(holding + shortage):
        raise InvalidRequest("holding", "holding and shortage must be 0 or more, and not both 0")
    panel = read_panel(file, season=season, static=static, country=country)
    return play_all(panel, lead, review, rounds, holding, shortage, state=state, threads=threads, progress=progress)


def play_all(
    panel: Panel,
    lead: int,
    review: int,
    rounds: int,
    holding: float,
    shortage: float,
    *,
    state: Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    begin = panel.periods - rounds
    if begin < 8:
        raise NotEnoughData(f"the table has {panel.periods} periods; {rounds} rounds leave fewer than 8 to learn from")
    price = np.ones(len(panel))
    if "unit_price" in panel.static:
        price = np.nan_to_num(np.asarray(panel.static["unit_price"], dtype=float), nan=1.0)
    terms = Terms(lead=lead, review=review, holding=holding * price, shortage=shortage * price)
    on_hand, due = _state(panel, state, terms, begin)
    rows: list[dict[str, Any]] = []
    policies: dict[str, Policy] = {}
    cover = lead + review
    for window in (4, 8, 13, 26):
        for more in (0.0, 0.5, 1.0, 2.0):
            policies[f"moving average of {window} x {cover + more:g}"] = _moving(panel, window, cover + more)
    for more in (0.0, 0.5, 1.0, 2.0):
        policies[f"last season x {cover + more:g}"] = _seasonal(panel, cover, 1 + more / cover)
    everything = 1 + len(policies)
    if progress:
        progress(0, everything, "engine")
    rows.append({"name": "engine"} | play(panel, begin, on_hand, due, terms, _engine(panel, terms, threads, progress)))
    for done, (name, policy) in enumerate(policies.items()):
        if progress:
            progress(done + 1, everything, name)
        rows.append({"name": name} | play(panel, begin, on_hand, due, terms, policy))
    best = min(rows[1:], key=lambda row: row["cost"])
    tried = [
        play(panel, begin, on_hand, due, terms, _moving(panel, window, times))
        for window in (3, 4, 6, 8, 10, 13, 18, 26, 39, 52)
        for times in np.arange(max(cover - 1.5, 0.5), cover + 3.01, 0.25)
    ]
    rows.append({"name": "best fixed policy in hindsight"} | min(tried, key=lambda row: row["cost"]))
    return {
        "rows": rows,
        "series": len(panel),
        "rounds": rounds,
        "best_baseline": best["name"],
        "saved": 1 - rows[0]["cost"] / best["cost"] if best["cost"] else 0.0,
        "notes": list(panel.notes),
    }


def play(panel: Panel, begin: int, on_hand: Array, due: Array, terms: Terms, policy: Policy) -> dict[str, float]:
    """Total costs from period `begin` to the last. Periods whose demand is unknown cost nothing for that product."""
    stock, coming = on_hand.astype(float).copy(), due.astype(float).copy()
    held = missed = total = sold_units = 0.0
    price = terms.holding, terms.shortage
    for step, period in enumerate(range(begin, panel.periods)):
        if step % terms.review == 0:
            quantity = np.maximum(policy(period, stock, coming), 0.0)
            coming[:, terms.lead] += quantity
        stock = stock + coming[:, 0]
        coming = np.concatenate([coming[:, 1:], np.zeros((len(panel), 1))], axis=1)
        demand = panel.y[:, period].astype(float)
        known = np.isfinite(demand)
        wanted = np.where(known, demand, 0.0)
        sold = np.minimum(stock, wanted)
        stock = stock - sold
        held += float((price[0] * stock)[known].sum())
        missed += float((price[1] * (wanted - sold)).sum())
        total += float(wanted.sum())
        sold_units += float(sold.sum())
    return {
        "cost": held + missed,
        "holding": held,
        "shortage": missed,
        "fill_rate": sold_units / total if total else 1.0,
    }


def _state(panel: Panel, path: Path | None, terms: Terms, begin: int) -> tuple[Array, Array]:
    """On hand [n] and due [n, periods ahead]. Without a file every policy starts in balance: for each period until the
    first order arrives, and the one before the next, the mean of the last 13 is there or on its way."""
    ahead = terms.lead + terms.review + 1
    due = np.zeros((len(panel), ahead))
    if path is None:
        usual = np.rint(_recent(panel, begin, 13))
        due[:, : terms.lead] = usual[:, None]
        return usual * terms.review, due
    table = read_table(path)
    if not {"unique_id", "on_hand"} <= set(table.columns):
        raise UnreadableFile(path, "needs the columns unique_id and on_hand, and due_1, due_2, … where orders are due")
    given = pl.DataFrame({"unique_id": panel.ids}).join(
        table.unique("unique_id", keep="first"), on="unique_id", how="left"
    )
    names = [name for name in table.columns if name.startswith("due_") and name[4:].isdigit()]
    ahead = max(ahead, *(int(name[4:]) for name in names)) if names else ahead
    due = np.zeros((len(panel), ahead))
    try:
        for name in names:
            due[:, int(name[4:]) - 1] = given[name].cast(pl.Float64).fill_null(0.0).to_numpy()
        stock = given["on_hand"].cast(pl.Float64).fill_null(0.0).to_numpy()
    except pl.exceptions.PolarsError as error:
        raise UnreadableFile(path, f"holds what is no number: {str(error).splitlines()[0]}") from None
    if not (np.isfinite(stock).all() and np.isfinite(due).all()):
        raise UnreadableFile(path, "holds what is no number")
    return np.maximum(stock, 0.0), np.maximum(due, 0.0)


def _recent(panel: Panel, end: int, window: int) -> Array:
    """The mean of the last `window` known periods, 0 where none is."""
    values = panel.y[:, max(0, end - window) : end]
    count = np.isfinite(values).sum(1)
    return np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), 0.0)


def _moving(panel: Panel, window: int, times: float) -> Policy:
    def orders(period: int, stock: Array, due: Array) -> Array:
        return np.asarray(np.rint(np.maximum(_recent(panel, period, window) * times - stock - due.sum(1), 0.0)))

    return orders


def _seasonal(panel: Panel, cover: int, times: float) -> Policy:
    """What was sold in the same periods a season ago, times how the last 13 compare with the same 13 then."""

    def orders(period: int, stock: Array, due: Array) -> Array:
        now = _recent(panel, period, 13)
        back = period - panel.season
        level = now * cover
        if back >= 13:
            then = _recent(panel, back, 13)
            came = panel.y[:, back : back + cover]
            share = np.isfinite(came).sum(1)
            total = np.nansum(came, axis=1) * cover / np.maximum(share, 1)
            growth = np.clip((now + 0.1) / (then + 0.1), 0.3, 3.0)
            level = np.where(share > 0, total * growth, level)
        return np.asarray(np.rint(np.maximum(level * times - stock - due.sum(1), 0.0)))

    return orders


def _engine(panel: Panel, terms: Terms, threads: int, progress: Progress | None) -> Policy:
    whole = bool(np.all(np.nan_to_num(panel.y) % 1 == 0))
    span = terms.lead + terms.review

    def orders(period: int, stock: Array, due: Array) -> Array:
        if progress:
            progress(0, 0, f"engine, the order before period {period}")
        made = forecast(panel.until(period), span, threads=threads)
        return decide(
            made.quantiles,
            stock,
            due[:, :span],
            lead=terms.lead,
            review=terms.review,
            holding=terms.holding,
            shortage=RECKONED * terms.shortage,
            whole=whole,
        ).quantity

    return orders
