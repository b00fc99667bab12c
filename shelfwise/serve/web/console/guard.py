"""Who may see the console: signing in and out, one-time links, and the token that every form carries.

Whoever is not signed in yet gets a cookie of their own with the login form, from which its token is made: a page of
another site cannot sign a browser in under an account of its choice.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from shelfwise.errors import Forbidden, InvalidRecord, TooManyAttempts
from shelfwise.serve.web.render import render
from shelfwise.serve.wire import Refused
from shelfwise.trust.accounts import Accounts, Signed, csrf_of, same

if TYPE_CHECKING:
    from shelfwise.serve.service import Service

COOKIE = "shelfwise_session"
LOGIN_COOKIE = "shelfwise_login"  # of the login form, until one is signed in
TOO_OLD = "the form is too old; load the page again"
HOME = "/console"  # where one comes after signing in


@dataclass(frozen=True, kw_only=True, slots=True)
class LoginPage:
    """link: a one-time link's secret, which lets its bearer choose name and password. next: where to go then.
    token: what the form must carry back beside the cookie it came with."""

    template: ClassVar[str] = "console/login.html"
    next: str
    first: bool
    token: str = ""
    link: str = ""
    name: str = ""
    wrong: str = ""


class SignIn(Exception):
    """Somebody unknown asks for a page of the console."""


def mount(app: FastAPI, service: Service) -> None:
    """Add the pages of signing in and out; unknown visitors of other pages are sent there."""
    accounts = Accounts(service.shop.store.accounts)
    app.state.accounts = accounts
    app.add_exception_handler(SignIn, _to_login)
    for method, path, handler in (
        ("GET", "/console/login", _login),
        ("POST", "/console/login", _sign_in),
        ("GET", "/console/link/{secret}", _link),
        ("POST", "/console/link/{secret}", _claim),
        ("POST", "/console/logout", _sign_out),
    ):
        app.add_api_route(path, handler, methods=[method], include_in_schema=False)


def require(request: Request, *, seen: bool = True) -> Signed:
    """Who is signed in. seen: they asked for this themselves, which keeps their session alive. Raises SignIn, which
    becomes a redirect to the login."""
    signed: Signed | None = _accounts(request).signed(request.cookies.get(COOKIE, ""), seen=seen)
    if signed is None:
        raise SignIn
    request.scope["state"]["signed"] = signed
    return signed


def signed_still(request: Request) -> bool:
    """Is whoever asked still signed in? Asking does not keep their session alive."""
    return _accounts(request).signed(request.cookies.get(COOKIE, ""), seen=False) is not None


def csrf_ok(request: Request, form: Mapping[str, Any]) -> bool:
    """Does the form of a signed-in person come from a page of ours?"""
    signed: Signed | None = request.scope["state"].get("signed")
    return signed is not None and not foreign(request) and same(str(form.get("csrf", "")), signed.csrf)


def foreign(request: Request) -> bool:
    """Does a page of another site send this? Programs that say no origin are none."""
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


def _misled(request: Request) -> Refused | None:
    """What to mend where the browser says that the form is from this very site, and only the proxy says otherwise."""
    if not foreign(request) or request.headers.get("sec-fetch-site") != "same-origin":
        return None
    return Refused(
        403,
        "proxy",
        f"the proxy before this server hides the address that browsers see: they say {request.headers['origin']}, it "
        f"says {request.headers.get('host', '')}. Let it send X-Forwarded-Host and X-Forwarded-Proto (or keep Host), "
        "and name it in the setting trusted_proxies",
    )


async def submitted(request: Request) -> tuple[Signed, FormData]:
    """Who sends a form, and the form. Raises SignIn, and Refused unless it comes from a page of ours."""
    signed = require(request)
    form = await request.form(max_files=0, max_fields=50, max_part_size=1_000_000)
    if not csrf_ok(request, form):
        raise _misled(request) or Refused(403, "csrf", TOO_OLD)
    return signed, form


def _accounts(request: Request) -> Accounts:
    accounts: Accounts = request.app.state.accounts
    return accounts


async def _to_login(request: Request, _: Exception) -> Response:
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    to = "/console/login" + (f"?{urlencode({'next': address})}" if request.method == "GET" else "")
    if request.headers.get("hx-request"):
        return Response(headers={"hx-redirect": "/console/login"})
    return RedirectResponse(to, status_code=303)


async def _login(request: Request) -> Response:
    first = not await asyncio.to_thread(_accounts(request).exist)
    return _form(LoginPage(next=_within(request.query_params.get("next", "")), first=first), request)


async def _sign_in(request: Request) -> Response:
    form = await _own_form(request)
    name, next = str(form.get("name", "")), _within(str(form.get("next", "")))
    if not _token_ok(request, form):
        return _form(LoginPage(next=next, first=False, name=name, wrong=TOO_OLD), request, 403)
    address = request.client.host if request.client else ""
    try:
        secret = await asyncio.to_thread(_accounts(request).sign_in, name, str(form.get("password", "")), address)
    except Forbidden as error:
        return _form(LoginPage(next=next, first=False, name=name, wrong=str(error)), request, 403)
    except TooManyAttempts as error:
        page = _form(LoginPage(next=next, first=False, name=name, wrong=str(error)), request, 429)
        page.headers["retry-after"] = str(math.ceil(error.seconds))
        return page
    return await _signed(request, secret, next)


async def _link(request: Request) -> Response:
    secret = request.path_params["secret"]
    name = await asyncio.to_thread(_accounts(request).link, secret)
    if name is None:
        raise Refused(404, "not_found", "this link was used or is too old; `shelfwise accounts link` makes another")
    return _form(LoginPage(next=HOME, first=False, link=secret, name=name), request)


async def _claim(request: Request) -> Response:
    form = await _own_form(request)
    secret, name = request.path_params["secret"], str(form.get("name", ""))
    if not _token_ok(request, form):
        return _form(LoginPage(next=HOME, first=False, link=secret, name=name, wrong=TOO_OLD), request, 403)
    try:
        session = await asyncio.to_thread(_accounts(request).claim, secret, name, str(form.get("password", "")))
    except InvalidRecord as error:
        page = LoginPage(next=HOME, first=False, link=secret, name=name, wrong=str(error))
        return _form(page, request, 422)
    except Forbidden as error:
        raise Refused(404, "not_found", str(error)) from None
    return await _signed(request, session, HOME)


async def _sign_out(request: Request) -> Response:
    await submitted(request)
    await asyncio.to_thread(_accounts(request).sign_out, request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/console/login", status_code=303)
    response.delete_cookie(COOKIE, path="/console")
    return response


async def _own_form(request: Request) -> FormData:
    """The form of somebody not signed in yet. Raises Refused when a page of another site sends it."""
    if foreign(request):
        raise _misled(request) or Refused(403, "foreign_origin", "this form must be sent from its own page")
    return await request.form(max_files=0, max_fields=20, max_part_size=10_000)


def _form(page: LoginPage, request: Request, status: int = 200) -> Response:
    """The login form with its token and the cookie that belongs to it."""
    kept = request.cookies.get(LOGIN_COOKIE, "") or secrets.token_urlsafe(32)
    response = render(replace(page, token=csrf_of(kept)), request, status)
    _keep(response, request, LOGIN_COOKIE, kept)
    return response


def _token_ok(request: Request, form: Mapping[str, Any]) -> bool:
    kept = request.cookies.get(LOGIN_COOKIE, "")
    return bool(kept) and same(str(form.get("csrf", "")), csrf_of(kept))


async def _signed(request: Request, secret: str, next: str) -> Response:
    """A new session's cookie; the session this browser had before ends."""
    if before := request.cookies.get(COOKIE, ""):
        await asyncio.to_thread(_accounts(request).sign_out, before)
    response = RedirectResponse(next, status_code=303)
    _keep(response, request, COOKIE, secret)
    response.delete_cookie(LOGIN_COOKIE, path="/console")
    return response


def _keep(response: Response, request: Request, name: str, value: str) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, path="/console", httponly=True, samesite="lax", secure=secure)


def _within(path: str) -> str:
    """A page of the console and nothing else, so that a link to the login cannot lead elsewhere."""
    return path if path.startswith(("/console/", "/console?")) and "\\" not in path else HOME
