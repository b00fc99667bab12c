from __future__ import annotations

import gzip
import json
import os
import random
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.search.query.spelling import Spelling, edit_cost

TITLES = [
    "Sony wireless headphones black",
    "Bluetooth speaker portable",
    "Bluetooth headphones with microphone",
    "HP toner cartridge TN-2110",
    "Laptop bag 15.6 inch",
    "Wireless mouse",
    "Wireless keyboard and mouse",
    "Apple iPhone 11 64 GB",
    "USB 3.0 hub",
    "红色无线蓝牙耳机",
    "蓝牙音箱",
    "无线鼠标",
    "手机壳",
] * 3


@pytest.fixture(scope="module")
def spelling() -> Spelling:
    return Spelling(TITLES)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("wireles mouse", "wireless mouse"),
        ("kyeboard", "keyboard"),
        ("Haedphones", "headphones"),
        ("head phones", "headphones"),
        ("bluetoothspeaker", "bluetooth speaker"),
        ("iphnoe 11", "iphone 11"),
    ],
)
def test_mends(spelling: Spelling, typed: str, meant: str) -> None:
    assert spelling.correct(typed).text == meant


@pytest.mark.parametrize(
    "query", ["wireless mouse", "mouses", "cartridges", "iphone 11", "usb 3.0", "tn-2110", "aa", "手鸡壳"]
)
def test_leaves_what_exists(spelling: Spelling, query: str) -> None:
    correction = spelling.correct(query)
    assert correction.text == query
    assert not correction.changed


def test_another_model_is_only_asked(spelling: Spelling) -> None:
    correction = spelling.correct("tn2111")
    assert correction.text == "tn2110"
    assert not correction.certain
    assert correction.words == (("tn2111", "tn2110"),)


def test_context_decides() -> None:
    titles = ["garden hose reel"] * 30 + ["running shoe red"] * 30
    spelling = Spelling(titles)
    assert spelling.correct("garden hoe").text == "garden hose"
    assert spelling.correct("running shoo").text == "running shoe"


def test_learns() -> None:
    spelling = Spelling(["wireless mouse"] * 3)
    assert not spelling.correct("trackbll").changed
    spelling.add("wireless trackball")
    assert spelling.correct("trackbll").text == "trackball"


def test_costs() -> None:
    assert edit_cost("mouse", "mouse") == 0
    assert edit_cost("muose", "mouse") == pytest.approx(0.6)
    assert edit_cost("speling", "spelling") == pytest.approx(0.5)
    assert edit_cost("moyse", "mouse") == pytest.approx(0.7)
    assert edit_cost("ouse", "mouse") == pytest.approx(1.2)


@given(st.text(max_size=60))
def test_any_text_is_answered(query: str) -> None:
    correction = MADE.correct(query)
    assert correction.changed == bool(correction.words)


MADE = Spelling(TITLES)


def test_one_edit_in_the_catalogue_s_words() -> None:
    folder = Path(os.environ.get("SHELFWISE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    path = folder / "chorus_products.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        spelling = Spelling(json.loads(line)["title"] for line in lines)
    chance = random.Random(7)
    often = [w for w in spelling._words if len(w) > 5 and w.isalpha() and w.isascii() and spelling.count(w) > 20]
    right = 0
    for word in chance.choices(often, k=300):
        at = chance.randrange(1, len(word))
        typed = chance.choice(
            (word[:at] + word[at + 1 :], word[:at] + chance.choice(string.ascii_lowercase) + word[at:])
        )
        meant = spelling.correct(typed).text
        right += meant == word or spelling.exists(typed) or meant.rstrip("s") == word.rstrip("s")
    assert right >= 280
