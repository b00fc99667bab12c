"""The HTTP API over one shop: every route, and which handler answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

import shelfwise
from shelfwise.serve import web
from shelfwise.serve.campaigns import Campaigns
from shelfwise.serve.gate import Gate, as_refused
from shelfwise.serve.openapi import EMPTY, FORECAST, SUGGEST, described, document
from shelfwise.serve.plan import Planning
from shelfwise.serve.proxy import prefixed
from shelfwise.serve.service import JSON_TYPE, Service, done
from shelfwise.serve.steering import Steering
from shelfwise.serve.wire import (
    Refused,
    failure,
)
from shelfwise.shop import Shop
from shelfwise.trust.keys import Scope

ROUTES = frozenset(
    {
        *("/v1/events", "/v1/products", "/v1/recommend", "/v1/similar", "/v1/rules", "/v1/synonyms", "/v1/audit"),
        "/v1/synonyms/suggestions",
        *("/v1/campaigns", "/v1/campaigns/contacts", "/v1/campaigns/redemptions", "/v1/stock", "/v1/orders"),
        *("/v1/search", "/v1/search/image", "/v1/suggest", "/v1/health", "/v1/ready", "/metrics", "/docs"),
        *(
            "/",
            "/search",
            "/suggest",
            "/photo",
            "/new",
            "/why",
            "/cart",
            "/persona",
            "/collect",
            "/consent",
            "/console",
        ),
    }
)
_ASSETS = Path(fastapi_offline.__file__).parent / "static"


def create_app(shop: Shop, *, own: bool = False) -> FastAPI:
    """The API of an open shop. Without keys it answers only requests that name a loopback host.

    own: the process is there for this app alone, which then closes the shop when it ends.
    """
    service = Service(shop, own=own)
    app = FastAPI(
        title=f"{shop.settings.name}: Shelfwise",
        version=shelfwise.__version__,
        description="Events and products in, recommendations out. Every reply carries `request_id`; "
        "every failure has one shape: `error` with `code`, `message` and `field`.",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=service.lifespan,
        middleware=[Middleware(Gate, access=service.access, metrics=service.metrics, routes=ROUTES)],
        redirect_slashes=False,
    )
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Refused, _http_error)

    ask = described("Answer", body="recommend", scope=Scope.READ)
    app.post("/v1/recommend", summary="What to show this customer here", **ask)(service.recommend)
    ingest = described("Accepted", body="events", scope=Scope.INGEST)
    app.post("/v1/events", summary="Record what shoppers did", **ingest)(service.events)
    ask = described("Answer", 404, body="similar", scope=Scope.READ)
    app.post("/v1/similar", summary="Products like this one", **ask)(service.similar)
    put = described("Stored", 429, body="products", queries=EMPTY, scope=Scope.INGEST)
    app.put("/v1/products", summary="Add or replace products", **put)(service.put_products)
    patch = described("Stored", 404, 429, body="products", scope=Scope.INGEST)
    app.patch("/v1/products", summary="Change only what is given of known products", **patch)(service.patch_products)
    delete = described("Deleted", 404, 429, scope=Scope.INGEST)
    app.delete("/v1/products/{id:path}", summary="Take a product out", **delete)(service.delete_product)
    answered = described("Found", body="search", scope=Scope.READ)
    app.post("/v1/search", summary="Products for a query", **answered)(service.search)
    answered = described("Found", 409, 429, body="image", scope=Scope.READ)
    app.post("/v1/search/image", summary="Products that look like a photo", **answered)(service.search_image)
    answered = described("Suggestions", 422, queries=SUGGEST, scope=Scope.READ)
    app.get("/v1/suggest", summary="Completions of what is being typed", **answered)(service.suggest)
    _steering(app, service)
    _campaigns(app, service)
    _planning(app, service)
    app.head("/v1/health", include_in_schema=False)(service.health)  # as many load balancers ask
    app.head("/v1/ready", include_in_schema=False)(service.ready)
    app.get("/v1/health", summary="Is the server up, and with what?", **described("Health"))(service.health)
    app.get("/v1/ready", summary="Can it record, answer and search?", **described("Ready"))(service.ready)
    app.get("/metrics", include_in_schema=False)(service.measured)
    app.get("/docs", include_in_schema=False)(_docs)
    app.mount("/docs/assets", StaticFiles(directory=_ASSETS))
    web.mount(app, service)
    # FastAPI's own way to replace the document, which mypy takes for an assignment to a method.
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    return app


class _Table:
    """Routes whose handlers take a request and give an answer's fields."""

    def __init__(self, app: FastAPI, **usual: Any) -> None:
        self._app, self._usual = app, usual

    def __call__(
        self, method: str, path: str, work: Callable[[Request], Awaitable[dict[str, Any]]], summary: str, **said: Any
    ) -> None:
        async def handler(request: Request) -> Response:
            return done(request, **await work(request))

        said = self._usual | said
        described_as = described(said.pop("reply"), *said.pop("failures", ()), **said)
        self._app.add_api_route(path, handler, methods=[method], summary=summary, name=work.__name__, **described_as)


def _steering(app: FastAPI, service: Service) -> None:
    steering = Steering(service.shop, service.access, service.beside)

    route = _Table(app, scope=Scope.MERCHANT)

    route("GET", "/v1/rules", steering.rules, "Merchants' rules", reply="Rules")
    route(
        "PUT", "/v1/rules", steering.put_rules, "Pin, boost, bury or hide", reply="Kept", body="rules", failures=(429,)
    )
    route("DELETE", "/v1/rules/{id:path}", steering.delete_rule, "End a rule", reply="Deleted", failures=(404, 429))
    route("GET", "/v1/synonyms", steering.synonyms, "Words taken for each other", reply="Synonyms")
    route("PUT", "/v1/synonyms", steering.put_synonyms, "Add synonyms", reply="Kept", body="synonyms", failures=(429,))
    route(
        "DELETE",
        "/v1/synonyms/{id:path}",
        steering.delete_synonym,
        "Drop synonyms",
        reply="Deleted",
        failures=(404, 429),
    )
    route(
        "GET",
        "/v1/synonyms/suggestions",
        steering.suggested,
        "Synonyms that shoppers' behaviour proposes, for a person to accept",
        reply="Proposals",
        failures=(429,),
    )
    route("GET", "/v1/audit", steering.audit, "Who changed rules and synonyms, newest first", reply="Changes")
    route(
        "POST",
        "/v1/audit/{number}/undo",
        steering.undo,
        "Put back what was before a change",
        reply="Undone",
        failures=(422, 429),
    )


def _campaigns(app: FastAPI, service: Service) -> None:
    campaigns = Campaigns(service.shop, service.access)

    route = _Table(app)

    merchant, ingest = {"scope": Scope.MERCHANT}, {"scope": Scope.INGEST}
    path = "/v1/campaigns"
    invited = {"reply": "Invitations", "body": "invited", "scope": Scope.READ}
    route("POST", path, campaigns.invited, "Which running campaigns to show a customer", **invited)
    route("GET", path, campaigns.drafts, "Campaigns, newest first", reply="Campaigns", **merchant)
    route("PUT", path, campaigns.put_drafts, "Draft campaigns", reply="Kept", body="campaigns", **merchant)
    made = {"reply": "AudienceMade", "body": "audience", "failures": (404,)}
    route("POST", "/v1/campaigns/{id}/audience", campaigns.audience, "Whom to address", **made, **merchant)
    effect = {"reply": "Effect", "failures": (404, 422)}
    route("GET", "/v1/campaigns/{id}/effect", campaigns.effect, "What a campaign changed", **effect, **merchant)
    contacts = {"reply": "Added", "body": "contacts"}
    route("POST", "/v1/campaigns/contacts", campaigns.contacts, "Record who was addressed", **contacts, **ingest)
    took = {"reply": "Added", "body": "redemptions"}
    route("POST", "/v1/campaigns/redemptions", campaigns.redemptions, "Record who took part", **took, **ingest)


def _planning(app: FastAPI, service: Service) -> None:
    planning = Planning(service.shop, service.access)

    route = _Table(app, scope=Scope.MERCHANT)

    failures = (404, 422)
    expected = {"reply": "Forecast", "failures": failures, "queries": FORECAST}
    route("GET", "/v1/forecast/{product:path}", planning.forecast, "What a product will sell", **expected)
    route("GET", "/v1/stock", planning.stock, "Stock on record", reply="StockList")
    route("PUT", "/v1/stock", planning.put_stock, "Record stock", reply="StockKept", body="stock")
    route("POST", "/v1/orders", planning.orders, "What to order", reply="Orders", body="orders")


async def _http_error(request: Request, error: Exception) -> Response:
    refused = as_refused(error)
    return Response(
        failure(request.scope["state"]["request_id"], refused), refused.status, refused.headers, media_type=JSON_TYPE
    )


async def _docs(request: Request) -> HTMLResponse:
    """Swagger's page from this server's own files: nothing is loaded from elsewhere."""
    prefix = request.scope["state"]["prefix"]
    page = get_swagger_ui_html(
        openapi_url=f"{prefix}/openapi.json",
        title="Shelfwise API",
        swagger_js_url="/docs/assets/swagger-ui-bundle.js",
        swagger_css_url="/docs/assets/swagger-ui.css",
        swagger_favicon_url="/docs/assets/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},
    )
    page = HTMLResponse(prefixed(bytes(page.body).decode(), prefix))
    page.headers["content-security-policy"] = (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
    )
    return page
