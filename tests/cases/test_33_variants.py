"""Cases 33 and 35: variants do not fill a list; odd ids are read and written by every route."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import orjson
from shops import learned
from starlette.testclient import TestClient

from shelfwise.serve.app import create_app
from shelfwise.shop import Shop


def test_one_variant_of_each_shirt(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    shop = new_shop()
    shop.load_products(case(33) / "feed.csv")
    shop.load_events(case(33) / "log.csv")
    learned(shop)
    products = shop.store.products(shop.store.product_ids())
    group = {name: product.item_group_id or name for name, product in products.items()}
    moment = datetime(2026, 11, 29, tzinfo=UTC)
    answers = [[item.product for item in shop.similar("SH3-M", k=10).items]]
    for customer in ("c001", "c017", "c057", ""):
        for surface, seeds in (("home", ()), ("product", ("SH3-M",)), ("cart", ("SH3-M",))):
            answer = shop.recommend(customer=customer, surface=surface, seeds=seeds, k=10, now=moment)
            answers.append([item.product for item in answer.items])
            if seeds:
                assert "SH3" not in {group[name] for name in answers[-1]}
    answers += [[name for name, _ in one] for one in shop.recommend_many(["c001", "c017"], k=10)]
    for names in answers:
        assert len({group[name] for name in names}) == len(names)
        assert all(products[name].availability == "in_stock" for name in names)
        assert len(names) == 10


def test_odd_ids_by_every_route(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    shop = new_shop()
    report = shop.load_products(case(35) / "feed.csv")
    assert (report.read, report.kept) == (21, 21)
    shop.load_events(case(35) / "log.csv")
    ids = shop.store.product_ids()
    assert len(ids) == 21
    assert {"TEA", "tea", "Ｔ１００", "..", "-5", "null", "a%2Fb"} <= set(ids)
    assert not {"unknown_product", "ids_meet_after"} & {issue.kind for issue in shop.check().issues}
    learned(shop)
    with TestClient(create_app(shop), base_url="http://127.0.0.1:8000", client=("127.0.0.1", 1)) as client:
        for name in ids:
            assert client.post("/v1/similar", json={"product": name}).status_code == 200, name
            seeds = {"surface": "product", "seeds": [name]}
            assert client.post("/v1/recommend", json=seeds).status_code == 200, name
            event = {"type": "view_item", "session": "s", "product": name}
            assert client.post("/v1/events", json=event).status_code == 200, name
        # What is not in the catalogue by that spelling is named, and the rest recorded.
        batch = orjson.loads((case(35) / "batch.json").read_bytes())
        answer = client.post("/v1/events", json={**batch, "on_error": "skip"}).json()
        unknown = [event["product"] for event in batch["events"] if event["product"] not in ids]
        assert answer["accepted"] == len(batch["events"]) - len(unknown)
        for name in ("a/b c", "x?y#z", "a%2Fb", "🍵-01"):
            kept = shop.store.products([name])[name]
            once = quote(name, safe="")
            path = f"/v1/products/{quote(once, safe='') if '%' in name else once}"  # TestClient unquotes twice
            assert client.delete(path).json().get("deleted") == name, name
            assert shop.counts().products == 20
            assert client.put("/v1/products", json={"id": name, "title": kept.title, "price": 5}).status_code == 200
        assert shop.counts().products == 21
