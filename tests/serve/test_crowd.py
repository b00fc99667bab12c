"""What strangers buy together now stands on the product's page at once, in every worker, before any training."""

from __future__ import annotations

import shutil

from starlette.testclient import TestClient

from shelfwise.serve.app import create_app
from shelfwise.shop import Shop


def test_what_others_buy_together_is_shown_without_a_training(simulated, tmp_path):
    folder = shutil.copytree(simulated, tmp_path / "shop")
    with (
        Shop(folder) as shop,
        Shop(folder) as other,
        TestClient(create_app(shop), base_url="http://localhost") as client,
    ):

        def page() -> list[str]:
            reply = client.post("/v1/recommend", json={"surface": "product", "seeds": ["Tea-1"], "k": 5})
            return [item["product"] for item in reply.json()["items"]]

        put = client.put("/v1/products", json={"id": "spoon", "title": "A spoon", "product_type": "Tools"})
        assert put.is_success
        assert "spoon" not in page()
        other.refresh()
        for buyer in range(100):
            basket = [{"type": "purchase", "session": f"s{buyer}", "product": id} for id in ("Tea-1", "spoon")]
            assert client.post("/v1/events", json=basket).is_success
        shop.refresh()
        assert page()[0] == "spoon"
        other.refresh()
        assert other.recommend(surface="product", seeds=["Tea-1"], k=5).items[0].product == "spoon"
        assert "spoon" in [item.product for item in other.recommend(k=20).items]
