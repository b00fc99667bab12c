"""Rules, synonyms and their audit, the same for SQLite and PostgreSQL."""

from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from shelfwise.errors import InvalidRecord
from shelfwise.schema import Event, Product, Rule, Synonym
from shelfwise.store import Store, open_store

START = datetime(2024, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
FULL = Rule(
    id="r1",
    action="pin",  # type: ignore[arg-type]
    products=("b", "a'\"😀"),
    query="Ärger 红色",
    category="Tea > Green",
    position=3,
    amount=2.5,
    start=START,
    end=START + timedelta(days=9_000),
    note="spring",
)


def test_a_rule_comes_back_as_it_went_in(store: Store) -> None:
    assert store.rules() == []
    plain = Rule(id="a", action="hide", products=("x",), category="Tea")  # type: ignore[arg-type]
    assert store.put_rules([FULL, plain], "ada") == 2
    assert store.rules() == [plain, FULL]
    assert store.delete_rule("a", "ada")
    assert not store.delete_rule("a", "ada")
    assert store.rules() == [FULL]


def test_synonyms_come_back_and_the_same_words_are_kept_once(store: Store) -> None:
    lines = ["sofa, couch", "phone => mobile, smart phone", "红薯, 地瓜"]
    assert store.put_synonyms([Synonym.parse(line) for line in lines], "ada") == 3
    assert store.put_synonyms([Synonym.parse("Couch，SOFA")], "ada") == 1
    assert [str(one) for one in store.synonyms()] == ["Couch, SOFA", "phone => mobile, smart phone", "红薯, 地瓜"]
    assert store.delete_synonym(Synonym.parse("couch, sofa").id, "ada")
    assert len(store.synonyms()) == 2


def test_every_change_is_audited_and_can_be_undone(store: Store) -> None:
    store.put_rules([FULL], "ada")
    other = Rule(id="r1", action="bury", products=("b",), query="tea")  # type: ignore[arg-type]
    store.put_rules([other], "bob")
    store.put_rules([other], "bob")  # says nothing new
    store.delete_rule("r1", "carl")
    newest, middle, oldest = store.audit()
    assert [change.who for change in (oldest, middle, newest)] == ["ada", "bob", "carl"]
    assert oldest.before == newest.after == ""
    assert oldest.after == middle.before != ""
    assert {change.kind for change in store.audit()} == {"rule"}
    with pytest.raises(InvalidRecord, match="changed since"):
        store.undo(middle.number, "dora")
    undone = store.undo(newest.number, "dora")
    assert store.rules() == [other]
    assert undone.who == "dora"
    store.undo(middle.number, "dora")
    assert store.rules() == [FULL]
    store.undo(oldest.number, "dora")
    assert store.rules() == []
    assert len(store.audit()) == 6
    assert len(store.audit(2)) == 2
    with pytest.raises(InvalidRecord, match="no change 999"):
        store.undo(999, "dora")


def test_the_revision_grows_with_changes_only_and_for_every_process(store: Store, url: str) -> None:
    with open_store(url) as other:
        assert other.steering_revision() == 0
        store.put_rules([FULL], "ada")
        seen = other.steering_revision()
        assert seen > 0
        store.put_rules([FULL], "ada")
        store.delete_rule("nothing", "ada")
        store.put_products([Product(id="p")])
        assert other.steering_revision() == seen
        store.put_synonyms([Synonym.parse("a, b")], "ada")
        assert other.steering_revision() > seen
        assert other.rules() == [FULL]


def test_a_write_that_fails_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shelfwise.store.steering._MOST", {"rule": 1, "synonym": 1})
    with pytest.raises(InvalidRecord, match="at most 1"):
        store.put_synonyms([Synonym.parse("a, b"), Synonym.parse("c, d")], "ada")
    assert (store.synonyms(), store.audit(), store.steering_revision()) == ([], [], 0)
    with pytest.raises(InvalidRecord, match="who"):
        store.put_synonyms([Synonym.parse("a, b")], "")


def test_writers_at_once_leave_a_whole_audit(store: Store) -> None:
    def work(name: str) -> None:
        for i in range(5):
            rule = Rule(id="same", action="hide", products=(f"{name}{i}",), query="q")  # type: ignore[arg-type]
            store.put_rules([rule], name)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = store.audit()[::-1]
    assert len(entries) == 15
    assert entries[0].before == ""
    assert all(later.before == earlier.after for earlier, later in itertools.pairwise(entries))


def test_a_record_of_the_first_revision_is_migrated(url: str) -> None:
    """What an earlier version made, with its events and products, keeps them."""
    open_store(url).close()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        accounts = ("accounts", "account_sessions", "account_links", "account_attempts")
        campaigns = ("campaign_plans", "campaign_contacts", "campaign_answers", "campaign_consents")
        for edge in ("sale_start", "sale_end", "shown_from", "shown_until"):
            connection.execute(text(f"DROP INDEX products_{edge}"))
        connection.execute(text("DELETE FROM tally WHERE name = 'sales_turned'"))
        for column in ("status", "sale_price", "sale_start", "sale_end", "shown_from", "shown_until"):
            connection.execute(text(f"ALTER TABLE products DROP COLUMN {column}"))
        for table in ("rules", "synonyms", "audit", *accounts, *campaigns):
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("DELETE FROM tally WHERE name = 'steering_revision'"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    engine.dispose()
    with open_store(url) as store:
        store.append_events([Event(type="view_item", customer="c", product="p")])  # type: ignore[arg-type]
        store.put_rules([FULL], "ada")
        assert store.rules() == [FULL]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"action": "explode", "products": ("x",), "query": "q"}, "action"),
        ({"action": "pin", "products": (), "query": "q"}, "products"),
        ({"action": "pin", "products": ("x",)}, "query"),
        ({"action": "pin", "products": ("x",), "query": "q", "position": 0}, "position"),
        ({"action": "boost", "products": ("x",), "query": "q", "amount": float("nan")}, "amount"),
        ({"action": "hide", "products": ("x",), "query": "q", "start": START, "end": START}, "end"),
        ({"action": "hide", "products": ("x",), "query": "\x00"}, "query"),
    ],
)
def test_a_wrong_rule_is_told_where(values: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        Rule(**values)  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize("line", ["", ",", "sofa", "a =>", "=> b", "a => b => c", "x" * 300 + ", y"])
def test_a_wrong_line_of_synonyms_is_refused(line: str) -> None:
    with pytest.raises(InvalidRecord):
        Synonym.parse(line)


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8), min_size=2, max_size=5))
def test_a_line_read_back_is_the_same(words: list[str]) -> None:
    one = Synonym(tuple(words[:1]), tuple(words[1:]))
    assert Synonym.parse(str(one)) == one
    assert Synonym.parse(str(one)).id == one.id
