"""Campaigns over HTTP: what a customer is offered, drafts, audiences, who was addressed, who took part, the effect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import polars as pl
from starlette.requests import Request

from shelfwise.errors import InvalidRecord, InvalidRequest, NotEnoughData
from shelfwise.plan.campaigns.audience import Rules
from shelfwise.plan.campaigns.draft import CHANNELS, LEAST_HOLDOUT, Draft
from shelfwise.schema import MAX_ID, MAX_TITLE, check_text, now, to_micros
from shelfwise.serve.gate import Access, read_body
from shelfwise.serve.wire import Field, Refused, invalid, many, parse_fields, parse_json, parse_time
from shelfwise.shop import Shop
from shelfwise.store.campaigns import ANSWER_COLUMNS, CONTACT_COLUMNS, HELD_OUT, SENT
from shelfwise.trust.keys import Scope

MAX_ROWS = 10_000  # contacts or redemptions a request
MAX_CAMPAIGNS = 100  # drafts a request
_MAX_BODY = 4 * 1024 * 1024
T = TypeVar("T")
_TIME: dict[str, Any] = {"oneOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]}
_WHOLE: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 10_000_000}
_SHARE: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}


def _text(help: str, *, required: bool = False) -> Field:
    return Field({"type": "string", "maxLength": MAX_ID}, help, required)


def _texts(limit: int) -> dict[str, Any]:
    items = {"type": "string", "minLength": 1, "maxLength": MAX_TITLE}
    return {"type": "array", "items": items, "maxItems": limit}


INVITED = {
    "customer": _text("For whom.", required=True),
    "surface": Field({"type": "string", "enum": ["campaigns"]}, "Where the answer is shown."),
    "k": Field({"type": "integer", "minimum": 1, "maximum": 100}, "How many campaigns; 5 when left out."),
}
CAMPAIGN = {
    "id": _text("The same id again replaces.", required=True),
    "start": Field(_TIME, "Runs from this time on.", required=True),
    "end": Field(_TIME, "Runs until before this time.", required=True),
    "offers": Field(
        {"type": "array", "items": {"type": "object"}, "maxItems": 1_000},
        "Each with `code`, `products` or `categories`, `discount` (0 to 1) and `cost` of one redemption.",
        required=True,
    ),
    "title": Field({"type": "string", "maxLength": MAX_TITLE}, "Its name."),
    "channel": Field({"type": "string", "enum": list(CHANNELS)}, "email when left out."),
    "contact_cost": Field({"type": "number", "minimum": 0, "maximum": 1e9}, "Of addressing one customer."),
    "holdout": Field(
        {"type": "number", "minimum": LEAST_HOLDOUT, "maximum": 0.9}, "Part left alone at random; 0.1 when left out."
    ),
    "cap": Field(
        {"type": "integer", "minimum": 1, "maximum": 1_000},
        "Most campaigns a customer gets in 30 days; 4 when left out.",
    ),
}
AUDIENCE = {
    "days": Field(_WHOLE, "Bought within so many days."),
    "away": Field(_WHOLE, "Bought nothing for so many days."),
    "orders": Field(_WHOLE, "At least so many orders."),
    "spent": Field({"type": "number", "minimum": 0, "maximum": 1e12}, "Spent at least this."),
    "category": Field({"type": "string", "maxLength": MAX_TITLE}, "Bought of this category."),
    "like": Field(_texts(10_000), "Customers the others should resemble."),
    "buys_within": Field(_WHOLE, "Would buy within so many days, as the model of purchases says."),
    "buys_category": Field(
        {"type": "string", "maxLength": MAX_TITLE}, "Of this category; the campaign's products when left out."
    ),
    "buys_chance": Field(_SHARE, "With at least this chance; 0.1 when left out."),
    "size": Field(_WHOLE, "At most so many, the most profitable."),
    "pays": Field({"type": "boolean"}, "Only who brings more than they cost; true when left out."),
    "margin": Field(_SHARE, "Part of revenue that stays; 0.3 when left out."),
    "export": Field({"type": "boolean"}, "Record the audience and answer its list."),
}
CONTACT = {
    "campaign": _text("A campaign's id.", required=True),
    "customer": _text("Who.", required=True),
    "arm": Field({"type": "string", "enum": [SENT, HELD_OUT]}, "sent when left out."),
    "offer": _text("Which offer."),
    "time": Field(_TIME, "When; now when left out."),
}
REDEMPTION = {name: CONTACT[name] for name in ("campaign", "customer", "offer", "time")}


class Campaigns:
    """The handlers. Each returns what its answer holds beside `request_id`."""

    def __init__(self, shop: Shop, access: Access) -> None:
        self._shop = shop
        self._access = access

    async def invited(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.READ)
        values = parse_fields(parse_json(await read_body(request, 64 * 1024)), INVITED)
        offers = self._shop.campaigns.offers(values["customer"], values.get("k", 5))
        return {"campaigns": [one.to_json() for one in offers]}

    async def drafts(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.MERCHANT)
        drafts = await asyncio.to_thread(self._shop.campaigns.drafts)
        return {"campaigns": [one.to_json() for one in drafts]}

    async def put_drafts(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.MERCHANT)
        rows, lone = many(parse_json(await read_body(request, _MAX_BODY)), "campaigns", MAX_CAMPAIGNS)
        given = [_draft(row, "" if lone else f"campaigns[{index}]") for index, row in enumerate(rows)]
        stored = await asyncio.to_thread(self._shop.campaigns.put, given)
        return {"stored": stored, "ids": [one.id for one in given]}

    async def audience(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.MERCHANT)
        id = await self._known(request)
        values = parse_fields(parse_json(await read_body(request, _MAX_BODY)), AUDIENCE)
        margin, recorded = values.pop("margin", 0.3), values.pop("export", False)
        try:
            rules = Rules(**values | {"like": tuple(values.get("like", ()))})
            made = await _tried(lambda: self._shop.campaigns.audience(id, rules, margin=margin))
        except InvalidRequest as error:
            raise invalid(error.field, error.problem) from None
        text = await _tried(lambda: self._shop.campaigns.export(id, made)) if recorded else ""
        return {"summary": made.summary, "curve": made.curve, "warnings": made.warnings, "list": text}

    async def effect(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.MERCHANT)
        id = await self._known(request)
        return {"effect": await _tried(lambda: self._shop.campaigns.effect(id))}

    async def contacts(self, request: Request) -> dict[str, Any]:
        blank = {
            "arm": SENT,
            "offer": "",
            "products": "[]",
            "reason": "",
            "response": None,
            "profit": None,
            "uplift": None,
        }
        frame = await self._rows(request, "contacts", CONTACT, blank, CONTACT_COLUMNS)
        added = await asyncio.to_thread(self._shop.store.campaign_record.add_contacts, frame)
        return {"accepted": added, "duplicates": frame.height - added}

    async def redemptions(self, request: Request) -> dict[str, Any]:
        frame = await self._rows(request, "redemptions", REDEMPTION, {"offer": ""}, ANSWER_COLUMNS)
        added = await asyncio.to_thread(self._shop.store.campaign_record.add_answers, frame)
        return {"accepted": added, "duplicates": frame.height - added}

    async def _rows(
        self, request: Request, name: str, fields: dict[str, Field], blank: dict[str, Any], columns: dict[str, Any]
    ) -> pl.DataFrame:
        """The rows of a body, all or none. Raises Refused."""
        self._access.admit(request, Scope.INGEST)
        rows, lone = many(parse_json(await read_body(request, _MAX_BODY)), name, MAX_ROWS)
        known = {one.id for one in await asyncio.to_thread(self._shop.campaigns.drafts)}
        parsed = []
        for index, row in enumerate(rows):
            where = "" if lone else f"{name}[{index}]"
            place = f"{where}." if where else ""
            row, time = _timed(row, ("time",), place)
            values = parse_fields(row, fields, where)
            if values["campaign"] not in known:
                raise invalid(f"{place}campaign", f"there is no campaign {values['campaign'][:60]!r}; PUT it first")
            try:
                check_text("customer", values["customer"], MAX_ID, required=True)
            except InvalidRecord as error:
                raise invalid(place + error.field, error.problem) from None
            parsed.append(blank | values | {"time": to_micros(time.get("time") or now())})
        return pl.DataFrame(parsed, schema=columns, orient="row")

    async def _known(self, request: Request) -> str:
        id: str = request.path_params["id"]
        try:
            await asyncio.to_thread(self._shop.campaigns.draft, id)
        except InvalidRecord as error:
            raise Refused(404, "unknown_campaign", error.problem, "id") from None
        return id


async def _tried(work: Callable[[], T]) -> T:
    """Beside the event loop, for it may read every purchase. Raises Refused where there is too little."""
    try:
        return await asyncio.to_thread(work)
    except NotEnoughData as error:
        raise Refused(422, "not_enough_data", str(error)) from None


def _timed(row: Any, names: tuple[str, ...], place: str) -> tuple[Any, dict[str, Any]]:
    if not isinstance(row, dict):
        return row, {}
    row = dict(row)
    return row, {name: parse_time(row.pop(name), place + name) for name in names if row.get(name) is not None}


def _draft(row: Any, where: str) -> Draft:
    place = f"{where}." if where else ""
    row, times = _timed(row, ("start", "end"), place)
    offers = row.pop("offers", []) if isinstance(row, dict) else []
    rest = {name: field for name, field in CAMPAIGN.items() if name not in ("start", "end", "offers")}
    values = parse_fields(row, rest, where)
    if not isinstance(offers, list):
        raise invalid(f"{place}offers", "must be a list of objects")
    try:
        return Draft.from_json(values | times | {"offers": offers})
    except InvalidRecord as error:
        raise invalid(place + error.field, error.problem) from None
