"""`benchmark campaigns`: of those addressed, who takes part, and with which offers; learned up to each campaign's
start.

For each campaign after the first ten, in order of start: the model learns from the campaigns that started before, and
of their answers from those that had come. Beside it: recency, frequency and value, each alone and as a regression, and
past redemptions, counted, as a rate, and as a regression.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np

from shelfwise.errors import NotEnoughData
from shelfwise.models.recommender import Progress
from shelfwise.plan.campaigns.qini import Floats
from shelfwise.plan.campaigns.response import History, Logistic, Offered, describe_offers, offer_scores

AFTER = 10  # campaigns that are only learned from
_DEPTH = 10
_DRAWS = 500
#: Columns of History.describe.
_RECENCY, _BASKETS, _SPENT = 0, 2, 4
_RFM = [0, 2, 3, 4, 5]
_PAST = [12, 13, 14, 15, 19]


def area(scores: Floats, positive: np.ndarray) -> float:
    """Area under the ROC curve; ties count half."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    ones = int(positive.sum())
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * (len(scores) - ones)))


def _ndcg(scores: Floats, taken: np.ndarray) -> float:
    mixed = np.random.default_rng(0).permutation(len(scores))
    order = mixed[np.argsort(-scores[mixed], kind="stable")][:_DEPTH]
    discount = 1 / np.log2(np.arange(2, _DEPTH + 2))
    best = discount[: min(_DEPTH, int(taken.sum()))].sum()
    return float((taken[order] * discount[: len(order)]).sum() / best)


def redemption_benchmark(history: History, progress: Progress | None = None) -> dict[str, Any]:
    """Rows with AUC (of a campaign, weighed by how many took part) and its 95% interval over campaigns, and the lead
    over the best baseline; offers: NDCG@10 of the offers of those who took part. Raises NotEnoughData."""
    sent = [one for one in history.sent if one.customers and one.offers]
    if len(sent) <= AFTER:
        raise NotEnoughData(
            f"the record has {len(sent)} campaigns with customers and offers; more than {AFTER} are needed"
        )
    described = [history.describe(one.customers, one.products, one.start) for one in sent]
    areas: dict[str, list[float]] = {}
    weights: list[int] = []
    orders: dict[str, list[float]] = {}
    for place in range(AFTER, len(sent)):
        one, x = sent[place], described[place]
        if progress is not None:
            progress(place - AFTER, len(sent) - AFTER, f"campaigns: {one.id}")
        took = history.answered(one.id, one.customers, one.end + timedelta(days=400))
        earlier = [at for at in range(place) if sent[at].start < one.start]
        known = np.vstack([described[at] for at in earlier])
        answers = np.concatenate([history.answered(sent[at].id, sent[at].customers, one.start) for at in earlier])
        if not took.any() or took.all() or not answers.any():
            continue
        weights.append(int(took.sum()))
        scores = {
            "Shelfwise": Logistic(known, answers).chance(x),
            "recency": -x[:, _RECENCY],
            "frequency": x[:, _BASKETS],
            "value": x[:, _SPENT],
            "recency, frequency, value": Logistic(known[:, _RFM], answers).chance(x[:, _RFM]),
            "past redemptions": x[:, _PAST[0]],
            "past rate": x[:, _PAST[4]],
            "past redemptions, regression": Logistic(known[:, _PAST], answers).chance(x[:, _PAST]),
        }
        for name, values in scores.items():
            areas.setdefault(name, []).append(area(values, took))
        for name, value in _offers(history, one).items():
            orders.setdefault(name, []).extend(value)
    if not weights:
        raise NotEnoughData("nobody took part in a campaign after the tenth; load redemptions")
    rows = [_row(name, values, weights) for name, values in areas.items()]
    best = max(rows[1:], key=lambda row: row["auc"])
    lead = _row("lead", list(np.subtract(areas["Shelfwise"], areas[best["name"]])), weights)
    return {
        "rows": rows,
        "best_baseline": best["name"],
        "lead": lead["auc"],
        "lead_low": lead["low"],
        "lead_high": lead["high"],
        "campaigns": len(weights),
        "redeemers": int(sum(weights)),
        "offers": [
            {"name": name, "ndcg@10": float(np.mean(values)), "people": len(values)} for name, values in orders.items()
        ],
    }


def _row(name: str, values: list[float], weights: list[int]) -> dict[str, Any]:
    value, weight = np.array(values), np.array(weights, float)
    draws = np.random.default_rng(0).integers(0, len(value), (_DRAWS, len(value)))
    means = (value[draws] * weight[draws]).sum(1) / weight[draws].sum(1)
    return {
        "name": name,
        "auc": float(np.average(value, weights=weight)),
        "low": float(np.quantile(means, 0.025)),
        "high": float(np.quantile(means, 0.975)),
        "auc_unweighted": float(value.mean()),
    }


def _offers(history: History, one: Offered) -> dict[str, list[float]]:
    took: dict[str, set[str]] = {}
    for customer, campaign, offer in history.answers.select("customer", "campaign", "offer").iter_rows():
        if campaign == one.id and offer in one.offers:
            took.setdefault(customer, set()).add(offer)
    people = sorted(took)
    if not people or len(one.offers) < 2:
        return {}
    x = describe_offers(history, people, one.offers, one.start)
    scores = {
        "Shelfwise": offer_scores(history, people, one.offers, one.start),
        "own purchases": x[:, :, 0],
        "popular": x[:, :, 2],
        "number of products": x[:, :, 3],
    }
    truth = [np.array([code in took[person] for code in one.offers]) for person in people]
    return {
        name: [_ndcg(values, taken) for values, taken in zip(matrix, truth, strict=True)]
        for name, matrix in scores.items()
    }
