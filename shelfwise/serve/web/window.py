"""The shop window: home, search, product and cart over the live engine, for visitors and for the demo's customers.

What a visitor does here is recorded like any shop's events: a random name in a cookie is their session. Where nobody
but this machine can reach a shop without keys, one may also look through the eyes of a customer of the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from shelfwise.catalogue.filters import SearchFilters
from shelfwise.engine.request import MAX_K, Because, Item
from shelfwise.errors import BundleError, EncodingError, InvalidRequest, UnknownProduct
from shelfwise.plan.campaigns.words import reason
from shelfwise.schema import MAX_ID, MAX_QUERY, MAX_TITLE, Event, EventType, Product
from shelfwise.search.request import Hit
from shelfwise.serve.gate import read_body
from shelfwise.serve.imports import UPLOADS
from shelfwise.serve.metrics import Metrics
from shelfwise.serve.search import check_photo
from shelfwise.serve.uploads import receive
from shelfwise.serve.web.render import render
from shelfwise.serve.web.visiting import Past, Visitor, Visitors, check_origin, kept, own_form
from shelfwise.serve.web.window_pages import (
    CartPage,
    Frame,
    HomePage,
    Invited,
    NewPage,
    PhotoPage,
    PriceRange,
    ProductPage,
    Row,
    SearchPage,
    Shown,
    Suggestions,
    WhyPage,
)
from shelfwise.serve.wire import Refused
from shelfwise.shop import Shop

if TYPE_CHECKING:
    from shelfwise.serve.service import Service

ROW = 6  # products a row
OFFERS = 3  # campaigns on the home page
FOUND = 24  # products a page of results
BEHIND = 4  # events named as reasons
MAX_PRICE = 30  # characters of one that is typed
MAX_PHOTO = 10_000_000  # bytes
MAX_BEACON = 64 * 1024  # bytes
YEAR = 365 * 86_400  # seconds a choice is kept
_NEAR = 8  # products near another whose events speak for it


def mount(app: FastAPI, service: Service) -> None:
    """Add the window's pages to the app."""
    window = Window(service.shop, service.metrics)
    for method, path, handler in (
        ("GET", "/", window.home),
        ("GET", "/search", window.search),
        ("GET", "/suggest", window.suggest),
        ("GET", "/product/{id:path}", window.product),
        ("GET", "/new", window.new),
        ("GET", "/why", window.why),
        ("POST", "/collect", window.collect),
        ("POST", "/consent", window.consent),
        ("GET", "/photo", window.photo),
        ("POST", "/photo", window.look),
        ("GET", "/cart", window.cart),
        ("POST", "/cart", window.change_cart),
        ("POST", "/persona", window.persona),
    ):
        app.add_api_route(path, handler, methods=[method], include_in_schema=False)


class Window:
    """The handlers over one shop."""

    def __init__(self, shop: Shop, metrics: Metrics) -> None:
        self._shop = shop
        self._metrics = metrics
        self._visitors = Visitors(shop, metrics)

    async def home(self, request: Request) -> Response:
        visitor = self._visitors.of(request)

        def page() -> HomePage:
            known = self._visitors.past(visitor)
            return HomePage(
                frame=self._frame(visitor, known),
                rows=self._home_rows(visitor, known),
                invited=self._invited(visitor),
                products=self._shop.product_count,
            )

        return kept(render(await asyncio.to_thread(page), request), visitor)

    async def search(self, request: Request) -> Response:
        visitor, params = self._visitors.of(request), request.query_params
        query = _plain(params.get("q", ""), MAX_QUERY)
        category, brand = (_plain(params.get(name, ""), MAX_TITLE) for name in ("category", "brand"))
        undo, after = tuple(params.getlist("undo"))[:20], params.get("after", "")
        currency = self._shop.settings.currency
        low, high = (_plain(params.get(name, ""), MAX_PRICE) for name in ("min", "max"))
        price = PriceRange.read(low, high, currency)

        def page() -> SearchPage:
            answer = self._shop.search(
                query,
                filters=SearchFilters(
                    categories=(category,) if category else (),
                    brands=(brand,) if brand else (),
                    price_min=price.bounds[0],
                    price_max=price.bounds[1],
                ),
                k=FOUND,
                after=after,
                undo=undo,
                language=visitor.language,
                facets=("category", "brand", "price"),
                customer=visitor.customer,
                session=visitor.session,
            )
            self._metrics.searched(answer.total)
            facets = {facet.name: facet for facet in answer.facets}
            prices = facets["price"]
            return SearchPage(
                frame=self._frame(visitor, self._visitors.past(visitor), query),
                answer=answer,
                products=self._hits(answer.items),
                categories=facets["category"],
                brands=facets["brand"],
                category=category,
                brand=brand,
                price=replace(price, least=prices.low, most=prices.high),
                currency=currency,
                undo=undo,
                later=bool(after),
            )

        return kept(render(await asyncio.to_thread(page), request, 422 if price.wrong else 200), visitor)

    async def suggest(self, request: Request) -> Response:
        typed = _plain(request.query_params.get("q", ""), MAX_QUERY)
        suggestions = await asyncio.to_thread(lambda: self._shop.suggest(typed, k=6)) if typed else []
        return render(Suggestions(suggestions=tuple(suggestions)), request)

    async def product(self, request: Request) -> Response:
        visitor, id = self._visitors.of(request), request.path_params["id"]

        def page() -> ProductPage:
            product = self._shop.offers.product(id)
            if product is None:
                raise Refused(404, "unknown_product", f"no product has the id {id[:60]!r}")
            known = self._visitors.past(visitor)
            goes_with = self._recommended("goes_with", visitor, surface="product", seeds=(id,))
            besides = set() if goes_with is None else {one.product.id for one in goes_with.products}
            rows = [
                goes_with,
                self._similar(product, visitor, besides),
                Row(name="seen", products=self._seen(known, without=id)),
            ]
            return ProductPage(
                frame=self._frame(visitor, known),
                product=product,
                rows=tuple(row for row in rows if row is not None and row.products),
            )

        return kept(render(await asyncio.to_thread(page), request), visitor)

    async def new(self, request: Request) -> Response:
        visitor = self._visitors.of(request)

        def page() -> NewPage:
            row = self._recommended("new_for_you", visitor, k=FOUND, new=True)
            return NewPage(frame=self._frame(visitor, self._visitors.past(visitor)), row=row)

        return kept(render(await asyncio.to_thread(page), request), visitor)

    async def why(self, request: Request) -> Response:
        """A fragment: the events behind a product's place on the page."""
        visitor, params = self._visitors.of(request), request.query_params
        because = Because(product=params.get("because", "")[:MAX_ID], query=params.get("query", "")[:MAX_QUERY])
        page = await asyncio.to_thread(self._why, visitor, params.get("product", "")[:MAX_ID], because)
        return render(page, request)

    async def collect(self, request: Request) -> Response:
        """What shelfwise.js tells of the page's own visitor."""
        check_origin(request)
        visitor, body = self._visitors.of(request), await read_body(request, MAX_BEACON)
        await asyncio.to_thread(self._visitors.collect, visitor, body)
        return Response(status_code=204)

    async def consent(self, request: Request) -> Response:
        form = await own_form(request)
        response = RedirectResponse("/", 303)
        said = "given" if form.get("consent") == "given" else "refused"
        response.set_cookie("consent", said, max_age=YEAR, httponly=True, samesite="lax")
        return kept(response, self._visitors.of(request))

    async def photo(self, request: Request) -> Response:
        visitor = self._visitors.of(request)
        frame = await asyncio.to_thread(lambda: self._frame(visitor, self._visitors.past(visitor)))
        return kept(render(PhotoPage(frame=frame), request), visitor)

    async def look(self, request: Request) -> Response:
        """Products that look like the photo, which is not kept."""
        check_origin(request)
        visitor = self._visitors.of(request)

        def page(path: Path | None, wrong: str = "") -> PhotoPage:
            products: tuple[Shown, ...] = ()
            try:
                if path is not None:
                    photo = path.read_bytes()
                    check_photo(photo)
                    answer = self._shop.search_image(photo, k=FOUND, customer=visitor.customer, session=visitor.session)
                    self._metrics.searched(answer.total)
                    products = self._hits(answer.items)
            except (Refused, EncodingError, InvalidRequest) as error:
                wrong = str(error)
            finally:
                if path is not None:
                    path.unlink(missing_ok=True)
            return PhotoPage(frame=self._frame(visitor, self._visitors.past(visitor)), products=products, wrong=wrong)

        path, wrong = None, ""
        try:
            path = (await receive(request, self._shop.folder / UPLOADS, MAX_PHOTO, lambda _: None)).path
        except Refused as refused:
            wrong = refused.message
        made = await asyncio.to_thread(page, path, wrong)
        return kept(render(made, request, 422 if made.wrong else 200), visitor)

    async def cart(self, request: Request) -> Response:
        visitor = self._visitors.of(request)
        done = "bought" if request.query_params.get("done") == "bought" else ""

        def page() -> CartPage:
            known = self._visitors.past(visitor)
            there = list(self._shop.offers.products(known.cart).values())
            seeds = tuple(product.id for product in there if self._shop.knows(product.id))[:10]
            fits = self._recommended("fits", visitor, surface="cart", seeds=seeds) if seeds else None
            return CartPage(
                frame=self._frame(visitor, known),
                products=tuple(Shown(product=product, title=_whole(product)) for product in there),
                total=sum(product.price or 0.0 for product in there),
                currency=there[0].currency if there else "",
                rows=(fits,) if fits is not None and fits.products else (),
                done=done,
            )

        return kept(render(await asyncio.to_thread(page), request), visitor)

    async def change_cart(self, request: Request) -> Response:
        """Put in, take out, or buy what is in it."""
        form = await own_form(request)
        visitor, id, act = self._visitors.of(request), str(form.get("product", "")), str(form.get("act", "add"))

        def change() -> None:
            if act == "buy":
                self._visitors.record(visitor, EventType.PURCHASE, self._visitors.past(visitor).cart)
            elif self._shop.offers.product(id) is None:
                raise Refused(404, "unknown_product", f"no product has the id {id[:60]!r}")
            else:
                kind = EventType.REMOVE_FROM_CART if act == "remove" else EventType.ADD_TO_CART
                self._visitors.record(visitor, kind, [id])

        await asyncio.to_thread(change)
        return kept(RedirectResponse("/cart?done=bought" if act == "buy" else "/cart", 303), visitor)

    async def persona(self, request: Request) -> Response:
        form = await own_form(request)
        chosen = str(form.get("persona", ""))
        response = RedirectResponse("/", 303)
        if chosen and chosen in {one.id for one in await asyncio.to_thread(self._visitors.personas)}:
            response.set_cookie("persona", chosen.encode("utf-8").hex(), httponly=True, samesite="lax")
        else:
            response.delete_cookie("persona")
        return response

    def _home_rows(self, visitor: Visitor, known: Past) -> tuple[Row, ...]:
        """Each product once: what stands in a row is left out of those below."""
        seen = self._seen(known)
        cart = tuple(id for id in known.cart if self._shop.knows(id))[:10]
        plans: list[tuple[str, dict[str, Any]]] = [("for_you" if known.events else "popular", {})]
        if seen:
            plans.append(("because", {"surface": "product", "seeds": (seen[0].product.id,)}))
        if cart:
            plans.append(("fits", {"surface": "cart", "seeds": cart}))
        plans.append(("new_for_you" if known.events else "more", {"new": True}))
        rows: list[Row] = []
        for name, how in plans:
            there = {one.product.id for row in rows for one in row.products}
            products = self._recommended(name, visitor, besides=there, **how)
            if products is not None and products.products:
                rows.append(products)
        return (*rows, Row(name="seen", products=seen)) if seen else tuple(rows)

    def _invited(self, visitor: Visitor) -> tuple[Invited, ...]:
        """Running campaigns that address this customer, the best first."""
        offers = self._shop.campaigns.offers(visitor.customer, OFFERS) if visitor.customer else []
        there = self._shop.offers.products(id for one in offers for id in one.products)
        return tuple(
            Invited(
                title=one.title,
                code=one.offer,
                percent=f"{100 * one.discount:.3g}" if one.discount else "",
                reason=reason(one.reason),
                products=tuple(
                    Shown(product=there[id], title=_whole(there[id])) for id in one.products[:ROW] if id in there
                ),
            )
            for one in offers
        )

    def _recommended(
        self,
        name: str,
        visitor: Visitor,
        *,
        k: int = ROW,
        new: bool = False,
        surface: str = "home",
        seeds: tuple[str, ...] = (),
        besides: Collection[str] = (),
    ) -> Row | None:
        try:
            answer = self._shop.recommend(
                customer=visitor.customer,
                session=visitor.session,
                surface=surface,
                seeds=seeds,
                k=min(MAX_K, 3 * k + len(besides)),
                exclude_purchased=new or surface != "home",
                language=visitor.language,
            )
        except (BundleError, UnknownProduct):
            return None
        items = [item for item in answer.items if item.product not in besides]
        return Row(name=name, products=self._items(items, k), answer=answer.request_id)

    def _similar(self, product: Product, visitor: Visitor, besides: Collection[str]) -> Row | None:
        try:
            answer = self._shop.similar(product.id, k=4 * ROW, language=visitor.language)
        except (BundleError, UnknownProduct):
            return None
        items = [item for item in answer.items if item.product not in besides]
        return Row(name="similar", products=self._items(items, ROW, product), answer=answer.request_id)

    def _why(self, visitor: Visitor, id: str, because: Because) -> WhyPage:
        try:
            near = {id, *(item.product for item in self._shop.similar(id, k=_NEAR).items)}
        except (BundleError, UnknownProduct):
            near = {id}

        def named(event: Event) -> bool:
            query = because.query and event.query.casefold() == because.query.casefold()
            return bool(query or (because.product and event.product == because.product))

        if because.query:
            near |= set(self._shop.finds(because.query))
        events: dict[tuple[str, str, EventType], Event] = {}  # the newest of each kind
        for event in reversed(self._visitors.events(visitor)):
            if named(event) or event.product in near:
                events.setdefault((event.product, event.query.casefold(), event.type), event)
        newest = sorted(events.values(), key=lambda event: (named(event), event.time), reverse=True)[:BEHIND]
        products = self._shop.offers.products(event.product for event in newest)
        titles = {id: product.title or id for id, product in products.items()}
        return WhyPage(
            behind=tuple((event, titles.get(event.product, event.product or event.query)) for event in newest)
        )

    def _items(self, items: Iterable[Item], k: int, beside: Product | None = None) -> tuple[Shown, ...]:
        """The first k, one of each group of variants."""
        groups = {beside.item_group_id or beside.id} if beside else set()
        shown: list[Shown] = []
        waiting = {item.product: item for item in items}
        while waiting and len(shown) < k:
            ids = list(islice(waiting, 2 * k))  # as a rule enough
            products = self._shop.offers.products(ids)
            for id in ids:
                item, product = waiting.pop(id), products.get(id)
                group = "" if product is None else product.item_group_id or id
                if product is None or group in groups:
                    continue
                groups.add(group)
                shown.append(
                    Shown(
                        product=product,
                        title=_whole(product),
                        reason=item.reason,
                        score=item.score,
                        sources=item.sources,
                        because=item.because,
                    )
                )
        return tuple(shown[:k])

    def _hits(self, hits: Iterable[Hit]) -> tuple[Shown, ...]:
        marks = {hit.product: hit.highlights.get("title", ()) for hit in hits}
        return tuple(
            Shown(product=product, title=_parted(product.title or id, marks[id]))
            for id, product in self._shop.offers.products(marks).items()
        )

    def _seen(self, known: Past, without: str = "") -> tuple[Shown, ...]:
        ids = [id for id in known.looked if id != without][: 2 * ROW]  # some may be gone
        products = islice(self._shop.offers.products(ids).values(), ROW)
        return tuple(Shown(product=product, title=_whole(product)) for product in products)

    def _frame(self, visitor: Visitor, known: Past, query: str = "") -> Frame:
        settings = self._shop.settings
        return Frame(
            shop=settings.name,
            simulated=settings.simulated,
            persona=visitor.customer,
            personas=self._visitors.personas(),
            consent=visitor.consent,
            cart=len(known.cart),
            events=known.events,
            query=query,
        )


def _whole(product: Product) -> tuple[tuple[str, bool], ...]:
    return ((product.title or product.id, False),)


def _parted(text: str, marks: Iterable[tuple[int, int]]) -> tuple[tuple[str, bool], ...]:
    parts: list[tuple[str, bool]] = []
    at = 0
    for start, end in sorted(marks):
        if start >= at:
            parts += [(text[at:start], False), (text[start:end], True)]
            at = end
    parts.append((text[at:], False))
    return tuple(part for part in parts if part[0])


def _plain(text: str, limit: int) -> str:
    return "".join(c for c in text[:limit] if c.isprintable()).strip()
