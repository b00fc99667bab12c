from __future__ import annotations

import polars as pl

from shelfwise.schema import EVENT_COLUMNS, Synonym
from shelfwise.search.query.synonyms import Phrases, Synonyms, mined

MINUTE = 60_000_000


def test_two_way_one_way_and_phrases() -> None:
    synonyms = Synonyms([Synonym.parse("sofa, couch"), Synonym.parse("trainers => running shoes")])
    assert synonyms.variants("red sofas") == ["red couch"]
    assert synonyms.variants("Couch") == ["sofa"]
    assert synonyms.variants("trainer white") == ["running shoes white"]
    assert synonyms.variants("running shoes") == []
    assert synonyms.find("a couch") == [(2, 7, ("sofa",))]


def test_chinese_phrases_and_the_longest_first() -> None:
    synonyms = Synonyms([Synonym.parse("充电宝, 移动电源"), Synonym.parse("电源 => 插座")])
    assert synonyms.variants("小米移动电源") == ["小米充电宝"]
    assert synonyms.variants("電源") == ["插座"]
    assert list(Phrases({"hard drive": 1, "drive": 2}).find("a hard drives drive")) == [(2, 13, 1), (14, 19, 2)]


def events(rows: list[tuple[str, int, str, str, str]]) -> pl.DataFrame:
    """(customer, minute, type, query, product)."""
    made = [
        {"id": str(i), "type": kind, "time": minute * MINUTE, "customer": customer, "session": "", "product": product}
        | {"quantity": 1.0, "price": None, "value": None, "query": query, "request_id": ""}
        for i, (customer, minute, kind, query, product) in enumerate(rows)
    ]
    return pl.DataFrame(made, schema=EVENT_COLUMNS)


def said(customers: int, first: str, second: str) -> list[tuple[str, int, str, str, str]]:
    rows = []
    for i in range(customers):
        rows += [(f"c{i}", 0, "search", first, ""), (f"c{i}", 2, "search", second, "")]
        rows += [(f"c{i}", 3, "select_item", "", f"p{i % 2}")]
    return rows


def test_mines_reformulations_of_enough_customers() -> None:
    (found,) = mined(events(said(6, "red couch", "red sofa")))
    assert (set(found.synonym.terms), found.customers, found.evidence) == ({"couch", "sofa"}, 6, "reformulated")
    assert found.examples == (("red couch", "red sofa"),)
    assert mined(events(said(4, "red couch", "red sofa"))) == []
    assert mined(events(said(6, "red couch", "red sofa")), known=[Synonym.parse("sofa, couch")]) == []


def test_misspellings_and_narrower_queries_are_none() -> None:
    assert mined(events(said(6, "headfones", "headphones"))) == []
    assert mined(events(said(6, "phone", "phone case"))) == []


def test_mines_queries_of_the_same_products() -> None:
    rows = []
    for i in range(12):
        rows += [
            (f"c{i}", 0, "search", "couch" if i % 2 else "sofa", ""),
            (f"c{i}", 1, "purchase", "", f"p{i // 2 % 2}"),
        ]
    (found,) = mined(events(rows))
    assert (set(found.synonym.terms), found.customers, found.evidence) == ({"couch", "sofa"}, 6, "same products")
    assert mined(events([])) == []


def test_what_everybody_buys_makes_no_queries_alike() -> None:
    words = ("lamp", "table", "rug", "mirror", "sofa", "couch")
    rows = []
    for i in range(60):
        at, person = i % 6, f"c{i}"
        own = "p4" if words[at] == "couch" else f"p{at}"
        rows += [
            (person, 0, "search", words[at], ""),
            (person, 1, "purchase", "", "hit"),
            (person, 2, "purchase", "", own),
        ]
    assert [set(found.synonym.terms) for found in mined(events(rows))] == [{"sofa", "couch"}]
