"""Real servers: Granian, worker processes, sockets, signals. What was acknowledged is in the record, whatever dies."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from shelfwise.errors import SettingsError, ShopError, StoreError
from shelfwise.serve.server import serve
from shelfwise.shop import Shop
from tests.waiting import wait_for

CODE = """
import sys
from pathlib import Path
from shelfwise.serve.server import serve
if __name__ == "__main__":
    serve(Path(sys.argv[1]), "127.0.0.1", int(sys.argv[2]), int(sys.argv[3]), lambda *told: print(told[2], flush=True))
"""


class Client:
    """One connection after another, so that the workers share the requests."""

    def __init__(self, port: int) -> None:
        self.port = port

    def call(self, method: str, path: str, content: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            body = None if content is None else json.dumps(content)
            connection.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
            reply = connection.getresponse()
            text = reply.read()
            return reply.status, text.decode() if path == "/metrics" else json.loads(text)
        finally:
            connection.close()

    def products(self, **question: Any) -> list[str]:
        status, content = self.call("POST", "/v1/recommend", question)
        assert status == 200, content
        return [item["product"] for item in content["items"]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, workers: int) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(folder), str(port), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.strip() == f"http://127.0.0.1:{port}", line + process.stdout.read()
        client = Client(port)
        wait_for(lambda: f"shelfwise_workers {workers}.0" in client.call("GET", "/metrics")[1])
        yield process, client
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def children(process: subprocess.Popen[str]) -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    found = []
    for pid in map(int, listed):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


class Load:
    """Threads that send events while it is entered; keeps the ids that were acknowledged and every failure."""

    def __init__(self, client: Client, threads: int = 8) -> None:
        self.acknowledged: list[str] = []
        self.failures: list[str] = []
        self._client = client
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        sent = 0
        while not self._stop.is_set():
            sent += 1
            event = {"id": f"load-{number}-{sent}", "type": "view_item", "session": f"l{number}", "product": "Tea-1"}
            try:
                status, content = self._client.call("POST", "/v1/events", event)
            except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
                self.failures.append(repr(error))
                time.sleep(0.01)
                continue
            if status == 200:
                self.acknowledged += content["ids"]
            else:
                self.failures.append(str(content))


def recorded(folder: Path) -> set[str]:
    with Shop(folder) as shop:
        return {id for frame in shop.store.event_frames() for id in frame["id"].to_list()}


def test_two_workers_are_one_shop(folder: Path, learn: Callable[[Shop], str]) -> None:
    """A visitor's own events at once; the crowd, products and bundles within seconds; one bundle is swapped under load
    without a failure."""
    with running(folder, 2) as (process, client):
        assert len(children(process)) == 2
        assert client.call("GET", "/v1/health")[1]["products"] == 60
        for n in range(10):
            session = f"s{n}"
            event = {"type": "view_item", "session": session, "product": f"Soap-{n}"}
            assert client.call("POST", "/v1/events", event)[0] == 200
            for _ in range(6):  # a connection each: both workers
                items = client.call("POST", "/v1/recommend", {"session": session})[1]["items"]
                assert any(item["reason"].endswith(f"Soap number {n}") for item in items)
        wait_for(lambda: all(client.products() == client.products() for _ in range(12)), 5)

        assert client.call("PUT", "/v1/products", {"id": "New-1", "product_type": "Tea > Kind 9"})[0] == 200
        question = {"filters": {"categories": ["Tea > Kind 9"]}}

        def everywhere(expected: list[str]) -> bool:
            return all(client.products(**question) == expected for _ in range(12))

        wait_for(lambda: everywhere(["New-1"]), 5)
        assert client.call("DELETE", "/v1/products/New-1")[0] == 200
        wait_for(lambda: everywhere([]), 5)

        old = client.call("GET", "/v1/health")[1]["bundle"]
        failures = []
        with Load(client, 2) as load:
            with Shop(folder) as shop:
                new = learn(shop)
            end = time.monotonic() + 3
            while time.monotonic() < end:
                status, content = client.call("POST", "/v1/recommend", {"customer": "c1"})
                if status != 200:
                    failures.append(content)
        assert new != old
        assert not failures
        assert not load.failures
        assert {client.call("GET", "/v1/health")[1]["bundle"] for _ in range(12)} == {new}
        text = client.call("GET", "/metrics")[1]
        accepted = next(line for line in text.splitlines() if line.startswith("shelfwise_events_accepted_total "))
        assert float(accepted.split()[1]) == 10 + len(load.acknowledged)
    assert process.returncode == 0
    assert set(load.acknowledged) <= recorded(folder)


def test_sigterm_under_load_loses_nothing(folder: Path) -> None:
    with running(folder, 2) as (process, client), Load(client) as load:
        wait_for(lambda: len(load.acknowledged) > 200)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert process.returncode == 0
    assert set(load.acknowledged) <= recorded(folder)


@pytest.mark.slow
def test_a_worker_killed_under_load_loses_nothing_and_comes_back(folder: Path) -> None:
    with running(folder, 2) as (process, client):
        with Load(client) as load:
            wait_for(lambda: len(load.acknowledged) > 200)
            victim, other = children(process)
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: len({*children(process)} - {victim, other}) == 1)  # the victim has let go of the port
            wait_for(lambda: "shelfwise_workers 2.0" in client.call("GET", "/metrics")[1])
        assert client.products(customer="c1")
    assert set(load.acknowledged) <= recorded(folder)


def test_a_server_killed_under_load_loses_nothing_and_leaves_no_worker(folder: Path) -> None:
    with running(folder, 2) as (process, client), Load(client) as load:
        wait_for(lambda: len(load.acknowledged) > 200)
        workers = children(process)
        process.kill()
        process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 20)  # else they were killed
    assert set(load.acknowledged) <= recorded(folder)
    with running(folder, 1) as (_, client):
        assert client.products(customer="c1")


def test_ten_megabytes_are_refused_while_they_arrive(folder: Path) -> None:
    """With a length told and in chunks of unknown number: 413, and the server goes on."""
    with running(folder, 1) as (_, client):
        for head in (b"Content-Length: 10000000", b"Transfer-Encoding: chunked"):
            with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
                connection.sendall(
                    b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + head
                    + b"\r\n\r\n"
                )
                chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n" if b"chunked" in head else b" " * 0x10000
                try:
                    for _ in range(160):
                        connection.sendall(chunk)
                except OSError:
                    pass  # the server has answered and closed
                assert b" 413 " in connection.recv(4096).split(b"\r\n", 1)[0]
        assert client.products(customer="c1")
        with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
            connection.sendall(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
            connection.recv(4096)
        assert client.call("GET", "/v1/health")[0] == 200


def test_what_cannot_be_served_is_said_before_anything_starts(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ShopError, match="not a shop"):
        serve(tmp_path)
    with pytest.raises(SettingsError, match="has no keys"):
        serve(folder, "0.0.0.0", free_port())
    Shop(folder).keys.create("k", ["read"])
    with pytest.raises(SettingsError, match="no address"):
        serve(folder, "no-such-host.invalid", free_port())
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(SettingsError, match="cannot be listened on"):
            serve(folder, "127.0.0.1", other.getsockname()[1])
    damaged = tmp_path / "damaged"
    Shop.create(damaged).close()
    (damaged / "record.db").write_text("no database")
    with pytest.raises(StoreError, match=r"damaged or no SQLite file.*Restore it from a backup"):
        serve(damaged, "127.0.0.1", free_port())
