"""Fits the ranker: on candidates of windows that follow what the sources were fitted on.

Each question is one customer just before a window: the engine's candidates with their features, and which of them the
customer went on to buy. On the newest window (or, with one window only, on customers kept aside, and where these are
few on all in turn) boosted trees that learn the order (LambdaMART, Burges 2010) compete with the weights that answer
before anything is learned and with each source's score by itself, so that the merge is never worse there than the best
source alone. The winner then learns from all questions. Trees see all right candidates and some of the many wrong ones,
which teaches as much in a quarter of the time.

Questions about products never sold are few and about few products, each of which its numbers betray: trees learned
their windows by heart (of three seeds one had half the NDCG of another), so a linear head answers them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import lightgbm
import numpy as np
import numpy.typing as npt

from shelfwise.models.kernels import gained
from shelfwise.models.ranker import Head, Linear, Ranker, Trees
from shelfwise.models.recommender import Progress
from shelfwise.models.sequences import Floats, Ints, Longs

Bools = npt.NDArray[np.bool_]

TREES = 100  # most trees; fewer where the questions kept aside say so
LEAVES = 7  # 15 found more in the window they were chosen on, and less in the next
_KEPT_ASIDE = 5  # with one window, one customer in five chooses between heads
_LEAST = 30  # fewer questions with something to find than this teach nothing
_FEW = 1_000  # of fewer questions a fifth chooses between heads by chance, and all in turn take no time
WRONG = 120  # wrong candidates a question, on average, that are learned from
_SMOOTHED = 21  # sizes whose mean NDCG says how many trees there should be: of one size it is mostly chance
_MARGIN = 0.01  # the share by which trees must win over something simpler
_FLAT = 1e-6  # a feature that varies less within questions says nothing
_TIES = 1e-3  # how much the prior counts beside one feature: enough to order what that finds equal
_TREES, _LINEAR = "trees", "linear"
OF_FEW = ("cold",)  # questions whose head is linear
#: Questions with so few right candidates that of one fit's trees much is chance: the sum of several is their head.
_OF_CHANCE, _TIMES = ("new",), 3
#: What sells of a product's kind orders what was never sold; where a product has numbers of its own trees learn by it
#: which kinds sold in their weeks, and were 5% worse in the next (Complete Journey, new products).
_NOT_FOR_TREES = ("popular_category", "popular_level", "popular_brand")
_RIDGE = 100.0  # of the linear head; a thirtieth and three times as much change less than 3%


@dataclass(frozen=True, slots=True)
class Questions:
    """Candidates of many questions, one after the other.

    features: float32 [rows, f]. relevance: bool [rows], bought afterwards. offsets: int64 [q + 1].
    relevant: int64 [q], how many products the customer bought afterwards, whether proposed or not.
    """

    features: Floats
    relevance: Bools
    offsets: Longs
    relevant: Longs

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def select(self, chosen: Bools) -> Questions:
        """Only the questions where the mask [q] is true."""
        if chosen.all():
            return self
        sizes = np.diff(self.offsets)
        rows = np.repeat(chosen, sizes)
        offsets = np.concatenate(([0], np.cumsum(sizes[chosen]))).astype(np.int64)
        return Questions(self.features[rows], self.relevance[rows], offsets, self.relevant[chosen])

    def answerable(self) -> int:
        """How many questions have at least one right candidate."""
        return len(np.unique(np.searchsorted(self.offsets, np.flatnonzero(self.relevance), side="right")))

    def downsampled(self, wrong: int, seed: int) -> Questions:
        """With about so many wrong candidates a question, by chance, and all right ones."""
        share = wrong * len(self) / max(int(np.count_nonzero(~self.relevance)), 1)
        kept = self.relevance | (np.random.default_rng(seed).random(len(self.relevance)) < share)
        offsets = np.concatenate(([0], np.cumsum(kept)))[self.offsets]
        return Questions(self.features[kept], self.relevance[kept], offsets, self.relevant)

    def joined(self, *others: Questions) -> Questions:
        """These, then those of the others."""
        every = (self, *others)
        sizes = np.concatenate([np.diff(one.offsets) for one in every])
        return Questions(
            np.concatenate([one.features for one in every]),
            np.concatenate([one.relevance for one in every]),
            np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
            np.concatenate([one.relevant for one in every]),
        )


def collect(
    answers: Iterable[tuple[Ints, Floats]], wanted: Sequence[Ints], *, progress: Progress | None = None
) -> Questions:
    """One question an answer (ids int32 [c], features float32 [c, f]); wanted[i]: the distinct products (inside ids)
    that make answer i right."""
    features: list[Floats] = []
    relevance: list[Bools] = []
    sizes: list[int] = []
    for index, ((ids, rows), right) in enumerate(zip(answers, wanted, strict=True)):
        features.append(rows)
        relevance.append(np.isin(ids, right))
        sizes.append(len(ids))
        if progress and index % 100 == 0:
            progress(index, len(wanted), "asking the engine about the past")
    width = features[0].shape[1] if features else 0
    return Questions(
        np.concatenate([*features, np.empty((0, width), np.float32)]).astype(np.float32, copy=False),
        np.concatenate([*relevance, np.empty(0, np.bool_)]),
        np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        np.fromiter((len(right) for right in wanted), np.int64),
    )


def ndcg(scores: Floats, questions: Questions, *, k: int = 12) -> float:
    """Mean NDCG@k of the candidates ordered by `scores` [rows]; a product bought and not proposed counts as missed."""
    if not len(questions):
        return 0.0
    gains = 1 / np.log2(np.arange(2, k + 2))
    gain = gained(scores, questions.relevance, questions.offsets, gains)
    ideal = np.cumsum(gains)[np.clip(questions.relevant, 1, k) - 1]
    return float((gain / ideal)[questions.relevant > 0].mean())


@dataclass(frozen=True, slots=True)
class Fit:
    """What came of fitting one head: its name and, for each competitor, NDCG@12 on the questions kept aside."""

    chosen: str
    ndcg: dict[str, float]


def fit_ranker(
    names: Sequence[str],
    questions: Mapping[str, Sequence[Questions]],
    *,
    trees: int = TREES,
    leaves: int = LEAVES,
    seed: int = 0,
    threads: int = 1,
    alone: Sequence[str] | None = None,
    prior: Linear | None = None,
    progress: Progress | None = None,
) -> tuple[Ranker, dict[str, Fit]]:
    """A ranker over the features `names`, with a head for each question, and how each head was chosen.

    questions: by name (`home` must be one) those of each window, oldest first. alone: features that may order by
    themselves (default: all). prior: what answers before anything is learned (default: the first of these); it
    competes, breaks the ties of single features, and is home's head without enough to learn from; other questions then
    have none.
    trees: the most there may be, of so many leaves; the questions kept aside may say fewer. threads: 0 is one a core.
    Deterministic for a given seed and threads.
    """
    simple = _simple(names, alone or names, prior)
    heads: dict[str, Head] = {}
    fits: dict[str, Fit] = {}
    for done, (kind, windows) in enumerate(questions.items()):
        if progress:
            progress(done, len(questions), f"fitting the ranker ({kind})")
        learned = _LINEAR if kind in OF_FEW else _TREES
        times = _TIMES if kind in _OF_CHANCE else 1
        head, fit = _fit_head(names, windows, simple, _Growth(trees, leaves, seed, threads, times), learned)
        if fit.ndcg or kind in ("home", "new"):
            heads[kind], fits[kind] = head, fit
    if progress:
        progress(len(questions), len(questions), "ranker fitted")
    return Ranker(names, heads), fits


@dataclass(frozen=True, slots=True)
class _Growth:
    """How boosted trees grow: at most so many `trees`, so many `leaves` each; the final ones so many `times`."""

    trees: int
    leaves: int
    seed: int
    threads: int
    times: int = 1


def _simple(names: Sequence[str], alone: Sequence[str], prior: Linear | None) -> dict[str, Linear]:
    """The competitors that learn nothing; the first answers where nothing can be learned."""
    columns = np.eye(len(names), dtype=np.float32)[[names.index(name) for name in alone]]
    if prior is None:
        return {name: Linear(column) for name, column in zip(alone, columns, strict=True)}
    singles = {name: Linear(column + _TIES * prior.weights) for name, column in zip(alone, columns, strict=True)}
    return {"prior": prior, **singles}


def _fit_head(
    names: Sequence[str], windows: Sequence[Questions], simple: Mapping[str, Head], growth: _Growth, learned: str
) -> tuple[Head, Fit]:
    """The best of `simple` and of what is learned, trees or a linear head."""

    def learn(train: Questions, held: Questions | None, growth: _Growth) -> tuple[Head, int]:
        if learned == _LINEAR:
            return _linear(train), 0
        return _trees(names, train, held, growth)

    windows = [one.select((one.relevant > 0) & (np.diff(one.offsets) > 0)) for one in windows]
    windows = [one for one in windows if one.answerable() >= _LEAST]
    if not windows:
        name, head = next(iter(simple.items()))
        return head, Fit(name, {})
    merits: dict[str, float] = defaultdict(float)
    size = 0.0
    rounds = _rounds(windows, growth.seed, in_turn=learned == _LINEAR)
    total = sum(len(held) for _, held in rounds)
    while rounds:
        train, held = rounds.pop()
        fitted, number = learn(_sampled(train, growth.seed), _sampled([held], growth.seed), growth)
        for name, head in {**simple, learned: fitted}.items():
            merits[name] += ndcg(head.score(held.features), held) * len(held) / total
        size += number * len(held) / total
        del train, held  # a few hundred megabytes
    best = max(merits, key=lambda name: merits[name] * (1 - _MARGIN * (name == learned)))
    fit = Fit(best, dict(merits))
    if best in simple:
        return simple[best], fit
    grown = [
        learn(_sampled(windows, seed), None, replace(growth, trees=round(size), seed=seed))[0]
        for seed in range(growth.seed, growth.seed + growth.times)
    ]
    trees = [head for head in grown if isinstance(head, Trees)]
    return Trees.sum(trees) if len(trees) > 1 else grown[0], fit


def _rounds(windows: Sequence[Questions], seed: int, *, in_turn: bool) -> list[tuple[Sequence[Questions], Questions]]:
    """What heads learn from and what they are then judged by, once or several times. in_turn: by each window, not by
    the newest alone, which costs little where what is learned costs little."""
    if len(windows) > 1 and in_turn:
        return [([one for one in windows if one is not aside], aside) for aside in windows]
    if len(windows) > 1:
        return [(windows[:-1], windows[-1])]
    (window,) = windows
    part = np.random.default_rng(seed).permutation(len(window)) % _KEPT_ASIDE
    turns = _KEPT_ASIDE if len(window) < _FEW else 1
    return [([window.select(part != aside)], window.select(part == aside)) for aside in range(turns)]


def _sampled(windows: Sequence[Questions], seed: int) -> Questions:
    """What is learned from: each window's right candidates and some wrong ones. Cut before they are joined."""
    first, *others = (window.downsampled(WRONG, seed) for window in windows)
    return first.joined(*others) if others else first


def _linear(train: Questions) -> Linear:
    """The weights that make what was right most likely among each question's candidates (conditional logit, McFadden
    1974), a question of many right ones counting as the root of their number. Questions hold a candidate at least."""
    from scipy import optimize  # of learning alone

    starts, sizes = train.offsets[:-1], np.diff(train.offsets)
    owner = np.repeat(np.arange(len(train)), sizes)
    mean = np.add.reduceat(train.features, starts) / sizes[:, None]
    rows = (train.features - mean[owner]).astype(np.float64)
    spread = np.sqrt(np.mean(rows**2, axis=0))
    there = spread > _FLAT
    rows = rows[:, there] / spread[there]
    right = np.add.reduceat(train.relevance.astype(np.float64), starts)
    gain = train.relevance / np.sqrt(np.maximum(right, 1))[owner]
    count = np.sqrt(right)

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        score = rows @ weights
        score -= np.maximum.reduceat(score, starts)[owner]
        chance = np.exp(score)
        total = np.add.reduceat(chance, starts)
        chance *= (count / total)[owner]
        likelihood = float(gain @ score - count @ np.log(total))
        return _RIDGE / 2 * float(weights @ weights) - likelihood, _RIDGE * weights - rows.T @ (gain - chance)

    fitted = optimize.minimize(loss, np.zeros(int(there.sum())), jac=True, method="L-BFGS-B", options={"maxiter": 60})
    weights = np.zeros(len(spread), np.float32)
    weights[there] = fitted.x / spread[there]
    return Linear(weights)


def _trees(names: Sequence[str], train: Questions, held: Questions | None, growth: _Growth) -> tuple[Trees, int]:
    """Boosted trees and their number: those best on `held`, if given."""

    def dataset(questions: Questions, reference: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
        return lightgbm.Dataset(
            questions.features,
            questions.relevance.astype(np.int8),
            group=np.diff(questions.offsets),
            feature_name=list(names),
            reference=reference,
            params={"verbose": -1, "max_bin": 127},
        )

    parameters = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [12],
        "lambdarank_truncation_level": 20,
        "num_leaves": growth.leaves,
        "learning_rate": 0.12,
        # A leaf of a few candidates learns one window by heart.
        "min_data_in_leaf": int(np.clip(len(train.relevance) // 1000, 20, 500)),
        "lambda_l2": 20.0,
        "feature_fraction": 0.7,
        "feature_contri": [float(name not in _NOT_FOR_TREES) for name in names],
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "seed": growth.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": growth.threads,
        "verbose": -1,
    }
    learn, size = dataset(train), growth.trees
    if held is None:
        booster = lightgbm.train(parameters, learn, size)
    else:
        curve: dict[str, dict[str, list[float]]] = {}
        callbacks = [lightgbm.record_evaluation(curve)]
        booster = lightgbm.train(parameters, learn, size, valid_sets=[dataset(held, learn)], callbacks=callbacks)
        size = _size(curve["valid_0"]["ndcg@12"])
    return Trees(booster.model_to_string(num_iteration=size)), size


def _size(curve: Sequence[float]) -> int:
    """How many trees are best, by the NDCG after each."""
    side = _SMOOTHED // 2
    means = np.convolve(np.pad(curve, side, mode="edge"), np.full(_SMOOTHED, 1 / _SMOOTHED), mode="valid")
    return int(np.argmax(means)) + 1
