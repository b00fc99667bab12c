"""Which sequence tower predicts best? gru, lstm and transformer on the same data, with the same number of epochs.

    python benchmarks/towers.py [--epochs 3] [--width 256] [--file beauty.txt.gz …] [--shop FOLDER …] [--json]

A file of "user item" lines is judged on each user's last item but one, a shop on its newest `validation_days`; the test
item and what a shop keeps aside are not looked at. NDCG@10 over the whole catalogue is that of the best epoch, joined
with what all of them remember ("remembered": that alone; "learned": the tower alone, at its best). The setting
`network` is by default the one that wins here.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shelfwise.evaluation.sequences_benchmark import read_sequences
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import DAY, Sequences
from shelfwise.settings import Settings
from shelfwise.shop import Shop
from shelfwise.training.dataset import read_dataset
from shelfwise.training.network import NetworkRecommender

TOWERS = ("gru", "lstm", "transformer")
DATA = Path(os.environ.get("SHELFWISE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, action="append", help="default: beauty.txt.gz of the data folder")
    parser.add_argument("--shop", type=Path, action="append", default=[])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = []
    for name, train, validation, items in _data(options.file or [DATA / "beauty.txt.gz"], options.shop):
        for tower in TOWERS:
            for seed in range(options.seeds):
                settings = Settings(network=tower, epochs=options.epochs, width=options.width, seed=seed)
                found.append({"data": name, **measured(settings, train, validation, items)})
                if not options.json:
                    print(_line(found[-1]), flush=True)
    if options.json:
        print(json.dumps({"epochs": options.epochs, "width": options.width, "rows": found}))


def measured(settings: Settings, train: Sequences, validation: Sequences, items: Items) -> dict[str, Any]:
    """One tower's facts: NDCG@10 of each part and of both at the best epoch, and seconds."""
    started = time.perf_counter()
    model = NetworkRecommender(settings).fit(train, items, validation=validation)
    ndcg = [epoch.ndcg for epoch in model.curve]
    return {
        "tower": settings.network,
        "seed": settings.seed,
        "remembered": round(ndcg[0], 5),
        "learned": round(max((epoch.learned for epoch in model.curve[1:]), default=0.0), 5),
        "ndcg@10": round(max(ndcg), 5),
        "epoch": int(np.argmax(ndcg)),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _data(files: list[Path], shops: list[Path]) -> Iterator[tuple[str, Sequences, Sequences, Items]]:
    for path in files:
        everything, n = read_sequences(path, 0)
        lengths = np.repeat(everything.lengths(), everything.lengths())
        place = np.arange(everything.rows) - np.repeat(everything.offsets[:-1], everything.lengths())
        judged = lengths >= 3
        validation = everything.take(judged & (place == lengths - 2))
        yield path.name, everything.take(~judged | (place < lengths - 2)), validation, Items(n=n)
    for folder in shops:
        with Shop(folder) as shop:
            dataset = read_dataset(shop.store, shop.folder, shop.settings, None)
            name, days = shop.settings.name or folder.name, shop.settings.validation_days
        newest = int(dataset.sequences.time.max()) // DAY * DAY + DAY
        past, _ = dataset.split(newest - days * DAY, days)  # these days are the test of others: left alone
        cut = newest - 2 * days * DAY
        yield name, past.before(cut), past.take(past.time >= cut), dataset.features


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['data']:<24} {row['tower']:<12} NDCG@10 {row['ndcg@10']:.4f} at epoch {row['epoch']} "
        f"(remembered {row['remembered']:.4f}, learned {row['learned']:.4f}), {row['seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
