"""The benchmark `sequences`: "user item" lines in time order; who predicts each user's last item best?

The last item of a user is the test, the one before it validation, the whole catalogue is ranked without the items the
user had. Models learn without both; the question asked of a test user includes the validation item. With `refit` they
learn again with the validation items, by the plan that validation chose. Users with fewer than three events only
teach. Inside ids are shuffled: in published files they are numbered by first appearance, and a tie broken by number
would tell the future.
"""

from __future__ import annotations

import gzip
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from shelfwise.errors import InvalidRequest, NotEnoughData, UnreadableFile
from shelfwise.evaluation.described import Described
from shelfwise.evaluation.ncf import Ncf
from shelfwise.metrics import Relevant, ranking
from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.popularity import Popularity
from shelfwise.models.ranker import Ranker
from shelfwise.models.recommender import Items, Progress, Recommender, recommend
from shelfwise.models.sequences import Floats, Ints, Longs, Sequences
from shelfwise.models.user_knn import Neighbours
from shelfwise.settings import Settings
from shelfwise.training.fit_ranker import Questions, fit_ranker
from shelfwise.training.network import NetworkRecommender

OTHERS = ("ncf", "described")
ROWS = ("network", "engine", "popularity", "item-knn", *OTHERS)
K = 10
_PROPOSED = 60  # candidates of each source
_TAUGHT = 15_000  # users from whose validation items the merge is learned; memory grows with them, 30 kB each
_TREES, _LEAVES = 300, 15  # of the merge: 100 of 7 leaves were 4% worse on validation, 400 of 15 no better
_BATCH = 256
_LONGEST = 1_000  # characters of a line
_PURCHASE = 3
Bools = npt.NDArray[np.bool_]
_MINUTES = 40.0  # of training the network
_WIDTH = 640  # long tails of rarely bought items need a high rank: 512 loses 2% of NDCG@10 on validation, 256 a tenth


def sequences(
    path: Path,
    *,
    network: str | None = None,
    settings: Settings | None = None,
    refit: bool = False,
    only: Iterable[str] | None = None,
    minutes: float = 0,
    baseline_minutes: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Rows and facts, ready for JSON.

    {"rows": [{"name", "hr@10", "ndcg@10", "mrr@10", "fit_seconds", "score_seconds"}, …], "refit", "users", "items",
     "interactions", "tested", "network", "epochs", "engine"}
    The row `engine` is not a shop's whole engine: it merges candidates of the sources named, fitted on this file, with
    the engine's `Ranker`; a file of "user item" lines has nothing for its other sources to read.
    epochs: of the network that were kept; 0 is what it remembers without training.
    network: lstm, gru or transformer (default: the setting). only: rows to measure (see `ROWS`). minutes: most
    minutes of training the network, both fits together where the benchmark refits; 0 takes the setting's.
    baseline_minutes: the same for each of `OTHERS`; 0 leaves them out, None is no limit but their own number of steps.
    A row of one that time stopped has "stopped_after", seconds.

    Raises UnreadableFile, NotEnoughData and InvalidRequest.
    """
    chosen = tuple(only or ROWS)
    for name in chosen:
        if name not in ROWS:
            raise InvalidRequest("only", f"no row is called {name!r}; there are {', '.join(ROWS)}")
    if baseline_minutes == 0:
        chosen = tuple(name for name in chosen if name not in OTHERS)
    settings = settings or Settings(width=_WIDTH, minutes=_MINUTES)
    limit = (minutes or settings.minutes) / (2 if refit else 1)
    settings = settings.model_copy(update={"minutes": limit, "network": network or settings.network})
    everything, n = read_sequences(Path(path), settings.seed)
    lengths = np.repeat(everything.lengths(), everything.lengths())
    place = np.arange(everything.rows) - np.repeat(everything.offsets[:-1], everything.lengths())
    judged = lengths >= 3
    train = everything.take(~judged | (place < lengths - 2))
    validation = everything.take(judged & (place == lengths - 2))
    training = everything.take(~judged | (place < lengths - 1))
    tested = np.flatnonzero(everything.lengths() >= 3)
    if not len(tested):
        raise NotEnoughData(f"{path}: no user has three events, one to learn, one to choose and one to test; add more")
    run = _Run(settings, train, validation, training if refit else None, Items(n=n), baseline_minutes, progress)
    histories = training.select(tested)
    target = Relevant(np.arange(len(tested) + 1), everything.item[everything.offsets[tested + 1] - 1])
    rows = [run.row(name, histories, target) for name in chosen]
    trained = run.fitted.get("network")
    return {
        "rows": rows,
        "refit": refit,
        "users": len(everything),
        "items": n,
        "interactions": everything.rows,
        "tested": len(tested),
        "network": settings.network,
        "epochs": trained.plan.epochs if isinstance(trained, NetworkRecommender) and trained.plan else None,
        "engine": f"Ranker over candidates of {', '.join(Merge.SOURCES)}",
    }


def read_sequences(path: Path, seed: int = 0) -> tuple[Sequences, int]:
    """(sequences, number of items) of a file of "user item" lines, plain or gzip. Raises UnreadableFile.

    Users and items are any words; empty lines are passed over. Times are 0, 1, 2, … within a user.
    """
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    owner: list[int] = []
    item: list[int] = []
    number = 0
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                words = line[: _LONGEST + 1].decode("utf-8").split()
                if not words:
                    continue
                if len(words) != 2 or len(line) > _LONGEST:
                    raise UnreadableFile(
                        path, 'a line must be "user item", two words with a space between', line=number
                    )
                owner.append(users.setdefault(words[0], len(users)))
                item.append(items.setdefault(words[1], len(items)))
    except UnicodeDecodeError:
        raise UnreadableFile(path, "not UTF-8; save it as UTF-8", line=number) from None
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFile(path, f"cannot be read ({error})", line=number + 1 if number else None) from None
    if not owner:
        raise UnreadableFile(path, 'holds no line; it needs lines of "user item" in time order')
    shuffled = np.random.default_rng(seed).permutation(len(items))
    by_user = np.argsort(np.array(owner), kind="stable")
    lengths = np.bincount(owner)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    rows = len(owner)
    sequences = Sequences(
        offsets=offsets,
        item=shuffled[np.array(item)[by_user]].astype(np.int32),
        kind=np.full(rows, _PURCHASE, np.int8),
        time=np.arange(rows) - np.repeat(offsets[:-1], lengths),
        price=np.full(rows, np.nan, np.float32),
    )
    return sequences, len(items)


class _Run:
    """Fits each model once, however many rows need it."""

    def __init__(
        self,
        settings: Settings,
        train: Sequences,
        validation: Sequences,
        again: Sequences | None,
        items: Items,
        baseline_minutes: float | None,
        progress: Progress | None,
    ) -> None:
        fits = 1 if again is None else 2
        self.bound = None if baseline_minutes is None else 60 * baseline_minutes / fits  # seconds of one fit
        self.settings, self.items, self.progress = settings, items, progress
        self.train, self.validation, self.again = train, validation, again
        self.fitted: dict[str, Recommender] = {}
        self.seconds: dict[str, float] = defaultdict(float)  # of fitting each model, by its row's name

    def row(self, name: str, histories: Sequences, target: Relevant) -> dict[str, Any]:
        if self.progress is not None:
            self.progress(0, 1, f"fitting {name}")
        model = self.model(name)
        started = time.perf_counter()
        last = histories.time[histories.offsets[1:] - 1] + 1
        if isinstance(model, Merge):
            ids = model.recommend(histories, K)
        else:
            ids = recommend(model, histories, K, now=last, exclude_seen=True)[0]
        seconds = time.perf_counter() - started
        values = ranking(ids, target, (K,))
        stopped = getattr(model, "stopped_after", None)
        names = {"hr@10": "hit_rate@10", "ndcg@10": "ndcg@10", "mrr@10": "mrr@10"}
        return {
            "name": name,
            **{short: round(float(values[long].mean()), 6) for short, long in names.items()},
            "fit_seconds": round(self.seconds[name], 2),
            "score_seconds": round(seconds, 2),
            **({} if stopped is None else {"stopped_after": round(stopped, 2)}),
        }

    def model(self, name: str) -> Any:
        """Fitted as the test needs it: with the validation items where the benchmark refits."""
        if name not in self.fitted:
            self.fitted[name] = self._engine() if name == "engine" else self._fit(name)
        return self.fitted[name]

    def _first(self, name: str) -> Recommender:
        """Fitted without the validation items."""
        key = f"first {name}"
        if key not in self.fitted:
            with self._timed(name):
                self.fitted[key] = self._new(name).fit(
                    self.train, self.items, validation=self.validation, progress=self.progress
                )
        return self.fitted[key]

    def _fit(self, name: str) -> Recommender:
        first = self._first(name)
        if self.again is None:
            return first
        plan = first.plan if isinstance(first, NetworkRecommender) else None
        model = NetworkRecommender(self.settings, plan=plan) if plan is not None else self._new(name)
        with self._timed(name):
            return model.fit(self.again, self.items, progress=self.progress)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - started

    def _new(self, name: str) -> Recommender:
        seed = self.settings.seed
        makes: dict[str, Any] = {
            "network": lambda: NetworkRecommender(self.settings),
            "popularity": lambda: Popularity(half_life=float("inf")),  # the file tells no times
            "item-knn": Cooccurrence,
            "long": lambda: Cooccurrence(window=15, backward=0.5, decay=0.8),
            "cosine": lambda: Cooccurrence(window=15, backward=1.0, decay=0.8, specific=0.5, normalise=0.5),
            "last": lambda: Cooccurrence(window=1, backward=0.0, decay=0.3, specific=0.0),
            "ahead": lambda: Cooccurrence(window=10, backward=0.0, decay=0.7, specific=0.5),
            "neighbours": Neighbours,
            "ncf": lambda: Ncf(seed=seed, seconds=self.bound),
            "described": lambda: Described(seed=seed, seconds=self.bound),
        }
        made: Recommender = makes[name]()
        return made

    def _engine(self) -> Any:
        """The sources merged: how is learned on validation with sources that did not see it. It takes as long as
        learning that and all its sources together, also those fitted for a row of their own."""
        sources = {name: self._first(name) for name in Merge.FITTED}
        with self._timed("engine"):
            merge = Merge(sources, self.train, self.items.n)
            merge.fit(
                self.train,
                self.validation,
                seed=self.settings.seed,
                threads=self.settings.threads or 0,
                progress=self.progress,
            )
        if self.again is not None:
            merge.again({name: self.model(name) for name in Merge.FITTED}, self.again)
        self.seconds["engine"] += sum(self.seconds[name] for name in Merge.FITTED)
        return merge


class Merge:
    """Candidates of several fitted sources, ordered by one ranker learned on what users turned to next."""

    FITTED = ("network", "item-knn", "long", "cosine", "last", "ahead", "neighbours")
    SOURCES = (*FITTED, "newest")  # newest: the network, asked with the newest item alone
    PROPOSING = tuple(name for name in SOURCES if name != "last")
    NAMES = (
        *(f"{part} {name}" for name in SOURCES for part in ("score", "share", "rank")),
        *("events", "count", "count of newest", "proposals", "shares", "ranks"),
    )

    def __init__(self, sources: dict[str, Recommender], train: Sequences, n: int) -> None:
        """sources: those of `FITTED`. train: events counted for the features of popularity; n: items."""
        self.sources = sources
        self.ranker: Ranker | None = None
        self._count = np.bincount(train.item, minlength=n).astype(np.float32)

    def fit(
        self, train: Sequences, validation: Sequences, *, seed: int, threads: int, progress: Progress | None
    ) -> None:
        """Learn the order: validation[i] is what followed train[i]. A question without its right answer among the
        candidates teaches nothing and is left out."""
        users = np.flatnonzero((train.lengths() > 0) & (validation.lengths() > 0))
        users = np.random.default_rng(seed).permutation(users)
        right = validation.item[validation.offsets[users]]
        features: list[Floats] = [np.empty((0, len(self.NAMES)), np.float32)]
        hits: list[Bools] = [np.empty(0, np.bool_)]
        sizes: list[Longs] = [np.empty(0, np.int64)]
        done = answered = 0
        for row, ids, columns in self._candidates(train.select(users)):
            hit = ids == right[done:][row]
            taught = np.zeros(_BATCH, np.bool_)
            taught[row[hit]] = True
            kept = taught[row]
            features.append(columns[kept])
            hits.append(hit[kept])
            sizes.append(np.bincount(row[kept], minlength=_BATCH)[taught].astype(np.int64))
            done, answered = done + _BATCH, answered + int(taught.sum())
            if progress is not None:
                progress(min(done, len(users)), len(users), "asking the sources about validation")
            if answered >= _TAUGHT:
                break
        offsets = np.concatenate(([0], np.cumsum(np.concatenate(sizes)))).astype(np.int64)
        questions = Questions(
            np.concatenate(features), np.concatenate(hits), offsets, np.ones(len(offsets) - 1, np.int64)
        )
        self.ranker = fit_ranker(
            self.NAMES,
            {"home": [questions]},
            trees=_TREES,
            leaves=_LEAVES,
            seed=seed,
            threads=threads,
            alone=("score item-knn", *(name for name in self.NAMES if name != "score item-knn")),
            progress=progress,
        )[0]

    def again(self, sources: dict[str, Recommender], train: Sequences) -> None:
        """Ask sources fitted on more; the order learned stays."""
        self.sources = sources
        self._count = np.bincount(train.item, minlength=len(self._count)).astype(np.float32)

    def recommend(self, histories: Sequences, k: int) -> Ints:
        """int32 [n, k], best first, -1 for none; nothing a history holds."""
        assert self.ranker is not None, "fit first"
        best = np.full((len(histories), k), -1, np.int32)
        for batch, (row, ids, columns) in enumerate(self._candidates(histories)):
            order = np.lexsort((-self.ranker.score(columns), row))
            rank = _places(row)
            first = rank < k
            best[batch * _BATCH + row[first], rank[first]] = ids[order][first]
        return best

    def _candidates(self, histories: Sequences) -> Iterable[tuple[Longs, Ints, Floats]]:
        """A batch of histories at a time: (row int64 [c], ascending; ids int32 [c]; features float32 [c, f])."""
        n = len(self._count)
        for start in range(0, len(histories), _BATCH):
            part = histories.select(slice(start, min(start + _BATCH, len(histories))))
            now = part.time[part.offsets[1:] - 1] + 1
            seen = (np.repeat(np.arange(len(part)), part.lengths()), part.item)
            scores: dict[str, Floats] = {}
            proposed: list[Longs] = []
            for name in self.SOURCES:
                lists = (
                    self.sources["network"].scores(part.last(1), now=now)
                    if name == "newest"
                    else self.sources[name].scores(part, now=now)
                )
                if name in self.PROPOSING:
                    open_to = torch.from_numpy(lists.copy())
                    open_to[seen] = -torch.inf
                    if name == "neighbours":  # nothing is no proposal: it may be an item nobody had, of popularity -inf
                        open_to[open_to <= 0] = -torch.inf
                    top, best = torch.topk(open_to, min(_PROPOSED, n), dim=1)
                    there = torch.isfinite(top).numpy()
                    proposed.append((np.arange(len(part))[:, None] * n + best.numpy())[there])
                scores[name] = lists
            keys, times = np.unique(np.concatenate(proposed), return_counts=True)
            row, ids = keys // n, (keys % n).astype(np.int32)
            newest = part.item[part.offsets[1:] - 1]
            columns = [column for name in self.SOURCES for column in _columns(row, scores[name][row, ids], name)]
            shares, ranks = np.sum(columns[1::3], axis=0), np.sum(columns[2::3], axis=0)
            columns += [part.lengths()[row].astype(np.float32), self._count[ids], self._count[newest][row]]
            yield row, ids, np.stack([*columns, times.astype(np.float32), shares, ranks], axis=1)


def _columns(row: Longs, score: Floats, name: str) -> list[Floats]:
    """A source's score, its share of the row's best, and 1 / its rank in the row."""
    first = np.flatnonzero(np.diff(row, prepend=-1))
    top = np.maximum.reduceat(score, first) if len(row) else score
    top = np.repeat(top, np.diff(np.append(first, len(row))))
    share = np.exp(score - top) if name in ("network", "newest") else score / np.maximum(top, np.float32(1e-9))
    rank = np.empty(len(row), np.float32)
    rank[np.lexsort((-score, row))] = 1 / (1 + _places(row))
    return [score, share.astype(np.float32), rank]


def _places(row: Longs) -> Longs:
    """0, 1, 2, … within each run of equal rows (ascending)."""
    first = np.flatnonzero(np.diff(row, prepend=-1))
    return np.arange(len(row)) - np.repeat(first, np.diff(np.append(first, len(row))))
