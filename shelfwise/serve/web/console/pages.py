"""The routes of the console's data and search pages.

Reading runs on threads beside the event loop; what changes rules and synonyms goes through the one thread for changes,
which also makes this process follow at once. A form that was taken answers with a redirect, so that a reload asks again
instead of sending again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from shelfwise.errors import InvalidRecord, UnknownProduct
from shelfwise.intake.fields import SYNONYMS
from shelfwise.schema import MAX_ID, MAX_QUERY, MAX_TITLE, Synonym
from shelfwise.serve.imports import UPLOADS, remember, upload
from shelfwise.serve.jobs import Job
from shelfwise.serve.uploads import receive
from shelfwise.serve.web.console import catalogue, customer, data, desk, rules
from shelfwise.serve.web.console.guard import csrf_ok, require, submitted
from shelfwise.serve.web.render import language, render
from shelfwise.serve.wire import Refused

if TYPE_CHECKING:
    from shelfwise.serve.service import Service

_DONE = ("added", "ended", "undone", "forgotten")


def mount(app: FastAPI, service: Service) -> None:
    """Add the pages to the app."""
    pages = Pages(service)
    for method, path, handler in (
        ("GET", "/console/data", pages.data),
        ("POST", "/console/data/import", pages.take),
        ("GET", "/console/data/import/{job}", pages.shown),
        ("GET", "/console/data/import/{job}/progress", pages.progress),
        ("POST", "/console/data/import/{job}/load", pages.load),
        ("POST", "/console/data/import/{job}/columns", pages.columns),
        ("POST", "/console/data/import/{job}/discard", pages.discard),
        ("POST", "/console/data/import/{job}/cancel", pages.cancel),
        ("GET", "/console/products", pages.products),
        ("GET", "/console/products/{id:path}", pages.product),
        ("GET", "/console/search", pages.desk),
        ("GET", "/console/queries", pages.queries),
        ("GET", "/console/rules", pages.rules),
        ("POST", "/console/rules", pages.add_rule),
        ("POST", "/console/rules/end", pages.end_rule),
        ("POST", "/console/rules/undo", pages.undo_rule),
        ("GET", "/console/synonyms", pages.synonyms),
        ("POST", "/console/synonyms", pages.add_synonyms),
        ("POST", "/console/synonyms/end", pages.end_synonyms),
        ("POST", "/console/synonyms/undo", pages.undo_synonyms),
        ("GET", "/console/customers", pages.customers),
        ("POST", "/console/customers/forget", pages.forget),
    ):
        app.add_api_route(path, handler, methods=[method], include_in_schema=False)


class Pages:
    """The handlers over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._shop = service.shop
        self._jobs = service.jobs
        self._queries = desk.Queries(service.shop)

    # Data

    async def data(self, request: Request) -> Response:
        require(request)
        return render(await asyncio.to_thread(data.data_page, self._shop, self._jobs), request)

    async def take(self, request: Request) -> Response:
        require(request)

        def allowed(fields: dict[str, str]) -> None:
            if not csrf_ok(request, fields):
                raise Refused(403, "csrf", "the form is too old; load the page again")

        limit = self._shop.settings.upload_mb * 1_000_000
        try:
            got = await receive(request, self._shop.folder / UPLOADS, limit, allowed)
        except Refused as refused:
            page = await asyncio.to_thread(data.data_page, self._shop, self._jobs, refused.message)
            return render(page, request, status=refused.status)
        arguments = {"file": got.path.name, "name": got.name, "check": "yes"}
        job = await asyncio.to_thread(self._jobs.start, data.KIND, arguments)
        return _to(f"/console/data/import/{job.id}")

    async def shown(self, request: Request) -> Response:
        require(request)
        return render(await asyncio.to_thread(data.import_page, self._shop, self._job(request)), request)

    async def progress(self, request: Request) -> Response:
        """A fragment; once the import has ended the browser loads the whole page."""
        require(request)
        job = self._job(request)
        if job.state != "running":
            return Response(headers={"hx-refresh": "true"})
        return render(data.import_progress(job), request)

    async def load(self, request: Request) -> Response:
        await submitted(request)
        tried = self._job(request)
        if not data.there(self._shop, tried):
            return _to(f"/console/data/import/{tried.id}")
        arguments = {"file": tried.arguments["file"], "name": tried.arguments["name"], "check": ""}
        job = await asyncio.to_thread(self._jobs.start, data.KIND, arguments)
        return _to(f"/console/data/import/{job.id}")

    async def columns(self, request: Request) -> Response:
        """Remember which column is which field, and try the file again."""
        _, form = await submitted(request)
        tried = self._job(request)
        chosen = {field: str(form.get(field, "")) for field in (*SYNONYMS, "status")}
        await asyncio.to_thread(remember, self._shop, {field: name for field, name in chosen.items() if name})
        if not data.there(self._shop, tried):
            return _to(f"/console/data/import/{tried.id}")
        arguments = {"file": tried.arguments["file"], "name": tried.arguments["name"], "check": "yes"}
        job = await asyncio.to_thread(self._jobs.start, data.KIND, arguments)
        return _to(f"/console/data/import/{job.id}")

    async def discard(self, request: Request) -> Response:
        await submitted(request)
        upload(self._shop, self._job(request).arguments["file"]).unlink(missing_ok=True)
        return _to("/console/data")

    async def cancel(self, request: Request) -> Response:
        await submitted(request)
        job = self._job(request)
        await asyncio.to_thread(self._jobs.cancel, job.id)
        return _to(f"/console/data/import/{job.id}")

    def _job(self, request: Request) -> Job:
        job = self._jobs.get(request.path_params["job"])
        if job is None or job.kind != data.KIND:
            raise Refused(404, "not_found", "there is no such import")
        return job

    # Catalogue

    async def products(self, request: Request) -> Response:
        require(request)
        options = {
            "query": _given(request, "q", MAX_QUERY),
            "show": _given(request, "show", 20) or "all",
            "category": _given(request, "category", MAX_TITLE),
            "after": request.query_params.get("after", ""),
        }
        return render(await asyncio.to_thread(lambda: catalogue.products_page(self._shop, **options)), request)

    async def product(self, request: Request) -> Response:
        require(request)
        try:
            page = await asyncio.to_thread(
                catalogue.product_page, self._shop, request.path_params["id"], language(request)
            )
        except UnknownProduct as error:
            raise Refused(404, "unknown_product", str(error)) from None
        return render(page, request)

    # Search

    async def desk(self, request: Request) -> Response:
        require(request)
        options = {
            "query": _given(request, "q", MAX_QUERY),
            "category": _given(request, "category", MAX_TITLE),
            "customer": _given(request, "customer", MAX_ID),
        }
        return render(await asyncio.to_thread(lambda: desk.desk_page(self._shop, **options)), request)

    async def queries(self, request: Request) -> Response:
        require(request)
        days = _given(request, "days", 4)
        page = await asyncio.to_thread(self._queries.page, int(days) if days.isdecimal() else 30)
        return render(page, request)

    # Rules

    async def rules(self, request: Request) -> Response:
        require(request)
        form = {name: _given(request, name, 1_000) for name in rules.FORM if name in request.query_params}
        return await self._rules_page(request, form=form, done=_done(request))

    async def add_rule(self, request: Request) -> Response:
        signed, form = await submitted(request)
        fields = {name: str(form.get(name, "")) for name in rules.FORM}
        try:
            rule = await asyncio.to_thread(rules.rule_of, self._shop, fields)
            await self._changed(self._shop.store.put_rules, [rule], signed.account)
        except InvalidRecord as error:
            return await self._rules_page(request, form=fields, wrong=(error.field, error.problem), status=422)
        return _to("/console/rules", done="added")

    async def end_rule(self, request: Request) -> Response:
        signed, form = await submitted(request)
        await self._changed(self._shop.store.delete_rule, str(form.get("id", "")), signed.account)
        return _to("/console/rules", done="ended")

    async def undo_rule(self, request: Request) -> Response:
        try:
            await self._undo(request)
        except InvalidRecord as error:
            return await self._rules_page(request, wrong=(error.field, error.problem), status=409)
        return _to("/console/rules", done="undone")

    async def _rules_page(self, request: Request, *, status: int = 200, **said: Any) -> Response:
        return render(await asyncio.to_thread(lambda: rules.rules_page(self._shop, **said)), request, status=status)

    # Synonyms

    async def synonyms(self, request: Request) -> Response:
        require(request)
        return await self._synonyms_page(request, line=_given(request, "line", 1_000), done=_done(request))

    async def add_synonyms(self, request: Request) -> Response:
        signed, form = await submitted(request)
        line = str(form.get("line", ""))[:10_000]
        try:
            await self._changed(self._shop.store.put_synonyms, [Synonym.parse(line)], signed.account)
        except InvalidRecord as error:
            return await self._synonyms_page(request, line=line, wrong=error.problem, status=422)
        return _to("/console/synonyms", done="added")

    async def end_synonyms(self, request: Request) -> Response:
        signed, form = await submitted(request)
        await self._changed(self._shop.store.delete_synonym, str(form.get("id", "")), signed.account)
        return _to("/console/synonyms", done="ended")

    async def undo_synonyms(self, request: Request) -> Response:
        try:
            await self._undo(request)
        except InvalidRecord as error:
            return await self._synonyms_page(request, wrong=error.problem, status=409)
        return _to("/console/synonyms", done="undone")

    async def _synonyms_page(self, request: Request, *, status: int = 200, **said: Any) -> Response:
        page = await asyncio.to_thread(lambda: rules.synonyms_page(self._shop, **said))
        return render(page, request, status=status)

    # Customers

    async def customers(self, request: Request) -> Response:
        require(request)
        options = {
            "id": _given(request, "id", MAX_ID),
            "kind": _given(request, "kind", 10),
            "language": language(request),
        }
        new = request.query_params.get("new") == "1"
        page = await asyncio.to_thread(
            lambda: customer.customer_page(self._shop, **options, new=new, done=_done(request))
        )
        return render(page, request)

    async def forget(self, request: Request) -> Response:
        _, form = await submitted(request)
        id = str(form.get("id", ""))
        if not id or str(form.get("typed", "")).strip() != id.strip():
            page = await asyncio.to_thread(
                lambda: customer.customer_page(self._shop, id=id, wrong="typed", language=language(request))
            )
            return render(page, request, status=422)
        await self._changed(self._shop.store.forget, id)
        return _to("/console/customers", done="forgotten")

    # Forms

    async def _undo(self, request: Request) -> None:
        signed, form = await submitted(request)
        number = str(form.get("number", ""))
        if not (number.isascii() and number.isdecimal() and len(number) <= 15):
            raise InvalidRecord("number", "must be the number of a change")
        await self._changed(self._shop.store.undo, int(number), signed.account)

    async def _changed(self, write: Callable[..., Any], *arguments: Any) -> None:
        """Write, and follow at once, so that the page that comes next shows it."""

        def work() -> None:
            write(*arguments)
            self._shop.refresh()

        await self._service.beside(work)


def _given(request: Request, name: str, limit: int) -> str:
    """A parameter of the address, printable and cut to what can matter."""
    text = request.query_params.get(name, "")[:limit]
    return "".join(c for c in text if c.isprintable() or c == "\n").strip()


def _done(request: Request) -> str:
    said = request.query_params.get("done", "")
    return said if said in _DONE else ""


def _to(path: str, **said: str) -> RedirectResponse:
    query: Mapping[str, str] = said
    return RedirectResponse(quote(path) + (f"?{urlencode(query)}" if query else ""), status_code=303)
