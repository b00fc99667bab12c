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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from shelfwise.errors import InvalidRequest, NotEnoughData, UnreadableFile
from shelfwise.learn.described import Described
from shelfwise.learn.metrics import Relevant, ranking
from shelfwise.learn.ncf import Ncf
from shelfwise.learn.rank import Questions, fit_ranker
from shelfwise.learn.train import NetworkRecommender
from shelfwise.model.cooccurrence import Cooccurrence
from shelfwise.model.neighbours import Neighbours
from shelfwise.model.popularity import Popularity
from shelfwise.model.ranker import Ranker
from shelfwise.model.recommender import Items, Progress, Recommender, recommend, top_k
from shelfwise.model.sequences import Floats, Ints, Longs, Sequences
from shelfwise.settings import Settings

ROWS = ("network", "engine", "popularity", "item-knn", "ncf", "described")
K = 10
_PROPOSED = 100  # candidates of each source
_ASKED = 15_000  # users on whose validation items the merge is learned
_BATCH = 256
_LONGEST = 1_000  # characters of a line
_PURCHASE = 3
_WIDTH = 640  # long tails of rarely bought items need a high rank: 512 loses 2% of NDCG@10 on validation, 256 a tenth


def sequences(
    path: Path,
    *,
    network: str | None = None,
    settings: Settings | None = None,
    refit: bool = False,
    only: Iterable[str] | None = None,
    minutes: float = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Rows and facts, ready for JSON.

    {"rows": [{"name", "hr@10", "ndcg@10", "mrr@10", "fit_seconds", "score_seconds"}, …], "refit", "users", "items",
     "interactions", "tested", "network", "epochs", "engine"}
    The row `engine` is not a shop's whole engine: it merges candidates of the sources named, fitted on this file, with
    the engine's `Ranker`; a file of "user item" lines has nothing for its other sources to read.
    epochs: of the network that were kept; 0 is the factorised co-occurrence it starts from.
    network: lstm, gru or transformer (default: the setting). only: rows to measure (see `ROWS`). minutes: most
    minutes of training the network. Raises UnreadableFile, NotEnoughData and InvalidRequest.
    """
    chosen = tuple(only or ROWS)
    for name in chosen:
        if name not in ROWS:
            raise InvalidRequest("only", f"no row is called {name!r}; there are {', '.join(ROWS)}")
    settings = settings or Settings(width=_WIDTH)
    changes = {"network": network} if network else {}
    settings = settings.model_copy(update={**changes, **({"minutes": minutes} if minutes else {})})
    everything, n = read_sequences(Path(path), settings.seed)
    lengths = np.repeat(everything.lengths(), everything.lengths())
    place = np.arange(everything.rows) - np.repeat(everything.offsets[:-1], everything.lengths())
    judged = lengths >= 3
    train = everything.take(~judged | (place < lengths - 2))
    validation = everything.take(judged & (place == lengths - 2))
    asked = everything.take(~judged | (place < lengths - 1))
    tested = np.flatnonzero(everything.lengths() >= 3)
    if not len(tested):
        raise NotEnoughData(f"{path}: no user has three events, one to learn, one to choose and one to test; add more")
    run = _Run(settings, train, validation, asked if refit else None, Items(n=n), progress)
    histories = asked.select(tested)
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
    found = Sequences(
        offsets=offsets,
        item=shuffled[np.array(item)[by_user]].astype(np.int32),
        kind=np.full(rows, _PURCHASE, np.int8),
        time=np.arange(rows) - np.repeat(offsets[:-1], lengths),
        price=np.full(rows, np.nan, np.float32),
        quantity=np.ones(rows, np.float32),
    )
    return found, len(items)


class _Run:
    """Fits each model once, however many rows need it."""

    def __init__(
        self,
        settings: Settings,
        train: Sequences,
        validation: Sequences,
        again: Sequences | None,
        items: Items,
        progress: Progress | None,
    ) -> None:
        self.settings, self.items, self.progress = settings, items, progress
        self.train, self.validation, self.again = train, validation, again
        self.fitted: dict[str, Recommender] = {}
        self.seconds: dict[str, float] = {}

    def row(self, name: str, histories: Sequences, target: Relevant) -> dict[str, Any]:
        if self.progress is not None:
            self.progress(0, 1, f"fitting {name}")
        model = self.model(name)
        started = time.perf_counter()
        last = histories.time[histories.offsets[1:] - 1] + 1
        if isinstance(model, Merge):
            ids = model.recommend(histories, K, now=last)
        else:
            ids = recommend(model, histories, K, now=last, exclude_seen=True)[0]
        seconds = time.perf_counter() - started
        values = ranking(ids, target, (K,))
        told = {"hr@10": "hit_rate@10", "ndcg@10": "ndcg@10", "mrr@10": "mrr@10"}
        return {
            "name": name,
            **{short: round(float(values[long].mean()), 6) for short, long in told.items()},
            "fit_seconds": round(self.seconds[name], 2),
            "score_seconds": round(seconds, 2),
        }

    def model(self, name: str) -> Any:
        """Fitted as the test needs it: with the validation items where the benchmark refits."""
        if name not in self.fitted:
            started = time.perf_counter()
            self.fitted[name] = self._engine() if name == "engine" else self._fit(name)
            self.seconds[name] = time.perf_counter() - started
        return self.fitted[name]

    def _first(self, name: str) -> Recommender:
        """Fitted without the validation items."""
        key = f"first {name}"
        if key not in self.fitted:
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
        return model.fit(self.again, self.items, progress=self.progress)

    def _new(self, name: str) -> Recommender:
        seed = self.settings.seed
        makes: dict[str, Any] = {
            "network": lambda: NetworkRecommender(self.settings),
            "popularity": lambda: Popularity(half_life=float("inf")),  # the file tells no times
            "item-knn": Cooccurrence,
            "long": lambda: Cooccurrence(window=15, backward=0.5, decay=0.8),
            "cosine": lambda: Cooccurrence(window=15, backward=1.0, decay=0.8, specific=0.5, normalise=0.5),
            "last": lambda: Cooccurrence(window=1, backward=0.0, decay=0.3, specific=0.0),
            "neighbours": Neighbours,
            "ncf": lambda: Ncf(seed=seed),
            "described": lambda: Described(seed=seed),
        }
        made: Recommender = makes[name]()
        return made

    def _engine(self) -> Any:
        """The sources merged: how is learned on validation with sources that did not see it."""
        merge = Merge({name: self._first(name) for name in Merge.SOURCES})
        merge.fit(self.train, self.validation, seed=self.settings.seed)
        if self.again is not None:
            for name in Merge.SOURCES:
                merge.sources[name] = self.model(name)
        return merge


class Merge:
    """Candidates of several fitted sources, ordered by one ranker learned on what users turned to next."""

    SOURCES = ("network", "item-knn", "long", "cosine", "last", "neighbours", "popularity")
    PROPOSING = ("network", "item-knn", "long", "cosine", "neighbours")
    NAMES = (*(f"{part} {name}" for name in SOURCES for part in ("score", "share", "rank")), "length", "sum")

    def __init__(self, sources: dict[str, Recommender]) -> None:
        self.sources = sources
        self.ranker: Ranker | None = None

    def fit(self, train: Sequences, validation: Sequences, *, seed: int) -> None:
        """Learn the order: validation[i] is what followed train[i]."""
        users = np.flatnonzero((train.lengths() > 0) & (validation.lengths() > 0))
        if len(users) > _ASKED:
            users = np.sort(np.random.default_rng(seed).choice(users, _ASKED, replace=False))
        histories = train.select(users)
        right = validation.item[validation.offsets[users]]
        features: list[Floats] = [np.empty((0, len(self.NAMES)), np.float32)]
        found: list[np.ndarray[Any, np.dtype[np.bool_]]] = [np.empty(0, np.bool_)]
        sizes: list[int] = []
        for row, (ids, columns) in enumerate(
            self._candidates(histories, histories.time[histories.offsets[1:] - 1] + 1)
        ):
            features.append(columns)
            found.append(ids == right[row])
            sizes.append(len(ids))
        questions = Questions(
            np.concatenate(features),
            np.concatenate(found),
            np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
            np.ones(len(sizes), np.int64),
        )
        self.ranker = fit_ranker(self.NAMES, [], [questions], seed=seed, fallback="score item-knn")[0]

    def recommend(self, histories: Sequences, k: int, *, now: Longs) -> Ints:
        """int32 [n, k], best first, -1 for none; nothing a history holds."""
        assert self.ranker is not None, "fit first"
        best = np.full((len(histories), k), -1, np.int32)
        pending: list[tuple[Ints, Floats]] = []
        done = 0
        for found in self._candidates(histories, now):
            pending.append(found)
            if len(pending) == _BATCH or done + len(pending) == len(histories):
                scores = self.ranker.score(np.concatenate([columns for _, columns in pending]), True)
                at = 0
                for ids, _ in pending:
                    mine = scores[at : at + len(ids)]
                    order = np.argsort(-mine, kind="stable")[:k]
                    best[done, : len(order)] = ids[order]
                    at += len(ids)
                    done += 1
                pending = []
        return best

    def _candidates(self, histories: Sequences, now: Longs) -> Iterable[tuple[Ints, Floats]]:
        for start in range(0, len(histories), _BATCH):
            part = histories.select(slice(start, min(start + _BATCH, len(histories))))
            seen = (np.repeat(np.arange(len(part)), part.lengths()), part.item)
            scores: dict[str, Floats] = {}
            lists: list[Ints] = []
            for name in self.SOURCES:
                scores[name] = self.sources[name].scores(part, now=now[start : start + _BATCH])
                if name in self.PROPOSING:
                    open_to = scores[name].copy()
                    open_to[seen] = -np.inf
                    if name == "neighbours":  # nothing is no proposal: it may be an item nobody had, of popularity -inf
                        open_to[open_to <= 0] = -np.inf
                    lists.append(top_k(open_to, _PROPOSED)[0])
            for row, length in enumerate(part.lengths()):
                ids = np.unique(np.concatenate([one[row] for one in lists]))
                ids = ids[ids >= 0].astype(np.int32)
                columns: list[Floats] = []
                for name in self.SOURCES:
                    mine = scores[name][row, ids]
                    top = float(mine.max(initial=0.0))
                    share = np.exp(mine - top) if name == "network" else mine / max(top, 1e-9)
                    rank = np.empty(len(ids), np.float32)
                    rank[np.argsort(-mine, kind="stable")] = np.arange(len(ids))
                    columns += [mine, share, (1 / (1 + rank)).astype(np.float32)]
                blend = sum(columns[1::3][1:4], start=columns[1].copy()) + columns[2] + columns[5]
                columns += [np.full(len(ids), length, np.float32), blend]
                yield ids, np.stack(columns, axis=1).astype(np.float32)
