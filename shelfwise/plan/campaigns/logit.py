"""An S-learner as one regression: products of columns say who acts anyway, columns times contact whom it changes.

Who acts anyway is plain beside what a contact changes, so the first part may be rich: products of up to three columns
and squares. The second stays plain: each column once. Both are held back by a ridge, the stronger the more columns
there are, so that together they have one prior spread whatever their number. For an outcome of 0 and 1 the regression
is logistic: a contact that moves the log odds of all alike then changes those most who are undecided. Anything else is
fitted by least squares on the standardised outcome.

A contact's column is the contact less its chance (Robinson, "Root-N-consistent semiparametric regression", 1988), so
that what is wrong with the first part touches the second as little as can be.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MOST = 10  # columns that are multiplied: those which say most of the outcome
_FEW = 30_000  # rows of the first steps; the last ones see all
_STEPS = 30
_PLAIN = 10.0  # ridge of a column alone
_LIMIT = 10.0  # standard deviations a product may lie out


def newton(design: Floats, outcome: Floats, ridge: Floats, start: Floats | None = None) -> tuple[Floats, Floats]:
    """Weights [p] of a logistic regression and the curvature [p, p] there, by Newton's steps, each cut until the loss
    falls. design: float [n, p]; ridge: float [p], the prior's precision of each weight."""
    weights = np.zeros(design.shape[1]) if start is None else start.copy()
    curve, score = np.diag(ridge), design @ weights

    def loss(weights: Floats, score: Floats) -> float:
        return float(np.logaddexp(0, score).sum() - outcome @ score + ridge @ weights**2 / 2)

    now = loss(weights, score)
    for _ in range(_STEPS):
        chance = sigmoid(score)
        slope = design.T @ (outcome - chance) - ridge * weights
        curve = design.T @ (design * (chance * (1 - chance) + 1e-9)[:, None]) + np.diag(ridge + 1e-9)
        step = np.linalg.solve(curve, slope)
        step *= min(1.0, 2 / max(float(np.abs(step).max()), 1e-12))
        moved = design @ step
        size = 1.0  # a whole step may lead up, where a column is nearly always the same
        while (then := loss(weights + size * step, score + size * moved)) > now and size > 1e-3:
            size /= 2
        if then > now:
            break
        weights, score, now = weights + size * step, score + size * moved, then
        if size * np.abs(step).max() < 1e-4:
            break
    return weights, curve


def sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))


class Products:
    """Columns as they are, then products of up to three of the most telling and squares, standardised."""

    def __init__(self, x: Floats, outcome: Floats) -> None:
        telling = np.abs(np.linalg.lstsq(x - x.mean(0), outcome - outcome.mean(), rcond=None)[0] * x.std(0))
        few = np.sort(np.argsort(-telling, kind="stable")[:_MOST]).tolist()
        self._parts: list[tuple[int, ...]] = [part for size in (2, 3) for part in combinations(few, size)]
        self._parts += [(place, place) for place in few if len(np.unique(x[:, place])) > 2]
        if self._parts:
            made = self._multiply(x)
            spread = made.std(0)
            varied = spread > 1e-9  # two levels of one category never meet
            self._parts = [part for part, kept in zip(self._parts, varied, strict=True) if kept]
            self._middle, self._spread = made.mean(0)[varied], spread[varied]
        self.ridge = np.append(
            np.full(x.shape[1], _PLAIN), np.full(len(self._parts), max(_PLAIN, len(self._parts) / 4))
        )

    def __call__(self, x: Floats) -> Floats:
        if not self._parts:
            return x
        made = self._multiply(x)
        made -= self._middle
        made /= self._spread
        return np.column_stack([x, np.clip(made, -_LIMIT, _LIMIT, out=made)])

    def _multiply(self, x: Floats) -> Floats:
        columns = {place: x[:, place].copy() for place in {place for part in self._parts for place in part}}
        made = np.empty((len(x), len(self._parts)), order="F")
        for place, (first, *others) in enumerate(self._parts):
            np.multiply(columns[first], columns[others[0]], out=made[:, place])
            for other in others[1:]:
                made[:, place] *= columns[other]
        return made


def contact_regression(
    x: Floats, contacted: npt.NDArray[np.bool_], chance: Floats, outcome: Floats
) -> Callable[[Floats, Floats], Floats]:
    """Learns from x float [n, q], standardised, and gives (x, chance) -> the change float [n] that a contact makes.
    chance: float [n], the probability with which each was contacted."""
    products = Products(x, outcome)
    many = x.shape[1]
    ridge = np.concatenate([[0.0], products.ridge, [0.0], np.full(many, max(_PLAIN, many))])

    def design(rows: Floats, contact: Floats) -> Floats:
        return np.column_stack([np.ones(len(rows)), products(rows), contact, rows * contact[:, None]])

    known = design(x, contacted - chance)
    yes_no = bool(np.isin(outcome, (0.0, 1.0)).all())
    if yes_no:
        start = None
        if len(x) > 2 * _FEW:
            some = np.random.default_rng(0).permutation(len(x))[:_FEW]
            start, _ = newton(known[some], outcome[some], ridge * _FEW / len(x))
        weights, _ = newton(known, outcome, ridge, start)
        unit = 1.0
    else:
        unit = float(outcome.std()) or 1.0
        weights = np.linalg.solve(
            known.T @ known + np.diag(ridge + 1e-6), known.T @ ((outcome - outcome.mean()) / unit)
        )
    own = len(ridge) - many - 1

    def change(rows: Floats, chance: Floats) -> Floats:
        moved = weights[own] + rows @ weights[own + 1 :]
        if not yes_no:
            return np.asarray(unit * moved)
        base = weights[0] + products(rows) @ weights[1:own]
        return sigmoid(base + (1 - chance) * moved) - sigmoid(base - chance * moved)

    return change
