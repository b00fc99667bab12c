"""Rules, synonyms and the audit over HTTP: shapes, keys, undo."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from shelfwise.schema import Event, EventType, now
from shelfwise.serve.app import create_app
from shelfwise.shop import Shop

RULE = {"id": "r1", "action": "pin", "query": "tea", "products": ["Tea-3"], "start": "2024-05-01T12:00:00+02:00"}


@pytest.fixture
def client(shop: Shop) -> Iterator[TestClient]:
    with TestClient(create_app(shop), base_url="http://localhost") as opened:
        yield opened


def content(reply: Any) -> dict[str, Any]:
    assert reply.status_code == 200, reply.text
    assert reply.json()["request_id"] == reply.headers["x-request-id"]
    return dict(reply.json())


def test_a_rule_is_kept_listed_replaced_and_deleted(client: TestClient) -> None:
    assert content(client.get("/v1/rules"))["rules"] == []
    assert content(client.put("/v1/rules", json=RULE))["ids"] == ["r1"]
    (kept,) = content(client.get("/v1/rules"))["rules"]
    assert kept == {
        **RULE,
        "start": "2024-05-01T10:00:00+00:00",
        "end": None,
        "category": "",
        "position": 1,
        "amount": 0.5,
        "note": "",
    }
    made = content(client.put("/v1/rules", json={"rules": [kept, {**RULE, "id": None, "action": "hide"}]}))
    assert made["stored"] == 2
    assert len(content(client.get("/v1/rules"))["rules"]) == 2
    assert content(client.delete("/v1/rules/r1"))["deleted"] == "r1"
    assert client.delete("/v1/rules/r1").status_code == 404


def test_synonyms_are_kept_listed_and_deleted(client: TestClient) -> None:
    rows = [{"terms": ["sofa", "couch"]}, {"terms": ["phone"], "means": ["mobile"]}]
    ids = content(client.put("/v1/synonyms", json=rows))["ids"]
    listed = content(client.get("/v1/synonyms"))["synonyms"]
    assert {row["id"] for row in listed} == set(ids)
    assert listed[0] == {"id": ids[1], "terms": ["phone"], "means": ["mobile"]}
    assert content(client.delete(f"/v1/synonyms/{ids[0]}"))["deleted"] == ids[0]
    assert client.delete("/v1/synonyms/none").json()["error"]["code"] == "unknown_synonym"


def test_every_change_says_who_and_can_be_undone(client: TestClient) -> None:
    client.put("/v1/rules", json=RULE)
    client.delete("/v1/rules/r1")
    gone, made = content(client.get("/v1/audit"))["changes"]
    assert (gone["who"], gone["kind"], gone["id"], gone["after"]) == ("local", "rule", "r1", None)
    assert made["before"] is None
    assert made["after"] == gone["before"]
    change = content(client.post(f"/v1/audit/{gone['number']}/undo"))["change"]
    assert change["after"] == gone["before"]
    assert [rule["id"] for rule in content(client.get("/v1/rules"))["rules"]] == ["r1"]
    for number in ("999", "x", "9" * 30, "²"):
        assert client.post(f"/v1/audit/{number}/undo").status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PUT", "/v1/rules", {}, "action"),
        ("PUT", "/v1/rules", {**RULE, "action": "explode"}, "action"),
        ("PUT", "/v1/rules", {**RULE, "query": ""}, "query"),
        ("PUT", "/v1/rules", {**RULE, "products": []}, "products"),
        ("PUT", "/v1/rules", [RULE, {**RULE, "position": 0}], "rules[1].position"),
        ("PUT", "/v1/rules", [{**RULE, "end": "tomorrow"}], "rules[0].end"),
        ("PUT", "/v1/rules", {**RULE, "end": "2024-05-01T00:00:00Z"}, "end"),
        ("PUT", "/v1/rules", {**RULE, "acton": 1}, "acton"),
        ("PUT", "/v1/synonyms", {"terms": ["one"]}, "terms"),
        ("PUT", "/v1/synonyms", {"terms": ["a, b", "c"]}, "terms"),
        ("PUT", "/v1/synonyms", {"terms": "ab"}, "terms"),
        ("PUT", "/v1/synonyms", 3, None),
    ],
)
def test_bad_input_changes_nothing_and_is_told_where(
    client: TestClient, method: str, path: str, body: object, field: str | None
) -> None:
    reply = client.request(method, path, json=body)
    assert reply.status_code == 422, reply.text
    assert reply.json()["error"]["field"] == field
    assert content(client.get("/v1/audit"))["changes"] == []


def test_steering_asks_for_the_merchants_scope(client: TestClient, shop: Shop) -> None:
    reader, merchant = shop.keys.create("web", ["read", "ingest"]), shop.keys.create("ada", ["merchant"])
    for method, path in (("GET", "/v1/rules"), ("PUT", "/v1/rules"), ("GET", "/v1/audit"), ("PUT", "/v1/synonyms")):
        assert client.request(method, path, json=RULE, headers={"x-api-key": reader}).status_code == 403
        assert client.request(method, path, json=RULE).status_code == 401
    assert client.put("/v1/rules", json=RULE, headers={"x-api-key": merchant}).status_code == 200
    assert content(client.get("/v1/audit", headers={"x-api-key": merchant}))["changes"][0]["who"] == "ada"
    assert client.post("/v1/recommend", json={}, headers={"x-api-key": merchant}).status_code == 403


def test_synonyms_are_suggested(client: TestClient, shop: Shop) -> None:
    assert content(client.get("/v1/synonyms/suggestions"))["suggestions"] == []
    begun = now() - timedelta(days=1)
    events = [
        Event(type=EventType(kind), customer=f"c{n}", query=query, product=product, time=begun + timedelta(minutes=at))
        for n in range(5)
        for at, (kind, query, product) in enumerate(
            [("search", "black tea", ""), ("search", "dark tea", ""), ("add_to_cart", "", "Tea-1")]
        )
    ]
    shop.append_events(events)
    (found,) = content(client.get("/v1/synonyms/suggestions"))["suggestions"]
    assert sorted(found["terms"]) == ["black", "dark"]
    assert (found["customers"], found["evidence"]) == (5, "reformulated")
    assert found["examples"] == [["black tea", "dark tea"]]
    assert content(client.put("/v1/synonyms", json={"terms": found["terms"]}))["ids"] == [found["id"]]
    assert content(client.get("/v1/synonyms/suggestions"))["suggestions"] == []


def test_a_rule_of_a_category_holds_where_its_products_are_recommended(client: TestClient) -> None:
    asked = {"surface": "category", "filters": {"categories": ["Tea"]}, "k": 5}
    before = [item["product"] for item in content(client.post("/v1/recommend", json=asked))["items"]]
    pinned = next(f"Tea-{n}" for n in range(15) if f"Tea-{n}" not in before)
    rule = {"action": "pin", "category": "Tea", "products": [pinned], "id": "top"}
    client.put("/v1/rules", json=rule)
    after = content(client.post("/v1/recommend", json=asked))["items"]
    assert [item["product"] for item in after] == [pinned, *before[:4]]
    assert after[0]["sources"][-1] == "rules"
    client.delete("/v1/rules/top")
    assert [i["product"] for i in content(client.post("/v1/recommend", json=asked))["items"]] == before
