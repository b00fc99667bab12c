"""Fits the ranker: on candidates of a window that follows what the sources were fitted on.

Each question is one customer just before the window: the engine's candidates with their features, and which of them
the customer went on to buy. Three ways to a head compete on customers kept aside: LambdaMART, a linear one (listwise
softmax, Cao et al. 2007), and every single feature by itself, so that the merge is never worse there than the best
source alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import lightgbm
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from shelfwise.model.ranker import Head, Linear, Ranker, Trees
from shelfwise.model.recommender import Progress
from shelfwise.model.sequences import Floats, Ints, Longs

Bools = npt.NDArray[np.bool_]
#: index of a question → (ids int32 [c], features float32 [c, f])
Ask = Callable[[int], tuple[Ints, Floats]]

TREES = 150  # most trees; early stopping may end before
LEAVES = 15  # 150 trees of 15 leaves score 300 candidates in about half a millisecond
_KEPT_ASIDE = 5  # one customer in five chooses between heads
_LEAST = 30  # fewer questions with something to find than this teach nothing
_MARGIN = 0.002  # what trees must win by over something simpler


@dataclass(frozen=True, slots=True)
class Questions:
    """Candidates of many questions, one after the other.

    features: float32 [rows, f]. found: bool [rows], bought afterwards. offsets: int64 [q + 1].
    relevant: int64 [q], how many products the customer bought afterwards, whether proposed or not.
    """

    features: Floats
    found: Bools
    offsets: Longs
    relevant: Longs

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def select(self, chosen: Bools) -> Questions:
        """Only the questions where the mask [q] is true."""
        sizes = np.diff(self.offsets)
        rows = np.repeat(chosen, sizes)
        offsets = np.concatenate(([0], np.cumsum(sizes[chosen]))).astype(np.int64)
        return Questions(self.features[rows], self.found[rows], offsets, self.relevant[chosen])

    def answerable(self) -> int:
        """How many questions have at least one right candidate."""
        return len(np.unique(np.searchsorted(self.offsets, np.flatnonzero(self.found), side="right")))

    def joined(self, other: Questions) -> Questions:
        return Questions(
            np.concatenate((self.features, other.features)),
            np.concatenate((self.found, other.found)),
            np.concatenate((self.offsets, other.offsets[1:] + self.offsets[-1])),
            np.concatenate((self.relevant, other.relevant)),
        )


def collect(ask: Ask, wanted: Sequence[Ints], *, progress: Progress | None = None) -> Questions:
    """Ask each question; `wanted[i]` are the distinct products (inside ids) that make question i's answer right."""
    features: list[Floats] = []
    found: list[Bools] = []
    sizes: list[int] = []
    for index, right in enumerate(wanted):
        ids, rows = ask(index)
        features.append(rows)
        found.append(np.isin(ids, right))
        sizes.append(len(ids))
        if progress and index % 100 == 0:
            progress(index, len(wanted), "candidates")
    width = features[0].shape[1] if features else 0
    return Questions(
        np.concatenate([*features, np.empty((0, width), np.float32)]).astype(np.float32, copy=False),
        np.concatenate([*found, np.empty(0, np.bool_)]),
        np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        np.fromiter((len(right) for right in wanted), np.int64),
    )


def ndcg(scores: Floats, questions: Questions, *, k: int = 12) -> float:
    """Mean NDCG@k of the candidates ordered by `scores` [rows]; a product bought and not proposed counts as missed."""
    if not len(questions):
        return 0.0
    owner = np.repeat(np.arange(len(questions)), np.diff(questions.offsets))
    order = np.lexsort((-scores, owner))
    rank = np.arange(len(order)) - np.repeat(questions.offsets[:-1], np.diff(questions.offsets))
    hit = questions.found[order] & (rank < k)
    gains = 1 / np.log2(np.arange(2, k + 2))
    gained = np.bincount(owner[hit], gains[rank[hit]], minlength=len(questions))
    ideal = np.cumsum(gains)[np.clip(questions.relevant, 1, k) - 1]
    return float((gained / ideal)[questions.relevant > 0].mean())


@dataclass(frozen=True, slots=True)
class Fit:
    """What came of fitting one head: its name and, for each competitor, NDCG@12 on the customers kept aside."""

    chosen: str
    ndcg: dict[str, float]


def fit_ranker(
    names: Sequence[str],
    repeats: Questions | None,
    new: Questions | None,
    *,
    seed: int = 0,
    threads: int = 1,
    fallback: str | None = None,
    progress: Progress | None = None,
) -> tuple[Ranker, dict[str, Fit]]:
    """A ranker over the features `names`, one head a kind of question, and how each head was chosen.

    A head without enough to learn from orders by the feature `fallback` (default: the first).
    Deterministic for a given seed and number of threads.
    """
    heads: dict[str, Head] = {}
    fits: dict[str, Fit] = {}
    for done, (kind, questions) in enumerate((("repeats", repeats), ("new", new))):
        if progress:
            progress(done, 2, f"ranker: {kind}")
        heads[kind], fits[kind] = _fit_head(names, questions, seed, threads, fallback or names[0])
    return Ranker(names, repeats=heads["repeats"], new=heads["new"]), fits


def _fit_head(
    names: Sequence[str], questions: Questions | None, seed: int, threads: int, fallback: str
) -> tuple[Head, Fit]:
    alone = {name: Linear(np.eye(len(names), dtype=np.float32)[at]) for at, name in enumerate(names)}
    if questions is not None:
        questions = questions.select((questions.relevant > 0) & (np.diff(questions.offsets) > 0))
    if questions is None or questions.answerable() < _LEAST:
        return alone[fallback], Fit(fallback, {})
    aside = np.random.default_rng(seed).permutation(len(questions)) % _KEPT_ASIDE == 0
    train, held = questions.select(~aside), questions.select(aside)
    competitors: dict[str, Head] = dict(alone)
    competitors["linear"] = _linear(train)
    competitors["trees"] = _trees(names, train, held, seed, threads)
    merits = {name: ndcg(head.score(held.features), held) for name, head in competitors.items()}
    best = max(merits, key=lambda name: merits[name] - (_MARGIN if name == "trees" else 0))
    if best == "linear":
        return _linear(questions), Fit(best, merits)
    return competitors[best], Fit(best, merits)


def _trees(names: Sequence[str], train: Questions, held: Questions, seed: int, threads: int) -> Trees:
    def dataset(questions: Questions, reference: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
        return lightgbm.Dataset(
            questions.features,
            questions.found.astype(np.int8),
            group=np.diff(questions.offsets),
            feature_name=list(names),
            reference=reference,
            params={"verbose": -1},
            free_raw_data=True,
        )

    parameters = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [12],
        "lambdarank_truncation_level": 20,
        "num_leaves": LEAVES,
        "learning_rate": 0.08,
        "min_data_in_leaf": 50,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "verbose": -1,
    }
    learn = dataset(train)
    booster = lightgbm.train(
        parameters,
        learn,
        TREES,
        valid_sets=[dataset(held, learn)],
        callbacks=[lightgbm.early_stopping(30, verbose=False)],
    )
    return Trees(booster.model_to_string(num_iteration=booster.best_iteration))


def _linear(questions: Questions) -> Linear:
    """Weights that maximise Σ log softmax over each question's candidates of what was bought, with a little L2."""
    features = questions.features.astype(np.float64)
    sizes, starts = np.diff(questions.offsets), questions.offsets[:-1]
    spread = np.maximum(features.std(axis=0), 1e-6)
    features = (features - features.mean(axis=0)) / spread
    found = questions.found.astype(np.float64)
    share = found / np.repeat(np.maximum(np.add.reduceat(found, starts), 1), sizes)

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        scores = features @ weights
        scores -= np.repeat(np.maximum.reduceat(scores, starts), sizes)
        raised = np.exp(scores)
        total = np.add.reduceat(raised, starts)
        active = np.add.reduceat(share, starts)
        value = float((active * np.log(total)).sum() - share @ scores)
        gradient = features.T @ (raised * np.repeat(active / total, sizes) - share)
        n = len(starts)
        return value / n + 1e-3 * float(weights @ weights), gradient / n + 2e-3 * weights

    best = minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 100})
    return Linear((best.x / spread).astype(np.float32))
