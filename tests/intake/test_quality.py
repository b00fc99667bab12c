from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shelfwise.intake import QualityReport, check
from shelfwise.intake.report import Findings
from shelfwise.schema import Event, EventType, Product
from shelfwise.store import Store

Issues = Callable[[QualityReport], dict[str, int]]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_an_empty_record(store: Store) -> None:
    report = check(store)
    assert (report.read, report.kept, report.issues) == (0, 0, ())


def test_the_record_is_judged(store: Store, issues: Issues) -> None:
    store.put_products(
        [
            Product(id="a", title="A", price=10.0),
            Product(id="b", title="B", price=0.0, brand="x", description="d", product_type="t", image_link="i.jpg"),
            Product(id="c", title="Same", price=1.0),
            Product(id="d", title="Same", price=1.0),
        ]
    )
    buy = EventType.PURCHASE
    store.append_events(
        [
            Event(type=buy, customer="1", product="a", price=10.0, time=NOON),
            Event(type=buy, customer="1", product="a", price=10.0, time=NOON),
            Event(type=buy, customer="1", product="a", price=0.5, time=NOON + timedelta(days=1)),
            Event(type=buy, customer="1", product="ghost", time=NOON),
            Event(type=buy, session="s", product="b", quantity=50_000, time=NOON),
            *(
                Event(type=EventType.VIEW_ITEM, session="bot", product="a", time=NOON + timedelta(milliseconds=n))
                for n in range(500)
            ),
        ]
    )
    report = check(store)
    found = issues(report)
    assert report.read == report.kept == 4 + 505
    assert found == {
        "no_description": 3,
        "no_brand": 3,
        "no_product_type": 3,
        "no_image_link": 3,
        "price_zero": 1,
        "alike": 2,
        "unknown_product": 1,
        "price_off": 1,
        "impossible_quantity": 1,
        "repeated": 1,
        "bot_like": 500,
        "never_seen": 2,
    }
    assert report.flagged == 1 + 1 + 1 + 1 + 500
    assert report.facts["events a type"] == {"view_item": 500, "purchase": 5}
    assert report.facts["from"] == "2024-05-01 12:00:00"
    assert report.facts["bot-like visitors"] == 1


def test_a_report_is_written_for_people_and_machines(tmp_path: Path, issues: Issues) -> None:
    findings = Findings("feed|1.csv")
    findings.read = 3
    findings.add("odd", "dropped", "is <b>odd</b>", [(2, "a|b\n\x1b[31mred"), (3, "x" * 500)], count=2)
    findings.facts["products"] = 12_345
    report = findings.report()
    assert issues(report) == {"odd": 2}
    report.write(tmp_path / "reports")
    told = json.loads((tmp_path / "reports" / "quality.json").read_text("utf-8"))
    assert (told["read"], told["kept"], told["dropped"]) == (3, 1, 2)
    assert told["issues"][0]["examples"][0]["line"] == 2
    text = (tmp_path / "reports" / "quality.md").read_text("utf-8")
    assert "| 3 | 1 | 2 | 0 |" in text
    assert "12,345" in text
    assert "feed\\|1.csv" in text
    assert "<b>" not in text
    assert "\x1b" not in text
    assert all(line.count("|") - line.count("\\|") in (0, 3, 5, 6) for line in text.splitlines())


def test_examples_are_few_and_short() -> None:
    findings = Findings("x")
    for line in range(1_000):
        findings.add("odd", "flagged", "why", [(line, "y" * 10_000)])
    (issue,) = findings.report().issues
    assert issue.count == 1_000
    assert len(issue.examples) == 5
    assert all(len(text) <= 160 for _, text in issue.examples)
