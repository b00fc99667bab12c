"""The console's data and search pages: what they say of a shop, and the pages over HTTP in both languages."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from shelfwise.engine.retrieve.sources import SOURCES
from shelfwise.errors import InvalidRecord, InvalidRequest, UnknownProduct
from shelfwise.schema import Availability, Event, EventType, Product, Rule, RuleAction, Synonym, now
from shelfwise.search.rank.score import FEATURES
from shelfwise.serve.web.console import desk
from shelfwise.serve.web.console.catalogue import SHOWS, product_page, products_page
from shelfwise.serve.web.console.customer import customer_page
from shelfwise.serve.web.console.desk import Queries, desk_page
from shelfwise.serve.web.console.rules import FORM, rule_of, rules_page, synonyms_page
from shelfwise.serve.web.render import source_names
from shelfwise.shop import Shop

EVIL = '<script>alert("x")</script>"\'><img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def folder(drawn_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with one product that came after learning, out of stock, without a photo, and one of hostile texts."""
    folder = Path(shutil.copytree(drawn_shop, tmp_path_factory.mktemp("console") / "shop"))
    with Shop(folder) as shop:
        shop.put_products(
            [
                Product(id="new/1", title="Crimson mug", product_type="Kitchen > Mugs", availability="out_of_stock"),
                Product(id="evil", title=EVIL, brand=EVIL, product_type=EVIL, description=EVIL, price=1.0),
            ]
        )
        shop.append_events([Event(type=EventType.SEARCH, customer="evil<b>", query=EVIL)])
    return folder


@pytest.fixture
def shop(folder: Path) -> Iterator[Shop]:
    with Shop(folder) as opened:
        yield opened


def test_the_list_searches_filters_and_pages(shop: Shop) -> None:
    everything = products_page(shop)
    assert (everything.total, everything.products, len(everything.rows)) == (42, 42, 40)
    rest = products_page(shop, after=everything.after)
    assert rest.later
    assert len({row.id for row in (*everything.rows, *rest.rows)}) == 42
    assert dict(everything.categories)["Kitchen"] == 21
    mugs = products_page(shop, query="red mug")
    assert mugs.rows[0].id == "mug-red"
    assert (mugs.rows[0].cold, mugs.rows[0].photo) == (False, True)
    assert products_page(shop, query="new/1").rows[0].id == "new/1", "an id finds its product"
    assert products_page(shop, query="zzqqxxy").rows == ()
    assert {row.id for row in products_page(shop, show="out_of_stock").rows} == {"new/1"}
    chairs = products_page(shop, category="Living > Chairs")
    assert chairs.total == 10
    assert {row.category for row in chairs.rows} == {"Living > Chairs"}
    for wrong in ({"show": "x"}, {"show": "cold", "after": "../"}, {"after": "no token"}):
        with pytest.raises(InvalidRequest):
            products_page(shop, **wrong)


def test_what_is_cold_and_what_lacks_photo_or_text(shop: Shop) -> None:
    cold = products_page(shop, show="cold")
    assert {"new/1", "evil"} <= {row.id for row in cold.rows}
    assert all(row.cold for row in cold.rows)
    bare = products_page(shop, show="no_photo")
    assert {row.id for row in bare.rows} == {
        "new/1",
        "evil",
        *(f"{t}-brown" for t in ("mug", "teapot", "lamp", "chair")),
    }
    assert {row.id for row in products_page(shop, show="no_photo", query="brown lumen").rows} == {"lamp-brown"}
    assert {row.id for row in products_page(shop, show="no_text").rows} == {"new/1"}


def test_one_product_with_what_is_near_it(shop: Shop) -> None:
    shop.searching.indexes.complete()
    page = product_page(shop, "mug-red")
    assert page.state == "known"
    kin = {one.name: one for one in page.kin}
    assert list(kin) == ["text", "photo", "together", "shown"]
    assert all("mug" in near.id for near in kin["photo"].products[:2]), "photos of mugs look like a mug"
    assert all(one.products for one in page.kin)
    for one in page.kin:
        shares = [near.share for near in one.products]
        assert shares == sorted(shares, reverse=True)
        assert all(0 <= share <= 1 for share in shares)
        assert "mug-red" not in [near.id for near in one.products]
    assert kin["shown"].products[0].reason
    counts = {one.type: one.count for one in page.events}
    assert counts["view_item"] >= counts["purchase"] > 0
    late = product_page(shop, "new/1")
    assert late.state == "late"
    assert late.proxy is not None
    assert "mug" in late.proxy.id
    missing = {one.name: one.missing for one in late.kin}
    assert (missing["photo"], missing["together"], missing["text"]) == ("no_photo", "late", "")
    assert late.events == ()
    with pytest.raises(UnknownProduct):
        product_page(shop, "nothing")


def test_a_shop_that_learned_nothing_has_pages_too(tmp_path: Path) -> None:
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none") as shop:
        assert products_page(shop).products == 0
        assert desk_page(shop, query="tea").stages
        assert customer_page(shop).recent == ()
        assert Queries(shop).page().top == ()
        shop.put_products([Product(id="a", title="Tea")])
        page = products_page(shop)
        assert (page.learned, page.rows[0].cold) == (False, None)
        assert product_page(shop, "a").state == "unlearned"
        assert [one.missing for one in product_page(shop, "a").kin] == [
            "no_text_encoder",
            "no_photo_encoder",
            "unlearned",
            "none_near",
        ]
        shop.append_events([Event(type=EventType.VIEW_ITEM, product="a", session="s")])
        person = customer_page(shop, id="s", kind="session")
        assert (person.known, person.learned) == (True, False)
        assert [item.id for item in person.shown] == ["a"]


def test_the_desk_shows_each_stage_and_the_rules_of_the_query(shop: Shop) -> None:
    shop.searching.indexes.complete()
    shop.store.put_rules([Rule(action=RuleAction.PIN, products=("lamp-red",), query="red mug", id="pin")], "test")
    shop.refresh()
    page = desk_page(shop, query=" Red MUG ")
    stages = {stage.name: stage for stage in page.stages}
    assert stages["answer"].products[0].product == "lamp-red"
    assert stages["answer"].products[0].ruled
    assert stages["words"].products[0].product == stages["fused"].products[0].product == "mug-red"
    assert stages["meaning"].products
    assert [rule.id for rule in page.rules] == ["pin"]
    assert desk_page(shop, query="lmap").corrected == "lamp" or desk_page(shop, query="lmap").did_you_mean
    assert desk_page(shop).stages == ()
    shop.store.delete_rule("pin", "test")


def test_queries_are_sorted_by_how_they_fare(shop: Shop) -> None:
    queries = Queries(shop)
    begun = now() - timedelta(days=1)
    for at, query in enumerate(("wheelbarrow", "wheelbarrow", "teapto", "card 4111 1111 1111 1111")):
        event = Event(type=EventType.SEARCH, customer="q", query=query, time=begun + timedelta(minutes=at))
        shop.append_events([event])
    page = queries.page(90)
    assert {one.counted.query for one in page.failing} >= {"wheelbarrow"}
    assert "teapto" in {one.counted.query for one in page.corrected}
    assert {"mug", "lamp"} <= {one.counted.query for one in page.top}
    assert not [one for one in page.top if "4111" in one.counted.query], "what may name a person is left out"
    assert queries.page(90) is page
    shop.store.put_synonyms([Synonym(("wheelbarrow",), ("chair",))], "test")
    shop.refresh()
    assert "wheelbarrow" not in {one.counted.query for one in queries.page(90).failing}
    with pytest.raises(InvalidRequest):
        queries.page(3)


def test_a_form_becomes_a_rule(shop: Shop) -> None:
    form = {"action": "boost", "query": " mug ", "products": "mug-red, mug-blue\n\nmug-red", "amount": "0.25"}
    rule = rule_of(shop, form | {"end": "2030-01-01T10:00", "position": ""})
    assert (rule.action, rule.products, rule.amount) == ("boost", ("mug-red", "mug-blue"), 0.25)
    assert rule.end is not None
    assert rule.end.isoformat() == "2030-01-01T10:00:00+00:00"
    wrong = [
        ({"products": "mug-red, nothing"}, "products"),
        ({"products": ""}, "products"),
        ({"amount": "much"}, "amount"),
        ({"amount": "nan"}, "amount"),
        ({"start": "soon"}, "start"),
        ({"query": ""}, "query"),
        ({"position": "0"}, "position"),
        ({"position": "1.5"}, "position"),
        ({"position": "inf"}, "position"),
    ]
    for change, where in wrong:
        with pytest.raises(InvalidRecord) as error:
            rule_of(shop, form | change)
        assert error.value.field == where


def test_rules_say_when_they_hold_and_what_can_be_undone(shop: Shop) -> None:
    day = timedelta(days=1)
    shop.store.put_rules(
        [
            Rule(action=RuleAction.HIDE, products=("mug-red", "gone"), query="a", id="holds"),
            Rule(action=RuleAction.HIDE, products=("mug-red",), query="a", id="waits", start=now() + day),
            Rule(action=RuleAction.HIDE, products=("mug-red",), query="a", id="over", end=now() - day),
        ],
        "ann",
    )
    shop.store.put_rules([Rule(action=RuleAction.PIN, products=("mug-red",), query="a", id="over")], "bob")
    page = rules_page(shop)
    assert {row.rule.id: row.state for row in page.rules} == {"holds": "holds", "waits": "waits", "over": "holds"}
    assert [name.title for name in page.rules[0].products] == ["Red mug", None]
    newest, *rest = page.changes
    assert (newest.did, newest.who, newest.undoable) == ("changed", "bob", True)
    older = next(row for row in rest if row.what == newest.what.replace("pin", "hide") and row.who == "ann")
    assert older.did == "added"
    shop.store.undo(newest.number, "ann")
    assert rules_page(shop).changes[0].undoable


def test_synonyms_and_what_behaviour_proposes(shop: Shop) -> None:
    begun = now() - timedelta(hours=5)
    for n in range(5):
        steps = (("search", "red cup", ""), ("search", "red beaker", ""), ("view_item", "", "mug-red"))
        shop.append_events(
            [
                Event(
                    type=EventType(kind),
                    customer=f"s{n}",
                    query=query,
                    product=product,
                    time=begun + timedelta(minutes=9 * n + at),
                )
                for at, (kind, query, product) in enumerate(steps)
            ]
        )
    page = synonyms_page(shop)
    proposal = next(one for one in page.proposals if set(one.synonym.terms) == {"cup", "beaker"})
    assert proposal.customers == 5
    shop.store.put_synonyms([proposal.synonym], "ann")
    page = synonyms_page(shop)
    assert proposal.synonym in page.synonyms
    assert proposal.synonym.id not in {one.synonym.id for one in page.proposals}
    assert (page.changes[0].did, page.changes[0].undoable) == ("added", True)


def test_a_customers_history_and_what_they_would_see(shop: Shop) -> None:
    page = customer_page(shop, id="c0")
    assert page.known
    times = [row.event.time for row in page.history]
    assert times == sorted(times, reverse=True)
    assert dict(page.counts)["purchase"] > 0
    assert len(page.shown) == 12
    assert all(one.reason and one.sources for one in page.shown)
    assert any(one.bought for one in page.shown)
    assert not any(one.bought for one in customer_page(shop, id="c0", new=True).shown)
    unknown = customer_page(shop, id="nobody at all")
    assert (unknown.known, len(unknown.shown)) == (False, 12)
    recent = customer_page(shop).recent
    assert {person.kind for person in recent} == {"customer"}
    assert [person.last for person in recent] == sorted((person.last for person in recent), reverse=True)


def test_every_text_is_there_in_both_languages_and_every_text_used_is_there() -> None:
    web = Path(desk.__file__).parents[1]
    texts: dict[str, dict[str, str]] = json.loads((web / "locale" / "console_data.json").read_text("utf-8"))
    for key, said in texts.items():
        assert set(said) == {"en", "zh"}, key
        holes = [set(re.findall(r"\{(\w+)\}", text)) for text in said.values()]
        assert holes[0] == holes[1], key
        assert all(text.strip() for text in said.values()), key
    made = {
        "part": FEATURES,
        "source": (*(source.name for source in SOURCES), "rules"),
        "event": tuple(EventType),
        "action": tuple(RuleAction),
        "stock": tuple(Availability),
        "products.show": SHOWS,
        "stage": ("words", "meaning", "fused", "answer"),
        "kin": ("text", "photo", "together", "shown"),
        "relaxed": ("filters", "stock", "words", "popular"),
        "rules.field": FORM,
    }
    missing = [f"console.{stem}.{name}" for stem, names in made.items() for name in names]
    for path in (web / "templates" / "console").glob("*.html"):
        missing += re.findall(r't\("(console\.[\w.]+\w)"[,)]', path.read_text("utf-8"))
    others = [key for file in (web / "locale").glob("*.json") for key in json.loads(file.read_text("utf-8"))]
    assert not [key for key in missing if key not in others]


def test_a_source_without_a_text_goes_by_its_own_name() -> None:
    assert (
        source_names(("ease", "next_basket", "cheapest_of_all"), "en") == "EASE, what follows a basket, cheapest of all"
    )
    assert source_names(("ease", "cheapest"), "zh") == "EASE, cheapest"
