"""The overview: what it shows over HTTP, what its stream tells of all workers, and how the page moves in a browser."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from socket import SHUT_RDWR
from urllib.parse import urlsplit

import pytest
from browsing import Server, Visit, accessible, serving, sign_up
from playwright.sync_api import Locator, Page, expect
from starlette.testclient import TestClient

from shelfwise.schema import Event, EventType, Product
from shelfwise.serve.app import create_app
from shelfwise.serve.web.console.guard import COOKIE
from shelfwise.serve.web.console.overview import STREAMS, took
from shelfwise.shop import Shop
from shelfwise.trust.accounts import Accounts
from tests.waiting import wait_for

PASSWORD = "a long enough passphrase"
VIEW = {"type": "view_item", "session": "somebody", "product": "mug-red"}


def signed_in(shop: Shop) -> str:
    """The secret of a session."""
    accounts = Accounts(shop.store.accounts)
    if not accounts.exist():
        accounts.create("ann", PASSWORD)
    return accounts.sign_in("ann", PASSWORD, "here")


@pytest.fixture
def folder(drawn_shop: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn_shop, tmp_path / "shop"))


@pytest.fixture
def signed(folder: Path) -> Iterator[TestClient]:
    with Shop(folder) as shop, TestClient(create_app(shop), base_url="http://localhost") as client:
        client.cookies.set(COOKIE, signed_in(shop))
        yield client


def told(page: str, term: str) -> str:
    """The figure under a term."""
    found = re.search(rf"<dt>{re.escape(term)}</dt><dd><strong[^>]*>([^<]*)<", page)
    assert found, term
    return found[1]


def test_what_was_asked_and_sent_is_counted(signed: TestClient) -> None:
    page = signed.get("/console").text
    assert told(page, "Events a minute") == "0"
    assert told(page, "Requests a minute") == "0"
    assert told(page, "99% within (p99)") == "–"
    assert "Nothing was asked in the last minutes" in page
    signed.post("/v1/events", json=[VIEW] * 3)
    signed.post("/v1/recommend", json={"session": "somebody"})
    signed.post("/v1/recommend", json={"k": "many"})
    signed.get("/")
    signed.post("/consent", data={"consent": "given"}, follow_redirects=False)
    signed.post("/collect", json={"events": [VIEW]})
    signed.post("/cart", data={"product": "mug-red"}, follow_redirects=False)
    page = signed.get("/console").text
    assert told(page, "Events a minute") == "5", "the window's own count too"
    assert told(page, "Requests a minute") == "7", "the console's do not"
    assert re.search(r"[\d.]+ (ms|s)$", told(page, "99% within (p99)"))
    assert told(page, "Errors") == "0"
    assert "and 1 refused" in page
    row = re.search(r"<code>/v1/recommend</code></th><td class=\"number\">2</td>(.*?)</tr>", page)
    assert row
    assert re.findall(r"\"number\">(\d+)</td>", row[1]) == ["1", "0"], "one refused, none failed"
    text = signed.get("/metrics").text
    assert "shelfwise_events_accepted_total 5.0" in text
    assert 'route="/console"' in text


def test_the_model_and_the_data_are_told(signed: TestClient, folder: Path) -> None:
    page = signed.get("/console").text
    with Shop(folder) as shop:
        (bundle,) = shop.bundles()
        assert bundle["learned"]["arrived"] == shop.store.newest_sequence()
        version = bundle["version"]
        shop.append_events([Event(type=EventType.VIEW_ITEM, session="s", product="mug-red") for _ in range(3)])
        shop.put_products([Product(id="bare")])
        shop.check()
        events = shop.counts().events
    assert version in page
    assert "0 events have come since" in page
    assert "Learned 0 minutes ago" in page or re.search(r"Learned \d+ (minutes|hours) ago", page)
    assert "Not checked yet" in page
    assert "Nothing was imported here yet" in page
    assert re.search(r"without a photo</dt><dd class=\"number\"><a [^>]*>4</a>", page), "the brown ones"
    page = signed.get("/console?lang=zh").text
    assert "此后又有 3 条事件" in page
    assert f"读取 {41 + events:,} 条记录" in page
    assert "概览" in page


def test_signing_in_leads_there_and_nobody_else_sees_it(folder: Path) -> None:
    with Shop(folder) as shop, TestClient(create_app(shop), base_url="http://localhost") as client:
        for path in ("/console", "/console/live"):
            reply = client.get(path, follow_redirects=False)
            assert reply.status_code == 303
            assert reply.headers["location"].startswith("/console/login")
        link = Accounts(shop.store.accounts).make_link()
        form = client.get(f"/console/link/{link}").text
        token = re.findall(r'name="csrf" value="([^"]+)"', form)[0]
        given = {"csrf": token, "name": "bea", "password": PASSWORD, "next": "/console"}
        page = client.post(f"/console/link/{link}", data=given)
        assert page.url.path == "/console"
        links = re.findall(r"<nav.*?</nav>", page.text, re.DOTALL)[0]
        assert re.findall(r'href="([^"]+)"', links)[0] == "/console"
        assert 'href="/console" aria-current="page"' in links


def test_a_new_shop_is_told_its_next_step(tmp_path: Path) -> None:
    with (
        Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none") as shop,
        TestClient(create_app(shop), base_url="http://localhost:8000") as client,
    ):
        client.cookies.set(COOKIE, signed_in(shop))
        assert "There are no products yet" in client.get("/console").text
        shop.put_products([Product(id="tea <1>'", title="Tea")])
        page = client.get("/console").text
        assert "No events yet" in page
        assert "curl http://localhost:8000/v1/events" in page
        assert "Bearer" not in page
        sent = re.findall(r"-d '([^']*)'", page)[0].replace("&#34;", '"')
        assert client.post("/v1/events", json=json.loads(sent)).json()["accepted"] == 1, "as the page says"
        page = client.get("/console").text
        assert "Nothing was learned yet" in page
        assert 'href="/console/training"' in page


def test_times_read_well() -> None:
    assert [took(seconds) for seconds in (0.00123, 0.0123, 0.5, 1.24, float("inf"), float("nan"))] == [
        *("1.2 ms", "12 ms", "500 ms", "1.2 s", "> 10 s", "–")
    ]


# The stream, of a real server


class Stream:
    """Somebody who looks: `seen` are the pieces of HTML that came, `ended` whether the stream has."""

    def __init__(self, server: Server, secret: str) -> None:
        self._connection = HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        self._connection.connect()
        self._socket = self._connection.sock
        self._connection.request("GET", "/console/live", headers={"cookie": f"{COOKIE}={secret}"})
        self.reply: HTTPResponse = self._connection.getresponse()
        self.seen: list[str] = []
        self.ended = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        lines: list[str] = []
        with suppress(OSError, HTTPException):
            while line := self.reply.readline().decode():
                if line.startswith("data: "):
                    lines.append(line[6:])
                elif lines:
                    self.seen.append("".join(lines))
                    lines = []
        self.ended = True

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(SHUT_RDWR)
        self._thread.join()
        self.reply.close()
        self._connection.close()
        self._socket.close()


Look = Callable[[Server, str], Stream]


@pytest.fixture
def look() -> Iterator[Look]:
    streams: list[Stream] = []

    def opened(server: Server, secret: str) -> Stream:
        streams.append(Stream(server, secret))
        return streams[-1]

    yield opened
    for stream in streams:
        stream.close()


def post(server: Server, events: int) -> None:
    """Each over a connection of its own, so that the workers share them."""
    for _ in range(events):
        connection = HTTPConnection(urlsplit(server.url).netloc, timeout=20)
        connection.request("POST", "/v1/events", json.dumps(VIEW), {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()


@pytest.mark.slow
def test_the_stream_tells_of_all_workers_and_ends_with_the_session(folder: Path, look: Look) -> None:
    with Shop(folder) as shop:
        secret = signed_in(shop)
    with serving(folder, workers=2) as server:
        streams = [look(server, secret) for _ in range(6)]
        assert {stream.reply.getheader("content-type") for stream in streams} == {"text/event-stream; charset=utf-8"}
        wait_for(lambda: all(stream.seen for stream in streams), 30)
        post(server, 20)
        wait_for(lambda: all(told(stream.seen[-1], "Events a minute") == "20" for stream in streams), 30)
        assert all('id="live-now"' in stream.seen[0] for stream in streams)
        with Shop(folder) as shop:
            Accounts(shop.store.accounts).sign_out(secret)
        wait_for(lambda: all(stream.ended for stream in streams), 30)
        assert look(server, secret).reply.status == 303


@pytest.mark.slow
def test_streams_are_bounded_and_free_their_place(folder: Path, look: Look) -> None:
    with Shop(folder) as shop:
        secret = signed_in(shop)
    with serving(folder) as server:
        streams = [look(server, secret) for _ in range(STREAMS)]
        wait_for(lambda: all(stream.seen for stream in streams), 30)
        full = look(server, secret).reply
        assert full.status == 429
        assert full.getheader("retry-after")
        for stream in streams:
            stream.close()
        wait_for(lambda: look(server, secret).reply.status == 200, 30)
        begun = look(server, secret)
        wait_for(lambda: bool(begun.seen), 30)
        server.process.terminate()
        wait_for(lambda: begun.ended, 14)  # before it would be killed
        assert server.process.wait(14) == 0


# The page, in a browser


def figure(page: Page, term: str) -> Locator:
    return page.locator("#live-now .stat", has_text=term).locator("strong")


@pytest.mark.slow
def test_the_page_moves_while_one_looks(visit: Visit, server: Server) -> None:
    with visit() as (page, watch):
        sign_up(page, server)
        page.wait_for_url("**/console")
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        expect(page.get_by_text("● Live")).to_be_visible()
        expect(figure(page, "Events a minute")).to_have_text("0")
        post(server, 9)
        expect(figure(page, "Events a minute")).to_have_text("9")
        expect(figure(page, "Requests a minute")).to_have_text("9")
        expect(figure(page, "(p99)")).to_contain_text("ms")
        row = page.get_by_role("row", name="/v1/events")
        expect(row.get_by_role("cell").first).to_have_text("9")
        expect(page.locator("#live-since")).to_contain_text("9 events have come since")
        accessible(page)

        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("Paused")).to_be_visible()
        post(server, 2)
        page.wait_for_timeout(3_000)
        expect(figure(page, "Events a minute")).to_have_text("9")
        page.get_by_role("button", name="Resume").click()
        expect(figure(page, "Events a minute")).to_have_text("11")

        # The first curve needs two half minutes.
        curves = page.locator("#live-curves figure")
        end = time.monotonic() + 120
        while not curves.count():
            assert time.monotonic() < end
            post(server, 1)
            page.wait_for_timeout(2_000)
        summary = curves.first.locator("summary")
        summary.click()
        expect(curves.first.locator("table")).to_be_visible()
        before = page.locator("#live-since").inner_text()
        post(server, 5)
        expect(page.locator("#live-since")).not_to_have_text(before)
        expect(curves.first.locator("table")).to_be_visible()  # stays open
        expect(summary).to_be_focused()
        accessible(page)
        assert not watch.problems


def test_it_works_without_a_script(visit: Visit, server: Server) -> None:
    with Shop(server.folder) as shop:
        accounts = Accounts(shop.store.accounts)
        accounts.create("eve", PASSWORD)
        secret = accounts.sign_in("eve", PASSWORD, "here")
    with visit(java_script_enabled=False) as (page, _):
        page.context.add_cookies([{"name": COOKIE, "value": secret, "url": server.url}])
        page.goto("/console")
        expect(figure(page, "Events a minute")).to_be_visible()
        expect(page.locator(".live")).to_be_hidden()
