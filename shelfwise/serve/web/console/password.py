"""Choosing another password, knowing the one there is."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import ClassVar

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from shelfwise.errors import Forbidden, InvalidRecord, TooManyAttempts
from shelfwise.serve.web.console.guard import COOKIE, require, submitted
from shelfwise.serve.web.render import render
from shelfwise.trust.accounts import MAX_PASSWORD, MIN_PASSWORD, Accounts


@dataclass(frozen=True, kw_only=True, slots=True)
class PasswordPage:
    """wrong: the field that is wrong (current, new, again) or "wait", and what is wrong with it, "" where the page's
    own words say it. least, most: characters of a password."""

    template: ClassVar[str] = "console/password.html"
    section: ClassVar[str] = "password"
    done: bool = False
    wrong: tuple[str, str] = ("", "")
    least: int = MIN_PASSWORD
    most: int = MAX_PASSWORD


def mount(app: FastAPI) -> None:
    """Add the page to the app, whose accounts the guard has put there."""
    app.add_api_route("/console/password", _shown, methods=["GET"], include_in_schema=False)
    app.add_api_route("/console/password", _changed, methods=["POST"], include_in_schema=False)


async def _shown(request: Request) -> Response:
    require(request)
    return render(PasswordPage(done=request.query_params.get("done") == "changed"), request)


async def _changed(request: Request) -> Response:
    """Every other session of the account ends; this one goes on."""
    signed, form = await submitted(request)
    accounts: Accounts = request.app.state.accounts
    current, new, again = (str(form.get(name, "")) for name in ("current", "new", "again"))
    if new != again:
        return render(PasswordPage(wrong=("again", "")), request, 422)
    address = request.client.host if request.client else ""
    keep = request.cookies.get(COOKIE, "")
    try:
        await asyncio.to_thread(
            lambda: accounts.change_password(signed.account, current, new, address=address, keep=keep)
        )
    except InvalidRecord as error:
        return render(PasswordPage(wrong=("new", error.problem)), request, 422)
    except Forbidden:
        return render(PasswordPage(wrong=("current", "")), request, 403)
    except TooManyAttempts as error:
        page = render(PasswordPage(wrong=("wait", str(error))), request, 429)
        page.headers["retry-after"] = str(math.ceil(error.seconds))
        return page
    return RedirectResponse("/console/password?done=changed", status_code=303)
