"""What tests of event logs share: the record as rows, the issues of a report."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from shelfwise.intake import QualityReport
from shelfwise.schema import from_micros
from shelfwise.shop import Shop


def rows(shop: Shop) -> list[dict[str, Any]]:
    """Every event of the record in time order, its time a datetime."""
    frames = list(shop.store.event_frames())
    if not frames:
        return []
    return [{**row, "time": from_micros(row["time"])} for row in pl.concat(frames).iter_rows(named=True)]


def brief(shop: Shop, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows(shop)]


def times(shop: Shop) -> list[datetime]:
    return [row["time"].replace(tzinfo=None) for row in rows(shop)]


def counts(report: QualityReport) -> dict[str, int]:
    return {issue.kind: issue.count for issue in report.issues}


def text_of(report: QualityReport, kind: str) -> str:
    """Everything said of one kind of finding."""
    issue = next(issue for issue in report.issues if issue.kind == kind)
    return f"{issue.explanation}: {'; '.join(text for _, text in issue.examples)}"


def feed(shop: Shop, folder: Path, *ids: str) -> None:
    path = folder / "feed.csv"
    path.write_text("id,title\n" + "".join(f"{name},Thing {name}\n" for name in ids))
    shop.load_products(path)


def load(shop: Shop, folder: Path, name: str, text: str, **options: Any) -> QualityReport:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return shop.load_events(path, **options)


def load_lines(shop: Shop, folder: Path, lines: Iterable[Any]) -> QualityReport:
    return load(shop, folder, "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
