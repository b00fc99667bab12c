"""Opening, migrating, refusing."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url, text

import shelfwise.store.migrations
from shelfwise.errors import MissingDependency, StoreError
from shelfwise.schema import EVENT_COLUMNS, PRODUCT_COLUMNS, Event, Product
from shelfwise.store import open_store
from shelfwise.store.connection import mend, open_database
from shelfwise.store.tables import APPLICATION_ID, REVISION, TALLIES, events, metadata, products


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/record.db"


def test_tables_hold_the_columns_of_the_schema_in_order() -> None:
    assert [column.name for column in events.c if column.name in EVENT_COLUMNS] == list(EVENT_COLUMNS)
    assert [column.name for column in products.c if column.name in PRODUCT_COLUMNS] == list(PRODUCT_COLUMNS)


def test_migrations_build_the_tables(url: str) -> None:
    database = open_database(url, durable=True)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == REVISION
        names = connection.scalars(text("SELECT name FROM tally")).all()
        assert sorted(names) == sorted(TALLIES)
    database.close()


def test_the_newest_migration_is_the_one_the_code_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(shelfwise.store.migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_a_full_disk_is_named_whatever_sqlite_calls_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that is opened on a full disk cannot begin its write-ahead log: SQLite says "disk I/O error"."""
    error, url = sqlite3.OperationalError("disk I/O error"), make_url(sqlite_url(tmp_path))
    assert "the disk is full" not in mend(error, url)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 4096, 4096))  # type: ignore[attr-defined]
    assert "the disk is full (disk I/O error); make room" in mend(error, url)


def test_an_open_record_is_opened_without_alembic(tmp_path: Path) -> None:
    open_store(sqlite_url(tmp_path)).close()
    code = f"import sys; from shelfwise.store import open_store; open_store({sqlite_url(tmp_path)!r}).close()"
    code += "; sys.exit('alembic' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_many_processes_may_open_a_new_record_at_once(url: str) -> None:
    code = f"from shelfwise.store import open_store; print(open_store({url!r}).counts().events)"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)
    ]
    for process in processes:
        out, complaint = process.communicate(timeout=60)
        assert (out, complaint.decode()) == (b"0\n", "")


def test_writes_are_forced_to_disk_unless_durability_is_off(tmp_path: Path) -> None:
    for durable, level in ((True, 2), (False, 1)):
        database = open_database(sqlite_url(tmp_path), durable=durable)
        with database.read() as connection:
            assert connection.scalar(text("PRAGMA synchronous")) == level
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
            assert connection.scalar(text("PRAGMA application_id")) == APPLICATION_ID
        database.close()


@pytest.mark.postgres
def test_postgresql_commits_synchronously_unless_durability_is_off(postgres: object) -> None:
    address = postgres.new_database()  # type: ignore[attr-defined]
    for durable, level in ((True, "on"), (False, "off")):
        database = open_database(address, durable=durable)
        with database.read() as connection:
            assert connection.scalar(text("SHOW synchronous_commit")) == level
        database.close()


def test_a_newer_record_is_refused(new_url: Callable[[], str]) -> None:
    url = new_url()
    open_store(url).close()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match=r"revision '9999', made by a newer Shelfwise.*pip install --upgrade"):
        open_store(url)


def test_another_programs_database_is_left_alone(new_url: Callable[[], str]) -> None:
    url = new_url()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE notes (id INTEGER)"))
    engine.dispose()
    path = Path(url.removeprefix("sqlite:///"))
    before = path.read_bytes() if url.startswith("sqlite") else b""
    with pytest.raises(StoreError, match=r"another program's SQLite file|already holds other tables \(notes\)"):
        open_store(url)
    if url.startswith("sqlite"):
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]


def test_a_corrupt_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    path.write_bytes(b"no database at all " * 1000)
    with pytest.raises(StoreError, match=r"is damaged or no SQLite file.*backup.*\.recover"):
        open_store(sqlite_url(tmp_path))
    path.unlink()
    with open_store(sqlite_url(tmp_path)) as store:
        store.append_events([Event(type="view_item", customer=f"c{i}", product="p") for i in range(2_000)])
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    with pytest.raises(StoreError, match=r"damaged.*\.recover"), open_store(sqlite_url(tmp_path)) as store:
        store.append_events([Event(type="view_item", customer="c1", product="p")])


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "no address of a record"),
        ("mysql://host/x", "no address of a record"),
        ("oracle://host/x", "no address of a record"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("sqlite:////no/such/folder/record.db", "does not exist; create it"),
        ("sqlite:////", "is a folder"),
        ("postgresql://x:secret@127.0.0.1:1/none", r"x:\*\*\*@127.0.0.1:1/none.*Is the server running"),
    ],
)
def test_a_wrong_address_says_how_to_mend_it(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_without_psycopg_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shelfwise.store.connection.find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=r"pip install 'shelfwise\[postgres\]'"):
        open_store("postgresql://x@127.0.0.1/none")


def test_a_forked_child_uses_its_own_connections(tmp_path: Path) -> None:
    code = f"""
import os
from shelfwise.schema import Event
from shelfwise.store import open_store
store = open_store({sqlite_url(tmp_path)!r})
store.append_events([Event(type="view_item", customer="parent", product="p")])
child = os.fork()
store.append_events([Event(type="view_item", customer="child" if child == 0 else "parent", product="p")])
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert store.counts().events == 3
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_last_events_are_one_indexed_read(tmp_path: Path) -> None:
    with open_store(sqlite_url(tmp_path)) as store:
        store.append_events([Event(type="view_item", customer="c", product="p")])
    order = "ORDER BY time DESC, sequence DESC LIMIT 50"
    link = "coalesce('c' || nullif((SELECT customer FROM sessions WHERE session = 's'), ''), 'ss')"
    with closing(sqlite3.connect(tmp_path / "record.db")) as connection:
        for actor in ("'cc'", link):
            plan = connection.execute(
                "EXPLAIN QUERY PLAN SELECT product, type, time, price, quantity, sequence "
                f"FROM events WHERE actor = {actor} {order}"
            ).fetchall()
            steps = [row[3] for row in plan]
            assert "SEARCH events USING COVERING INDEX events_actor (actor=?)" in steps
            assert not [step for step in steps if "SCAN " in step or "TEMP B-TREE" in step]


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(file: int, kind: int) -> None:
        raise OSError(37, "No locks available")

    with open_store(f"sqlite:///{tmp_path}/record.db") as store:
        files = len(list(Path("/proc/self/fd").iterdir()))
        monkeypatch.setattr(fcntl, "flock", refused)
        with pytest.raises(StoreError, match=r"cannot be locked \(No locks available\)"):
            store.put_products([Product(id="p")])
        assert len(list(Path("/proc/self/fd").iterdir())) == files
        monkeypatch.undo()
        assert store.put_products([Product(id="p")]) == 1
