# ruff: noqa: E501 (tables of cases are wide)
from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from shelfwise import schema
from shelfwise.errors import UnreadableFile
from shelfwise.intake import QualityReport, columns, load_events, spool
from shelfwise.store import Store

Issues = Callable[[QualityReport], dict[str, int]]


def frame(store: Store) -> pl.DataFrame:
    return pl.concat(store.event_frames())


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ga4(name: str, micros: int, items: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "event_name": name,
        "event_timestamp": str(micros),
        "user_pseudo_id": "cookie",
        "event_params": [{"key": "ga_session_id", "value": {"int_value": "77"}}],
        "items": items or [],
        **more,
    }


MAY = 1_714_564_800_000_000


def test_ga4_export(tmp_path: Path, store: Store, issues: Issues) -> None:
    item = {"item_id": "p1", "quantity": "2", "price": 9.5, "item_name": "One"}
    path = write(
        tmp_path / "events.json",
        ga4("session_start", MAY),
        ga4("view_item", MAY + 1, [{"item_id": "p1"}]),
        ga4("view_item_list", MAY + 2, [{"item_id": "p1"}, {"item_id": "p2"}]),
        ga4(
            "view_search_results",
            MAY + 3,
            event_params=[
                {"key": "ga_session_id", "value": {"string_value": None, "int_value": 77}},
                {"key": "search_term", "value": {"string_value": "  Blue   ﬁsh "}},
            ],
        ),
        ga4("purchase", MAY + 4, [item, item, {"item_id": "p2"}], user_id="ann", ecommerce={"transaction_id": "T1"}),
        ga4("purchase", MAY + 4, [item, item, {"item_id": "p2"}], user_id="ann", ecommerce={"transaction_id": "T1"}),
        ga4("add_to_cart", MAY + 5, [{"item_id": "(not set)"}]),
        ga4("view_item", MAY + 6, [{"item_id": "p9"}], user_pseudo_id=None),
    )
    report = load_events(path, store)
    assert report.facts["format"] == "ga4"
    assert issues(report) == {"other_event": 1, "sent_twice": 3, "invalid_product": 1, "invalid_customer": 1}
    assert (report.read, report.kept) == (13, 7)
    kept = frame(store)
    assert kept["type"].to_list() == ["view_item", "view_item_list", "view_item_list", "search", *["purchase"] * 3]
    bought = kept.filter(pl.col("type") == "purchase")
    assert bought["product"].to_list() == ["p1", "p1", "p2"]
    assert bought["quantity"].to_list() == [2.0, 2.0, 1.0]
    assert bought["price"].to_list() == [9.5, 9.5, None]
    assert set(bought["request_id"]) == {"T1"}
    assert set(kept["customer"]) == {"ann"}  # stitched: the session signed in with its purchase
    assert kept.filter(pl.col("type") == "search")["query"].to_list() == ["Blue fish"]
    assert load_events(path, store).kept == 0


def test_ga4_needs_its_fields(tmp_path: Path, store: Store) -> None:
    path = write(tmp_path / "a.json", ga4("view_item", MAY, [{"item_id": "p"}]), {"event_name": "purchase"})
    with pytest.raises(UnreadableFile) as caught:
        load_events(path, store)
    assert (caught.value.line, caught.value.column) == (2, "event_timestamp")


def test_common_names_are_guessed(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "log.csv"
    path.write_text("timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n")
    report = load_events(path, store)
    assert report.facts["columns"]["customer"] == "visitorid"
    row = frame(store).row(0, named=True)
    assert (row["type"], row["customer"], row["product"]) == ("view_item", "257597", "355908")
    assert schema.from_micros(row["time"]) == datetime(2015, 6, 2, 5, 2, 12, 117_000, tzinfo=UTC)


def test_a_mapping_says_column_constant_scale_and_format(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "log.csv"
    path.write_text("wer;was;wann;cent\nann;p1;31.12.2023 23:59;1250\n")
    load_events(
        path,
        store,
        mapping={
            "customer": "wer",
            "product": "was",
            "time": "wann|%d.%m.%Y %H:%M",
            "price": "cent|/100",
            "type": "=add_to_cart",
        },
    )
    row = frame(store).row(0, named=True)
    assert (row["type"], row["price"]) == ("add_to_cart", 12.5)
    assert schema.from_micros(row["time"]) == datetime(2023, 12, 31, 23, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ({"custommer": "a"}, "did you mean 'customer'"),
        ({"customer": "usr"}, "did you mean 'user'"),
        ({"time": "ts|/zero"}, "ends in '/zero'"),
        ({"time": "ts|x"}, "ends in 'x'"),
        ({"customer": "", "session": ""}, "who"),
    ],
)
def test_a_wrong_mapping_is_told(mapping: dict[str, str], told: str, tmp_path: Path, store: Store) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,sku,ts\na,b,2024-05-01\n")
    with pytest.raises(UnreadableFile, match=told):
        load_events(path, store, mapping=mapping)
    assert store.counts().events == 0


def test_nested_json_is_reached_by_a_path(tmp_path: Path, store: Store) -> None:
    path = write(tmp_path / "a.jsonl", {"user": {"id": 7}, "item": {"sku": "p1"}, "ts": 1714564800.5})
    load_events(path, store, mapping={"customer": "user.id", "product": "item.sku"})
    row = frame(store).row(0, named=True)
    assert (row["customer"], row["product"], row["time"]) == ("7", "p1", MAY + 500_000)


def test_parquet_with_real_times(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "a.parquet"
    noon = datetime(2024, 5, 1, 12, 0, 0, 123_456)
    pl.DataFrame(
        {
            "user_id": [17850.0, 17851.0],
            "product_id": [1, 2],
            "time": pl.Series([noon, noon]).dt.replace_time_zone("Europe/Berlin"),
            "price": [1.5, None],
        }
    ).write_parquet(path)
    load_events(path, store)
    kept = frame(store)
    assert kept["customer"].to_list() == ["17850", "17851"]
    assert kept["time"].to_list() == [MAY - 7_200_000_000 + 123_456] * 2
    assert kept["price"].to_list() == [1.5, None]


def test_identical_rows_are_kept_numbered_and_loading_again_adds_nothing(
    tmp_path: Path, store: Store, issues: Issues
) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,time\n" + "a,p,2024-05-01\n" * 3 + "b,p,2024-05-01\n")
    report = load_events(path, store)
    assert issues(report) == {"identical_row": 2}
    assert (report.kept, report.flagged) == (4, 2)
    assert next(iter(report.issues)).examples[0][0] == 3
    again = load_events(path, store)
    assert issues(again)["already_recorded"] == 4
    assert again.kept == 0
    # in another order, with a neighbour: the same events
    path.write_text("user,item,time\nb,p,2024-05-01\n" + "a,p,2024-05-01\n" * 4)
    assert load_events(path, store).kept == 1
    assert store.counts().events == 5


def test_repeated_ids_are_dropped(tmp_path: Path, store: Store, issues: Issues) -> None:
    path = tmp_path / "log.csv"
    path.write_text("event_id,user,item,time\n1,a,p,2024-05-01\n2,a,p,2024-05-01\n1,b,q,2024-05-02\n")
    report = load_events(path, store)
    assert issues(report) == {"duplicate_id": 1}
    assert frame(store)["customer"].to_list() == ["a", "a"]


def test_each_rule_has_its_line(tmp_path: Path, store: Store, issues: Issues) -> None:
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    path = tmp_path / "log.csv"
    path.write_text(
        "type,time,user,item,quantity,price,search_term\n"
        "purchase,2024-05-01,a,p,1,1,\n"
        f"purchase,{later},a,p,1,1,\n"
        "purchase,soon,a,p,1,1,\n"
        "purchase,1969-12-31,a,p,1,1,\n"
        "purchase,2024-05-01,,p,1,1,\n"
        "purchase,2024-05-01,a,,1,1,\n"
        "purchase,2024-05-01,a,p,-1,1,\n"
        "purchase,2024-05-01,a,p,nan,1,\n"
        "purchase,2024-05-01,a,p,many,1,\n"
        "purchase,2024-05-01,a,p,1,-1,\n"
        "purchase,2024-05-01,a,p,1,dear,\n"
        "purchase,2024-05-01,a,p,20000,2e6,\n"
        "search,2024-05-01,a,,,,\n"
        "page_view,2024-05-01,a,,,,\n"
        f"purchase,2024-05-01,{'a' * 201},p,1,1,\n"
        "purchase,2024-05-01,a\x07,p,1,1,\n"
        'buy,2024-05-01, a ,p,"1,5","€1.234,56",\n'
    )
    report = load_events(path, store)
    assert issues(report) == {
        "invalid_time": 3,
        "invalid_customer": 3,
        "invalid_product": 1,
        "invalid_quantity": 2,
        "negative_quantity": 1,
        "outlandish_quantity": 1,
        "invalid_price": 1,
        "invalid_query": 1,
        "other_event": 1,
        "unreadable_price": 1,
        "impossible_quantity": 1,
        "impossible_price": 1,
    }
    assert (report.read, report.kept, report.flagged) == (17, 5, 2)
    lines = {issue.kind: [line for line, _ in issue.examples] for issue in report.issues}
    assert lines["invalid_product"] == [7]
    assert lines["other_event"] == [15]
    assert sorted(lines["invalid_time"]) == [3, 4, 5]
    row = frame(store).filter(pl.col("quantity") == 1.5).row(0, named=True)
    assert (row["customer"], row["price"]) == ("a", 1234.56)


def test_bots_are_flagged_and_big_baskets_are_not(tmp_path: Path, store: Store, issues: Issues) -> None:
    rows = [{"type": "view", "user": "robot", "item": f"p{n}", "time": 1_714_564_800_000 + n * 100} for n in range(600)]
    rows += [
        {"type": "view", "user": "person", "item": f"p{n}", "time": 1_714_564_800_000 + n * 9_000} for n in range(300)
    ]
    rows += [{"type": "purchase", "user": "family", "item": f"p{n}", "time": 1_714_564_800_000} for n in range(400)]
    rows += [{"type": "impression", "user": "home", "item": f"p{n}", "time": 1_714_564_800_000} for n in range(400)]
    report = load_events(write(tmp_path / "a.jsonl", *rows), store)
    assert issues(report) == {"bot_like": 600}
    assert report.kept == len(rows)
    assert "robot" in report.issues[0].examples[0][1]


def test_ids_do_not_depend_on_how_a_file_is_cut(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from shelfwise.intake import reading

    text = "user,item,time\n" + "".join(f"u{n % 7},p{n % 3},2024-05-01\n" for n in range(300))
    path = tmp_path / "log.csv"
    path.write_text(text)
    first = load_events(path, store)
    assert first.kept == 300
    original = reading.text_frames
    monkeypatch.setattr(reading, "text_frames", lambda *a: original(*a, rows=37))
    monkeypatch.setattr(spool, "PARTITION", 50)
    assert load_events(path, store).kept == 0


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01T12:00:00Z", "2024-05-01 12:00:00", "2024-05-01T14:00:00+02:00", "2024-05-01 12:00:00 UTC", "1714564800",
        "2024-05-01 12:00", "1714564800000", "1714564800000000", "1714564800000000000", "Wed, 01 May 2024 12:00:00 GMT",
        "2024-05-01T12:00:00.000", "1714564800.0", "2024/05/01 12:00:00",
    ],
)  # fmt: skip
def test_times_are_read_in_every_common_writing(text: str) -> None:
    assert columns.times(pl.Series(["2024-05-01", text, "", "20240501"])).to_list() == [
        MAY - 43_200_000_000,
        MAY,
        None,
        MAY - 43_200_000_000,
    ]


def test_no_format_but_the_known(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user,item,time\na,b,2024-05-01\n")
    with pytest.raises(UnreadableFile, match="no format"):
        load_events(path, store, format="excel")
    assert load_events(path, store, format="csv").kept == 1


def test_progress_is_told(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user,item,time\n" + "a,b,2024-05-01\n" * 10)
    told: list[tuple[int, int, str]] = []
    load_events(path, store, progress=lambda *call: told.append(call))
    assert told[-1] == (10, 10, "events: recording")
