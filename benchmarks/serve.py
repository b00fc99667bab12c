"""How fast the HTTP API answers: latency at a steady rate, requests at saturation, events taken in durably.

    python benchmarks/serve.py --shop PATH [--rate 200] [--seconds 20] [--json]

Without a shop at PATH the demo's shop is made there first. The server runs as it does in service (Granian, worker
processes) over a copy of the shop on the same disk, so that the shop itself is not written to. The client is a
process of its own: plain sockets, requests made before the clock starts. In the open loop a request's time counts
from when it was due, not from when the client got round to it; due times do not wait for answers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import timeit
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

CONNECTIONS = 32
_MOST = 500  # requests under way at once, after which a server does not keep up


def encode(path: str, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    )
    return head.encode() + b"\r\n\r\n" + content


class Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.begun = 0.0
        self.first = 0.0  # when the answer's first byte came
        self._parts = b""

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, request: bytes, begun: float) -> None:
        self.begun = begun
        self._parts = b""
        self.socket.sendall(request)

    def receive(self) -> int:
        """Read what has come: the answer's status, or 0 while it is not whole."""
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError("the server closed the connection")
        if not self._parts:
            self.first = time.perf_counter()
        self._parts += part
        head, found, body = self._parts.partition(b"\r\n\r\n")
        if not found:
            return 0
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        length = int(lower[at:].split(b"\r\n", 1)[0])
        return int(head[9:12]) if len(body) >= length else 0


def yardstick() -> float:
    """Milliseconds in which Python adds a million numbers: about 9 on a core of its own, twice that on a busy host."""
    return round(min(timeit.repeat("sum(range(1_000_000))", number=1, repeat=20)) * 1000, 1)


def open_loop(port: int, requests: list[bytes], rate: float, seconds: float) -> dict[str, Any]:
    """Send at due times 1 / rate apart; a busy connection never delays a request: another is opened, up to `_MOST`.
    `held` says whether the server kept up; no more is sent once it does not."""
    idle = deque(Connection(port) for _ in range(8))
    waiting = selectors.DefaultSelector()
    busy: set[Connection] = set()
    times: list[float] = []
    firsts: list[float] = []
    late: list[float] = []
    statuses: dict[int, int] = {}
    source = cycle(requests)
    begun = time.perf_counter() + 0.05
    total = int(rate * seconds)
    sent = 0
    while sent < total or busy:
        now = time.perf_counter()
        due = begun + sent / rate
        if sent < total and now >= due:
            if len(busy) == _MOST:
                total = sent
                continue
            connection = idle.pop() if idle else Connection(port)
            connection.send(next(source), due)
            late.append(time.perf_counter() - due)
            busy.add(connection)
            waiting.register(connection, selectors.EVENT_READ)
            sent += 1
            continue
        wait = max(0.0, due - now) if sent < total else 5.0
        ready = waiting.select(wait)
        if not ready and sent >= total:
            break
        for key, _ in ready:
            connection = key.fileobj
            status = connection.receive()
            if status:
                waiting.unregister(connection)
                times.append(time.perf_counter() - connection.begun)
                firsts.append(connection.first - connection.begun)
                statuses[status] = statuses.get(status, 0) + 1
                busy.remove(connection)
                idle.append(connection)
    for values in (times, firsts, late):
        values.sort()
    return {
        "rate": rate,
        "seconds": seconds,
        "requests": total,
        "held": len(times) == int(rate * seconds),
        "unanswered": len(busy),
        "statuses": statuses,
        "p50_ms": _at(times, 0.5),
        "p90_ms": _at(times, 0.9),
        "p99_ms": _at(times, 0.99),
        "p99.9_ms": _at(times, 0.999),
        "max_ms": round(times[-1] * 1000, 3),
        "first_byte_p50_ms": _at(firsts, 0.5),
        "first_byte_p99_ms": _at(firsts, 0.99),
        "client_late_p99_ms": _at(late, 0.99),
    }


def _at(values: list[float], share: float) -> float:
    """The quantile of sorted seconds, in milliseconds."""
    return round(values[min(len(values) - 1, int(share * len(values)))] * 1000, 3)


def saturation(port: int, requests: list[bytes], connections: int, seconds: float) -> dict[str, Any]:
    """Every connection sends its next request as soon as it has its answer."""
    poll = select.epoll()
    mine: dict[int, Connection] = {}
    source = cycle(requests)
    begun = time.perf_counter()
    for _ in range(connections):
        connection = Connection(port)
        mine[connection.fileno()] = connection
        poll.register(connection.fileno(), select.EPOLLIN)
        connection.send(next(source), time.perf_counter())
    end = begun + seconds
    statuses: dict[int, int] = {}
    times: list[float] = []
    now = begun
    while now < end:
        for number, _ in poll.poll(1.0):
            connection = mine[number]
            status = connection.receive()
            if status:
                now = time.perf_counter()
                times.append(now - connection.begun)
                statuses[status] = statuses.get(status, 0) + 1
                connection.send(next(source), now)
        now = time.perf_counter()
    times.sort()
    done = sum(statuses.values())
    return {
        "connections": connections,
        "seconds": seconds,
        "statuses": statuses,
        "per_second": round(done / (now - begun), 1),
        "p50_ms": round(times[len(times) // 2] * 1000, 3),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 3),
    }


def client(spec: dict[str, Any]) -> dict[str, Any]:
    """Run one load from its description, in a process of its own."""
    if spec["kind"] == "events":
        kinds, chance = ["view_item", "add_to_cart", "purchase"], random.Random(spec["seed"])
        requests = [
            encode(
                "/v1/events",
                {
                    "type": chance.choice(kinds),
                    "session": f"benchmark-{chance.randrange(100_000)}",
                    "product": chance.choice(spec["products"]),
                },
            )
            for _ in range(20_000)
        ]
        return saturation(spec["port"], requests, CONNECTIONS, spec["seconds"])
    if spec["kind"] == "health":
        return open_loop(
            spec["port"], [b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"], spec["rate"], spec["seconds"]
        )
    requests = [encode("/v1/recommend", {"customer": customer, "k": 12}) for customer in spec["customers"]]
    if spec["kind"] == "open":
        return open_loop(spec["port"], requests, spec["rate"], spec["seconds"])
    return saturation(spec["port"], requests, CONNECTIONS, spec["seconds"])


def load(program: str, **spec: Any) -> dict[str, Any]:
    """One load, in a process of its own: `program --client` reads the spec and prints what it measured."""
    done = subprocess.run(
        [sys.executable, program, "--client"], input=json.dumps(spec), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@contextmanager
def server(shop: Path, workers: int) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    code = (
        "import sys; from pathlib import Path; from shelfwise.serve.server import serve\n"
        "if __name__ == '__main__': serve(Path(sys.argv[1]), '127.0.0.1', int(sys.argv[2]), int(sys.argv[3]), "
        "lambda *told: print(told, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(shop), str(port), str(workers)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit("the server did not start")
        time.sleep(1.0 + 2.0 * (workers > 1))  # the other workers
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", action="store_true", help="only JSON on standard output")
    arguments = parser.parse_args()
    note = sys.stderr if arguments.json else sys.stdout

    from shelfwise.settings import FILE
    from shelfwise.shop import Shop

    if not (arguments.shop / FILE).exists():
        subprocess.run(
            [sys.executable, "-m", "shelfwise.cli", "demo", "--no-serve", "--shop", str(arguments.shop)], check=True
        )
    with tempfile.TemporaryDirectory(dir=arguments.shop.resolve().parent, prefix="bench-serve-") as room:
        copy = Path(room) / "shop"
        shutil.copytree(arguments.shop, copy)
        with Shop(copy) as shop:
            counts = shop.counts()
            asked = sorted(shop.store.customers())
            products = shop.store.products_frame()["id"].to_list()
        chance = random.Random(0)
        chance.shuffle(asked)
        products = chance.sample(products, min(2_000, len(products)))
        results: dict[str, Any] = {
            "machine": {
                "cpus": os.cpu_count(),
                "python": platform.python_version(),
                "system": platform.platform(),
                "yardstick_ms": yardstick(),
            },
            "shop": {"products": counts.products, "events": counts.events, "customers": counts.customers},
        }

        def measure(name: str, workers: int, **spec: Any) -> None:
            with server(copy, workers) as port:
                warm = {**spec, "seconds": 3.0}
                load(__file__, port=port, customers=asked[-200:], products=products, seed=1, **warm)
                results[name] = {"workers": workers} | load(
                    __file__, port=port, customers=asked, products=products, seed=2, **spec
                )
            print(name, json.dumps(results[name]), file=note, flush=True)

        seconds = arguments.seconds
        measure("health_open_loop", 1, kind="health", rate=arguments.rate, seconds=seconds / 4)
        measure("recommend_open_loop", 1, kind="open", rate=arguments.rate, seconds=seconds)
        measure("recommend_saturation_1", 1, kind="saturation", seconds=seconds / 2)
        measure("recommend_saturation_2", 2, kind="saturation", seconds=seconds / 2)
        measure("events_1", 1, kind="events", seconds=seconds / 2)
        measure("events_2", 2, kind="events", seconds=seconds / 2)
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    if sys.argv[1:] == ["--client"]:
        print(json.dumps(client(json.load(sys.stdin))))
    else:
        main()
