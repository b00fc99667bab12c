"""The browser, and a small trained shop built once; each face has a server over a copy of its own."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from browsing import Server, Visit, browsing, serving
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; Playwright fetches no browser of its own. Where CI runs, .ci/run has put it there."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        (pytest.fail if "CI" in os.environ else pytest.skip)(
            "no Chromium on this machine (Debian: sudo apt-get install chromium)"
        )
    # Chromium's own sandbox does not run as root, which containers are.
    flags = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def drawn_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained shop that no test writes to, one for all processes that run tests beside each other."""
    room = tmp_path_factory.getbasetemp()
    room = room.parent if "PYTEST_XDIST_WORKER" in os.environ else room
    with (room / "drawn.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (room / "drawn").exists():
            # With one thread: several, on a machine whose cores are taken, wait for each other for a minute.
            pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
            alone = {**os.environ, **dict.fromkeys(pools, "1")}
            program = Path(__file__).with_name("drawn.py")
            subprocess.run([sys.executable, program, room / "drawing"], env=alone, check=True)
            (room / "drawing").rename(room / "drawn")
    return room / "drawn"


@pytest.fixture(scope="module")
def server(drawn_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over a copy of the shop, one a test module."""
    with serving(Path(shutil.copytree(drawn_shop, tmp_path_factory.mktemp("served") / "shop"))) as running:
        yield running


@pytest.fixture
def visit(chromium: Browser, server: Server) -> Visit:
    """visit(**options of the browser) opens a new visitor's page; the test fails when anything on it went wrong."""
    return partial(browsing, chromium, server)
