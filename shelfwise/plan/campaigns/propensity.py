"""Were the arms drawn at random? The chance of each arm given what was known of a customer, and where arms overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shelfwise.errors import InvalidRequest

if TYPE_CHECKING:
    import lightgbm

_FOLDS = 3
_MOST = 60_000  # customers that the check reads
_CLIP = 0.02  # the least chance of an arm: below, one customer would count for fifty
RANDOM_AREA = 0.53  # ROC area below which the arms are taken as drawn at random


def propensity(
    trees: np.ndarray, arm: np.ndarray, arms: int, names: tuple[str, ...]
) -> tuple[np.ndarray, bool, float, list[str]]:
    """chance float [n, arms + 1] (control last), whether random, overlap, warnings. Raises InvalidRequest where what is
    known of a customer says the arm, so that nobody could have been in the other."""
    places = np.where(arm < 0, arms, arm)
    shares = np.bincount(places, minlength=arms + 1) / len(arm)
    equal = np.tile(shares, (len(arm), 1))
    rows = np.random.default_rng(0).permutation(len(arm))[:_MOST]
    predicted, gains = _crossed(trees[rows], places[rows], arms + 1)
    treated = arm[rows] >= 0
    area = max(
        _area(predicted[:, place] / (predicted[:, place] + predicted[:, -1]), places[rows], place, arms)
        for place in range(arms)
    )
    noise = 3 * float(np.sqrt(1 / (12 * max(1, min(treated.sum(), (~treated).sum())))))
    if area < max(RANDOM_AREA, 0.5 + noise):
        return equal, True, 1.0, []
    best = names[int(np.argmax(gains))]
    two = predicted[:, :-1].sum(1)
    inside = float(((two > 0.05) & (two < 0.95)).mean())
    if area > 0.99 or inside < 0.05:
        raise InvalidRequest(
            "--treatment",
            f"who was contacted follows from what is known of the customer (above all {best!r}), so nobody alike "
            f"was left "
            f"alone and no effect can be told. If {best!r} was made by the campaign, leave it out with --exclude",
        )
    warning = (
        f"the arms were not drawn at random: {best!r} and others tell who was contacted (ROC area {area:.2f}). What "
        "follows is adjusted by the chance of a contact, and right only if nothing unrecorded decided it; "
        f"{inside:.0%} of the customers could have been in either arm"
    )
    model = _fit(trees[rows], places[rows], arms + 1)
    every = np.asarray(model.predict(trees), np.float64).reshape(len(arm), -1)
    chance = np.clip(every, _CLIP, 1 - _CLIP)
    return chance / chance.sum(1, keepdims=True), False, inside, [warning]


def _fit(x: np.ndarray, places: np.ndarray, classes: int) -> lightgbm.Booster:
    options = {
        "objective": "multiclass",
        "num_class": classes,
        "num_leaves": 4,
        "learning_rate": 0.1,
        "min_data_in_leaf": max(20, len(x) // 100),
        "verbose": -1,
        "num_threads": 1,
    }
    import lightgbm  # see `learners`

    return lightgbm.train(options, lightgbm.Dataset(x, places), 30)


def _crossed(x: np.ndarray, places: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Chances predicted for customers the model did not see, and each column's gain."""
    folds = np.arange(len(x)) % _FOLDS
    predicted, gains = np.zeros((len(x), classes)), np.zeros(x.shape[1])
    for fold in range(_FOLDS):
        model = _fit(x[folds != fold], places[folds != fold], classes)
        predicted[folds == fold] = np.asarray(model.predict(x[folds == fold])).reshape(-1, classes)
        gains += model.feature_importance("gain")
    return predicted, gains


def _area(scores: np.ndarray, places: np.ndarray, place: int, arms: int) -> float:
    rows = (places == place) | (places == arms)
    order = np.argsort(np.argsort(scores[rows], kind="stable"), kind="stable") + 1
    ones = places[rows] == place
    count = int(ones.sum())
    return float((order[ones].sum() - count * (count + 1) / 2) / (count * int((~ones).sum())))
