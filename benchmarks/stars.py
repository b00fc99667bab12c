"""What stars are worth, on SIMULATED ratings like MovieLens': the engine with them, without the low ones, and with all
of them taken for interest alike.

    python benchmarks/stars.py [--seeds 2]

Customers try titles because they are popular, half of them in genres they like, and rate what they tried: their liking
for its genres, its quality and chance decide the stars. Asked is what each tries in the newest 14 days and rates with
four stars or five, new to them. Prints NDCG@12 and which share of what was shown and tried got two stars or fewer.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from shelfwise.metrics import Relevant, ranking
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import DAY, Sequences, sequences_of
from shelfwise.schema import DISLIKE, EventType
from shelfwise.settings import Settings
from shelfwise.testing import START
from shelfwise.training.learn import EngineModel

CUSTOMERS, TITLES, GENRES, EACH, DAYS, WINDOW, LOW = 800, 600, 12, 60, 200, 14, 2
RATE = EventType.RATE.code


def simulated(seed: int) -> tuple[Sequences, np.ndarray, Items]:
    """(ratings in time order, stars of each row, titles)."""
    random = np.random.default_rng(seed)
    genre = random.integers(GENRES, size=TITLES)
    quality, fame = random.normal(0, 0.6, TITLES), 1 / np.arange(1, TITLES + 1) ** 0.6
    rows, times, stars = [], [], []
    for _ in range(CUSTOMERS):
        taste = random.normal(0, 1, GENRES)
        chance = fame * np.where(random.random(TITLES) < 0.5, np.exp(taste[genre]), 1.0)
        tried = random.choice(TITLES, EACH, replace=False, p=chance / chance.sum())
        opinion = 3.2 + taste[genre[tried]] + quality[tried] + random.normal(0, 0.6, EACH)
        rows.append(tried.tolist())
        stars.append(np.clip(np.round(opinion), 1, 5))
        times.append(np.sort(random.integers(START, START + DAYS * DAY, EACH)).tolist())
    names = tuple(f"Genre {code}" for code in range(GENRES))
    items = Items(n=TITLES, category=genre.astype(np.int32), category_names=names)
    kinds = [[RATE] * EACH] * CUSTOMERS
    return sequences_of(rows, times=times, kinds=kinds), np.concatenate(stars), items


def measured(seed: int) -> dict[str, tuple[float, float]]:
    """(NDCG@12, share of low stars among what was shown and tried) by arm."""
    ratings, stars, items = simulated(seed)
    cut = START + (DAYS - WINDOW) * DAY
    before, low = ratings.time < cut, stars <= LOW
    kinds = np.where(low, DISLIKE, RATE).astype(np.int8)
    owner = np.repeat(np.arange(CUSTOMERS), ratings.lengths())
    tried = [ratings.item[(owner == one) & ~before] for one in range(CUSTOMERS)]
    liked = [ratings.item[(owner == one) & ~before & (stars >= 4)] for one in range(CUSTOMERS)]
    bad = [ratings.item[(owner == one) & ~before & low] for one in range(CUSTOMERS)]
    marked = replace(ratings, kind=kinds)
    arms = {
        "with stars": marked.take(before),
        "without low ones": ratings.take(before & ~low),
        "as interest alike": ratings.take(before),
    }
    settings = Settings(text_encoder="none", image_encoder="none", threads=1, seed=seed)
    asked = np.flatnonzero([len(one) > 0 for one in liked])
    result = {}
    for name, past in arms.items():
        model = EngineModel(settings=settings, with_network=False).fit(past, items)
        # Whoever rated a title has seen it, whatever an arm learned of that.
        seen = ratings.take(before).select(asked)
        ids, _ = model.recommend(past.select(asked), 150, now=np.full(len(asked), cut, np.int64), exclude_seen=True)
        lists = np.full((len(asked), 12), -1, np.int32)
        for row, answer in enumerate(ids):
            fresh = answer[(answer >= 0) & ~np.isin(answer, seen.items_of(row))][:12]
            lists[row, : len(fresh)] = fresh
        ndcg = ranking(lists, Relevant.of([liked[one] for one in asked]), (12,))["ndcg@12"]
        hits = sum(int(np.isin(lists[row], tried[one]).sum()) for row, one in enumerate(asked))
        wrong = sum(int(np.isin(lists[row], bad[one]).sum()) for row, one in enumerate(asked))
        result[name] = float(np.nanmean(ndcg)), wrong / max(hits, 1)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=2)
    for seed in range(parser.parse_args().seeds):
        for name, (ndcg, wrong) in measured(seed).items():
            print(
                f"seed {seed}  {name:18} NDCG@12 {ndcg:.4f}  rated low of what was shown and tried {wrong:.1%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
