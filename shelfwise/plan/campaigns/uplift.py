"""`benchmark uplift`: can a campaign's result be bettered by choosing whom to contact, and with what certainty.

The file is split in half again and again: learned on one, measured on the other. The spread of the measured halves is
the standard error of the whole sample's figure (the delete-half jackknife, Shao and Wu, "A general theory for jackknife
variance estimation", 1989), so intervals are the mean ± 1.96 spreads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shelfwise.models.recommender import Progress
from shelfwise.plan.campaigns.experiment import Experiment
from shelfwise.plan.campaigns.learners import BASELINES, LEARNERS, Sample, scores
from shelfwise.plan.campaigns.qini import effect_interval, qini, quality

SPLITS = 20
LARGE = 50_000  # customers from which on half of the splits do
MOST = 400_000  # customers read
CHOICE = 30_000  # customers by whom a learner is chosen
SHARES = tuple(round(0.1 * step, 1) for step in range(11))  # of the profit curve
_FOLDS, _REPEATS = 3, 2  # of the choice within a half
_FIGURES = ("qini", "uplift@10", "uplift@30", "share_of_effect@30")


def choose(sample: Sample, seed: int = 0) -> str:
    """The learner with the best cross-validated Qini; an earlier one of LEARNERS where the better is so by less than
    one standard error of their difference (Breiman, Friedman, Olshen and Stone, "Classification and regression trees",
    1984), in which folds that share customers count as the fewer they are (Nadeau and Bengio, "Inference for the
    generalization error", 2003)."""
    values: dict[str, list[float]] = {}
    if len(sample) > CHOICE:
        sample = sample.of(np.random.default_rng(seed).permutation(len(sample))[:CHOICE])
    for repeat in range(_REPEATS):
        folds = _folds(sample, np.random.default_rng([seed, repeat]))
        for fold in range(_FOLDS):
            rest, here = sample.of(folds != fold), sample.of(folds == fold)
            for name, expected in scores(rest, here, seed).items():
                values.setdefault(name, []).append(qini(expected, here.outcome, here.treated, here.weight))
    best = max(values, key=lambda name: float(np.mean(values[name])))
    shared = np.sqrt(1 / (_REPEATS * _FOLDS) + 1 / (_FOLDS - 1))
    for name in values:  # the steadiest first
        lead = np.subtract(values[best], values[name])
        if name == best or lead.mean() <= lead.std(ddof=1) * shared:
            return name
    return best


def _folds(sample: Sample, random: np.random.Generator) -> np.ndarray:
    """int [n]: each fold with its part of either arm and of a rare outcome."""
    order = np.lexsort((random.random(len(sample)), sample.outcome > sample.outcome.min(), sample.treated))
    folds = np.empty(len(sample), int)
    folds[order] = np.arange(len(sample)) % _FOLDS
    return folds


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over splits with its 95% interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Figure:
        mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
        return cls(mean, mean - 1.96 * spread, mean + 1.96 * spread)

    def to_json(self) -> dict[str, float]:
        return {"value": round(self.value, 6), "low": round(self.low, 6), "high": round(self.high, 6)}


def compare(
    experiment: Experiment, place: int, *, cost: float, splits: int | None, progress: Progress | None
) -> dict[str, Any]:
    """One arm beside the control: rows of every learner, the chosen one's profit curve, the verdict."""
    sample, rows_of = experiment.against_control(place)
    arm = experiment.arms[place]
    count = splits or (SPLITS if len(sample) <= LARGE else SPLITS // 2)
    results: dict[str, list[tuple[float, float, float, float]]] = {}
    chosen: list[str] = []
    profits: list[np.ndarray] = []
    for split in range(count):
        if progress is not None:
            progress(split, count, f"{arm}: half splits")
        inside = _half(len(experiment), split)[rows_of]
        train, test = sample.of(inside), sample.of(~inside)
        name = choose(train, split)
        chosen.append(name)
        expected = scores(train, test, split)
        expected |= {row: learner(train, split)(test) for row, learner in BASELINES.items()}
        for row, order in expected.items():
            one = quality(order, test.outcome, test.treated, test.weight)
            measured = (one.qini, one.uplift_10, one.uplift_30, one.kept_30)
            results.setdefault(row, []).append(measured)
            if row == name:
                results.setdefault("chosen", []).append(measured)
                profits.append(_profit(order, test, cost))
    whole = effect_interval(sample.outcome, sample.treated) if experiment.random else _weighted(sample)
    rows = [_row(name, arm, results[name]) for name in ("chosen", *LEARNERS, *BASELINES) if name in results]
    most = max(set(chosen), key=chosen.count)
    rows[0]["learner"] = most
    lead = Figure.of([a[0] - b[0] for a, b in zip(results["chosen"], results["OLS T"], strict=True)])
    curve = [Figure.of(list(column)) for column in np.array(profits).T]
    return {
        "arm": arm,
        "control": experiment.control,
        "customers": len(sample),
        "effect": dict(zip(("value", "low", "high"), (round(v, 6) for v in whole), strict=True)),
        "splits": count,
        "learners": chosen,
        "rows": rows,
        "chosen_ahead_of_ols_t": lead.to_json(),
        "profit": [{"share": share, **figure.to_json()} for share, figure in zip(SHARES, curve, strict=True)],
        **_verdict(whole, rows[0], profits, cost, experiment.random),
    }


def _half(customers: int, split: int) -> np.ndarray:
    """bool [customers]: who is learned from, the same for every arm."""
    inside = np.zeros(customers, bool)
    inside[np.random.default_rng(split).permutation(customers)[: customers // 2]] = True
    return inside


def _profit(scores: np.ndarray, test: Sample, cost: float) -> np.ndarray:
    """[shares]: extra outcomes a customer of the shop, less the cost of contacts, by how many are addressed."""
    mixed = np.random.default_rng(0).permutation(len(scores))
    order = mixed[np.argsort(-scores[mixed], kind="stable")]
    signed = np.where(test.treated, 1.0, -1.0) * test.weight * test.outcome
    # normalised weights: each arm's sums over its own weights, scaled to the whole
    weight = np.where(test.treated, test.weight[test.treated].sum(), test.weight[~test.treated].sum()) / len(scores)
    gained = np.append(0.0, np.cumsum((signed / weight)[order])) / len(scores)
    places = np.array([round(share * len(scores)) for share in SHARES])
    return np.asarray(gained[places] - cost * np.array(SHARES))


def _weighted(sample: Sample) -> tuple[float, float, float]:
    """The effect adjusted by the chance of a contact, with an interval from resampled customers."""
    from shelfwise.plan.campaigns.qini import effect

    random = np.random.default_rng(0)
    drawn = []
    for _ in range(200):
        rows = random.integers(0, len(sample), len(sample))
        drawn.append(effect(sample.outcome[rows], sample.treated[rows], sample.weight[rows]))
    value = effect(sample.outcome, sample.treated, sample.weight)
    return value, float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def _row(name: str, arm: str, measured: list[tuple[float, float, float, float]]) -> dict[str, Any]:
    columns = list(zip(*measured, strict=True))
    order = Figure.of(list(columns[0]))
    row: dict[str, Any] = {"name": name, "arm": arm, "qini": order.value, "low": order.low, "high": order.high}
    for figure, column in zip(_FIGURES[1:], columns[1:], strict=True):
        values = [value for value in column if np.isfinite(value)]
        row[figure] = float(np.mean(values)) if values else None
    return row


def _verdict(
    whole: tuple[float, float, float],
    row: dict[str, Any],
    profits: list[np.ndarray],
    cost: float,
    random: bool,
) -> dict[str, Any]:
    """What to do: send to some, to all, or to none. Only what an interval carries is said."""
    value, low, high = whole
    all_ = Figure(value - cost, low - cost, high - cost)
    curves = np.array(profits)
    size = int(np.argmax(curves.mean(0)))
    # The best share was read off the same curves: its lead must be clear for that.
    lead = Figure.of(
        list(
            curves[:, size] - np.maximum(curves[:, -1], 0.0)
            if all_.low <= 0 <= all_.high
            else curves[:, size] - (curves[:, -1] if all_.value > 0 else 0.0)
        )
    )
    ordered = row["low"] > 0
    if ordered and 0 < size < len(SHARES) - 1 and lead.low > 0:
        verdict, share = "some", SHARES[size]
        text = (
            f"Send to the first {share:.0%} of the order: {lead.value:.4g} more a customer than the best of all "
            f"or none "
            f"(95% {lead.low:.4g} to {lead.high:.4g})."
        )
    else:
        share = None
        brings = f"{all_.value:.4g} a customer after cost (95% {all_.low:.4g} to {all_.high:.4g})"
        if all_.low > 0:
            verdict, text = "all", f"Send to all: it brings {brings}."
        elif all_.high < 0:
            verdict, text = "none", f"Send to none: it brings {brings}."
        else:
            verdict = "unclear"
            text = f"Not shown to pay: {brings}, which holds 0. Send to none, or test again with more people."
        if ordered and verdict != "none":
            text += " The order is better than chance: where only a part can be contacted, take the first of it."
        elif not ordered:
            text = f"Personalising brings nothing here that can be shown: send to all, or to none. {text}"
    if not random:
        text += " The arms were not random: this holds only if nothing unrecorded decided who was contacted."
    return {"verdict": verdict, "verdict_share": share, "text": text}


def policies(
    experiment: Experiment, learners: Sequence[Sequence[str]], *, cost: float, progress: Progress | None
) -> dict[str, Any] | None:
    """Several arms: each for all, none for all, and the best personal choice, by the mean outcome of those who happened
    to get what the policy gives (inverse propensity). learners: of each arm, what was chosen on each split's learning
    half. None for one arm."""
    arms = len(experiment.arms)
    if arms < 2:
        return None
    count = min(map(len, learners))
    every = np.where(experiment.arm < 0, arms, experiment.arm)
    drawn: dict[str, list[float]] = {}
    prices = np.append(np.full(arms, cost), 0.0)
    for split in range(count):
        if progress is not None:
            progress(split, count, "arms: half splits")
        inside = _half(len(experiment), split)
        test = np.flatnonzero(~inside)
        everybody = Sample(
            experiment.trees[test],
            experiment.linear[test],
            experiment.arm[test] >= 0,
            experiment.outcome[test],
            1 - experiment.chance[test][:, -1],
        )
        gains = np.zeros((len(test), arms + 1))
        for place in range(arms):
            sample, rows = experiment.against_control(place)
            mine = sample.of(inside[rows])
            gains[:, place] = LEARNERS[learners[place][split]](mine, split)(everybody) - cost
        personal = gains.argmax(1)
        value = experiment.outcome[test] - prices[every[test]]
        weight = 1 / experiment.chance[test, every[test]]

        def worth(
            policy: np.ndarray, value: np.ndarray = value, weight: np.ndarray = weight, had: np.ndarray = every[test]
        ) -> float:
            agree = had == policy
            return float(np.average(value[agree], weights=weight[agree]))

        for place, name in enumerate((*experiment.arms, experiment.control)):
            drawn.setdefault(f"{name} for all", []).append(worth(np.full(len(test), place)))
        drawn.setdefault("best personal choice", []).append(worth(personal))
    figures = {name: Figure.of(values) for name, values in drawn.items()}
    one = max((name for name in figures if name != "best personal choice"), key=lambda name: figures[name].value)
    lead = Figure.of(list(np.subtract(drawn["best personal choice"], drawn[one])))
    if lead.low > 0:
        interval = f"95% {lead.low:.4g} to {lead.high:.4g}"
        text = f"Choosing for each customer brings {lead.value:.4g} a customer more than {one!r} ({interval})."
        verdict = "personal"
    else:
        verb = "is as good as" if lead.high >= 0 else "is better than"
        text = (
            f"{one!r} {verb} the best personal choice: {figures[one].value:.4f} and "
            f"{figures['best personal choice'].value:.4f} a customer, difference {lead.value:+.4f} "
            f"(95% {lead.low:+.4f} to {lead.high:+.4f})."
        )
        verdict = one
    return {
        "rows": [{"name": name, **figure.to_json()} for name, figure in figures.items()],
        "difference": lead.to_json(),
        "verdict": verdict,
        "text": text,
    }


def uplift_benchmark(
    experiment: Experiment, *, cost: float = 0.0, splits: int | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Everything about one A/B test, as JSON: rows of all comparisons, each comparison, the arms beside each other."""
    customers = len(experiment)
    if customers > MOST:
        experiment = experiment.of(np.random.default_rng(0).permutation(customers)[:MOST])
    compared = [
        compare(experiment, place, cost=cost, splits=splits, progress=progress) for place in range(len(experiment.arms))
    ]
    return {
        "rows": [row for one in compared for row in one["rows"]],
        "comparisons": compared,
        "policies": policies(experiment, [one["learners"] for one in compared], cost=cost, progress=progress),
        "customers": customers,
        "columns": list(experiment.used),
        "left_out": [{"column": one.column, "reason": one.reason} for one in experiment.left_out],
        "warnings": list(experiment.warnings),
        "randomised": experiment.random,
        "overlap": experiment.overlap,
        "cost": cost,
    }
