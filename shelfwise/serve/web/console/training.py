"""Training on the console: start one and watch it learn, cancel it; the bundles, side by side; use one, or go back."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_args
from urllib.parse import quote, urlencode

from fastapi import FastAPI
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from shelfwise.errors import BundleError
from shelfwise.evaluation.results import MAIN
from shelfwise.evaluation.wording import WORDS
from shelfwise.serve.jobs import Job, Jobs
from shelfwise.serve.web.chart import Chart, Line, lines
from shelfwise.serve.web.console.guard import require, submitted
from shelfwise.serve.web.console.measures import (
    LETTERS,
    Grid,
    bundles_grid,
    curve_charts,
    evaluation_of,
    figure,
    interval,
    model_name,
    ours,
    saying,
    table_chart,
)
from shelfwise.serve.web.render import language, render
from shelfwise.serve.wire import Refused
from shelfwise.settings import Settings
from shelfwise.shop import Shop

if TYPE_CHECKING:
    from shelfwise.serve.service import Service

KIND = "train"  # of job
FORM = ("network", "epochs", "minutes", "validation_days")  # settings that a training may have of its own
COMPARED = len(LETTERS)  # most bundles beside each other
SHOWN = 8  # newest trainings
_RANKER = re.compile(r"fitting the ranker \((\w+)\)")
_STEPS = {
    "events read": "begin",
    "factorising": "factorising",
    "asking the engine": "asking",
    "ranker fitted": "asking",
    "measured": "measured",
    "waiting for the vectors": "index",
    "products encoded": "index",
}
_POINTS = 240  # of a live line
_EPOCH = re.compile(
    r"epoch (\d+)/(\d+)( done|, start measured)?(?:, loss ([\d.]+|nan))?(?:, ([\d,]+) items/s)?"
    r"(?:, validation NDCG@10 ([\d.]+), best [\d.]+)?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleRow:
    """One bundle of the list. ndcg, interval: the engine's, as text, "" where nothing was measured. size: bytes."""

    version: str
    created: datetime
    current: bool
    products: int
    events: int
    ndcg: str
    interval: str
    seconds: float
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPage:
    """form: what the fields hold. wrong: the field that cannot be so. done: what was just done to which bundle, and
    undo the bundle that served before. running: the id of a training under way."""

    template: ClassVar[str] = "console/training.html"
    section: ClassVar[str] = "training"
    events: int
    form: Mapping[str, str]
    networks: tuple[str, ...]
    bundles: tuple[BundleRow, ...]
    jobs: tuple[Job, ...]
    running: str
    wrong: str = ""
    failed: str = ""
    done: str = ""
    undo: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPage:
    """One training. step: what it does now, in words. left: seconds until this step ends, None when unknown. speed:
    what the network learns a second."""

    template: ClassVar[str] = "console/training_job.html"
    section: ClassVar[str] = "training"
    id: str
    state: str
    started: datetime
    error: str
    result: str
    step: str
    done: int
    total: int
    left: float | None
    speed: float
    settings: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class JobProgress(JobPage):
    """The part of the page that is asked for again and again while it runs."""

    template: ClassVar[str] = "console/training_progress.html"


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparePage:
    """Bundles side by side; unmeasured: those of them that nothing was measured of."""

    template: ClassVar[str] = "console/compare.html"
    section: ClassVar[str] = "training"
    bundles: tuple[tuple[str, BundleRow, str], ...]  # (letter, bundle, the days it was measured on)
    grid: Grid | None
    contests: tuple[Chart, ...]
    curves: tuple[Chart, ...]
    unmeasured: tuple[str, ...]


@dataclass(slots=True)
class Fit:
    """What one fit of the network has told: loss by epochs (in parts), NDCG@10 on validation by epoch, and times."""

    loss: dict[float, float] = field(default_factory=dict)
    ndcg: dict[float, float] = field(default_factory=dict)
    speed: float = 0.0
    epoch: int = 0


def fits_of(lines: Iterator[Mapping[str, Any]] | Sequence[Mapping[str, Any]]) -> list[Fit]:
    """The lines of progress.jsonl as learning curves: training fits the network several times, one after another."""
    fits: list[Fit] = []
    for line in lines:
        match = _EPOCH.match(line["what"])
        if match is None:
            continue
        number, epochs = int(match[1]), int(match[2])
        if not fits or number < fits[-1].epoch:
            fits.append(Fit())
        fit = fits[-1]
        fit.epoch = number
        if number and match[4] not in (None, "nan") and line["total"]:
            at, loss = round(epochs * line["done"] / line["total"], 3), float(match[4])
            # Where one epoch ends the next begins, with the loss of a single batch: the whole one's is kept.
            fit.loss[at] = loss if match[3] else fit.loss.get(at, loss)
        if match[5]:
            fit.speed = float(match[5].replace(",", ""))
        if match[6]:
            # A line from within an epoch repeats what the one before reached.
            fit.ndcg.setdefault(float(number if match[3] else number - 1), float(match[6]))
    return fits


def seconds_left(lines: Sequence[Mapping[str, Any]]) -> float | None:
    """Until the newest step ends, at the pace it had so far."""
    if not lines or not lines[-1]["total"]:
        return None
    last, first = lines[-1], lines[-1]
    share = last["done"] / last["total"]
    for line in reversed(lines):
        if not line["total"] or _kind(line["what"]) != _kind(last["what"]):
            break
        if line["done"] / line["total"] > first["done"] / first["total"]:
            break
        first = line
    begun = first["done"] / first["total"]
    seconds = (datetime.fromisoformat(last["time"]) - datetime.fromisoformat(first["time"])).total_seconds()
    return seconds * (1 - share) / (share - begun) if share - begun > 0.01 else None


def _kind(what: str) -> str:
    return what.split(" ")[0]


def training_page(shop: Shop, jobs: Jobs, *, form: Mapping[str, str] | None = None, **said: str) -> TrainingPage:
    settings = shop.settings
    trained = [job for job in jobs.list() if job.kind == KIND]
    return TrainingPage(
        events=shop.counts().events,
        form=form or {name: f"{getattr(settings, name)}".removesuffix(".0") for name in FORM},
        networks=get_args(Settings.model_fields["network"].annotation),
        bundles=tuple(bundle_row(shop, entry) for entry in shop.bundles()),
        jobs=tuple(trained[:SHOWN]),
        running=next((job.id for job in trained if job.state == "running"), ""),
        **said,
    )


def bundle_row(shop: Shop, entry: Mapping[str, Any]) -> BundleRow:
    evaluation = evaluation_of(entry)
    row = ours(evaluation.tables[0]) if evaluation is not None and evaluation.tables else None
    return BundleRow(
        version=entry["version"],
        created=datetime.fromisoformat(entry["created"]),
        current=entry["current"],
        products=entry["learned"].get("products", 0),
        events=entry["learned"].get("events", 0),
        ndcg="" if row is None else figure(row.metrics[MAIN].mean),
        interval="" if row is None else interval(row.metrics[MAIN]),
        seconds=entry["learned"].get("seconds", 0.0),
        size=sum(path.stat().st_size for path in (shop.folder / "bundles" / entry["version"]).iterdir()),
    )


def chosen(settings: Settings, form: Mapping[str, str]) -> dict[str, str]:
    """The fields that differ from the shop's settings. Raises ValueError naming the field that cannot be so."""
    given = {name: form[name].strip() for name in FORM if form.get(name, "").strip()}
    try:
        new = Settings.model_validate(settings.model_dump() | given)
    except ValidationError as error:
        raise ValueError(str(error.errors()[0]["loc"][-1])) from None
    return {name: str(getattr(new, name)) for name in given if getattr(new, name) != getattr(settings, name)}


def job_page(job: Job, lang: str, kind: type[JobPage] = JobPage) -> JobPage:
    lines = list(_lines(job.folder / "progress.jsonl"))
    fits = fits_of(lines)
    return kind(
        id=job.id,
        state=job.state,
        started=job.started,
        error=job.error,
        result=job.result,
        step=_step(lines[-1]["what"] if lines else "", lang),
        done=job.done,
        total=job.total,
        left=seconds_left(lines) if job.state == "running" else None,
        speed=fits[-1].speed if fits else 0.0,
        settings=tuple(job.arguments.items()),
        charts=_live(fits, lang),
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file that may be written to."""
    if path.exists():
        for line in path.read_text("utf-8").split("\n")[:-1]:
            yield json.loads(line)


def _step(what: str, lang: str) -> str:
    say = saying(lang)
    if match := _EPOCH.match(what):
        return say("console.training.step.epoch", epoch=match[1], epochs=match[2])
    if match := _RANKER.match(what):
        return say("console.training.step.ranker", task=say(f"console.training.task.{match[1]}"))
    for word in ("fitting", "measuring"):
        if what.startswith(word + " "):
            return say(f"console.training.step.{word}", model=model_name(what.removeprefix(word + " "), lang))
    name, colon, _ = what.partition(": ")
    if colon and f"model:{name}" in WORDS[lang]:
        return say("console.training.step.fitting", model=model_name(name, lang))
    if "neighbours of" in what:
        return say("console.training.step.fitting", model=model_name("item-knn", lang))
    for begin, step in _STEPS.items():
        if what.startswith(begin):
            return say(f"console.training.step.{step}")
    return what or say("console.training.step.begin")


def _live(fits: Sequence[Fit], lang: str) -> tuple[Chart, ...]:
    say = saying(lang)
    charts = []
    for key, title in (("ndcg", "validation"), ("loss", "loss")):
        series = []
        for place, fit in enumerate(fits[:COMPARED]):
            points = sorted(getattr(fit, key).items())
            if points:
                name = say("console.training.fit_first" if place == 0 else "console.training.fit_again", n=place + 1)
                thin = points[:: max(1, math.ceil(len(points) / _POINTS))]
                series.append(Line(name=name, letter=LETTERS[place], points=[*thin, points[-1]]))
        if series:
            charts.append(
                lines(
                    series,
                    title=WORDS[lang][title],
                    description=say(f"console.training.{key}_about"),
                    x_name=WORDS[lang]["epoch"],
                    number=figure,
                    x_text=lambda x: f"{x:.1f}".removesuffix(".0"),
                )
            )
    return tuple(charts)


def compare_page(shop: Shop, versions: Sequence[str], lang: str) -> ComparePage:
    """Raises Refused for a version that is not there."""
    say = saying(lang)
    entries = {entry["version"]: entry for entry in shop.bundles()}
    wanted = list(dict.fromkeys(versions))[:COMPARED]
    if unknown := [version for version in wanted if version not in entries]:
        raise Refused(404, "not_found", f"no bundle is called {unknown[0][:60]!r}")
    named, measured, unmeasured, curves = [], [], [], []
    for letter, version in zip(LETTERS, wanted, strict=False):
        evaluation = evaluation_of(entries[version])
        days = ""
        if evaluation is not None and evaluation.tables:
            facts = evaluation.facts
            days = f"{datetime.fromtimestamp(facts.cutoff, UTC):%Y-%m-%d} + {facts.days}"
            measured.append((f"{letter} {version}", evaluation))
        else:
            unmeasured.append(version)
        named.append((letter, bundle_row(shop, entries[version]), days))
        curves.append((version, entries[version]["metrics"].get("network", ())))
    top = max((r.metrics[MAIN].high for _, one in measured for r in one.tables[0].rows), default=0.0)
    return ComparePage(
        bundles=tuple(named),
        grid=bundles_grid(measured, lang, say("console.compare.metrics")) if measured else None,
        contests=tuple(table_chart(one.tables[0], lang, name, top=top) for name, one in measured),
        curves=curve_charts(curves, lang),
        unmeasured=tuple(unmeasured),
    )


def mount(app: FastAPI, service: Service) -> None:
    """Add the pages to the app."""
    pages = Pages(service)
    for method, path, handler in (
        ("GET", "/console/training", pages.training),
        ("POST", "/console/training", pages.start),
        ("GET", "/console/training/jobs/{job}", pages.job),
        ("GET", "/console/training/jobs/{job}/progress", pages.progress),
        ("POST", "/console/training/jobs/{job}/cancel", pages.cancel),
        ("GET", "/console/training/compare", pages.compare),
        ("POST", "/console/training/use", pages.use),
        ("POST", "/console/training/rollback", pages.rollback),
    ):
        app.add_api_route(path, handler, methods=[method], include_in_schema=False)


class Pages:
    """The handlers over one service."""

    def __init__(self, service: Service) -> None:
        self._shop = service.shop
        self._jobs = service.jobs

    async def training(self, request: Request) -> Response:
        require(request)
        done, undo = request.query_params.get("done", ""), request.query_params.get("undo", "")
        return await self._page(request, done=done if done in ("used", "back") else "", undo=undo[:60])

    async def start(self, request: Request) -> Response:
        _, given = await submitted(request)
        form = {name: str(given.get(name, ""))[:20] for name in FORM}
        try:
            arguments = chosen(self._shop.settings, form)
        except ValueError as error:
            return await self._page(request, status=422, form=form, wrong=str(error))
        job = await asyncio.to_thread(self._started, arguments)
        return _to(f"/console/training/jobs/{job.id}")

    def _started(self, arguments: dict[str, str]) -> Job:
        """The training under way, else a new one: two at once would only make both slow."""
        for job in self._jobs.list():
            if job.kind == KIND and job.state == "running":
                return job
        return self._jobs.start(KIND, arguments)

    async def job(self, request: Request) -> Response:
        require(request)
        job = self._job(request)
        return render(await asyncio.to_thread(job_page, job, language(request)), request)

    async def progress(self, request: Request) -> Response:
        """A fragment; once it has ended the browser loads the whole page."""
        require(request)
        job = self._job(request)
        if job.state != "running":
            return Response(headers={"hx-refresh": "true"})
        return render(await asyncio.to_thread(job_page, job, language(request), JobProgress), request)

    async def cancel(self, request: Request) -> Response:
        await submitted(request)
        job = self._job(request)
        await asyncio.to_thread(self._jobs.cancel, job.id)
        return _to(f"/console/training/jobs/{job.id}")

    async def compare(self, request: Request) -> Response:
        require(request)
        versions = request.query_params.getlist("version")
        return render(await asyncio.to_thread(compare_page, self._shop, versions, language(request)), request)

    async def use(self, request: Request) -> Response:
        _, form = await submitted(request)
        return await self._switch(request, "used", str(form.get("version", "")))

    async def rollback(self, request: Request) -> Response:
        await submitted(request)
        return await self._switch(request, "back", "")

    async def _switch(self, request: Request, done: str, version: str) -> Response:
        """Let another bundle serve; this process follows by itself within a moment, as every other does."""
        before = next((one["version"] for one in self._shop.bundles() if one["current"]), "")
        try:
            if done == "back":
                await asyncio.to_thread(self._shop.rollback)
            else:
                await asyncio.to_thread(self._shop.use_bundle, version)
        except BundleError as error:
            return await self._page(request, status=409, failed=str(error))
        return _to("/console/training", done=done, undo=before)

    async def _page(self, request: Request, *, status: int = 200, **said: Any) -> Response:
        page = await asyncio.to_thread(lambda: training_page(self._shop, self._jobs, **said))
        return render(page, request, status=status)

    def _job(self, request: Request) -> Job:
        job = self._jobs.get(request.path_params["job"])
        if job is None or job.kind != KIND:
            raise Refused(404, "not_found", "there is no such training")
        return job


def _to(path: str, **said: str) -> RedirectResponse:
    return RedirectResponse(quote(path) + (f"?{urlencode(said)}" if said else ""), status_code=303)
