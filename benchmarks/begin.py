"""A shop that begins: answers after 10 to 1,000 customers of Complete Journey, the engine beside baselines.

    python benchmarks/begin.py SHOP [2017-12-01]

SHOP: a shop with Complete Journey loaded (`shelfwise load dataset complete_journey`). So many customers, drawn by a
seed, are all that is learned from; what they buy in the next 14 days, and the rest of the baskets of all customers from
one product, are asked. Prints NDCG@12 and overlap of the engine and the best baseline of each question, where ten could
be asked.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from shelfwise.evaluation.questions import measure
from shelfwise.shop import Shop
from shelfwise.training.dataset import read_dataset

SIZES = (10, 30, 100, 300, 1_000)
ASKED = ("home, known", "complements")


def main() -> None:
    cutoff = datetime.fromisoformat(sys.argv[2] if len(sys.argv) > 2 else "2017-12-01").replace(tzinfo=UTC)
    with Shop(Path(sys.argv[1])) as shop:
        settings = shop.settings
        dataset = read_dataset(shop.store, shop.folder, settings)
    order = np.random.default_rng(0).permutation(len(dataset.sequences))
    owner = np.repeat(np.arange(len(dataset.sequences)), dataset.sequences.lengths())
    after = dataset.sequences.time >= cutoff.timestamp()
    print(f"{'customers':>9}  {'question':20} {'engine':>8} {'overlap':>8}  best baseline")
    for size in SIZES:
        known = dataset.sequences.take(np.isin(owner, order[:size]) | after)
        few = replace(dataset, sequences=known, known_at=None)
        rows = measure(few, settings, cutoff, 14, only=ASKED, most=500)["rows"]
        for question in ASKED:
            ours = next((row for row in rows if (row["question"], row["name"]) == (question, "engine")), None)
            others = [
                row for row in rows if row["question"] == question and row["name"] not in ("engine", "complements")
            ]
            if ours is None or not others:
                continue
            best = max(others, key=lambda row: row["ndcg@12"])
            line = f"{size:9}  {question:20} {ours['ndcg@12']:8.4f} {ours['overlap']:8.3f}"
            print(f"{line}  {best['name']} {best['ndcg@12']:.4f}", flush=True)


if __name__ == "__main__":
    main()
