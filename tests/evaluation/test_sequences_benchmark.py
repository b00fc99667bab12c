"""The benchmark `sequences` on files small, odd and bad."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from shelfwise.errors import InvalidRequest, NotEnoughData, UnreadableFile
from shelfwise.evaluation.sequences_benchmark import read_sequences, sequences
from shelfwise.settings import Settings

SMALL = Settings(epochs=1, width=16, threads=1)
SOURCES = ("network", "engine", "popularity", "item-knn")


def ring(path: Path, users: int = 120) -> Path:
    """Users who walk around a ring of 40 items: what comes next is certain."""
    draw = random.Random(0)
    lines = []
    for user in range(users):
        start = draw.randrange(40)
        lines += [f"u{user} i{(start + step) % 40}\n" for step in range(draw.randrange(1, 9))]
    path.write_text("".join(lines))
    return path


@pytest.mark.parametrize("refit", [False, True])
def test_rows_of_a_ring(tmp_path: Path, refit: bool) -> None:
    found = sequences(ring(tmp_path / "ring.txt"), settings=SMALL, refit=refit, only=SOURCES)
    assert [row["name"] for row in found["rows"]] == list(SOURCES)
    assert found["refit"] is refit
    by_name = {row["name"]: row for row in found["rows"]}
    assert by_name["item-knn"]["hr@10"] > 0.95
    assert by_name["engine"]["hr@10"] > 0.9
    assert by_name["network"]["ndcg@10"] > by_name["popularity"]["ndcg@10"]
    assert set(by_name["engine"]) == {"name", "hr@10", "ndcg@10", "mrr@10", "fit_seconds", "score_seconds"}


def test_gzip_and_plain_read_alike(tmp_path: Path) -> None:
    plain = ring(tmp_path / "ring.txt")
    packed = tmp_path / "ring.txt.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_sequences(plain)[0].item.tolist() == read_sequences(packed)[0].item.tolist()


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text("a 1\na 2\nb\n")
    with pytest.raises(UnreadableFile, match="line 3"):
        sequences(path, settings=SMALL)


def test_short_users_only_teach(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("a 1\na 2\nb 1\n")
    with pytest.raises(NotEnoughData):
        sequences(path, settings=SMALL)


def test_an_unknown_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        sequences(ring(tmp_path / "ring.txt"), settings=SMALL, only=["nobody"])
