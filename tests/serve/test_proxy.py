"""Behind a proxy: who is local, which address asks, a prefix, secure cookies; and pages of other origins that read."""

from __future__ import annotations

import http.client
import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from shelfwise.errors import SettingsError
from shelfwise.serve.app import create_app
from shelfwise.serve.proxy import Front, owner_of, prefixed
from shelfwise.shop import Shop
from tests.serve.test_server import running


@contextmanager
def served(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: str) -> Iterator[TestClient]:
    for name, value in settings.items():
        monkeypatch.setenv(f"SHELFWISE_{name.upper()}", value)
    with (
        Shop(folder) as shop,
        TestClient(
            create_app(shop), base_url="http://localhost", client=("127.0.0.1", 50_000), follow_redirects=False
        ) as client,
    ):
        yield client


@pytest.mark.parametrize(
    "header",
    [
        {"x-forwarded-for": "203.0.113.9"},
        {"forwarded": "for=203.0.113.9"},
        {"x-real-ip": "203.0.113.9"},
        {"via": "1.1 proxy"},
        {"x-forwarded-host": "shop.example"},
    ],
)
def test_without_keys_nobody_comes_in_through_a_proxy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, header: dict[str, str]
) -> None:
    """Even where it sends a Host of its own, and whether it is trusted or not."""
    for trusted in ("[]", '["127.0.0.1"]'):
        with served(folder, monkeypatch, trusted_proxies=trusted) as client:
            for method, path in (("DELETE", "/v1/products/Tea-1"), ("GET", "/v1/health"), ("GET", "/")):
                reply = client.request(method, path, headers={**header, "host": "localhost:8000"})
                assert reply.status_code == 403
                assert reply.json()["error"]["code"] == "proxied"
            assert client.delete("/v1/products/none").status_code == 404  # a program of this machine


class _Nginx(http.server.BaseHTTPRequestHandler):
    """Passes on as nginx does by itself: HTTP/1.0, a Host of its own, not a word of who asked."""

    port = 0

    def do_DELETE(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as behind:
            head = f"DELETE {self.path} HTTP/1.0\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n\r\n"
            behind.sendall(head.encode())
            answer = b""
            while part := behind.recv(65_536):
                answer += part
        self.wfile.write(answer)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


def test_a_stranger_behind_a_real_proxy_deletes_nothing(folder: Path) -> None:
    with running(folder, 1) as (_, client):
        handler = type("Handler", (_Nginx,), {"port": client.port})
        with http.server.HTTPServer(("127.0.0.1", 0), handler) as proxy:
            threading.Thread(target=proxy.serve_forever, daemon=True).start()
            outside = http.client.HTTPConnection("127.0.0.1", proxy.server_port)
            outside.request("DELETE", "/v1/products/Tea-1", headers={"Host": "shop.example"})
            assert outside.getresponse().status == 403
            outside.close()
            proxy.shutdown()
        assert client.call("GET", "/v1/health")[1]["products"] == 60


def test_the_user_behind_a_connection_is_known() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with socket.create_connection(listening.getsockname()) as ours:
            assert owner_of(*ours.getsockname()) == os.getuid()
    assert owner_of("127.0.0.1", 1) is None
    assert owner_of("testclient", 1) is None


def test_another_users_program_is_no_local_one(folder: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can run a program as another user")
    code = (
        "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]));"
        "c.request('DELETE', '/v1/products/Tea-1'); print(c.getresponse().status)"
    )
    with running(folder, 1) as (_, client):
        port = str(client.port)
        done = subprocess.run(
            ["python3" if Path("/usr/bin/python3").exists() else sys.executable, "-c", code, port],
            user=65_534,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip(f"no Python for another user here: {done.stderr[-200:]}")
        assert done.stdout.strip() == "403"
        assert client.call("GET", "/v1/health")[1]["products"] == 60


def test_a_trusted_proxy_says_who_asks_and_nobody_else(folder: Path) -> None:
    def entered(trusted: list[str], client: str, **headers: str) -> dict[str, Any]:
        scope: dict[str, Any] = {
            "client": (client, 1),
            "scheme": "http",
            "path": "/",
            "raw_path": b"/",
            "state": {},
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }
        Front(trusted=trusted).enter(scope)
        return scope

    chain = "198.51.100.1, 203.0.113.9, 10.0.0.7"
    said = {"x_forwarded_for": chain, "x_forwarded_proto": "https", "x_forwarded_host": "shop.example", "host": "inner"}
    scope = entered(["10.0.0.0/8"], "10.0.0.1", **said)
    assert scope["client"][0] == "203.0.113.9"  # what stands before it, anybody could have written
    assert scope["scheme"] == "https"
    assert dict(scope["headers"])[b"host"] == b"shop.example"
    scope = entered(["10.0.0.0/8"], "192.0.2.4", **said)
    assert scope["client"][0] == "192.0.2.4"
    assert scope["scheme"] == "http"
    assert dict(scope["headers"])[b"host"] == b"inner"
    assert entered(["10.0.0.1"], "10.0.0.1", x_forwarded_for="[2001:db8::1]:443")["client"][0] == "2001:db8::1"
    assert entered(["10.0.0.1"], "10.0.0.1", x_forwarded_for="nonsense")["client"][0] == "10.0.0.1"


def test_under_a_prefix_links_redirects_and_cookies_lead_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Shop(folder) as shop:
        shop.keys.create("any", ["admin"])
    headers = {"x-forwarded-proto": "https", "x-forwarded-host": "shop.example", "x-forwarded-for": "203.0.113.9"}
    with served(folder, monkeypatch, root_path="/recs", trusted_proxies='["127.0.0.1"]') as client:
        for start in ("/recs", ""):  # the proxy may keep the prefix or take it off
            page = client.get(f"{start}/", headers=headers)
            assert page.status_code == 200
            assert 'href="/recs/cart"' in page.text
            for attribute in ("href", "action", "src", "hx-get", "data-endpoint"):
                assert f'{attribute}="/' not in page.text.replace(f'{attribute}="/recs/', "")
            reply = client.get(f"{start}/console", headers=headers)
            assert reply.status_code == 303
            assert reply.headers["location"].startswith("/recs/console/login?next=%2Fconsole")
            login = client.get(f"{start}/console/login", headers=headers)
            cookie = login.headers["set-cookie"]
            assert "Path=/recs/console" in cookie
            assert "Secure" in cookie
            assert "url: '/recs/openapi.json" in client.get(f"{start}/docs", headers=headers).text
        assert client.get("/recs/v1/health", headers=headers).status_code == 200
        assert client.get("/recs/static/style.css", headers=headers).status_code == 200
    page = '<a href="/x"> <a href="//cdn"> &#34;/y&#34;'
    assert prefixed(page, "/p") == page.replace('"/x', '"/p/x')


def test_a_proxy_that_hides_the_address_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Shop(folder) as shop:
        shop.keys.create("any", ["admin"])
    with served(folder, monkeypatch) as client:
        headers = {"origin": "https://shop.example", "sec-fetch-site": "same-origin", "accept": "text/html"}
        page = client.post("/console/login", data={"name": "a", "password": "b"}, headers=headers)
        assert page.status_code == 403
        assert "trusted_proxies" in page.text
        assert "https://shop.example" in page.text
        page = client.post("/console/login", data={}, headers={**headers, "sec-fetch-site": "cross-site"})
        assert "trusted_proxies" not in page.text


def test_named_origins_may_read_and_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = {"origin": "https://shop.example"}
    ask = {**origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    with served(folder, monkeypatch, cors_origins='["https://shop.example"]') as client:
        for path in ("/v1/recommend", "/v1/similar", "/v1/search"):
            reply = client.options(path, headers=ask)
            assert reply.status_code == 204
            assert reply.headers["access-control-allow-origin"] == "https://shop.example"
            assert "content-type" in reply.headers["access-control-allow-headers"]
        reply = client.post("/v1/recommend", json={}, headers=origin)
        assert reply.status_code == 200
        assert reply.headers["access-control-allow-origin"] == "https://shop.example"
        assert client.post("/v1/recommend", json=[], headers=origin).headers["access-control-allow-origin"]
        for path, method in (("/v1/events", "POST"), ("/v1/products", "PUT"), ("/v1/rules", "PUT")):
            assert "access-control-allow-origin" not in client.options(path, headers=ask).headers
            reply = client.request(method, path, json={}, headers=origin)
            assert reply.status_code == 403
            assert "access-control-allow-origin" not in reply.headers
        other = client.post("/v1/recommend", json={}, headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trusted_proxies", '["proxy"]'),
        ("root_path", "shelfwise"),
        ("root_path", "/a b"),
        ("cors_origins", '["https://shop.example/path"]'),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"SHELFWISE_{name.upper()}", value)
    with pytest.raises(SettingsError, match=name):
        Shop(folder)
