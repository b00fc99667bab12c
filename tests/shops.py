"""A small shop with a truth that can be checked by eye: shoppers of four tastes, each buying in its own aisle."""

from __future__ import annotations

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shelfwise.models.bundle import Bundle
from shelfwise.models.bundles import Bundles
from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.popularity import Popularity
from shelfwise.models.repurchase import Repurchase
from shelfwise.shop import Shop
from shelfwise.training.dataset import read_dataset

AISLES = ("Tea", "Garden", "Bath", "Toys")
PER_AISLE = 15
END = datetime(2024, 6, 1, tzinfo=UTC)


def write_feeds(folder: Path, *, customers: int = 160, days: int = 120, seed: int = 0) -> tuple[Path, Path]:
    """products.csv and events.csv of the simulated shop; customer c0, c4, c8, … like Tea, c1, … Garden, and so on."""
    draw = random.Random(seed)
    products, events = folder / "products.csv", folder / "events.csv"
    with products.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["id", "title", "description", "brand", "product_type", "price", "availability"])
        for aisle in AISLES:
            for number in range(PER_AISLE):
                name = f"{aisle} thing number {number}"
                price = f"{2 + number}.50 USD"
                out.writerow(
                    [f"{aisle.lower()}-{number}", name, f"Fine {aisle}", f"{aisle} Co", aisle, price, "in_stock"]
                )
    with events.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["id", "type", "time", "customer", "product", "quantity", "price"])
        count = 0
        for customer in range(customers):
            aisle = AISLES[customer % 4].lower()
            time = END - timedelta(days=days) + timedelta(hours=draw.uniform(0, 400))
            while time < END:
                number = min(int(draw.expovariate(0.25)), PER_AISLE - 1)
                for step in (0, 1):
                    kind = draw.choice(["view_item", "purchase", "purchase"])
                    product = f"{aisle}-{(number + step) % PER_AISLE}"
                    out.writerow([f"e{count}", kind, time.isoformat(), f"c{customer}", product, 1, 3])
                    count += 1
                    time += timedelta(minutes=draw.uniform(1, 30))
                time += timedelta(days=draw.expovariate(1 / 9))
    return products, events


def learned(shop: Shop) -> str:
    """A bundle without a network from the record, put to use; its version."""
    data = read_dataset(shop.store, shop.folder, shop.settings)
    bundle = Bundle.make(
        items=data.items,
        features=data.features,
        artefacts={
            "popularity": Popularity(half_life=30 * 86_400.0).fit(data.sequences, data.features),
            "repurchase": Repurchase(half_life=30 * 86_400.0, rhythm=1.0).fit(data.sequences, data.features),
            "cooccurrence": Cooccurrence().fit(data.sequences, data.features),
        },
        until=int(data.sequences.time.max()),
    )
    return Bundles(shop.folder / "bundles").add(bundle)
