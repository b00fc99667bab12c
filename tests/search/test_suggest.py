from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.schema import EVENT_COLUMNS
from shelfwise.search.query.spelling import Spelling
from shelfwise.search.query.text import Analyzer
from shelfwise.search.suggest import Entry, Suggester, popular_queries, private

TITLES = [
    "Sony wireless headphones",
    "Wireless mouse",
    "Brother TN-2110 toner",
    "HDMI cable 2 m",
    "红色无线蓝牙耳机",
    "蓝牙音箱",
]
SUGGESTER = Suggester(
    [Entry(title, 10 - i, f"p{i}") for i, title in enumerate(TITLES)],
    brands=[Entry("Sony", 3), Entry("Brother", 1)],
    categories=[Entry("Headphones", 5), Entry("Cables", 2)],
    queries=[Entry("wireless mouse", 9), Entry("headphones for running", 7)],
    latin=Analyzer().latin,
    spelling=Spelling(TITLES),
)


def texts(prefix: str, k: int = 8) -> list[str]:
    return [suggestion.text for suggestion in SUGGESTER.suggest(prefix, k)]


def test_kinds() -> None:
    assert [(s.kind, s.text) for s in SUGGESTER.suggest("head")] == [
        ("query", "headphones for running"),
        ("category", "Headphones"),
        ("product", "Sony wireless headphones"),
    ]
    assert [(s.kind, s.id) for s in SUGGESTER.suggest("son")] == [("brand", ""), ("product", "p0")]


@pytest.mark.parametrize(
    ("prefix", "text"),
    [
        ("wireless mo", "Wireless mouse"),
        ("mouse wire", "Wireless mouse"),
        ("tn-21", "Brother TN-2110 toner"),
        ("tn2110", "Brother TN-2110 toner"),
        ("haedph", "Sony wireless headphones"),
        ("wireles mou", "Wireless mouse"),
        ("蓝牙", "蓝牙音箱"),
        ("耳机", "红色无线蓝牙耳机"),
        ("藍牙耳", "红色无线蓝牙耳机"),
        ("lanyaer", "红色无线蓝牙耳机"),
        ("lyej", "红色无线蓝牙耳机"),
    ],
)
def test_finds(prefix: str, text: str) -> None:
    assert text.casefold() in [found.casefold() for found in texts(prefix)]


def test_highlights() -> None:
    found = next(s for s in SUGGESTER.suggest("wireless mou") if s.kind == "product")
    assert found.highlight == ((0, 8), (9, 12))
    assert found.to_json() == {"kind": "product", "text": "Wireless mouse", "id": "p1", "highlight": [[0, 8], [9, 12]]}


def test_updated() -> None:
    newer = SUGGESTER.updated([Entry("Wireless charger", 1, "p9")], gone=["p1"])
    found = [(s.kind, s.id) for s in newer.suggest("wireless")]
    assert ("product", "p9") in found
    assert ("product", "p1") not in found
    assert ("product", "p9") not in [(s.kind, s.id) for s in newer.updated(gone=["p9"]).suggest("wireless")]


def test_nobody_s_private_query_leaks() -> None:
    def asked(query: str, customers: int, sessions: int = 0) -> list[dict[str, object]]:
        people = [(f"c{i}", "") for i in range(customers)] + [("", f"s{i}") for i in range(sessions)]
        blank = {"product": "", "quantity": 1.0, "price": None, "value": None, "request_id": ""}
        return [
            {"id": f"{query}{i}", "type": "search", "time": i, "customer": c, "session": s, "query": query} | blank
            for i, (c, s) in enumerate(people)
        ]

    rows = [*asked("Red Shoes", 3), *asked("red  shoes", 6), *asked("secret", 4, sessions=50), *asked("me@home.org", 9)]
    rows += [*asked("call 0171 234 5678", 9), *asked("blue hat", 5), *asked("blue hat", 5)]
    events = pl.DataFrame(rows, schema=EVENT_COLUMNS)
    assert [(e.text, e.weight) for e in popular_queries(events)] == [("red shoes", 6.0), ("blue hat", 5.0)]
    assert private("4111 1111 1111 1111")
    assert not private("iphone 11 64gb")


@given(st.text(max_size=40), st.integers(0, 20))
def test_any_text_is_answered(prefix: str, k: int) -> None:
    found = SUGGESTER.suggest(prefix, k)
    assert len(found) <= k
    assert len({(s.kind, s.text, s.id) for s in found}) == len(found)
    for suggestion in found:
        assert all(0 <= start < end <= len(suggestion.text) for start, end in suggestion.highlight)
