"""Accounts of the console in the record: names, hashes, sessions, one-time links, failed sign-ins.

Only what is hashed comes here: argon2 strings for passwords, SHA-256 for the secrets of sessions and links.
Times are microseconds since 1970 UTC. What it all means is `trust/accounts.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, func, insert, select, text, update

from shelfwise.store.connection import Database
from shelfwise.store.tables import account_attempts as attempts
from shelfwise.store.tables import account_links as links
from shelfwise.store.tables import account_sessions as sessions
from shelfwise.store.tables import accounts

_LOCK = 0x53686C67  # PostgreSQL advisory lock: one change of accounts at a time


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountRow:
    name: str
    password: str
    created: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionRow:
    account: str
    created: int
    seen: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """At most `most` failures that match what is given: of an account, from an address, or of the two together."""

    most: int
    account: bool = False
    address: bool = False


class AccountRecord:
    """The accounts of one record, for many threads and processes. Every method raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[AccountRow]:
        """Ordered by name."""
        with self._database.read() as connection:
            return [
                AccountRow(**row._mapping) for row in connection.execute(select(accounts).order_by(accounts.c.name))
            ]

    def one(self, name: str) -> AccountRow | None:
        with self._database.read() as connection:
            row = connection.execute(select(accounts).where(accounts.c.name == name)).first()
            return None if row is None else AccountRow(**row._mapping)

    def add(self, row: AccountRow) -> bool:
        """False when the name is taken."""
        with self._database.write() as connection:
            self._alone(connection)
            return _add(connection, row)

    def set_password(self, name: str, password: str, *, keep: str = "") -> bool:
        """Whether there is such an account. Its sessions end, save the one whose digest is `keep`."""
        with self._database.write() as connection:
            changed = connection.execute(update(accounts).where(accounts.c.name == name).values(password=password))
            connection.execute(delete(sessions).where(sessions.c.account == name, sessions.c.digest != keep))
            return bool(changed.rowcount)

    def rehash(self, name: str, before: str, password: str) -> None:
        """Keep the same password under a stronger hash, unless it was changed meanwhile."""
        with self._database.write() as connection:
            same = and_(accounts.c.name == name, accounts.c.password == before)
            connection.execute(update(accounts).where(same).values(password=password))

    def remove(self, name: str) -> bool:
        """Whether there was such an account; its sessions and links end with it."""
        with self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.account == name))
            connection.execute(delete(links).where(links.c.account == name))
            return bool(connection.execute(delete(accounts).where(accounts.c.name == name)).rowcount)

    def open_session(self, digest: str, account: str, time: int, *, ended: int) -> bool:
        """Begin a session; those begun before `ended` are swept out. False when the account is gone."""
        with self._database.write() as connection:
            self._alone(connection)
            connection.execute(delete(sessions).where(sessions.c.created < ended))
            if connection.scalar(select(accounts.c.name).where(accounts.c.name == account)) is None:
                return False
            connection.execute(insert(sessions).values(digest=digest, account=account, created=time, seen=time))
            return True

    def session(self, digest: str) -> SessionRow | None:
        query = select(sessions.c.account, sessions.c.created, sessions.c.seen).where(sessions.c.digest == digest)
        with self._database.read() as connection:
            row = connection.execute(query).first()
            return None if row is None else SessionRow(**row._mapping)

    def seen(self, digest: str, time: int) -> None:
        with self._database.write() as connection:
            connection.execute(update(sessions).where(sessions.c.digest == digest).values(seen=time))

    def close_session(self, digest: str) -> None:
        with self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.digest == digest))

    def attempt(self, account: str, address: str, time: int, *, since: int, limits: Sequence[Limit]) -> int | None:
        """Count a sign-in as failed until `forgive` takes it back, so that many at once are limited too. Returns None,
        or, when a limit is reached and nothing was counted, the time of the failure that must pass out of sight."""
        with self._database.write() as connection:
            self._alone(connection)
            connection.execute(delete(attempts).where(attempts.c.time <= since))
            for limit in limits:
                matching = [attempts.c.account == account] if limit.account else []
                matching += [attempts.c.address == address] if limit.address else []
                times = connection.scalars(
                    select(attempts.c.time).where(*matching).order_by(attempts.c.time.desc()).limit(limit.most)
                ).all()
                if len(times) >= limit.most:
                    return int(times[-1])
            connection.execute(insert(attempts).values(account=account, address=address, time=time))
            return None

    def forgive(self, account: str, address: str) -> None:
        """The right password came: this account's failures from this address no longer count."""
        with self._database.write() as connection:
            connection.execute(delete(attempts).where(attempts.c.account == account, attempts.c.address == address))

    def put_link(self, digest: str, account: str, expires: int, *, beside: bool = False) -> None:
        """Keep a link; earlier ones of the same account, or for a new one, end, unless it is put beside them."""
        with self._database.write() as connection:
            self._alone(connection)
            if not beside:
                connection.execute(delete(links).where(links.c.account == account))
            connection.execute(insert(links).values(digest=digest, account=account, expires=expires))

    def link(self, digest: str, time: int) -> str | None:
        """Whose password the link sets, "" for a new account's; None when it is unknown, used or expired."""
        with self._database.read() as connection:
            return _link(connection, digest, time)

    def claim(self, digest: str, row: AccountRow) -> bool:
        """Use a link up: make the account, or set its password. False when the link is gone or the name is taken by
        another; nothing is changed then. Sessions of the account end."""
        with self._database.write() as connection:
            self._alone(connection)
            account = _link(connection, digest, row.created)
            if account is None or account not in ("", row.name):
                return False
            if account == "":
                if not _add(connection, row):
                    return False
            else:
                same = accounts.c.name == account
                if not connection.execute(update(accounts).where(same).values(password=row.password)).rowcount:
                    return False
            connection.execute(delete(sessions).where(sessions.c.account == row.name))
            connection.execute(delete(links).where(links.c.account == account))
            return True

    def count(self) -> int:
        with self._database.read() as connection:
            return int(connection.scalar(select(func.count()).select_from(accounts)) or 0)

    def _alone(self, connection: Connection) -> None:
        """SQLite's writers are alone anyway."""
        if not self._database.sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _add(connection: Connection, row: AccountRow) -> bool:
    if connection.scalar(select(accounts.c.name).where(accounts.c.name == row.name)) is not None:
        return False
    connection.execute(insert(accounts).values(name=row.name, password=row.password, created=row.created))
    return True


def _link(connection: Connection, digest: str, time: int) -> str | None:
    account = connection.scalar(select(links.c.account).where(links.c.digest == digest, links.c.expires > time))
    return None if account is None else str(account)
