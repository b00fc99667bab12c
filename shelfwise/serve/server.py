"""The server: Granian with one or many worker processes over one shop.

Every worker opens the shop itself; what one writes the others read from the record at once, and follow in
catalogue and bundle within a second. SIGTERM or Ctrl-C ends it gently: requests under way are answered, the
record's writer is drained. A worker that dies is started again; workers end when the server's process does.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from shelfwise.errors import SettingsError, ShelfwiseError, ShopError
from shelfwise.running import killed
from shelfwise.serve.ending import end
from shelfwise.serve.gate import is_loopback
from shelfwise.serve.metrics import DIRECTORY
from shelfwise.settings import FILE, PREFIX, load_settings
from shelfwise.shop import Shop
from shelfwise.trust.keys import KeyRing

if TYPE_CHECKING:
    from fastapi import FastAPI

    from shelfwise.models.recommender import Progress

BACKPRESSURE = 256  # requests a worker holds at once; more wait in the socket's queue
STOP_SECONDS = 15  # then a worker that has not ended is killed
START_SECONDS = 120
_AGAIN_SECONDS = 1  # before a worker that cannot start is started again
log = logging.getLogger("shelfwise.serve")


def serve(
    folder: Path,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Serve the shop in `folder` until SIGTERM or Ctrl-C; what is None is taken from its settings.

    Call it from the main thread. `progress` is told (1, 1, address) when the first worker answers. Raises
    ShopError when there is no shop or the workers cannot start, StoreError when its record cannot be opened,
    SettingsError when the address cannot be used or is
    not loopback while the shop has no keys.
    """
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
    from granian.log import LogLevels

    folder = folder.resolve()
    if not (folder / FILE).exists():
        raise ShopError(f"{folder} is not a shop; make one with `shelfwise init`")
    settings = load_settings(folder)
    host, port, workers = host or settings.host, port or settings.port, workers or settings.workers
    if not is_loopback(host) and not KeyRing(folder).list():
        raise SettingsError(
            f"host {host} is open to other machines and the shop has no keys; make one with `shelfwise keys create`, "
            "or listen on 127.0.0.1"
        )
    address = _free_address(host, port)
    with Shop(folder) as shop:
        shop.store.newest_sequence()  # where the record cannot be opened, it is said here, not by each worker
    for left in killed(folder, forget=True):
        log.warning("%s.", left)
    with tempfile.TemporaryDirectory(prefix="shelfwise-metrics-") as metrics, _workers(folder, host, port, metrics):

        class Server(Granian):  # type: ignore[misc, valid-type]
            def shutdown(self, exit_code: int = 0) -> None:
                end(metrics)
                super().shutdown(exit_code)

        server = Server(
            "shelfwise.serve.server:worker",
            factory=True,
            address=address,
            port=port,
            workers=workers,
            interface=Interfaces.ASGI,
            loop=Loops.uvloop if sys.platform != "win32" else Loops.asyncio,
            http=HTTPModes.http1,
            runtime_mode=RuntimeModes.st,  # measured twice as fast as mt, which Granian chooses for ASGI by itself
            websockets=False,
            backpressure=BACKPRESSURE,
            log_level=LogLevels.warning,
            log_access=False,
            respawn_failed_workers=True,
            respawn_interval=0.1,
            workers_kill_timeout=STOP_SECONDS,
        )
        if progress is not None:
            threading.Thread(target=_announce, args=(progress, address, port), daemon=True).start()
        try:
            server.serve()
        except SystemExit as exit:
            if exit.code:
                raise ShopError("the server's workers ended unexpectedly; the log above says why") from None


def worker() -> FastAPI:
    """What each worker process runs: the app over the shop that the environment names."""
    from shelfwise.serve.app import create_app

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    sys.setswitchinterval(0.001)  # a thread beside the event loop holds it up for a millisecond at most
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        return create_app(Shop(Path(os.environ[f"{PREFIX}SHOP"])), own=True)
    except ShelfwiseError as error:
        log.error("this worker cannot start, and is started again: %s", error)
        time.sleep(_AGAIN_SECONDS)
        raise SystemExit(1) from None


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    """A server killed hard cannot stop its workers: each watches, and ends gently by itself.

    It asks twice: a signal between the two runs of its event loop, start and service, is lost. (Not three times:
    Granian would wait for room.)
    """
    parent.join()
    end(os.environ[DIRECTORY])
    for number, seconds in ((signal.SIGTERM, 5), (signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 0)):
        os.kill(os.getpid(), number)
        time.sleep(seconds)


def _free_address(host: str, port: int) -> str:
    """The numeric address of `host`, when the port is free there. (Workers share the port, so that the
    system would let a second server share it too, and answer half of the first one's requests.)"""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise SettingsError(f"host {host!r} is no address of this machine: {error}") from None
    addresses.sort(key=lambda entry: entry[0] != socket.AF_INET)
    family, kind, protocol, _, address = addresses[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except PermissionError:
            raise SettingsError(f"port {port} needs more rights; choose one above 1023 with --port") from None
        except OSError as error:
            raise SettingsError(
                f"{host}:{port} cannot be listened on ({error.strerror}); stop what runs there or choose another "
                f"with --port or {PREFIX}PORT"
            ) from None
    return str(address[0])


@contextmanager
def _workers(folder: Path, host: str, port: int, metrics: str) -> Iterator[None]:
    """The environment that workers inherit. They are spawned, not forked: threads of polars, torch and FAISS do not
    survive a fork. One thread each for numeric libraries: workers are the parallelism."""
    ours = {
        f"{PREFIX}SHOP": str(folder),
        f"{PREFIX}HOST": host,
        f"{PREFIX}PORT": str(port),
        DIRECTORY: metrics,
        **{
            f"{library}_NUM_THREADS": os.environ.get(f"{library}_NUM_THREADS", "1")
            for library in ("OMP", "OPENBLAS", "MKL")
        },
    }
    before = {name: os.environ.get(name) for name in ours}
    method = multiprocessing.get_start_method(allow_none=True)
    os.environ.update(ours)
    multiprocessing.set_start_method("spawn", force=True)
    try:
        yield
    finally:
        multiprocessing.set_start_method(method, force=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _announce(progress: Progress, address: str, port: int) -> None:
    """Tell when the first worker answers."""
    to = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        connection = HTTPConnection(to, port, timeout=5)
        try:
            connection.request("GET", "/v1/health", headers={"Host": "localhost"})
            if connection.getresponse().status == 200:
                shown = f"[{to}]" if ":" in to else to
                progress(1, 1, f"http://{shown}:{port}")
                return
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.05)
