"""Accounts of the console: who may look at the shop's inside and change it.

Passwords are kept as argon2id hashes (RFC 9106). A session is 256 random bits in a cookie, of which the record keeps
the SHA-256; every sign-in makes a new one, so that an id planted in a browser before is worth nothing. The token that
guards forms against other sites' requests (CSRF) is derived from the session's secret and needs no storage. Wrong
passwords are counted before they are checked, by account and by address, over all workers. The first account, and a
forgotten password, go through a one-time link that whoever can run commands in the shop's folder makes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shelfwise.errors import Forbidden, InvalidRecord, TooManyAttempts
from shelfwise.schema import from_micros, now, to_micros
from shelfwise.store.accounts import AccountRecord, AccountRow, Limit

MIN_PASSWORD, MAX_PASSWORD = 10, 200  # characters; a longer one would only cost hashing time
MAX_NAME = 64
IDLE = timedelta(hours=8)  # a session unused so long has ended
LIFETIME = timedelta(days=7)  # and so has one this old
LINK_LIFETIME = timedelta(hours=24)
WINDOW = timedelta(minutes=15)  # wrong passwords are counted over this time
#: Few guesses at one account from one place; more places at one account, or accounts from one place, before all of an
#: account's or an address's sign-ins stop: shutting an account out must take an attacker many addresses.
LIMITS = (
    Limit(most=5, account=True, address=True),
    Limit(most=20, address=True),
    Limit(most=50, account=True),
)
_SEEN_EVERY = timedelta(minutes=1)  # how exactly use is recorded: not every page writes
_NAME = re.compile(r"[\w.@+-]+")
_hasher = PasswordHasher()  # RFC 9106's second recommendation: 64 MiB, 3 passes


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    name: str
    created: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """Who is signed in. csrf: what each of their forms must carry."""

    account: str
    csrf: str


class Accounts:
    """The console's accounts over one record; safe for many threads. Hashing takes some 50 ms: not in an event loop."""

    def __init__(self, record: AccountRecord, *, clock: Callable[[], datetime] = now) -> None:
        self._record = record
        self._clock = clock

    def exist(self) -> bool:
        return self._record.count() > 0

    def list(self) -> list[Account]:
        """Ordered by name."""
        return [Account(name=row.name, created=from_micros(row.created)) for row in self._record.all()]

    def create(self, name: str, password: str) -> Account:
        """Raises InvalidRecord when the name is taken or no name, or the password is too weak."""
        row = self._row(name, password)
        if not self._record.add(row):
            raise InvalidRecord("name", f"{row.name!r} is taken; choose another")
        return Account(name=row.name, created=from_micros(row.created))

    def remove(self, name: str) -> None:
        """Take the account away and end its sessions at once. Raises InvalidRecord when there is none."""
        if not self._record.remove(folded(name)):
            names = ", ".join(repr(account.name) for account in self.list()) or "none yet"
            raise InvalidRecord("name", f"no account is called {name!r}; there are: {names}")

    def sign_in(self, name: str, password: str, address: str) -> str:
        """A new session's secret, for its cookie. Raises Forbidden when name or password is wrong, without saying
        which, and TooManyAttempts."""
        name = folded(name)[:MAX_NAME]
        moment = self._now()
        failure = self._record.attempt(name, address, moment, since=moment - _micros(WINDOW), limits=LIMITS)
        if failure is not None:
            raise TooManyAttempts((failure - moment) / 1e6 + WINDOW.total_seconds())
        row = self._record.one(name)
        given = _plain(password[: MAX_PASSWORD + 1])
        right = _matches(_NOBODY if row is None else row.password, given)
        if row is None or not right:
            raise Forbidden("name or password is wrong; `shelfwise accounts link NAME` makes a link to set a new one")
        self._record.forgive(name, address)
        if _hasher.check_needs_rehash(row.password):
            self._record.rehash(name, row.password, _hasher.hash(given))
        return self._begin(name)

    def _begin(self, name: str) -> str:
        secret = secrets.token_urlsafe(32)
        moment = self._now()
        if not self._record.open_session(_digest(secret), name, moment, ended=moment - _micros(LIFETIME)):
            raise Forbidden("the account was removed")
        return secret

    def signed(self, secret: str, *, seen: bool = True) -> Signed | None:
        """Who holds this session; None when it is unknown or has ended. seen: its idle hours begin anew."""
        if not secret:
            return None
        digest, moment = _digest(secret), self._now()
        row = self._record.session(digest)
        if row is None:
            return None
        if moment - row.created > _micros(LIFETIME) or moment - row.seen > _micros(IDLE):
            self._record.close_session(digest)
            return None
        if seen and moment - row.seen > _micros(_SEEN_EVERY):
            self._record.seen(digest, moment)
        return Signed(account=row.account, csrf=csrf_of(secret))

    def sign_out(self, secret: str) -> None:
        self._record.close_session(_digest(secret))

    def change_password(self, name: str, before: str, after: str, *, address: str, keep: str = "") -> None:
        """Set a new password, knowing the old one; every session of the account ends but the one with the secret
        `keep`. Raises Forbidden, TooManyAttempts, InvalidRecord."""
        row = self._row(name, after)
        self.sign_out(self.sign_in(name, before, address))
        self._record.set_password(row.name, row.password, keep=_digest(keep) if keep else "")

    def make_link(self, account: str = "", *, beside: bool = False) -> str:
        """The secret of a link that makes one new account, or sets the password of `account`; it works once, for a
        day, and the one made before it no longer does. beside: that one stays good until one of them is used.
        Raises InvalidRecord when there is no such account."""
        name = folded(account)
        if name and self._record.one(name) is None:
            raise InvalidRecord("name", f"no account is called {account!r}; leave the name out for a new account")
        secret = secrets.token_urlsafe(24)
        self._record.put_link(_digest(secret), name, self._now() + _micros(LINK_LIFETIME), beside=beside)
        return secret

    def link(self, secret: str) -> str | None:
        """Whose password the link sets, "" for a new account; None when it does not work (any more)."""
        return self._record.link(_digest(secret), self._now())

    def claim(self, secret: str, name: str, password: str) -> str:
        """Use a link up: make the account, or set its password, and sign in; the session's secret. Raises InvalidRecord
        for a bad name or password (the link stays good) and Forbidden when the link does not work."""
        account = self.link(secret)
        if account is None:
            raise Forbidden("this link was used or is too old; `shelfwise accounts link` makes another")
        row = self._row(account or name, password)
        if account == "" and self._record.one(row.name) is not None:
            raise InvalidRecord("name", f"{row.name!r} is taken; choose another")
        if not self._record.claim(_digest(secret), row):
            raise Forbidden("this link was used just now; `shelfwise accounts link` makes another")
        return self._begin(row.name)

    def _row(self, name: str, password: str) -> AccountRow:
        name = folded(name)
        if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
            raise InvalidRecord("name", f"must be 1 to {MAX_NAME} letters, digits or any of . _ @ + -, without spaces")
        if len(password) < MIN_PASSWORD:
            raise InvalidRecord(
                "password", f"is too short; use at least {MIN_PASSWORD} characters, a sentence for example"
            )
        if len(password) > MAX_PASSWORD:
            raise InvalidRecord("password", f"is too long; use at most {MAX_PASSWORD} characters")
        if name in password.casefold() and len(password) < len(name) + MIN_PASSWORD:
            raise InvalidRecord("password", "is the name with little more; choose another")
        if len(set(password)) < 5:
            raise InvalidRecord("password", "repeats a few characters; choose another")
        return AccountRow(name=name, password=_hasher.hash(_plain(password)), created=self._now())

    def _now(self) -> int:
        return to_micros(self._clock())


def csrf_of(secret: str) -> str:
    """The token that forms carry for whoever's cookie holds `secret`; it does not tell the secret."""
    return hmac.new(secret.encode("utf-8", "surrogatepass"), b"shelfwise-csrf", hashlib.sha256).hexdigest()


def same(left: str, right: str) -> bool:
    """Equal, in constant time."""
    return hmac.compare_digest(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))


def folded(name: str) -> str:
    """Names differ by more than case or the width of letters."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def _plain(password: str) -> bytes:
    """The same password, however the keyboard composed its letters."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _matches(hash: str, password: bytes) -> bool:
    try:
        return _hasher.verify(hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


#: Checked when the name is unknown, so that the time taken does not tell which names there are.
_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$c2hlbGZ3aXNlLW5vYm9keQ$"  # no password has this hash: its last part is zeros
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
