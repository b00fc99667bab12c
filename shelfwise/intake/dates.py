"""A column of dates → microseconds, read as the whole column leaves no doubt.

ISO 8601, epochs and what `values.parse_time` knows are read at once. What they leave is read here: day-first and
month-first, two-digit years, AM and PM, month names of seven languages, Chinese, Japanese and Korean, Excel's serial
numbers, zones by name. 03/11/2026 is 3 November or 11 March: one value with a part above 12 decides for the whole
column; where none does, `order_of` says so and the file is refused, with what to write.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar enero ene janvier janv gennaio gen janeiro januari jänner stycznia",
            "feb february februar febrero février févr fevrier febbraio fevereiro fev februari lutego",
            "mar march märz maerz mrz marzo mars março marco maart mrt marca",
            "apr april abril abr avril avr aprile kwietnia",
            "may mai mayo maggio mag maio mei maja",
            "jun june juni junio juin giugno giu junho czerwca",
            "jul july juli julio juillet juil luglio lug julho lipca",
            "aug august agosto ago août aout augustus sierpnia",
            "sep sept september septiembre septembre settembre set setembro września",
            "oct october oktober okt octubre octobre ottobre ott outubro out października",
            "nov november noviembre novembre novembro listopada",
            "dec december dezember dez diciembre dic décembre decembre déc dicembre dezembro grudnia",
        ),
        1,
    )
    for name in names.split()
}
_CLOCK = (
    r"(?:[T\s,]*(?:at|um|à|a las|om)?\s*(?P<clock>\d{1,2}[:.h]\d{2}(?:[:.]\d{2}(?:[.,]\d+)?)?)"
    r"\s*(?:(?P<half>[ap]\.?\s?m\.?(?![^\W\d]))|uhr\b)?)?"
)
#: Hours ahead of UTC of abbreviations that mean one zone (CST and IST mean several).
_ABBREVIATIONS = {
    "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EET": 2, "EEST": 3, "MSK": 3, "EST": -5, "EDT": -4,
    "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10, "JST": 9, "KST": 9,
    "HKT": 8, "SGT": 8, "AWST": 8, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
}  # fmt: skip
_ZONE = rf"\s*(?P<zone>Z|UTC|GMT|{'|'.join(_ABBREVIATIONS)}|[+-]\d{{2}}:?\d{{2}}|[A-Z][A-Za-z_]+/[A-Za-z_/]+)?$"
_NUMERIC = re.compile(
    r"(?P<a>\d{1,2})(?P<sign>[./-])(?P<b>\d{1,2})(?P=sign)(?P<year>\d{4}|\d{2})\.?" + _CLOCK + _ZONE, re.IGNORECASE
)
_YEAR_FIRST = re.compile(r"(?P<year>\d{4})[./-](?P<b>\d{1,2})[./-](?P<a>\d{1,2})" + _CLOCK + _ZONE, re.IGNORECASE)
_WORDS = re.compile(
    r"(?:[^\W\d]+\.?,?\s+)??(?:(?P<day>\d{1,2})(?:st|nd|rd|th|er|º|\.)?[\s-]+(?:de\s+)?(?P<month>[^\W\d]{3,}|\w{3,})\.?"
    r"|(?P<month2>[^\W\d]{3,})\.?[\s-]+(?P<day2>\d{1,2})(?:st|nd|rd|th)?)[\s,-]+(?:de\s+)?(?P<year>\d{4}|\d{2})"
    + _CLOCK
    + _ZONE,
    re.IGNORECASE,
)
_EASTERN = re.compile(
    r"(?P<year>\d{4})\s*[年년]\s*(?P<month>\d{1,2})\s*[月월]\s*(?P<day>\d{1,2})\s*[日号일]?"
    r"(?:\s*(?:星期|周|[((])[^\s\d]{0,3}[))]?)?"
    r"(?:\s*(?P<half>上午|下午|早上|中午|晚上|凌晨|午前|午後|오전|오후|AM|PM)?\s*(?P<hour>\d{1,2})\s*[::时時点點시]"
    r"(?:\s*(?P<minute>\d{1,2})\s*(?:[分분::]\s*(?:(?P<second>\d{1,2})\s*[秒초]?)?)?)?)?$",
    re.IGNORECASE,
)
_SERVER = re.compile(r"(\d{1,2}/[A-Za-z]{3}/\d{4}):(\d{2}:\d{2}:\d{2})(?: ([+-]\d{4}))?$")  # of web servers' logs
_AFTERNOON = frozenset({"下午", "晚上", "午後", "오후", "pm"})
_MORNING = frozenset({"上午", "早上", "凌晨", "午前", "오전", "am"})
_COMPACT = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?$")
_SERIAL = re.compile(r"\d{5}(?:\.\d+)?$")
_SERIALS = (29_221.0, 73_051.0)  # 1980 to 2100: days since 1899-12-30, as Excel counts them
_EXCEL = datetime(1899, 12, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a column writes its dates. day_first: None where nothing tells. serials: numbers are Excel's.
    example: a value that could be read both ways, or one of each kind where they contradict."""

    day_first: bool | None = None
    serials: bool = False
    example: str = ""
    against: str = ""
    count: int = 0  # values written day, month, year with numbers


def order_of(values: Iterable[str]) -> Reading:
    """What a whole column's values leave no doubt about."""
    day: str = ""
    month: str = ""
    either: str = ""
    count = serials = numbers = 0
    for value in values:
        text = value.strip()
        if _SERIAL.match(text):
            numbers += 1
            serials += _SERIALS[0] <= float(text) <= _SERIALS[1]
            continue
        written = _NUMERIC.match(text)
        if written is None:
            continue
        count += 1
        a, b = int(written["a"]), int(written["b"])
        if a > 12:
            day = day or text
        elif b > 12:
            month = month or text
        elif written["sign"] == ".":
            day = day or text  # with dots the day is first wherever dates are written so
        elif a != b:
            either = either or text
    excel = bool(numbers) and serials == numbers
    if day and month:
        return Reading(None, excel, day, month, count)
    if day or month:
        return Reading(bool(day), excel, day or month, "", count)
    return Reading(None if either else True, excel, either, "", count)


def needs_order(value: str) -> bool:
    """Whether the value is written with the day or the month first, in numbers."""
    return _NUMERIC.match(value.strip()) is not None


def format_of(value: str, *, day_first: bool) -> str:
    """The format, as `--map time=COLUMN|FORMAT` takes it, of a value written in numbers."""
    written = _NUMERIC.match(value.strip())
    if written is None:
        return ""
    sign = written["sign"]
    parts = ("%d", "%m") if day_first else ("%m", "%d")
    text = f"{parts[0]}{sign}{parts[1]}{sign}{'%Y' if len(written['year']) == 4 else '%y'}"
    if clock := written["clock"]:
        hour = "%I" if written["half"] else "%H"
        text += f" {hour}:%M" + (":%S" if clock.count(":") > 1 else "") + (" %p" if written["half"] else "")
    return text


def shown(value: str, *, day_first: bool) -> str:
    """A value as people read it: '3 November 2026'."""
    time = parse(value, Reading(day_first))
    return "no date" if time is None else f"{time.day} {time:%B %Y}"


def parse(value: str, reading: Reading) -> datetime | None:
    """UTC, None where the value is no date by this reading. A time without a zone is UTC."""
    text = unicodedata.normalize("NFKC", value).strip()
    try:
        return _parse(text, reading)
    except (ValueError, OverflowError):
        return None


def _parse(text: str, reading: Reading) -> datetime | None:
    if reading.serials and _SERIAL.match(text):
        return _EXCEL + timedelta(seconds=round(float(text) * 86_400))
    if served := _SERVER.match(text):
        text = " ".join([served[1].replace("/", " "), *served.groups(default="")[1:]]).strip()
    if _COMPACT.match(text):
        return datetime.strptime(text, "%Y%m%d%H%M%S" if len(text) == 14 else "%Y%m%d%H%M").replace(tzinfo=UTC)
    if eastern := _EASTERN.match(text):
        hour = int(eastern["hour"] or 0)
        half = (eastern["half"] or "").lower()
        hour = _of_half(hour, afternoon=half in _AFTERNOON) if half in _AFTERNOON | _MORNING else hour
        minute, second = int(eastern["minute"] or 0), int(eastern["second"] or 0)
        date = int(eastern["year"]), int(eastern["month"]), int(eastern["day"])
        return datetime(*date, hour, minute, second, tzinfo=UTC)
    if written := _YEAR_FIRST.match(text):
        return _timed(written, int(written["year"]), int(written["b"]), int(written["a"]))
    if written := _NUMERIC.match(text):
        if reading.day_first is None:
            return None
        a, b = int(written["a"]), int(written["b"])
        day, month = (a, b) if reading.day_first else (b, a)
        return _timed(written, _year(written), month, day)
    if written := _WORDS.match(text):
        name = (written["month"] or written["month2"]).lower().rstrip(".")
        if name in _MONTHS:
            return _timed(written, _year(written), _MONTHS[name], int(written["day"] or written["day2"]))
    return None


def _timed(written: re.Match[str], year: int, month: int, day: int) -> datetime:
    hour = minute = 0
    second = 0.0
    if clock := written["clock"]:
        parts = re.split(r"[:h]", clock.replace(",", ".")) if re.search(r"[:h]", clock) else clock.split(".")
        hour, minute = int(parts[0]), int(parts[1])
        second = float(parts[2]) if len(parts) > 2 else 0.0
        if half := written["half"]:
            hour = _of_half(hour, afternoon=half[0].lower() == "p")
    time = datetime(year, month, day, hour, minute, int(second), round(second % 1 * 1e6) % 1_000_000)
    return time.replace(tzinfo=_zone(written["zone"])).astimezone(UTC)


def _year(written: re.Match[str]) -> int:
    """Two digits are of 1970 to 2069."""
    year = int(written["year"])
    return year if year > 99 else year + (2000 if year < 70 else 1900)


def _of_half(hour: int, *, afternoon: bool) -> int:
    if afternoon:
        return hour + 12 if hour < 12 else hour
    return 0 if hour == 12 else hour


def _zone(name: str | None) -> tzinfo | None:
    if not name or name.upper() in ("Z", "UTC", "GMT"):
        return UTC
    if name.upper() in _ABBREVIATIONS:
        return timezone(timedelta(hours=_ABBREVIATIONS[name.upper()]))
    if name[0] in "+-":
        return datetime.strptime(name.replace(":", ""), "%z").tzinfo
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(name) from None


def doubtful(reading: Reading, column: str) -> str:
    """What to say of a column of numbers that leaves the order open or contradicts itself, "" where it does not."""
    if reading.day_first is not None or not reading.count:
        return ""
    maps = [f'--map "time={column}|{format_of(reading.example, day_first=first)}"' for first in (True, False)]
    if reading.against:
        return (
            f"{reading.example!r} has the day first and {reading.against!r} the month; mend the column or write "
            f"its dates as 2026-11-03 (of one order only: {maps[0]} or {maps[1]})"
        )
    return (
        f"{reading.example!r} is {shown(reading.example, day_first=True)} or "
        f"{shown(reading.example, day_first=False)}, and no value of the column decides; write {maps[0]} for the day "
        f"first, or {maps[1]} for the month first"
    )


def distinct(columns: Iterable[list[str]]) -> Iterator[str]:
    """Values of many pieces of a column, each once a piece."""
    for values in columns:
        yield from dict.fromkeys(values)
