"""Case 32: a product without a single event is found beside its like, and rises once people turn to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from starlette.testclient import TestClient

from shelfwise.serve.app import create_app
from shelfwise.shop import Shop


def test_the_shop_of_the_case(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    folder = case(32)
    shop = new_shop(minutes=0.3, epochs=2, validation_days=10, text_encoder="use")
    shop.load_products(folder / "feed.csv")
    shop.load_events(folder / "log.csv")
    shop.train()
    with TestClient(create_app(shop), base_url="http://localhost") as client:

        def asked(**body: object) -> list[str]:
            reply = client.post("/v1/recommend", json=body)
            assert reply.is_success, reply.text
            return [item["product"] for item in reply.json()["items"]]

        assert client.put("/v1/products", json=json.loads((folder / "put-new.json").read_text())).is_success
        shop.refresh()
        like = client.post("/v1/similar", json={"product": "NEW1", "k": 8}).json()["items"]
        assert len([item for item in like if item["product"].startswith("T")]) >= 6
        oolong = client.post("/v1/similar", json={"product": "T01", "k": 8}).json()["items"]
        assert "NEW1" in {item["product"] for item in oolong}
        assert "NEW1" in asked(customer="c000", k=30, filters={"categories": ["Food > Tea"]})
        tea, tools = asked(customer="c000", k=30), asked(customer="c001", k=30)
        assert "NEW1" in tea
        assert "NEW2" in tools
        assert "NEW1" not in tools[:10]
        assert "NEW2" not in tea[:10]
        assert "NEW3" not in tea[:10] + tools[:10]
        before = asked(customer="c060", k=60).index("NEW1")
        lines = (folder / "one-customer-many-views.jsonl").read_text().splitlines()
        assert client.post("/v1/events", json={"events": [json.loads(line) for line in lines]}).is_success
        shop.refresh()
        assert asked(customer="c060", k=60).index("NEW1") < before
