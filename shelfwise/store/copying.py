"""A SQLite record copied whole while others write to it (the online backup API, https://sqlite.org/backup.html)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from shelfwise.errors import StoreError
from shelfwise.store.connection import PATIENCE, mend
from shelfwise.store.tables import APPLICATION_ID

Progress = Callable[[int, int, str], None]


def copy_record(url: str, to: Path, progress: Progress | None = None) -> None:
    """Copy the SQLite record at `url` into the new file `to`: one state of it, with all that was acknowledged before.

    In one step: of a record with a write-ahead log that is one snapshot, and writers go on meanwhile.
    Raises StoreError.
    """
    address = make_url(url)
    source = Path(str(address.database))
    if not source.exists():
        raise StoreError(f"{source} does not exist; open the shop once, or mend `store` in shelfwise.toml")
    if progress is not None:
        progress(0, 0, "copying the record")
    try:
        with closing(sqlite3.connect(source, timeout=PATIENCE)) as record, closing(sqlite3.connect(to)) as copy:
            record.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, complete in itself; opening it makes it WAL again
    except sqlite3.Error as error:
        raise StoreError(mend(error, address)) from error
    check_record(to)


def check_record(path: Path) -> None:
    """Raises StoreError where this is no whole record. Writes nothing beside it."""
    address = URL.create("sqlite", database=str(path))
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as record:
            ((mark,),) = record.execute("PRAGMA application_id").fetchall()
            ((sound,),) = record.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        raise StoreError(mend(error, address)) from error
    if mark != APPLICATION_ID:
        raise StoreError(f"{path} is no Shelfwise record")
    if sound != "ok":
        raise StoreError(f"{path} is damaged ({sound}); use another backup")
