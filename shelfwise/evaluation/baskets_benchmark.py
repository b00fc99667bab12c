"""The benchmark `baskets`: "customer basket item" lines in time order; who predicts the next basket best?

Of every customer with three baskets or more the last is the test and the one before it validation, by which everything
is chosen; the test is then asked with the validation basket known. The whole catalogue is ranked. Three questions, each
with lists of its own: all items; repeated ones (only what the customer had may be shown, and is wanted); new ones (only
what the customer never had). A file of baskets has no clock: a basket is a day, and the newest of every customer who is
asked lies on the same day, that of the others on the newest day that is learned from. So the engine's windows of the
past are baskets too: those one, two and three before the validation. Inside ids are shuffled, so that a tie broken by
number tells nothing of the file's order.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from shelfwise import metrics
from shelfwise.errors import InvalidRequest, NotEnoughData, UnreadableFile
from shelfwise.evaluation.next_basket import TUNED, Frequency, Scorer, Tifu, TifuKnn
from shelfwise.evaluation.protocols import GAP, baskets_of
from shelfwise.metrics import Doubles, Mask, Relevant
from shelfwise.models.recommender import Items, Progress, top_k
from shelfwise.models.sequences import DAY, Ints, Longs, Sequences, sequences_of, steps_back
from shelfwise.schema import EventType
from shelfwise.settings import Settings
from shelfwise.training.dataset import Dataset
from shelfwise.training.learn import EngineModel
from shelfwise.training.windows import WINDOWS

K = 10
ROWS = ("engine", "g-topfreq", "p-topfreq", "gp-topfreq", "tifu-knn")
PARTS = ("all", "repeated", "new")
_DEPTH = 200  # products the engine is asked for, of which the customer's own are kept
_BATCH = 128
_TUNED_ON = 1_000  # customers whose validation baskets choose TIFU-KNN's setting
_LEAST = 30  # customers with three baskets
_NEEDED = 3  # baskets of who is asked: one to learn, one to choose and one to test
_LONGEST = 1_000  # characters of a line


def baskets(
    path: Path,
    *,
    settings: Settings | None = None,
    only: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Rows and facts, ready for JSON.

    {"rows": [{"name", "recall@10", "ndcg@10", "phr@10", "repeated_recall@10", …, "new_recall@10", …,
               "intervals": {metric: [low, high]}}, …],
     "customers", "items", "baskets", "tifu": its setting}
    Raises InvalidRequest, UnreadableFile and NotEnoughData.
    """
    chosen = tuple(only or ROWS)
    for name in chosen:
        if name not in ROWS:
            raise InvalidRequest("only", f"no row is called {name!r}; there are {', '.join(ROWS)}")
    settings = settings or Settings()
    everything, n = read_baskets(path, settings.seed)
    judged, back = _places(everything)
    if judged.sum() < _LEAST:
        raise NotEnoughData(
            f"{path}: {int(judged.sum())} customers have three baskets, one to learn, one to choose and one to test, "
            f"and {_LEAST} are needed"
        )
    of = np.repeat(judged, everything.lengths())
    train, known = everything.take(~of | (back > 1)), everything.take(~of | (back > 0))
    validation, test = everything.take(of & (back == 1)), everything.take(of & (back == 0))
    rows = np.flatnonzero(judged)
    wanted = Relevant.distinct(test.select(rows))
    histories = known.select(rows)
    measured: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    for place, name in enumerate(chosen):
        if progress is not None:
            progress(place, len(chosen), f"measuring {name}")
        if name == "engine":
            model = EngineModel(settings=settings).fit(train, Items(n=n), validation=validation, progress=progress)
            lists = _engine_lists(model, histories)
        elif name == "tifu-knn":
            setting = _tuned(train, validation, n, progress)
            facts["tifu"] = {field: getattr(setting, field) for field in Tifu.__slots__}
            lists = _lists(TifuKnn(known, n, setting), rows, histories, n)
        else:
            lists = _lists(Frequency(known, n, name.split("-", maxsplit=1)[0]), rows, histories, n)
        measured.append(_row(name, lists, histories, wanted, n))
    return {
        "rows": measured,
        "customers": len(rows),
        "items": n,
        "baskets": int(steps_back(everything)[everything.offsets[:-1]].sum()) + len(everything),
        **facts,
    }


def read_baskets(path: Path, seed: int = 0) -> tuple[Sequences, int]:
    """(sequences, number of items) of a file of "customer basket item" lines in time order, plain or gzip.

    Any words; a basket's lines need not stand together; an item twice in a basket counts once; empty lines are passed
    over. Time is in seconds, a day a basket, each customer's newest on the same day, but before the windows of the past
    where there are fewer than `_NEEDED`. Raises UnreadableFile.
    """
    customers: dict[str, int] = {}
    items: dict[str, int] = {}
    baskets: dict[tuple[int, str], int] = {}
    held: list[list[list[int]]] = []
    number = 0
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                words = line[: _LONGEST + 1].decode("utf-8").split()
                if not words:
                    continue
                if len(words) != 3 or len(line) > _LONGEST:
                    raise UnreadableFile(
                        path, 'a line must be "customer basket item", three words with a space between', line=number
                    )
                customer = customers.setdefault(words[0], len(customers))
                if customer == len(held):
                    held.append([])
                basket = baskets.setdefault((customer, words[1]), len(held[customer]))
                if basket == len(held[customer]):
                    held[customer].append([])
                held[customer][basket].append(items.setdefault(words[2], len(items)))
    except UnicodeDecodeError:
        raise UnreadableFile(path, "not UTF-8; save it as UTF-8", line=number) from None
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFile(path, f"cannot be read ({error})", line=number + 1 if number else None) from None
    if not held:
        raise UnreadableFile(path, 'holds no line; it needs lines of "customer basket item" in time order')
    shuffled = np.random.default_rng(seed).permutation(len(items)).tolist()
    behind = [0 if len(own) >= _NEEDED else _NEEDED - 2 + WINDOWS for own in held]
    newest = max(len(own) + days for own, days in zip(held, behind, strict=True))
    rows: list[list[int]] = []
    times: list[list[int]] = []
    for own, days in zip(held, behind, strict=True):
        distinct = [list(dict.fromkeys(basket)) for basket in own]
        rows.append([shuffled[item] for basket in distinct for item in basket])
        first = newest - len(own) - days
        times.append([(first + place) * DAY for place, basket in enumerate(distinct) for _ in basket])
    return sequences_of(rows, times=times), len(items)


def write_baskets(dataset: Dataset, path: Path) -> int:
    """A record's purchases as "customer basket item" lines in time order, gzip where the name ends in .gz; how many.

    Customers are numbered, so that no name leaves the shop; a pause of half an hour ends a basket; blanks in product
    ids become underscores."""
    bought = dataset.sequences.take(dataset.sequences.kind == EventType.PURCHASE.code)
    lines: list[tuple[int, int, int, list[str]]] = []
    names = ["_".join(name.split()) for name in dataset.items.outside]
    random = np.random.default_rng(0)
    for customer in np.flatnonzero(bought.lengths() > 0).tolist():
        own = bought.select(slice(customer, customer + 1))
        first = np.concatenate(([True], np.diff(own.time) > GAP))
        parts = baskets_of(own, random)
        for place, (time, basket) in enumerate(zip(own.time[first].tolist(), parts, strict=True)):
            lines.append((time, customer, place, [names[item] for item in basket]))
    lines.sort(key=lambda line: line[:3])
    count = 0
    with gzip.open(path, "wt", encoding="utf-8") if path.suffix == ".gz" else path.open("w", encoding="utf-8") as file:
        for _, customer, place, held in lines:
            file.writelines(f"{customer} {place} {name}\n" for name in held)
            count += len(held)
    return count


def _places(everything: Sequences) -> tuple[Mask, Longs]:
    """Who has three baskets, bool [customers]; and for each row how many days lie after it: of these, how many of
    their baskets."""
    back = (int(everything.time.max()) - everything.time) // DAY
    judged = steps_back(everything)[everything.offsets[:-1]] >= _NEEDED - 1
    return judged, back


def _tuned(train: Sequences, validation: Sequences, n: int, progress: Progress | None) -> Tifu:
    """The setting of TIFU-KNN with the best recall of all items on validation."""
    rows = np.flatnonzero(validation.lengths() > 0)
    if len(rows) > _TUNED_ON:
        rows = np.sort(np.random.default_rng(0).choice(rows, _TUNED_ON, replace=False))
    wanted = Relevant.distinct(validation.select(rows))
    best, chosen = -1.0, Tifu()
    for place, part in enumerate(TUNED):
        if progress is not None:
            progress(place, len(TUNED), f"tuning TIFU-KNN: {part}")
        for setting in chosen.alternatives(part):
            ids = _top(TifuKnn(train, n, setting), rows, lambda scores, _: scores)
            recall = float(np.nanmean(metrics.ranking(ids, wanted, (K,))[f"recall@{K}"]))
            if recall > best:
                best, chosen = recall, setting
    return chosen


def _top(scorer: Scorer, rows: Longs, shown: Callable[[Any, Longs], Any]) -> Ints:
    parts = [np.empty((0, K), np.int32)]
    for start in range(0, len(rows), _BATCH):
        part = np.arange(start, min(start + _BATCH, len(rows)))
        scores = shown(scorer.scores(rows[part]), part)
        parts.append(_padded(top_k(np.where(scores > 0, scores, -np.inf).astype(np.float32), K)[0]))
    return np.concatenate(parts)


def _padded(ids: Ints) -> Ints:
    return np.pad(ids, ((0, 0), (0, K - ids.shape[1])), constant_values=-1)


def _lists(scorer: Scorer, rows: Longs, histories: Sequences, n: int) -> dict[str, Ints]:
    def had(part: Longs) -> Mask:
        mask = np.zeros((len(part), n), np.bool_)
        some = histories.select(part)
        mask[np.repeat(np.arange(len(part)), some.lengths()), some.item] = True
        return mask

    return {
        "all": _top(scorer, rows, lambda scores, _: scores),
        "repeated": _top(scorer, rows, lambda scores, part: np.where(had(part), scores, -np.inf)),
        "new": _top(scorer, rows, lambda scores, part: np.where(had(part), -np.inf, scores)),
    }


def _engine_lists(model: EngineModel, histories: Sequences) -> dict[str, Ints]:
    now = np.full(len(histories), int(histories.time.max()) + DAY, np.int64)
    deep = model.recommend(histories, _DEPTH, now=now)[0]
    again = np.full((len(histories), K), -1, np.int32)
    for i, row in enumerate(deep):
        own = row[(row >= 0) & np.isin(row, histories.items_of(i))][:K]
        again[i, : len(own)] = own
    new = model.recommend(histories, K, now=now, exclude_seen=True)[0]
    return {"all": deep[:, :K], "repeated": again, "new": _padded(new)}


def _row(name: str, lists: dict[str, Ints], histories: Sequences, wanted: Relevant, n: int) -> dict[str, Any]:
    had = np.isin(wanted.keys(n), Relevant.distinct(histories).keys(n))
    parts = {"all": wanted, "repeated": wanted.keep(had), "new": wanted.keep(~had)}
    row: dict[str, Any] = {"name": name}
    intervals: dict[str, list[float]] = {}
    for part, relevant in parts.items():
        values: dict[str, Doubles] = metrics.ranking(lists[part], relevant, (K,))
        named = {"recall": values[f"recall@{K}"], "ndcg": values[f"ndcg@{K}"], "phr": values[f"hit_rate@{K}"]}
        for metric, estimate in metrics.summarise(named).items():
            key = f"{metric}@{K}" if part == "all" else f"{part}_{metric}@{K}"
            row[key] = round(estimate.mean, 5)
            intervals[key] = [round(estimate.low, 5), round(estimate.high, 5)]
    return row | {"intervals": intervals}
