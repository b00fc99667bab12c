# ruff: noqa: E501 (tables of cases are wide)
"""Case 19: dates as spreadsheets and shops write them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from events_of import brief, counts, load, text_of, times

from shelfwise.errors import UnreadableFile
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]


def test_what_no_value_decides_is_asked_for(case: Callable[[int], Path], new_shop: NewShop) -> None:
    shop, path = new_shop(), case(19) / "a-day-first-ambiguous.csv"
    with pytest.raises(UnreadableFile) as refused:
        shop.load_events(path)
    told = str(refused.value)
    assert "3 November 2026" in told
    assert "11 March 2026" in told
    assert '--map "time=order_date|%d/%m/%Y %H:%M"' in told
    assert '--map "time=order_date|%m/%d/%Y %H:%M"' in told
    assert shop.counts().events == 0
    shop.load_events(path, mapping={"time": "order_date|%d/%m/%Y %H:%M"})
    assert [time.isoformat() for time in times(shop)] == [f"2026-11-0{day}T10:00:00" for day in (3, 4, 5, 6)]


READ = {
    "b-day-first-clear.csv": ["2026-11-03T10:00", "2026-11-13T10:00", "2026-11-25T10:00"],
    "c-us-am-pm.csv": ["2026-11-03T13:05", "2026-11-13T00:00", "2026-11-25T12:30"],
    "d-chinese.csv": ["2026-11-03T00:00", "2026-11-03T15:05", "2026-11-13T09:30"],
    "e-dots.csv": ["2026-11-03T00:00", "2026-11-13T08:15", "2026-11-25T00:00"],
    "f-excel-serial-and-exponent.csv": ["2026-11-03T10:00", "2026-11-04T00:00"],
    "g-mixed.csv": ["2026-11-03T00:00", "2026-11-03T00:00", "2026-11-03T02:00", "2026-11-03T09:00", *["2026-11-03T10:00"] * 3],
    "h-dst-gap.csv": ["2026-03-29T02:30", "2026-10-25T02:30"],
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_the_whole_column_decides(case: Callable[[int], Path], new_shop: NewShop, name: str) -> None:
    shop = new_shop()
    report = shop.load_events(case(19) / name)
    assert [time.replace(microsecond=0) for time in times(shop)] == [datetime.fromisoformat(t) for t in READ[name]]
    if name.startswith("f"):
        assert "1.792E+12" in text_of(report, "invalid_time")
    if name.startswith("h"):
        assert counts(report)["invalid_time"] == 2
        assert "24:00" in text_of(report, "invalid_time")
        assert "2026-02-29" in text_of(report, "invalid_time")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["31-12-2025 23:59", "01-02-2026 08:00"], ["2025-12-31T23:59", "2026-02-01T08:00"]),
        (["3 novembre 2026 à 14h05", "13 août 2026"], ["2026-11-03T14:05", "2026-08-13T00:00"]),
        (["3. März 2026 10:00", "13. Dezember 2025"], ["2026-03-03T10:00", "2025-12-13T00:00"]),
        (["3 de enero de 2026", "14 de febrero de 2026"], ["2026-01-03T00:00", "2026-02-14T00:00"]),
        (["Nov 3, 2025 1:05 PM", "Dec 13, 2025 12:05 AM"], ["2025-11-03T13:05", "2025-12-13T00:05"]),
        (["03-Nov-2025 10:00:05", "13-Dec-2025"], ["2025-11-03T10:00:05", "2025-12-13T00:00"]),
        (["2026年1月3日 午後3時5分", "2026年1月4日"], ["2026-01-03T15:05", "2026-01-04T00:00"]),
        (["2026년 1월 3일 오후 3:05", "2026년 1월 4일"], ["2026-01-03T15:05", "2026-01-04T00:00"]),
        (["2026/1/3 9:05", "2026/01/13 10:00:00"], ["2026-01-03T09:05", "2026-01-13T10:00"]),
        (["20260103101112", "20260104101112"], ["2026-01-03T10:11:12", "2026-01-04T10:11:12"]),
        (["45000", "45000.5"], ["2023-03-15T00:00", "2023-03-15T12:00"]),
        (["1/2/26 10:00", "1/13/26 10:00"], ["2026-01-02T10:00", "2026-01-13T10:00"]),
        (["2026-01-03T10:00:00+0530", "2026-01-03 10:00:00 America/New_York"], ["2026-01-03T04:30", "2026-01-03T15:00"]),
    ],
)  # fmt: skip
def test_other_ways_to_write_dates(tmp_path: Path, new_shop: NewShop, written: list[str], read: list[str]) -> None:
    shop = new_shop()
    text = "zeit;kunde;artikel\n" + "".join(f"{time};k{n};p\n" for n, time in enumerate(written))
    load(shop, tmp_path, "log.csv", text, mapping={"time": "zeit", "customer": "kunde", "product": "artikel"})
    assert sorted(times(shop)) == sorted(datetime.fromisoformat(time) for time in read)


def test_a_column_that_contradicts_itself_is_refused(tmp_path: Path, new_shop: NewShop) -> None:
    with pytest.raises(UnreadableFile, match=r"day first.*month"):
        load(new_shop(), tmp_path, "log.csv", "date,user,item\n13/11/2025,u,p\n11/13/2025,u,p\n")


def test_times_apart_from_all_others_are_flagged(tmp_path: Path, new_shop: NewShop) -> None:
    lines = [f"2025-0{1 + n % 9}-11,u{n},p" for n in range(200)]
    text = "\n".join(["date,user,item", "1970-01-01,u,p", "2019-05-01,u,q", *lines, "2099-01-01,u,p", ""])
    report = load(new_shop(), tmp_path, "log.csv", text)
    assert counts(report) == {"long_before": 2, "invalid_time": 1}
    assert "2099-01-01" in text_of(report, "invalid_time")
    assert "2019-05-01" in text_of(report, "long_before")


def test_the_time_of_day_in_a_column_of_its_own(tmp_path: Path, new_shop: NewShop) -> None:
    for head, rows in (
        ("Date,Time,Customer,SKU", "2026-01-03,10:05,a,x\n2026-01-04,,b,x\n"),
        ("Datum,Uhrzeit,Kundennummer,Artikelnummer", "3.1.2026,10:05:00,a,x\n4.1.2026,,b,x\n"),
        ("Order Date,Order Time,Customer,SKU", "1/3/2026,10:05 AM,a,x\n1/13/2026,,b,x\n"),
    ):
        shop = new_shop()
        load(shop, tmp_path, "log.csv", f"{head}\n{rows}")
        assert times(shop)[0] == datetime(2026, 1, 3, 10, 5), head
        assert len(times(shop)) == 2


def test_abbreviations_of_zones(new_shop: NewShop, tmp_path: Path) -> None:
    """Those that mean one zone; a time in any other is dropped and said."""
    times = ["2024-07-01 10:00:00 PDT", "2024-03-01 02:30 CET", "1 March 2024 10:00 EST", "2024-07-01 10:00 CST"]
    rows = "".join(f"u{n},a,{text}\n" for n, text in enumerate(times))
    shop = new_shop()
    report = load(shop, tmp_path, "log.csv", "user_id,product_id,timestamp\n" + rows)
    assert sorted(f"{row[0]} {row[1]:%d %H:%M}" for row in brief(shop, "customer", "time")) == [
        "u0 01 17:00",
        "u1 01 01:30",
        "u2 01 15:00",
    ]
    assert counts(report) == {"invalid_time": 1}
