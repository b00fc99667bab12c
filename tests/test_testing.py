from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from shelfwise.schema import EVENT_COLUMNS, to_micros
from shelfwise.testing import Shown, look, simulated_catalogue, simulated_shop, simulated_visits


@pytest.mark.parametrize("n", [1, 10, 5_000])
def test_a_catalogue_of_any_size(n: int) -> None:
    made = simulated_catalogue(n, customers=300, events_each=10)
    assert made.items.n == n
    assert made.items.text is not None
    np.testing.assert_allclose(np.linalg.norm(made.items.text, axis=1), 1, atol=1e-4)
    sequences = made.sequences
    assert len(sequences) == 300
    assert sequences.item.min() >= 0
    assert sequences.item.max() < n
    starts = np.zeros(sequences.rows, np.bool_)
    starts[sequences.offsets[:-1]] = True
    assert (np.diff(sequences.time)[~starts[1:]] >= 0).all()
    assert "Simulated" in made.items.category_names[0]


def test_products_of_a_group_are_bought_together() -> None:
    made = simulated_catalogue(5_000, customers=500)
    group = made.groups[made.sequences.item]
    owner = np.repeat(np.arange(500), made.sequences.lengths())
    assert (group[1:] == group[:-1])[owner[1:] == owner[:-1]].mean() > 0.6
    assert len({tuple(np.unique(group[owner == c]))[:4] for c in range(50)}) > 40
    again = simulated_catalogue(5_000, customers=500)
    assert (again.sequences.item == made.sequences.item).all()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    made = []
    for number in range(40):
        picture = Image.new("RGB", (60, 60), "white")
        picture.paste("red" if number % 2 else "blue", (10, 10, 50, 30 + number % 20))
        picture.save(folder / f"{number}.png")
        made.append(folder / f"{number}.png")
    return made


def test_looks_are_what_the_photo_shows(photos: list[Path]) -> None:
    blue, red, same = look(photos[0]), look(photos[1]), look(photos[21])
    assert blue.shape == (68,)
    assert red @ same > 0.9
    assert red[:64] @ blue[:64] < 0.1


def test_shoppers_buy_by_looks_and_cold_products_stay_unseen(photos: list[Path]) -> None:
    shop = simulated_shop(photos, customers=200, events_each=6)
    assert shop.cold.sum() == 10
    assert not shop.cold[shop.train.item].any()
    assert shop.cold[shop.target].all()
    np.testing.assert_allclose(shop.taste.sum(1), 1)
    colour = shop.train.item.reshape(200, 6) % 2
    assert (colour == colour[:, :1]).mean() > 0.95
    assert (shop.target % 2 == colour[:, 0]).mean() > 0.95


def test_simulated_visits_follow_the_photos() -> None:
    random = np.random.default_rng(0)
    kinds = np.repeat(np.arange(4), 10)
    looks = (np.eye(4)[kinds] + 0.05 * random.standard_normal((40, 4))).astype(np.float32)
    products = [
        Shown(look=look, variants=(f"{n}-a", f"{n}-b"), prices=(1.0, 2.0), words=(f"kind {kind}",))
        for n, (look, kind) in enumerate(zip(looks, kinds, strict=True))
    ]
    end = datetime(2024, 6, 1, tzinfo=UTC)
    frame = simulated_visits(products, end=end, shoppers=100)
    assert frame.columns == list(EVENT_COLUMNS)
    assert frame["id"].n_unique() == frame.height
    assert frame["time"].is_sorted()
    assert frame["time"].max() < to_micros(end)  # type: ignore[operator]
    assert set(frame["type"]) == {"search", "view_item", "add_to_cart", "purchase"}
    assert frame.filter(pl.col("type") != "search")["product"].is_in([v for p in products for v in p.variants]).all()
    # Two kinds in mind: of four, the two most looked at take nearly all, each shopper's own.
    views = frame.filter((pl.col("type") == "view_item") & (pl.col("customer") != "")).select(
        "customer", kind=pl.col("product").str.split("-").list.first().cast(pl.Int64) // 10
    )
    shares = views.group_by("customer", "kind").len().with_columns(pl.col("len") / pl.col("len").sum().over("customer"))
    top = shares.group_by("customer").agg(pl.col("len").top_k(2).sum())
    assert top["len"].mean() > 0.85  # type: ignore[operator]
    assert views["kind"].value_counts()["count"].min() > 0.1 * views.height  # type: ignore[operator]
    assert frame.equals(simulated_visits(products, end=end, shoppers=100))
