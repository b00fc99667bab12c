"""Importing on the console: the form, one import with its progress and its quality report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from shelfwise.errors import UnreadableFile
from shelfwise.intake import QualityReport
from shelfwise.intake.fields import SYNONYMS
from shelfwise.serve.imports import read_report, remembered, upload
from shelfwise.serve.jobs import Job, Jobs
from shelfwise.shop import Shop

KIND = "load"  # of job
SHOWN = 20  # newest imports


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRow:
    """trying: is it read without changing anything? name: what its owner calls the file."""

    id: str
    name: str
    trying: bool
    state: str
    started: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class DataPage:
    """What the record holds, and the newest imports. wrong: why a file was not taken."""

    template: ClassVar[str] = "console/data.html"
    section: ClassVar[str] = "data"
    products: int
    events: int
    customers: int
    first: datetime | None
    last: datetime | None
    upload_mb: int
    imports: tuple[ImportRow, ...]
    wrong: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportPage:
    """One import. contents: products or events, "" until known. done, total: records so far, 0 when unknown. waiting:
    is the file still there to be loaded?"""

    template: ClassVar[str] = "console/import.html"
    section: ClassVar[str] = "data"
    id: str
    name: str
    trying: bool
    state: str
    done: int
    total: int
    error: str
    contents: str
    report: QualityReport | None
    waiting: bool
    #: Products as shoppers will see them; the file's columns; of each field the column that is taken, "" as guessed.
    preview: tuple[Mapping[str, Any], ...] = ()
    header: tuple[str, ...] = ()
    chosen: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportProgress:
    """How far an import is: what the page asks for every second."""

    template: ClassVar[str] = "console/import_progress.html"
    section: ClassVar[str] = "data"
    id: str
    done: int
    total: int


def data_page(shop: Shop, jobs: Jobs, wrong: str = "") -> DataPage:
    counts = shop.counts()
    return DataPage(
        products=counts.products,
        events=counts.events,
        customers=counts.customers,
        first=counts.first,
        last=counts.last,
        upload_mb=shop.settings.upload_mb,
        imports=tuple(_row(job) for job in jobs.list() if job.kind == KIND)[:SHOWN],
        wrong=wrong,
    )


def import_page(shop: Shop, job: Job) -> ImportPage:
    report = read_report(job.folder) if job.state == "done" else None
    row = _row(job)
    return ImportPage(
        id=job.id,
        name=row.name,
        trying=row.trying,
        state=job.state,
        done=job.done,
        total=job.total,
        error=job.error,
        contents="" if report is None else str(report.facts["contents"]),
        report=report,
        waiting=row.trying and there(shop, job),
        **({} if report is None or report.facts["contents"] != "products" else _looks(shop, report)),
    )


def _looks(shop: Shop, report: QualityReport) -> dict[str, Any]:
    kept = remembered(shop)
    preview = report.facts.get("preview", ())
    return {
        "preview": tuple(one for one in preview if isinstance(one, dict)),
        "header": tuple(report.facts.get("header", ())),
        "chosen": tuple((field, kept.get(field, "")) for field in (*SYNONYMS, "status")),
    }


def import_progress(job: Job) -> ImportProgress:
    return ImportProgress(id=job.id, done=job.done, total=job.total)


def there(shop: Shop, job: Job) -> bool:
    """Is the job's uploaded file still to be had?"""
    try:
        return upload(shop, job.arguments["file"]).exists()
    except UnreadableFile:
        return False


def _row(job: Job) -> ImportRow:
    return ImportRow(
        id=job.id,
        name=job.arguments.get("name", ""),
        trying=job.arguments.get("check") == "yes",
        state=job.state,
        started=job.started,
    )
