"""Terms, forms and offsets."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shelfwise.search.query.text import Analyzer, normal


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer(["声谷", "骨传导"])


ANALYZER = Analyzer()


def finds(analyzer: Analyzer, query: str, title: str) -> bool:
    """Whether every thing wanted is in the title."""
    terms = set(analyzer.terms(title))
    wanted = analyzer.forms(query)
    return bool(wanted) and all(terms.intersection(forms) for forms in wanted)


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("  Crème  BRÛLÉE ", "creme brulee"),
        ("ＵＳＢ　１２３", "usb 123"),
        ("無線藍牙耳機", "无线蓝牙耳机"),
        ("15.6″ “Pro” – it’s", '15.6" "pro" - it\'s'),
        ("Core™2 Duo®", "core 2 duo"),
        ("Straße Øl", "strasse ol"),
        ("a\x00b\tc\u200bd", "ab cd"),
        ("Cafe\u0301", "cafe"),
    ],
)
def test_normal(given_text: str, expected: str) -> None:
    assert normal(given_text) == expected


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("15.6 inch", 'HP notebook 39.6 cm (15.6")'),
        ('15.6"', "Laptop 15.6-inch"),
        ("15.6英寸", "Laptop bag 15.6 inches"),
        ("500ml", "Bottle 500 ml"),
        ("500 ml", "保温杯500毫升"),
        ("usb-c", "USB C cable"),
        ("usb c", "USB-C cable"),
        ("wifi", "Wi-Fi router"),
        ("wi-fi", "WiFi router"),
        ("wi fi", "WiFi router"),
        ("4k", "TV 4K UHD"),
        ("tn-2110", "Brother TN2110 toner"),
        ("tn2110", "Brother TN-2110 toner"),
        ("tn2110", "Brother TN 2110 toner"),
        ("TN 2110", "Brother TN-2110 toner"),
        ("TN 2110", "Brother TN2110 toner"),
        ("mens shoe", "Men's shoes"),
        ("women's dress", "Dress for woman"),
        ("shelf", "Two shelves"),
        ("batteries", "battery AA"),
        ("head phones", "Headphones black"),
        ("1440x900", "1440 x 900 pixels"),
        ("1000 watts", "Heater 1,000 W"),
        ("gray", "Grey coat"),
        ("l'oreal", "LOreal cream"),
        ("t shirt", "T-shirt white"),
        ("the shirt", "Shirt"),
        ("耳机", "红色无线蓝牙耳机"),
        ("蓝牙耳机", "红色无线蓝牙耳机"),
        ("藍牙耳機", "红色无线蓝牙耳机"),
        ("蓝牙耳机", "蓝牙降噪耳机"),
        ("iPhone手机壳", "手机壳 iPhone 15 透明"),
        ("杯", "不锈钢保温杯"),
        ("滑鼠", "无线鼠标"),
        ("T恤", "纯棉T恤 男"),
        ("手机壳", "手机保护壳"),
    ],
)
def test_what_is_the_same_is_found(analyzer: Analyzer, query: str, title: str) -> None:
    assert finds(analyzer, query, title)


@pytest.mark.parametrize(
    ("query", "title"),
    [("tn2110", "Brother TN2120"), ("500ml", "Bottle 750 ml"), ("耳机", "手机壳"), ("cat", "category")],
)
def test_what_differs_is_not(analyzer: Analyzer, query: str, title: str) -> None:
    assert not finds(analyzer, query, title)


def test_offsets_lie_in_the_text_as_given(analyzer: Analyzer) -> None:
    text = "Ｃrème™ Straße: TN-2110, 無線耳機 15.6″"
    spans = {token.text: text[token.start : token.end] for token in analyzer.tokens(text)}
    assert spans["creme"] == "Ｃrème"
    assert spans["strass"] == "Straße"
    assert spans["tn2110"] == "TN-2110"
    assert spans["2110"] == "2110"
    assert spans["耳机"] == "耳機"
    assert spans["15.6in"] == "15.6″"


def test_stop_words_stay_where_nothing_else_is_asked(analyzer: Analyzer) -> None:
    assert analyzer.forms("the for") == [("the",), ("for",)]
    assert analyzer.forms("shirt for the") == [("shirt",)]
    assert analyzer.forms("") == []
    assert analyzer.forms("!?( *") == []


def test_pinyin_of_a_title(analyzer: Analyzer) -> None:
    latin = analyzer.latin("红色无线蓝牙 耳机 15 only")
    assert {"hongse", "lanya", "erji", "wuxianlanya", "wx"} <= set(latin)
    assert analyzer.latin("only English") == []


@given(st.text(max_size=200))
def test_normal_is_idempotent(text: str) -> None:
    once = normal(text)
    assert normal(once) == once
    assert len(once) <= 18 * len(text)


@given(st.text(max_size=200) | st.text(alphabet="aZ09 .,'\"-x耳機ééß㎏ﷺ\u0301", max_size=60))
@example("A::000")
def test_tokens_are_terms_with_offsets_within(text: str) -> None:
    tokens = ANALYZER.tokens(text)
    assert [token.text for token in tokens] == ANALYZER.terms(text)
    assert all(0 <= token.start < token.end <= len(text) and token.text for token in tokens)
    assert all(" " not in token.text for token in tokens)


@given(st.text(alphabet="abc tn-2110.5ml耳机蓝牙保温杯 '", min_size=1, max_size=40))
def test_a_text_finds_itself(text: str) -> None:
    terms = set(ANALYZER.terms(text))
    assert all(terms.intersection(forms) for forms in ANALYZER.forms(text))
