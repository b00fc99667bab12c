from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.intake.states import parse_availability
from shelfwise.intake.values import (
    clean_path,
    clean_text,
    normalise_unit,
    parse_money,
    parse_number,
    parse_time,
)
from shelfwise.schema import Availability


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("52.00 USD", 52.0, "USD"),
        ("€1.234,56", 1234.56, "EUR"),
        ("1,234.50", 1234.5, "GBP"),
        ("¥1,200", 1200.0, "JPY"),
        ("Rs. 500", 500.0, "INR"),
        ("1 234,50 kr", 1234.5, "SEK"),
        ("CHF 1’234.50", 1234.5, "CHF"),
        ("1.234.567,89", 1234567.89, "GBP"),
        ("12,5", 12.5, "GBP"),
        ("12.345", 12.345, "GBP"),
        ("€1.200", 1200.0, "EUR"),
        ("0.125", 0.125, "GBP"),
        ("$1,299", 1299.0, "USD"),
        ("10 zł", 10.0, "PLN"),
        ("US$ 5.10", 5.1, "USD"),
        ("R$ 10,50", 10.5, "BRL"),
        ("500.-", 500.0, "GBP"),
        ("($4.00)", -4.0, "USD"),
        ("-€5,00", -5.0, "EUR"),
        ("100.00USD", 100.0, "USD"),
        ("  7  ", 7.0, "GBP"),
    ],
)
def test_money(text: str, amount: float, currency: str) -> None:
    assert parse_money(text, "GBP") == (pytest.approx(amount), currency)


@pytest.mark.parametrize("text", ["", "call us", "$5-$10", "inf", "nan", "1_000", "1.2.3", "5 / kg", "-", "1" * 200])
def test_no_money(text: str) -> None:
    assert parse_money(text, "USD") is None


def test_a_shared_sign_means_the_shops_own_currency() -> None:
    assert parse_money("$5", "CAD") == (5.0, "CAD")
    assert parse_money("¥5", "CNY") == (5.0, "CNY")
    assert parse_money("5 kr", "DKK") == (5.0, "DKK")
    assert parse_money("$5") == (5.0, "USD")


@given(st.decimals(min_value=0, max_value=10**9, places=2, allow_nan=False))
def test_money_survives_every_common_way_of_writing(amount: object) -> None:
    number = float(amount)  # type: ignore[arg-type]
    english = f"{number:,.2f}"
    german = english.replace(",", "_").replace(".", ",").replace("_", ".")
    for text in (f"{number:.2f}", english, german, f"{english} USD", f"€{german}", f"{german.replace('.', ' ')} kr"):
        found = parse_money(text)
        assert found is not None, text
        assert math.isclose(found[0], number, abs_tol=1e-9), text


@given(st.text(max_size=60))
def test_no_text_breaks_the_parsers(text: str) -> None:
    for parse in (parse_money, parse_number, parse_time, parse_availability, normalise_unit, clean_path):
        parse(text)  # type: ignore[operator]
    cleaned = clean_text(text)
    assert cleaned == cleaned.strip()
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in cleaned)


def test_text_is_freed_of_markup() -> None:
    assert clean_text("<p>Hi &amp;amp; <b>you</b><br>there</p>") == "Hi & you there"
    assert clean_text("&lt;ul&gt;&lt;li&gt;One&lt;/li&gt;&lt;li&gt;Two&lt;/li&gt;&lt;/ul&gt;") == "One Two"
    assert clean_text("a<script>alert(1)</script>b<!-- c -->d") == "a b d"
    assert clean_text("5 < 6 and <3") == "5 < 6 and <3"
    assert clean_text("ﬁne\u00a0ｗｉｄｅ\x00\t x") == "fine wide x"
    assert clean_text("Core™2") == "Core 2"
    assert clean_text("caf&eacute; &#8364;5") == "café €5"


def test_hostile_markup_takes_no_time() -> None:
    for text in (
        "<" * 20_000,
        "<a " * 20_000,
        "&lt;" * 20_000,
        "<!--" * 5_000,
        "<script>" * 5_000,
        "<p " + "a" * 20_000,
    ):
        clean_text(text)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("22 LB", "22 lb"),
        ("500g", "500 g"),
        (".7 OZ", "0.7 oz"),
        ("2 CT/9 OZ", "2 ct/9 oz"),
        ("1/2 GAL", "1/2 gal"),
        ("1,5 L", "1.5 l"),
        ("8 fl. oz.", "8 fl oz"),
        ("L/M/S", "L/M/S"),
        ("32 OZ BAG", "32 oz BAG"),
    ],
)
def test_units(text: str, unit: str) -> None:
    assert normalise_unit(text) == unit
    assert normalise_unit(unit) == unit


def test_availability() -> None:
    assert parse_availability(" In Stock ") is Availability.IN_STOCK
    assert parse_availability("https://schema.org/OutOfStock") is Availability.OUT_OF_STOCK
    assert parse_availability("pre-order") is Availability.PREORDER
    assert parse_availability("backorder") is Availability.BACKORDER
    assert parse_availability("perhaps") is None


def test_times() -> None:
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    for text in (
        "2024-05-01T12:00:00Z",
        "2024-05-01 14:00:00+02:00",
        "1714564800",
        "1714564800000",
        "1714564800000000",
    ):
        assert parse_time(text) == noon, text
    assert parse_time("Wed, 01 May 2024 12:00:00 GMT") == noon
    assert parse_time("1.5.2024") is None


def test_paths() -> None:
    assert clean_path("Men>Tops >  Hoodies &amp; Sweatshirts > ") == "Men > Tops > Hoodies & Sweatshirts"
    assert clean_path("Soft Drinks") == "Soft Drinks"
