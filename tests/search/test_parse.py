from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.schema import Product
from shelfwise.search.query.facts import Facts
from shelfwise.search.query.parse import Reader
from shelfwise.search.query.spelling import Spelling

BRANDS = ("Logitech", "Sony", "Garmin", "小米")
COLOURS = ("Red", "Black", "蓝色")
PRODUCTS = [
    Product(
        id=str(i),
        title=f"{BRANDS[i % 4]} {('mouse', 'headphones')[i % 2]} {COLOURS[i % 3]} X{i}",
        brand=BRANDS[i % 4],
        product_type=("Electronics > Mice", "Electronics > Headphones")[i % 2],
        price=5.0 + i,
        attributes={"colour": COLOURS[i % 3], "size": ("M", "XL", "42")[i % 3], "age group": ("kids", "adult")[i % 2]},
    )
    for i in range(240)
]
READER = Reader(Facts.of(PRODUCTS, Spelling(p.title for p in PRODUCTS).count))


@pytest.mark.parametrize(
    ("query", "low", "high", "left"),
    [
        ("headset under 50", None, 50, "headset"),
        ("headset below $20", None, 20, "headset"),
        ("headset over 100", 100, None, "headset"),
        ("50-100元 headset", 50, 100, "headset"),
        ("headset 50 to 100", 50, 100, "headset"),
        ("between 20 and 30 headset", 20, 30, "headset"),
        ("100元以下音箱", None, 100, "音箱"),
        ("音箱200元以上", 200, None, "音箱"),
        ("headset less than 0.1k", None, 100, "headset"),
        ("headset under $1,000", None, 1000, "headset"),
    ],
)
def test_prices(query: str, low: float | None, high: float | None, left: str) -> None:
    reading = READER.read(query)
    (want,) = reading.filters
    assert (want.field, want.low, want.high, reading.text) == ("price", low, high, left)


@pytest.mark.parametrize(
    "query",
    [
        "iphone 11",
        "15.6 inch",
        "aa",
        "usb 3.0",
        "windows 10",
        "tn-2110",
        "under 64gb",
        "hdmi over 50 ft",
        "24 to 27 screen",
        *("windows 7 to 10", "10-40 lens", "from 12", "over ear", "500ml", "16gb to 32gb", "5-port hub"),
    ],
)
def test_numbers_that_are_no_prices(query: str) -> None:
    reading = READER.read(query)
    assert not any(want.field == "price" for want in reading.wants)
    assert reading.text == query


def test_about_and_cheap_only_boost() -> None:
    (about,) = READER.read("screen around 40").wants
    assert (about.low, about.high, about.chip.effect) == (30, 50, "boost")
    cheap = next(w for w in READER.read("cheap headphones").boosts if w.field == "price")
    assert cheap.high is not None
    assert 80 < cheap.high < 90
    (share,) = READER.read("便宜的屏幕").wants
    assert (share.high, share.share) == (None, 0.33)


def test_catalogue_values() -> None:
    reading = READER.read("red LOGITECH mice")
    found = {want.field: want.values for want in reading.wants}
    assert found == {"colour": ("Red",), "brand": ("Logitech",), "category": ("Electronics > Mice",)}
    assert reading.text == "red logitech mice"
    assert [chip.effect for chip in reading.chips] == ["filter", "filter", "boost"]
    assert READER.read("blue headphones").text == "蓝色 headphones"  # said in one language, sold in the other
    assert READER.read("小米耳机").wants[0].values == ("小米",)


def test_a_brand_that_others_titles_name_only_boosts() -> None:
    titles = [*(p.title for p in PRODUCTS), *["case for Garmin"] * 100]
    reader = Reader(Facts.of(PRODUCTS, Spelling(titles).count))
    (want,) = reader.read("garmin case").wants
    assert want.chip.effect == "boost"


@pytest.mark.parametrize(
    ("query", "excluded", "left"),
    [
        ("mouse without cable", ("cable",), "mouse"),
        ("no wire mouse", ("wire",), "mouse"),
        ("headset -microphone", ("microphone",), "headset"),
        ("不要红色的屏幕", ("红色",), "屏幕"),
        ("无线屏幕", (), "无线屏幕"),
        ("wireless screen", (), "wireless screen"),
    ],
)
def test_refusals(query: str, excluded: tuple[str, ...], left: str) -> None:
    reading = READER.read(query)
    assert reading.excluded == excluded
    assert reading.text.replace("mouse", "mouse") == left


def test_sizes_audience_sort_stock() -> None:
    size = READER.read("screen size 42").filters[0]
    assert (size.field, size.values) == ("size", ("42",))
    assert READER.read("screen xl").filters[0].values == ("XL",)
    kids = READER.read("screen for kids").wants[0]
    assert (kids.field, kids.values, kids.chip.effect) == ("age group", ("kids",), "boost")
    assert READER.read("cheapest screen").sort == "price"
    assert READER.read("最新的屏幕").sort == "newest"
    assert READER.read("screen in stock").filters[0].values == ("in_stock",)


def test_undo_makes_words_of_them_again() -> None:
    reading = READER.read("headset under 50", undo=("price:-50",))
    assert (reading.text, reading.wants, reading.chips) == ("headset under 50", (), ())
    assert READER.read("cheapest screen", undo=("sort:price",)).sort == ""


def test_labels_in_chinese() -> None:
    assert READER.read("100元以下", language="zh").chips[0].label == "100以下"


SAID = """under over 50 100 - to between and cheap red 不要 无 size xl for kids $ 元 without no newest \x00 ( ) *"""


@given(st.text(max_size=80) | st.lists(st.sampled_from(SAID.split()), max_size=12).map(" ".join))
def test_any_text_is_read(query: str) -> None:
    reading = READER.read(query)
    assert len({chip.id for chip in reading.chips}) == len(reading.chips)
    again = READER.read(query, undo=[chip.id for chip in reading.chips])
    assert not {chip.id for chip in again.chips} & {chip.id for chip in reading.chips}
