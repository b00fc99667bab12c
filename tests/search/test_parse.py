from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.schema import Product
from shelfwise.search.query.facts import Facts
from shelfwise.search.query.parse import Parser
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
PARSER = Parser(Facts.of(PRODUCTS, Spelling(p.title for p in PRODUCTS).count))


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
    plan = PARSER.parse(query)
    (intent,) = plan.filters
    assert (intent.field, intent.low, intent.high, plan.text) == ("price", low, high, left)


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
    plan = PARSER.parse(query)
    assert not any(intent.field == "price" for intent in plan.intents)
    assert plan.text == query


def test_about_and_cheap_only_boost() -> None:
    (about,) = PARSER.parse("screen around 40").intents
    assert (about.low, about.high, about.chip.effect) == (30, 50, "boost")
    cheap = next(w for w in PARSER.parse("cheap headphones").boosts if w.field == "price")
    assert cheap.high is not None
    assert 80 < cheap.high < 90
    (share,) = PARSER.parse("便宜的屏幕").intents
    assert (share.high, share.share) == (None, 0.33)


def test_catalogue_values() -> None:
    plan = PARSER.parse("red LOGITECH mice")
    values = {intent.field: intent.values for intent in plan.intents}
    assert values == {"colour": ("Red",), "brand": ("Logitech",), "category": ("Electronics > Mice",)}
    assert plan.text == "red logitech mice"
    assert [chip.effect for chip in plan.chips] == ["filter", "filter", "boost"]
    assert PARSER.parse("blue headphones").text == "蓝色 headphones"  # said in one language, sold in the other
    assert PARSER.parse("小米耳机").intents[0].values == ("小米",)


def test_a_brand_that_others_titles_name_only_boosts() -> None:
    titles = [*(p.title for p in PRODUCTS), *["case for Garmin"] * 100]
    parser = Parser(Facts.of(PRODUCTS, Spelling(titles).count))
    (intent,) = parser.parse("garmin case").intents
    assert intent.chip.effect == "boost"


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
    plan = PARSER.parse(query)
    assert plan.excluded == excluded
    assert plan.text.replace("mouse", "mouse") == left


def test_sizes_audience_sort_stock() -> None:
    size = PARSER.parse("screen size 42").filters[0]
    assert (size.field, size.values) == ("size", ("42",))
    assert PARSER.parse("screen xl").filters[0].values == ("XL",)
    kids = PARSER.parse("screen for kids").intents[0]
    assert (kids.field, kids.values, kids.chip.effect) == ("age group", ("kids",), "boost")
    assert PARSER.parse("cheapest screen").sort == "price"
    assert PARSER.parse("最新的屏幕").sort == "newest"
    assert PARSER.parse("screen in stock").filters[0].values == ("in_stock",)


def test_undo_makes_words_of_them_again() -> None:
    plan = PARSER.parse("headset under 50", undo=("price:-50",))
    assert (plan.text, plan.intents, plan.chips) == ("headset under 50", (), ())
    assert PARSER.parse("cheapest screen", undo=("sort:price",)).sort == ""


def test_labels_in_chinese() -> None:
    assert PARSER.parse("100元以下", language="zh").chips[0].label == "100以下"


SAID = """under over 50 100 - to between and cheap red 不要 无 size xl for kids $ 元 without no newest \x00 ( ) *"""


@given(st.text(max_size=80) | st.lists(st.sampled_from(SAID.split()), max_size=12).map(" ".join))
def test_any_text_is_read(query: str) -> None:
    plan = PARSER.parse(query)
    assert len({chip.id for chip in plan.chips}) == len(plan.chips)
    again = PARSER.parse(query, undo=[chip.id for chip in plan.chips])
    assert not {chip.id for chip in again.chips} & {chip.id for chip in plan.chips}
