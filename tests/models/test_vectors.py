import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwise.models.sequences import Floats
from shelfwise.models.vectors import VectorCache, content_key


def unit(n: int, d: int = 8, seed: int = 0) -> Floats:
    rows = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def keys(*names: str) -> list[bytes]:
    return [content_key(name.encode()) for name in names]


def test_what_was_put_comes_back_after_reopening(tmp_path: Path) -> None:
    vectors = unit(3)
    with VectorCache(tmp_path) as cache:
        cache.put("e", keys("a", "b", "c"), vectors)
    again, found = VectorCache(tmp_path).get("e", keys("c", "x", "a", "c"), 8)
    assert found.tolist() == [True, False, True, True]
    np.testing.assert_allclose(again[[0, 2, 3]], vectors[[2, 0, 2]], atol=5e-4)
    assert not again[1].any()


def test_encoders_and_widths_are_kept_apart(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    cache.put("one", keys("a"), unit(1))
    assert not cache.get("two", keys("a"), 8)[1].any()
    assert not cache.get("one", keys("a"), 16)[1].any()
    assert cache.get("one", keys("a"), 8)[1].all()


def test_nothing_asked_or_put_makes_no_folder(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "cache")
    cache.put("e", [], unit(0))
    vectors, found = cache.get("e", [], 8)
    assert vectors.shape == (0, 8)
    assert not len(found)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("lost", [1, 5, 35, 36])
def test_a_torn_last_record_is_lost_alone(tmp_path: Path, lost: int) -> None:
    with VectorCache(tmp_path) as cache:
        cache.put("e", keys("a", "b"), unit(2))
    (shard,) = tmp_path.glob("*/*")
    shard.write_bytes(shard.read_bytes()[:-lost])
    with VectorCache(tmp_path) as cache:
        assert cache.get("e", keys("a", "b"), 8)[1].tolist() == [True, False]
        cache.put("e", keys("b"), unit(2)[1:])
        assert cache.get("e", keys("a", "b"), 8)[1].all()


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 35), change=st.integers(1, 255))
def test_a_changed_byte_is_never_believed(tmp_path_factory: pytest.TempPathFactory, place: int, change: int) -> None:
    folder = tmp_path_factory.mktemp("cache")
    with VectorCache(folder) as cache:
        cache.put("e", keys("a", "b"), unit(2))
    (shard,) = folder.glob("*/*")
    raw = bytearray(shard.read_bytes())
    raw[place] ^= change
    shard.write_bytes(raw)
    assert VectorCache(folder).get("e", keys("a", "b"), 8)[1].tolist() == [False, True]


def test_a_damaged_record_can_be_put_again(tmp_path: Path) -> None:
    with VectorCache(tmp_path) as cache:
        cache.put("e", keys("a"), unit(1))
    (shard,) = tmp_path.glob("*/*")
    shard.write_bytes(b"\0" * 16 + shard.read_bytes()[16:])
    for _ in range(2):
        with VectorCache(tmp_path) as cache:
            if not cache.get("e", keys("a"), 8)[1].all():
                cache.put("e", keys("a"), unit(1))
    assert VectorCache(tmp_path).get("e", keys("a"), 8)[1].all()


def _write(folder: Path, who: int) -> None:
    with VectorCache(folder) as cache:
        for start in range(0, 200, 10):
            cache.put("e", keys(*(f"{who}-{i}" for i in range(start, start + 10))), unit(10, seed=who))


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_write, args=(tmp_path, who)) for who in (1, 2)]
    for process in both:
        process.start()
    reader = VectorCache(tmp_path)
    reader.get("e", keys("1-0"), 8)  # while they write
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    assert reader.get("e", keys(*(f"{who}-{i}" for who in (1, 2) for i in range(200))), 8)[1].all()


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with VectorCache(tmp_path / "cache") as cache:
        key = content_key(b"one")
        cache.put("one", [key], np.ones((1, 4), np.float32))
        assert cache.problem
        assert not cache.get("one", [key], 4)[1].any()
        (tmp_path / "cache").unlink()
        cache.put("one", [key], np.ones((1, 4), np.float32))
        assert not cache.problem
        assert cache.get("one", [key], 4)[1].all()
