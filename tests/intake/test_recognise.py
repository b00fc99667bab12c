"""Products or events, by content."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from shelfwise.errors import UnreadableFile
from shelfwise.intake.recognise import recognise

FILES = {
    "products": [
        "id,title,price,created\nA,Tea,3 USD,2024-01-01\n",
        "Handle\tSKU\tTitle\nx\tA\tTea\n",
        '{"sku": "A", "name": "Tea", "user_rating": 4}\n',
        "<?xml version='1.0'?><rss><channel><item><id>A</id></item></channel></rss>",
        "parent_asin,title,store\nA,Tea,Acme\n",
    ],
    "events": [
        "user,item,ts\nu1,A,2024-01-01\n",
        "session_id;sku;timestamp;price\ns;A;1;3\n",
        json.dumps({"event_name": "purchase", "event_timestamp": 1, "items": []}) + "\n",
        "customer_id,search_term,time\nc,tea,2024-01-01\n",
        '{"customer": "c", "time": 1, "product": "A", "id": "e1", "title": "Tea"}\n',
    ],
}


@pytest.mark.parametrize(("contents", "text"), [(kind, text) for kind, texts in FILES.items() for text in texts])
def test_a_file_says_what_it_is_whatever_it_is_called(contents: str, text: str, tmp_path: Path) -> None:
    plain, packed = tmp_path / "upload", tmp_path / "f.png"
    plain.write_text(text, "utf-8")
    packed.write_bytes(gzip.compress(text.encode()))
    assert recognise(plain) == recognise(packed) == contents


@pytest.mark.parametrize("data", [b"", b"colour,size\nred,3\n", b"\x89PNG\r\n\x1a\n\x00\x00", b"\x1f\x8bnot gzip"])
def test_what_is_neither_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_bytes(data)
    with pytest.raises(UnreadableFile):
        recognise(path)
