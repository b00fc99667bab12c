"""The overview: how busy the shop is, how fast and how well it answers, how fresh its model, how good its data.

What moves is a fragment of its own: part of the page when it is loaded, then sent again by server-sent events for as
long as somebody looks, which is bounded, and ends with their session.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from shelfwise.serve.ending import ending
from shelfwise.serve.metrics import Answers
from shelfwise.serve.pulse import STEP, STEPS, Reading, Step
from shelfwise.serve.web.chart import Chart, Line, lines
from shelfwise.serve.web.console.condition import Condition, Model, Quality
from shelfwise.serve.web.console.guard import require, signed_still
from shelfwise.serve.web.console.measures import LETTERS, Say, saying
from shelfwise.serve.web.render import language, render
from shelfwise.serve.wire import Refused

if TYPE_CHECKING:
    from shelfwise.serve.service import Service

PUSH = 2.0  # seconds between two looks at what has changed
QUIET = 15.0  # seconds without a word after which one is sent, so that nothing between takes the stream for dead
STREAMS = 16  # open at once in a worker, far from what it may hold
SHARES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteRow:
    """One route's answers; shares: times within which SHARES of them were given, as text."""

    route: str
    count: int
    shares: tuple[str, ...]
    refused: int
    failed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LivePart:
    """What moves. events, requests: of the last minute. answered, shares, refused, failed, routes: of the last
    `minutes`. total: events of the record; since: those that arrived since the model was learned, None when unknown."""

    template: ClassVar[str] = "console/overview_live.html"
    section: ClassVar[str] = "overview"
    events: int
    requests: int
    minutes: int
    answered: int
    shares: tuple[str, ...]
    refused: int
    failed: int
    charts: tuple[Chart, ...]
    routes: tuple[RouteRow, ...]
    total: int
    since: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OverviewPage:
    """step: what the shop needs next, products, events or model, "" for nothing. address, product, keys: for the
    example of an event: where to send it, of which product, and whether that takes a key."""

    template: ClassVar[str] = "console/overview.html"
    section: ClassVar[str] = "overview"
    live: LivePart
    model: Model | None
    quality: Quality
    step: str
    address: str
    product: str
    keys: bool


def mount(app: FastAPI, service: Service) -> None:
    """Add the page and its stream to the app."""
    pages = Pages(service)
    app.add_api_route("/console", pages.overview, methods=["GET"], include_in_schema=False)
    app.add_api_route("/console/live", pages.live, methods=["GET"], include_in_schema=False)


class Pages:
    """The handlers over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._shop = service.shop
        self._streams = 0
        self._made: dict[str, tuple[float, str]] = {}
        self._condition = Condition(service.shop, service.jobs)

    async def overview(self, request: Request) -> Response:
        require(request)
        prefix = request.scope["state"]["prefix"]
        address = f"{request.url.scheme}://{request.headers.get('host', 'localhost')}{prefix}"
        return render(await asyncio.to_thread(self._page, language(request), address), request)

    async def live(self, request: Request) -> Response:
        """The part that moves, sent whenever it has changed. Raises Refused when too many look already."""
        require(request, seen=False)
        if self._streams >= STREAMS:
            raise Refused(429, "busy", "many look at this page already; reload it", headers={"retry-after": "30"})
        return Stream(self._sent(request), media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def _sent(self, request: Request) -> AsyncIterator[str]:
        self._streams += 1
        try:
            yield "retry: 5000\n\n"
            last, spoke = "", time.monotonic()
            while not ending():
                part = await asyncio.to_thread(self._part, request)
                if part is None:
                    yield "event: end\ndata: \n\n"
                    return
                if part != last:
                    last, spoke = part, time.monotonic()
                    yield "".join(f"data: {line}\n" for line in part.splitlines()) + "\n"
                elif time.monotonic() - spoke > QUIET:
                    spoke = time.monotonic()
                    yield ":\n\n"
                await asyncio.sleep(PUSH)
        finally:
            self._streams -= 1

    def _part(self, request: Request) -> str | None:
        """The part that moves as HTML, made once for all who read the same language; None once the session is over."""
        if not signed_still(request):
            return None
        lang, moment = language(request), time.monotonic()
        made, part = self._made.get(lang, (-math.inf, ""))
        if moment - made > PUSH / 2:
            part = bytes(render(self._live(lang), request).body).decode()
            self._made[lang] = (moment, part)
        return part

    def _page(self, lang: str, address: str) -> OverviewPage:
        live, model, quality = self._live(lang), self._condition.model(lang), self._condition.quality()
        step = "" if model else "model"
        step = step if live.total else "events"
        step = step if quality.products else "products"
        return OverviewPage(
            live=live,
            model=model,
            quality=quality,
            step=step,
            address=address,
            product=self._condition.example() if step == "events" else "",
            keys=bool(self._shop.keys.list()),
        )

    def _live(self, lang: str) -> LivePart:
        reading, say = self._service.pulse.read(), saying(lang)
        return LivePart(
            events=reading.events,
            requests=reading.requests,
            minutes=max(1, round(reading.seconds / 60)),
            answered=round(reading.answers.count),
            shares=shares(reading.answers),
            refused=round(reading.answers.refused),
            failed=round(reading.answers.failed),
            charts=_charts(reading, say),
            routes=tuple(
                RouteRow(
                    route=route,
                    count=round(one.count),
                    shares=shares(one),
                    refused=round(one.refused),
                    failed=round(one.failed),
                )
                for route, one in reading.routes
            ),
            total=self._shop.counts().events,
            since=self._condition.arrived_since(),
        )


class Stream(StreamingResponse):
    """What is sent for as long as its reader is there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI calls it
        reader = asyncio.create_task(self.listen_for_disconnect(receive))
        writer = asyncio.create_task(self.stream_response(send))
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if writer.done():
                with suppress(OSError):  # the reader went while something was sent
                    writer.result()
        finally:
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
            await cast(AsyncGenerator[str, None], self.body_iterator).aclose()


def shares(answers: Answers) -> tuple[str, ...]:
    """Times within which SHARES of them were given."""
    return tuple(took(answers.percentile(share)) for share in SHARES)


def took(seconds: float) -> str:
    """A time as it reads in both languages."""
    if math.isnan(seconds):
        return "–"
    if math.isinf(seconds):
        return "> 10 s"
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1_000:.1f} ms" if 0 < seconds < 0.01 else f"{seconds * 1_000:.0f} ms"


def _charts(reading: Reading, say: Say) -> tuple[Chart, ...]:
    """Events and requests a minute, then how long answers took; none of what did not happen."""
    steps = reading.steps

    def chart(name: str, series: list[Line], number: Callable[[float], str]) -> Chart:
        return lines(
            series,
            title=say(f"console.overview.{name}"),
            description=say(f"console.overview.{name}_about", minutes=f"{STEPS * STEP / 60:g}", seconds=f"{STEP:g}"),
            x_name=say("console.overview.when"),
            x_text=lambda x: say("console.overview.ago", minutes=f"{abs(x):g}"),
            number=number,
            from_zero=True,
            height=190,
        )

    def place(step: Step) -> float:
        return -math.floor(step.ago / STEP) * STEP / 60

    counted: dict[str, Callable[[Step], float]] = {
        "events": lambda step: step.events,
        "requests": lambda step: step.answers.count,
    }
    charts = []
    for name, count in counted.items():
        points = [(place(step), count(step) * 60 / step.seconds) for step in steps]
        if len(points) > 1 and any(y for _, y in points):
            charts.append(chart(name, [Line(name=say(f"console.overview.{name}"), points=points)], "{:,.0f}".format))
    if sum(step.answers.count > 0 for step in steps) > 1:
        charts.append(
            chart(
                "latency",
                [
                    Line(
                        name=f"p{share * 100:g}",
                        letter=letter,
                        points=[(place(step), step.answers.percentile(share)) for step in steps],
                    )
                    for letter, share in zip(LETTERS, SHARES, strict=False)
                ],
                took,
            )
        )
    return tuple(charts)
