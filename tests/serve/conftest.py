"""A small simulated shop, learned in a second: four aisles; customers of one aisle keep to it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from shops import learned

from shelfwise.schema import EVENT_COLUMNS, Product, now, to_micros
from shelfwise.shop import Shop

AISLES = ("Dairy", "Bakery", "Tea", "Soap")
EACH = 15


@pytest.fixture
def learn() -> Callable[[Shop], str]:
    return learned


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop's folder that no test writes to."""
    folder = tmp_path_factory.mktemp("serve") / "shop"
    chance = random.Random(0)
    with Shop.create(folder, text_encoder="none", image_encoder="none", name="Simulated") as shop:
        shop.store.put_products(
            [
                Product(
                    id=f"{aisle}-{i}", title=f"{aisle} number {i}", product_type=f"{aisle} > Kind {i % 3}", price=1 + i
                )
                for aisle in AISLES
                for i in range(EACH)
            ]
        )
        begun = now() - timedelta(days=60)
        rows = []
        for customer in range(120):
            aisle = AISLES[customer % len(AISLES)]
            for visit in range(6):
                time = begun + timedelta(days=visit * 9, minutes=customer)
                bought = chance.sample(range(EACH), 3)
                rows += [(f"c{customer}", f"{aisle}-{product}", to_micros(time)) for product in bought]
        frame = pl.DataFrame(rows, schema=["customer", "product", "time"], orient="row").select(
            pl.format("e{}", pl.int_range(pl.len())).alias("id"),
            pl.lit("purchase").alias("type"),
            "time",
            "customer",
            pl.lit("").alias("session"),
            "product",
            pl.lit(1.0).alias("quantity"),
            pl.lit(None, pl.Float64).alias("price"),
            pl.lit(None, pl.Float64).alias("value"),
            pl.lit("").alias("query"),
            pl.lit("").alias("request_id"),
        )
        assert frame.columns == list(EVENT_COLUMNS)
        shop.store.import_events([frame])
        learned(shop)
    return folder


@pytest.fixture
def folder(simulated: Path, tmp_path: Path) -> Path:
    """A copy of the simulated shop for one test."""
    return Path(shutil.copytree(simulated, tmp_path / "shop"))


@pytest.fixture
def shop(folder: Path) -> Iterator[Shop]:
    with Shop(folder) as opened:
        yield opened
