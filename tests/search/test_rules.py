"""Rules: when they hold, and what becomes of a ranked answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.catalogue.filters import Filters, SearchFilters
from shelfwise.engine.arrange.rules import Arranged, Rules, arranged
from shelfwise.engine.arrange.steps import SEARCH_STEPS, STEPS
from shelfwise.schema import Product, Rule, RuleAction
from shelfwise.shop import Shop

NOW = datetime(2024, 5, 1, tzinfo=UTC)
SECONDS = NOW.timestamp()


def rule(action: str, *products: str, **fields: Any) -> Rule:
    if "category" not in fields:
        fields.setdefault("query", "tea")
    return Rule(action=action, products=products, **fields)  # type: ignore[arg-type]


def answer(*rules: Rule, n: int = 6, shown: set[int] | None = None) -> Arranged:
    """Products p0 … best first with scores 1, 0.9 …; p90 to p99 exist but were not found."""
    rows, scores = np.arange(n, dtype=np.int32), (1 - np.arange(n) / 10).astype(np.float32)

    def row_of(product: str) -> int | None:
        row = int(product[1:])
        return row if row < 100 else None

    return arranged(rules, rows, scores, row_of, lambda row: shown is None or row in shown)


def held(rules: Rules, query: str = "", *categories: str, now: float = SECONDS) -> list[str]:
    return [rule.id for rule in rules.holding(query, categories, now)]


def test_a_rule_holds_for_its_query_and_no_other() -> None:
    rules = Rules([rule("hide", "p1", id="a", query="  Green TEA ")])
    assert held(rules, "green  tea") == ["a"]
    assert held(rules, "tea") == held(rules, "green tea pot") == held(rules, "") == []


def test_a_rule_holds_within_its_category_and_below() -> None:
    rules = Rules([rule("hide", "p1", id="a", category="Food > Tea"), rule("hide", "p1", id="b", category="food")])
    assert held(rules, "anything", "Food > Tea > Green") == ["a", "b"]
    assert held(rules, "", "Food > Teas") == ["b"]
    assert held(rules, "", "Foods") == []
    both = Rules([rule("hide", "p1", id="c", query="tea", category="Food")])
    assert held(both, "tea", "Food > Tea") == ["c"]
    assert held(both, "tea") == held(both, "", "Food") == []


def test_a_rule_holds_from_its_start_to_before_its_end() -> None:
    rules = Rules([rule("hide", "p1", id="a", start=NOW, end=NOW + timedelta(hours=1))])
    times = (-1, 0, 3599, 3600)
    assert [held(rules, "tea", now=SECONDS + seconds) for seconds in times] == [[], ["a"], ["a"], []]


def test_hidden_products_go_and_pins_stand_at_their_places() -> None:
    found = answer(rule("hide", "p0", "p3"), rule("pin", "p5", "p91", position=2, id="z"))
    assert found.rows.tolist() == [1, 5, 91, 2, 4]
    assert found.applied == {5: ("z",), 91: ("z",)}
    assert found.rows[np.lexsort((found.rows, -found.scores))].tolist() == found.rows.tolist()


def test_pins_hold_their_places_among_equals() -> None:
    rows, scores = np.arange(5_000, dtype=np.int32)[::-1], np.full(5_000, 123.0, np.float32)
    found = arranged([rule("pin", "p90", position=4)], rows, scores, lambda product: int(product[1:]), bool)
    assert found.rows[np.lexsort((found.rows, -found.scores))][:5].tolist() == [0, 1, 2, 90, 3]


def test_a_pin_outside_the_filters_or_the_catalogue_or_hidden_does_nothing() -> None:
    assert answer(rule("pin", "p91", "p500"), shown={1}).rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert answer(rule("pin", "p2"), rule("hide", "p2")).rows.tolist() == [0, 1, 3, 4, 5]
    assert answer(rule("pin", "p2", position=900)).rows.tolist() == [0, 1, 3, 4, 5, 2]
    assert answer(rule("pin", "p2"), n=0).rows.tolist() == [2]


def test_of_two_pins_the_first_counts() -> None:
    one, two = rule("pin", "p3", id="a"), rule("pin", "p4", "p3", id="b")
    assert answer(one, two).rows.tolist()[:2] == [3, 0]


def test_boosts_and_buries_move_by_the_span() -> None:
    assert answer(rule("boost", "p5", amount=1.0)).rows.tolist() == [0, 5, 1, 2, 3, 4]
    assert answer(rule("boost", "p5", amount=1.1)).rows.tolist()[0] == 5
    assert answer(rule("bury", "p0", amount=2)).rows.tolist()[-1] == 0
    assert answer(rule("boost", "p91", amount=9)).rows.tolist() == list(range(6))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["pin", "boost", "bury", "hide"]),
            st.lists(st.integers(0, 12), min_size=1, max_size=4, unique=True),
            st.integers(1, 20),
        ),
        max_size=6,
    ),
    st.integers(0, 10),
)
def test_whatever_the_rules_an_answer_stays_an_answer(given_: list[tuple[str, list[int], int]], n: int) -> None:
    rules = [
        rule(action, *(f"p{row}" for row in rows), position=position, id=f"r{at}")
        for at, (action, rows, position) in enumerate(given_)
    ]
    found = answer(*rules, n=n)
    rows = found.rows.tolist()
    assert len(set(rows)) == len(rows) == len(found.scores)
    hidden = {int(p[1:]) for one in rules if one.action == "hide" for p in one.products}
    assert not hidden & set(rows)
    assert set(range(n)) - hidden <= set(rows)
    assert (np.diff(found.scores) <= 0).all()


def test_search_and_recommendation_go_through_the_same_steps(tmp_path: Path) -> None:
    assert set(SEARCH_STEPS) <= set(STEPS)
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none", durable=False) as shop:
        shop.put_products([Product(id=f"p{n}", title=f"Lamp {n}", product_type="Home > Lamps") for n in range(8)])
        shop.put_products([Product(id="oven", title="Oven", product_type="Kitchen")])
        rules = [
            Rule(action=RuleAction.PIN, products=("p5", "oven"), category="Home", position=2),
            Rule(action=RuleAction.HIDE, products=("p3",), category="home > lamps"),
        ]
        shop.store.put_rules(rules, "test")
        shop.refresh()
        filters = Filters(categories=("Home > Lamps",))
        recommended = [item.product for item in shop.recommend(surface="category", filters=filters, k=8).items]
        found = [hit.product for hit in shop.search("", filters=SearchFilters(categories=filters.categories)).items]
        for products in (recommended, found):
            assert products[1] == "p5"
            assert not {"p3", "oven"} & set(products), "a pin stays inside the filters"
            assert len(products) == 7
