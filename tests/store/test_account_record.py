"""Accounts in the record, the same for SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable

from shelfwise.store import Store, open_store
from shelfwise.store.accounts import AccountRow, Limit

ADA = AccountRow(name="ada", password="hash-1", created=1_000)


def test_accounts_come_back_and_names_are_taken_once(store: Store) -> None:
    record = store.accounts
    assert record.count() == 0
    assert record.add(ADA)
    assert not record.add(AccountRow(name="ada", password="other", created=2))
    assert record.add(AccountRow(name="Ärger 红", password="x", created=3))
    assert next(row.name for row in record.all()) == "ada"
    assert record.one("ada") == ADA
    assert record.one("eve") is None
    assert record.count() == 2
    assert record.remove("ada")
    assert not record.remove("ada")


def test_sessions_belong_to_accounts_and_are_swept_out(store: Store) -> None:
    record = store.accounts
    assert not record.open_session("d0", "ada", 10, ended=0)
    record.add(ADA)
    for number in range(3):
        assert record.open_session(f"d{number}", "ada", number, ended=0)
    record.seen("d1", 50)
    found = record.session("d1")
    assert found is not None
    assert (found.account, found.created, found.seen) == ("ada", 1, 50)
    record.close_session("d1")
    assert record.session("d1") is None
    assert record.open_session("d4", "ada", 4, ended=2)
    assert [record.session(f"d{n}") is not None for n in (0, 2, 4)] == [False, True, True]
    assert record.set_password("ada", "hash-2", keep="d2")
    assert [record.session(f"d{n}") is not None for n in (2, 4)] == [True, False]
    assert not record.set_password("eve", "x")
    record.remove("ada")
    assert record.session("d2") is None


def test_a_hash_is_replaced_only_if_it_is_still_that_one(store: Store) -> None:
    record = store.accounts
    record.add(ADA)
    record.rehash("ada", "hash-0", "stale")
    record.rehash("ada", "hash-1", "stronger")
    assert record.one("ada").password == "stronger"  # type: ignore[union-attr]


def test_attempts_are_limited_until_they_pass_out_of_sight(store: Store) -> None:
    record = store.accounts
    limits = (Limit(most=2, account=True, address=True), Limit(most=3, address=True))
    assert record.attempt("ada", "a", 10, since=0, limits=limits) is None
    assert record.attempt("ada", "a", 20, since=0, limits=limits) is None
    assert record.attempt("ada", "a", 30, since=0, limits=limits) == 10
    assert record.attempt("eve", "a", 40, since=0, limits=limits) is None
    assert record.attempt("bob", "a", 50, since=0, limits=limits) == 10
    assert record.attempt("bob", "b", 50, since=0, limits=limits) is None
    assert record.attempt("ada", "a", 60, since=10, limits=limits) is None
    record.forgive("ada", "a")
    assert record.attempt("ada", "a", 70, since=10, limits=limits) is None


def test_attempts_at_once_over_several_stores_are_counted_each(new_url: Callable[[], str]) -> None:
    url = new_url()
    with open_store(url) as one, open_store(url) as two:
        let: list[bool] = []

        def guess(store: Store) -> None:
            for _ in range(10):
                found = store.accounts.attempt("ada", "a", 5, since=0, limits=(Limit(most=7, account=True),))
                let.append(found is None)

        threads = [threading.Thread(target=guess, args=(store,)) for store in (one, two, one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (len(let), sum(let)) == (40, 7)


def test_a_link_is_used_once_even_by_two_at_once(new_url: Callable[[], str]) -> None:
    url = new_url()
    with open_store(url) as one, open_store(url) as two:
        one.accounts.put_link("l1", "", 100)
        assert two.accounts.link("l1", 99) == ""
        assert two.accounts.link("l1", 100) is None
        assert two.accounts.link("l2", 1) is None
        made: list[bool] = []

        def claim(store: Store, name: str) -> None:
            made.append(store.accounts.claim("l1", AccountRow(name=name, password="x", created=50)))

        threads = [threading.Thread(target=claim, args=pair) for pair in ((one, "ada"), (two, "eve"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(made) == [False, True]
        assert one.accounts.count() == 1


def test_a_link_sets_only_its_accounts_password(store: Store) -> None:
    record = store.accounts
    record.add(ADA)
    record.put_link("l1", "ada", 100)
    assert not record.claim("l1", AccountRow(name="eve", password="x", created=50))
    record.put_link("l2", "ada", 100)  # ends l1
    assert record.link("l1", 1) is None
    record.open_session("d", "ada", 1, ended=0)
    assert record.claim("l2", AccountRow(name="ada", password="new", created=50))
    assert record.one("ada").password == "new"  # type: ignore[union-attr]
    assert record.session("d") is None
    record.put_link("l3", "ada", 100)
    record.remove("ada")
    assert not record.claim("l3", AccountRow(name="ada", password="x", created=50))
