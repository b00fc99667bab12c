"""Thumbnails of products' photos. How photos are read is tested in test_encoders.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shelfwise.models.photos import thumbnails
from shelfwise.models.vectors import VectorCache, content_key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    Image.new("RGB", (90, 60), (10, 200, 255)).save(folder / "plain.png")
    half = Image.new("RGB", (320, 320), "black")
    half.paste("white", (0, 0, 160, 320))
    half.save(folder / "half.png")
    (folder / "torn.jpg").write_bytes((folder / "plain.png").read_bytes()[:40])
    Image.new("RGB", (40, 40), "red").save(tmp_path / "outside.png")
    return folder


def test_thumbnails_show_what_the_photo_shows(folder: Path, tmp_path: Path) -> None:
    links = ["plain.png", "", None, "half.png", "plain.png", "torn.jpg", "../outside.png", "https://a.example/b.png"]
    told: list[tuple[int, int, str]] = []
    made = thumbnails(links, folder, VectorCache(tmp_path / "cache"), lambda *seen: told.append(seen))
    assert made is not None
    assert made.shape == (8, 32, 32, 3)
    assert made.dtype == np.uint8
    assert (made[0] == (10, 200, 255)).all()
    np.testing.assert_array_equal(made[4], made[0])
    assert (made[3, :, :15] == 255).all()
    assert (made[3, :, 17:] == 0).all()
    assert not made[[1, 2, 5, 6, 7]].any()
    assert told == [(3, 3, "thumbnails made")]


def test_they_are_kept_by_content(folder: Path, tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "cache")
    first = thumbnails(["plain.png", "half.png"], folder, cache)
    (folder / "half.png").rename(folder / "moved.png")
    kept = np.arange(32 * 32 * 3, dtype=np.float32)[None] % 256  # every shade comes back as it was kept
    key = content_key((folder / "plain.png").read_bytes())
    for path in (tmp_path / "cache").rglob("*.d3072"):
        path.unlink()
    cache.close()
    cache.put("thumbnail-32", [key], kept)
    again = thumbnails(["plain.png", "moved.png"], folder, cache)
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(again[0].ravel(), kept[0])
    np.testing.assert_array_equal(again[1], first[1])


def test_without_any_photo_there_are_none(folder: Path, tmp_path: Path) -> None:
    assert thumbnails([None, ""], folder, VectorCache(tmp_path / "cache")) is None
    assert thumbnails([], folder, VectorCache(tmp_path / "cache")) is None
