"""A server process and a browser that is watched: nothing may fail, warn, or leave the host."""

from __future__ import annotations

import importlib.resources
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Response

AXE = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
START_SECONDS = 120
NAME, PASSWORD = "ada", "a long enough passphrase"

Visit = Callable[..., AbstractContextManager[tuple["Page", "Watch"]]]


@dataclass
class Server:
    """A running `shelfwise serve`. `link` is the one-time link it printed, or ""."""

    folder: Path
    url: str
    link: str
    process: subprocess.Popen[str]


@contextmanager
def serving(folder: Path, workers: int = 1) -> Iterator[Server]:
    """The command line's own server over the shop in `folder`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--workers", str(workers)]
    log = folder.parent / f"{folder.name}-{port}.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "shelfwise.cli", "serve", "--shop", str(folder), *options],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "COLUMNS": "400"},
            text=True,
        )
        try:
            end = time.monotonic() + START_SECONDS
            while (console := re.search(r"The console: (\S+)", log.read_text())) is None or not _listens(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            link = console[1] if "/link/" in console[1] else ""
            yield Server(folder, f"http://127.0.0.1:{port}", link, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Watch:
    """What went wrong on the pages of one browser context. `allowed` are statuses a test provokes."""

    url: str
    problems: list[str] = field(default_factory=list)
    allowed: set[int] = field(default_factory=set)
    pages: int = 0

    def follow(self, context: BrowserContext) -> None:
        host = urlsplit(self.url).netloc
        context.on("page", self._page)

        def request(url: str) -> None:
            scheme, netloc = urlsplit(url)[:2]
            if scheme not in ("data", "blob", "about") and netloc != host:
                self.problems.append(f"left the host: {url}")

        context.on("request", lambda one: request(one.url))
        context.on("response", self._answered)

    def _page(self, page: Page) -> None:
        self.pages += 1
        page.on("pageerror", lambda error: self.problems.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self._said(page.url, said.type, said.text))

    def _said(self, url: str, kind: str, text: str) -> None:
        expected = any(f"status of {status}" in text for status in self.allowed)
        if kind in ("error", "warning") and not expected:
            self.problems.append(f"{url}: console {kind}: {text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.allowed:
            self.problems.append(f"{response.status} {response.request.method} {response.url}")
        if response.request.resource_type == "document" and not 300 <= response.status < 400:
            try:
                guarded(response)
            except AssertionError as error:
                self.problems.append(f"{response.url}: {error}")


@contextmanager
def browsing(browser: Browser, server: Server, **options: object) -> Iterator[tuple[Page, Watch]]:
    """A new visitor's page, watched; whatever went wrong fails the test when it ends."""
    options = {"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **options}
    context = browser.new_context(base_url=server.url, **options)  # type: ignore[arg-type]
    context.set_default_timeout(15_000)
    watch = Watch(server.url)
    watch.follow(context)
    try:
        yield context.new_page(), watch
    finally:
        context.close()
    assert not watch.problems, "\n".join(watch.problems)


def accessible(page: Page) -> None:
    """axe-core finds nothing serious or critical on the page as it stands."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    serious = [
        f"{one['impact']} {one['id']}: {one['help']}\n    "
        + "\n    ".join(f"{node['html'][:200]} {node['failureSummary'][:300]}" for node in one["nodes"][:4])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert not serious, f"{page.url}\n" + "\n".join(serious)


def fits(page: Page) -> None:
    """Nothing reaches over the side of the window."""
    wide, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window, f"{page.url} is {wide} px wide in a window of {window}"


_SCRIPT = re.compile(r"<script\b(?![^>]*\bsrc=)(?![^>]*type=\"application/(?:ld\+)?json\")", re.IGNORECASE)
_STYLE = re.compile(r"<style\b|\sstyle=|\son[a-z]+=", re.IGNORECASE)


def guarded(response: Response) -> None:
    """The page's headers let no inline script or style in, and nothing of other hosts."""
    policy = dict(
        part.strip().split(" ", 1) if " " in part.strip() else (part.strip(), "")
        for part in response.headers.get("content-security-policy", "").split(";")
        if part.strip()
    )
    assert policy.get("default-src") == "'self'", policy
    assert policy.get("script-src", "'self'") == "'self'", policy
    assert policy.get("style-src", "'self'") == "'self'", policy
    assert policy.get("object-src") == "'none'", policy
    assert policy.get("base-uri") == "'none'", policy
    assert policy.get("frame-ancestors") == "'none'", policy
    assert policy.get("form-action") == "'self'", policy
    assert response.headers.get("x-content-type-options") == "nosniff"
    assert response.headers.get("referrer-policy") in ("same-origin", "no-referrer")
    assert not any("unsafe" in sources or "*" in sources for sources in policy.values()), policy


def strict(response: Response | None) -> None:
    """So they do, and the page itself has none."""
    assert response is not None
    guarded(response)
    text = response.text()
    assert not _SCRIPT.findall(text), f"{response.url}: inline script"
    assert not _STYLE.findall(re.sub(r">[^<]*<", "><", text)), f"{response.url}: {_STYLE.findall(text)}"
    assert not re.findall(r"(?:src|href|action)=\"(?:https?:)?//[^\"]*", text), f"{response.url}: a foreign address"


def told(page: Page) -> dict[str, object]:
    """A JSON page's content."""
    content: dict[str, object] = json.loads(page.inner_text("body"))
    return content


def sign_up(page: Page, server: Server) -> None:
    """Through the one-time link that the server printed at its first start."""
    page.goto(server.link)
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(r"/console(?!/link)"))
