"""What the dial `stock_dial` costs in NDCG, and what it moves, on a real shop with SIMULATED stock.

    OMP_NUM_THREADS=1 python benchmarks/stock_dial.py complete_journey [--customers 1000] [--days 28] [--json]

The engine (without network and texts) learns from all but the newest days; customers who bought in them are asked at
their beginning. Of the products sold in the half year before, 15% by chance are overstock (pressure 1) and 15% run out
(pressure -1), three times anew: stock that has nothing to do with taste, so the cost is that of moving by itself.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from shelfwise import metrics
from shelfwise.engine.catalogue import Catalogue
from shelfwise.engine.pipeline import Engine
from shelfwise.engine.request import Request
from shelfwise.engine.state import events_read, states_of
from shelfwise.intake.datasets import complete_journey, online_retail
from shelfwise.metrics import Relevant
from shelfwise.models.sequences import DAY
from shelfwise.schema import EventType
from shelfwise.settings import Settings
from shelfwise.store import open_store
from shelfwise.training.dataset import read_dataset
from shelfwise.training.learn import EngineModel
from shelfwise.training.windows import midnight

DIALS = (0.0, 0.1, 0.25, 0.5, 1.0)
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
K = 12


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("shop", choices=("online_retail", "complete_journey"))
    ask.add_argument("--customers", type=int, default=1000)
    ask.add_argument("--days", type=int, default=28)
    ask.add_argument("--data", type=Path, default=DATA)
    ask.add_argument("--json", action="store_true")
    given = ask.parse_args()
    settings = Settings(text_encoder="none", image_encoder="none", validation_days=given.days)
    with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{folder}/shop.db") as store:
        if given.shop == "online_retail":
            online_retail(given.data / "online_retail.csv.gz", store)
        else:
            complete_journey(store, tables=False)
        dataset = read_dataset(store, Path(folder), settings)
    cutoff = midnight(dataset.sequences) - given.days * DAY
    past, window = dataset.split(cutoff)
    model = EngineModel(settings=settings, with_network=False, refit=False)
    model.fit(past, dataset.features)
    assert model.bundle is not None
    relevant = Relevant.distinct(window.take(window.kind == EventType.PURCHASE.code))
    asked = np.flatnonzero((past.lengths() > 0) & (relevant.lengths() > 0))
    asked = np.sort(np.random.default_rng(0).permutation(asked)[: given.customers])
    histories, relevant = past.select(asked), relevant.select(asked)
    engine = Engine(model.bundle, Catalogue(model.bundle))
    states = states_of(histories.last(events_read(settings.memory, False)), np.full(len(asked), cutoff, np.int64))
    sold = np.unique(past.item[past.time >= cutoff - 182 * DAY])
    ids = engine.catalogue.view.ids
    rows = []
    for dial in DIALS:
        scores, over, under = [], [], []
        for seed in range(3 if dial else 1):
            drawn = np.random.default_rng(seed).permutation(sold)
            part = int(0.15 * len(sold))
            pressure = dict.fromkeys((ids[row] for row in drawn[:part]), 1.0)
            pressure |= dict.fromkeys((ids[row] for row in drawn[part : 2 * part]), -1.0)
            engine.weigh_stock(pressure, dial)
            found, _ = engine.recommend_many(states, Request(k=K))
            scores.append(float(metrics.ranking(found, relevant, (K,))[f"ndcg@{K}"].mean()))
            over.append(float(np.isin(found, drawn[:part]).mean()))
            under.append(float(np.isin(found, drawn[part : 2 * part]).mean()))
        rows.append(
            {
                "dial": dial,
                f"ndcg@{K}": round(float(np.mean(scores)), 4),
                "overstock shown": round(float(np.mean(over)), 3),
                "running out shown": round(float(np.mean(under)), 3),
            }
        )
    result = {"customers": len(asked), "rows": rows}
    print(json.dumps(result) if given.json else "\n".join(map(str, rows)))


if __name__ == "__main__":
    main()
