"""What a campaign changed: those sent to beside those held out, with intervals.

The difference of means is made narrower by what each customer spent before (CUPED; Deng, Xu, Kohavi and Walker,
"Improving the sensitivity of online controlled experiments by utilizing pre-experiment data", 2013).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from shelfwise.errors import InvalidRequest, NotEnoughData
from shelfwise.plan.campaigns.draft import Draft
from shelfwise.plan.campaigns.propensity import propensity
from shelfwise.plan.campaigns.qini import Floats, effect, effect_interval, qini, qini_curve
from shelfwise.plan.campaigns.response import History
from shelfwise.plan.campaigns.words import Said
from shelfwise.schema import to_micros
from shelfwise.store import Store
from shelfwise.store.campaigns import SENT

_FEWEST_ADJUSTED = 100  # of either group for a comparison adjusted by the chance of being addressed
_FEWEST = 30  # of either group for a segment, or for a Qini curve
_ADDRESSED = {"customer": pl.String, "arm": pl.String, "profit": pl.Float64}
_POINTS = tuple(round(0.1 * step, 1) for step in range(11))


def cuped(outcome: Floats, before: Floats) -> Floats:
    """The outcome less what the time before explains of it; its mean stays."""
    spread = float(before.var())
    if spread == 0:
        return outcome
    slope = float(np.cov(outcome, before)[0, 1]) / float(before.var(ddof=1))
    return np.asarray(outcome - slope * (before - before.mean()))


def measure(store: Store, history: History, draft: Draft, moment: datetime) -> dict[str, Any]:
    """The campaign up to the moment: participation, effect on orders and revenue of its products and on all revenue, by
    segment, the Qini of the order it was planned in, promised beside came. Raises NotEnoughData without contacts."""
    contacts = store.campaign_record.contacts(draft.id)
    if contacts.is_empty():  # a campaign that came with the record names its customers itself
        named = next((one.customers for one in history.sent if one.id == draft.id), ())
        rows = {"customer": list(named), "arm": [SENT] * len(named), "profit": [None] * len(named)}
        contacts = pl.DataFrame(rows, schema=_ADDRESSED)
    if contacts.is_empty():
        raise NotEnoughData(f"nobody is recorded as addressed by {draft.id!r}; load contacts, or export its audience")
    names = contacts["customer"].to_list()
    sent = (contacts["arm"] == SENT).to_numpy()
    end = min(draft.end, moment)
    answers = history.answered(draft.id, names, draft.end + timedelta(days=30))
    products = {product for offer in draft.offers for product in offer.products}
    categories = [category for offer in draft.offers for category in offer.categories]
    mine = pl.col("product").is_in(list(products))
    for category in categories:
        mine |= (pl.col("kind") == category) | pl.col("kind").str.starts_with(f"{category} > ")
    length = draft.end - draft.start

    def spent(since: datetime, until: datetime, only: pl.Expr | None) -> Floats:
        window = history.purchases.filter((pl.col("time") >= to_micros(since)) & (pl.col("time") < to_micros(until)))
        if only is not None:
            window = window.filter(only.fill_null(value=False))
        totals = dict(window.group_by("customer").agg(pl.col("value").sum()).iter_rows())
        return np.array([totals.get(name, 0.0) for name in names])

    before, revenue = spent(draft.start - length, draft.start, None), spent(draft.start, end, None)
    own = spent(draft.start, end, mine)
    buyers = (own > 0).astype(np.float64)
    held = int((~sent).sum())
    warnings: list[str] = []
    if moment < draft.end:
        warnings.append(Said("runs", "the campaign still runs: this is what came so far"))
    result: dict[str, Any] = {
        "campaign": draft.id,
        "sent": int(sent.sum()),
        "held_out": held,
        "took_part": int(answers[sent].sum()),
        "took_part_share": float(answers[sent].mean()) if sent.any() else 0.0,
        "bought": int(buyers[sent].sum()),
        "revenue_of_its_products": float(own[sent].sum()),
        "promised": dict(draft.promised),
    }
    if held < 2 or int(sent.sum()) < 2:
        warnings.append(
            Said(
                "nobody_held",
                "nobody was held out, so no effect can be told: those who took part might have bought anyway",
            )
            if held < 2
            else Said("nobody_sent", "nobody was addressed, so no effect can be told")
        )
        observed = observed_effect(history, draft.id, end) if held < 2 else None
        if observed is not None:
            text = (
                "{overlap} of the customers could have been in either group; the comparison with customers of alike "
                "history who were not addressed is no effect of chance's making: what decided who was addressed and is "
                "not on record is in it"
            )
            warnings.append(Said("adjusted", text, overlap=f"{observed['overlap']:.0%}"))
        return result | {"effect": None, "observed": observed, "segments": [], "qini": None, "warnings": warnings}
    if min(held, int(sent.sum())) < 100:
        warnings.append(Said("few_held", "{count} customers were held out: few, so the intervals are wide", count=held))
    effects = {
        "bought": (buyers, buyers),
        "revenue of its products": (own, cuped(own, before)),
        "revenue": (revenue, cuped(revenue, before)),
    }
    result["effect"] = {
        name: {"plain": _interval(plain, sent), "cuped": _interval(adjusted, sent)}
        for name, (plain, adjusted) in effects.items()
    }
    total = result["effect"]["revenue of its products"]["cuped"]
    result["extra_revenue"] = {key: value * int(sent.sum()) for key, value in total.items()}
    cost = draft.contact_cost * int(sent.sum())
    result["contact_cost"] = cost
    result["segments"] = _segments(before, buyers, sent)
    scores = contacts["profit"].fill_null(0.0).to_numpy()
    result["qini"] = _curve(scores, buyers, sent)
    lean = effect_interval(before, sent)
    if lean[1] > 0 or lean[2] < 0:
        warnings.append(Said("apart", "the two groups spent differently before it began: were they drawn at random?"))
    return result | {"observed": None, "warnings": warnings}


def observed_effect(history: History, campaign: str, until: datetime) -> dict[str, float] | None:
    """Of a campaign that held nobody out: how many more of the addressed bought its products up to `until` than of all
    other customers, each weighed by the chance of being addressed (Horvitz and Thompson, 1952), with an interval from
    resampled customers. overlap: the part of customers who could have been in either group. None for fewer than 100 of
    either, for a campaign without products, and where the history says for certain who was addressed."""
    one = next((sent for sent in history.sent if sent.id == campaign), None)
    if one is None or not one.products:
        return None
    people = history.customers(one.start)
    addressed = set(one.customers)
    arm = np.array([0 if name in addressed else -1 for name in people])
    if min(int((arm == 0).sum()), int((arm == -1).sum())) < _FEWEST_ADJUSTED:
        return None
    x = history.describe(people, one.products, one.start)
    days = (until - one.start).total_seconds() / 86_400
    outcome = history.bought(people, one.products, one.start, days).astype(np.float64)
    try:
        chance, _, overlap, _ = propensity(x, arm, 1, tuple(map(str, range(x.shape[1]))))
    except InvalidRequest:
        return None
    sent = arm == 0
    weight = np.where(sent, 1 / chance[:, 0], 1 / chance[:, 1])
    generator, drawn = np.random.default_rng(0), []
    for _ in range(200):
        rows = generator.integers(0, len(people), len(people))
        drawn.append(effect(outcome[rows], sent[rows], weight[rows]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"value": effect(outcome, sent, weight), "low": float(low), "high": float(high), "overlap": overlap}


def _interval(values: Floats, sent: np.ndarray) -> dict[str, float]:
    return dict(zip(("value", "low", "high"), effect_interval(values, sent), strict=True))


def _segments(before: Floats, buyers: Floats, sent: np.ndarray) -> list[dict[str, Any]]:
    """The effect on buying by what customers spent before: nothing, the lower half of the others, the upper."""
    middle = float(np.median(before[before > 0])) if (before > 0).any() else 0.0
    groups = {"none": before == 0, "less": (before > 0) & (before <= middle), "more": before > middle}
    rows = []
    for name, rows_of in groups.items():
        if min(int((rows_of & sent).sum()), int((rows_of & ~sent).sum())) >= _FEWEST:
            rows.append(
                {"spent_before": name, "customers": int(rows_of.sum()), **_interval(buyers[rows_of], sent[rows_of])}
            )
    return rows


def _curve(scores: Floats, buyers: Floats, sent: np.ndarray) -> dict[str, Any] | None:
    """Of the planned order; None where there was none or nobody bought."""
    if min(int(sent.sum()), int((~sent).sum())) < _FEWEST or np.ptp(scores) == 0 or np.ptp(buyers) == 0:
        return None
    curve = qini_curve(scores, buyers, sent)
    value = qini(scores, buyers, sent)
    drawn, random = [], np.random.default_rng(0)
    for _ in range(200):
        rows = random.integers(0, len(scores), len(scores))
        if 0 < sent[rows].sum() < len(rows) and np.ptp(buyers[rows]) > 0:
            drawn.append(qini(scores[rows], buyers[rows], sent[rows]))
    return {
        "value": value,
        "low": float(np.quantile(drawn, 0.025)) if drawn else None,
        "high": float(np.quantile(drawn, 0.975)) if drawn else None,
        "points": [
            {"share": share, "gain": float(gain)} for share, gain in zip(_POINTS, curve.at(_POINTS), strict=True)
        ],
    }
