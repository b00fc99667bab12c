"""What `benchmark sequences` reads: files small, odd and bad; and whose seconds a row counts."""

from __future__ import annotations

import gzip
import random
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwise.errors import NotEnoughData, UnreadableFile
from shelfwise.evaluation.sequences_benchmark import read_sequences, sequences
from shelfwise.settings import Settings

SMALL = Settings(epochs=1, width=16, threads=1)
# Any word: what str.split() leaves whole, and UTF-8 can hold.
WORD = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=12).filter(
    lambda word: word.split() == [word]
)
PAIRS = st.lists(st.tuples(WORD, WORD), min_size=1, max_size=30)
BLANK = st.sampled_from([b"", b" ", b"\t", b"  \t "])
END = st.sampled_from([b"\n", b"\r\n"])


def patterns(found: list[list[object]]) -> list[list[int]]:
    """Items by first appearance: inside ids are shuffled."""
    known: dict[object, int] = {}
    return [[known.setdefault(item, len(known)) for item in row] for row in found]


@given(pairs=PAIRS, data=st.data(), packed=st.booleans())
@settings(deadline=None)
def test_any_words_any_ends_any_blanks(pairs: list[tuple[str, str]], data: st.DataObject, packed: bool) -> None:
    text = b""
    for user, item in pairs:
        between = data.draw(st.sampled_from([b" ", b"\t", b"   "]))
        text += user.encode() + between + item.encode() + data.draw(BLANK) + data.draw(END)
        if data.draw(st.booleans()):
            text += data.draw(BLANK) + data.draw(END)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some.txt"
        path.write_bytes(gzip.compress(text) if packed else text)
        found, n = read_sequences(path)
    wanted: dict[str, list[object]] = defaultdict(list)
    for user, item in pairs:
        wanted[user].append(item)
    assert n == len({item for _, item in pairs})
    assert found.lengths().tolist() == [len(row) for row in wanted.values()]
    rows = [found.items_of(row).tolist() for row in range(len(found))]
    assert patterns(rows) == patterns(list(wanted.values()))
    assert [int(time) for time in found.time] == [step for row in wanted.values() for step in range(len(row))]


@given(
    before=st.integers(0, 20),
    blanks=st.integers(0, 3),
    bad=st.sampled_from([b"a", b"a b c", b"a\xff b", b"x " + 1_000 * b"y"]),
)
@settings(deadline=None)
def test_a_bad_line_is_named_with_its_number(before: int, blanks: int, bad: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bad.txt"
        path.write_bytes(b"u i\n" * before + b"\n" * blanks + bad + b"\nu i\n")
        with pytest.raises(UnreadableFile, match=rf"line {before + blanks + 1}\b"):
            read_sequences(path)


@pytest.mark.parametrize("text", [b"", b"\n \n\r\n"])
def test_a_file_without_a_line_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "empty.txt"
    path.write_bytes(text)
    with pytest.raises(UnreadableFile, match="holds no line"):
        read_sequences(path)


def test_a_torn_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "torn.gz"
    path.write_bytes(gzip.compress(b"a 1\n" * 5_000)[:-20])
    with pytest.raises(UnreadableFile, match="cannot be read"):
        read_sequences(path)


@pytest.mark.parametrize("users", [1, 2])
@pytest.mark.parametrize("refit", [False, True])
def test_one_or_two_users_are_enough_to_measure(tmp_path: Path, users: int, refit: bool) -> None:
    path = tmp_path / "tiny.txt"
    path.write_text("".join(f"u{user} i{(user + step) % 6}\r\n" for user in range(users) for step in range(5)))
    found = sequences(path, settings=SMALL, refit=refit, baseline_minutes=0.01)
    assert found["tested"] == users
    for row in found["rows"]:
        assert 0 <= row["ndcg@10"] <= row["hr@10"] <= 1


def test_too_short_users_are_not_asked(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("a 1\na 2\na 3\nb 1\nb 2\nc 3\n")
    found = sequences(path, settings=SMALL, only=["popularity", "item-knn"])
    assert (found["users"], found["tested"]) == (3, 1)
    path.write_text("a 1\na 2\nb 1\nb 2\n")
    with pytest.raises(NotEnoughData, match="three events"):
        sequences(path, settings=SMALL, only=["popularity"])


@pytest.mark.parametrize("first", ["engine", "item-knn"])
def test_a_row_counts_all_that_was_fitted_for_it_whatever_comes_first(tmp_path: Path, first: str) -> None:
    draw = random.Random(0)
    path = tmp_path / "ring.txt"
    path.write_text("".join(f"u{u} i{(draw.randrange(40) + s) % 40}\n" for u in range(120) for s in range(6)))
    rest = "item-knn" if first == "engine" else "engine"
    found = sequences(path, settings=SMALL, refit=True, only=[first, rest, "network"])
    seconds = {row["name"]: row["fit_seconds"] for row in found["rows"]}
    assert seconds["network"] > 0
    assert seconds["engine"] > seconds["network"] + seconds["item-knn"] - 0.02  # rounded


def test_networks_are_bounded_or_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ring.txt"
    path.write_text("".join(f"u{u} i{(u + s) % 40}\n" for u in range(60) for s in range(6)))
    rows = ["popularity", "ncf", "described"]
    found = sequences(path, settings=SMALL, only=rows, baseline_minutes=1e-6)["rows"]
    assert [("stopped_after" in row) for row in found] == [False, True, True]
    assert [row["name"] for row in sequences(path, settings=SMALL, only=rows, baseline_minutes=0)["rows"]] == rows[:1]
