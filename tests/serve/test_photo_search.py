"""Search by photo over HTTP with the real encoder, on real photos."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from shelfwise.schema import Product
from shelfwise.serve.app import create_app
from shelfwise.shop import Shop

PRODUCTS = 48

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of products that have a photo each, every one another."""
    folder = tmp_path_factory.mktemp("photos") / "shop"
    with (data / "luma" / "products.csv").open(encoding="utf-8", newline="") as file:
        rows = list({row["image_link"]: row for row in csv.DictReader(file)}.values())
    with Shop.create(folder, text_encoder="none") as shop:
        (folder / "images").mkdir()
        found = []
        for row in rows[:: len(rows) // PRODUCTS][:PRODUCTS]:
            shutil.copy(data / "luma" / row["image_link"], folder / "images")
            found.append(Product(id=row["id"], title=row["title"], image_link=row["image_link"], price=20))
        shop.put_products(found)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with Shop(folder) as shop:
        shop.searching.indexes.complete()
        with TestClient(create_app(shop), base_url="http://localhost") as opened:
            yield opened


def photos(folder: Path) -> dict[str, Path]:
    with Shop(folder) as shop:
        frame = shop.store.products_frame()
    return {id: folder / link for id, link in zip(frame["id"], frame["image_link"], strict=True)}


def taken_again(path: Path) -> bytes:
    """The photo as a shopper might send it: cut a little, smaller, and compressed anew."""
    with Image.open(path) as photo:
        width, height = photo.size
        cut = photo.convert("RGB").crop((width // 25, height // 25, width - width // 30, height - height // 30))
    cut.thumbnail((400, 400))
    out = io.BytesIO()
    cut.save(out, "JPEG", quality=60)
    return out.getvalue()


def test_a_products_own_photo_finds_the_very_product(client: TestClient, folder: Path) -> None:
    found = photos(folder)
    assert len(found) == PRODUCTS
    first = 0
    for product, path in found.items():
        reply = client.post("/v1/search/image", content=taken_again(path), headers={"content-type": "image/jpeg"})
        assert reply.status_code == 200, reply.text
        items = reply.json()["items"]
        assert len(items) == 24
        assert product in [item["product"] for item in items[:5]]
        first += items[0]["product"] == product
    assert first >= 0.9 * PRODUCTS


def test_filters_narrow_look_alikes(client: TestClient, folder: Path) -> None:
    product, path = next(iter(photos(folder).items()))
    files = {"image": ("photo.jpg", path.read_bytes(), "image/jpeg")}
    question = {"k": 5, "filters": {"exclude": [product]}}
    reply = client.post("/v1/search/image", files=files, data={"question": json.dumps(question)})
    ids = [item["product"] for item in reply.json()["items"]]
    assert len(ids) == 5
    assert product not in ids
    question = {"filters": {"price_max": 10}}
    reply = client.post("/v1/search/image", files=files, data={"question": json.dumps(question)})
    assert reply.json()["items"] == []


def test_a_photo_of_nothing_the_shop_has_still_gets_an_answer(client: TestClient) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "green").save(out, "PNG")
    reply = client.post("/v1/search/image", content=out.getvalue(), headers={"content-type": "image/png"})
    assert reply.status_code == 200
