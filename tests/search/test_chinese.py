"""Segments, pinyin and its slips."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.search.query.chinese import Segmenter, mainland, simplified
from shelfwise.search.query.pinyin import Pinyin, slipped, syllables
from shelfwise.search.query.text import Analyzer, normal

TITLES = [
    "声谷 红色无线蓝牙耳机 降噪",
    "壳小匠 iPhone 透明手机壳",
    "云羽 女童长款羽绒服",
    "极昼 充电宝 大容量",
    "真丝长裙 绿色",
    "旅行箱 银行卡包 重量秤",
    "不锈钢保温杯",
    "机械键盘 青轴",
]


@pytest.fixture(scope="module")
def pinyin() -> Pinyin:
    analyzer = Analyzer(["蓝牙耳机"])
    return Pinyin(Counter(phrase for title in TITLES for phrase in analyzer.phrases(title)))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("蓝牙", "lan ya"),
        ("银行", "yin hang"),
        ("旅行箱", "lv xing xiang"),
        ("重量", "zhong liang"),
        ("长裙", "chang qun"),
        ("长袖", "chang xiu"),
        ("加长款", "jia chang kuan"),
        ("绿色", "lv se"),
        ("女装", "nv zhuang"),
        ("音乐", "yin yue"),
        ("调料", "tiao liao"),
    ],
)
def test_readings(word: str, expected: str) -> None:
    assert " ".join(syllables(word)) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("lanya erji", "蓝牙耳机"),
        ("lanyaerji", "蓝牙耳机"),
        ("lan ya er ji", "蓝牙耳机"),
        ("lyej", "蓝牙耳机"),
        ("lanyae", "蓝牙耳机"),  # still typing
        ("lany erji", "蓝牙耳机"),
        ("nanya erji", "蓝牙耳机"),
        ("layna erji", "蓝牙耳机"),
        ("hongse lanya erji", "红色 蓝牙耳机"),
        ("iphone shoujike", "iphone 手机壳"),
        ("soujike", "手机壳"),
        ("shouji壳", None),  # half a word in letters: no token of its own
        ("yulongfu", "羽绒服"),
        ("yrf", "羽绒服"),
        ("congdianbao", "充电宝"),
        ("chang qun", "长裙"),
        ("lüse", "绿色"),
        ("lvse", "绿色"),
        ("luse", "绿色"),
        ("laptop", None),
        ("iphone", None),
        ("蓝牙耳机", None),
        ("", None),
    ],
)
def test_letters_become_the_catalogues_words(pinyin: Pinyin, query: str, expected: str | None) -> None:
    read = pinyin.read(normal(query), lambda word: word == "iphone")
    assert (read.text if read else None) == expected


def test_a_word_spelled_out_is_certain_and_one_being_typed_is_partial(pinyin: Pinyin) -> None:
    exact, typing, slip = (pinyin.read(query) for query in ("lanya erji", "lanyae", "soujike"))
    assert exact is not None
    assert typing is not None
    assert slip is not None
    assert (exact.slips, exact.partial, typing.partial) == (0, False, True)
    assert slip.slips > 0


@pytest.mark.parametrize(
    ("query", "expected"),
    [("兰牙耳机", "蓝牙耳机"), ("保温怀", "保温杯"), ("机戒键盘", "机械键盘"), ("蓝牙耳机", None), ("phone", None)],
)
def test_characters_that_sound_or_look_alike(pinyin: Pinyin, query: str, expected: str | None) -> None:
    assert pinyin.alike(query) == expected


def test_completion_goes_by_letters_and_initials(pinyin: Pinyin) -> None:
    assert "蓝牙耳机" in pinyin.complete("lanyae")
    assert "羽绒服" in pinyin.complete("yrf")
    assert pinyin.complete("zzzz") == []
    assert pinyin.complete("羽") == []


def test_a_shop_without_chinese_reads_nothing() -> None:
    empty = Pinyin({})
    assert len(empty) == 0
    assert empty.read("lanya") is None
    assert empty.alike("兰牙") is None


def test_segments_know_the_catalogues_words_and_those_inside() -> None:
    segmenter = Segmenter(["声谷", "蓝牙耳机"])
    run = "声谷无线蓝牙耳机"
    found = {run[start:end] for start, end in segmenter.spans(run)}
    assert {"声谷", "无线", "蓝牙耳机", "蓝牙", "耳机"} <= found
    assert "".join(segmenter.words(run)) == run


def test_one_script_and_one_regions_words() -> None:
    assert [simplified(character) for character in "藍機a"] == ["蓝", "机", "a"]
    assert mainland("滑鼠") == "鼠标"
    assert mainland("鼠标") == "鼠标"
    assert slipped("zhongguang") == slipped("zonguan")


@given(st.text(alphabet="蓝牙耳机充电宝手壳红色保温杯", min_size=1, max_size=20))
def test_parts_of_a_word_hold_all_its_characters(word: str) -> None:
    parts = SEGMENTER.parts(word)
    assert set("".join(parts)) == set(word)


SEGMENTER = Segmenter()


@given(st.text(max_size=60) | st.text(alphabet="abcdehijlnoruxyz ", max_size=120))
def test_anything_may_be_read(query: str) -> None:
    for reading in (PINYIN.read(normal(query)), PINYIN.alike(normal(query))):
        assert reading is None or reading


PINYIN = Pinyin(Counter(phrase for title in TITLES for phrase in Analyzer().phrases(title)))


@pytest.mark.parametrize("word", ["pen", "pan", "men", "mat", "juice", "tie", "fan", "shoes", "laptop bag", "wireless"])
def test_short_english_words_are_not_taken_for_pinyin(word: str) -> None:
    assert PINYIN.read(word) is None
