"""The faces of a shop in a browser: pages made on the server, styles and scripts from this server alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from shelfwise.errors import ShelfwiseError
from shelfwise.serve.gate import as_refused
from shelfwise.serve.web import console, images, window
from shelfwise.serve.web.render import STATIC, render
from shelfwise.serve.wire import Refused

if TYPE_CHECKING:
    from shelfwise.serve.service import Service

FOREVER = "public, max-age=31536000, immutable"  # an address changes with its content
_PROGRAMS = ("/v1/", "/metrics", "/docs", "/openapi.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedPage:
    """What cannot be shown, and why."""

    template: ClassVar[str] = "failed.html"
    status: int
    message: str
    home: str  # where to go on


def mount(app: FastAPI, service: Service) -> None:
    """Add every page to the app."""
    app.add_api_route("/static/{name:path}", _static, methods=["GET", "HEAD"], include_in_schema=False)
    for kind in (Refused, HTTPException, ShelfwiseError):
        app.add_exception_handler(kind, _explained(app.exception_handlers.get(kind)))
    images.mount(app, service)
    window.mount(app, service)
    console.mount(app, service)


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    path = next(
        (path for path in STATIC.rglob("*") if path.is_file() and path.relative_to(STATIC).as_posix() == name), None
    )
    if path is None:
        raise Refused(404, "not_found", "there is no such file")
    return FileResponse(path, headers={"cache-control": FOREVER})


def _explained(
    before: Callable[[Request, Exception], Awaitable[Response] | Response] | None,
) -> Callable[[Request, Exception], Awaitable[Response]]:
    """A page for people, `before` (or the gate) for programs."""

    async def explained(request: Request, error: Exception) -> Response:
        people = "text/html" in request.headers.get("accept", "") or request.url.path.startswith("/console")
        if request.url.path.startswith(_PROGRAMS) or not people:
            if before is None:
                raise error
            answer = before(request, error)
            return answer if isinstance(answer, Response) else await answer
        refused = as_refused(error)
        home = "/console" if request.url.path.startswith("/console") else "/"
        failed = FailedPage(status=refused.status, message=refused.message, home=home)
        page = render(failed, request, refused.status)
        page.headers.update(refused.headers)
        return page

    return explained
