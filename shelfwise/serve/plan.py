"""Planning over HTTP: what a product will sell, stock, and what to order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar

from starlette.requests import Request

from shelfwise.errors import InvalidRecord, InvalidRequest, NotEnoughData, UnknownProduct
from shelfwise.plan.inventory.stock import STOCK_COLUMNS, stock_row
from shelfwise.schema import MAX_ID, MAX_TITLE
from shelfwise.serve.gate import Access, read_body
from shelfwise.serve.wire import Field, Refused, invalid, many, parse_fields, parse_json
from shelfwise.shop import Shop
from shelfwise.trust.keys import Scope

MAX_STOCK = 10_000  # rows of stock a request
MAX_WEEKS = 53  # ahead
_MAX_BODY = 8 * 1024 * 1024
T = TypeVar("T")

_HELP = {
    "product": "A product's id.",
    "location": "Where it lies; the rows of a product are summed.",
    "on_hand": "Units there.",
    "on_order": "Units on their way.",
    "due": "The date they come.",
    "lead_time": "Days from order to delivery.",
    "lead_time_spread": "Its standard deviation in days.",
    "review": "Days from one order to the next.",
    "unit_cost": "Of a unit.",
    "holding_cost": "Of a unit a week.",
    "shortage_cost": "Of a unit not there when wanted.",
    "service_level": "Wanted chance that stock lasts.",
    "pack": "Units of a pack.",
    "minimum": "Least units of an order.",
    "supplier": "Who delivers.",
    "shelf_life": "Days it keeps.",
}
_NUMBER: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1e12}
_SCHEMAS: dict[str, dict[str, Any]] = {
    "product": {"type": "string", "minLength": 1, "maxLength": MAX_ID},
    "location": {"type": "string", "maxLength": MAX_ID},
    "due": {"type": "string", "format": "date", "maxLength": 10},
    "supplier": {"type": "string", "maxLength": MAX_TITLE},
    "lead_time": {"type": "number", "minimum": 0, "maximum": 730},
    "lead_time_spread": {"type": "number", "minimum": 0, "maximum": 365},
    "review": {"type": "number", "minimum": 1, "maximum": 365},
    "service_level": {"type": "number", "minimum": 0.01, "maximum": 0.999},
    "pack": {"type": "number", "minimum": 1e-6, "maximum": 1e9},
    "shelf_life": {"type": "number", "minimum": 1, "maximum": 36_500},
}
STOCK = {
    name: Field(_SCHEMAS.get(name, _NUMBER), _HELP[name], required=name in ("product", "on_hand"))
    for name in STOCK_COLUMNS
}
ORDERS = {
    "date": Field(
        {"type": "string", "format": "date", "maxLength": 10}, "As of this day, from what had sold before it."
    ),
    "budget": Field(_NUMBER, "Most money to spend."),
    "all": Field({"type": "boolean"}, "Also products of which nothing is to be ordered; false when left out."),
}


class Planning:
    """The handlers. Each returns what its answer holds beside `request_id`."""

    def __init__(self, shop: Shop, access: Access) -> None:
        self._shop = shop
        self._access = access

    async def forecast(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.MERCHANT)
        product: str = request.path_params["product"]
        for name in request.query_params:
            if name != "weeks":
                raise invalid(name[:60], "is not a parameter; there is weeks")
        text = request.query_params.get("weeks", "4")
        if not (text.isascii() and text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= MAX_WEEKS):
            raise invalid("weeks", f"must be a whole number from 1 to {MAX_WEEKS}")
        table = await _tried(lambda: self._shop.forecast(weeks=int(text), products=[product]))
        rows = table.drop("product").to_dicts()
        return {"product": product, "forecast": [row | {"start": row["start"].isoformat()} for row in rows]}

    async def stock(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.MERCHANT)
        table = await asyncio.to_thread(self._shop.planner.stock)
        return {"stock": table.to_dicts()}

    async def put_stock(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.MERCHANT)
        rows, lone = many(parse_json(await read_body(request, _MAX_BODY)), "stock", MAX_STOCK)
        checked = []
        for index, row in enumerate(rows):
            where = "" if lone else f"stock[{index}]"
            values = parse_fields(row, STOCK, where)
            try:
                checked.append(stock_row(values))
            except InvalidRecord as error:
                raise invalid(f"{where}.{error.field}".lstrip("."), error.problem) from None
        return {"stored": await asyncio.to_thread(self._shop.planner.put_stock, checked)}

    async def orders(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.MERCHANT)
        values = parse_fields(parse_json(await read_body(request, 64 * 1024)), ORDERS)
        try:
            day = date.fromisoformat(values["date"]) if "date" in values else None
        except ValueError:
            raise invalid("date", "is not a date like 2026-12-01") from None
        lines = await _tried(lambda: self._shop.orders(day=day, budget=values.get("budget")))
        shown = [line.to_json() for line in lines if values.get("all") or line.quantity > 0]
        statuses = [line.status for line in lines]
        return {"orders": shown, "counts": {name: statuses.count(name) for name in sorted(set(statuses))}}


async def _tried(work: Callable[[], T]) -> T:
    """Beside the event loop, for it may read every purchase. Raises Refused."""
    try:
        return await asyncio.to_thread(work)
    except NotEnoughData as error:
        raise Refused(422, "not_enough_data", str(error)) from None
    except UnknownProduct as error:
        raise Refused(404, "unknown_product", str(error), "product") from None
    except InvalidRequest as error:
        raise invalid(error.field, error.problem) from None
