# ruff: noqa: E501 (the tables of words are wide)
"""One value at a time: text, money, units, availability as feeds write them → as the vocabulary has them."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shelfwise.schema import to_micros

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_HIDDEN_ELEMENT = re.compile(r"<(script|style|template|head)\b[^>]*>.*?(</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?(-->|$)", re.DOTALL)
_BLOCK = re.compile(r"</?(p|br|div|li|ul|ol|h[1-6]|tr|td|th|table|section|hr)\b[^>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,5000}>|<!DOCTYPE[^>]*>", re.IGNORECASE)
_SPACE = re.compile(r"\s+")
_TRADE_MARK = re.compile("[™℠]")


def clean_text(text: str, *, markup: bool = True) -> str:
    """NFKC, HTML removed and entities unescaped (if `markup`), control characters removed, whitespace folded."""
    if text.isascii() and text.isalnum():
        return text
    if markup and ("<" in text or "&" in text):
        text = strip_html(text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _TRADE_MARK.sub(" ", text))  # NFKC alone makes "Core™2" "CoreTM2"
    if not text.isprintable():
        text = _CONTROL.sub(" ", text)
    return _SPACE.sub(" ", text).strip()


#: How programs write that there is nothing: pandas, databases, JavaScript, spreadsheets, who had to fill a field.
NOTHING = frozenset(
    ("nan", "NaN", "NAN", "null", "NULL", "None", "none", "nil", "undefined", "<NA>", "N/A", "n/a", "#N/A", "#NAME?", "#REF!",
     "#VALUE!", "#DIV/0!", "#NULL!", "(null)", "\\N", "Does not apply", "does not apply", "Does Not Apply")
)  # fmt: skip
#: A letter that UTF-8 writes as two to four bytes, each byte read as a sign of Windows-1252.
_TWICE = re.compile(
    "[\u00c2-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
)


def encoded_once(text: str) -> str:
    """'CafÃ©' → 'Café': UTF-8 that some program read as Windows-1252 and wrote as UTF-8 again; other texts unchanged."""
    if text.isascii() or not _TWICE.search(text):
        return text
    try:
        raw = b"".join(sign.encode("latin-1" if "\x80" <= sign <= "\x9f" else "cp1252") for sign in text)
        return raw.decode("utf-8")
    except UnicodeError:
        return text


def strip_html(text: str) -> str:
    """The words of an HTML fragment. Feeds escape it once or twice, so it is unescaped up to twice.

    "a < b" and "<3" are no tags and stay.
    """
    for _ in range(2):
        if "<" in text:
            text = _COMMENT.sub(" ", text)
            text = _HIDDEN_ELEMENT.sub(" ", text)
            text = _BLOCK.sub(" ", text)
            text = _TAG.sub("", text)
        if "&" not in text:
            return text
        text = html.unescape(text)
    return _TAG.sub("", _BLOCK.sub(" ", text)) if "<" in text else text


# Money

_SYMBOLS = {
    "€": "EUR", "£": "GBP", "¥": "JPY", "￥": "JPY", "元": "CNY", "円": "JPY", "₹": "INR", "₩": "KRW", "₽": "RUB",
    "₺": "TRY", "₫": "VND", "₪": "ILS", "฿": "THB", "₴": "UAH", "₦": "NGN", "₱": "PHP", "zł": "PLN", "Kč": "CZK",
    "Rs": "INR", "R$": "BRL", "A$": "AUD", "C$": "CAD", "US$": "USD", "HK$": "HKD", "NT$": "TWD", "S$": "SGD",
    "NZ$": "NZD", "CN¥": "CNY", "Ft": "HUF", "Fr": "CHF", "SFr": "CHF", "sFr": "CHF",
}  # fmt: skip
#: ISO 4217.
_ISO = (
    "AED AFN ALL AMD ARS AUD AZN BAM BBD BDT BGN BHD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CZK DJF "
    "DKK DOP DZD EGP ETB EUR FJD GBP GEL GHS GMD GTQ HKD HNL HRK HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KRW "
    "KWD KZT LAK LBP LKR LYD MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK "
    "PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SCR SDG SEK SGD SOS SRD SYP THB TND TRY TTD TWD TZS UAH UGX USD UYU UZS VES "
    "VND XAF XOF XPF YER ZAR ZMW"
)
CURRENCIES = frozenset(_ISO.split())
#: Of these a "$" or "kr" alone may be one: the shop's own currency decides, else the first that fits.
_SHARED = {"$": ("USD", "AUD", "CAD", "HKD", "MXN", "NZD", "SGD", "TWD"), "kr": ("SEK", "DKK", "NOK", "ISK")}
_DOT_GROUPS = frozenset(
    {"EUR", "BRL", "DKK", "NOK", "ISK", "IDR", "VND", "TRY", "CLP", "COP", "ARS", "PYG", "HUF", "JPY"}
)
_AMOUNT = re.compile(r"[-+−(]?\d[\d.,'’\u00a0\u202f  ]*|[-+−]?[.,]\d+")
_CODE = re.compile(r"(?<![A-Za-z])([A-Z]{3})(?![A-Za-z])")


def parse_money(text: str, currency: str = "") -> tuple[float, str] | None:
    """'52.00 USD', '€1.234,56', '1,234.50', '¥1,200', 'Rs. 500', '1 234,50 kr' → (amount, ISO 4217 code).

    None when there is no amount, or more than one. `currency` is the shop's: the code when the text has none, and
    what a shared sign ("$", "kr", "¥") means where it fits. A lone comma followed by exactly three digits groups
    thousands ("1,200"); a lone dot does so only beside a currency written that way ("€1.200"); else it is decimal.
    Negative amounts come back negative: whether they may be is the schema's to say.
    """
    text = text.strip()
    if not text or len(text) > 100:
        return None
    try:
        if text[-1].isdigit() and text.isascii() and "," not in text and "_" not in text and "e" not in text.lower():
            amount = float(text)
            return (amount, currency) if math.isfinite(amount) else None
    except ValueError:
        pass
    text = re.sub(r"(?<=\d)[.,/]?[-–—](?=\s|$)", "", text)  # "500.-" and "500/-" are 500
    amounts = _AMOUNT.findall(text)
    if len(amounts) != 1:
        return None
    digits = amounts[0]
    rest = text.replace(digits.rstrip(), " ", 1)
    code = _currency_of(rest, currency)
    if code is None:
        return None
    number = _number_of(digits, dot_groups=bool(rest.strip()) and code in _DOT_GROUPS)
    if number is None:
        return None
    if "-" in rest or "−" in rest or text[0] + text[-1] == "()":  # "-€5", "$-5", "($5)"
        number = -abs(number)
    return number, code


_SPAN = re.compile(
    r"(?<=[^\s\-–—~～])\s*(?:[-–—~～]|\bto\b|\bbis\b|\band\b|\bà\b|\ba\b)\s*(?=[^\d\s]{0,4}\s?\d)", re.IGNORECASE
)
_FROM = re.compile(
    r"^\s*(?:starting at|starting from|as low as|from|ab|von|à partir de|a partire da|a partir de|dès|desde|da|od|vanaf|från|fra|от)\s+"
    r"|\s*(?:起|から|より|부터|and up|\+)\s*$",
    re.IGNORECASE,
)


def lowest_price(text: str, currency: str = "") -> tuple[float, str] | None:
    """Of several prices the lowest: '19.90 - 29.90', 'from $5.00', 'ab 9,90 €', '199元起'; None for anything else."""
    parts = _SPAN.split(_FROM.sub("", text))
    if len(parts) > 2 or (len(parts) == 1 and not _FROM.search(text)):
        return None
    prices = [money for part in parts if (money := parse_money(part, currency)) is not None]
    if len(prices) < len(parts) or prices[0][0] < 0 or prices[0][0] > prices[-1][0]:
        return None
    said = [code for _, code in prices if code != currency]  # "19 - 29 €" has its sign once
    return prices[0][0], said[0] if said else prices[0][1]


def _currency_of(rest: str, currency: str) -> str | None:
    rest = rest.strip().strip("()").strip()
    codes = _CODE.findall(rest)
    if known := [code for code in codes if code in CURRENCIES]:
        return str(known[0])
    signs = [sign for sign in _SYMBOLS if not sign.isascii() and sign in rest]
    if codes and not signs and "$" not in rest:
        return str(codes[0])
    for code in codes:  # "UVP 5,00 €"
        rest = rest.replace(code, " ")
    words = rest.replace("-", " ").replace("−", " ").replace("/", " ").split()
    for word in words:
        name = word.strip(".:") if word not in _SYMBOLS else word.rstrip(".") or word
        for shared, choices in _SHARED.items():
            if name.lower() == shared:
                return currency if currency in choices else choices[0]
        if name in ("¥", "￥"):
            return "CNY" if currency == "CNY" else "JPY"
        if name in _SYMBOLS:
            return _SYMBOLS[name]
        if name.upper() == "RMB":
            return "CNY"
        if re.fullmatch(r"[a-zA-Z]{3}", name):
            return name.upper()
        return None  # words that are no currency: "call us", "from"
    return currency


def _number_of(digits: str, *, dot_groups: bool = False) -> float | None:
    negative = digits[0] in "-−("
    digits = re.sub(r"[-+−('’\s\u00a0\u202f]", "", digits).rstrip(".,")
    comma, dot = digits.rfind(","), digits.rfind(".")
    if comma >= 0 and dot >= 0:
        group, point = (",", ".") if dot > comma else (".", ",")
        if digits.count(point) > 1:
            return None
        digits = digits.replace(group, "").replace(point, ".")
    elif comma >= 0 or dot >= 0:
        sign = "," if comma >= 0 else "."
        parts = digits.split(sign)
        grouped = all(len(part) == 3 for part in parts[1:]) and 1 <= len(parts[0]) <= 3 and parts[0] != "0"
        if len(parts) > 2 and not grouped:
            return None
        if grouped and (len(parts) > 2 or sign == "," or dot_groups):
            digits = "".join(parts)
        else:
            digits = ".".join(parts)
    try:
        number = float(digits)
    except ValueError:
        return None
    return -number if negative else number


# Units

_UNITS = {
    "g": "g", "gr": "g", "gm": "g", "gms": "g", "gram": "g", "grams": "g", "kg": "kg", "kgs": "kg", "kilo": "kg",
    "kilogram": "kg", "kilograms": "kg", "mg": "mg", "oz": "oz", "ounce": "oz", "ounces": "oz", "lb": "lb", "lbs": "lb",
    "pound": "lb", "pounds": "lb", "l": "l", "lt": "l", "ltr": "l", "liter": "l", "liters": "l", "litre": "l",
    "litres": "l", "ml": "ml", "mls": "ml", "millilitre": "ml", "milliliter": "ml", "cl": "cl", "gal": "gal",
    "gallon": "gal", "gallons": "gal", "qt": "qt", "quart": "qt", "pt": "pt", "pint": "pt", "fl oz": "fl oz", "floz": "fl oz",
    "mm": "mm", "cm": "cm", "m": "m", "meter": "m", "metre": "m", "in": "in", "inch": "in", "inches": "in", "ft": "ft",
    "feet": "ft", "foot": "ft", "sq ft": "sq ft", "ct": "ct", "count": "ct", "pk": "pack", "pack": "pack", "packs": "pack",
    "pc": "pcs", "pcs": "pcs", "piece": "pcs", "pieces": "pcs", "ea": "pcs", "each": "pcs", "doz": "doz", "dozen": "doz",
}  # fmt: skip
_MEASURE = re.compile(r"(\d+(?:[.,/-]\d+)?|[.,]\d+)\s*((?:fl\.?\s?oz|sq\.?\s?ft|[a-zA-Z]+)\b)\.?")


def normalise_unit(text: str) -> str:
    """'22 LB' → '22 lb', '500g' → '500 g', '.7 OZ' → '0.7 oz', '2 CT/9 OZ' → '2 ct/9 oz'; anything else as it is."""

    def one(match: re.Match[str]) -> str:
        unit = _UNITS.get(_SPACE.sub(" ", match.group(2).lower().replace(".", "")).strip())
        if unit is None:
            return match.group(0)
        number = match.group(1)
        if number[0] in ".,":
            number = "0" + number
        if re.fullmatch(r"\d+,\d{1,2}", number):
            number = number.replace(",", ".")
        return f"{number} {unit}"

    return _MEASURE.sub(one, text)


# Categories, times, numbers


def clean_path(text: str) -> str:
    """'Men>Tops >  Hoodies' and 'Men/Tops' style paths → levels joined by ' > ' (a slash within a level stays)."""
    text = clean_text(text).replace("»", ">").replace("›", ">")
    if ">" not in text:
        return text
    return " > ".join(level for level in (part.strip() for part in text.split(">")) if level)


_DAY = re.compile(r"^\d{4}[-/.]?\d\d[-/.]?\d\d$")
_ZONE = re.compile(r"\s*\b([A-Z][A-Za-z]+/[A-Z][A-Za-z_]+(?:/[A-Za-z_]+)?)$")
_DOTTED = re.compile(r"^(\d{1,2})\.(\d{1,2})\.(\d{4})(?:,?\s+(\d.*))?$")


def parse_time(text: str) -> datetime | None:
    """ISO 8601 (naive is UTC), RFC 2822, or an epoch in s, ms, µs or ns → UTC."""
    text = text.strip()
    try:
        if re.fullmatch(r"\d{9,19}(\.\d+)?", text):
            return _from_epoch(float(text))
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            time = parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    if time.tzinfo is None:
        return time.replace(tzinfo=UTC)
    try:
        return time.astimezone(UTC)
    except OverflowError:
        return None


def moment(text: str, *, day_ends: bool = False) -> int | None:
    """`parse_time` in µs, with dotted and slashed days and zones by name too; None before 1970. day_ends: a day alone
    lasts until its end."""
    if not text:
        return None
    zone = _ZONE.search(text)
    text = text[: zone.start()] if zone else text
    if dotted := _DOTTED.match(text):  # the day first, as everywhere that dates have dots
        day, month, year, clock = dotted.groups()
        text = f"{year}-{month:0>2}-{day:0>2}" + (f"T{clock}" if clock else "")
    time = parse_time(text)
    if time is not None and zone:
        try:
            time = time.replace(tzinfo=ZoneInfo(zone.group(1))).astimezone(UTC)
        except (ZoneInfoNotFoundError, ValueError):
            return None
    if time is None and re.fullmatch(r"\d{4}[/.]\d\d?[/.]\d\d?", text):
        year, month, day = (int(part) for part in re.split(r"[/.]", text))
        try:
            time = datetime(year, month, day, tzinfo=UTC)
        except ValueError:
            return None
    if time is None or time.year < 1970:
        return None
    if day_ends and (_DAY.match(text) or re.fullmatch(r"\d{4}[/.]\d\d?[/.]\d\d?", text)):
        time += timedelta(days=1)
    return to_micros(time)


def _from_epoch(value: float) -> datetime:
    for limit, unit in ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6)):
        if value < limit:
            return datetime.fromtimestamp(value / unit, UTC)
    return datetime.fromtimestamp(value / 1e9, UTC)


def parse_number(text: str) -> float | None:
    """A finite number, '1.5', '1e3', '12,5' or '1,200'; None for anything else."""
    text = text.strip()
    try:
        number = float(text.replace("_", "x"))
    except ValueError:
        value = _number_of(text) if re.fullmatch(r"[-+]?\d[\d.,]*", text) else None
        if value is None:
            return None
        number = value
    return number if math.isfinite(number) else None
