"""Search is the same over each kind of record: found, followed, steered, learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shelfwise.catalogue.filters import SearchFilters
from shelfwise.schema import Event, EventType, Product, Rule, Synonym
from shelfwise.shop import Shop


@pytest.fixture
def shop(new_url: Callable[[], str], tmp_path: Path) -> Iterator[Shop]:
    settings = {"text_encoder": "none", "image_encoder": "none", "store": new_url()}
    with Shop.create(tmp_path / "shop", **settings) as made:
        made.put_products(
            [
                Product(id="m1", title="Red mug", brand="Potter", price=9, attributes={"colour": "red"}),
                Product(id="m2", title="Blue mug", brand="Potter", price=12, attributes={"colour": "blue"}),
                Product(id="k1", title="红色马克杯", brand="陶匠", price=30),
                Product(id="b1", title="Beaker of glass", brand="Fire", price=5),
            ]
        )
        yield made


def ids(shop: Shop, query: str, **options: object) -> list[str]:
    shop.refresh()
    return [hit.product for hit in shop.search(query, **options).items]  # type: ignore[arg-type]


def test_words_filters_facets_and_pinyin(shop: Shop) -> None:
    answer = shop.search("mug", facets=("colour", "price"))
    assert {hit.product for hit in answer.items} == {"m1", "m2"}
    assert dict(answer.facets[0].values) == {"red": 1, "blue": 1}
    assert ids(shop, "mug", filters=SearchFilters(price_max=10)) == ["m1"]
    assert ids(shop, "makebei") == ["k1"]
    assert ids(shop, "", sort="price") == ["b1", "m1", "m2", "k1"]
    assert shop.suggest("re")[0].text.casefold().startswith("red")


def test_the_record_is_followed_by_every_process(shop: Shop) -> None:
    assert len(ids(shop, "mug")) == 2
    with Shop(shop.folder) as other:
        assert len(ids(other, "mug")) == 2
        shop.put_products([Product(id="m3", title="Green mug", price=7)])
        shop.delete_product("m1")
        for one in (shop, other):
            assert set(ids(one, "mug")) == {"m2", "m3"}


def test_rules_and_synonyms_steer_and_are_undone(shop: Shop) -> None:
    store = shop.store
    assert ids(shop, "tumbler") == [] or shop.search("tumbler").relaxed
    store.put_synonyms([Synonym.parse("tumbler => beaker")], "me")
    assert ids(shop, "tumbler") == ["b1"]
    store.put_rules([Rule(id="r", action="pin", query="mug", products=("b1",))], "me")
    assert ids(shop, "mug")[0] == "b1"
    store.undo(store.audit(1)[0].number, "me")
    assert "b1" not in ids(shop, "mug")
    assert len(store.audit()) == 3


def test_clicks_are_learned_and_survive_a_new_start(shop: Shop) -> None:
    last = ids(shop, "mug")[-1]
    for n in range(8):
        shop.append_events(
            [
                Event(type=EventType.SEARCH, session=f"s{n}", query="mug"),
                Event(type=EventType.PURCHASE, session=f"s{n}", product=last, price=3.0),
            ]
        )
    assert ids(shop, "mug")[0] == last
    with Shop(shop.folder) as again:
        assert ids(again, "mug")[0] == last
