"""Photos for pages: small, from inside the shop alone, and a tile where there is none."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from starlette.testclient import TestClient

from shelfwise.models.pictograms import draw
from shelfwise.schema import Product
from shelfwise.serve.app import create_app
from shelfwise.serve.web.images import SIZES, pictogram, picture, tile
from shelfwise.settings import Settings
from shelfwise.shop import Shop


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    Image.new("RGB", (800, 400), "red").save(folder / "red.jpg")
    Image.new("RGB", (80, 80), "blue").save(tmp_path / "secret.png")
    (folder / "way_out.png").symlink_to(tmp_path / "secret.png")
    (folder / "text.jpg").write_text("no photo")
    return folder


@pytest.mark.parametrize("size", SIZES)
def test_a_photo_is_made_small_once(photo: Path, size: int) -> None:
    product = Product(id="a", title="A", image_link="red.jpg")
    body, kind = picture(photo, product, size)
    assert kind == "image/webp"
    assert Image.open(io.BytesIO(body)).size == (size, size // 2)
    (made,) = (photo / "cache" / "thumbnails").iterdir()
    made.write_bytes(b"kept")
    assert picture(photo, product, size)[0] == b"kept"
    Image.new("RGB", (400, 400), "blue").save(photo / "red.jpg")
    assert Image.open(io.BytesIO(picture(photo, product, size)[0])).size == (min(size, 400),) * 2, "a new file"


@pytest.mark.parametrize(
    "link",
    [
        *(
            "",
            "../secret.png",
            "way_out.png",
            "/etc/passwd",
            "text.jpg",
            "gone.jpg",
            "file:///etc/passwd",
            "a\0b",
            "x" * 3000,
        ),
        *("http://127.0.0.1:1/a.jpg", "https://example.org/a.jpg", "//example.org/a.jpg", "shelfwise.toml", ".."),
    ],
)
def test_what_is_no_photo_of_the_shop_is_a_tile(photo: Path, link: str) -> None:
    body, kind = picture(photo, _with(link), 96)
    assert kind == "image/svg+xml"
    ET.fromstring(body)


def _with(link: str) -> Product:
    product = Product(id="a", title="<b>", product_type="Tea")
    object.__setattr__(product, "image_link", link)
    return product


@pytest.mark.parametrize("title", ["", "<script>", '"&', "红茶", "\ud800", "😀"])
def test_tiles_are_whole_whatever_the_title(title: str) -> None:
    ET.fromstring(tile(_titled(title)))


def _titled(title: str) -> Product:
    product = Product(id="x", title="y")
    object.__setattr__(product, "title", title)
    return product


def test_photos_over_http(photo: Path) -> None:
    Shop.create(photo, text_encoder="none", image_encoder="none").close()
    with Shop(photo) as shop:
        shop.put_products([Product(id="a/b.c", title="A", image_link="red.jpg"), Product(id="bare", title="B")])
        with TestClient(create_app(shop), base_url="http://localhost") as client:
            reply = client.get("/images/a%2Fb.c/96")
            assert (reply.status_code, reply.headers["content-type"]) == (200, "image/webp")
            again = client.get("/images/a%2Fb.c/96", headers={"if-none-match": reply.headers["etag"]})
            assert again.status_code == 304
            assert client.get("/images/bare/320").headers["content-type"] == "image/svg+xml"
            for path in ("bare/97", "nothing/96", "..%2F..%2Fshelfwise.toml/96", "bare/%2e%2e"):
                assert client.get(f"/images/{path}").status_code == 404, path
            for path in ("../../__init__.py", "..%2Frender.py", "%2Fetc%2Fpasswd", "vendor", ""):
                assert client.get(f"/static/{path}").status_code == 404, path
            style = client.get("/static/style.css")
            assert (style.status_code, "immutable" in style.headers["cache-control"]) == (200, True)


def test_products_without_a_photo_show_what_their_category_is(tmp_path: Path) -> None:
    names = ["Dairy > Fluid milk", "Fruit > Bananas", "Floral > Tulips", ""]
    frame = pl.DataFrame({"image_link": ["", "", None, ""], "product_type": names})
    draw(frame, tmp_path, Settings(image_encoder="none", threads=1))
    assert [pictogram(tmp_path, name) for name in names] == ["🥛", "🍌", "🌷", ""]
    product = _titled("Whole")
    body, _ = picture(tmp_path, replace(product, product_type=names[0]), 96)
    assert "🥛" in body.decode()
    body, _ = picture(tmp_path, replace(product, product_type=names[3]), 96)
    assert ">W<" in body.decode()
