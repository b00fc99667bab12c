"""What stands before every route: request ids, who may come in, one error shape, metrics, bounded bodies.

A plain ASGI middleware, so that a request costs it microseconds. Whatever goes wrong inside becomes the one
error shape; an unexpected exception is logged with the request's id and told as a 500 that carries it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from shelfwise.errors import (
    BundleError,
    Forbidden,
    InvalidRecord,
    InvalidRequest,
    NotEnoughData,
    ShelfwiseError,
    StoreError,
    UnknownProduct,
)
from shelfwise.serve.metrics import Metrics
from shelfwise.serve.proxy import Front, Owners
from shelfwise.serve.wire import Refused, failure
from shelfwise.trust.keys import KeyRing, Scope

BODY_SECONDS = 30.0  # a body that takes longer to arrive is given up
#: Routes that end in an id: what metrics name them.
_WITH_ID = {
    **{"/v1/products/": "{id}", "/v1/rules/": "{id}", "/v1/synonyms/": "{id}", "/v1/audit/": "{number}/undo"},
    **{"/product/": "{id}", "/images/": "{id}", "/static/": "{file}", "/docs/": "{file}", "/console/": "{page}"},
}
_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")  # lasts as long as somebody looks
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
_CODES = {404: "not_found", 405: "method_not_allowed"}
log = logging.getLogger("shelfwise.serve")


class Access:
    """Who may do what. With keys in the shop, a request needs one; without, only this machine's own programs pass.

    loopback: the server listens on this machine only. Raises Refused: 401 without a known key, 403 otherwise.
    """

    def __init__(self, ring: KeyRing, *, loopback: bool, front: Front | None = None) -> None:
        self._ring = ring
        self._loopback = loopback
        self.front = front or Front()
        self._owners = Owners()

    def guard(self, connection: Connection) -> None:
        """Without keys, pages of other sites open in a browser of this machine must not get in: their requests
        carry another Host (DNS rebinding), an Origin, or what the browser says of where they come from. And nobody
        through a proxy: it says so in a header, speaks HTTP/1.0 as nginx does by itself, or is another user's."""
        if self._ring.list():
            return
        if not self._loopback:
            raise Refused(401, "no_key", "this shop has no keys, so it lets nobody in; run `shelfwise keys create`")
        if connection["state"].get("forwarded") or self._owners.stranger(connection.get("client")):
            raise Refused(
                403,
                "proxied",
                "this shop has no keys, so only programs of the user who runs it may ask, and this came through a "
                "proxy or from another user: make keys (`shelfwise keys create`), name it in trusted_proxies",
            )
        headers = dict(connection["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if not is_loopback(_host_name(host)):
            raise Refused(
                403, "foreign_host", "without keys the server answers only to localhost; make a key to open it"
            )
        if connection["method"] in ("GET", "HEAD"):
            return
        origin = headers.get(b"origin")
        if self.front.names(connection):
            return
        foreign = origin is not None and origin.decode("latin-1") != f"{connection['scheme']}://{host}"
        if foreign or headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            raise Refused(403, "foreign_origin", "pages of other sites may not send to a server without keys")

    def admit(self, request: Request, scope: Scope) -> str:
        """Let a request pass whose key has `scope`; the key's name, "local" without keys,
        where `guard` has decided already."""
        if not self._ring.list():
            return "local"
        secret = request.headers.get("x-api-key", "")
        if not secret:
            kind, _, rest = request.headers.get("authorization", "").partition(" ")
            secret = rest.strip() if kind.lower() == "bearer" else ""
        try:
            return self._ring.check(secret, scope).name
        except Forbidden as error:
            if self._ring.find(secret) is not None:
                raise Refused(403, "scope", str(error)) from None
            raise Refused(401, "no_key", str(error), headers={"www-authenticate": "Bearer"}) from None


class Gate:
    """The middleware. `routes` are the paths that metrics name; any other is counted as "other"."""

    def __init__(self, app: ASGIApp, *, access: Access, metrics: Metrics, routes: frozenset[str]) -> None:
        self._app = app
        self._access = access
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        state = scope.setdefault("state", {})
        state["request_id"] = secrets.token_hex(8)
        front = self._access.front
        front.enter(scope)
        status, took = 0, -1.0

        async def answer(message: Message) -> None:
            nonlocal status, took
            if message["type"] == "http.response.start":
                status = message["status"]
                if _STREAM in message["headers"]:
                    took = time.perf_counter() - begun
                said = {name for name, _ in message["headers"]}
                added = [(b"x-request-id", state["request_id"].encode()), *_HEADERS]
                message["headers"] = [*message["headers"], *(pair for pair in added if pair[0] not in said)]
                front.leave(scope, message)
            await send(message)

        try:
            self._access.guard(scope)
            if (allowed := front.preflight(scope)) is not None:
                await answer({"type": "http.response.start", "status": 204, "headers": allowed})
                await answer({"type": "http.response.body", "body": b""})
                return
            await self._app(scope, receive, answer)
        except Exception as error:  # the edge of the process: nothing may leave as a traceback
            refused = as_refused(error)
            if refused.status >= 500:
                trace = None if isinstance(error, ShelfwiseError) else error  # what has a name needs none
                log.error("request %s failed: %s", state["request_id"], error, exc_info=trace)
            if status == 0:
                await tell(answer, state["request_id"], refused)
        finally:
            path = scope["path"]
            route = path if path in self._routes else _template(path)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.answered(route, method, status, time.perf_counter() - begun if took < 0 else took)


def _template(path: str) -> str:
    return next((start + rest for start, rest in _WITH_ID.items() if path.startswith(start)), "other")


async def read_body(request: Request, limit: int) -> bytes:
    """The request's JSON body, at most `limit` bytes, never reading more. Raises Refused (400, 408, 413, 415)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(
            415,
            "content_type",
            f"send JSON with the header Content-Type: application/json, not {kind[:60] or 'none'!r}",
        )
    return await read_raw(request, limit)


async def read_raw(request: Request, limit: int) -> bytes:
    """The request's body, whatever its type, at most `limit` bytes. Raises Refused (400, 408, 413, 415)."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "content_encoding", "send the body as it is, without Content-Encoding")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    message = await request.receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        whole: bytes = message.get("body", b"")
        if len(whole) > limit:
            raise _too_large(limit)
        return whole
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _rest(request, message, limit)
    except TimeoutError:
        raise Refused(
            408, "timeout", f"the body took longer than {BODY_SECONDS:g} s to arrive", headers={"connection": "close"}
        ) from None


async def _rest(request: Request, message: Message, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await request.receive()
    raise Refused(400, "incomplete", "the connection ended before the whole body arrived")


def _too_large(limit: int) -> Refused:
    return Refused(
        413, "too_large", f"the body is larger than {limit:,} bytes; send less at once", headers={"connection": "close"}
    )


async def tell(send: Send, request_id: str, refused: Refused) -> None:
    """Send a failure in the one error shape."""
    body = failure(request_id, refused)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in refused.headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def as_refused(error: Exception) -> Refused:
    """How an error is told: what the caller can mend as a 4xx that says why, the rest without its insides."""
    match error:
        case Refused():
            return error
        case InvalidRequest() | InvalidRecord():
            return Refused(422, "invalid", str(error), error.field)
        case UnknownProduct():
            return Refused(404, "unknown_product", f"no product has the id {error.product!r}", "product")
        case HTTPException():
            code = _CODES.get(error.status_code, "http_error")
            message = "there is nothing here; the routes are listed at /docs" if code == "not_found" else error.detail
            return Refused(error.status_code, code, message, headers=error.headers)
        case BundleError() | NotEnoughData():
            return Refused(503, "not_ready", str(error), headers={"retry-after": "5"})
        case StoreError():
            return Refused(
                503, "store", "the record cannot be reached or written just now", headers={"retry-after": "1"}
            )
        case ShelfwiseError():
            return Refused(503, "unavailable", "the shop cannot answer just now; its log says why")
        case _:
            return Refused(500, "internal", "something went wrong here; the server's log has this request_id")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host_name(host: str) -> str:
    """The name in a Host header, without its port; IPv6 without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
