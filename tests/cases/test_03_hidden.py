"""Case 03 and its kind: what a merchant hid is shown nowhere, whenever he hid it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from shops import learned, write_feeds
from starlette.testclient import TestClient

from shelfwise.catalogue.filters import Filters, SearchFilters
from shelfwise.errors import UnknownProduct
from shelfwise.schema import Product, Status
from shelfwise.serve.app import create_app
from shelfwise.shop import Shop

HIDDEN = "tea-0"
SECRET = "zeppelin"


def _secret(status: Status) -> Product:
    return Product(
        id=HIDDEN,
        title="Zeppelin tea",
        description="A zeppelin on the tin",
        brand="Zeppelinbrand",
        product_type="Tea > Zeppelins",
        price=3.0,
        attributes={"shape": "zeppelinlike"},
        status=status,
    )


@pytest.fixture(params=["before learning", "after learning"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """160 customers, a quarter of whom buy most of all what is hidden."""
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none", durable=False) as shop:
        products, events = write_feeds(tmp_path)
        shop.load_products(products)
        shop.load_events(events)
        before = request.param == "before learning"
        shop.store.put_products([_secret(Status.HIDDEN if before else Status.ACTIVE)])
        learned(shop)
        if not before:
            assert HIDDEN in [hit.product for hit in shop.search("zeppelin").items]
            assert HIDDEN in [item.product for item in shop.recommend(customer="c0", k=20).items]
            assert any(SECRET in one.text.lower() for one in shop.suggest("zepp"))
            shop.put_products([_secret(Status.DRAFT)])
        yield shop


def _clean(answer: object) -> None:
    if isinstance(answer, dict):
        answer = {name: value for name, value in answer.items() if name != "unknown"}  # the request's own words
    text = orjson.dumps(answer, default=lambda one: one.to_json() if hasattr(one, "to_json") else str(one)).decode()
    assert SECRET not in text.lower()
    assert f'"{HIDDEN}"' not in text


def test_no_answer_shows_what_is_hidden(shop: Shop, tmp_path: Path) -> None:
    every = SearchFilters(availability=None)
    facets = ("category", "brand", "availability", "price", "shape")
    for query in ("zeppelin", "zepelin tea", "tea-0", "tea", "", "Zeppelinbrand"):
        for filters in (
            SearchFilters(),
            every,
            SearchFilters(categories=("Tea",)),
            SearchFilters(categories=("Tea > Zeppelins",)),
        ):
            answer = shop.search(query, filters=filters, k=100, facets=facets)
            assert HIDDEN not in [hit.product for hit in answer.items]
            _clean({"facets": [str(facet) for facet in answer.facets]})
    assert shop.search("", k=1, filters=every).total == 59
    for typed in ("zepp", "tea", "tea > z", "z"):
        _clean([str(one) for one in shop.suggest(typed)])
    for customer in ("c0", "c4", "c1", ""):
        for surface, seeds in (
            ("home", ()),
            ("product", ("tea-1",)),
            ("cart", ("tea-1", HIDDEN)),
            ("product", (HIDDEN,)),
        ):
            for allowed in (Filters(), Filters(availability=None)):
                _clean(shop.recommend(customer=customer, surface=surface, seeds=seeds, k=60, filters=allowed).to_json())
    _clean(shop.similar("tea-1", k=60, filters=Filters(availability=None)).to_json())
    with pytest.raises(UnknownProduct):
        shop.similar(HIDDEN)
    _clean(shop.recommend_many(["c0", "c4", "c8"], k=60))
    shop.lists(tmp_path / "out.jsonl", k=60, processes=1, now=datetime(2024, 6, 1, tzinfo=UTC))
    assert f'"{HIDDEN}"' not in (tmp_path / "out.jsonl").read_text()
    assert shop.product_count == 59


def test_no_route_and_no_page_shows_it(shop: Shop) -> None:
    with TestClient(create_app(shop), base_url="http://127.0.0.1:8000", client=("127.0.0.1", 1)) as client:
        pages = [
            "/",
            "/search",
            "/search?q=zeppelin",
            "/search?q=tea",
            "/search?category=Tea",
            "/new",
            "/suggest?q=zepp",
        ]
        for page in [*pages, "/product/tea-1", "/cart", "/v1/suggest?q=zepp"]:
            reply = client.get(page)
            assert reply.status_code == 200, page
            text = (
                reply.text.lower().replace("q=zeppelin", "").replace('value="zeppelin"', "").replace("“zeppelin”", "")
            )
            assert f"/product/{HIDDEN}" not in text, page
            assert not any(word in text for word in ("zeppelin tea", "zeppelinbrand")), page
        assert client.get(f"/product/{HIDDEN}").status_code == 404
        assert client.post("/cart", data={"product": HIDDEN}).status_code == 404
        assert "Z" not in client.get(f"/images/{HIDDEN}/96").text.split("middle")[-1]
        assert client.post("/v1/similar", json={"product": HIDDEN}).status_code == 404
        _clean(client.post("/v1/recommend", json={"customer": "c0", "k": 60}).json())
        _clean(client.post("/v1/search", json={"query": "tea", "k": 60, "facets": ["brand", "category"]}).json())
        assert client.get("/v1/health").json()["products"] == 59
        # An order of a hidden product is an order, and a price for it does not show it.
        event = {"type": "purchase", "customer": "c0", "product": HIDDEN}
        assert client.post("/v1/events", json=event).status_code == 200
        assert client.put("/v1/products", json={"id": HIDDEN, "title": "Zeppelin tea", "price": 2}).status_code == 200
        assert client.patch("/v1/products", json={"id": HIDDEN, "price": 1.5}).status_code == 200
        _clean(client.post("/v1/recommend", json={"customer": "c0", "k": 60}).json())
        assert client.patch("/v1/products", json={"id": HIDDEN, "status": "active"}).status_code == 200
        shown = client.post("/v1/search", json={"query": "zeppelin"}).json()
        assert [hit["product"] for hit in shown["items"]] == [HIDDEN]


def test_every_status_but_active_hides() -> None:
    for status in Status:
        product = replace(_secret(Status.ACTIVE), status=status)
        assert (product.offered(datetime.now(UTC)) is not None) == (status is Status.ACTIVE)
