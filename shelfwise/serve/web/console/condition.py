"""In what condition the shop is: how fresh its model, how good its data."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from shelfwise.catalogue.products import GONE
from shelfwise.errors import BundleError
from shelfwise.schema import Availability, now
from shelfwise.serve.imports import read_report
from shelfwise.serve.jobs import Jobs
from shelfwise.serve.web.console import data
from shelfwise.serve.web.console.measures import saying
from shelfwise.shop import Shop

FRESH = 60.0  # seconds that counts over the whole catalogue hold, whatever came since


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """The bundle in use. age: how long ago it was learned, in words. events, products: what it was learned from.
    seconds: what learning it took, 0 when unknown."""

    version: str
    created: datetime
    age: str
    events: int
    products: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A quality report in figures. job: the import it is of, "" for a check of the whole record."""

    name: str
    job: str
    made: datetime
    read: int
    kept: int
    dropped: int
    flagged: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """lacking: (what, how many products lack it, the list of products that shows them or "")."""

    products: int
    lacking: tuple[tuple[str, int, str], ...]
    imported: Report | None
    checked: Report | None


class Condition:
    """Of one shop, as one worker sees it."""

    def __init__(self, shop: Shop, jobs: Jobs) -> None:
        self._shop = shop
        self._jobs = jobs
        self._bundle: Mapping[str, Any] | None = None
        self._counted: tuple[float, tuple[int, str], tuple[tuple[str, int, str], ...]] = (-math.inf, (-1, ""), ())

    def model(self, lang: str) -> Model | None:
        """None before anything was learned."""
        bundle = self._current()
        if bundle is None:
            return None
        created, learned = datetime.fromisoformat(bundle["created"]), bundle["learned"]
        hours = max(0.0, (now() - created).total_seconds() / 3_600)
        key, n = ("minutes", hours * 60) if hours < 2 else ("hours", hours) if hours < 48 else ("days", hours / 24)
        return Model(
            version=bundle["version"],
            created=created,
            age=saying(lang)(f"console.overview.age.{key}", n=f"{math.floor(n):,}"),
            events=int(learned.get("events", 0)),
            products=int(learned.get("products", 0)),
            seconds=float(learned.get("seconds", 0.0)),
        )

    def arrived_since(self) -> int | None:
        """Events that came after the model in use began to learn; None where it does not say."""
        bundle = self._current()
        if bundle is None or "arrived" not in bundle["learned"]:
            return None
        return max(0, self._shop.store.newest_sequence() - int(bundle["learned"]["arrived"]))

    def quality(self) -> Quality:
        return Quality(
            products=self._shop.product_count,
            lacking=self._lacking(),
            imported=self._imported(),
            checked=self._checked(),
        )

    def example(self) -> str:
        """A product's id, "" without products."""
        frame = self._shop.store.products_frame()
        return str(frame["id"][0]) if frame.height else ""

    def _current(self) -> Mapping[str, Any] | None:
        """The entry of the bundle in use, read once."""
        version = self._shop.bundle_version
        if version and (self._bundle is None or self._bundle["version"] != version):
            self._bundle = next((one for one in self._shop.bundles() if one["version"] == version), None)
        return self._bundle if version else None

    def _lacking(self) -> tuple[tuple[str, int, str], ...]:
        """Counts over the whole catalogue, made again when it has changed, at most once in FRESH seconds."""
        made, of, counts = self._counted
        moment, current = time.monotonic(), (self._shop.store.product_revision(), self._shop.bundle_version)
        if of != current and moment - made > FRESH:
            frame = self._shop.store.products_frame()
            counts = (
                ("photo", frame.filter(pl.col("image_link") == "").height, "no_photo"),
                ("text", frame.filter((pl.col("title") == "") | (pl.col("description") == "")).height, "no_text"),
                ("price", frame["price"].null_count(), ""),
                ("category", frame.filter(pl.col("product_type") == "").height, ""),
                ("stock", frame.filter(pl.col("availability") == Availability.OUT_OF_STOCK).height, "out_of_stock"),
                *self._cold(),
            )
            self._counted = (moment, current, counts)
        return counts

    def _cold(self) -> tuple[tuple[str, int, str], ...]:
        """As the list of cold products counts them."""
        try:
            engine = self._shop.engine
        except BundleError:
            return ()
        view = engine.catalogue.view
        there = view.sale[: view.n] != GONE
        turned_to = np.zeros(view.n, np.bool_)
        turned_to[: view.known] = engine.bundle.popularity.weight[: view.known] > 0
        return (("history", int((there & ~turned_to).sum()), "cold"),)

    def _imported(self) -> Report | None:
        """Of the newest import that changed the record."""
        for job in self._jobs.list():
            report = read_report(job.folder) if job.kind == data.KIND and job.arguments.get("check") != "yes" else None
            if report is not None:
                return Report(
                    name=job.arguments.get("name", ""),
                    job=job.id,
                    made=job.started,
                    read=report.read,
                    kept=report.kept,
                    dropped=report.dropped,
                    flagged=report.flagged,
                )
        return None

    def _checked(self) -> Report | None:
        """Of `shelfwise check`."""
        path = self._shop.folder / "reports" / "quality.json"
        try:
            report = json.loads(path.read_text("utf-8"))
            counts = {name: int(report[name]) for name in ("read", "kept", "dropped", "flagged")}
            made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Report(name="", job="", made=made, **counts)
