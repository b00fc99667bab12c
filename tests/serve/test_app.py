"""The API in one process: shapes, acknowledgements, bounds, keys, what browsers must not do; never a traceback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

import shelfwise
from shelfwise.errors import StoreError
from shelfwise.schema import Product
from shelfwise.serve import service
from shelfwise.serve.app import create_app
from shelfwise.serve.service import MAX_BATCH
from shelfwise.serve.wire import EVENT, PRODUCT, QUESTION, SIMILAR
from shelfwise.shop import Shop
from tests.waiting import run_apart, wait_for

EVENT_BODY = {"type": "purchase", "customer": "c0", "product": "Tea-1"}
FAILURE = {"code", "message", "field"}


@pytest.fixture
def client(shop: Shop) -> Iterator[TestClient]:
    with TestClient(create_app(shop), base_url="http://localhost") as opened:
        yield opened


def failed(reply: Any, status: int, code: str, field: str | None = None) -> str:
    assert reply.status_code == status, reply.text
    content = reply.json()
    assert set(content) == {"request_id", "error"}
    assert set(content["error"]) == FAILURE
    assert content["request_id"] == reply.headers["x-request-id"]
    assert content["error"]["code"] == code
    assert content["error"]["field"] == field
    assert "Traceback" not in reply.text
    return str(content["error"]["message"])


def products_of(reply: Any) -> list[str]:
    assert reply.status_code == 200, reply.text
    return [item["product"] for item in reply.json()["items"]]


def test_an_answer_has_the_promised_shape(client: TestClient) -> None:
    reply = client.post("/v1/recommend", json={"customer": "c0", "k": 5})
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    content = reply.json()
    assert set(content) == {"request_id", "items"}
    assert reply.headers["x-request-id"] == content["request_id"] != ""
    assert len(content["items"]) == 5
    for item in content["items"]:
        assert set(item) == {"product", "score", "sources", "reason"}
        assert isinstance(item["score"], float)
        assert item["sources"]
        assert item["reason"]
    scores = [item["score"] for item in content["items"]]
    assert scores == sorted(scores, reverse=True)
    assert len(set(products_of(reply))) == 5


def test_everything_has_a_default(client: TestClient) -> None:
    assert len(products_of(client.post("/v1/recommend", json={}))) == 12


def test_surfaces_filters_and_exclusions(client: TestClient, shop: Shop) -> None:
    tea = products_of(
        client.post(
            "/v1/recommend",
            json={
                "customer": "c0",
                "surface": "category",
                "filters": {"categories": ["Tea"], "price_max": 9},
                "k": 200,
            },
        )
    )
    assert set(tea) == {f"Tea-{i}" for i in range(9)}
    seeds = ["Soap-1", "Soap-2"]
    assert not set(seeds) & set(
        products_of(client.post("/v1/recommend", json={"surface": "cart", "seeds": seeds, "customer": "c0"}))
    )
    bought = {event.product for event in shop.last_events(customer="c0", n=100)}
    fresh = client.post("/v1/recommend", json={"customer": "c0", "exclude_purchased": True, "k": 30})
    assert not bought & set(products_of(fresh))
    like = products_of(client.post("/v1/similar", json={"product": "Soap-3", "k": 4}))
    assert 0 < len(like) <= 4
    assert "Soap-3" not in like


def test_an_event_shows_in_the_very_next_answer(client: TestClient) -> None:
    before = client.post("/v1/recommend", json={"session": "s1"})
    reply = client.post("/v1/events", json={"type": "view_item", "session": "s1", "product": "Soap-7"})
    assert reply.status_code == 200
    after = client.post("/v1/recommend", json={"session": "s1"})
    assert before.json()["items"] != after.json()["items"]
    assert sum(p.startswith("Soap") for p in products_of(after)) > sum(
        p.startswith("Soap") for p in products_of(before)
    )


def test_events_are_acknowledged_with_ids_and_counted_once(client: TestClient, shop: Shop) -> None:
    reply = client.post("/v1/events", json=[{**EVENT_BODY, "id": "a"}, EVENT_BODY, {**EVENT_BODY, "id": "a"}])
    content = reply.json()
    assert set(content) == {"request_id", "accepted", "duplicates", "ids"}
    assert (content["accepted"], content["duplicates"]) == (2, 1)
    assert content["ids"][0] == content["ids"][2] == "a"
    assert content["ids"][1]
    again = client.post("/v1/events", json={**EVENT_BODY, "id": "a"}).json()
    assert (again["accepted"], again["duplicates"]) == (0, 1)
    assert [event.id for event in shop.last_events(customer="c0", n=2)] == content["ids"][:2]


def test_a_batch_with_one_bad_event_changes_nothing(client: TestClient, shop: Shop) -> None:
    before = shop.counts().events
    bad = {**EVENT_BODY, "price": -3}
    message = failed(client.post("/v1/events", json=[EVENT_BODY, EVENT_BODY, bad]), 422, "invalid", "events[2].price")
    assert "-3" in message
    unknown = {**EVENT_BODY, "product": "no-such-thing"}
    message = failed(client.post("/v1/events", json=[EVENT_BODY, unknown]), 422, "invalid", "events[1].product")
    assert "no-such-thing" in message
    failed(client.post("/v1/events", json=unknown), 422, "invalid", "product")
    assert shop.counts().events == before


def test_a_product_added_now_takes_events_and_is_gone_when_deleted(client: TestClient) -> None:
    new = {"id": "shop/Tea ñ 99", "title": "New tea", "product_type": "Tea > Kind 1", "price": 2}
    reply = client.put("/v1/products", json=new)
    assert reply.json() == {"request_id": reply.headers["x-request-id"], "stored": 1}
    event = {"type": "view_item", "session": "s2", "product": new["id"]}
    assert client.post("/v1/events", json=event).status_code == 200
    inside = {"filters": {"categories": ["Tea"]}, "k": 50}
    assert new["id"] in products_of(client.post("/v1/recommend", json=inside))
    reply = client.delete("/v1/products/shop%2FTea%20%C3%B1%2099")
    assert reply.json() == {"request_id": reply.headers["x-request-id"], "deleted": new["id"]}
    assert new["id"] not in products_of(client.post("/v1/recommend", json=inside))
    failed(client.delete("/v1/products/shop%2FTea%20%C3%B1%2099"), 404, "unknown_product", "id")
    failed(client.post("/v1/events", json=event), 422, "invalid", "product")


def test_a_bad_product_changes_nothing(client: TestClient, shop: Shop) -> None:
    before = shop.counts().products
    rows = [{"id": "x1"}, {"id": "x2", "price": -1}]
    failed(client.put("/v1/products", json={"products": rows}), 422, "invalid", "products[1].price")
    assert shop.counts().products == before


@pytest.mark.parametrize(
    ("path", "content", "status", "code", "field"),
    [
        ("/v1/recommend", b"", 400, "bad_json", None),
        ("/v1/recommend", b"{'k': 3}", 400, "bad_json", None),
        ("/v1/recommend", b'{"k": NaN}', 400, "bad_json", None),
        ("/v1/recommend", b'{"customer": "\xff"}', 400, "bad_json", None),
        ("/v1/recommend", b"[" * 100_000, 413, "too_large", None),
        ("/v1/recommend", b"[" * 10_000, 400, "bad_json", None),
        ("/v1/recommend", b"[]", 422, "invalid", None),
        ("/v1/recommend", b'{"k": 0}', 422, "invalid", "k"),
        ("/v1/recommend", b'{"surface": "product"}', 422, "invalid", "seeds"),
        ("/v1/recommend", b'{"filters": {"price_min": 3, "price_max": 2}}', 422, "invalid", "filters.price_min"),
        ("/v1/similar", b'{"product": "nothing"}', 404, "unknown_product", "product"),
        ("/v1/similar", b"{}", 422, "invalid", "product"),
        (
            "/v1/events",
            b'{"type": "purchase", "customer": "c", "product": "Tea-1", "price": Infinity}',
            400,
            "bad_json",
            None,
        ),
        ("/v1/events", b"null", 422, "invalid", None),
        ("/v1/events", b"[null]", 422, "invalid", "events[0]"),
        ("/v1/nothing", b"{}", 404, "not_found", None),
    ],
)
def test_bad_input_is_told_why(
    client: TestClient, path: str, content: bytes, status: int, code: str, field: str | None
) -> None:
    reply = client.post(path, content=content, headers={"content-type": "application/json"})
    assert failed(reply, status, code, field)


def test_ways_of_sending(client: TestClient) -> None:
    text = json.dumps(EVENT_BODY).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml"):
        failed(client.post("/v1/events", content=text, headers={"content-type": kind}), 415, "content_type")
    failed(client.post("/v1/events", content=text), 415, "content_type")
    gzip = {"content-type": "application/json", "content-encoding": "gzip"}
    failed(client.post("/v1/events", content=text, headers=gzip), 415, "content_encoding")
    charset = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.post("/v1/events", content=text, headers=charset).status_code == 200
    failed(client.get("/v1/events"), 405, "method_not_allowed")
    failed(client.request("BREW", "/v1/events"), 405, "method_not_allowed")


def test_large_bodies_are_refused_before_they_are_read(shop: Shop) -> None:
    """Told by Content-Length or not: the server stops at the limit."""
    app = create_app(shop)
    told = run_apart(_post(app, [b"x" * 100] * 10, length=10_000_000))
    assert told == (413, 0)
    status, read = run_apart(_post(app, [b"x" * 65_536] * 160, length=None))
    assert status == 413
    assert read <= MAX_BATCH // 65_536 + 1
    assert run_apart(_post(app, [b'{"type":'], length=None, cut=True))[0] == 400


async def _post(app: FastAPI, parts: list[bytes], *, length: int | None, cut: bool = False) -> tuple[int, int]:
    """POST /v1/events by the bare protocol: (status, parts the app took)."""
    read = 0
    statuses: list[int] = []

    async def body() -> AsyncIterator[dict[str, Any]]:
        for index, part in enumerate(parts):
            yield {"type": "http.request", "body": part, "more_body": cut or index < len(parts) - 1}
        yield {"type": "http.disconnect"}

    source = body()

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 1
        return await anext(source)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    scope = {"type": "http", "method": "POST", "path": "/v1/events", "raw_path": b"/v1/events", "query_string": b""}
    await app({**scope, "headers": headers, "scheme": "http", "http_version": "1.1", "root_path": ""}, receive, send)
    (status,) = statuses
    return status, read


def test_without_keys_other_sites_stay_out(client: TestClient) -> None:
    for host in (
        "shop.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.168.1.4",
    ):
        failed(client.get("/v1/health", headers={"host": host}), 403, "foreign_host")
    for host in ("localhost:8000", "127.0.0.1", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"):
        assert client.get("/v1/health", headers={"host": host}).status_code == 200
    send = {"json": EVENT_BODY}
    for origin in ("https://evil.example", "null", "http://localhost:3000", "https://localhost"):
        failed(client.post("/v1/events", headers={"origin": origin}, **send), 403, "foreign_origin")
    failed(client.post("/v1/events", headers={"sec-fetch-site": "cross-site"}, **send), 403, "foreign_origin")
    assert client.post("/v1/events", headers={"origin": "http://localhost"}, **send).status_code == 200
    reply = client.options(
        "/v1/events", headers={"origin": "http://localhost", "access-control-request-method": "POST"}
    )
    assert "access-control-allow-origin" not in reply.headers


def test_keys_and_scopes(client: TestClient, shop: Shop) -> None:
    reader, sender, admin = (shop.keys.create(scope, [scope]) for scope in ("read", "ingest", "admin"))

    def status(secret: str, method: str, path: str, content: Any = None) -> int:
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        return int(client.request(method, path, json=content, headers=headers).status_code)

    calls = [
        ("read", "POST", "/v1/recommend", {}),
        ("read", "POST", "/v1/similar", {"product": "Tea-1"}),
        ("ingest", "POST", "/v1/events", EVENT_BODY),
        ("ingest", "PUT", "/v1/products", {"id": "K-1"}),
        ("ingest", "DELETE", "/v1/products/K-1", None),
        ("admin", "GET", "/metrics", None),
    ]
    for scope, *call in calls:
        for name, secret in (("read", reader), ("ingest", sender), ("admin", admin)):
            if name == scope or name == "admin":
                continue
            assert status(secret, *call) == 403, (scope, name, call)
        assert status("", *call) == 401
        assert status("sw_wrong", *call) == 401
        assert status({"read": reader, "ingest": sender, "admin": admin}[scope], *call) == 200, (scope, call)
    assert client.get("/v1/health", headers={"host": "shop.example"}).status_code == 200
    reply = client.post("/v1/recommend", json={}, headers={"x-api-key": reader, "host": "shop.example"})
    assert reply.status_code == 200
    failed(client.post("/v1/recommend", json={}), 401, "no_key")
    assert client.post("/v1/recommend", json={}).headers["www-authenticate"] == "Bearer"
    failed(client.post("/v1/events", json=EVENT_BODY, headers={"x-api-key": reader}), 403, "scope")
    shop.keys.revoke("read")
    failed(client.post("/v1/recommend", json={}, headers={"x-api-key": reader}), 401, "no_key")


def test_an_open_address_whose_keys_are_gone_lets_nobody_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELFWISE_HOST", "0.0.0.0")
    with Shop(folder) as shop, TestClient(create_app(shop), base_url="http://localhost") as client:
        failed(client.post("/v1/recommend", json={}), 401, "no_key")


def test_a_cart_with_an_unknown_product_is_answered(client: TestClient) -> None:
    """The unknown is named; where nothing is known, the answer is for who asks."""
    for seeds in (["Tea-1", "nothing"], ["nothing"]):
        reply = client.post("/v1/recommend", json={"customer": "c2", "surface": "cart", "seeds": seeds})
        assert len(products_of(reply)) == 12
        assert reply.json()["unknown"] == ["nothing"]
    assert "unknown" not in client.post("/v1/recommend", json={"surface": "cart", "seeds": ["Tea-1"]}).json()


def test_a_product_stored_by_another_worker_is_a_seed_at_once(
    client: TestClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "FOLLOW_SECONDS", 600)
    for number, path in enumerate(("/v1/recommend", "/v1/similar")):
        with Shop(shop.folder) as other:
            other.store.put_products([Product(id=f"new{number}", title="Tea of today", product_type="Tea > Kind 1")])
        if path == "/v1/similar":
            reply = client.post(path, json={"product": "new1"})
        else:
            reply = client.post(path, json={"surface": "product", "seeds": ["new0"]})
        assert products_of(reply)
        assert "unknown" not in reply.json()


def test_similar_to_a_product_deleted_a_moment_ago_is_a_404(client: TestClient, shop: Shop) -> None:
    assert client.delete("/v1/products/Tea-3").status_code == 200
    failed(client.post("/v1/similar", json={"product": "Tea-3"}), 404, "unknown_product", "product")
    with Shop(shop.folder) as other:  # by another process, not followed yet: still answered, or a clear 404
        other.delete_product("Tea-4")
    assert client.post("/v1/similar", json={"product": "Tea-4"}).status_code in (200, 404)


def test_the_follower_outlives_any_failure(client: TestClient, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure nobody foresaw is counted and part of the health; afterwards the catalogue is followed again."""

    def broken(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "cache")

    monkeypatch.setattr(service, "RETRY_SECONDS", 0.2)
    with monkeypatch.context() as patched:
        patched.setattr(shop.store, "product_revision", broken)
        wait_for(lambda: client.get("/v1/health").json()["status"] == "degraded")
        assert len(products_of(client.post("/v1/recommend", json={"customer": "c0"}))) == 12
    wait_for(lambda: client.get("/v1/health").json()["status"] == "ok")
    failures = [
        line for line in client.get("/metrics").text.splitlines() if line.startswith("shelfwise_follow_failures")
    ]
    assert float(failures[0].split()[1]) >= 1
    with Shop(shop.folder) as other:
        other.store.put_products([Product(id="late", title="Tea that came late")])
    wait_for(lambda: "late" in shop.engine.catalogue)


def test_ready_says_what_it_can_do(client: TestClient, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = client.get("/v1/ready")
    assert reply.status_code == 200
    content = reply.json()
    assert content["status"] == "ready"
    assert {"record", "answers", "search", "disk", "following", "queue"} <= set(content["checks"])
    assert all(check == {"ok": True, "message": ""} for check in content["checks"].values())

    def full(_: object) -> Any:
        return type("Usage", (), {"free": 1_000})

    with monkeypatch.context() as patched:
        patched.setattr("shutil.disk_usage", full)
        reply = client.get("/v1/ready")
        assert reply.status_code == 503
        assert reply.json()["error"]["code"] == "not_ready"
        assert "disk" in reply.json()["error"]["message"]
        assert client.get("/v1/health").json()["degraded"] == ["disk"]

    def unreachable(*_: object) -> None:
        raise StoreError("/secret/record.db cannot be written")

    with monkeypatch.context() as patched:
        patched.setattr(shop.store, "append_batches", unreachable)
        failed(client.post("/v1/events", json=EVENT_BODY), 503, "store")
        assert "record" in client.get("/v1/health").json()["degraded"]
        patched.setattr(shop.store, "check_writable", unreachable)
        reply = client.get("/v1/ready")
        assert reply.status_code == 503
        assert not reply.json()["checks"]["record"]["ok"]
        assert "secret" not in reply.text
    assert client.post("/v1/events", json=EVENT_BODY).status_code == 200
    assert client.get("/v1/health").json() | {"request_id": ""} == {
        "request_id": "",
        "status": "ok",
        "version": shelfwise.__version__,
        "bundle": shop.bundle_version,
        "products": 60,
        "degraded": [],
    }


def test_health_lives_while_the_record_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise StoreError("the server is down")

    with (
        Shop.create(tmp_path / "new", text_encoder="none", image_encoder="none") as shop,
        TestClient(create_app(shop), base_url="http://localhost") as client,
    ):
        assert client.get("/v1/ready").json()["checks"]["answers"]["message"].startswith("there are no products")
        for name in ("counts", "product_revision"):
            monkeypatch.setattr(shop.store, name, unreachable)
        content = client.get("/v1/health").json()
        assert (content["status"], content["products"]) == ("degraded", None)
        assert "record" in content["degraded"]
        monkeypatch.undo()


def test_a_damaged_bundle_is_told_and_the_server_answers(folder: Path) -> None:
    (file,) = (folder / "bundles").glob("*/popularity.safetensors")
    file.write_bytes(b"torn")
    with Shop(folder) as shop, TestClient(create_app(shop), base_url="http://localhost") as client:
        assert len(products_of(client.post("/v1/recommend", json={"customer": "c0"}))) == 12
        assert client.get("/v1/health").json()["degraded"] == ["bundle"]
        reply = client.get("/v1/ready")
        assert (reply.status_code, reply.json()["status"]) == (200, "degraded")
        assert "shelfwise train" in reply.json()["checks"]["bundle"]["message"]


def test_a_broken_key_file_lets_nobody_in(client: TestClient, shop: Shop) -> None:
    (shop.folder / "keys.json").write_text("{", "utf-8")
    assert client.post("/v1/recommend", json={}).status_code == 503


def test_health_metrics_and_docs(client: TestClient, shop: Shop) -> None:
    content = client.get("/v1/health").json()
    assert content["status"] == "ok"
    assert content["products"] == 60
    assert content["bundle"] == shop.bundle_version
    for path in ("/v1/health", "/v1/ready"):  # as load balancers ask
        reply = client.head(path)
        assert (reply.status_code, reply.content) == (client.get(path).status_code, b"")
    client.post("/v1/events", json=[{**EVENT_BODY, "customer": "secret-customer", "id": "m1"}] * 2)
    client.post("/v1/recommend", json={"customer": "secret-customer"})
    client.get("/v1/secret-path")
    client.delete("/v1/products/secret-product")
    text = client.get("/metrics").text
    assert 'shelfwise_requests_total{method="POST",route="/v1/recommend",status="200"} 1.0' in text
    assert 'shelfwise_requests_total{method="DELETE",route="/v1/products/{id}",status="404"} 1.0' in text
    assert 'shelfwise_request_seconds_count{route="/v1/recommend"} 1.0' in text
    assert "shelfwise_events_accepted_total 1.0" in text
    assert "shelfwise_events_duplicate_total 1.0" in text
    assert "shelfwise_products 60.0" in text
    assert "secret" not in text
    page = client.get("/docs")
    assert page.status_code == 200
    assert "http" not in page.text.replace("http://localhost", "")
    for line in page.text.split('"'):
        if line.startswith("/docs/assets/"):
            assert client.get(line).status_code == 200


def test_the_openapi_document_tells_every_route(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    routes = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert routes == {
        ("POST", "/v1/events"),
        ("PUT", "/v1/products"),
        ("PATCH", "/v1/products"),
        ("DELETE", "/v1/products/{id}"),
        ("POST", "/v1/recommend"),
        ("POST", "/v1/similar"),
        ("POST", "/v1/search"),
        ("POST", "/v1/search/image"),
        ("GET", "/v1/suggest"),
        ("GET", "/v1/rules"),
        ("PUT", "/v1/rules"),
        ("DELETE", "/v1/rules/{id}"),
        ("GET", "/v1/synonyms"),
        ("PUT", "/v1/synonyms"),
        ("DELETE", "/v1/synonyms/{id}"),
        ("GET", "/v1/synonyms/suggestions"),
        ("GET", "/v1/audit"),
        ("POST", "/v1/audit/{number}/undo"),
        ("POST", "/v1/campaigns"),
        ("GET", "/v1/campaigns"),
        ("PUT", "/v1/campaigns"),
        ("POST", "/v1/campaigns/{id}/audience"),
        ("GET", "/v1/campaigns/{id}/effect"),
        ("POST", "/v1/campaigns/contacts"),
        ("POST", "/v1/campaigns/redemptions"),
        ("GET", "/v1/forecast/{product}"),
        ("GET", "/v1/stock"),
        ("PUT", "/v1/stock"),
        ("POST", "/v1/orders"),
        ("GET", "/v1/health"),
        ("GET", "/v1/ready"),
    }
    text = json.dumps(document)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["summary"]
            if "application/json" in operation.get("requestBody", {}).get("content", ()):
                example = operation["requestBody"]["content"]["application/json"]["example"]
                reply = client.request(method, path, json=example)
                assert reply.status_code in (200, 404, 422), reply.text
                if reply.status_code == 422:
                    assert "no product" in reply.json()["error"]["message"]


def test_a_shop_answers_from_its_first_product_on(tmp_path: Path) -> None:
    with (
        Shop.create(tmp_path / "new", text_encoder="none", image_encoder="none") as shop,
        TestClient(create_app(shop), base_url="http://localhost") as client,
    ):
        assert client.get("/v1/health").status_code == 200
        assert "no products" in failed(client.post("/v1/recommend", json={}), 503, "not_ready")
        assert client.put("/v1/products", json=[{"id": id} for id in "pqr"]).status_code == 200
        assert client.post("/v1/events", json={**EVENT_BODY, "product": "q"}).status_code == 200
        shop.refresh()
        assert len(products_of(client.post("/v1/recommend", json={}))) == 3
        assert set(products_of(client.post("/v1/recommend", json={"surface": "product", "seeds": ["q"]}))) == {"p", "r"}
        assert client.get("/v1/ready").status_code == 200


def test_an_unexpected_failure_is_told_without_its_insides(
    client: TestClient, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.store.close()
    (shop.folder / "record.db").unlink()
    for left in shop.folder.glob("record.db-*"):
        left.unlink()
    (shop.folder / "record.db").mkdir()
    reply = client.post("/v1/events", json=EVENT_BODY)
    assert reply.status_code == 503
    assert str(shop.folder) not in reply.text
    assert reply.json()["request_id"] in caplog.text


@pytest.fixture(scope="module")
def fuzzed(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    import shutil

    folder = shutil.copytree(simulated, tmp_path_factory.mktemp("fuzz") / "shop")
    with Shop(folder) as shop, TestClient(create_app(shop), base_url="http://localhost") as client:
        yield client


PATHS = st.sampled_from(["/v1/events", "/v1/products", "/v1/recommend", "/v1/similar"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["Tea-1", "c0", "purchase", "search", "home", "cart", "in_stock", "2024-05-01T00:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
rows = st.dictionaries(st.sampled_from(sorted({**EVENT, **PRODUCT, **QUESTION, **SIMILAR})), values, max_size=6)
quiet = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@quiet
@given(path=PATHS, method=st.sampled_from(["POST", "PUT"]), raw=st.binary(max_size=300))
def test_no_bytes_make_it_fail(fuzzed: TestClient, path: str, method: str, raw: bytes) -> None:
    reply = fuzzed.request(method, path, content=raw, headers={"content-type": "application/json"})
    assert reply.status_code < 500
    assert "request_id" in reply.json()


@quiet
@given(path=PATHS, row=rows | st.lists(rows, max_size=3) | values)
def test_no_json_makes_it_fail(fuzzed: TestClient, path: str, row: Any) -> None:
    raw = json.dumps(row).encode()
    method = "PUT" if path == "/v1/products" else "POST"
    reply = fuzzed.request(method, path, content=raw, headers={"content-type": "application/json"})
    assert reply.status_code < 500, reply.text
    content = reply.json()
    assert "request_id" in content
    if reply.status_code != 200:
        assert set(content["error"]) == FAILURE


@quiet
@given(id=st.text(min_size=1, max_size=30))
def test_no_path_makes_it_fail(fuzzed: TestClient, id: str) -> None:
    from urllib.parse import quote

    reply = fuzzed.delete("/v1/products/" + quote(id.encode("utf-8", "surrogatepass"), safe=""))
    assert reply.status_code < 500
