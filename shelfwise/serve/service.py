"""What the HTTP API answers with: the handlers over one shop, and what lives as long as the server does.

The engine answers inside the event loop: an answer takes a millisecond or so, and handing it to a thread and
back would cost more than it saves. What takes longer (encoding a new product, loading a new bundle, following
other processes) runs on one thread beside it, one at a time. Events are acknowledged once they are on disk.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

import shelfwise
from shelfwise.engine.request import Answer
from shelfwise.errors import BundleError, ShelfwiseError
from shelfwise.running import WORKER, Running, alone, killed
from shelfwise.schema import Status
from shelfwise.search.request import SearchAnswer
from shelfwise.serve.gate import Access, is_loopback, read_body
from shelfwise.serve.jobs import Jobs
from shelfwise.serve.metrics import CONTENT_TYPE, Metrics
from shelfwise.serve.proxy import Front
from shelfwise.serve.pulse import Pulse
from shelfwise.serve.readiness import Check, Readiness, degraded, ready
from shelfwise.serve.search import Search
from shelfwise.serve.wire import (
    QUESTION,
    SIMILAR,
    Given,
    Refused,
    filters_of,
    invalid,
    parse_batch,
    parse_fields,
    parse_given,
    parse_json,
    success,
)
from shelfwise.shop import Shop
from shelfwise.store import EventWriter
from shelfwise.trust.keys import KeyRing, Scope

MAX_QUESTION = 64 * 1024  # bytes of a question
MAX_BATCH = 4 * 1024 * 1024  # bytes of events or products at once
MAX_EVENTS_WAITING = 20_000  # in the queue of the record
FOLLOW_SECONDS = 0.2  # how often other processes' products and bundles are looked for
FOLLOW_MOST = 256  # products encoded before other catalogue changes have their turn
RETRY_SECONDS = 5.0  # the longest wait before what failed is tried again
MAX_WAITING = 16  # catalogue changes that may wait for the one thread
JSON_TYPE = "application/json"
log = logging.getLogger("shelfwise.serve")
T = TypeVar("T")


class Service:
    """The handlers over one shop, and what lives as long as the server does."""

    def __init__(self, shop: Shop, *, own: bool) -> None:
        self.shop = shop
        self._own = own
        self.metrics = Metrics()
        self.pulse = Pulse(self.metrics)
        self.jobs = Jobs(shop.folder)
        settings = shop.settings
        front = Front(trusted=settings.trusted_proxies, prefix=settings.root_path, origins=settings.cors_origins)
        self.access = Access(KeyRing(shop.folder), loopback=is_loopback(settings.host), front=front)
        self._search = Search(shop, self.access, self.metrics)
        self._writer: EventWriter | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._readiness = Readiness(shop)
        self._running: Running | None = None
        self._failures = 0  # of following, one after the other
        self._following = ""  # what keeps this worker from following

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shelfwise-catalogue")
        self._writer = EventWriter(self.shop.store)
        trace = ExitStack()
        if self._own:
            for left in killed(self.shop.folder, forget=True):
                log.warning("%s.", left)
            with suppress(ShelfwiseError):  # a folder that cannot be written is told by the health
                self._running, _before = trace.enter_context(alone(self.shop.folder, f"{WORKER}{os.getpid()}"))
        await self._refreshed()
        tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self.pulse.run())]
        if self._own:
            # What is loaded so far leaves the garbage collector's sight: a pass over a large catalogue's objects
            # would hold answers up for tens of milliseconds.
            gc.collect()
            gc.freeze()
            gc.set_threshold(2_000, 20, 100)  # full passes, over all caches, are the ones that hold answers up
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._writer.close()
            self._search.close()
            self._thread.shutdown(wait=True)
            self.metrics.stopped()
            self._readiness.close()
            trace.close()
            if self._own:
                self.shop.close()

    async def recommend(self, request: Request) -> Response:
        self.access.admit(request, Scope.READ)
        self._ready()
        values = parse_fields(parse_json(await read_body(request, MAX_QUESTION)), QUESTION)
        seeds = values.get("seeds", ())
        await self._met(seeds)
        answer = self.shop.recommend(
            customer=values.get("customer", ""),
            session=values.get("session", ""),
            surface=values.get("surface", "home"),
            seeds=tuple(seeds),
            k=values.get("k", 12),
            filters=filters_of(values),
            exclude_purchased=values.get("exclude_purchased", False),
            language=values.get("language", ""),
        )
        return answered(request, answer)

    async def similar(self, request: Request) -> Response:
        self.access.admit(request, Scope.READ)
        self._ready()
        values = parse_fields(parse_json(await read_body(request, MAX_QUESTION)), SIMILAR)
        await self._met([values["product"]])
        answer = self.shop.similar(
            values["product"], k=values.get("k", 12), filters=filters_of(values), language=values.get("language", "")
        )
        return answered(request, answer)

    async def search(self, request: Request) -> Response:
        assert self._writer is not None, "the app's lifespan has not begun"
        return answered(request, await self._search.search(request, self._writer))

    async def search_image(self, request: Request) -> Response:
        return answered(request, await self._search.image(request))

    async def suggest(self, request: Request) -> Response:
        return done(request, **await self._search.suggest(request))

    async def events(self, request: Request) -> Response:
        self.access.admit(request, Scope.INGEST)
        batch = parse_batch(await read_body(request, MAX_BATCH))
        unknown: dict[int, Refused] = {}
        for index, event in zip(batch.places, batch.events, strict=True):
            if event.product and not self.shop.knows(event.product):
                where = f"{batch.where(index)}.product" if batch.where(index) else "product"
                problem = f"no product has the id {event.product!r}; PUT it to /v1/products first"
                unknown[index] = invalid(where, problem)
        batch = batch.without(unknown)
        assert self._writer is not None, "the app's lifespan has not begun"
        appended = await self._writer.append(batch.events)
        self.metrics.ingested(appended.accepted, appended.duplicates)
        refused = [
            {"index": index, "code": error.code, "message": error.message, "field": error.field}
            for index, error in batch.refused.items()
        ]
        return done(
            request,
            accepted=appended.accepted,
            duplicates=appended.duplicates,
            ids=[event.id for event in batch.events],
            **({"refused": refused} if batch.skips else {}),
            **({"nobody": batch.nobody} if batch.nobody else {}),
        )

    async def put_products(self, request: Request) -> Response:
        self.access.admit(request, Scope.INGEST)
        given = parse_given(await read_body(request, MAX_BATCH))
        may_empty = request.query_params.get("empty", "").lower() in ("true", "1", "yes")
        stored = await self.beside(self._put, given, may_empty)
        return done(request, stored=stored)

    def _put(self, given: Sequence[Given], may_empty: bool) -> int:
        known = self.shop.store.products(one.product.id for one in given)
        products = []
        for one in given:
            product, before = one.product, known.get(one.product.id)
            if before is not None and before.title and not product.title and not may_empty:
                raise invalid(
                    f"{one.where}.title" if one.where else "title",
                    f"is missing: {product.id!r} is known as {before.title[:60]!r}, and this PUT would empty its "
                    f"{', '.join(one.emptied(before))}. PATCH /v1/products changes only what is given; "
                    "PUT /v1/products?empty=true replaces all the same",
                )
            if before is not None and "status" not in one.fields and before.status is not Status.RETIRED:
                product = replace(product, status=before.status)  # what was hidden is not shown by a new price
            products.append(product)
        return self.shop.put_products(products)

    async def patch_products(self, request: Request) -> Response:
        self.access.admit(request, Scope.INGEST)
        stored = await self.beside(self._patch, parse_given(await read_body(request, MAX_BATCH)))
        return done(request, stored=stored)

    def _patch(self, given: Sequence[Given]) -> int:
        known = self.shop.store.products(one.product.id for one in given)
        for one in given:
            if one.product.id not in known:
                where = f"{one.where}.id" if one.where else "id"
                unknown = f"no product has the id {one.product.id!r}; PUT it to /v1/products first"
                raise Refused(404, "unknown_product", f"{where}: {unknown}", where)
        return self.shop.put_products([one.merged(known[one.product.id]) for one in given])

    async def delete_product(self, request: Request) -> Response:
        self.access.admit(request, Scope.INGEST)
        id = request.path_params["id"]
        if not await self.beside(self.shop.delete_product, id):
            raise Refused(404, "unknown_product", f"no product has the id {id!r}", "id")
        return done(request, deleted=id)

    async def health(self, request: Request) -> Response:
        wrong = degraded(self._seen())
        try:
            products = self.shop.product_count
        except ShelfwiseError:  # an unreachable record: the server lives all the same
            products, wrong = None, [*wrong, "record"]
        return done(
            request,
            status="degraded" if wrong else "ok",
            version=shelfwise.__version__,
            bundle=self.shop.bundle_version,
            products=products,
            degraded=sorted(set(wrong)),
        )

    async def ready(self, request: Request) -> Response:
        checks = await self._readiness.probed(self._seen())
        good, wrong = ready(checks), degraded(checks)
        state = {
            name: {"ok": check.well, "message": "" if check.well else check.message} for name, check in checks.items()
        }
        status = "not_ready" if not good else "degraded" if wrong else "ready"
        if good:
            return done(request, status=status, checks=state)
        request_id = request.scope["state"]["request_id"]
        error = {"code": "not_ready", "message": next(c.message for c in checks.values() if c.needed and not c.well)}
        content = {"request_id": request_id, "status": status, "checks": state, "error": {**error, "field": None}}
        return Response(orjson.dumps(content), 503, {"retry-after": "5"}, media_type=JSON_TYPE)

    def _seen(self) -> dict[str, Check]:
        writer = self._writer
        return self._readiness.seen(
            following=self._following,
            recording="" if writer is None else writer.problem,
            waiting=0 if writer is None else writer.waiting,
            most=MAX_EVENTS_WAITING,
        )

    async def measured(self, request: Request) -> Response:
        self.access.admit(request, Scope.ADMIN)
        self.metrics.catalogue(self.shop.product_count)
        return Response(await asyncio.to_thread(self.metrics.text), headers={"content-type": CONTENT_TYPE})

    def _ready(self) -> None:
        """Loading the first bundle is the follower's work, not a request's."""
        if not self.shop.answers:
            raise BundleError("there are no products yet; load some (PUT /v1/products), and the answers begin")

    async def _met(self, products: Sequence[str]) -> None:
        """Follow the record first where it has a product that this worker does not know yet."""
        if self.shop.behind(products):
            try:
                await self.beside(self.shop.refresh, 0)
            except (Refused, ShelfwiseError):
                log.info("products just stored are not known here yet; the answer is given without them")

    async def beside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run a catalogue change on the one thread beside the event loop."""
        if self._waiting >= MAX_WAITING:
            raise Refused(429, "busy", "many catalogue changes wait already; try again", headers={"retry-after": "1"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        finally:
            self._waiting -= 1

    def _refresh(self) -> bool:
        """What takes long is opened here, not in a request: bundle and word index. Whether there is more to do."""
        try:
            self.shop.campaigns.refresh()
            return self.shop.follow(FOLLOW_MOST)
        finally:
            _ = self.shop.searching

    async def _follow(self) -> None:
        """See what other processes change: products and bundles. What fails is tried again; the old keeps serving."""
        more = False
        while True:
            wait = min(FOLLOW_SECONDS * 2**self._failures, RETRY_SECONDS)
            await asyncio.sleep(0.001 if more and not self._failures else wait)
            more = await self._refreshed()

    async def _refreshed(self) -> bool:
        """Follow once; whether there is more to do. A failure is logged once, counted, and part of the health."""
        try:
            more = await asyncio.get_running_loop().run_in_executor(self._thread, self._refresh)
        except Exception as error:  # the task's edge: whatever fails, this worker goes on following
            problem = str(error) or type(error).__name__
            if problem != self._following:
                expected = isinstance(error, ShelfwiseError)
                log.error("the catalogue and bundle in use stay: %s", problem, exc_info=None if expected else error)
            self._failures, self._following = self._failures + 1, problem
            self.metrics.not_followed()
            return False
        if self._running is not None:
            self._running.note("serving")
        if self._following:
            log.info("the catalogue and bundle in use are followed again")
        self._failures, self._following = 0, ""
        return more


def answered(request: Request, answer: Answer | SearchAnswer) -> Response:
    request.scope["state"]["request_id"] = answer.request_id
    return Response(orjson.dumps(answer.to_json()), media_type=JSON_TYPE)


def done(request: Request, **content: Any) -> Response:
    return Response(success(request.scope["state"]["request_id"], **content), media_type=JSON_TYPE)
