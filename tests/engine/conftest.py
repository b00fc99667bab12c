"""A small fitted bundle of a SIMULATED shop: groups of products that are bought together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
import torch

from shelfwise.models.bundle import Bundle
from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.ease import Ease
from shelfwise.models.network import NetworkConfig
from shelfwise.models.popularity import Popularity
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import IdMap
from shelfwise.models.taste import Taste
from shelfwise.schema import PRODUCT_COLUMNS
from shelfwise.testing import SimulatedCatalogue, simulated_catalogue
from shelfwise.training.network_module import NetworkModule

N = 600
WIDTH = 32  # of the text vectors


@dataclass(frozen=True)
class Simulated:
    bundle: Bundle
    shop: SimulatedCatalogue

    def frame(self, rows: np.ndarray | slice = slice(None)) -> pl.DataFrame:
        """The bundle's products as the store tells them."""
        facts, kept = self.bundle.facts, np.arange(N)[rows].tolist()
        assert facts.price is not None
        assert facts.category is not None
        assert facts.brand is not None
        told = {
            "id": [self.bundle.items.outside[row] for row in kept],
            "title": [f"Thing {row}" for row in kept],
            "brand": [facts.brand_names[facts.brand[row]] if facts.brand[row] >= 0 else "" for row in kept],
            "product_type": [
                facts.category_names[facts.category[row]] if facts.category[row] >= 0 else "" for row in kept
            ],
            "price": [None if np.isnan(facts.price[row]) else float(facts.price[row]) for row in kept],
            "availability": ["in_stock"] * len(kept),
            "created": [0] * len(kept),
        }
        told["status"] = ["active"] * len(kept)
        empty = {
            name: ["" if kind == pl.String() else None] * len(kept)
            for name, kind in PRODUCT_COLUMNS.items()
            if name not in told
        }
        return pl.DataFrame(told | empty, schema_overrides=PRODUCT_COLUMNS).select(list(PRODUCT_COLUMNS))


@pytest.fixture(scope="session")
def simulated() -> Simulated:
    torch.manual_seed(0)
    shop = simulated_catalogue(N, customers=400, events_each=20, width=WIDTH)
    items = replace(
        shop.items,
        category=(shop.groups % 6).astype(np.int32),
        category_names=tuple(f"Aisle {code // 2} > Shelf {code}" for code in range(6)),
    )
    events = shop.sequences
    network = NetworkModule(NetworkConfig(items=N, width=32, hidden=32, text=WIDTH), items)
    with torch.no_grad():
        # As if learned: products of a group lie together, and what was bought calls for its like.
        network.id.zero_()
        for content in (network.content, network.recall):
            assert content.text is not None
            content.text.weight.copy_(torch.eye(32) * 3)
        network.memory.copy_(network.recall(network.facts()))
        network.ahead.copy_(network.memory)
    bundle = Bundle.make(
        items=IdMap(f"p{row}" for row in range(N)),
        features=items,
        artefacts={
            "popularity": Popularity(half_life=30).fit(events, items),
            "repurchase": Repurchase(half_life=90, rhythm=0.25).fit(events, items),
            "cooccurrence": Cooccurrence().fit(events, items),
            "ease": Ease(products=200).fit(events, items),
            "network": network.frozen(),
        },
        until=int(events.time.max()),
        learned={"events": events.rows, "products": N},
        metrics={"ndcg@12": 0.5},
        settings={"network": "gru"},
    )
    assert bundle.content_vectors is not None
    assert bundle.content_index is not None
    taste = Taste.fit(events, bundle.content_vectors, bundle.content_index)
    return Simulated(bundle.with_artefacts(taste=taste), shop)
