"""Forecast, stock and orders over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from shelfwise.serve.app import create_app
from shelfwise.shop import Shop


@pytest.fixture
def client(shop: Shop) -> Iterator[TestClient]:
    with TestClient(create_app(shop), base_url="http://localhost") as opened:
        yield opened


def content(reply: Any) -> dict[str, Any]:
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def test_from_stock_to_orders(client: TestClient) -> None:
    assert client.post("/v1/orders", json={}).json()["error"]["code"] == "not_enough_data"
    rows = [
        {"product": "Tea-0", "on_hand": 0, "lead_time": 7, "unit_cost": 2, "pack": 4},
        {"product": "Tea-1", "on_hand": 90_000, "lead_time": 7, "unit_cost": 2},
    ]
    assert content(client.put("/v1/stock", json={"stock": rows}))["stored"] == 2
    assert {row["product"] for row in content(client.get("/v1/stock"))["stock"]} == {"Tea-0", "Tea-1"}
    answer = content(client.post("/v1/orders", json={"all": True}))
    lines = {line["product"]: line for line in answer["orders"]}
    assert sum(answer["counts"].values()) == 2
    assert lines["Tea-0"]["quantity"] % 4 == 0
    assert lines["Tea-1"]["quantity"] == 0
    assert all(line["why"] for line in lines.values())
    spent = content(client.post("/v1/orders", json={"budget": 0}))["orders"]
    assert spent == []


def test_a_products_forecast(client: TestClient) -> None:
    answer = content(client.get("/v1/forecast/Tea-0", params={"weeks": 2}))
    assert answer["product"] == "Tea-0"
    assert len(answer["forecast"]) == 2
    row = answer["forecast"][0]
    assert 0 <= row["q05"] <= row["q50"] <= row["q95"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/forecast/nothing", 404), ("/v1/forecast/Tea-0?weeks=0", 422), ("/v1/forecast/Tea-0?days=2", 422)],
)
def test_wrong_questions(client: TestClient, path: str, status: int) -> None:
    reply = client.get(path)
    assert reply.status_code == status
    assert reply.json()["error"]["message"]


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"product": "a"},
        {"product": "a", "on_hand": -1},
        {"product": "a", "on_hand": 1, "due": "soon"},
        {"product": "a", "on_hand": 1, "colour": "red"},
    ],
)
def test_wrong_stock_changes_nothing(client: TestClient, row: dict[str, Any]) -> None:
    good = {"product": "Tea-5", "on_hand": 1}
    reply = client.put("/v1/stock", json={"stock": [good, row]})
    assert reply.status_code == 422
    assert reply.json()["error"]["field"].startswith("stock[1]")
    assert content(client.get("/v1/stock"))["stock"] == []
