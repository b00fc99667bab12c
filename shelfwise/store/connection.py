"""Connections to the record: SQLite tuned for durable writes by many processes, or PostgreSQL; migrated on opening."""

from __future__ import annotations

import os
import shutil
import sqlite3
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from shelfwise.errors import MissingDependency, StoreError
from shelfwise.store.rows import Row
from shelfwise.store.tables import APPLICATION_ID, REVISION, tally

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

#: Seconds a writer waits for another process's transaction; a bulk import's last step can hold the record so long.
PATIENCE = 120
_ABANDONED: list[object] = []  # a parent's connections, kept in a child so that nothing closes them
_ROOM = 1_000_000  # bytes without which its write-ahead log cannot begin
_OPEN_LOCK = 0x53686C66  # PostgreSQL advisory lock: one process at a time migrates


class Database:
    """An engine, its two kinds of transactions, and the translation of its errors to StoreError."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sqlite = engine.dialect.name == "sqlite"
        self._immediate = engine.execution_options(immediate=True)
        errors: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._errors = (SQLAlchemyError, errors)
        self._idle: deque[sqlite3.Connection] = deque()
        self._watching: sqlite3.Connection | None = None
        _after_fork(self)

    @property
    def path(self) -> Path | None:
        """SQLite's file."""
        return Path(str(self.engine.url.database)) if self.sqlite else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection with a consistent view, rolled back at the end."""
        with self.translated(), self.engine.connect() as connection:
            yield connection

    def fetch(self, sql: str, values: tuple[str | int, ...]) -> list[Row]:
        """The rows of one SELECT in the driver's own words. On SQLite it goes past SQLAlchemy, whose connections and
        transactions take longer than a small read; a single statement sees one state of the record anyhow."""
        if not self.sqlite:
            with self.read() as connection:
                return list(connection.exec_driver_sql(sql, values).cursor.fetchall())
        with self.translated():
            own = self._idle.pop() if self._idle else self._own()
            rows: list[Row] = own.execute(sql, values).fetchall()
            self._idle.append(own)  # not after an error: a connection that failed is dropped
            return rows

    def stamp(self) -> int | None:
        """Another number after every commit by anybody, a thousandth of what it costs to look at what changed
        (SQLite's `data_version`); None on PostgreSQL, which has nothing like it."""
        if not self.sqlite:
            return None
        with self.translated():
            self._watching = self._watching or self._own()
            return int(self._watching.execute("PRAGMA data_version").fetchone()[0])

    def _own(self) -> sqlite3.Connection:
        """A connection that the pool no longer knows."""
        lent = self.engine.raw_connection()
        connection: sqlite3.Connection = lent.dbapi_connection  # type: ignore[assignment]
        lent.detach()
        return connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: durable when the block ends, undone when it raises. SQLite's lock is taken at once, because
        a transaction that reads first and writes later fails when another process has written in between."""
        with self.translated(), self.turn(), self._immediate.begin() as connection:
            yield connection

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait in line with SQLite's other writers, in all processes. SQLite itself only looks again after ever longer
        naps, so that of two busy processes one waits for half a second; here the next one is woken at once. The lock is
        for order alone: SQLite's own keeps the file right, and where there is no flock (Windows), it does it all."""
        if self.path is None or fcntl is None:
            yield
            return
        try:
            file = os.open(f"{self.path}-turn", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(
                f"{error.filename} cannot be written; check the permissions of it and its folder"
            ) from None
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                raise StoreError(
                    f"{self.path}-turn cannot be locked ({error.strerror}); keep the shop on a file system with locks"
                ) from None
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)  # closing alone would not do where a forked child has the file too
        finally:
            os.close(file)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection whose transactions (`begin`, immediate as in `write`) the caller opens."""
        with self.translated(), self._immediate.connect() as connection:
            yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise StoreError(mend(error, self.engine.url)) from error

    def empty_log(self) -> None:
        """Move SQLite's write-ahead log into the file and cut it, so that nothing deleted lingers there. Long readers
        are not waited for: the log then empties at a later commit."""
        if self.sqlite:
            with self.translated(), self.engine.connect() as connection:
                driver = driver_of(connection)
                driver.execute("PRAGMA busy_timeout = 1000").close()
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
                driver.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000}").close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        if self._watching:
            self._watching.close()
            self._watching = None
        self.engine.dispose()

    def forget_connections(self) -> None:
        """Without closing them: they are another process's."""
        _ABANDONED.append((self._idle, self._watching))
        self._idle, self._watching = deque(), None
        self.engine.dispose(close=False)


def driver_of(connection: Connection) -> Any:
    """The driver's own connection, for what SQLAlchemy has no words for."""
    return connection.connection.dbapi_connection


def open_database(url: str, *, durable: bool) -> Database:
    """Open the record at `url`, made or migrated to the newest revision. Raises StoreError, MissingDependency."""
    address = _address(url)
    if address.drivername.startswith("sqlite"):
        path = _sqlite_path(address)
        _check_file(path)
        engine = create_engine(
            address, connect_args={"timeout": PATIENCE}, pool_size=8, max_overflow=-1, pool_reset_on_return="rollback"
        )
        event.listen(engine, "connect", _tuned_durable if durable else _tuned)
    else:
        if find_spec("psycopg") is None:
            raise MissingDependency("PostgreSQL needs psycopg: pip install 'shelfwise[postgres]'")
        options = {} if durable else {"options": "-c synchronous_commit=off"}
        # pre_ping: a restarted server costs a reconnection, not a failed request.
        engine = create_engine(address, connect_args=options, pool_size=8, max_overflow=-1, pool_pre_ping=True)
    event.listen(engine, "begin", _begin)
    database = Database(engine)
    try:
        _migrate(database)
    except BaseException:
        database.close()
        raise
    return database


def _address(url: str) -> URL:
    try:
        address = make_url(url)
        if address.drivername in ("postgresql", "postgres"):
            address = address.set(drivername="postgresql+psycopg")
        address.get_dialect()
    except (ArgumentError, NoSuchModuleError):
        raise StoreError(_unknown_url(url)) from None
    if address.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise StoreError(_unknown_url(address.render_as_string()))
    return address


def _unknown_url(url: str) -> str:
    return f"{url!r} is no address of a record; use sqlite:///path/to/file or postgresql://user@host/database"


def _sqlite_path(address: URL) -> Path:
    if not address.database or address.database == ":memory:":
        raise StoreError("the record must be a file, or nothing would be durable; use sqlite:///path/to/file")
    path = Path(address.database)
    if not path.parent.is_dir():
        raise StoreError(f"the folder {path.parent} does not exist; create it, or change `store` in shelfwise.toml")
    if path.is_dir():
        raise StoreError(f"{path} is a folder; give the path of a file")
    return path


def _check_file(path: Path) -> None:
    """Refuse a file that is corrupt or another program's, before anything could change it."""
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
            ((mark,),) = connection.execute("PRAGMA application_id").fetchall()
            ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except sqlite3.Error as error:
        raise StoreError(mend(error, URL.create("sqlite", database=str(path)))) from error
    if mark != APPLICATION_ID and tables:
        raise StoreError(
            f"{path} is another program's SQLite file, not a Shelfwise record; nothing was changed. "
            "Give another path in `store`, or move the file away"
        )


def _tuned(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun by _begin, not guessed by the driver
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA cache_size = -65536")  # KiB
    cursor.execute("PRAGMA secure_delete = ON")  # what is forgotten is gone from the file too
    cursor.execute("PRAGMA journal_size_limit = 67108864")  # give an import's large log back to the disk
    cursor.close()


def _tuned_durable(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    _tuned(connection, record)
    connection.execute("PRAGMA synchronous = FULL").close()  # fsync the log at each commit


def _begin(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _after_fork(database: Database) -> None:
    """A child process must not use its parent's connections: forget them, without closing them for the parent."""
    reference = weakref.ref(database)

    def forget() -> None:
        if (alive := reference()) is not None:
            alive.forget_connections()

    if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        os.register_at_fork(after_in_child=forget)


def _migrate(database: Database) -> None:
    if database.sqlite:
        with database.translated(), database.engine.connect() as connection:
            # Outside a transaction; kept in the file. Readers and the writer do not wait for each other.
            driver_of(connection).execute("PRAGMA journal_mode = WAL").close()
    if _revision(database) == REVISION:
        return
    with database.write() as connection:
        if not database.sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _OPEN_LOCK})
        _upgrade(connection)


def _revision(database: Database) -> str | None:
    """The record's revision by one query; None when that query fails because there is no such table."""
    with database.translated(), database.engine.connect() as connection:
        try:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        except DBAPIError:
            connection.rollback()
            if inspect(connection).has_table("alembic_version"):
                raise
            return None


def _upgrade(connection: Connection) -> None:
    from alembic import command  # takes 0.2 s, needed once a version
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None and (clash := inspect(connection).get_table_names()):
        raise StoreError(
            f"the database already holds other tables ({', '.join(sorted(clash)[:3])}); "
            "give Shelfwise a database of its own in `store`"
        )
    try:
        if current is not None:
            ScriptDirectory.from_config(config).get_revision(current)
        command.upgrade(config, "head")
    except CommandError:
        raise StoreError(
            f"the record has revision {current!r}, made by a newer Shelfwise; this one knows up to {REVISION!r}. "
            "Upgrade: pip install --upgrade shelfwise"
        ) from None
    connection.execute(select(tally).limit(1))


def _is_full(folder: Path) -> bool:
    """Has the disk no room for what SQLite writes beside its file?"""
    try:
        return shutil.disk_usage(folder).free < _ROOM
    except OSError:
        return False


def mend(error: Exception, url: URL) -> str:
    """What is wrong with the record at `url`, and what to do."""
    reason = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
    if url.drivername.startswith("postgresql"):
        where = url.render_as_string(hide_password=True)
        return f"{where}: {reason}. Is the server running, and is `store` in shelfwise.toml right?"
    path = url.database
    if "malformed" in reason or "not a database" in reason or "corrupt" in reason:
        return (
            f"{path} is damaged or no SQLite file ({reason}). Restore it from a backup, or save what can be read: "
            f'sqlite3 "{path}" .recover | sqlite3 new.db'
        )
    if "locked" in reason:
        return f"{path}: another process has been writing for over {PATIENCE} s ({reason}); end it or wait, then retry"
    if "full" in reason or ("disk I/O" in reason and path and _is_full(Path(path).parent)):
        return f"{path}: the disk is full ({reason}); make room and retry. Nothing was half written"
    if "readonly" in reason or "unable to open" in reason:
        return f"{path} cannot be written ({reason}); check the permissions of the file and of its folder"
    return f"{path}: {reason}"
