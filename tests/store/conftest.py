"""A record of each kind: SQLite in a temporary folder, and a real PostgreSQL server that the tests start."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shelfwise.store import Store, open_store

_numbers = itertools.count()


def _programs() -> Path | None:
    """The folder with `initdb` and `postgres`: Debian keeps it off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class Server:
    """A PostgreSQL server with its files in `folder`, listening on a Unix socket there and on a loopback port."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._account: int | None = None
        if os.geteuid() == 0:  # the server refuses to run as root
            names = {entry.pw_name: entry for entry in pwd.getpwall()}
            account = names.get("postgres") or names["nobody"]
            self._account = account.pw_uid
            os.chown(folder, account.pw_uid, account.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-A", "trust", "-U", "shelfwise", "--no-sync", "-E", "UTF8"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            user=self._account,
        )

    def start(self) -> None:
        options = ["-p", str(self.port), "-k", str(self._folder), "-h", "127.0.0.1", "-c", "max_connections=50"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                user=self._account,
            )
        end = time.monotonic() + 180  # a recovery on a busy disk
        while time.monotonic() < end:
            ready = [self._programs / "pg_isready", "-q", "-h", str(self._folder), "-p", str(self.port)]
            if subprocess.run(ready, check=False).returncode == 0:
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: end at once, tidily. SIGQUIT: as in a crash, with recovery at the next start."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"record{next(_numbers)}"
        where = ["-h", str(self._folder), "-p", str(self.port), "-U", "shelfwise"]
        subprocess.run([self._programs / "createdb", *where, name], check=True)
        return f"postgresql://shelfwise@127.0.0.1:{self.port}/{name}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL programs here; install Debian's package `postgresql`")
    pytest.importorskip("psycopg", reason="psycopg is absent; pip install 'shelfwise[postgres]'")
    folder = Path(tempfile.mkdtemp(prefix="shelfwise-pg-"))  # short: a socket's path has at most 107 characters
    folder.chmod(0o755)
    server = Server(programs, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Call for the address of a record that does not exist yet."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path}/record{next(_numbers)}.db"
    server: Server = request.getfixturevalue("postgres")
    return server.new_database


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    return new_url()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened
