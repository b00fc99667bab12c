from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from shelfwise.catalogue.filters import SearchFilters
from shelfwise.errors import InvalidRequest
from shelfwise.schema import Availability, Event, EventType, Product, Rule, RuleAction, Synonym
from shelfwise.shop import Shop

COLOURS = ("black", "red", "blue", "green")


def product(number: int, **changes: object) -> Product:
    told: dict[str, object] = {
        "id": f"p{number}",
        "title": f"{COLOURS[number % 4]} wool jumper {number}",
        "description": "Soft and warm",
        "brand": ("Acme", "Bolt")[number % 2],
        "product_type": "Clothes > Jumpers",
        "price": 10.0 + number,
        "created": datetime(2024, 1, 1 + number % 28, tzinfo=UTC),
        "attributes": {"colour": COLOURS[number % 4], "weight": 100.0 + number, "washable": number % 2 == 0},
    }
    return Product(**(told | changes))  # type: ignore[arg-type]


PRODUCTS = [
    *(product(n) for n in range(40)),
    Product(
        id="tn",
        title="Brother TN-2110 toner cartridge",
        brand="Brother",
        price=60.0,
        gtin="4006381333931",
        mpn="TN-2110",
    ),
    Product(id="drum", title="Drum for printers with toner TN-2110 inside", brand="Other", price=20.0),
    Product(id="lamp", title="Desk lamp", brand="Bolt", price=30.0, description="Without a bulb"),
    Product(id="away", title="Desk lamp of old", availability=Availability.OUT_OF_STOCK, price=5.0),
    Product(id="m-s", title="Sneaker Run", item_group_id="run", price=50.0, attributes={"size": "S"}),
    Product(id="m-m", title="Sneaker Run", item_group_id="run", price=50.0, attributes={"size": "M"}),
    Product(id="m-l", title="Sneaker Run", item_group_id="run", price=55.0, attributes={"size": "L | XL"}),
]


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search") / "shop"
    with Shop.create(folder, text_encoder="none", image_encoder="none", durable=False) as shop:
        shop.put_products(PRODUCTS)
        assert shop.search("lamp").total
    return folder


@pytest.fixture
def shop(stocked: Path, tmp_path: Path) -> Iterator[Shop]:
    shutil.copytree(stocked, tmp_path / "shop")
    with Shop(tmp_path / "shop") as found:
        yield found


def ids(shop: Shop, query: str = "", **options: object) -> list[str]:
    return [hit.product for hit in shop.search(query, **options).items]  # type: ignore[arg-type]


def test_words_titles_and_codes(shop: Shop) -> None:
    assert ids(shop, "desk lamp") == ["lamp"]
    assert ids(shop, "JUMPERS red", k=10)[0] in {f"p{n}" for n in range(1, 40, 4)}
    for query in ("tn-2110", "TN2110", "brother tn 2110", "4006381333931", "tn"):
        assert ids(shop, query)[0] == "tn", query
    assert ids(shop, "toner tn-2110")[:2] == ["tn", "drum"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        " ",
        "a" * 10_000,
        "\x00\x07",
        "שלום",
        "😀👍",
        "AND OR ( *",
        "\"'/\\",
        "x' OR 1=1 --",
        "<script>",
        "+-~^:{}[]",
        "的",
    ],
)
def test_any_query_gets_an_answer(shop: Shop, query: str) -> None:
    answer = shop.search(query)
    assert answer.items, "never an empty page without a way on"
    assert answer.to_json()["total"] == answer.total


def test_filters_facets_and_their_counts(shop: Shop) -> None:
    filters = SearchFilters(
        brands=("acme",), attributes={"colour": ("Black", "blue")}, price_max=30, ranges={"weight": (None, 115)}
    )
    answer = shop.search(
        "jumper", filters=filters, facets=("brand", "colour", "price", "weight", "availability"), k=100
    )
    kept = [n for n in range(40) if n % 2 == 0 and 10 + n <= 30 and 100 + n <= 115]
    assert {hit.product for hit in answer.items} == {f"p{n}" for n in kept}
    facets = {facet.name: facet for facet in answer.facets}
    assert dict(facets["colour"].values) == {"black": 4, "blue": 4}, "counted under the others' filters, not its own"
    assert dict(facets["brand"].values) == {"Acme": 8}, "no odd product is black or blue"
    assert (facets["weight"].low, facets["weight"].high) == (100, 120)
    assert (facets["price"].low, facets["price"].high) == (10, 24)
    assert sum(count for _, count in facets["price"].values) == 8
    assert ids(shop, "lamp", filters=SearchFilters(availability=None), k=9) == ["lamp", "away"]
    assert not shop.search("lamp", filters=SearchFilters(attributes={"nothing": ("x",)})).items
    assert ids(shop, "jumper", filters=SearchFilters(attributes={"washable": (True,)}), k=50) != []
    with pytest.raises(InvalidRequest):
        SearchFilters(ranges={"weight": (5, 1)})


def test_sorting(shop: Shop) -> None:
    cheap = ids(shop, "jumper", sort="price", k=3)
    assert cheap == ["p0", "p1", "p2"]
    assert ids(shop, "jumper", sort="price_desc", k=2) == ["p39", "p38"]
    newest = ids(shop, "jumper", sort="newest", k=1)
    assert newest == ["p27"]
    bought = [Event(type=EventType.PURCHASE, id=f"e{n}", customer=f"c{n}", product="p17", price=27.0) for n in range(3)]
    shop.append_events(bought)
    with Shop(shop.folder) as again:
        assert ids(again, "jumper", sort="best_selling", k=1) == ["p17"]


def test_variants_are_one_product(shop: Shop) -> None:
    answer = shop.search("sneaker run", facets=("size",))
    assert answer.total == 1
    assert {answer.items[0].product, *answer.items[0].variants} == {"m-s", "m-m", "m-l"}
    assert shop.search("sneaker run", group=False).total == 3
    assert dict(answer.facets[0].values) == {"S": 1, "M": 1, "L": 1, "XL": 1}
    assert ids(shop, "sneaker", filters=SearchFilters(attributes={"size": ("xl",)})) == ["m-l"]


def test_pages_neither_repeat_nor_lose(shop: Shop) -> None:
    seen: list[str] = []
    after, gone = "", {"p5", "p6"}
    for page in range(20):
        answer = shop.search("jumper", k=7, after=after)
        seen += [hit.product for hit in answer.items]
        after = answer.after
        if page == 1:  # the catalogue changes between two pages
            gone -= set(seen)
            for name in gone:
                shop.delete_product(name)
            shop.put_products([product(100, title="black wool jumper jumper jumper")])
        if not after:
            break
    assert len(seen) == len(set(seen))
    assert set(seen) == ({f"p{n}" for n in range(40)} | {"p100"}) - gone
    with pytest.raises(InvalidRequest):
        shop.search("lamp", after=shop.search("jumper", k=2).after)
    for token in ("?", "aaaa", "é"):
        with pytest.raises(InvalidRequest):
            shop.search("jumper", after=token)


def test_highlights_are_offsets_into_the_text(shop: Shop) -> None:
    hit = next(hit for hit in shop.search("jumper").items if hit.product == "p2")
    (span,) = hit.highlights["title"]
    assert hit.title[slice(*span)] == "jumper"


def test_reading_relaxing_and_mending(shop: Shop) -> None:
    answer = shop.search("red jumper under 20", k=50)
    assert {hit.product for hit in answer.items} >= {"p1", "p5", "p9"}
    assert all(int(hit.product[1:]) <= 10 for hit in answer.items)
    chip = next(chip for chip in answer.reading if chip.kind == "price")
    assert len(shop.search("red jumper under 20", undo=(chip.id,), k=50).items) > len(answer.items)
    assert shop.search("desk lamp under 10").relaxed == ("filters",)
    mended = shop.search("jumpr blakc")
    assert mended.corrected == "jumper black"
    assert mended.items[0].product in {f"p{n}" for n in range(0, 40, 4)}
    assert not shop.search("jumpr", correct=False).corrected
    nothing = shop.search("qqqwwwzzz")
    assert nothing.relaxed[-1] == "popular"
    assert nothing.items
    refused = shop.search("jumper without red", k=100)
    assert not {f"p{n}" for n in range(1, 40, 4)} & {hit.product for hit in refused.items}


def test_products_come_and_go(shop: Shop) -> None:
    assert shop.search("zebra").relaxed
    shop.put_products([Product(id="z", title="Zebra mug", brand="Zoo", attributes={"new_attribute": "striped"})])
    assert ids(shop, "zebra") == ["z"]
    assert ids(shop, "mug", filters=SearchFilters(attributes={"new_attribute": ("striped",)})) == ["z"]
    shop.put_products([Product(id="z", title="Plain mug", brand="Zoo")])
    assert shop.search("zebra").relaxed
    assert not ids(shop, "mug", filters=SearchFilters(attributes={"new_attribute": ("striped",)}))
    shop.put_products([Product(id="z", title="Plain mug", availability=Availability.OUT_OF_STOCK)])
    assert "z" not in ids(shop, "mug")
    told = shop.search("plain mug")  # by its name it is found, as sold out, where nothing else has all of it
    assert (told.items[0].product, told.items[0].reason) == ("z", "Sold out at present")
    shop.delete_product("lamp")
    assert "lamp" not in ids(shop, "desk lamp", filters=SearchFilters(availability=None))


def _write(folder: str, first: int, count: int) -> None:
    with Shop(folder) as shop:
        for number in range(first, first + count):
            shop.put_products([Product(id=f"w{number}", title=f"Widget number{number}")])
            shop.search("widget")


def test_several_processes_share_one_index(shop: Shop) -> None:
    assert shop.search("widget").relaxed
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write, args=(str(shop.folder), first, 4)) for first in (0, 100)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    shop.refresh()
    found = ids(shop, "widget", k=50)
    assert sorted(found) == sorted(f"w{n}" for first in (0, 100) for n in range(first, first + 4))
    assert len(shop.searching.indexes.words) == shop.counts().products
    assert shop.searching.indexes.words.revision == shop.store.product_revision()


@pytest.mark.parametrize("harm", ["lost", "torn", "foreign", "behind"])
def test_a_harmed_index_is_rebuilt(stocked: Path, tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(stocked, folder)
    index = folder / "search" / "index"
    if harm == "lost":
        shutil.rmtree(folder / "search")
    elif harm == "torn":
        for file in index.iterdir():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif harm == "foreign":
        (index / "meta.json").write_text('{"segments": [], "schema": []}')
    else:
        with Shop(folder) as shop:  # the record goes on while nobody searches
            shop.store.put_products([Product(id="late", title="Latecomer")])
            shop.store.delete_product("p1")
    with Shop(folder) as shop:
        assert ids(shop, "desk lamp") == ["lamp"]
        assert len(shop.searching.indexes.words) == shop.counts().products
        if harm == "behind":
            assert ids(shop, "latecomer") == ["late"]


def test_rules_and_synonyms(shop: Shop) -> None:
    shop.store.put_rules([Rule(id="r", action=RuleAction.PIN, query="Jumper", products=("lamp",))], "tests")
    shop.store.put_synonyms([Synonym(("pullover", "jumper"))], "tests")
    shop.refresh()
    answer = shop.search("jumper")
    assert answer.items[0].product == "lamp"
    assert "rules" in answer.items[0].sources
    assert shop.search("pullover").total >= 40


def test_explained_parts_add_up(shop: Shop) -> None:
    for hit in shop.search("wool jumper", explain=True).items:
        assert hit.parts
        assert np.isclose(sum(hit.parts.values()), hit.score, atol=1e-4)


def test_who_asks_changes_the_order(shop: Shop) -> None:
    bolt = [Event(type=EventType.PURCHASE, id=f"b{n}", customer="fan", product=f"p{n}", price=9.0) for n in (1, 5, 9)]
    shop.append_events(bolt)
    mine = ids(shop, "wool jumper", customer="fan", k=10)
    assert mine != ids(shop, "wool jumper", k=10)
    assert sum(int(name[1:]) % 2 for name in mine) > 8, "Bolt's, as were bought"
    assert ids(shop, "wool jumper", customer="fan", personal=False, k=10) == ids(shop, "wool jumper", k=10)


def test_suggestions(shop: Shop) -> None:
    assert any("lamp" in found.text.lower() for found in shop.suggest("lam"))
    shop.put_products([Product(id="z", title="Zebra mug")])
    assert [found.id for found in shop.suggest("zebr") if found.kind == "product"] == ["z"]
    shop.delete_product("z")
    assert not [found for found in shop.suggest("zebr") if found.id == "z"]


def test_search_is_made_ready_before_anybody_asks(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none") as shop:
        shop.put_products([Product(id=f"p{n}", title=f"Mug number {n}") for n in range(10)])
        shop.index(lambda done, total, status: told.append((done, total, status)))
        assert any(status.startswith("products indexed") and total == 10 for _, total, status in told)
        search = shop.searching
        shop.index()
        assert shop.searching is search
        assert shop.search("mug").total == 10


def test_a_guessed_spelling_is_searched_beside_what_was_typed(tmp_path: Path) -> None:
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none") as shop:
        shop.put_products(
            [Product(id=f"c{n}", title=f"Cartridge of ink number {n}") for n in range(1_500)]
            + [Product(id="typo", title="Catridge of ink"), Product(id="tn", title="Toner TN-2110")]
        )
        found = shop.search("catridge", k=10)
        assert found.items[0].product == "typo"
        assert found.did_you_mean == "cartridge"
        assert len(found.items) == 10
        model = shop.search("tn2111", k=10)
        assert model.did_you_mean == "tn2110" or model.corrected == "tn2110"
        assert [hit.product for hit in model.items] == ["tn"]
