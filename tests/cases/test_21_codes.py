"""Case 21: model numbers, SKUs, barcodes, sizes: found however they are written, never by another digit."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shelfwise.cli.search import nothing_has
from shelfwise.schema import Availability
from shelfwise.search.request import SearchFilters
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]


def _found(shop: Shop, query: str) -> list[str]:
    return [hit.product for hit in shop.search(query, k=10).items]


def test_every_demand_of_the_case(case: Callable[[int], Path], new_shop: NewShop) -> None:
    folder, shop = case(21), new_shop()
    shop.load_products(folder / "feed.csv")
    with (folder / "queries.tsv").open(encoding="utf-8", newline="") as file:
        for query, first, within, without, _ in list(csv.reader(file, delimiter="\t"))[1:]:
            answer = shop.search(query, k=10, explain=True)
            found = [hit.product for hit in answer.items]
            assert found[:1] == [first], query
            assert set(filter(None, within.split(","))) <= set(found), query
            assert not set(filter(None, without.split(","))) & set(found), query
            assert answer.items[0].parts
    answer = shop.search("m5799")
    assert (answer.did_you_mean, answer.corrected) == ("", "")


@pytest.fixture
def hardware(tmp_path: Path, new_shop: NewShop) -> Shop:
    shop = new_shop()
    (tmp_path / "feed.csv").write_text(
        "id,title,product_type,gtin,mpn\n"
        "s1,Hex screw M4 x 20 steel,Screws,,\ns2,Hex screw M4x30 steel,Screws,,\ns3,Wood board 18×200 mm,Wood,,\n"
        "r1,AC/DC Back in Black record,Music,,\nr2,Abba Gold record,Music,,\n"
        "b1,Coffee mill,Kitchen,00012345600012,\nb2,Tea pot,Kitchen,4012345678901,\n"
        "d1,Drill GSB-18V-55 blue,Drills,,GSB 18V-55\nd2,Drill GSB-18V-45 blue,Drills,,GSB 18V-45\n",
        encoding="utf-8",
    )
    shop.load_products(tmp_path / "feed.csv")
    return shop


@pytest.mark.parametrize(
    ("query", "first", "never"),
    [
        ("m4x20", "s1", "s2"),
        ("m4 x 20", "s1", "s2"),
        ("M4 × 20", "s1", "s2"),
        ("m4 x 30", "s2", "s1"),
        ("18x200", "s3", "s1"),
        ("acdc", "r1", "r2"),
        ("AC/DC", "r1", "r2"),
        ("12345600012", "b1", "b2"),
        ("012345600012", "b1", "b2"),
        ("04012345678901", "b2", "b1"),
        ("gsb18v55", "d1", "d2"),
        ("gsb 18v-45", "d2", "d1"),
        ("18v55", "d1", "d2"),
    ],
)
def test_codes_however_they_are_written(hardware: Shop, query: str, first: str, never: str) -> None:
    answer = hardware.search(query, k=10)
    found = [hit.product for hit in answer.items]
    assert found[:1] == [first]
    assert never not in found
    assert (answer.did_you_mean, answer.corrected, answer.relaxed) == ("", "", ())


def test_words_beside_a_code(hardware: Shop) -> None:
    assert _found(hardware, "hex screw m4 x 20")[0] == "s1"
    assert _found(hardware, "drill gsb-18v-45")[0] == "d2"


def test_what_does_not_match_does_not_say_so(hardware: Shop) -> None:
    """Half of the words is a part; nobody bought a thing, so nothing is popular."""
    assert {hit.reason for hit in hardware.search("m4x30 screw").items[:1]} == {"Matches your search"}
    part = hardware.search("blue submarine")
    assert "words" in part.relaxed
    assert {hit.reason for hit in part.items} == {"Matches part of your search"}
    none = hardware.search("qqqqqqqq")
    assert {hit.reason for hit in none.items} == {"From the catalogue"}
    assert nothing_has(none) == "Nothing matches 'qqqqqqqq'; these are others."


def test_a_mended_query_can_be_taken_as_typed(hardware: Shop) -> None:
    mended = hardware.search("stel screw hex")
    assert mended.corrected or mended.did_you_mean or mended.items
    typed = hardware.search("stel screw hex", undo=("spelling",))
    assert (typed.corrected, typed.did_you_mean) == ("", "")


def test_what_is_sold_out_is_found_by_its_name_where_nothing_else_fits(tmp_path: Path, new_shop: NewShop) -> None:
    shop = new_shop()
    (tmp_path / "feed.csv").write_text(
        "id,title,availability,price,sku\nTS-1001,Teesieb,sold out,3,S-77\nk2,Teekanne blau,preorder,9,\n"
        "k3,Teekanne rot,in stock,12,\nk4,Geheimes Sieb,sold out,1,\n",
        "utf-8",
    )
    shop.load_products(tmp_path / "feed.csv")
    for query, found, reason in (
        ("Teesieb", ["TS-1001"], "Sold out at present"),
        ("teekanne blau", ["k2"], "To be ordered in advance"),
        ("TS-1001", ["TS-1001"], "Sold out at present"),
    ):
        answer = shop.search(query)
        assert [hit.product for hit in answer.items][:1] == found, query
        assert answer.relaxed[0] == "stock"
        assert answer.items[0].reason == reason
        assert {hit.product for hit in answer.items[1:]} <= {"k3"}  # what else is shown can be bought
        assert (answer.did_you_mean, answer.corrected) == ("", "")
        assert nothing_has(answer).startswith(repr(query) + " is not in stock")
    assert [hit.product for hit in shop.search("teekanne").items] == ["k3"]
    assert shop.search("teekanne").relaxed == ()
    only = SearchFilters(availability=(Availability.IN_STOCK,))
    assert "TS-1001" not in [hit.product for hit in shop.search("Teesieb", filters=only).items]
    (tmp_path / "feed.csv").write_text("id,status\nTS-1001,draft\n")
    shop.load_products(tmp_path / "feed.csv")
    assert "TS-1001" not in [hit.product for hit in shop.search("Teesieb").items]


def test_what_is_sold_out_is_not_suggested(hardware: Shop) -> None:
    def titles() -> list[str]:
        return [one.text for one in hardware.searching.suggest("tea")]

    assert "Tea pot" in titles()
    pot = hardware.store.products(["b2"])["b2"]
    hardware.put_products([replace(pot, availability=Availability.OUT_OF_STOCK)])
    assert "Tea pot" not in titles()
    hardware.put_products([pot])
    assert "Tea pot" in titles()
