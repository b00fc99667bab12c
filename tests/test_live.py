"""Live: what other processes change is followed, whatever fails on the way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from shelfwise import live, shoppers
from shelfwise.errors import EncodingError
from shelfwise.models import encoders
from shelfwise.models.bundles import Bundles
from shelfwise.models.network import NetworkConfig
from shelfwise.schema import Event, Product, now
from shelfwise.search.retrieve import dense
from shelfwise.shop import Shop
from shelfwise.training.network_module import NetworkModule
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

    monkeypatch.setattr(encoders, "encode_products", encode)
    monkeypatch.setattr(dense, "encode_products", encode)
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
    apply = search.indexes.words.apply
    failing = [True]

    def full(*arguments: Any) -> None:
        if failing:
            failing.pop()
            raise OSError(28, "No space left on device")
        apply(*arguments)

    monkeypatch.setattr(search.indexes.words, "apply", full)
    with Shop(shop.folder) as other:
        other.store.put_products([Product(id="z", title="Zebra lamp")])
        other.store.delete_product("p2")
    with pytest.raises(OSError, match="No space"):
        shop.refresh()
    assert "p2" not in {hit.product for hit in shop.search("mug").items}  # what is gone is not shown
    shop.refresh()
    assert [hit.product for hit in shop.search("zebra lamp").items] == ["z"]
    assert search.indexes.words.revision == shop.store.product_revision()


def test_many_products_are_encoded_in_turns_and_the_newest_first(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other changes have their turn between two chunks, and a product just put does not wait for all the others."""
    shop.refresh()
    encoded: list[str] = []

    def encode(frame: pl.DataFrame, *_: object) -> tuple[Any, None]:
        encoded.extend(frame["id"].to_list())
        return np.ones((frame.height, 512), np.float32), None

    monkeypatch.setattr(encoders, "encode_products", encode)
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
        patched.setattr(encoders, "encode_products", encode)
        assert shop.put_products([Product(id="z", title="Zebra", price=3.0)]) == 1
    assert price(shop, "z") == 3.0


def harm(shop: Shop, version: str, how: str) -> None:
    folder = shop.folder / "bundles" / version
    if how == "damaged":
        (folder / "popularity.safetensors").write_bytes(b"torn")
    elif how == "too old":
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(manifest | {"format_version": 1}))
    elif how == "gone":
        shutil.rmtree(folder)
    else:
        (shop.folder / "bundles" / "current").write_text("{")


@pytest.mark.parametrize("how", ["damaged", "too old", "gone", "pointer"])
def test_the_newest_good_bundle_answers_for_a_bad_one(shop: Shop, how: str) -> None:
    good = shop._bundles.current()
    assert good is not None
    bad = learned(shop)
    harm(shop, bad, how)
    with Shop(shop.folder) as opened:
        assert len(opened.recommend(customer="c1").items) > 5
        assert opened.bundle_version in ((bad, good) if how == "pointer" else (good,))
        assert "train" in opened.problems["bundle"]
        opened.refresh()  # tried again later, not at each turn
        mended = learned(opened)
        opened.refresh()
        assert opened.bundle_version == mended
        assert not opened.problems


def test_without_any_good_bundle_what_is_popular_answers(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.append_events([Event(type="purchase", customer=f"d{n}", product="p7") for n in range(5)])
    shop.append_events([Event(type="purchase", customer=f"d{n}", product="p3") for n in range(5)])
    version = shop._bundles.current()
    assert version is not None
    harm(shop, version, "too old")
    with Shop(shop.folder) as opened:
        assert {item.product for item in opened.recommend(customer="nobody", k=2).items} == {"p3", "p7"}
        assert opened.similar("p3", k=1).items[0].product == "p7"  # bought by the same
        assert (opened.bundle_version, opened.answers) == ("", True)
        assert "train again" in opened.problems["bundle"]
        assert "train again" in caplog.text
        opened.delete_product("p7")
        assert "p7" not in {item.product for item in opened.recommend(customer="nobody").items}
        learned(opened)
        opened.refresh()
        assert opened.bundle_version
        assert not opened.problems


def test_a_word_index_that_cannot_be_written_is_kept_in_memory(shop: Shop) -> None:
    (shop.folder / "search").write_text("a file where the folder should be")
    assert [hit.product for hit in shop.search("mug number 3", k=1).items] == ["p3"]
    assert "memory" in shop.problems["index"]


def test_what_sells_and_what_is_asked_is_followed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Best-selling order, the feature `sold` and popular queries move while search is open; what was forgotten goes."""
    monkeypatch.setattr(shoppers, "_SECONDS", 0.0)
    monkeypatch.setattr(shoppers, "_SHARE", 0.0)
    assert shop.search("mug", k=20).total == 10
    with Shop(shop.folder) as other:
        other.append_events([Event(type="purchase", customer=f"d{n}", product="p6") for n in range(5)])
        for n in range(6):
            other.append_events([Event(type="search", customer=f"d{n}", query="coffee mug")])
            other.append_events([Event(type="view_item", customer=f"d{n}", product="p4")])
    shop.refresh()
    assert shop.search("mug", sort="best_selling", k=1).items[0].product == "p6"
    assert "coffee mug" in {one.text for one in shop.suggest("coff")}
    assert shop.searching.indexes.clicks.of("coffee mug") == pytest.approx({"p4": 6 / 11})
    shop.put_products([Product(id="new", title="Mug of today")])  # and with products that come later
    shop.append_events([Event(type="purchase", customer=f"e{n}", product="new") for n in range(9)])
    shop.refresh()
    assert shop.search("mug", sort="best_selling", k=1).items[0].product == "new"
    with Shop(shop.folder) as other:
        for n in range(5):
            other.store.forget(f"d{n}")
        other.append_events([Event(type="purchase", customer="f", product="p1")])
    shop.refresh()
    assert shop.searching.indexes.clicks.of("coffee mug") == pytest.approx({"p4": 1 / 6})
    assert "coffee mug" not in {one.text for one in shop.suggest("coff")}
    assert shop.search("mug", sort="best_selling", k=2).items[1].product != "p6"


def test_now_in_the_past_cuts_the_history(shop: Shop) -> None:
    """What was done later says nothing then: answers, tastes and lists are as of one moment."""
    then = now() - timedelta(days=3)
    for number, when in enumerate([then - timedelta(days=1), then + timedelta(days=1)]):
        event = Event(type="purchase", customer="past", product=f"p{number + 3}", time=when)
        shop.append_events([event])
    items = {item.product for item in shop.recommend(customer="past", now=then, exclude_purchased=True, k=20).items}
    assert "p3" not in items
    assert "p4" in items
    ((*ranked,),) = shop.recommend_many(["past"], now=then, exclude_purchased=True, k=20)
    assert {product for product, _ in ranked} == items
    assert "p4" not in {item.product for item in shop.recommend(customer="past", exclude_purchased=True, k=20).items}


def test_an_answer_with_a_network_loads_neither_torch_nor_what_trains(shop: Shop) -> None:
    """They take most of a command's start and of a worker's memory."""
    bundle = shop.engine.bundle
    network = NetworkModule(NetworkConfig(items=len(bundle.items), width=16, hidden=16)).frozen()
    version = Bundles(shop.folder / "bundles").add(bundle.with_artefacts(network=network))
    program = """
import sys
from shelfwise.shop import Shop

with Shop(sys.argv[1]) as shop:
    answer = shop.recommend(customer="c1")
    used = {source for item in answer.items for source in item.sources}
    print(shop.engine.bundle.version, "collaborative" in used, len(answer.items), len(shop.search("mug").items))
print({"torch", "lightgbm", "pandas", "sklearn", "shelfwise.training"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program, shop.folder], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [f"{version} True 10 10", "set()"]


def test_a_record_that_nobody_wrote_to_is_left_alone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The follower of a quiet shop looks at the bundle alone; whatever is written is seen the next time."""
    assert shop.searching
    assert not shop.follow(100)
    looked: list[int | None] = []
    refresh = shop._live.refresh
    monkeypatch.setattr(shop._live, "refresh", lambda most: looked.append(most) or refresh(most))
    assert not shop.follow(100)
    assert looked == []
    with Shop(shop.folder) as other:
        other.store.put_products([Product(id="p1", title="Mug number 1", price=9.0)])
        shop.follow(100)
        assert price(shop, "p1") == 9
        other.append_events([Event(type="view_item", session="s", product="p2")])
        shop.follow(100)
        assert looked == [100, 100]
        version = learned(other)
    assert shop.follow(100) is False
    assert shop.engine.bundle.version == version
    monkeypatch.setattr(live, "_LAZY", 0.0)  # what time alone changes
    shop.follow(100)
    before = len(looked)
    shop.follow(100)
    assert len(looked) == before + 1
