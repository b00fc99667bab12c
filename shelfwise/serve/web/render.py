"""Pages as HTML: one environment of templates, texts in two languages, and headers that let nothing foreign in.

A page is a frozen dataclass whose class attribute `template` names its template, which sees it as `page`.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from shelfwise.serve.proxy import prefixed

LANGUAGES = {"en": "English", "zh": "中文"}
THEMES = ("light", "dark")
STATIC = Path(__file__).with_name("static")
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "same-origin",
    "vary": "Cookie, Accept-Language, HX-Request",
}
_YEAR = 365 * 86_400
_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "CNY": "¥", "JPY": "¥"}


class Page(Protocol):
    template: ClassVar[str]


def render(page: Page, request: Request, status: int = 200) -> HTMLResponse:
    """The page in the asker's language. A choice of language or theme in the address is kept in a cookie."""
    lang, theme = language(request), _theme(request)
    signed = request.scope["state"].get("signed")
    texts = _texts()

    def t(key: str, **values: object) -> str:
        return texts[key][lang].format(**values)

    def here(**changed: str) -> str:
        return f"{request.url.path}?{urlencode(dict(request.query_params) | changed)}"

    body = (
        _environment()
        .get_template(page.template)
        .render(
            page=page,
            t=t,
            lang=lang,
            languages=LANGUAGES,
            theme=theme,
            here=here,
            csrf="" if signed is None else signed.csrf,
            account="" if signed is None else signed.account,
            asset=asset,
            money=money,
            number=lambda value: f"{value:,}",
            sources=lambda names: source_names(names, lang),
            date=lambda moment: date(moment, lang),
        )
    )
    body = prefixed(body, request.scope["state"].get("prefix", ""))
    response = HTMLResponse(body, status, HEADERS | {"content-language": lang})
    for name, value, offered in (("lang", lang, LANGUAGES), ("theme", theme, THEMES)):
        if request.query_params.get(name) in offered:
            response.set_cookie(name, value, max_age=_YEAR, samesite="lax", httponly=True)
    return response


def language(request: Request) -> str:
    """What the address says, else the cookie, else what the browser asks for, else English."""
    for said in (request.query_params.get("lang"), request.cookies.get("lang")):
        if said in LANGUAGES:
            return said
    for part in request.headers.get("accept-language", "").split(","):
        name = part.partition(";")[0].strip().lower()[:2]
        if name in LANGUAGES:
            return name
    return "en"


def asset(name: str) -> str:
    """The address of a file of `static`, which changes with its content."""
    return f"/static/{name}?v={_digest(name, (STATIC / name).stat().st_mtime_ns)}"


def money(value: float, currency: str = "") -> str:
    places = 0 if currency == "JPY" else 2
    sign = _SIGNS.get(currency)
    return f"{sign}{value:,.{places}f}" if sign else f"{value:,.{places}f} {currency}".strip()


def date(moment: datetime, lang: str = "en") -> str:
    if lang == "zh":
        return f"{moment.year}年{moment.month}月{moment.day}日 {moment:%H:%M}"
    return f"{moment.day} {moment:%b %Y, %H:%M}"


def _theme(request: Request) -> str:
    said = request.query_params.get("theme") or request.cookies.get("theme") or ""
    return said if said in THEMES else ""


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("shelfwise.serve.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["coded"] = coded
    return environment


def coded(text: str) -> Markup:
    """A text with what stands between backticks as code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


@functools.cache
def _texts() -> dict[str, dict[str, str]]:
    """Key -> language -> text, of all files."""
    texts: dict[str, dict[str, str]] = {}
    for path in sorted(Path(__file__).with_name("locale").glob("*.json")):
        texts |= json.loads(path.read_text("utf-8"))
    return texts


def source_names(names: Iterable[str], lang: str) -> str:
    """What sources are called to a reader; one without a text (docs/extend.md) by its own name."""
    texts = _texts()
    return ", ".join(texts.get(f"console.source.{name}", {}).get(lang, name.replace("_", " ")) for name in names)


@functools.lru_cache(200)
def _digest(name: str, _: int) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def known(key: str) -> Any:
    """The text of a key in each language, None for none."""
    return _texts().get(key)
