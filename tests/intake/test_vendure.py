"""Vendure's sample catalogue, from the real package; skipped where npm's registry is out of reach."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from shelfwise.errors import MissingDependency, UnreadableFile
from shelfwise.intake import QualityReport, vendure
from shelfwise.shop import Shop
from shelfwise.store import Store


@pytest.fixture(scope="module")
def loaded(vendure_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, QualityReport]:
    shop = Shop.create(tmp_path_factory.mktemp("vendure") / "shop", image_encoder="none", text_encoder="none")
    return shop, vendure.load(shop.folder, shop.store, vendure_archive)


def test_every_variant_of_every_product(loaded: tuple[Shop, QualityReport]) -> None:
    shop, report = loaded
    assert report.facts == {"products": 54, "variants": 88, "photos": 54}
    assert (report.read, report.kept, report.dropped) == (88, 88, 0)
    frame = shop.store.products_frame()
    assert frame.height == 88
    assert frame["price"].min() == 4.99
    assert set(frame["currency"]) == {"USD"}
    groups = frame.filter(frame["item_group_id"] != "").group_by("item_group_id").len()
    assert groups.height == 13
    assert groups["len"].min() == 2


def test_a_variant_is_its_product_with_its_options(loaded: tuple[Shop, QualityReport]) -> None:
    shop, report = loaded
    laptop = shop.store.product("L2201516")
    assert laptop is not None
    assert (laptop.title, laptop.brand, laptop.price) == ("Laptop, 15 inch, 16GB", "Apple", 2299.0)
    assert laptop.product_type == "Electronics > Computers"
    assert laptop.item_group_id == "laptop"
    assert laptop.attributes == {"screen size": "15 inch", "RAM": "16GB"}
    assert "seventh-generation" in laptop.description
    camera = shop.store.product("IC22MWDD")
    assert camera is not None
    assert camera.product_type == "Electronics > Camera & Photo"
    assert camera.item_group_id == ""
    # Three chairs have one stock number.
    mint = shop.store.product("404.038.96-mint")
    assert mint is not None
    assert (mint.mpn, mint.attributes["color"]) == ("404.038.96", "mint")
    assert {issue.kind: issue.count for issue in report.issues} == {"same_sku": 3}


def test_every_photo_is_a_whole_image_in_the_shops_folder(loaded: tuple[Shop, QualityReport]) -> None:
    shop, _ = loaded
    links = set(shop.store.products_frame()["image_link"])
    assert len(links) == 54
    for link in links:
        with Image.open(shop.folder / link) as photo:
            photo.draft("RGB", (64, 64))
            photo.load()
            assert min(photo.size) > 30


def test_an_archive_that_is_not_the_one_expected(vendure_archive: Path, tmp_path: Path) -> None:
    cut = tmp_path / vendure.ARCHIVE
    cut.write_bytes(vendure_archive.read_bytes()[:-1])
    with pytest.raises(UnreadableFile, match="checksum"):
        vendure.fetch(tmp_path)
    shutil.copy(vendure_archive, cut)
    assert vendure.fetch(tmp_path) == cut  # there already: nothing is fetched


def test_no_way_to_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    with pytest.raises(MissingDependency, match="npm pack @vendure/create@"):
        vendure.fetch(tmp_path)
    assert not list(tmp_path.iterdir())


def test_loading_twice_changes_nothing(loaded: tuple[Shop, QualityReport], vendure_archive: Path) -> None:
    shop, _ = loaded
    store: Store = shop.store
    vendure.load(shop.folder, store, vendure_archive)
    assert store.counts().products == 88
