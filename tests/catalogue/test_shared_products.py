"""One catalogue: what engine and search hold of the products is the same, once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shelfwise.catalogue.facets import facets_of
from shelfwise.catalogue.filters import Filters, SearchFilters
from shelfwise.catalogue.products import GONE, Products, frame_of
from shelfwise.engine.catalogue import Catalogue
from shelfwise.models.bundle import Bundle
from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.popularity import Popularity
from shelfwise.models.recommender import items_of
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import IdMap, sequences_of
from shelfwise.schema import Availability, Product
from shelfwise.shop import Shop

PRODUCTS = [
    Product(
        id=f"p{i}",
        title=f"Thing {i // 2}, {i} lb",
        description="d" * 1_000,
        brand=("Bolt", "Acme", "")[i % 3],
        product_type=("Home > Lamps", "Home", "Garden")[i % 3],
        price=None if i == 4 else float(i),
        availability=Availability.OUT_OF_STOCK if i == 5 else Availability.IN_STOCK,
        item_group_id="g" if i in (6, 7) else "",
        attributes={"colour": ("red", "blue | green")[i % 2], "weight": i},
    )
    for i in range(12)
]
FRAME = frame_of(PRODUCTS)
FILTERS = (
    Filters(),
    Filters(availability=None),
    Filters(categories=("home",)),
    Filters(brands=("ACME",), price_min=2, price_max=9),
    Filters(exclude=("p1", "nothing")),
    SearchFilters(attributes={"colour": ("green",)}),
    SearchFilters(ranges={"weight": (3, None)}),
    SearchFilters(ranges={"nothing": (3, None)}),
)


def bundle_of(frame: pl.DataFrame) -> Bundle:
    items = items_of(frame, frame.height)
    events = sequences_of([[0, 1]])
    return Bundle.make(
        items=IdMap(frame["id"].to_list()),
        features=items,
        artefacts={
            "popularity": Popularity(half_life=30.0).fit(events, items),
            "repurchase": Repurchase(half_life=90.0, rhythm=0.25).fit(events, items),
            "cooccurrence": Cooccurrence().fit(events, items),
        },
        until=0,
    )


def allowed(products: Products, filters: Filters) -> set[str]:
    view = products.view
    return {view.ids[row] for row in view.matching(filters).tolist()}


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_learned_rows_described_later_say_what_a_frame_says(filters: Filters) -> None:
    apart = Products(FRAME)
    catalogue = Catalogue(bundle_of(FRAME[::-1]), FRAME[:8])
    products = catalogue.products
    products.describe(FRAME)
    assert allowed(products, filters) == allowed(apart, filters)
    names = ("brand", "category", "price", "availability", "colour", "weight")
    for one, other in zip(
        facets_of(products.view, names, {}, products.view.live()),
        facets_of(apart.view, names, {}, apart.view.live()),
        strict=True,
    ):
        assert one == other
    assert {len(text) for text in products.view.descriptions} == {400}


def test_variants_share_a_group_or_a_brand_and_a_title() -> None:
    variant = Products(FRAME).view.variant.tolist()
    assert variant[6] == variant[7] >= 0
    assert variant[2] == -1, "neither group nor brand"
    assert len({variant[0], variant[1], variant[3], variant[4]}) == 4
    same = frame_of(
        [Product(id="a", brand="Bolt", title="Milk, 1 lb"), Product(id="b", brand="bolt", title="milk, 2 lb")]
    )
    assert len(set(Products(same).view.variant.tolist())) == 1


def test_the_engine_uses_the_products_that_search_holds() -> None:
    held = Products.of_items(FRAME["id"].to_list(), items_of(FRAME, FRAME.height), GONE)
    held.upsert(FRAME)
    held.upsert(frame_of([Product(id="late", title="Late")]))
    catalogue = Catalogue(bundle_of(FRAME), FRAME, beside=held)
    assert catalogue.products is held
    view = catalogue.view
    assert (view.n, view.known, view.row("late")) == (13, 12, 12)
    assert len(view.proxy) == len(view.likeness) == 13
    assert view.ids is held.view.ids
    catalogue.upsert([Product(id="p3", title="Renamed", price=99)])
    assert held.view.price[3] == 99
    held.delete(["p4"])
    assert catalogue.view.row("p4") == 4, "a view is what it was"
    assert catalogue.delete("p4")
    assert catalogue.view.row("p4") is None
    assert len(catalogue) == len(held) == 12


def test_products_in_another_order_share_their_texts_only() -> None:
    held = Products(FRAME)
    catalogue = Catalogue(bundle_of(FRAME[::-1]), FRAME, beside=held)
    assert catalogue.products is not held
    mine, theirs = catalogue.view, held.view
    for name in FRAME["id"].to_list():
        row, other = mine.rows[name], theirs.rows[name]
        assert mine.ids[row] is theirs.ids[other]
        assert mine.titles[row] is theirs.titles[other]
        assert np.array_equal(mine.price[[row]], theirs.price[[other]], equal_nan=True)


def test_a_shop_holds_its_products_once(tmp_path: Path) -> None:
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none", durable=False) as shop:
        shop.put_products(PRODUCTS)
        products = shop.engine.catalogue.products
        assert not products.described, "nobody searches yet"
        assert shop.searching.indexes.products is products
        shop.put_products([Product(id="z", title="Zebra lamp", attributes={"colour": "striped"})])
        assert shop.engine.catalogue.view.row("z") == len(PRODUCTS)
        assert [
            hit.product
            for hit in shop.search("zebra", filters=SearchFilters(attributes={"colour": ("striped",)})).items
        ] == ["z"]
        shop.delete_product("p0")
        assert shop.engine.catalogue.view.row("p0") is None
        assert "p0" not in {hit.product for hit in shop.search("thing").items}
