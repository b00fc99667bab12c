"""Reports on the console: how good the recommendations are, and what they do to the catalogue as time goes on."""

from __future__ import annotations

import asyncio
import json
import math
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from shelfwise.evaluation.results import MAIN, Evaluation
from shelfwise.evaluation.wording import WORDS
from shelfwise.schema import EventType, now
from shelfwise.serve.web.chart import Chart, Line, lines
from shelfwise.serve.web.console.guard import require
from shelfwise.serve.web.console.measures import (
    BEYOND,
    Grid,
    best_first,
    beyond_grid,
    curve_charts,
    evaluation_of,
    figure,
    metric_grid,
    model_name,
    over_bundles,
    ranking_chart,
    saying,
    table_chart,
)
from shelfwise.serve.web.render import language, render
from shelfwise.serve.wire import Refused
from shelfwise.shop import Shop

if TYPE_CHECKING:
    from shelfwise.serve.service import Service

FRESH = 600.0  # seconds that what was read of the record is shown, whatever came since
SPANS = 60  # most days, or weeks, shown of the record
SOURCES = 6  # newest evaluations offered beside the bundle's
FORMATS = {"html": "text/html", "md": "text/markdown", "json": "application/json"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Something that was measured. name: its folder in the shop's reports. made: empty for the bundle in use."""

    name: str
    bundle: bool
    made: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One question that was put to every model."""

    title: str
    note: str
    chart: Chart
    grid: Grid
    segments: tuple[tuple[str, Chart], ...]  # (its size in words, chart)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportsPage:
    """source: what is shown, None before anything was measured. bundles: is there a bundle at all? weekly: are the
    record's charts by week?"""

    template: ClassVar[str] = "console/reports.html"
    section: ClassVar[str] = "reports"
    sources: tuple[Source, ...]
    source: Source | None
    learned: bool
    headline: str
    verdict: str
    notes: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]
    asked: tuple[tuple[str, Grid], ...]  # (note, table): every question, what pages share, what diversity costs
    not_asked: tuple[str, ...]
    beyond: Grid | None
    curves: tuple[Chart, ...]
    history: tuple[Chart, ...]
    record: tuple[Chart, ...]
    weekly: bool


def reports_page(shop: Shop, wanted: str, lang: str, record: Record) -> ReportsPage:
    """Raises Refused for a report that is not there."""
    from shelfwise.evaluation.question_report import grids, not_asked
    from shelfwise.evaluation.report import notes, verdict

    words = WORDS[lang]
    bundles = shop.bundles()
    known = sources(shop)
    source = next((one for one in known if one.name == wanted), None) if wanted else next(iter(known), None)
    if wanted and source is None:
        raise Refused(404, "not_found", "there is no such report")
    evaluation = None if source is None else read(shop, source)
    plain = None if evaluation is None else evaluation.questions
    tables = [] if plain is None else grids(plain, lang)
    said = ("", "") if evaluation is None else verdict(evaluation, lang)
    return ReportsPage(
        sources=known,
        source=source,
        learned=bool(bundles),
        headline=said[0],
        verdict=said[1],
        notes=() if evaluation is None else tuple(notes(evaluation, lang)),
        figures=() if evaluation is None else _figures(evaluation, lang),
        parts=() if evaluation is None else _parts(evaluation, lang),
        asked=tuple((one.note, Grid(title=one.title, head=one.head, rows=one.rows)) for one in tables),
        not_asked=() if plain is None else tuple(not_asked(plain, lang)),
        beyond=None if evaluation is None else beyond_grid(evaluation.tables[0], lang, words["beyond"]),
        curves=() if evaluation is None else curve_charts(_curves(evaluation, lang), lang),
        history=over_bundles(bundles, lang),
        record=record.charts(lang),
        weekly=record.weekly,
    )


def sources(shop: Shop) -> tuple[Source, ...]:
    """What was measured of the bundle in use, then evaluations of the shop (`shelfwise evaluate`), the newest first."""
    folders = [
        Source(name=entry["version"], bundle=True, made=datetime.fromisoformat(entry["created"]))
        for entry in shop.bundles()
        if entry["current"] and entry["metrics"].get("evaluation", {}).get("tables")
    ]
    for path in sorted((shop.folder / "reports").glob("evaluation-*/evaluation.json"), reverse=True)[:SOURCES]:
        made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        folders.append(Source(name=path.parent.name, bundle=False, made=made))
    return tuple(folders)


def read(shop: Shop, source: Source) -> Evaluation | None:
    """None where nothing was measured."""
    if source.bundle:
        evaluation = next((evaluation_of(entry) for entry in shop.bundles() if entry["version"] == source.name), None)
    else:
        fields = json.loads((shop.folder / "reports" / source.name / "evaluation.json").read_text("utf-8"))
        evaluation = Evaluation.from_json(fields)
    return evaluation if evaluation is not None and evaluation.tables else None


def written(evaluation: Evaluation, format: str, lang: str) -> bytes:
    """The report as a file that stands alone."""
    from shelfwise.evaluation.report import write_report

    with tempfile.TemporaryDirectory(prefix="shelfwise-") as folder:
        write_report(evaluation, Path(folder), lang)
        name = "evaluation.json" if format == "json" else f"report.{format}"
        return (Path(folder) / name).read_bytes()


def _curves(evaluation: Evaluation, lang: str) -> list[tuple[str, list[dict[str, float]]]]:
    """The engine's curve is its network's."""
    shown = {
        name: one for name, one in evaluation.curves.items() if name != "engine" or "network" not in evaluation.curves
    }
    return [(model_name(name, lang), epochs) for name, epochs in shown.items()]


def _figures(evaluation: Evaluation, lang: str) -> tuple[tuple[str, str], ...]:
    words, facts = WORDS[lang], evaluation.facts
    return (
        (words["customers_measured"], f"{evaluation.tables[0].n:,}"),
        (words["products"], f"{facts.products:,}"),
        (words["events"], f"{facts.events:,}"),
        (words["window"], f"{facts.days}"),
    )


def _parts(evaluation: Evaluation, lang: str) -> tuple[Part, ...]:
    words, say = WORDS[lang], saying(lang)
    parts = []
    for table in evaluation.tables:
        key = "everything_any" if table.key == "everything" and evaluation.facts.relevant == "any" else table.key
        mine = [row.name for row in table.rows if not row.baseline]
        top = max(
            (one[MAIN].high for part in table.segments for one in part.results.values() if MAIN in one), default=0.0
        )
        segments = []
        for part in table.segments:
            word = f"{part.group}:{part.name}"
            size = words[f"{word}_size" if word in words else "categories_size"].format(size=f"{part.size:,}")
            chart = ranking_chart(
                {row.name: part.results[row.name][MAIN] for row in best_first(table)},
                mine,
                lang,
                title=words.get(word, part.name),
                about=say("console.chart.bars_about", n=f"{part.n:,}"),
                top=top if math.isfinite(top) else 0.0,
            )
            segments.append((f"{size} · {words['n_customers'].format(n=f'{part.n:,}')}", chart))
        parts.append(
            Part(
                title=words[key],
                note=words[f"{key}_note"].format(n=f"{table.n:,}"),
                chart=table_chart(table, lang, "NDCG@10"),
                grid=metric_grid(table, lang, words["all_metrics"]),
                segments=tuple(segments),
            )
        )
    return tuple(parts)


_COLUMNS: dict[str, pl.DataType] = {
    "span": pl.Datetime("us"),
    "kind": pl.String(),
    "product": pl.String(),
    "who": pl.String(),
    "len": pl.Int64(),
}
_COUNTED = pl.Schema(_COLUMNS)


class Record:
    """What shoppers were shown and what they chose, by day (by week in a longer record), from the record itself.

    Read again only when events or products came. Safe for many threads.
    """

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._known: tuple[tuple[int, int], list[tuple[str, list[datetime], dict[str, list[float]]]]] | None = None
        self._until = 0.0
        self.weekly = False

    def charts(self, lang: str) -> tuple[Chart, ...]:
        """Coverage, diversity, novelty and concentration; a line each for what was shown and what was chosen."""
        mark = (self._shop.store.newest_sequence(), self._shop.store.product_revision())
        if self._known is None or (self._known[0] != mark and time.monotonic() > self._until):
            self._known = mark, self._measured()
            self._until = time.monotonic() + FRESH
        say, words = saying(lang), WORDS[lang]
        charts = []
        series = self._known[1]
        spans = sorted({when for _, times, _ in series for when in times})
        place = {when: float(at) for at, when in enumerate(spans)}
        for name in BEYOND:
            drawn = [
                Line(
                    name=say(f"console.reports.{kind}"),
                    letter=letter,
                    points=[(place[when], y) for when, y in zip(times, values[name], strict=True)],
                )
                for letter, (kind, times, values) in zip("AB", series, strict=False)
            ]
            if any(len(line.points) > 1 for line in drawn):
                charts.append(
                    lines(
                        drawn,
                        title=words[name],
                        description=say(f"console.reports.record.{name}"),
                        x_name=say("console.reports.week" if self.weekly else "console.reports.day"),
                        number=partial(figure, name=name),
                        x_text=lambda x: f"{spans[round(x)]:%Y-%m-%d}",
                        height=190,
                    )
                )
        return tuple(charts)

    def _events(self, since: datetime | None) -> pl.DataFrame:
        """How often who turned to which product, or was shown it: span, kind, product, who, len."""
        pieces = [pl.DataFrame(schema=_COUNTED)]
        wanted = [kind for kind in EventType if kind != EventType.SEARCH]
        for frame in self._shop.store.event_frames(
            since=since, types=wanted, columns=["type", "time", "customer", "session", "product"]
        ):
            moment = pl.from_epoch(pl.col("time"), time_unit="us")
            kind = pl.when(pl.col("type") == EventType.VIEW_ITEM_LIST).then(pl.lit("shown")).otherwise(pl.lit("chosen"))
            who = pl.when(pl.col("customer") != "").then("customer").otherwise("session")
            pieces.append(
                frame.lazy()
                .filter(pl.col("product") != "")
                .select(
                    moment.dt.truncate("1w" if self.weekly else "1d").alias("span"),
                    kind.alias("kind"),
                    "product",
                    who.alias("who"),
                )
                .group_by("span", "kind", "product", "who")
                .len()
                .cast(_COUNTED)
                .collect()
            )
        return pl.concat(pieces)

    def _measured(self) -> list[tuple[str, list[datetime], dict[str, list[float]]]]:
        counts = self._shop.counts()
        if counts.first is None or counts.last is None:
            return []
        self.weekly = (counts.last - counts.first) > timedelta(days=SPANS)
        span = timedelta(days=7 if self.weekly else 1)
        events = self._events(counts.last - SPANS * span)
        if events["span"].n_unique() < 2:  # the newest came long after the others
            events = self._events(None)
            events = events.filter(pl.col("span").is_in(events["span"].unique().sort().tail(SPANS).implode()))
        # A day or week that is not over yet would look like a fall.
        over = events.filter(pl.col("span") + span <= now().replace(tzinfo=None))
        events = over if over["span"].n_unique() > 1 else events
        if events.is_empty():
            return []
        products = self._shop.store.products_frame().select("id", "product_type")
        category = products.select(
            pl.col("id").alias("product"), pl.col("product_type").str.split(" > ").list.first().alias("category")
        )
        crowd = max(events["who"].n_unique(), 1)
        fame = events.group_by("product").agg(pl.col("who").n_unique().alias("fame"))
        table = events.group_by("kind", "span", "product").agg(pl.col("len").sum())
        table = table.join(fame, on="product").join(category, on="product", how="left").sort("kind", "span")
        measured = []
        for kind in ("shown", "chosen"):
            spans = table.filter(pl.col("kind") == kind).partition_by("span", maintain_order=True)
            if spans:
                rows = [_spread(one, crowd, max(products.height, 1)) for one in spans]
                times = [one["span"][0].replace(tzinfo=UTC) for one in spans]
                measured.append((kind, times, {name: [row[name] for row in rows] for name in BEYOND}))
        return measured


def _spread(rows: pl.DataFrame, crowd: int, products: int) -> dict[str, float]:
    """Of one day or week; rows: a product each with `len`, `fame` (customers who ever turned to it), `category`."""
    count = rows["len"].to_numpy().astype(np.float64)
    total = count.sum()
    by_category = rows.group_by("category").agg(pl.col("len").sum())["len"].to_numpy() / total
    size = max(products, len(count))
    ordered = np.concatenate((np.zeros(size - len(count)), np.sort(count)))
    bits = -np.log2(rows["fame"].to_numpy() / crowd)
    return {
        "coverage": len(count) / size,
        "diversity": float(1 - (by_category**2).sum()),
        "novelty": float((bits * count).sum() / total),
        "gini": float((2 * np.arange(1, size + 1) - size - 1) @ ordered / (size * total)),
    }


def mount(app: FastAPI, service: Service) -> None:
    """Add the pages to the app."""
    pages = Pages(service)
    app.add_api_route("/console/reports", pages.reports, methods=["GET"], include_in_schema=False)
    app.add_api_route("/console/reports/download", pages.download, methods=["GET"], include_in_schema=False)


class Pages:
    """The handlers over one service."""

    def __init__(self, service: Service) -> None:
        self._shop = service.shop
        self._record = Record(service.shop)

    async def reports(self, request: Request) -> Response:
        require(request)
        wanted = request.query_params.get("source", "")
        page = await asyncio.to_thread(reports_page, self._shop, wanted, language(request), self._record)
        return render(page, request)

    async def download(self, request: Request) -> Response:
        require(request)
        wanted, format = request.query_params.get("source", ""), request.query_params.get("format", "")
        source = next((one for one in sources(self._shop) if one.name == wanted), None)
        evaluation = None if source is None else await asyncio.to_thread(read, self._shop, source)
        if format not in FORMATS or evaluation is None or source is None:
            raise Refused(404, "not_found", "there is no such report")
        content = await asyncio.to_thread(written, evaluation, format, language(request))
        named = f'attachment; filename="shelfwise-{source.name}.{format}"'
        return Response(content, media_type=FORMATS[format], headers={"content-disposition": named})
