"""What somebody rated with one star is kept from them, over HTTP, at once."""

from __future__ import annotations

from starlette.testclient import TestClient

from shelfwise.serve.app import create_app
from shelfwise.shop import Shop


def test_a_product_of_one_star_is_shown_no_more(simulated, tmp_path):
    import shutil

    with (
        Shop(shutil.copytree(simulated, tmp_path / "shop")) as shop,
        TestClient(create_app(shop), base_url="http://localhost") as client,
    ):
        asked = {"customer": "c0", "k": 20}
        before = client.post("/v1/recommend", json=asked).json()["items"]
        first = before[0]["product"]
        rated = {"type": "rate", "customer": "c0", "product": first, "value": 5}
        assert client.post("/v1/events", json=rated).is_success
        assert first in [item["product"] for item in client.post("/v1/recommend", json=asked).json()["items"]]
        assert client.post("/v1/events", json=rated | {"value": 1}).is_success
        after = client.post("/v1/recommend", json=asked).json()["items"]
        assert first not in [item["product"] for item in after]
        title = shop.store.products([first])[first].title
        assert not [item for item in after if item["reason"].endswith(title)]
        assert len(after) == 20
        assert client.post("/v1/events", json=rated | {"value": 4}).is_success
        assert first in [item["product"] for item in client.post("/v1/recommend", json=asked).json()["items"]]
