"""The order list: for each product how much, when it must last, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from shelfwise.errors import InvalidRequest
from shelfwise.plan.demand.quantiles import LEVELS, quantile_at
from shelfwise.plan.inventory.policy import RECKONED, decide

Array = np.ndarray[Any, Any]
WEEK = 7
_USUAL_HOLDING = 0.2 / 52  # of a unit's cost a week: a fifth a year, the textbook's figure
_OVERSTOCK = 26  # weeks of cover beyond which stock is too much


@dataclass(frozen=True, kw_only=True)
class Order:
    """One product's line. Amounts in units, money in the shop's currency, chances 0 to 1.

    status: order, runs_out (before an order could come), overstock, dead (nothing expected to sell), enough.
    assumed: the values that were not given and are the settings'."""

    product: str
    supplier: str
    status: str
    quantity: float
    cost: float | None
    on_hand: float
    on_order: float
    lead_weeks: int
    review_weeks: int
    demand: float  # mean over lead time and review
    safety_stock: float
    level: float  # order up to
    cover_days: float | None  # that what is on hand lasts at the mean; None: for ever
    stockout: float  # before this order is there
    shortage: float  # until the next one is
    saved: float  # expected cost without the order less that with it
    why: str
    assumed: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def totals(stock: pl.DataFrame) -> pl.DataFrame:
    """One row a product: amounts summed over locations, terms of the first row that has them."""
    terms = [n for n in stock.columns if n not in ("product", "location", "on_hand", "on_order", "due", "supplier")]
    shelves = stock.unique(["product", "location"], keep="first", maintain_order=True)
    held = shelves.group_by("product", maintain_order=True).agg(pl.col("on_hand").sum())
    rest = stock.group_by("product", maintain_order=True).agg(
        *(pl.col(name).drop_nulls().first() for name in terms),
        pl.col("supplier").filter(pl.col("supplier") != "").first().fill_null(""),
        pl.col("on_order").fill_null(0.0).alias("amounts"),
        pl.col("due").alias("dues"),
    )
    return held.join(rest, on="product", how="left", maintain_order="left")


def span_of(row: dict[str, Any], lead_time: float, review: float) -> tuple[int, int]:
    """Whole weeks of lead time (with one standard deviation of its spread) and of review."""
    days = (lead_time if row["lead_time"] is None else row["lead_time"]) + (row["lead_time_spread"] or 0.0)
    every = review if row["review"] is None else row["review"]
    return int(np.ceil(days / WEEK)), max(1, int(np.ceil(every / WEEK)))


def order_list(
    rows: list[dict[str, Any]],
    quantiles: Array,
    means: Array,
    today: date,
    *,
    lead_time: float,
    review: float,
    service_level: float,
    budget: float | None = None,
) -> list[Order]:
    """An order for each row of `totals`, most urgent first. quantiles: [n, weeks, levels], means: [n, weeks] of demand
    in each week from `today` on, as many as the longest lead time and review. Raises InvalidRequest for a budget with
    products whose cost is unknown."""
    spans = [span_of(row, lead_time, review) for row in rows]
    made: list[Order | None] = [None] * len(rows)
    for lead, every in sorted(set(spans)):
        mine = np.array([i for i, span in enumerate(spans) if span == (lead, every)])
        part = [rows[i] for i in mine]
        orders = _orders(part, quantiles[mine], means[mine], today, lead, every, service_level)
        for i, order in zip(mine, orders, strict=True):
            made[i] = order
    orders = [order for order in made if order is not None]
    if budget is not None:
        orders = _within(orders, budget)
    rank = {"runs_out": 0, "order": 1, "enough": 2, "overstock": 3, "dead": 4}
    return sorted(orders, key=lambda o: (rank[o.status], -o.saved, o.product))


def _orders(
    rows: list[dict[str, Any]], quantiles: Array, means: Array, today: date, lead: int, every: int,
    service_level: float,
) -> list[Order]:  # fmt: skip
    span = lead + every
    due = np.zeros((len(rows), span))
    for i, row in enumerate(rows):
        for amount, when in zip(row["amounts"], row["dues"], strict=True):
            week = min(lead, span - 1)
            if when:
                week = max(0, (date.fromisoformat(when) - today).days // WEEK)
            if week < span:
                due[i, week] += amount
    held = np.array([row["on_hand"] for row in rows])
    cost = np.array([np.nan if row["unit_cost"] is None else row["unit_cost"] for row in rows])
    unit = np.where(np.isfinite(cost) & (cost > 0), cost, 1.0)
    holding = np.array(
        [_USUAL_HOLDING * unit[i] if r["holding_cost"] is None else r["holding_cost"] for i, r in enumerate(rows)]
    )
    holding = np.maximum(holding, 1e-9)
    level = np.array([service_level if row["service_level"] is None else row["service_level"] for row in rows])
    shortage = holding * level / (1 - level)
    priced = np.array([row["shortage_cost"] is not None and row["service_level"] is None for row in rows])
    shortage = np.where(priced, [RECKONED * (row["shortage_cost"] or 0.0) for row in rows], shortage)
    pack = np.array([row["pack"] or 1.0 for row in rows])
    minimum = np.array([row["minimum"] or 0.0 for row in rows])
    made = decide(
        quantiles[:, :span], held, due, lead=lead, review=every, holding=holding, shortage=shortage,
        pack=pack, minimum=minimum,
    )  # fmt: skip
    orders = []
    for i, row in enumerate(rows):
        mean = float(means[i, :span].sum())
        weekly = float(means[i].mean())
        quantity = float(made.quantity[i])
        if row["shelf_life"] is not None:  # no more than is sold before it spoils
            most = max(0.0, weekly * row["shelf_life"] / WEEK - held[i] - due[i].sum())
            quantity = min(quantity, float(np.floor(most / pack[i]) * pack[i]))
            quantity = quantity if quantity >= minimum[i] else 0.0
        coming = float(sum(row["amounts"]))
        status = _status(quantity, float(made.stockout[i]), held[i] + coming, weekly)
        assumed = [
            name
            for name, known in (
                ("lead_time", row["lead_time"] is not None),
                ("review", row["review"] is not None),
                ("unit_cost", row["unit_cost"] is not None),
                ("holding_cost", row["holding_cost"] is not None),
                ("service_level", row["service_level"] is not None or row["shortage_cost"] is not None),
            )
            if not known
        ]
        upper = float(quantile_at(quantiles[i : i + 1, :span], 0.9).sum())
        why = (
            f"{mean:.1f} expected to sell in {span} weeks ({lead} until the order is there, {every} until the next; "
            f"a high case is {upper:.0f}). {held[i]:g} on hand, {coming:g} on order. "
        )
        if quantity > 0:
            why += f"{quantity:g} more, in packs of {pack[i]:g}, leave a chance of {made.shortage[i]:.0%} to run short."
        elif weekly < 0.01:
            why += "Nothing is expected to sell."
        else:
            why += "That is enough."
        orders.append(
            Order(
                product=row["product"],
                supplier=row["supplier"] or "",
                status=status,
                quantity=quantity,
                cost=quantity * row["unit_cost"] if row["unit_cost"] is not None else None,
                on_hand=float(held[i]),
                on_order=coming,
                lead_weeks=lead,
                review_weeks=every,
                demand=mean,
                safety_stock=max(0.0, float(held[i] + due[i].sum() + quantity) - mean),
                level=float(held[i] + due[i].sum() + quantity),
                cover_days=float(held[i]) / weekly * WEEK if weekly > 1e-6 else None,
                stockout=float(made.stockout[i]),
                shortage=float(made.shortage[i]),
                saved=max(0.0, float(made.cost_without[i] - made.cost[i])) if quantity > 0 else 0.0,
                why=why,
                assumed=assumed,
            )
        )
    return orders


def pressure(orders: list[Order]) -> dict[str, float]:
    """How each product's stock presses on the order of answers, those it presses on only.

    Overstock: from 0 at 26 weeks of cover to 1 at 52; dead stock 1; else minus the chance of missing demand before an
    order made now is there."""
    pressures: dict[str, float] = {}
    for order in orders:
        if order.status == "dead":
            pressures[order.product] = 1.0
        elif order.status == "overstock":
            weekly = order.demand / (order.lead_weeks + order.review_weeks)
            cover = (order.on_hand + order.on_order) / max(weekly, 1e-9)
            pressures[order.product] = min(1.0, cover / _OVERSTOCK - 1)
        elif order.stockout >= 0.05:
            pressures[order.product] = -order.stockout
    return pressures


def _status(quantity: float, stockout: float, position: float, weekly: float) -> str:
    if stockout >= 0.5:
        return "runs_out"
    if quantity > 0:
        return "order"
    if position > 0 and weekly < 0.01:
        return "dead"
    return "overstock" if position > _OVERSTOCK * weekly and position > 0 else "enough"


def _within(orders: list[Order], budget: float) -> list[Order]:
    """The best use of a budget: orders by the cost they save for each unit of money, as long as money is left."""
    if budget < 0 or not np.isfinite(budget):
        raise InvalidRequest("budget", f"is {budget:g}; it must be 0 or more")
    unknown = [order.product for order in orders if order.quantity > 0 and order.cost is None]
    if unknown:
        raise InvalidRequest(
            "budget",
            f"needs the unit_cost of what is to be ordered; {len(unknown)} have none, the first {unknown[0]!r}",
        )
    chosen: dict[str, Order] = {}
    for order in sorted(orders, key=lambda o: -o.saved / max(o.cost or 0.0, 1e-9)):
        if order.quantity <= 0 or (order.cost or 0.0) <= budget + 1e-9:
            budget -= order.cost or 0.0
            chosen[order.product] = order
            continue
        why = order.why + " Left out: the budget goes further elsewhere."
        values = asdict(order) | {"quantity": 0.0, "cost": 0.0, "saved": 0.0, "why": why}
        chosen[order.product] = Order(**values)
    return [chosen[order.product] for order in orders]


def levels() -> tuple[str, ...]:
    """Column names of the quantiles: q05, q10, … q95."""
    return tuple(f"q{round(level * 100):02d}" for level in LEVELS)
