"""Keys: shown once, kept hashed, scoped, revoked at once, a broken ring lets nobody in."""

from __future__ import annotations

import hashlib
import stat
import threading
from pathlib import Path

import pytest

from shelfwise.errors import Forbidden, InvalidRecord, ShopError
from shelfwise.trust.keys import FILE, KeyRing, Scope


def test_a_key_opens_its_scopes_and_no_other(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    reader = ring.create("storefront", ["read"])
    admin = ring.create("operator", ["admin"])
    assert ring.check(reader, Scope.READ).name == "storefront"
    with pytest.raises(Forbidden, match="lacks the scope ingest"):
        ring.check(reader, Scope.INGEST)
    for scope in Scope:
        assert ring.check(admin, scope).name == "operator"


@pytest.mark.parametrize("secret", ["", "sw_wrong", "x" * 10_000, "ключ", "\ud800"])
def test_anything_else_is_forbidden(tmp_path: Path, secret: str) -> None:
    ring = KeyRing(tmp_path)
    ring.create("one", ["read"])
    with pytest.raises(Forbidden):
        ring.check(secret, Scope.READ)


def test_only_the_hash_is_kept_and_only_for_the_owner(tmp_path: Path) -> None:
    secret = KeyRing(tmp_path).create("one", ["read", "ingest"])
    path = tmp_path / FILE
    text = path.read_text("utf-8")
    assert secret not in text
    assert secret.removeprefix("sw_") not in text
    assert hashlib.sha256(secret.encode()).hexdigest() in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(secret) >= 43  # 256 bits


def test_a_running_ring_sees_keys_made_and_revoked_elsewhere(tmp_path: Path) -> None:
    running, command = KeyRing(tmp_path), KeyRing(tmp_path)
    assert running.list() == ()
    secret = command.create("late", ["read"])
    running.check(secret, Scope.READ)
    with pytest.raises(InvalidRecord, match="taken"):
        command.create("late", ["admin"])
    command.revoke("late")
    with pytest.raises(InvalidRecord, match="no key is called"):
        command.revoke("late")
    with pytest.raises(Forbidden):
        running.check(secret, Scope.READ)
    assert running.list() == ()


def test_keys_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=lambda n=n: KeyRing(tmp_path).create(f"key {n}", ["read"]))  # type: ignore[misc]
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(KeyRing(tmp_path).list()) == 12


@pytest.mark.parametrize(("name", "scopes"), [("", ["read"]), ("x" * 101, ["read"]), ("a", []), ("a", ["write"])])
def test_bad_names_and_scopes_change_nothing(tmp_path: Path, name: str, scopes: list[str]) -> None:
    with pytest.raises(InvalidRecord):
        KeyRing(tmp_path).create(name, scopes)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("text", ["", "{}", '{"keys": [{}]}', '{"keys": [{"name": "a"}]}', "[1]", '{"keys": 3}'])
def test_a_broken_ring_lets_nobody_in(tmp_path: Path, text: str) -> None:
    ring = KeyRing(tmp_path)
    secret = ring.create("one", ["read"])
    (tmp_path / FILE).write_text(text, "utf-8")
    for _ in range(2):
        with pytest.raises(ShopError, match="cannot be understood"):
            ring.check(secret, Scope.READ)
