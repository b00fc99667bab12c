"""Accounts: sign-in, sessions, one-time links, limits. The record's part on both databases: tests/store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwise.errors import Forbidden, InvalidRecord, TooManyAttempts
from shelfwise.store import Store, open_store
from shelfwise.trust import accounts as module
from shelfwise.trust.accounts import IDLE, LIFETIME, LINK_LIFETIME, WINDOW, Accounts, csrf_of, folded, same

PASSWORD = "correct horse battery"


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def go(self, by: timedelta) -> None:
        self.time += by


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same argon2id with less memory: these tests hash hundreds of times."""
    monkeypatch.setattr(module, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'record.db'}") as opened:
        yield opened


@pytest.fixture
def accounts(store: Store, clock: Clock) -> Accounts:
    return Accounts(store.accounts, clock=clock)


def test_a_password_is_kept_as_argon2id_and_signs_in(accounts: Accounts, store: Store) -> None:
    assert not accounts.exist()
    assert accounts.create("Ada", PASSWORD).name == "ada"
    assert accounts.exist()
    (row,) = store.accounts.all()
    assert row.password.startswith("$argon2id$")
    assert PASSWORD not in row.password
    secret = accounts.sign_in("ADA ", PASSWORD, "::1")
    signed = accounts.signed(secret)
    assert signed is not None
    assert (signed.account, signed.csrf) == ("ada", csrf_of(secret))
    assert secret not in signed.csrf


def test_each_sign_in_is_a_session_of_its_own(accounts: Accounts) -> None:
    accounts.create("ada", PASSWORD)
    one, two = (accounts.sign_in("ada", PASSWORD, "::1") for _ in range(2))
    assert one != two
    accounts.sign_out(one)
    assert accounts.signed(one) is None
    assert accounts.signed(two) is not None
    assert accounts.signed("") is None
    assert accounts.signed("made up by somebody") is None


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_wrong_passwords_and_unknown_names_are_told_alike(accounts: Accounts, name: str) -> None:
    accounts.create("ada", PASSWORD)
    with pytest.raises(Forbidden, match=r"^name or password is wrong"):
        accounts.sign_in(name, "wrong password", "::1")


def test_an_unknown_name_costs_a_hash_too(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    right = module._matches
    monkeypatch.setattr(module, "_matches", lambda hash, given: asked.append(hash) or right(hash, given))
    with pytest.raises(Forbidden):
        accounts.sign_in("nobody", PASSWORD, "::1")
    assert len(asked) == 1
    PasswordHasher().check_needs_rehash(asked[0])  # a hash argon2 can read, of the usual cost


def test_sessions_end_by_idleness_and_by_age(accounts: Accounts, clock: Clock) -> None:
    accounts.create("ada", PASSWORD)
    idle = accounts.sign_in("ada", PASSWORD, "::1")
    clock.go(IDLE + timedelta(seconds=1))
    assert accounts.signed(idle) is None
    watching = accounts.sign_in("ada", PASSWORD, "::1")
    clock.go(IDLE / 2)
    assert accounts.signed(watching, seen=False) is not None
    clock.go(IDLE / 2 + timedelta(seconds=1))
    assert accounts.signed(watching) is None, "a page that asks by itself keeps nobody signed in"
    used = accounts.sign_in("ada", PASSWORD, "::1")
    end = clock.time + LIFETIME
    while clock.time + IDLE / 2 < end:
        clock.go(IDLE / 2)
        assert accounts.signed(used) is not None
    clock.go(IDLE / 2 + timedelta(seconds=1))
    assert accounts.signed(used) is None


def test_brute_force_is_limited_and_says_how_long(accounts: Accounts, clock: Clock) -> None:
    accounts.create("ada", PASSWORD)
    for _ in range(5):
        with pytest.raises(Forbidden):
            accounts.sign_in("ada", "wrong password", "198.51.100.7")
    clock.go(timedelta(minutes=5))
    with pytest.raises(TooManyAttempts) as stopped:
        accounts.sign_in("ada", PASSWORD, "198.51.100.7")  # even the right one
    assert stopped.value.seconds == pytest.approx(600)
    accounts.sign_in("ada", PASSWORD, "198.51.100.8")  # the merchant, elsewhere, is not shut out
    clock.go(WINDOW - timedelta(minutes=5) + timedelta(seconds=1))
    accounts.sign_in("ada", PASSWORD, "198.51.100.7")


def test_one_address_may_not_try_many_names(accounts: Accounts) -> None:
    for number in range(20):
        with pytest.raises(Forbidden):
            accounts.sign_in(f"name{number}", PASSWORD, "198.51.100.7")
    with pytest.raises(TooManyAttempts):
        accounts.sign_in("another", PASSWORD, "198.51.100.7")


def test_many_addresses_may_not_try_one_name(accounts: Accounts) -> None:
    accounts.create("ada", PASSWORD)
    for number in range(50):
        with pytest.raises(Forbidden):
            accounts.sign_in("ada", "wrong password", f"198.51.100.{number}")
    with pytest.raises(TooManyAttempts):
        accounts.sign_in("ada", PASSWORD, "203.0.113.1")


def test_the_right_password_forgives_slips(accounts: Accounts) -> None:
    accounts.create("ada", PASSWORD)
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(Forbidden):
                accounts.sign_in("ada", "wrong password", "::1")
        accounts.sign_in("ada", PASSWORD, "::1")


@pytest.mark.parametrize(
    ("name", "password", "field"),
    [
        ("", PASSWORD, "name"),
        ("a b", PASSWORD, "name"),
        ("a" * 65, PASSWORD, "name"),
        ("<script>", PASSWORD, "name"),
        ("ada", "short", "password"),
        ("ada", "x" * 201, "password"),
        ("ada", "aaaaaaaaaaaa", "password"),
        ("adalovelace", "AdaLovelace1", "password"),
    ],
)
def test_weak_passwords_and_odd_names_are_refused(accounts: Accounts, name: str, password: str, field: str) -> None:
    with pytest.raises(InvalidRecord) as refused:
        accounts.create(name, password)
    assert refused.value.field == field
    assert not accounts.exist()


def test_a_link_makes_one_account_once(accounts: Accounts, clock: Clock) -> None:
    link = accounts.make_link()
    assert accounts.link(link) == ""
    with pytest.raises(InvalidRecord):
        accounts.claim(link, "ada", "short")
    signed = accounts.signed(accounts.claim(link, "ada", PASSWORD))  # a refused password did not use it up
    assert signed is not None
    assert signed.account == "ada"
    assert accounts.link(link) is None
    with pytest.raises(Forbidden):
        accounts.claim(link, "eve", PASSWORD)
    late = accounts.make_link()
    clock.go(LINK_LIFETIME)
    with pytest.raises(Forbidden):
        accounts.claim(late, "eve", PASSWORD)
    assert [account.name for account in accounts.list()] == ["ada"]


def test_a_new_link_ends_the_one_before(accounts: Accounts) -> None:
    first, second = accounts.make_link(), accounts.make_link()
    assert accounts.link(first) is None
    assert accounts.link(second) == ""


def test_a_link_sets_a_forgotten_password_and_ends_sessions(accounts: Accounts) -> None:
    accounts.create("ada", PASSWORD)
    old = accounts.sign_in("ada", PASSWORD, "::1")
    link = accounts.make_link("Ada")
    assert accounts.link(link) == "ada"
    new = accounts.claim(link, "eve", "a whole new sentence")  # the link decides whose password it is
    assert accounts.signed(old) is None
    assert accounts.signed(new).account == "ada"  # type: ignore[union-attr]
    with pytest.raises(Forbidden):
        accounts.sign_in("ada", PASSWORD, "::1")
    with pytest.raises(InvalidRecord):
        accounts.make_link("nobody")


def test_changing_the_password_keeps_this_session_alone(accounts: Accounts) -> None:
    accounts.create("ada", PASSWORD)
    here, elsewhere = (accounts.sign_in("ada", PASSWORD, "::1") for _ in range(2))
    with pytest.raises(Forbidden):
        accounts.change_password("ada", "not this one", "a whole new sentence", address="::1", keep=here)
    assert accounts.signed(elsewhere) is not None
    accounts.change_password("ada", PASSWORD, "a whole new sentence", address="::1", keep=here)
    assert accounts.signed(here) is not None
    assert accounts.signed(elsewhere) is None
    accounts.sign_in("ada", "a whole new sentence", "::1")


def test_a_removed_account_is_out_at_once(accounts: Accounts) -> None:
    accounts.create("ada", PASSWORD)
    secret = accounts.sign_in("ada", PASSWORD, "::1")
    accounts.remove("ada")
    assert accounts.signed(secret) is None
    with pytest.raises(InvalidRecord, match="none yet"):
        accounts.remove("ada")


def test_a_weaker_hash_is_made_anew_at_sign_in(
    accounts: Accounts, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts.create("ada", PASSWORD)
    monkeypatch.setattr(module, "_hasher", PasswordHasher(time_cost=2, memory_cost=64, parallelism=1))
    accounts.sign_in("ada", PASSWORD, "::1")
    (row,) = store.accounts.all()
    assert "t=2" in row.password
    accounts.sign_in("ada", PASSWORD, "::1")


def test_the_record_holds_no_secret(accounts: Accounts, store: Store, tmp_path: Path) -> None:
    link = accounts.make_link()
    secret = accounts.claim(link, "ada", PASSWORD)
    store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [one for one in (link, secret, PASSWORD) if one.encode() in kept]


@settings(max_examples=25, deadline=None)  # each costs what a guess is meant to cost
@given(name=st.text(max_size=80), password=st.text(max_size=300))
def test_no_text_breaks_signing_in(name: str, password: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    global _shared
    if _shared is None:
        _shared = open_store(f"sqlite:///{tmp_path_factory.mktemp('any') / 'record.db'}")
    with pytest.raises((Forbidden, TooManyAttempts)):
        Accounts(_shared.accounts).sign_in(name, password, name[:5])
    assert folded(folded(name)) == folded(name)
    assert same(name, name)


_shared: Store | None = None


def test_a_printed_link_stays_good_when_the_server_prints_its_own(accounts: Accounts) -> None:
    printed, own = accounts.make_link(), accounts.make_link(beside=True)
    assert accounts.link(printed) == accounts.link(own) == ""
    accounts.claim(printed, "ada", PASSWORD)
    assert accounts.link(own) is None  # there is an account now: the other link is used up with it
