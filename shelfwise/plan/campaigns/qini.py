"""How well an order of customers puts those first whom a contact changes: Qini curve, coefficient, uplift of the first.

The Qini curve (Radcliffe, "Using control groups to target on predicted lift", 2007) counts, among the first of the
order, outcomes of the treated less those of the untreated scaled to as many people. The coefficient is the area
between that curve and the straight line of a random order, divided by the same area of the best possible order:
treated with an outcome first, untreated with an outcome last (the normalisation of scikit-uplift's `qini_auc_score`
with negative effects). Random is 0, the unreachable best 1; on Hillstrom's women's e-mail a T-learner of two
least-squares models has 0.06. Customers of one score have no order: the curve is straight across them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwise.errors import NotEnoughData

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Curve:
    """share: of customers addressed, from 0 to 1. gain: extra outcomes so far, in outcomes of the treated group."""

    share: Floats
    gain: Floats

    @property
    def area(self) -> float:
        """Between the curve and a random order's straight line, over shares from 0 to 1."""
        return float(np.trapezoid(self.gain, self.share) - self.gain[-1] / 2)

    def at(self, shares: Sequence[float]) -> Floats:
        return np.interp(shares, self.share, self.gain)


def qini_curve(scores: Floats, outcome: Floats, treated: Mask, weight: Floats | None = None) -> Curve:
    """The curve of customers ordered by falling score, all arrays [n]. weight: 1 / probability of the arm they had."""
    order = np.argsort(-scores, kind="stable")
    score, y, arm = scores[order], outcome[order], treated[order]
    mass = np.ones(len(y)) if weight is None else weight[order]
    treated_mass, control_mass = np.cumsum(mass * arm), np.cumsum(mass * ~arm)
    treated_sum, control_sum = np.cumsum(mass * arm * y), np.cumsum(mass * ~arm * y)
    scaled = np.divide(control_sum * treated_mass, control_mass, out=np.zeros(len(y)), where=control_mass > 0)
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))
    share = (ends + 1) / len(y)
    return Curve(np.append(0.0, share), np.append(0.0, (treated_sum - scaled)[ends]))


def qini(scores: Floats, outcome: Floats, treated: Mask, weight: Floats | None = None) -> float:
    """The Qini coefficient: 0 for a random order, 1 for the best possible. Raises NotEnoughData without outcomes."""
    best = qini_curve(np.where(treated, outcome, -outcome), outcome, treated, weight).area
    if best <= 0:
        raise NotEnoughData("the outcome is the same for everybody, so no order of customers is better than another")
    return qini_curve(scores, outcome, treated, weight).area / best


def effect(outcome: Floats, treated: Mask, weight: Floats | None = None) -> float:
    """Mean outcome of the treated less that of the untreated; nan where one group is empty."""
    if not treated.any() or treated.all():
        return float("nan")
    mass = np.ones(len(outcome)) if weight is None else weight
    return float(
        np.average(outcome[treated], weights=mass[treated]) - np.average(outcome[~treated], weights=mass[~treated])
    )


def effect_interval(outcome: Floats, treated: Mask) -> tuple[float, float, float]:
    """The difference of means with its 95% interval (unequal variances)."""
    value = effect(outcome, treated)
    spread = sum(
        float(outcome[group].var(ddof=1)) / int(group.sum()) if group.sum() > 1 else float("nan")
        for group in (treated, ~treated)
    )
    half = 1.96 * float(np.sqrt(spread))
    return value, value - half, value + half


def first(scores: Floats, share: float, seed: int = 0) -> npt.NDArray[np.int64]:
    """Indices of the given share of customers with the highest scores; chance decides between equal ones."""
    mixed = np.random.default_rng(seed).permutation(len(scores))
    return mixed[np.argsort(-scores[mixed], kind="stable")[: max(1, round(share * len(scores)))]]


@dataclass(frozen=True, slots=True)
class Quality:
    """Of one order on one sample. uplift: extra outcomes a head in the first 10% and 30%; kept: the part of the whole
    effect that the first 30% have."""

    qini: float
    uplift_10: float
    uplift_30: float
    kept_30: float


def quality(scores: Floats, outcome: Floats, treated: Mask, weight: Floats | None = None) -> Quality:
    def uplift(share: float) -> float:
        rows = first(scores, share)
        return effect(outcome[rows], treated[rows], None if weight is None else weight[rows])

    whole = effect(outcome, treated, weight)
    thirty = uplift(0.3)
    return Quality(
        qini(scores, outcome, treated, weight), uplift(0.1), thirty, 0.3 * thirty / whole if whole else np.nan
    )
