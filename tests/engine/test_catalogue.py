from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from shelfwise.catalogue.filters import Filters
from shelfwise.engine import catalogue as module
from shelfwise.engine.catalogue import Catalogue
from shelfwise.engine.pipeline import Engine
from shelfwise.engine.request import Request
from shelfwise.engine.retrieve.content import alike
from shelfwise.engine.state import State, states_of
from shelfwise.errors import UnknownProduct
from shelfwise.models.sequences import Sequences, sequences_of
from shelfwise.schema import Product

from .conftest import WIDTH, N, Simulated

VIEW = 0


def text_of(simulated: Simulated, row: int, copies: int = 1, noise: float = 0.02) -> np.ndarray:
    """Vectors of new products that are described as product `row` is."""
    assert simulated.shop.items.text is not None
    random = np.random.default_rng(row)
    vectors = simulated.shop.items.text[[row] * copies] + noise * random.standard_normal((copies, WIDTH))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def products(answer: object) -> list[str]:
    return [item.product for item in answer.items]  # type: ignore[attr-defined]


def viewed(simulated: Simulated, row: int) -> Sequences:
    return sequences_of([[row]], kinds=[[VIEW]], times=[[simulated.bundle.until]])


def test_a_new_product_is_recommended_by_content_at_once(simulated: Simulated) -> None:
    catalogue = Catalogue(simulated.bundle, simulated.frame())
    engine = Engine(simulated.bundle, catalogue)
    row = int(np.argmax(np.diff(simulated.bundle.cooccurrence.indptr)))
    (state,) = states_of(viewed(simulated, row), simulated.bundle.until)
    assert "brand new" not in catalogue
    catalogue.upsert([Product(id="brand new", title="New thing", price=3)], text_of(simulated, row))
    assert "brand new" in catalogue
    assert len(catalogue) == N + 1
    assert "brand new" in products(engine.similar(f"p{row}", 5))
    assert f"p{row}" in products(engine.similar("brand new", 5))
    (item,) = (item for item in engine.recommend(Request(k=24), state).items if item.product == "brand new")
    assert "new" in item.sources

    # Turning to it is an event like any other: what is alike follows.
    (state,) = states_of(viewed(simulated, N), simulated.bundle.until)
    answer = products(engine.recommend(Request(), state))
    groups = simulated.shop.groups
    assert sum(groups[int(name[1:])] == groups[row] for name in answer if name != "brand new") >= 6


def test_a_new_product_without_text_can_be_found_by_its_category(simulated: Simulated) -> None:
    catalogue = Catalogue(simulated.bundle, simulated.frame())
    engine = Engine(simulated.bundle, catalogue)
    catalogue.upsert([Product(id="bare", product_type="Moon > Dust", brand="Nobody")])
    for filters in (Filters(categories=("Moon",)), Filters(brands=("nobody",))):
        answer = engine.recommend(Request(filters=filters), State.nothing(0))
        assert products(answer) == ["bare"]
    assert answer.items[0].reason in ("New in Moon", "Popular in Moon")
    assert len(engine.similar("bare", 5).items) == 5


def test_many_new_products_enter_the_index(simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UNINDEXED", 50)
    catalogue = Catalogue(simulated.bundle, simulated.frame())
    engine = Engine(simulated.bundle, catalogue)
    for start in range(0, 120, 40):
        new = [Product(id=f"n{start + each}", title=f"New {start + each}") for each in range(40)]
        catalogue.upsert(new, text_of(simulated, start, 40))
    view = catalogue.view
    assert (view.n, view.known) == (N + 120, N)
    assert view.indexed == N + 80
    assert view.content_index is not None
    assert view.content_index.n == N + 80
    assert simulated.bundle.content_index is not None
    assert simulated.bundle.content_index.n == N, "the bundle's own stays as it was"
    alike = products(engine.similar("n5", 20))
    assert sum(name.startswith("n") for name in alike) >= 10
    (state,) = states_of(viewed(simulated, 0), simulated.bundle.until)
    assert len(engine.recommend(Request(k=50), state).items) == 50


def test_the_frame_decides_what_is_for_sale(simulated: Simulated) -> None:
    catalogue = Catalogue(simulated.bundle, simulated.frame(slice(0, 50)))
    assert len(catalogue) == 50
    assert "p49" in catalogue
    assert "p50" not in catalogue
    answer = Engine(simulated.bundle, catalogue).recommend(Request(k=200), State.nothing(0))
    assert sorted(products(answer)) == sorted(f"p{row}" for row in range(50))
    with pytest.raises(UnknownProduct):
        catalogue.view.require("p50")


def test_a_frame_with_strangers_brings_their_vectors(simulated: Simulated) -> None:
    new = pl.concat([simulated.frame(), simulated.frame(slice(0, 1)).with_columns(id=pl.lit("late"))])
    text = np.zeros((N + 1, WIDTH), np.float32)
    text[-1:] = text_of(simulated, 42)
    catalogue = Catalogue(simulated.bundle, new, text)
    assert catalogue.view.proxy[N] == 42
    assert catalogue.view.likeness[N] > 0.9
    assert "late" in products(Engine(simulated.bundle, catalogue).similar("p42", 3))


def test_a_reader_keeps_its_view(simulated: Simulated) -> None:
    catalogue = Catalogue(simulated.bundle, simulated.frame())
    old = catalogue.view
    catalogue.upsert([Product(id="p1", title="Renamed", price=99), Product(id="x", title="X")])
    catalogue.delete("p2")
    assert old.n == N
    assert old.row("x") is None
    assert old.row("p2") == 2
    assert old.price[1] != 99
    new = catalogue.view
    assert new.row("x") == N
    assert new.row("p2") is None
    assert new.title(1) == "Renamed"
    assert new.price[1] == 99


def test_readers_and_writers_at_once(simulated: Simulated) -> None:
    catalogue = Catalogue(simulated.bundle, simulated.frame())
    engine = Engine(simulated.bundle, catalogue)
    states = states_of(simulated.shop.sequences.select(slice(0, 20)), simulated.bundle.until)
    failed: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                for state in states:
                    assert len(engine.recommend(Request(), state).items) == 12
                    engine.similar("p3", 5)
        except BaseException as error:
            failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(150):
        catalogue.upsert([Product(id=f"n{number}", title="New")], text_of(simulated, number))
        catalogue.delete(f"n{number - 3}")
    done.set()
    for reader in readers:
        reader.join()
    assert not failed
    assert len(catalogue) == N + 3


def test_a_product_with_another_text_is_like_others_at_once(
    simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index finds its old text, until it is made anew; nobody sees that."""
    vectors = simulated.bundle.content_vectors
    assert vectors is not None
    bundle = replace(simulated.bundle, content_vectors=vectors.copy())
    groups = simulated.shop.groups
    row = next(row for row in range(1, N) if groups[row] != groups[0])
    catalogue = Catalogue(bundle, simulated.frame())
    engine = Engine(bundle, catalogue)
    old = products(engine.similar("p0", 5))
    before = alike(catalogue.view, 0, 5).tolist()
    assert row not in before
    catalogue.upsert([Product(id=f"p{row}", title="The same as p0")], text_of(simulated, 0))
    assert catalogue.view.changed.tolist() == [row]
    assert alike(catalogue.view, 0, 5).tolist()[0] == row
    assert f"p{row}" in products(engine.similar("p0", 20))
    catalogue.upsert([Product(id=f"p{row}", title="A new price", price=3)], text_of(simulated, 0))
    assert catalogue.view.changed.tolist() == [row]
    monkeypatch.setattr(module, "_UNINDEXED", 0)
    catalogue.upsert(
        [Product(id=f"p{each}", title="As it was") for each in range(row, row + 13)], text_of(simulated, 0, 13)
    )
    view = catalogue.view
    assert (len(view.changed), view.indexed) == (0, N)
    assert alike(view, row, 3)[0] == 0, "in the index now"
    assert len(old) == 5


@pytest.mark.parametrize("indexed", [True, False])
def test_similar_to_one_of_many_variants_is_of_its_kind(
    simulated: Simulated, monkeypatch: pytest.MonkeyPatch, indexed: bool
) -> None:
    """The nearest sixty by content are all the same product; what is like it lies behind them."""
    if indexed:
        monkeypatch.setattr(module, "_UNINDEXED", 0)
    catalogue = Catalogue(simulated.bundle, simulated.frame())
    wine = {"brand": "Own", "product_type": "Aisle 0"}
    variants = [Product(id=f"v{each}", title=f"Wine, {each} oz", **wine) for each in range(60)]
    catalogue.upsert(variants, text_of(simulated, 0, 60, noise=0))
    engine = Engine(simulated.bundle, catalogue)
    for filters in (Filters(), Filters(categories=("Aisle 0", "Aisle 1", "Aisle 2"))):
        answer = engine.similar("v7", 8, filters)
        groups = [simulated.shop.groups[int(name[1:])] for name in products(answer)]
        assert groups == [simulated.shop.groups[0]] * 8
        assert all("content" in item.sources for item in answer.items)
    answer = engine.similar("p0", 8)
    assert sum(name.startswith("v") for name in products(answer)) == 1


def test_similar_shows_the_variant_that_is_for_sale(simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UNINDEXED", 0)
    catalogue = Catalogue(simulated.bundle, simulated.frame())
    sold_out = [
        Product(id=f"v{each}", item_group_id="wine", availability="in_stock" if each == 29 else "out_of_stock")
        for each in range(30)
    ]
    catalogue.upsert(sold_out, text_of(simulated, 0, 30, noise=0))
    assert "v29" in products(Engine(simulated.bundle, catalogue).similar("p0", 8))
