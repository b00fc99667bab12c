from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shelfwise.intake.report import QualityReport
from shelfwise.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'record.db'}", durable=False) as opened:
        yield opened


def issues(report: QualityReport) -> dict[str, int]:
    """Kind → count; and the report's sums hold."""
    assert report.read == report.kept + report.dropped
    assert report.dropped == sum(issue.count for issue in report.issues if issue.outcome == "dropped")
    assert all(issue.explanation for issue in report.issues)
    return {issue.kind: issue.count for issue in report.issues}


@pytest.fixture(name="issues")
def _issues() -> object:
    return issues
