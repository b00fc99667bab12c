"""Who visits the shop window: a visitor by a random name in a cookie, or a customer of the record looked through.

What a visitor looks at is recorded only once they said yes; the cart, which they fill themselves, always is.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from shelfwise.errors import InvalidRecord
from shelfwise.schema import MAX_ID, MAX_QUERY, Event, EventType
from shelfwise.serve.gate import is_loopback
from shelfwise.serve.metrics import Metrics
from shelfwise.serve.web.console.customer import recent
from shelfwise.serve.web.console.guard import foreign
from shelfwise.serve.web.render import language
from shelfwise.serve.wire import Refused, parse_json
from shelfwise.shop import Shop

PERSONAS = 6
MAX_EVENTS = 60  # a beacon
_AMONG = 20_000  # newest events among which personas are found
_LIKED = 60  # newest events of a persona that tell what they like
_PAST = 400  # newest events that the cart and "seen lately" are read from
_YEAR = 365 * 86_400
_ADD = EventType.ADD_TO_CART.code
_TAKES = frozenset({EventType.REMOVE_FROM_CART.code, EventType.PURCHASE.code})
_LOOKS = frozenset({EventType.VIEW_ITEM.code, EventType.SELECT_ITEM.code, _ADD})
#: What a page may tell of its own visitor.
COLLECTED = frozenset(
    {EventType.VIEW_ITEM, EventType.SELECT_ITEM, EventType.VIEW_ITEM_LIST, EventType.SEARCH, EventType.ADD_TO_CART}
)


@dataclass(frozen=True, slots=True)
class Persona:
    """A customer of the record. likes: the category they turn to most, "" where none is known."""

    id: str
    likes: str


@dataclass(frozen=True, slots=True)
class Visitor:
    """name: a random one, kept in a cookie; back: did they bring it? consent: may their looks be recorded (None: not
    said yet)? customer: whose eyes are looked through, "" for the visitor's own. session: the visit that events belong
    to; none for a customer, so that a visitor's visit stays their own. language: of the page, en or zh."""

    name: str
    back: bool
    consent: bool | None
    customer: str
    language: str

    @property
    def session(self) -> str:
        return "" if self.customer else self.name


@dataclass(frozen=True, slots=True)
class Past:
    """What a visitor did lately. events: how much, without what they were merely shown. looked: products turned to, the
    newest first. cart: products put in and neither taken out nor bought since."""

    events: int
    looked: tuple[str, ...]
    cart: tuple[str, ...]


class Visitors:
    """The visitors of one shop."""

    def __init__(self, shop: Shop, metrics: Metrics) -> None:
        self._shop = shop
        self._metrics = metrics
        self._personas: tuple[Persona, ...] | None = None

    def of(self, request: Request) -> Visitor:
        name = request.cookies.get("visitor", "")
        back = name.isascii() and name.isalnum() and len(name) == 32
        try:
            customer = bytes.fromhex(request.cookies.get("persona", "")).decode("utf-8")
        except ValueError:
            customer = ""
        if customer and customer not in {persona.id for persona in self.personas()}:
            customer = ""
        consent = {"given": True, "refused": False}.get(request.cookies.get("consent", ""))
        return Visitor(name if back else secrets.token_hex(16), back, consent, customer, language(request))

    def personas(self) -> tuple[Persona, ...]:
        """Customers to look through: only where this machine alone reaches the shop and no key protects it."""
        if not is_loopback(self._shop.settings.host) or self._shop.keys.list():
            return ()
        if self._personas is None:
            people = sorted(recent(self._shop, customers=True, among=_AMONG), key=lambda person: -person.events)
            self._personas = tuple(Persona(person.id, self._likes(person.id)) for person in people[:PERSONAS])
        return self._personas

    def past(self, visitor: Visitor) -> Past:
        """The same events in few words, which most pages need: read in columns, in a fraction of the time."""
        rows = self._shop.store.last_rows(customer=visitor.customer, session=visitor.session, n=_PAST, prices=False)
        looked: dict[str, None] = {}
        cart: dict[str, None] = {}
        for product, kind in zip(rows.products, rows.kinds.tolist(), strict=True):
            if kind in _LOOKS and product:
                looked.pop(product, None)
                looked[product] = None
            if kind == _ADD:
                cart[product] = None
            elif kind in _TAKES:
                cart.pop(product, None)
        done = len(rows.products) - int((rows.kinds == EventType.VIEW_ITEM_LIST.code).sum())
        return Past(done, tuple(reversed(looked)), tuple(cart))

    def events(self, visitor: Visitor) -> list[Event]:
        """What they did, the oldest first; without what they were merely shown."""
        known = self._shop.last_events(customer=visitor.customer, session=visitor.session, n=_PAST)
        return [event for event in known if event.type != EventType.VIEW_ITEM_LIST]

    def record(self, visitor: Visitor, kind: EventType, products: Sequence[str]) -> None:
        """What they did on purpose. (A program that takes no cookies would be a new visitor with each page.)"""
        if visitor.back and products:
            who = {"customer": visitor.customer, "session": visitor.session}
            self._append([Event(type=kind, product=product, **who) for product in products])  # type: ignore[arg-type]

    def collect(self, visitor: Visitor, body: bytes) -> int:
        """Record what a page tells of its own visitor, as far as it may; how many. Raises Refused for no such body."""
        body_fields = parse_json(body)
        rows = body_fields.get("events") if isinstance(body_fields, dict) else None
        if not isinstance(rows, list) or len(rows) > MAX_EVENTS:
            raise Refused(422, "invalid", f'send {{"events": [...]}} with at most {MAX_EVENTS} events')
        if not (visitor.back and visitor.consent):
            return 0
        events = [event for row in rows if (event := self._event(visitor, row)) is not None]
        if events:
            self._append(events)
        return len(events)

    def _append(self, events: Sequence[Event]) -> None:
        appended = self._shop.append_events(events)
        self._metrics.ingested(appended.accepted, appended.duplicates)

    def _event(self, visitor: Visitor, row: object) -> Event | None:
        """None for what says nothing: an unknown type or product."""
        if not isinstance(row, dict):
            return None
        kind, product, query, answer = (str(row.get(name, "")) for name in ("type", "product", "query", "request_id"))
        if kind not in COLLECTED or (product and not self._shop.knows(product[:MAX_ID])):
            return None
        try:
            return Event(
                type=EventType(kind),
                product=product,
                query=query[:MAX_QUERY],
                request_id=answer[:64],
                customer=visitor.customer,
                session=visitor.session,
            )
        except InvalidRecord:
            return None

    def _likes(self, customer: str) -> str:
        counts: Counter[str] = Counter()
        events = self._shop.last_events(customer=customer, n=_LIKED)
        products = self._shop.offers.products(event.product for event in events)
        for event in events:
            product = products.get(event.product)
            if product is not None and product.product_type:
                counts[product.product_type.rpartition(" > ")[2]] += 1
        return counts.most_common(1)[0][0] if counts else ""


def kept(response: Response, visitor: Visitor) -> Response:
    response.set_cookie("visitor", visitor.name, max_age=_YEAR, httponly=True, samesite="lax")
    return response


async def own_form(request: Request) -> dict[str, str]:
    """The form of one of our pages. Raises Refused when a page of another site sends it."""
    check_origin(request)
    form = await request.form(max_files=0, max_fields=10, max_part_size=10_000)
    return {name: str(value) for name, value in form.items()}


def check_origin(request: Request) -> None:
    """Raises Refused for what a page of another site sends."""
    if foreign(request):
        raise Refused(403, "foreign_origin", "this must be sent from a page of this shop")
