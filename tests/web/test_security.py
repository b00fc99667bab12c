"""Attacks on the pages: forged forms, planted sessions, guessed passwords, paths that lead out, links that call out."""

from __future__ import annotations

import hashlib
import http.client
import re
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from argon2 import PasswordHasher, extract_parameters
from browsing import Server, Visit
from fastapi import FastAPI
from PIL import Image
from playwright.sync_api import Page
from starlette.routing import Route
from starlette.testclient import TestClient

from shelfwise.intake import load_products
from shelfwise.schema import Event, EventType, Product, now
from shelfwise.serve.app import create_app
from shelfwise.serve.web.console.guard import COOKIE, LOGIN_COOKIE
from shelfwise.shop import Shop
from shelfwise.trust import accounts as trust
from shelfwise.trust.accounts import Accounts, csrf_of
from tests.waiting import wait_for

PASSWORD = "a long enough passphrase"
EVIL = "\"'><script data-evil>window.ran=1</script><img data-evil src=x onerror=window.ran=1>{{7*7}}javascript:"
SHOWN = "<img data-evil"  # of EVIL, as text
ORIGIN = "https://evil.example"


@pytest.fixture(scope="module")
def folder(drawn_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an API key: without one the gate alone refuses what is foreign, and here the pages' own guard is tried."""
    folder = Path(shutil.copytree(drawn_shop, tmp_path_factory.mktemp("security") / "shop"))
    with Shop(folder) as shop:
        shop.keys.create("till", ["read"])
        for name in ("ann", "bob"):
            Accounts(shop.store.accounts).create(name, PASSWORD)
    return folder


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[FastAPI]:
    with Shop(folder) as shop:
        app = create_app(shop)
        with TestClient(app):
            yield app


def client(app: FastAPI, address: str = "10.0.0.1", scheme: str = "http") -> TestClient:
    """A new browser."""
    return TestClient(app, base_url=f"{scheme}://shop.example", client=(address, 5000), follow_redirects=False)


def token_of(page: str) -> str:
    return str(re.findall(r'name="csrf" value="(\w+)"', page)[0])


def sign_in(who: TestClient, name: str = "ann", password: str = PASSWORD):  # type: ignore[no-untyped-def]
    token = token_of(who.get("/console/login").text)
    return who.post("/console/login", data={"name": name, "password": password, "csrf": token})


def state(folder: Path) -> dict[str, object]:
    """All that a form could change: every row of the record and every file of the shop."""
    (record,) = folder.glob("*.db")
    found: dict[str, object] = {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and ".db" not in path.name and "cache" not in path.parts
    }
    with closing(sqlite3.connect(record)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table not in ("account_sessions", "account_attempts"):
                rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()
                found[table] = hashlib.sha256(repr(sorted(map(repr, rows))).encode()).hexdigest()
    return found


def forms(app: FastAPI) -> list[tuple[str, str]]:
    """Every route of the pages that changes something: (method, a path)."""
    found = []
    for route in app.routes:
        if isinstance(route, Route) and not route.path.startswith("/v1/"):
            path = re.sub(r"\{[^}]+\}", "mug-red", route.path)
            found += [(method, path) for method in (route.methods or set()) - {"GET", "HEAD", "OPTIONS"}]
    return sorted(found)


def test_forms_without_their_token_or_from_elsewhere_change_nothing(app: FastAPI, folder: Path) -> None:
    who = client(app)
    assert sign_in(who).status_code == 303
    right = csrf_of(who.cookies[COOKIE])
    told = {"id": "mug-red", "query": "mug", "action": "hide", "products": "mug-red", "line": "a => b", "number": "1"}
    told |= {"version": "x", "typed": "c0", "name": "ann", "password": PASSWORD, "act": "add", "product": "mug-red"}
    told |= {"current": PASSWORD, "new": PASSWORD + "!", "again": PASSWORD + "!"}
    console = [(method, path) for method, path in forms(app) if path.startswith("/console")]
    assert len(console) >= 15, "the routes are found"
    before = state(folder)
    for method, path in console:
        for token in (None, "", right[:-1], "0" * 64, csrf_of("another's")):
            data = told if token is None else told | {"csrf": token}
            files = {"file": ("feed.csv", b"id,title\na,A\n")} if path.endswith(("/import", "/redemptions")) else None
            reply = who.request(method, path, data=data, files=files)
            assert reply.status_code == 403, (method, path, token, reply.status_code)
    before_session = dict(who.cookies)
    for method, path in forms(app):
        for origin in (ORIGIN, "null", "http://shop.example.evil", "http://shop.example:81"):
            files = (
                {"file": ("feed.csv", b"id,title\na,A\n")}
                if path.endswith(("/import", "/redemptions", "/photo"))
                else None
            )
            reply = who.request(method, path, data=told | {"csrf": right}, files=files, headers={"origin": origin})
            assert reply.status_code == 403, (method, path, origin, reply.status_code)
            assert "set-cookie" not in reply.headers or LOGIN_COOKIE in reply.headers["set-cookie"]
    assert state(folder) == before
    assert dict(who.cookies) | {LOGIN_COOKIE: ""} == before_session | {LOGIN_COOKIE: ""}
    assert who.get("/console/data").status_code == 200, "still signed in"


def test_every_console_page_asks_who_is_there(app: FastAPI) -> None:
    open_to_all = {"/console/login", "/console/link/mug-red"}
    for route in app.routes:
        if isinstance(route, Route) and route.path.startswith("/console") and "GET" in (route.methods or ()):
            path = re.sub(r"\{[^}]+\}", "mug-red", route.path)
            if path not in open_to_all:
                reply = client(app).get(path)
                assert (reply.status_code, reply.headers["location"][:14]) == (303, "/console/login"), path


def test_a_browser_cannot_be_signed_in_by_another_site(app: FastAPI, folder: Path) -> None:
    asked = {"name": "ann", "password": PASSWORD}
    theirs = client(app)
    stolen = token_of(theirs.get("/console/login").text)
    with Shop(folder) as shop:
        link = Accounts(shop.store.accounts).make_link("bob")
    for path in ("/console/login", f"/console/link/{link}"):
        victim = client(app)
        for token in ("", stolen):
            reply = victim.post(path, data=asked | {"csrf": token})
            assert reply.status_code == 403
            assert COOKIE not in victim.cookies
        kept = victim.get(path)
        assert victim.post(path, data=asked | {"csrf": stolen}).status_code == 403
        assert victim.post(path, data=asked | {"csrf": token_of(kept.text)}).status_code == 303


def test_a_session_is_new_at_login_and_dead_at_logout(app: FastAPI) -> None:
    planted = "planted" * 6
    who = client(app)
    who.cookies.set(COOKIE, planted, domain="shop.example", path="/console")
    reply = sign_in(who)
    assert reply.status_code == 303
    made = next(one for one in reply.headers.get_list("set-cookie") if one.startswith(COOKIE))
    assert {"httponly", "samesite=lax", "path=/console"} <= {part.strip().lower() for part in made.split(";")}
    assert "secure" not in made.lower()
    session = made.partition("=")[2].partition(";")[0]
    assert session not in ("", planted)

    def enters(secret: str) -> bool:
        return client(app).get("/console/data", headers={"cookie": f"{COOKIE}={secret}"}).status_code == 200

    assert (enters(session), enters(planted)) == (True, False)
    browser = client(app)
    token = token_of(browser.get("/console/login").text)
    cookies = f"{COOKIE}={session}; {LOGIN_COOKIE}={browser.cookies[LOGIN_COOKIE]}"
    asked = {"name": "ann", "password": PASSWORD, "csrf": token}
    second = client(app).post("/console/login", data=asked, headers={"cookie": cookies})
    newer = re.findall(rf"{COOKIE}=([\w-]+)", second.headers["set-cookie"])[0]
    assert newer != session
    assert not enters(session), "signing in again ends the session of before"
    out = client(app).post("/console/logout", data={"csrf": csrf_of(newer)}, headers={"cookie": f"{COOKIE}={newer}"})
    assert out.status_code == 303
    assert not enters(newer), "it is dead on the server, not only in the browser"
    secure = sign_in(client(app, scheme="https"))
    for cookie in secure.headers.get_list("set-cookie"):
        if not cookie.startswith(f'{LOGIN_COOKIE}=""'):
            assert "secure" in cookie.lower()


def test_guessing_is_stopped_for_one_account_and_one_address(app: FastAPI, folder: Path) -> None:
    pair, place = trust.LIMITS[0], trust.LIMITS[1]
    guesser = client(app, "10.9.9.9")
    for _ in range(pair.most):
        assert sign_in(guesser, "ann", "wrong wrong wrong").status_code == 403
    for password in ("wrong wrong wrong", PASSWORD):
        reply = sign_in(guesser, "ann", password)
        assert reply.status_code == 429, "the right one too, else the answer would tell it"
        assert 0 < int(reply.headers["retry-after"]) <= trust.WINDOW.total_seconds()
        assert COOKIE not in guesser.cookies
    assert sign_in(client(app, "10.9.9.8"), "ann").status_code == 303, "from elsewhere the account is not shut out"
    assert sign_in(client(app, "10.9.9.9"), "bob").status_code == 303, "nor other accounts from there"
    for n in range(place.most - pair.most):
        assert sign_in(guesser, f"nobody{n}", "wrong wrong wrong").status_code == 403
    assert sign_in(guesser, "bob").status_code == 429, "but not for ever"
    with closing(sqlite3.connect(next(folder.glob("*.db")))) as record, record:
        record.execute("DELETE FROM account_attempts")
    unknown, known = (sign_in(guesser, name, "wrong wrong wrong").text for name in ("nobody", "bob"))
    told = [re.findall(r'role="alert">(.*?)</p>', page) for page in (unknown, known)]
    assert told[0] == told[1] != [], "the answer does not tell which names there are"
    assert extract_parameters(trust._NOBODY) == extract_parameters(PasswordHasher().hash("x")), "nor does its time"


def test_a_link_works_once_and_expires(app: FastAPI, folder: Path) -> None:
    later = timedelta(0)
    with Shop(folder) as shop:
        record = Accounts(shop.store.accounts, clock=lambda: now() + later)
        old, link = record.make_link(), record.make_link()
        who = client(app)
        assert who.get(f"/console/link/{old}").status_code == 404, "a newer one ends it"
        page = who.get(f"/console/link/{link}")
        assert page.status_code == 200
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["cache-control"] == "no-store"
        told = {"csrf": token_of(page.text), "name": "eve", "password": PASSWORD}
        assert who.post(f"/console/link/{link}", data=told | {"password": "short"}).status_code == 422
        token = token_of(who.get(f"/console/link/{link}").text)
        assert who.post(f"/console/link/{link}", data=told | {"csrf": token}).status_code == 303
        again = client(app)
        assert again.get(f"/console/link/{link}").status_code == 404
        token = token_of(again.get("/console/login").text)
        assert again.post(f"/console/link/{link}", data=told | {"csrf": token, "name": "mal"}).status_code == 404
        third = record.make_link()
        later = trust.LINK_LIFETIME + timedelta(seconds=1)
        assert record.link(third) is None


def test_a_password_is_changed_and_ends_other_sessions(app: FastAPI, folder: Path) -> None:
    with Shop(folder) as shop:
        Accounts(shop.store.accounts).create("carl", PASSWORD)
    here, there = client(app, "10.1.1.1"), client(app, "10.1.1.2")
    assert (sign_in(here, "carl").status_code, sign_in(there, "carl").status_code) == (303, 303)
    for lang in ("en", "zh"):
        page = here.get(f"/console/password?lang={lang}").text
        assert 'href="/console/password" aria-current="page"' in page
        assert not re.findall(r"console\.[a-z_]+\.[a-z_]+", re.sub(r"<[^>]*>", "", page)), "a text is missing"
    csrf, new = csrf_of(here.cookies[COOKIE]), "another good passphrase"

    def change(current: str, new: str, again: str):  # type: ignore[no-untyped-def]
        told = {"csrf": csrf, "current": current, "new": new, "again": again}
        return here.post("/console/password", data=told)

    assert change(PASSWORD, new, new + "x").status_code == 422
    assert change(PASSWORD, "short", "short").status_code == 422
    assert change("not the one there is", new, new).status_code == 403
    assert there.get("/console/data").status_code == 200, "nothing has changed"
    done = change(PASSWORD, new, new)
    assert done.status_code == 303
    assert 'role="status"' in here.get(done.headers["location"]).text
    assert there.get("/console/data").status_code == 303
    assert sign_in(client(app), "carl").status_code == 403
    assert sign_in(client(app), "carl", new).status_code == 303
    codes = [change("not the one there is", PASSWORD, PASSWORD).status_code for _ in range(7)]
    assert codes[0] == 403
    assert codes[-1] == 429, "guessing is stopped here too"


# Below, over a server of its own: `shelfwise serve`.


def asked(server: Server, path: str, **headers: str) -> tuple[int, bytes, str]:
    """The path exactly as it is written: no client tidies it up."""
    with closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)) as connection:
        connection.putrequest("GET", path)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        reply = connection.getresponse()
        return reply.status, reply.read(), reply.headers.get("content-type", "")


@contextmanager
def listening() -> Iterator[tuple[int, list[bytes]]]:
    """(a port of this machine, what was sent to it)."""
    heard: list[bytes] = []
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        door.settimeout(0.1)
        ended = threading.Event()

        def wait() -> None:
            while not ended.is_set():
                try:
                    caller, _ = door.accept()
                except TimeoutError:
                    continue
                with caller:
                    caller.settimeout(1)
                    try:
                        heard.append(caller.recv(1_000))
                    except OSError:
                        heard.append(b"")

        thread = threading.Thread(target=wait)
        thread.start()
        try:
            yield door.getsockname()[1], heard
        finally:
            ended.set()
            thread.join()


def test_paths_lead_nowhere_else(server: Server) -> None:
    outside = server.folder.parent / "outside.png"
    Image.new("RGB", (64, 64), "#ff0000").save(outside)
    photos = server.folder / "photos"
    (photos / "leads-out.png").symlink_to(outside)
    (server.folder / "all").symlink_to(server.folder.parent, target_is_directory=True)
    links = ["../outside.png", "photos/../../outside.png", str(outside), "photos/leads-out.png", "all/outside.png"]
    links += [f"file://{outside}", "%2e%2e/outside.png", "..%2foutside.png", "..\\outside.png", "/etc/passwd"]
    links += ["shelfwise.toml", "photos", ".", "~/x.png", "\\\\host\\share.png", "data:image/png;base64,AAAA"]
    with Shop(server.folder) as shop:
        shop.put_products(
            [Product(id=f"out-{n}", title="Way out", image_link=link) for n, link in enumerate(links)]
            + [Product(id="inside", title="Inside", image_link="photos/mug-red.jpg")]
        )
    assert asked(server, "/images/inside/96")[2] == "image/webp"
    for n, link in enumerate(links):
        status, body, kind = asked(server, f"/images/out-{n}/96")
        assert (status, kind, body[:4]) == (200, "image/svg+xml", b"<svg"), link
    before = (server.folder.parent / "outside.png").read_bytes()
    ups = ("..", "%2e%2e", "%2E.", "..%2f..", "%252e%252e", "....//..", "..%5c", "%00", "%c0%ae%c0%ae")
    targets = ("etc/passwd", "shelfwise.toml", "render.py", "outside.png", "templates/base.html")
    for root in ("/static", "/static/vendor", "/images", "/images/photos", "/docs/assets"):
        for up in ups:
            for target in targets:
                for path in (f"{root}/{up}/{target}", f"{root}/{up}/{up}/{up}/{up}/{up}/{target}", f"{root}//{target}"):
                    status, body, _ = asked(server, path)
                    assert status in (400, 404), path
                    assert b"root:" not in body
                    assert b"import annotations" not in body
                    assert before not in body
    session = ""
    with Shop(server.folder) as shop:
        record = Accounts(shop.store.accounts)
        if not record.exist():
            record.create("ann", PASSWORD)
        session = record.sign_in("ann", PASSWORD, "here")
    for start in ("data/import", "training/jobs", "products"):
        for id in (*ups, "%2fetc%2fpasswd", "x%00y", "a" * 3_000, "..%2f..%2fjobs"):
            status, body, _ = asked(server, f"/console/{start}/{id}", cookie=f"{COOKIE}={session}")
            assert status in (303, 400, 404, 414), (start, id, status)
            assert b"root:" not in body
    for query in ("training/compare?version=../../x&version=%00", "reports/download?version=..%2f..%2fshelfwise.toml"):
        status, body, _ = asked(server, f"/console/{query}", cookie=f"{COOKIE}={session}")
        assert status in (400, 404, 422), query
        assert b"name =" not in body


def test_links_of_a_feed_call_nobody(server: Server, visit: Visit, tmp_path: Path) -> None:
    with listening() as (port, heard):
        with socket.create_connection(("127.0.0.1", port)) as caller:
            caller.sendall(b"who is there")
        wait_for(lambda: bool(heard), 5)
        assert heard == [b"who is there"], "it hears"
        there = f"127.0.0.1:{port}/x.png"
        links = [f"http://{there}", f"HTTP://{there}", f"https://{there}", f"//{there}", f"ftp://{there}"]
        links += [f"http:/{there}", f"http://localhost:{port}/x.png", f"http://2130706433:{port}/x", f"\\\\{there}"]
        feed = tmp_path / "feed.csv"
        rows = [f'call-{n},Teapot that calls {n},"{link}","{link}",9 EUR' for n, link in enumerate(links)]
        feed.write_text("\n".join(["id,title,image_link,link,price", *rows]) + "\n", "utf-8")
        with Shop(server.folder) as shop:
            assert load_products(feed, shop.store, images=server.folder).kept == len(links)
            shop.refresh()
            shop.searching.indexes.complete()
            shop.train()
            if not Accounts(shop.store.accounts).exist():
                Accounts(shop.store.accounts).create("ann", PASSWORD)
        with visit() as (page, _):
            for path in ("/search?q=teapot+that+calls", "/product/call-0", "/product/call-2"):
                page.goto(path, wait_until="networkidle")
            enter(page)
            for path in ("/console/products?q=teapot+that+calls", "/console/products/call-0"):
                page.goto(path, wait_until="networkidle")
                assert "Teapot that calls" in page.inner_text("body")
        for n in range(len(links)):
            assert asked(server, f"/images/call-{n}/320")[2] == "image/svg+xml"
        time.sleep(0.3)
        assert heard == [b"who is there"]


def enter(page: Page) -> None:
    page.goto("/console/login")
    page.fill("#name", "ann")
    page.fill("#password", PASSWORD)
    page.locator("main button").click()
    page.wait_for_url("**/console**")


def harmless(page: Page, path: str) -> str:
    """What the page shows; nothing of what was planted has become part of it."""
    page.goto(path, wait_until="networkidle")
    found = page.evaluate(
        """() => ({
            ran: window.ran === undefined ? "" : String(window.ran),
            planted: document.querySelectorAll("[data-evil]").length,
            scripts: [...document.scripts].filter(s => !s.src && !/json/.test(s.type)).length,
            handlers: [...document.querySelectorAll("*")].flatMap(e => e.getAttributeNames())
                .filter(name => name.startsWith("on")).length,
            links: [...document.querySelectorAll("[href],[src],[action],[formaction]")]
                .flatMap(e => ["href", "src", "action", "formaction"].map(n => e.getAttribute(n) || ""))
                .filter(a => /^\\s*(javascript|vbscript|data:text)/i.test(a)).length,
        })"""
    )
    assert found == {"ran": "", "planted": 0, "scripts": 0, "handlers": 0, "links": 0}, path
    return page.inner_text("body")


@pytest.mark.slow
def test_planted_scripts_are_shown_and_never_run(server: Server, visit: Visit) -> None:
    script = "javascript:window.ran=1"
    with Shop(server.folder) as shop:
        shop.put_products(
            [
                Product(
                    id="evil",
                    title=f"Gargoyle {EVIL}",
                    price=1.0,
                    link=script,
                    image_link=script,
                    attributes={"color": EVIL, "material": EVIL},
                    brand=EVIL,
                    product_type=f"{EVIL} > {EVIL}",
                    description=EVIL,
                ),
                Product(id="evil/<b data-evil>", title=f"Gargoyle two {EVIL}", link=script),
            ]
        )
        who = "evil<b data-evil>"
        shop.append_events(
            [Event(type=EventType.SEARCH, customer=who, query=EVIL)]
            + [Event(type=EventType.VIEW_ITEM, customer=who, product=id) for id in ("evil", "evil/<b data-evil>")]
        )
        if not Accounts(shop.store.accounts).exist():
            Accounts(shop.store.accounts).create("ann", PASSWORD)
    time.sleep(1)  # the server follows every 0.2 s
    q, customer = urlencode({"q": EVIL}), urlencode({"id": who})
    with visit() as (page, watch):
        page.on("dialog", lambda one: watch.problems.append(f"a dialog: {one.message}"))
        assert SHOWN in harmless(page, "/search?q=gargoyle")
        assert SHOWN in harmless(page, f"/search?{q}")
        assert SHOWN in harmless(page, "/product/evil")
        assert SHOWN in harmless(page, "/product/evil%2F%3Cb%20data-evil%3E")
        page.get_by_role("button", name="cart").first.click()
        page.wait_for_url("**/cart")
        assert SHOWN in harmless(page, "/cart")
        for path in ("/", "/new", f"/search?{urlencode({'q': 'gargoyle', 'brand': EVIL})}"):
            harmless(page, path)
        assert SHOWN not in page.request.get("/why?product=evil").text(), "a fragment, not a page"
        page.goto("/")
        with page.expect_response("**/suggest?**"):
            page.locator("input[name=q]").first.press_sequentially("gargoyle")
        page.wait_for_timeout(300)
        assert page.evaluate("document.querySelectorAll('[data-evil]').length") == 0
        enter(page)
        page.goto("/console/data")
        rows = f'id,title,price\nfeed-1,"{EVIL.replace(chr(34), chr(34) * 2)}",dear {SHOWN}>\n'
        name = f"{SHOWN} src=x onerror=window.ran=1>.csv"
        page.set_input_files("input[type=file]", {"name": name, "mimeType": "text/csv", "buffer": rows.encode()})
        if "/import/" not in page.url:
            page.locator("form:has(input[type=file]) button").first.click()
        page.wait_for_url("**/console/data/import/*")
        report = re.sub(r"^https?://[^/]+", "", page.url)
        page.get_by_role("heading", name="Quality report").wait_for(timeout=30_000)
        assert harmless(page, report).count(SHOWN) >= 2, "the file's name, and an example of what is wrong"
        assert SHOWN in harmless(page, "/console/data")
        page.goto("/console/synonyms")
        page.fill("[name=line]", f"gargoyle, {SHOWN}>")
        page.locator("form:has([name=line]) button").first.click()
        page.wait_for_url("**/console/synonyms?done=**")
        assert SHOWN in harmless(page, "/console/synonyms")
        page.goto("/console/rules")
        page.fill("[name=query]", EVIL)
        page.fill("textarea[name=products]", "evil")
        page.fill("[name=note]", EVIL)
        page.locator("form:has(textarea[name=products]) button").first.click()
        page.wait_for_url("**/console/rules?done=**")
        assert SHOWN in harmless(page, "/console/rules")
        for path in (
            "products?q=gargoyle",
            "products/evil",
            f"search?{q}",
            f"customers?{customer}",
        ):
            assert SHOWN in harmless(page, f"/console/{path}"), path
        for path in (
            "customers",
            "queries?days=365",
            "training",
            "reports",
            "password",
            f"login?{urlencode({'next': EVIL})}",
        ):
            harmless(page, f"/console/{path}")
    with visit() as (page, watch):
        watch.allowed |= {403, 404}
        harmless(page, f"/console/login?{urlencode({'next': 'javascript:window.ran=1'})}")
        page.fill("#name", SHOWN)
        page.fill("#password", "wrong wrong wrong")
        page.locator("main button").click()
        page.wait_for_selector("[role=alert]")
        assert page.input_value("#name") == SHOWN
        assert page.input_value("input[name=next]").startswith("/console")
        assert SHOWN in harmless(page, f"/product/{SHOWN.replace('<', '%3C')}")


def test_a_link_is_printed_once_and_no_visit_is_logged(server: Server, visit: Visit) -> None:
    secret = server.link.rpartition("/")[2]
    assert len(secret) > 20
    asked(server, f"/console/link/{secret}")
    (log,) = server.folder.parent.glob(f"{server.folder.name}-*.log")
    assert log.read_text().count(secret) == 1
