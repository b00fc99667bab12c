"""The shop window: home, search, product and cart over the live engine, for visitors and for the demo's customers.

What a visitor does here is recorded like any shop's events: a random name in a cookie is their session. Where nobody
but this machine can reach a shop without keys, one may also look through the eyes of a customer of the record.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from shelfwise.engine.request import Item
from shelfwise.engine.search.request import Facet, Hit, SearchAnswer, SearchFilters
from shelfwise.engine.search.suggest import Suggestion
from shelfwise.errors import BundleError, EncodingError, InvalidRequest, UnknownProduct
from shelfwise.schema import MAX_QUERY, MAX_TITLE, Event, EventType, Product
from shelfwise.serve.gate import is_loopback
from shelfwise.serve.imports import UPLOADS
from shelfwise.serve.search import check_photo
from shelfwise.serve.uploads import receive
from shelfwise.serve.web.console.customer import recent
from shelfwise.serve.web.render import render
from shelfwise.serve.wire import Refused
from shelfwise.shop import Shop

if TYPE_CHECKING:
    from shelfwise.serve.app import Service

ROW = 6  # products a row
FOUND = 24  # products a page of results
PERSONAS = 8
MAX_PHOTO = 10_000_000  # bytes
_PAST = 200  # newest events that the cart and "seen lately" are read from
_AMONG = 20_000  # newest events among which personas are found
_YEAR = 365 * 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A product on a page, with why it is there. title: parted into (text, is it what was searched for?)."""

    product: Product
    title: tuple[tuple[str, bool], ...]
    reason: str = ""
    score: float = 0.0
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """name: a key of the texts."""

    name: str
    products: tuple[Shown, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """What every page has around it. persona: the customer looked through, "" for a visitor; personas: to choose from.
    events: how many of the visitor's actions are known."""

    shop: str
    simulated: bool
    persona: str
    personas: tuple[str, ...]
    cart: int
    events: int
    query: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class HomePage:
    template: ClassVar[str] = "window/home.html"
    frame: Frame
    rows: tuple[Row, ...]
    products: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchPage:
    """undo: ids of chips taken away. category: the one narrowed to."""

    template: ClassVar[str] = "window/search.html"
    frame: Frame
    answer: SearchAnswer
    found: tuple[Shown, ...]
    categories: Facet | None
    category: str
    undo: tuple[str, ...]

    def without(self, chip: str) -> str:
        """The address of the same search without one of the things read from its query."""
        asked = [("q", self.frame.query), ("category", self.category), *(("undo", id) for id in (*self.undo, chip))]
        return f"/search?{urlencode([pair for pair in asked if pair[1]])}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductPage:
    template: ClassVar[str] = "window/product.html"
    frame: Frame
    product: Product
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CartPage:
    """done: "bought" right after."""

    template: ClassVar[str] = "window/cart.html"
    frame: Frame
    products: tuple[Shown, ...]
    total: float
    currency: str
    rows: tuple[Row, ...]
    done: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoPage:
    """found: what looks like the photo that was sent. wrong: why it cannot be looked at."""

    template: ClassVar[str] = "window/photo.html"
    frame: Frame
    found: tuple[Shown, ...] = ()
    wrong: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestions:
    template: ClassVar[str] = "window/suggest.html"
    found: tuple[Suggestion, ...]


@dataclass(frozen=True, slots=True)
class Visitor:
    """name: a random one, kept in a cookie; back: did they bring it? customer: whose eyes are looked through, "" for
    the visitor's own. session: the visit that events belong to; none for a customer, so that a visitor's visit stays
    their own."""

    name: str
    customer: str
    back: bool

    @property
    def session(self) -> str:
        return "" if self.customer else self.name


def mount(app: FastAPI, service: Service) -> None:
    """Add the window's pages to the app."""
    window = Window(service.shop)
    for method, path, handler in (
        ("GET", "/", window.home),
        ("GET", "/search", window.search),
        ("GET", "/suggest", window.suggest),
        ("GET", "/product/{id:path}", window.product),
        ("GET", "/photo", window.photo),
        ("POST", "/photo", window.look),
        ("GET", "/cart", window.cart),
        ("POST", "/cart", window.change_cart),
        ("POST", "/persona", window.persona),
    ):
        app.add_api_route(path, handler, methods=[method], include_in_schema=False)


class Window:
    """The handlers over one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._personas: tuple[str, ...] | None = None

    async def home(self, request: Request) -> Response:
        visitor = self._visitor(request)

        def page() -> HomePage:
            known = self._past(visitor)
            rows = self._home_rows(visitor, known)
            return HomePage(frame=self._frame(visitor, known), rows=rows, products=self._shop.product_count)

        return self._kept(render(await asyncio.to_thread(page), request), visitor)

    async def search(self, request: Request) -> Response:
        visitor, asked = self._visitor(request), request.query_params
        query, category = _plain(asked.get("q", ""), MAX_QUERY), _plain(asked.get("category", ""), MAX_TITLE)
        undo, after = tuple(asked.getlist("undo"))[:20], asked.get("after", "")

        def page() -> SearchPage:
            if query and not after:
                self._record(visitor, EventType.SEARCH, query=query)
            answer = self._shop.search(
                query,
                filters=SearchFilters(categories=(category,) if category else ()),
                k=FOUND,
                after=after,
                undo=undo,
                facets=("category",),
                customer=visitor.customer,
                session=visitor.session,
            )
            return SearchPage(
                frame=self._frame(visitor, self._past(visitor), query),
                answer=answer,
                found=self._hits(answer.items),
                categories=answer.facets[0] if answer.facets else None,
                category=category,
                undo=undo,
            )

        return self._kept(render(await asyncio.to_thread(page), request), visitor)

    async def suggest(self, request: Request) -> Response:
        typed = _plain(request.query_params.get("q", ""), MAX_QUERY)
        found = await asyncio.to_thread(lambda: self._shop.suggest(typed, k=6)) if typed else []
        return render(Suggestions(found=tuple(found)), request)

    async def product(self, request: Request) -> Response:
        visitor, id = self._visitor(request), request.path_params["id"]

        def page() -> ProductPage:
            product = self._shop.store.product(id)
            if product is None:
                raise Refused(404, "unknown_product", f"no product has the id {id[:60]!r}")
            self._record(visitor, EventType.VIEW_ITEM, product=id)
            known = self._past(visitor)
            rows = [
                Row(name="similar", products=self._similar(product)),
                Row(name="goes_with", products=self._recommended(visitor, surface="product", seeds=(id,))),
                Row(name="seen", products=self._seen(known, without=id)),
            ]
            return ProductPage(
                frame=self._frame(visitor, known), product=product, rows=tuple(row for row in rows if row.products)
            )

        return self._kept(render(await asyncio.to_thread(page), request), visitor)

    async def photo(self, request: Request) -> Response:
        visitor = self._visitor(request)
        frame = await asyncio.to_thread(lambda: self._frame(visitor, self._past(visitor)))
        return self._kept(render(PhotoPage(frame=frame), request), visitor)

    async def look(self, request: Request) -> Response:
        """Products that look like the photo, which is not kept."""
        _check_origin(request)
        visitor = self._visitor(request)

        def page(path: Path | None, wrong: str = "") -> PhotoPage:
            found: tuple[Shown, ...] = ()
            try:
                if path is not None:
                    photo = path.read_bytes()
                    check_photo(photo)
                    answer = self._shop.search_image(photo, k=FOUND, customer=visitor.customer, session=visitor.session)
                    found = self._hits(answer.items)
            except (Refused, EncodingError, InvalidRequest) as error:
                wrong = str(error)
            finally:
                if path is not None:
                    path.unlink(missing_ok=True)
            return PhotoPage(frame=self._frame(visitor, self._past(visitor)), found=found, wrong=wrong)

        path, wrong = None, ""
        try:
            path = (await receive(request, self._shop.folder / UPLOADS, MAX_PHOTO, lambda _: None)).path
        except Refused as refused:
            wrong = refused.message
        made = await asyncio.to_thread(page, path, wrong)
        return self._kept(render(made, request, 422 if made.wrong else 200), visitor)

    async def cart(self, request: Request) -> Response:
        visitor = self._visitor(request)
        done = "bought" if request.query_params.get("done") == "bought" else ""

        def page() -> CartPage:
            known = self._past(visitor)
            there = [product for id in _cart(known) if (product := self._shop.store.product(id)) is not None]
            seeds = tuple(product.id for product in there if self._shop.knows(product.id))[:10]
            fits = self._recommended(visitor, surface="cart", seeds=seeds) if seeds else ()
            return CartPage(
                frame=self._frame(visitor, known),
                products=tuple(Shown(product=product, title=_whole(product)) for product in there),
                total=sum(product.price or 0.0 for product in there),
                currency=there[0].currency if there else "",
                rows=(Row(name="fits", products=fits),) if fits else (),
                done=done,
            )

        return self._kept(render(await asyncio.to_thread(page), request), visitor)

    async def change_cart(self, request: Request) -> Response:
        """Put in, take out, or buy what is in it."""
        form = await _own_form(request)
        visitor, id, act = self._visitor(request), str(form.get("product", "")), str(form.get("act", "add"))

        def change() -> None:
            if act == "buy":
                for one in _cart(self._past(visitor)):
                    self._record(visitor, EventType.PURCHASE, product=one)
            elif self._shop.store.product(id) is None:
                raise Refused(404, "unknown_product", f"no product has the id {id[:60]!r}")
            else:
                kind = EventType.REMOVE_FROM_CART if act == "remove" else EventType.ADD_TO_CART
                self._record(visitor, kind, product=id)

        await asyncio.to_thread(change)
        return self._kept(RedirectResponse("/cart?done=bought" if act == "buy" else "/cart", 303), visitor)

    async def persona(self, request: Request) -> Response:
        form = await _own_form(request)
        chosen = str(form.get("persona", ""))
        response = RedirectResponse("/", 303)
        if chosen and chosen in await asyncio.to_thread(self._offered):
            response.set_cookie("persona", chosen.encode("utf-8").hex(), httponly=True, samesite="lax")
        else:
            response.delete_cookie("persona")
        return response

    def _home_rows(self, visitor: Visitor, known: Sequence[Event]) -> tuple[Row, ...]:
        first = self._recommended(visitor)
        shown = {one.product.id for one in first}
        fresh = [one for one in self._recommended(visitor, k=4 * ROW, new=True) if one.product.id not in shown][:ROW]
        rows = [
            Row(name="for_you" if known else "popular", products=first),
            Row(name="new_for_you" if known else "more", products=tuple(fresh)),
            Row(name="seen", products=self._seen(known)),
        ]
        return tuple(row for row in rows if row.products)

    def _recommended(
        self, visitor: Visitor, *, k: int = ROW, new: bool = False, surface: str = "home", seeds: tuple[str, ...] = ()
    ) -> tuple[Shown, ...]:
        try:
            answer = self._shop.recommend(
                customer=visitor.customer,
                session=visitor.session,
                surface=surface,
                seeds=seeds,
                k=3 * k,
                exclude_purchased=new or surface != "home",
            )
        except (BundleError, UnknownProduct):
            return ()
        return self._items(answer.items, k)

    def _similar(self, product: Product) -> tuple[Shown, ...]:
        try:
            items = self._shop.similar(product.id, k=3 * ROW).items
        except (BundleError, UnknownProduct):
            return ()
        return self._items(items, ROW, product)

    def _items(self, items: Iterable[Item], k: int, beside: Product | None = None) -> tuple[Shown, ...]:
        """The first k, one of each group of variants."""
        groups = {beside.item_group_id or beside.id} if beside else set()
        found: list[Shown] = []
        for item in items:
            product = self._shop.store.product(item.product)
            group = "" if product is None else product.item_group_id or product.id
            if product is not None and group not in groups and len(found) < k:
                groups.add(group)
                found.append(
                    Shown(
                        product=product,
                        title=_whole(product),
                        reason=item.reason,
                        score=item.score,
                        sources=item.sources,
                    )
                )
        return tuple(found)

    def _hits(self, hits: Iterable[Hit]) -> tuple[Shown, ...]:
        return tuple(
            Shown(product=product, title=_parted(product.title or product.id, hit.highlights.get("title", ())))
            for hit in hits
            if (product := self._shop.store.product(hit.product)) is not None
        )

    def _seen(self, known: Sequence[Event], without: str = "") -> tuple[Shown, ...]:
        kinds = (EventType.VIEW_ITEM, EventType.SELECT_ITEM, EventType.ADD_TO_CART)
        ids = dict.fromkeys(event.product for event in reversed(known) if event.type in kinds and event.product)
        products = (self._shop.store.product(id) for id in ids if id != without)
        found = [Shown(product=product, title=_whole(product)) for product in products if product is not None]
        return tuple(found[:ROW])

    def _past(self, visitor: Visitor) -> list[Event]:
        return self._shop.last_events(customer=visitor.customer, session=visitor.session, n=_PAST)

    def _record(self, visitor: Visitor, kind: EventType, *, product: str = "", query: str = "") -> None:
        if not visitor.back:  # a program that takes no cookies would be a new visitor with each page
            return
        self._shop.append_events(
            [Event(type=kind, product=product, query=query, customer=visitor.customer, session=visitor.session)]
        )

    def _frame(self, visitor: Visitor, known: Sequence[Event], query: str = "") -> Frame:
        settings = self._shop.settings
        return Frame(
            shop=settings.name,
            simulated=settings.simulated,
            persona=visitor.customer,
            personas=self._offered(),
            cart=len(_cart(known)),
            events=len(known),
            query=query,
        )

    def _offered(self) -> tuple[str, ...]:
        if not is_loopback(self._shop.settings.host) or self._shop.keys.list():
            return ()
        if self._personas is None:
            people = sorted(recent(self._shop, customers=True, among=_AMONG), key=lambda person: -person.events)
            self._personas = tuple(person.id for person in people[:PERSONAS])
        return self._personas

    def _visitor(self, request: Request) -> Visitor:
        session = request.cookies.get("visitor", "")
        back = session.isascii() and session.isalnum() and len(session) == 32
        if not back:
            session = secrets.token_hex(16)
        try:
            customer = bytes.fromhex(request.cookies.get("persona", "")).decode("utf-8")
        except ValueError:
            customer = ""
        return Visitor(session, customer if customer in self._offered() else "", back)

    @staticmethod
    def _kept(response: Response, visitor: Visitor) -> Response:
        response.set_cookie("visitor", visitor.name, max_age=_YEAR, httponly=True, samesite="lax")
        return response


def _cart(known: Sequence[Event]) -> list[str]:
    there: dict[str, None] = {}
    for event in known:
        if event.type is EventType.ADD_TO_CART:
            there[event.product] = None
        elif event.type in (EventType.REMOVE_FROM_CART, EventType.PURCHASE):
            there.pop(event.product, None)
    return list(there)


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


def _check_origin(request: Request) -> None:
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Refused(403, "foreign_origin", "this form must be sent from its own page")


async def _own_form(request: Request) -> dict[str, str]:
    """The form of one of our pages. Raises Refused when a page of another site sends it."""
    _check_origin(request)
    form = await request.form(max_files=0, max_fields=10, max_part_size=10_000)
    return {name: str(value) for name, value in form.items()}
