"""Stock on the console: what runs out, the order list, what is too much, and one product's outlook as charts."""

from __future__ import annotations

import asyncio
import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, ClassVar

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from shelfwise.errors import NotEnoughData, UnknownProduct
from shelfwise.plan.demand.accuracy import Accuracy, Missed
from shelfwise.plan.inventory.orders import Order
from shelfwise.plan.inventory.simulated import SIMULATED
from shelfwise.serve.web.chart import Chart, Line, lines
from shelfwise.serve.web.console.guard import require, submitted
from shelfwise.serve.web.console.measures import saying
from shelfwise.serve.web.render import HEADERS, language, render
from shelfwise.serve.wire import Refused
from shelfwise.shop import Shop

if TYPE_CHECKING:
    from shelfwise.serve.service import Service

SHOWN = 100  # rows of a list
STATUSES = ("runs_out", "order", "overstock", "dead", "enough")


@dataclass(frozen=True, kw_only=True, slots=True)
class StockPage:
    """orders: to be ordered; slow: overstocked and dead; counts: of each status; problem: why there is none."""

    template: ClassVar[str] = "console/stock.html"
    section: ClassVar[str] = "stock"
    statuses: ClassVar[tuple[str, ...]] = STATUSES
    orders: tuple[tuple[Order, str], ...] = ()
    slow: tuple[tuple[Order, str], ...] = ()
    more: int = 0
    counts: Mapping[str, int]
    assumed: tuple[str, ...] = ()
    simulated: bool = False
    invented: bool = False  # is the stock simulated?
    stocked: bool = False
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutlookPage:
    """demand, stock: the charts; stock is None where none is recorded. empty: weeks taken for an empty shelf."""

    template: ClassVar[str] = "console/stock_product.html"
    section: ClassVar[str] = "stock"
    name: str
    demand: Chart
    stock: Chart | None
    order: Order | None
    empty: tuple[date, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AccuracyPage:
    """chart, made, misses: None and empty where `problem` says why. misses: each with its title."""

    template: ClassVar[str] = "console/stock_accuracy.html"
    section: ClassVar[str] = "stock"
    made: Accuracy | None = None
    chart: Chart | None = None
    misses: tuple[tuple[Missed, str], ...] = ()
    problem: str = ""


def mount(app: FastAPI, service: Service) -> None:
    """Add the pages to the app."""
    shop = service.shop

    async def listed(request: Request) -> Response:
        require(request)
        return render(await asyncio.to_thread(stock_page, shop), request)

    async def exported(request: Request) -> Response:
        _, form = await submitted(request)
        changed = {name[2:]: str(value) for name, value in form.items() if name.startswith("q:")}
        text = await asyncio.to_thread(lambda: order_csv(shop.orders(), changed))
        headers = HEADERS | {"content-disposition": 'attachment; filename="orders.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    async def so_far(request: Request) -> Response:
        require(request)
        return render(await asyncio.to_thread(accuracy_page, shop, language(request)), request)

    async def outlook(request: Request) -> Response:
        require(request)
        try:
            page = await asyncio.to_thread(outlook_page, shop, request.path_params["id"], language(request))
        except UnknownProduct as error:
            raise Refused(404, "unknown_product", str(error)) from None
        return render(page, request)

    app.add_api_route("/console/stock", listed, methods=["GET"], include_in_schema=False)
    app.add_api_route("/console/stock/orders.csv", exported, methods=["POST"], include_in_schema=False)
    app.add_api_route("/console/stock/accuracy", so_far, methods=["GET"], include_in_schema=False)
    app.add_api_route("/console/stock/of/{id:path}", outlook, methods=["GET"], include_in_schema=False)


def stock_page(shop: Shop) -> StockPage:
    stocked = not shop.planner.stock().is_empty()
    try:
        orders = shop.orders() if stocked else []
    except NotEnoughData as error:
        return StockPage(counts={}, stocked=True, problem=str(error))
    wanted = [line for line in orders if line.quantity > 0 or line.status == "runs_out"]
    slow = [line for line in orders if line.status in ("overstock", "dead")]
    shown = [*wanted[:SHOWN], *slow[:SHOWN]]
    titles = {id: product.title for id, product in shop.store.products([line.product for line in shown]).items()}
    return StockPage(
        orders=tuple((line, titles.get(line.product) or line.product) for line in wanted[:SHOWN]),
        slow=tuple((line, titles.get(line.product) or line.product) for line in slow[:SHOWN]),
        more=max(0, len(wanted) - SHOWN),
        counts={name: sum(line.status == name for line in orders) for name in STATUSES},
        assumed=tuple(sorted({name for line in orders for name in line.assumed})),
        simulated=shop.settings.simulated,
        invented=any(line.supplier == SIMULATED for line in orders),
        stocked=stocked,
    )


def accuracy_page(shop: Shop, lang: str) -> AccuracyPage:
    """How the last weeks' forecasts did against what came."""
    try:
        made = shop.planner.accuracy()
    except NotEnoughData as error:
        return AccuracyPage(problem=str(error))
    say = saying(lang)
    chart = lines(
        [
            Line(name=say("console.plan.sold"), points=list(enumerate(made.came)), letter="A"),
            Line(name=say("console.plan.forecast"), points=list(enumerate(made.expected)), letter="B"),
        ],
        title=say("console.plan.accuracy_chart"),
        description=say("console.plan.accuracy_said"),
        x_name=say("console.plan.week"),
        number="{:.4g}".format,
        x_text=lambda x: made.starts[int(x)].isoformat() if x in range(len(made.starts)) else "",
        from_zero=True,
    )
    titles = {id: product.title for id, product in shop.store.products([one.product for one in made.misses]).items()}
    misses = tuple((one, titles.get(one.product) or one.product) for one in made.misses)
    return AccuracyPage(made=made, chart=chart, misses=misses)


def order_csv(orders: list[Order], changed: Mapping[str, str]) -> str:
    """The list to send, with the quantities that were changed; a quantity that is no amount is left as it was."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["product", "supplier", "quantity", "cost", "on_hand", "on_order", "why"])
    for line in orders:
        quantity = _amount(changed.get(line.product), line.quantity)
        if quantity <= 0:
            continue
        each = line.cost / line.quantity if line.cost is not None and line.quantity else None
        cost = "" if each is None else f"{each * quantity:.2f}"
        row = [_plain(line.product), _plain(line.supplier), f"{quantity:g}", cost, f"{line.on_hand:g}"]
        writer.writerow([*row, f"{line.on_order:g}", line.why])
    return out.getvalue()


def _amount(text: str | None, usual: float) -> float:
    try:
        value = float(text) if text is not None else usual
    except ValueError:
        return usual
    return value if math.isfinite(value) and 0 <= value <= 1e12 else usual


def _plain(text: str) -> str:
    """A spreadsheet runs what begins like a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text


def outlook_page(shop: Shop, id: str, lang: str) -> OutlookPage:
    """Raises UnknownProduct, NotEnoughData."""
    seen, say = shop.planner.outlook(id), saying(lang)
    product = shop.store.product(id)
    name = (product.title if product else "") or id
    starts = [start for start, _ in seen.history] + seen.starts
    # On the axis a week is its place; the label is its date.
    places = {float(place): start for place, start in enumerate(starts)}
    now = len(seen.history)

    def week(x: float) -> str:
        return places[x].isoformat() if x in places else ""

    sold = [(float(t), value) for t, (_, value) in enumerate(seen.history)]
    ahead = [float(now + t) for t in range(len(seen.starts))]
    demand = lines(
        [
            Line(name=say("console.plan.sold"), points=sold, letter="A"),
            Line(
                name=say("console.plan.forecast"),
                points=list(zip(ahead, seen.mean, strict=True)),
                band=list(zip(ahead, seen.low, seen.high, strict=True)),
                letter="B",
            ),
        ],
        title=say("console.plan.demand_chart"),
        description=say("console.plan.demand_said"),
        x_name=say("console.plan.week"),
        number="{:.3g}".format,
        x_text=week,
        from_zero=True,
    )
    stock = None
    if seen.without:
        stock = lines(
            [
                Line(name=say("console.plan.with"), points=list(zip(ahead, seen.with_order, strict=True)), letter="A"),
                Line(name=say("console.plan.without"), points=list(zip(ahead, seen.without, strict=True)), letter="B"),
            ],
            title=say("console.plan.stock_chart"),
            description=say("console.plan.stock_said"),
            x_name=say("console.plan.week"),
            number="{:.3g}".format,
            x_text=week,
            from_zero=True,
        )
    empty = tuple(start for start, value in seen.history if math.isnan(value) and start >= _first(seen.history))
    return OutlookPage(name=name, demand=demand, stock=stock, order=seen.order, empty=empty)


def _first(history: list[tuple[date, float]]) -> date:
    """The first week known."""
    return next((start for start, value in history if not math.isnan(value)), date.max)
