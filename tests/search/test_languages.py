"""Chinese and across languages: a catalogue written for these tests, searched as shoppers type.

`products` of a query are all right answers; a query counts when one of them is among the first few. The queries
were written before the engine was first asked.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shelfwise.schema import Product
from shelfwise.shop import Shop

DATA = Path(__file__).parents[1] / "data"


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def products() -> list[Product]:
    with (DATA / "chinese_products.jsonl").open(encoding="utf-8") as file:
        return [Product(**json.loads(line), created=datetime(2024, 1, 1, tzinfo=UTC)) for line in file]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop.create(tmp_path_factory.mktemp("chinese") / "shop", language="zh") as made:
        made.put_products(products())
        yield made


def missed(shop: Shop, queries: list[dict[str, str]], first: int) -> list[str]:
    found = []
    for row in queries:
        answer = shop.search(row["query"], k=first)
        right = set(row["products"].split())
        if not any(hit.product in right for hit in answer.items):
            found.append(f"{row['query']}: {[hit.title for hit in answer.items]}")
    return found


def test_the_catalogue_and_the_queries_are_what_they_are_said_to_be() -> None:
    catalogue = products()
    ids = {product.id for product in catalogue}
    assert len(ids) == len(catalogue) >= 300
    assert len({product.product_type for product in catalogue}) >= 15
    assert 0.1 <= sum(bool(product.item_group_id) for product in catalogue) / len(catalogue) <= 0.15
    chinese, english = rows("chinese_queries.csv"), rows("english_queries.csv")
    assert len(chinese) >= 60
    assert len(english) == 40
    assert len(Counter(row["kind"] for row in chinese)) == 8
    assert all(set(row["products"].split()) <= ids for row in (*chinese, *english))


def test_chinese_queries_find_the_right_product_among_the_first_three(shop: Shop) -> None:
    queries = rows("chinese_queries.csv")
    wrong = missed(shop, queries, 3)
    assert len(wrong) <= 0.05 * len(queries), wrong


def test_english_queries_find_chinese_products_among_the_first_five(shop: Shop) -> None:
    """By meaning: hardly a word of these queries is in the catalogue."""
    queries = rows("english_queries.csv")
    wrong = missed(shop, queries, 5)
    assert len(wrong) <= 0.2 * len(queries), wrong


def test_a_word_of_talk_finds_what_shops_call_it(shop: Shop) -> None:
    answer = shop.search("婴儿尿不湿", k=3)
    assert answer.items[0].title.startswith("萌果 婴儿纸尿裤")
    assert answer.corrected == ""


def test_what_nobody_sells_is_not_found_by_meaning(shop: Shop) -> None:
    assert shop.search("lorem ipsum", k=3).relaxed == ("words", "popular")
