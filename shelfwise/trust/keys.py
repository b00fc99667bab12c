"""Keys: who may ask, who may send, who may administer.

A key is 256 random bits, shown once when made; the shop keeps only its SHA-256 in `keys.json` (readable by
the owner alone). A slow password hash would protect a secret that can be guessed; 2^256 cannot, and a slow
hash would cost every request milliseconds. A given key is compared with every kept hash in constant time.

Scopes: `read` asks for recommendations and searches, `ingest` sends products and events, `merchant` steers search
(rules, synonyms), `admin` may do everything and read the metrics. A running server follows changes of the file at once.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from shelfwise.errors import Forbidden, InvalidRecord, ShopError
from shelfwise.schema import check_text, now

FILE = "keys.json"
PREFIX = "sw_"
MAX_NAME = 100
MAX_SECRET = 200


class Scope(StrEnum):
    READ = "read"
    INGEST = "ingest"
    MERCHANT = "merchant"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What the shop keeps of a key. `digest` is the SHA-256 of the secret, hexadecimal; names are unique."""

    name: str
    scopes: frozenset[Scope]
    digest: str
    created: datetime

    def allows(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes


class KeyRing:
    """The keys of the shop in `folder`. Reads the file again whenever it has changed. Raises ShopError when
    the file cannot be understood: a broken ring lets nobody in."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._stamp: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    def list(self) -> tuple[Key, ...]:
        """Every key, oldest first."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, ()
            return ()
        except OSError as error:
            raise ShopError(f"{self._path} cannot be read: {error}") from None
        stamp = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if stamp != self._stamp:
            self._keys = _read(self._path)
            self._stamp = stamp
        return self._keys

    def find(self, secret: str) -> Key | None:
        """The key behind `secret`, None when there is none."""
        match: Key | None = None
        digest = _digest(secret[:MAX_SECRET])
        for key in self.list():  # all of them, always: the time taken tells nothing
            if hmac.compare_digest(key.digest, digest):
                match = key
        return match

    def check(self, secret: str, scope: Scope) -> Key:
        """The key behind `secret`. Raises Forbidden when none was given, it is unknown or lacks `scope`."""
        key = self.find(secret)
        if not secret:
            raise Forbidden(
                "this shop asks for a key: send the header `Authorization: Bearer KEY`; "
                "`shelfwise keys create` makes one"
            )
        if key is None:
            raise Forbidden("the key is unknown or was revoked; `shelfwise keys list` shows the shop's keys")
        if not key.allows(scope):
            raise Forbidden(f"the key {key.name!r} lacks the scope {scope}; make one with it")
        return key

    def create(self, name: str, scopes: Iterable[str]) -> str:
        """Make a key and return its secret, which is shown here once and never again. Raises InvalidRecord."""
        check_text("name", name, MAX_NAME, required=True)
        try:
            chosen = frozenset(Scope(scope) for scope in scopes)
        except ValueError as error:
            raise InvalidRecord("scopes", f"{error}; use some of {', '.join(Scope)}") from None
        if not chosen:
            raise InvalidRecord("scopes", f"are empty; use some of {', '.join(Scope)}")
        secret = PREFIX + secrets.token_urlsafe(32)
        key = Key(name=name, scopes=chosen, digest=_digest(secret), created=now())
        with _locked(self._path):
            keys = self.list()
            if any(other.name == name for other in keys):
                raise InvalidRecord("name", f"{name!r} is taken; choose another or revoke that key first")
            self._write((*keys, key))
        return secret

    def revoke(self, name: str) -> None:
        """Take the key's rights away, in running servers too. Raises InvalidRecord when there is none."""
        with _locked(self._path):
            keys = self.list()
            kept = tuple(key for key in keys if key.name != name)
            if len(kept) == len(keys):
                names = ", ".join(repr(key.name) for key in keys) or "none yet"
                raise InvalidRecord("name", f"no key is called {name!r}; the shop's keys: {names}")
            self._write(kept)

    def _write(self, keys: tuple[Key, ...]) -> None:
        rows = [
            {
                "name": key.name,
                "scopes": sorted(key.scopes),
                "sha256": key.digest,
                "created": key.created.isoformat(),
            }
            for key in keys
        ]
        part = self._path.with_name(f"{FILE}.{os.getpid()}.part")
        try:
            with suppress(FileNotFoundError):
                part.unlink()
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(orjson.dumps({"keys": rows}, option=orjson.OPT_INDENT_2))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            raise ShopError(f"{self._path} cannot be written: {error}") from None


class _locked:
    """Holds an exclusive lock beside the key file, so that two commands at once lose no key."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{FILE}.lock")

    def __enter__(self) -> None:
        import fcntl  # POSIX; imported here so that reading keys works anywhere

        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError as error:
            raise ShopError(f"{self._path} cannot be written: {error}") from None
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> tuple[Key, ...]:
    try:
        rows: list[dict[str, Any]] = orjson.loads(path.read_bytes())["keys"]
        return tuple(
            Key(
                name=str(row["name"]),
                scopes=frozenset(Scope(scope) for scope in row["scopes"]),
                digest=_checked_digest(row["sha256"]),
                created=datetime.fromisoformat(row["created"]),
            )
            for row in rows
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ShopError(
            f"{path} cannot be understood ({error!r}); mend it, or remove it and make new keys "
            "with `shelfwise keys create`"
        ) from None


def _checked_digest(text: object) -> str:
    if not isinstance(text, str) or len(text) != 64 or not text.isascii():
        raise ValueError("sha256 must be 64 hexadecimal digits")
    return text
