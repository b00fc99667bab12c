"""Files that are not what they should be: each is refused with its line, and nothing is stored."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from shelfwise.errors import UnreadableFile
from shelfwise.intake import load_events, load_products
from shelfwise.intake.reading import MAX_LINE, rows_of, sniff, text_frames
from shelfwise.store import Store

EVENTS = "user,sku,ts,type\n" + "".join(f"u{n},p{n % 3},2024-05-0{n % 9 + 1}T10:00:00,view\n" for n in range(20))
JSON = '{"id": "1", "title": "a"}\n'

BROKEN: dict[str, tuple[bytes, int | None, str | None]] = {
    # name → content, line, column
    "empty": (b"", None, None),
    "blank": (b"\n \n", None, None),
    "only a header": (b"user,sku,ts\n", None, None),
    "no such columns": (b"a,b,c\n1,2,3\n", 1, None),
    "a column twice": (b"user,sku,user,ts\n1,2,3,4\n", 1, "user"),
    "too few fields": (EVENTS.encode() + b"u1,p1\n", 22, "ts"),
    "too many fields": (EVENTS.encode() + b"u1,p1,2024-05-01,view,more\n", 22, "type"),
    "ragged after a quoted line end": (b'user,sku,ts\n"a\nb",p,2024-05-01\nu,p\n', 4, "ts"),
    "a quote never closed": (EVENTS.encode() + b'"u1,p1,2024-05-01,view\n' + b"x\n" * 50, 22, None),
    "a quote inside": (b'user,sku,ts\n"a"b,p,2024-05-01\n', 2, None),
    "mixed encodings": (EVENTS.encode() + "é\n".encode() + "é\n".encode("cp1252"), None, None),
    "a line of 10 MB": (EVENTS.encode() + b"x" * 10_000_000 + b"\n", 22, None),
    "a field of 2 MB": (EVENTS.encode() + b"x" * 2_000_000 + b",p,2024-05-01,view\n", 22, None),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(100), None, None),
    "broken json": (b'{"user": "a", "item": "b", "time": 1714564800}\n{"user": \n', 2, None),
    "json of another kind": (b'{"user": "a", "item": "b", "time": 1714564800}\n[1]\n', 2, None),
    "NaN in json": (b'{"user": "a", "item": "b", "time": 1714564800, "price": NaN}\n', 1, None),
    "false parquet": (b"PAR1 this is not parquet PAR1", None, None),
    "cut gzip": (gzip.compress(EVENTS.encode() * 500)[:-30], None, None),
    "no usable row": (b"user,sku,ts\nu,p,yesterday\nu,p,tomorrow\n", None, None),
    "xml": (b"<log><event/></log>", None, None),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_log_changes_nothing(name: str, tmp_path: Path, store: Store) -> None:
    content, line, column = BROKEN[name]
    path = tmp_path / "events.csv"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile) as caught:
        load_events(path, store)
    assert store.counts().events == 0
    assert str(path) in str(caught.value)
    if line is not None:
        assert caught.value.line == line
    if column is not None:
        assert caught.value.column == column


@pytest.mark.parametrize("name", [n for n in BROKEN if n not in ("xml", "NaN in json", "no usable row")])
def test_a_broken_feed_changes_nothing(name: str, tmp_path: Path, store: Store) -> None:
    path = tmp_path / "products.csv"
    path.write_bytes(BROKEN[name][0].replace(b"user", b"id").replace(b"sku", b"title").replace(b"only a header", b""))
    with pytest.raises(UnreadableFile):
        load_products(path, store)
    assert store.counts().products == 0


def test_a_missing_file_is_named(tmp_path: Path, store: Store) -> None:
    with pytest.raises(UnreadableFile, match="no such file"):
        load_events(tmp_path / "nothing.csv", store)
    with pytest.raises(UnreadableFile, match="nothing"):
        load_products(tmp_path / "nothing.csv", store)
    with pytest.raises(UnreadableFile):
        load_products(tmp_path, store)


WRITINGS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda text: text.encode(),
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "windows line ends": lambda text: text.replace("\n", "\r\n").encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "gzip": lambda text: gzip.compress(text.encode()),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "no last line end": lambda text: text.rstrip("\n").encode(),
    "blank lines": lambda text: ("\n" + text.replace("\n", "\n\n")).encode(),
    "all quoted": lambda text: "".join(
        ",".join(f'"{field}"' for field in line.split(",")) + "\n" for line in text.splitlines()
    ).encode(),
}


@pytest.mark.parametrize("name", WRITINGS)
@pytest.mark.parametrize("extension", ["csv", "dat", "json"])
def test_one_log_however_it_is_written(name: str, extension: str, tmp_path: Path, store: Store) -> None:
    path = tmp_path / f"events.{extension}"
    path.write_bytes(WRITINGS[name](EVENTS))
    report = load_events(path, store)
    assert (report.read, report.kept, report.dropped) == (20, 20, 0)
    assert store.counts().customers == 20
    plain = tmp_path / "plain.csv"
    plain.write_text(EVENTS)
    assert load_events(plain, store).kept == 0  # the same events


def test_kinds_are_told_by_content(tmp_path: Path) -> None:
    path = tmp_path / "wrong.xml"
    path.write_text(JSON)
    assert sniff(path) == "jsonl"
    path.write_text("a\tb\n1,2\t3\n")
    assert sniff(path) == "tsv"
    path.write_text('<?xml version="1.0"?><a/>')
    assert sniff(path) == "xml"
    pl.DataFrame({"a": [1]}).write_parquet(path)
    assert sniff(path) == "parquet"


def test_lines_are_counted_past_quoted_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,title\n1,"two\nlines"\n2,"with ""quotes"", and a comma"\n\n3,x\n')
    assert [(line, row["title"]) for line, row in rows_of(path, "csv")] == [
        (2, "two\nlines"),
        (4, 'with "quotes", and a comma'),
        (6, "x"),
    ]


def test_memory_is_bounded_by_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1,2\n" * 2_500)
    frames = list(text_frames(path, "csv", ["b"], rows=1_000))
    assert [frame.height for frame in frames] == [1_000, 1_000, 500]
    assert frames[2]["line"].to_list()[-1] == 2_501
    parquet = tmp_path / "a.parquet"
    pl.DataFrame({"b": range(2_500)}).write_parquet(parquet)
    assert [frame.height for frame in text_frames(parquet, "parquet", ["b"], rows=1_000)] == [1_000, 1_000, 500]


def test_the_longest_line_is_read(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "1", "title": "x", "description": "' + "y " * (MAX_LINE // 2 - 100) + '"}\n')
    report = load_products(path, store)
    assert [issue.kind for issue in report.issues] == ["long_description"]
