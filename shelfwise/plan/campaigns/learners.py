"""Uplift learners: how much more a customer does when contacted.

S, T, X: Künzel, Sekhon, Bickel and Yu, "Metalearners for estimating heterogeneous treatment effects" (2019). DR:
Kennedy, "Towards optimal doubly robust estimation of heterogeneous causal effects" (2020). Each on LightGBM with few
leaves, for the effect of a contact is small beside the outcome's noise. `linear` is the DR-learner with a ridge
regression on top, `logit` an S-learner by regression (logit.py), `ols_t` two least-squares models. `response` is no
uplift learner: it orders by who acts when contacted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shelfwise.plan.campaigns.logit import contact_regression
from shelfwise.plan.campaigns.qini import Floats, Mask

_TREES = {"learning_rate": 0.05, "num_leaves": 4, "lambda_l2": 10.0, "verbose": -1, "num_threads": 1}
_ROUNDS = 80
_FOLDS = 3  # of the models that the DR-learner corrects by what they did not see


@dataclass(frozen=True, slots=True)
class Sample:
    """Customers of two arms. trees: float [n, p], missing numbers nan. linear: float [n, q], standardised, nothing
    missing. chance: float [n], the probability with which each was treated."""

    trees: Floats
    linear: Floats
    treated: Mask
    outcome: Floats
    chance: Floats

    def of(self, rows: np.ndarray) -> Sample:
        """The rows of a mask or of indices."""
        return Sample(self.trees[rows], self.linear[rows], self.treated[rows], self.outcome[rows], self.chance[rows])

    def __len__(self) -> int:
        return len(self.outcome)

    @property
    def weight(self) -> Floats:
        """1 / the probability of the arm each was in."""
        return np.where(self.treated, 1 / self.chance, 1 / (1 - self.chance))


Uplift = Callable[[Sample], Floats]
Learner = Callable[[Sample, int], Uplift]


def _forest(x: Floats, y: Floats, seed: int) -> Callable[[Floats], Floats]:
    """A regression on trees; a constant where there are too few rows to divide."""
    if len(y) < 40 or float(np.ptp(y)) == 0:
        mean = float(y.mean()) if len(y) else 0.0
        return lambda other: np.full(len(other), mean)
    options = _TREES | {"objective": "regression", "min_data_in_leaf": max(20, len(y) // 100), "seed": seed}
    import lightgbm  # with pandas it takes most of a second, and who only answers needs none

    model = lightgbm.train(options, lightgbm.Dataset(x, y), _ROUNDS)
    return lambda other: np.asarray(model.predict(other), np.float64)


def _ridge(x: Floats, y: Floats, strength: float) -> Callable[[Floats], Floats]:
    """Ridge regression of standardised columns; strength: as a part of each column's own variance."""
    middle, target = x.mean(0), float(y.mean())
    centred = x - middle
    gram = centred.T @ centred
    weights = np.linalg.solve(gram + (strength * len(y) + 1e-6) * np.eye(x.shape[1]), centred.T @ (y - target))
    return lambda other: target + (other - middle) @ weights


def _ols(x: Floats, y: Floats) -> Callable[[Floats], Floats]:
    design = np.column_stack([np.ones(len(x)), x])
    weights = np.linalg.lstsq(design, y, rcond=None)[0]
    return lambda other: np.column_stack([np.ones(len(other)), other]) @ weights


def ols_t(sample: Sample, _seed: int = 0) -> Uplift:
    """Two least-squares models, one an arm, on the columns as they are: the baseline."""
    middle = np.nan_to_num(np.nanmean(sample.trees, axis=0))

    def plain(x: Floats) -> Floats:
        return np.asarray(np.where(np.isnan(x), middle, x) - middle)

    x = plain(sample.trees)
    arms = [_ols(x[group], sample.outcome[group]) for group in (sample.treated, ~sample.treated)]
    return lambda other: arms[0](plain(other.trees)) - arms[1](plain(other.trees))


def s_learner(sample: Sample, seed: int = 0) -> Uplift:
    """One model that knows who was contacted."""
    model = _forest(np.column_stack([sample.trees, sample.treated]), sample.outcome, seed)

    def uplift(other: Sample) -> Floats:
        with_, without = (np.column_stack([other.trees, np.full(len(other), arm)]) for arm in (1.0, 0.0))
        return model(with_) - model(without)

    return uplift


def t_learner(sample: Sample, seed: int = 0) -> Uplift:
    """Two models, one an arm."""
    contacted, not_contacted = (
        _forest(sample.trees[group], sample.outcome[group], seed) for group in (sample.treated, ~sample.treated)
    )
    return lambda other: contacted(other.trees) - not_contacted(other.trees)


def x_learner(sample: Sample, seed: int = 0) -> Uplift:
    """Each arm's surprise beside the other arm's model, learned and weighed by the chance of a contact."""
    group = sample.treated
    contacted, not_contacted = (_forest(sample.trees[arm], sample.outcome[arm], seed) for arm in (group, ~group))
    gained = _forest(sample.trees[group], sample.outcome[group] - not_contacted(sample.trees[group]), seed)
    missed = _forest(sample.trees[~group], contacted(sample.trees[~group]) - sample.outcome[~group], seed)
    return lambda other: (1 - other.chance) * gained(other.trees) + other.chance * missed(other.trees)


def pseudo_effects(sample: Sample, seed: int = 0) -> Floats:
    """[n]: an unbiased, noisy effect of each customer: models of both arms, corrected by what was seen (AIPW)."""
    folds = np.random.default_rng(seed).permutation(len(sample)) % _FOLDS
    effects = np.zeros(len(sample))
    for fold in range(_FOLDS):
        rest, here = folds != fold, folds == fold
        seen = sample.of(here)
        expected = []
        for arm in (True, False):
            rows = rest & (sample.treated == arm)
            expected.append(_forest(sample.trees[rows], sample.outcome[rows], seed)(seen.trees))
        left = seen.outcome - np.where(seen.treated, expected[0], expected[1])
        effects[here] = expected[0] - expected[1] + np.where(seen.treated, 1.0, -1.0) * seen.weight * left
    return effects


def dr_learner(sample: Sample, seed: int = 0, effects: Floats | None = None) -> Uplift:
    """Trees on the corrected effects, reckoned here unless given."""
    model = _forest(sample.trees, pseudo_effects(sample, seed) if effects is None else effects, seed)
    return lambda other: model(other.trees)


def linear(sample: Sample, seed: int = 0, effects: Floats | None = None) -> Uplift:
    """A ridge regression on the corrected effects, reckoned here unless given."""
    model = _ridge(sample.linear, pseudo_effects(sample, seed) if effects is None else effects, 0.1)
    return lambda other: model(other.linear)


def logit(sample: Sample, _seed: int = 0) -> Uplift:
    """One regression: products of columns for who acts anyway, columns times contact for whom it changes."""
    change = contact_regression(sample.linear, sample.treated, sample.chance, sample.outcome)
    return lambda other: change(other.linear, other.chance)


def mean_of_two(sample: Sample, seed: int = 0) -> Uplift:
    """The mean of regression and trees: their errors differ."""
    parts = [learner(sample, seed) for learner in (logit, s_learner)]
    return lambda other: np.mean([part(other) for part in parts], axis=0)


def proportional(sample: Sample, seed: int = 0) -> Uplift:
    """An effect of the same share for everybody: the mean effect, more for who spends more anyway."""
    level = _forest(sample.trees, sample.outcome, seed)
    arms = [np.average(sample.outcome[arm], weights=sample.weight[arm]) for arm in (sample.treated, ~sample.treated)]
    share = (arms[0] - arms[1]) / max(float(level(sample.trees).mean()), 1e-9)
    return lambda other: level(other.trees) * share


def mean_with_level(sample: Sample, seed: int = 0) -> Uplift:
    """The regression drawn halfway to a proportional effect: of amounts, whose few large values drown a difference."""
    parts = [learner(sample, seed) for learner in (logit, proportional)]
    return lambda other: np.mean([part(other) for part in parts], axis=0)


def response(sample: Sample, seed: int = 0) -> Uplift:
    """Who acts when contacted, whatever they would have done anyway: what uplift is to beat."""
    model = _forest(sample.trees[sample.treated], sample.outcome[sample.treated], seed)
    return lambda other: model(other.trees)


def random(_sample: Sample, seed: int = 0) -> Uplift:
    return lambda other: np.random.default_rng([seed, len(other)]).random(len(other))


#: What is chosen between, the steadiest first: what a contact changes is small, so the plainest effect on the richest
#: picture of who acts anyway; then of two whose errors differ the mean.
LEARNERS: dict[str, Learner] = {
    "logit + level": mean_with_level,  # of amounts alone
    "logit": logit,
    "logit + S": mean_of_two,
    "linear": linear,
    "S": s_learner,
    "T": t_learner,
    "X": x_learner,
    "DR": dr_learner,
}
BASELINES: dict[str, Learner] = {"OLS T": ols_t, "response": response, "random": random}


def scores(train: Sample, test: Sample, seed: int = 0) -> dict[str, Floats]:
    """What each of LEARNERS, learned on one sample, expects of another's customers; what they share is made once."""
    effects = pseudo_effects(train, seed)
    made = {
        "linear": linear(train, seed, effects)(test),
        "DR": dr_learner(train, seed, effects)(test),
        **{name: LEARNERS[name](train, seed)(test) for name in ("logit", "S", "T", "X")},
    }
    made["logit + S"] = (made["logit"] + made["S"]) / 2
    if not np.isin(train.outcome, (0.0, 1.0)).all():
        made["logit + level"] = (made["logit"] + proportional(train, seed)(test)) / 2
    return {name: made[name] for name in LEARNERS if name in made}
