"""Campaigns on the console: drafting, the audience and what it should bring, its list, who came, the effect."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from shelfwise.errors import InvalidRecord, InvalidRequest, NotEnoughData, UnreadableFile
from shelfwise.plan.campaigns.audience import Audience, Rules
from shelfwise.plan.campaigns.draft import CHANNELS, Draft
from shelfwise.plan.campaigns.loading import load_redemptions
from shelfwise.plan.campaigns.words import reason
from shelfwise.serve.imports import UPLOADS
from shelfwise.serve.uploads import receive
from shelfwise.serve.web import chart
from shelfwise.serve.web.console.guard import csrf_ok, require, submitted
from shelfwise.serve.web.render import HEADERS, known, language, render
from shelfwise.serve.wire import Refused

if TYPE_CHECKING:
    from shelfwise.serve.service import Service

FORM = ("id", "title", "start", "end", "categories", "products", "discount", "contact_cost", "holdout")
RULES = ("days", "away", "orders", "spent", "buys_within", "buys_chance", "size")
SHOWN = 10  # people of an audience


@dataclass(frozen=True, kw_only=True, slots=True)
class CampaignsPage:
    """form: what stands in the form. wrong: why it cannot be taken."""

    template: ClassVar[str] = "console/campaigns.html"
    section: ClassVar[str] = "campaigns"
    channels: ClassVar[tuple[str, ...]] = CHANNELS
    campaigns: tuple[Draft, ...]
    form: Mapping[str, str] = field(default_factory=dict)
    wrong: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CampaignPage:
    """made: the audience by the rules of the address. effect: None before anybody was addressed."""

    template: ClassVar[str] = "console/campaign.html"
    section: ClassVar[str] = "campaigns"
    rules: ClassVar[tuple[str, ...]] = RULES
    campaign: Draft
    given: Mapping[str, str]
    made: Audience | None
    people: tuple[dict[str, Any], ...]
    curve: chart.Chart | None
    effect: Mapping[str, Any] | None
    gains: chart.Chart | None = None
    wrong: str = ""
    done: str = ""


def mount(app: FastAPI, service: Service) -> None:
    pages = Pages(service)
    for method, path, handler in (
        ("GET", "/console/campaigns", pages.all),
        ("POST", "/console/campaigns", pages.add),
        ("GET", "/console/campaigns/{id}", pages.one),
        ("POST", "/console/campaigns/{id}/export", pages.export),
        ("GET", "/console/campaigns/{id}/list.csv", pages.listed),
        ("POST", "/console/campaigns/{id}/redemptions", pages.came),
    ):
        app.add_api_route(path, handler, methods=[method], include_in_schema=False)


class Pages:
    """The handlers over one service."""

    def __init__(self, service: Service) -> None:
        self._shop = service.shop

    async def all(self, request: Request) -> Response:
        require(request)
        return await self._all(request)

    async def add(self, request: Request) -> Response:
        _, form = await submitted(request)
        fields = {name: str(form.get(name, ""))[:10_000] for name in FORM}
        try:
            draft = _draft(fields)
            await asyncio.to_thread(self._shop.campaigns.put, [draft])
        except InvalidRecord as error:
            return await self._all(request, form=fields, wrong=str(error), status=422)
        return _to(draft.id)

    async def _all(self, request: Request, *, status: int = 200, **said: Any) -> Response:
        campaigns = tuple(await asyncio.to_thread(self._shop.campaigns.drafts))
        return render(CampaignsPage(campaigns=campaigns, **said), request, status)

    async def one(self, request: Request) -> Response:
        require(request)
        given = {name: request.query_params.get(name, "")[:20] for name in RULES}
        wants_list = request.query_params.get("see") == "1"
        return await self._one(request, given, see=wants_list, done=request.query_params.get("done", "")[:20])

    async def export(self, request: Request) -> Response:
        _, form = await submitted(request)
        draft = await self._draft(request)
        given = {name: str(form.get(name, ""))[:20] for name in RULES}
        try:
            made = await self._made(draft, given)
            await asyncio.to_thread(self._shop.campaigns.export, draft.id, made)
        except (InvalidRequest, NotEnoughData) as error:
            return await self._one(request, given, wrong=str(error), status=422)
        return _to(draft.id, "exported")

    async def listed(self, request: Request) -> Response:
        require(request)
        draft = await self._draft(request)
        text = await asyncio.to_thread(self._shop.campaigns.listed, draft.id)
        headers = HEADERS | {"content-disposition": 'attachment; filename="campaign.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    async def came(self, request: Request) -> Response:
        require(request)

        def allowed(fields: dict[str, str]) -> None:
            if not csrf_ok(request, fields):
                raise Refused(403, "csrf", "the form is too old; load the page again")

        got = await receive(request, self._shop.folder / UPLOADS, self._shop.settings.upload_mb * 1_000_000, allowed)
        try:
            draft = await self._draft(request)
            loaded = await asyncio.to_thread(load_redemptions, got.path, self._shop.store)
        except UnreadableFile as error:
            return await self._one(request, {}, wrong=f"{got.name}: {error.problem}", status=422)
        finally:
            got.path.unlink(missing_ok=True)
        if loaded.problems:
            why = "; ".join(f"{text} ({len(lines)})" for text, lines in list(loaded.problems.items())[:3])
            return await self._one(request, {}, wrong=why, done="loaded")
        return _to(draft.id, "loaded")

    async def _one(
        self, request: Request, given: Mapping[str, str], *, see: bool = False, status: int = 200, **said: Any
    ) -> Response:
        draft = await self._draft(request)
        made = None
        if see:
            try:
                made = await self._made(draft, given)
            except (InvalidRequest, NotEnoughData) as error:
                said, status = said | {"wrong": str(error)}, 422
        try:
            effect = await asyncio.to_thread(self._shop.campaigns.effect, draft.id)
        except NotEnoughData:
            effect = None
        page = CampaignPage(
            campaign=draft,
            given=given,
            made=made,
            people=_people(made) if made else (),
            curve=_curve(made, language(request)) if made and made.curve else None,
            effect=effect,
            gains=_gains(effect["qini"]["points"], language(request)) if effect and effect["qini"] else None,
            **said,
        )
        return render(page, request, status)

    async def _made(self, draft: Draft, given: Mapping[str, str]) -> Audience:
        numbers: dict[str, Any] = {name: _number(name, text) for name, text in given.items() if text.strip()}
        rules = Rules(**numbers)
        return await asyncio.to_thread(self._shop.campaigns.audience, draft.id, rules)

    async def _draft(self, request: Request) -> Draft:
        try:
            return await asyncio.to_thread(self._shop.campaigns.draft, request.path_params["id"])
        except InvalidRecord as error:
            raise Refused(404, "unknown_campaign", error.problem) from None


def _draft(form: Mapping[str, str]) -> Draft:
    offer = {
        "code": "offer-1",
        "products": _lines(form["products"]),
        "categories": _lines(form["categories"]),
        "discount": _amount("discount", form["discount"], 0) / 100,
    }
    return Draft.from_json(
        {
            "id": form["id"].strip(),
            "title": form["title"].strip(),
            "start": form["start"],
            "end": form["end"],
            "contact_cost": _amount("contact_cost", form["contact_cost"], 0),
            "holdout": _amount("holdout", form["holdout"], 10) / 100,
            "offers": [offer] if offer["products"] or offer["categories"] else [],
        }
    )


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _amount(name: str, text: str, default: float) -> float:
    try:
        return float(text) if text.strip() else default
    except ValueError:
        raise InvalidRecord(name, f"is {text[:40]!r}; it must be a number") from None


def _number(name: str, text: str) -> float | int:
    try:
        if name == "buys_chance":
            return float(text) / 100
        return float(text) if name == "spent" else int(text)
    except ValueError:
        raise InvalidRequest(name, f"is {text!r}; it must be a number") from None


def _people(made: Audience) -> tuple[dict[str, Any], ...]:
    return tuple(row | {"reason": reason(row["reason"])} for row in made.people.head(SHOWN).iter_rows(named=True))


def _curve(made: Audience, lang: str) -> chart.Chart:
    points = [(one["customers"], one["value"]) for one in made.curve]
    band = [(one["customers"], one["low"], one["high"]) for one in made.curve]
    title, text = known("console.campaigns.curve")[lang], known("console.campaigns.curve.about")[lang]
    size = known("console.campaigns.size")[lang]
    line = chart.Line(name=title, points=points, band=band)
    return chart.lines([line], title=title, description=text, x_name=size, number="{:,.0f}".format)


def _gains(points: list[dict[str, float]], lang: str) -> chart.Chart:
    """The Qini curve of the planned order beside a random order's straight line."""
    words = {key: known(f"console.campaigns.qini.{key}")[lang] for key in ("title", "about", "x", "planned", "random")}
    planned = chart.Line(
        name=words["planned"], points=[(100 * one["share"], one["gain"]) for one in points], letter="A"
    )
    straight = [(0.0, 0.0), (100.0, points[-1]["gain"])]
    return chart.lines(
        [planned, chart.Line(name=words["random"], points=straight, letter="B")],
        title=words["title"],
        description=words["about"],
        x_name=words["x"],
        number="{:,.1f}".format,
    )


def _to(id: str, done: str = "") -> RedirectResponse:
    return RedirectResponse(f"/console/campaigns/{quote(id, safe='')}" + (f"?done={done}" if done else ""), 303)
