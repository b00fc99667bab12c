"""The demo with photos, from the real package: shoppers who like what photos show, said to be simulated."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from shelfwise import demo
from shelfwise.errors import ShopError
from shelfwise.intake import vendure
from shelfwise.shop import Shop


@pytest.fixture(scope="module")
def shop(vendure_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("demo") / "shop"
    opened = Shop.create(folder, simulated=True, text_encoder="none")
    (folder / "cache").mkdir(exist_ok=True)
    shutil.copy(vendure_archive, folder / "cache" / vendure.ARCHIVE)
    demo.load_vendure(opened, lambda *_: None)
    return opened


def test_simulated_shoppers_keep_to_what_photos_show(shop: Shop) -> None:
    counts = shop.counts()
    assert counts.products == 88
    assert 380 < counts.customers <= 400  # a few never sign in
    assert counts.events > 10_000
    assert shop.settings.simulated
    kinds = dict(shop.store.products_frame().select("id", "product_type").iter_rows())
    views = pl.concat(shop.store.event_frames(types=["view_item"])).filter(pl.col("customer") != "")
    views = views.select("customer", kind=pl.col("product").replace_strict(kinds))
    shares = views.group_by("customer", "kind").len().with_columns(pl.col("len") / pl.col("len").sum().over("customer"))
    favourite = shares.group_by("customer").agg(pl.col("len").max())["len"].mean()
    overall = views["kind"].value_counts(normalize=True)["proportion"].max()
    # Nobody told the shoppers of categories: photos of a category look alike.
    assert favourite > 1.5 * overall  # type: ignore[operator]


def test_the_shoppers_need_photos(vendure_archive: Path, tmp_path: Path) -> None:
    with Shop.create(tmp_path / "shop", image_encoder="none", text_encoder="none") as opened:
        (tmp_path / "shop" / "cache").mkdir(exist_ok=True)
        shutil.copy(vendure_archive, tmp_path / "shop" / "cache" / vendure.ARCHIVE)
        with pytest.raises(ShopError, match="image_encoder"):
            demo.load_vendure(opened, lambda *_: None)


def test_the_answer_says_that_shoppers_are_simulated(shop: Shop) -> None:
    from shelfwise.models.bundle import Bundle
    from shelfwise.models.bundles import Bundles
    from shelfwise.models.cooccurrence import Cooccurrence
    from shelfwise.models.popularity import Popularity
    from shelfwise.models.repurchase import Repurchase
    from shelfwise.training.dataset import read_dataset

    data = read_dataset(shop.store, shop.folder, shop.settings)
    known = (data.sequences, data.features)
    bundle = Bundle.make(
        items=data.items,
        features=data.features,
        artefacts={
            "popularity": Popularity(half_life=30 * 86_400.0).fit(*known),
            "repurchase": Repurchase(half_life=30 * 86_400.0, rhythm=1.0).fit(*known),
            "cooccurrence": Cooccurrence().fit(*known),
        },
        until=int(data.sequences.time.max()),
    )
    Bundles(shop.folder / "bundles").add(bundle)
    out = Console(file=io.StringIO(), width=120)
    demo.show(shop.folder, out)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert "SIMULATED" in text
    assert "Customer shopper-001" in text
    assert "The same visitor, having looked at" in text
    assert "Because you" in text
