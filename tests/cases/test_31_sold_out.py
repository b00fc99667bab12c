"""Case 31: bestsellers sell out or are deleted while the server runs; nothing learned brings them back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from starlette.testclient import TestClient

from shelfwise.serve.app import create_app
from shelfwise.shop import Shop

GONE = {"T00", "T01", "W00", "W01", "B00"}


def test_the_shop_of_the_case(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    folder = case(31)
    shop = new_shop(minutes=0.3, epochs=2, validation_days=10)
    shop.load_products(folder / "feed.csv")
    shop.load_events(folder / "log.csv")
    shop.train()
    with TestClient(create_app(shop), base_url="http://localhost") as client:

        def answers() -> list[list[str]]:
            asked = [{"customer": name, "k": 10} for name in ("c000", "c001", "c002")] + [{"k": 10}]
            replies = [client.post("/v1/recommend", json=one) for one in asked]
            replies.append(client.post("/v1/similar", json={"product": "T02", "k": 10}))
            return [[item["product"] for item in reply.json()["items"]] for reply in replies]

        before = {product for answer in answers() for product in answer}
        assert len(GONE & before) >= 3
        with Shop(shop.folder) as other:
            other.load_products(folder / "sold-out.csv")
        assert client.put("/v1/products", json=json.loads((folder / "put-sold-out.json").read_text())).is_success
        assert client.delete("/v1/products/W01").is_success
        shop.refresh()
        for answer in answers():
            assert not GONE & set(answer)
            assert len(answer) == 10
        found = client.post("/v1/search", json={"query": "tea", "k": 50}).json()
        assert not GONE & {item["product"] for item in found["items"]}
        assert "Assam" not in client.get("/v1/suggest", params={"q": "as"}).text
        assert client.post("/v1/similar", json={"product": "W01"}).status_code == 404
        page = client.get("/product/W01", headers={"accept": "text/html"})
        assert page.status_code == 404
        assert "<html" in page.text
        assert "Assam" not in client.get("/").text
        batch = [
            {"type": "view_item", "customer": "c000", "product": product, "time": "2026-11-20T10:00:00Z"}
            for product in ("T02", "W01", "T03")
        ]
        reply = client.post("/v1/events", json={"events": batch, "on_error": "skip"}).json()
        assert reply["accepted"] == 2
        assert "W01" in json.dumps(reply["refused"])
        shop.train()
        assert client.patch("/v1/products", json=[{"id": "T00", "availability": "in_stock"}]).is_success
        shop.refresh()
        assert "T00" in {product for answer in answers() for product in answer}
