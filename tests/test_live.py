"""Live: what other processes change is followed, whatever fails on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from shelfwise import live
from shelfwise.errors import EncodingError
from shelfwise.schema import Event, Product
from shelfwise.search import meaning
from shelfwise.shop import Shop
from tests.serve.conftest import learned


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none", durable=False) as opened:
        opened.store.put_products([Product(id=f"p{n}", title=f"Mug number {n}", price=1.0) for n in range(10)])
        opened.append_events([Event(type="purchase", customer=f"c{n}", product=f"p{n}") for n in range(10)])
        learned(opened)
        yield opened


def price(shop: Shop, product: str) -> float:
    view = shop.engine.catalogue.view
    return float(view.price[view.rows[product]])


def test_changes_are_not_lost_when_encoding_fails(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a product says holds at once; its vectors are tried again until they come, in engine and search."""
    shop.refresh()
    assert shop.searching
    fails = True
    encoded: list[list[str]] = []

    def encode(frame: pl.DataFrame, *_: object) -> tuple[None, None]:
        if fails:
            raise EncodingError("the encoder's weights cannot be read")
        encoded.append(frame["id"].to_list())
        return None, None

    monkeypatch.setattr(live, "encode_products", encode)
    monkeypatch.setattr(meaning, "encode_products", encode)
    with Shop(shop.folder) as other:
        other.store.put_products([Product(id="p1", title="Mug number 1", price=9.0), Product(id="z", title="Zebra")])
        other.store.delete_product("p2")
    for _ in range(2):
        with pytest.raises(EncodingError):
            shop.refresh()
        assert price(shop, "p1") == 9.0
        assert "z" in shop.engine.catalogue
        assert "p2" not in shop.engine.catalogue
        assert [hit.product for hit in shop.search("zebra").items] == ["z"]
        assert "p2" not in {hit.product for hit in shop.search("mug").items}
    fails = False
    shop.refresh()
    assert [sorted(some) for some in encoded] == [["p1", "z"]] * 2
    shop.refresh()
    assert len(encoded) == 2


def test_the_word_index_catches_up_after_a_failure(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.refresh()
    search = shop.searching
    apply = search.words.apply
    failing = [True]

    def full(*arguments: Any) -> None:
        if failing:
            failing.pop()
            raise OSError(28, "No space left on device")
        apply(*arguments)

    monkeypatch.setattr(search.words, "apply", full)
    with Shop(shop.folder) as other:
        other.store.put_products([Product(id="z", title="Zebra lamp")])
        other.store.delete_product("p2")
    with pytest.raises(OSError, match="No space"):
        shop.refresh()
    assert "p2" not in {hit.product for hit in shop.search("mug").items}  # what is gone is not shown
    shop.refresh()
    assert [hit.product for hit in shop.search("zebra lamp").items] == ["z"]
    assert search.words.revision == shop.store.product_revision()


def test_many_products_are_encoded_in_turns_and_the_newest_first(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other changes have their turn between two chunks, and a product just put does not wait for all the others."""
    shop.refresh()
    encoded: list[str] = []

    def encode(frame: pl.DataFrame, *_: object) -> tuple[Any, None]:
        encoded.extend(frame["id"].to_list())
        return np.ones((frame.height, 512), np.float32), None

    monkeypatch.setattr(live, "encode_products", encode)
    with Shop(shop.folder) as other:
        other.store.put_products([Product(id=f"many{n}", title=f"Lamp number {n}") for n in range(100)])
    assert shop.refresh(10)
    assert len(encoded) == 10
    assert sum(f"many{n}" in shop.engine.catalogue for n in range(100)) == 100
    shop.put_products([Product(id="now", title="Lamp of now")])
    assert encoded[10:] == ["now"]
    calls = 1
    while shop.refresh(10):
        calls += 1
    assert calls == 9
    assert len(encoded) == 101


def test_a_failure_here_does_not_unmake_what_was_stored(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.refresh()

    def encode(*_: object) -> None:
        raise EncodingError("the encoder's weights cannot be read")

    with monkeypatch.context() as patched:
        patched.setattr(live, "encode_products", encode)
        assert shop.put_products([Product(id="z", title="Zebra", price=3.0)]) == 1
    assert price(shop, "z") == 3.0
