"""The vocabulary: products, events, campaigns, and every column name, once.

Product fields follow the Google Merchant feed, event types GA4 e-commerce. Records are frozen,
keyword-only and checked when made; times are UTC. In frames (polars) and in the store a time is
microseconds since 1970-01-01 UTC (Int64), a missing text is "" and a missing number null.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import polars as pl

from shelfwise.errors import InvalidRecord

MAX_ID = 200  # characters of any id
MAX_TITLE = 1_000
MAX_TEXT = 20_000  # characters of a description
MAX_QUERY = 1_000
MAX_ATTRIBUTES = 1_000
MAX_RULE_PRODUCTS = 1_000  # products of one rule
MAX_SYNONYMS = 100  # words of one line of synonyms
CLOCK_SKEW = timedelta(minutes=10)  # how far in the future an event's time may lie

Attribute = str | float | bool


class EventType(StrEnum):
    """GA4 e-commerce event names. The order is fixed: `code` is what networks and bundles store."""

    VIEW_ITEM = "view_item"
    ADD_TO_CART = "add_to_cart"
    REMOVE_FROM_CART = "remove_from_cart"
    PURCHASE = "purchase"
    SEARCH = "search"
    VIEW_ITEM_LIST = "view_item_list"
    SELECT_ITEM = "select_item"
    ADD_TO_WISHLIST = "add_to_wishlist"
    RATE = "rate"
    REFUND = "refund"
    #: What the record makes of a purchase once all of it was given back (`store/returns.py`): it counts nowhere.
    RETURNED = "purchase_returned"

    @property
    def code(self) -> int:
        return _CODES[self]


_CODES: dict[EventType, int] = {kind: code for code, kind in enumerate(EventType)}
EVENT_TYPES: tuple[EventType, ...] = tuple(EventType)
#: Types that say a customer turned to a product: what sequences are made of.
#: (A removal, a list shown or a search is kept in the record but is no positive signal for a product.)
POSITIVE_TYPES: frozenset[EventType] = frozenset(
    {
        EventType.VIEW_ITEM,
        EventType.ADD_TO_CART,
        EventType.PURCHASE,
        EventType.SELECT_ITEM,
        EventType.ADD_TO_WISHLIST,
        EventType.RATE,
    }
)


#: The code of a `rate` event of few stars, wherever kinds are kept as codes: a dislike, of no EventType of its own.
DISLIKE = len(EventType)
#: Kinds that histories for models are made of have codes below this: what bundles were learned with stays valid.
LEARNED_KINDS = 1 + max(kind.code for kind in POSITIVE_TYPES)


class Availability(StrEnum):
    IN_STOCK = "in_stock"
    OUT_OF_STOCK = "out_of_stock"
    PREORDER = "preorder"
    BACKORDER = "backorder"
    UNKNOWN = "unknown"  # the feed says it in a word that nobody knows: it sells, and the report asks


class Status(StrEnum):
    """Whether shoppers may see a product. Whatever is not active is kept and never shown."""

    ACTIVE = "active"
    DRAFT = "draft"  # not ready: draft, pending, in review
    ARCHIVED = "archived"
    HIDDEN = "hidden"  # unpublished, private, disabled, hidden from catalogue or search, behind a password
    RETIRED = "retired"  # a full feed no longer had it


#: What sells: shown where nothing else is asked for.
SELLS = (Availability.IN_STOCK, Availability.UNKNOWN)

#: Columns of a product frame and of the store's product table, in order. `attributes` is JSON text.
PRODUCT_COLUMNS: dict[str, pl.DataType] = {
    "id": pl.String(),
    "title": pl.String(),
    "description": pl.String(),
    "brand": pl.String(),
    "product_type": pl.String(),
    "price": pl.Float64(),
    "currency": pl.String(),
    "availability": pl.String(),
    "image_link": pl.String(),
    "link": pl.String(),
    "item_group_id": pl.String(),
    "gtin": pl.String(),
    "mpn": pl.String(),
    "created": pl.Int64(),
    "attributes": pl.String(),
    "status": pl.String(),
    "sale_price": pl.Float64(),
    "sale_start": pl.Int64(),
    "sale_end": pl.Int64(),
    "shown_from": pl.Int64(),
    "shown_until": pl.Int64(),
}
#: Of them the times, µs; edges of what shoppers see are all but the first.
PRODUCT_TIMES = ("created", "sale_start", "sale_end", "shown_from", "shown_until")

#: Columns of an event frame and of the store's event table, in order.
EVENT_COLUMNS: dict[str, pl.DataType] = {
    "id": pl.String(),
    "type": pl.String(),
    "time": pl.Int64(),
    "customer": pl.String(),
    "session": pl.String(),
    "product": pl.String(),
    "quantity": pl.Float64(),
    "price": pl.Float64(),
    "value": pl.Float64(),
    "query": pl.String(),
    "request_id": pl.String(),
}


def now() -> datetime:
    return datetime.now(UTC)


def to_micros(time: datetime) -> int:
    """Microseconds since the epoch; exact, without a float between."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


#: What front ends send where nobody has signed in; letter case and surrounding marks do not matter.
_NOBODY = frozenset(
    (
        "undefined", "null", "none", "nil", "nan", "na", "n/a", "#n/a", "void", "false", "not_set", "notset",
        "not_available", "guest", "gast", "invité", "invite", "invitado", "ospite", "anonymous", "anonym", "anonyme",
        "anonimo", "anónimo", "anon", "unknown", "unbekannt", "inconnu", "desconocido", "nobody", "no_user", "nouser",
        "not_logged_in", "notloggedin", "logged_out", "visitor", "0", "-1", "0.0", "-1.0", "object_object",
        "游客", "匿名", "匿名用户", "未登录", "未登錄", "访客", "ゲスト", "未ログイン", "게스트", "비회원",
    )
)  # fmt: skip
_NUMBERS = frozenset(("0", "0.0"))  # a session may be numbered so; -1 is an analyst's word for none


def is_nobody(text: str, *, session: bool = False) -> bool:
    """Whether the text is no customer's id but what stands for none: undefined, null, guest, (not set), 0, 000000,
    00000000-0000-0000-0000-000000000000. session: whether it is a session's, which may be numbered 0."""
    if not text or len(text) > 40 or (session and text in _NUMBERS):
        return False
    plain = "_".join(text.casefold().strip(" ()[]<>{}\"'").split())
    if plain in _NOBODY:
        return not (session and plain in ("nobody", "visitor"))  # names that a session may well have
    marks = set(plain.replace("-", ""))
    return not marks or marks == {"0"} or (len(plain) >= 6 and len(marks) == 1)


def check_text(name: str, value: str, limit: int, *, required: bool = False) -> None:
    """Raise InvalidRecord unless `value` is text of at most `limit` characters without control characters."""
    if not isinstance(value, str):
        raise InvalidRecord(name, f"must be text, not {type(value).__name__}")
    if required and not value.strip():
        raise InvalidRecord(name, "is required; give it a value")
    if len(value) > limit:
        raise InvalidRecord(name, f"is {len(value)} characters long; at most {limit} are kept")
    if not value.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n\r" for c in value):
        raise InvalidRecord(name, "contains control characters; remove them")


#: White_Space of Unicode; `str.strip` alone would take control characters for blanks, and so hide them.
BLANKS = "\t\n\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def _trim(record: object, *names: str) -> None:
    """An id is text as given, without the blanks around it: the same by file and by HTTP."""
    for name in names:
        value = getattr(record, name)
        if isinstance(value, str) and value != (trimmed := value.strip(BLANKS)):
            object.__setattr__(record, name, trimmed)


def check_number(name: str, value: float | None, *, low: float, high: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidRecord(name, f"must be a finite number, not {value!r}")
    if not low <= value <= high:
        raise InvalidRecord(name, f"is {value:g}; it must lie between {low:g} and {high:g}")


def check_time(name: str, value: datetime, *, future: bool = False) -> None:
    if value.tzinfo is None or value.utcoffset() != timedelta(0):
        raise InvalidRecord(name, "must be in UTC, for example 2024-05-01T12:00:00Z")
    if value < _EPOCH:
        raise InvalidRecord(name, f"is {value:%Y-%m-%d}, before 1970")
    if not future and value > now() + CLOCK_SKEW:
        raise InvalidRecord(name, f"is {value.isoformat()}, in the future; check the sender's clock")


def offered(products: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """`Product.offered` of a frame of PRODUCT_COLUMNS: without what is hidden, `price` as it is at this moment."""
    time, sale = to_micros(now), pl.col("sale_price")
    holds = (
        sale.is_not_null()
        & (pl.col("price").is_null() | (sale < pl.col("price")))
        & (pl.col("sale_start").is_null() | (pl.col("sale_start") <= time))
        & (pl.col("sale_end").is_null() | (pl.col("sale_end") > time))
    )
    begun = pl.col("shown_from").is_null() | (pl.col("shown_from") <= time)
    ended = pl.col("shown_until").is_not_null() & (pl.col("shown_until") <= time)
    shown = products.filter(pl.col("status").is_in(["", str(Status.ACTIVE)]) & begun & ~ended)
    return shown.with_columns(price=pl.when(holds).then(sale).otherwise("price"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """One product as the shop's feed tells it. Raises InvalidRecord.

    price: in `currency` units (12.5 is twelve and a half), None when unknown.
    status: only what is active is shown, and that from shown_from to before shown_until (None: open). sale_price: what
    it costs from sale_start to sale_end (None: open).
    original_price: only of a product as `offered`: what it costs when there is no sale.
    product_type: the category path, levels joined by " > ".
    created: when the product came to the catalogue; None until the store fills it in.
    """

    id: str
    title: str = ""
    description: str = ""
    brand: str = ""
    product_type: str = ""
    price: float | None = None
    currency: str = ""
    availability: Availability = Availability.IN_STOCK
    image_link: str = ""
    link: str = ""
    item_group_id: str = ""
    gtin: str = ""
    mpn: str = ""
    created: datetime | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    status: Status = Status.ACTIVE
    sale_price: float | None = None
    sale_start: datetime | None = None
    sale_end: datetime | None = None
    shown_from: datetime | None = None
    shown_until: datetime | None = None
    original_price: float | None = None

    def __post_init__(self) -> None:
        _trim(self, "id", "item_group_id")
        check_text("id", self.id, MAX_ID, required=True)
        check_text("title", self.title, MAX_TITLE)
        check_text("description", self.description, MAX_TEXT)
        for name in ("brand", "product_type", "item_group_id", "gtin", "mpn", "currency"):
            check_text(name, getattr(self, name), MAX_TITLE)
        for name in ("image_link", "link"):
            check_text(name, getattr(self, name), 4_000)
        for name in ("price", "sale_price", "original_price"):
            check_number(name, getattr(self, name), low=0, high=1e12)
        for name in PRODUCT_TIMES:
            if (time := getattr(self, name)) is not None:
                check_time(name, time, future=True)
        if self.sale_start and self.sale_end and self.sale_end <= self.sale_start:
            raise InvalidRecord("sale_end", "must lie after sale_start")
        if self.shown_from and self.shown_until and self.shown_until <= self.shown_from:
            raise InvalidRecord("shown_until", "must lie after shown_from")
        try:
            object.__setattr__(self, "status", Status(self.status))
        except ValueError:
            raise InvalidRecord("status", f"is {self.status!r}; use one of {', '.join(Status)}") from None
        try:
            object.__setattr__(self, "availability", Availability(self.availability))
        except ValueError:
            known = ", ".join(Availability)
            raise InvalidRecord("availability", f"is {self.availability!r}; use one of {known}") from None
        if len(self.attributes) > MAX_ATTRIBUTES:
            raise InvalidRecord("attributes", f"has {len(self.attributes)} entries; at most {MAX_ATTRIBUTES}")
        for key, value in self.attributes.items():
            check_text("attributes", key, MAX_ID, required=True)
            if isinstance(value, str):
                check_text(f"attributes.{key}", value, MAX_TEXT)
            elif not isinstance(value, bool):
                check_number(f"attributes.{key}", value, low=-1e15, high=1e15)

    def on_sale(self, now: datetime) -> bool:
        """Does the sale price hold at this moment? From sale_start, inclusive, to sale_end, exclusive."""
        if self.sale_price is None or (self.price is not None and self.sale_price >= self.price):
            return False
        return (self.sale_start is None or self.sale_start <= now) and (self.sale_end is None or now < self.sale_end)

    def offered(self, now: datetime) -> Product | None:
        """The product as shoppers see it at this moment: None when hidden; `price` is what it costs."""
        if self.status is not Status.ACTIVE:
            return None
        if (self.shown_from and now < self.shown_from) or (self.shown_until and now >= self.shown_until):
            return None
        if not self.on_sale(now):
            return self
        return replace(self, price=self.sale_price, original_price=self.price)

    @property
    def category(self) -> str:
        """The first level of `product_type`: what "Popular in …" names."""
        return self.product_type.split(" > ", 1)[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing a shopper did. Raises InvalidRecord.

    quantity: pieces (or weight), above 0. price: of one piece. value: the stars of a `rate` event.
    request_id: the answer that led here, or of a purchase and its refund the order.
    At least one of customer and session is given; an event with both signs that session in. A customer or session that
    stands for nobody (`is_nobody`) is taken as none.
    """

    type: EventType
    id: str = ""
    time: datetime = field(default_factory=now)
    customer: str = ""
    session: str = ""
    product: str = ""
    quantity: float = 1.0
    price: float | None = None
    value: float | None = None
    query: str = ""
    request_id: str = ""

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "type", EventType(self.type))
        except ValueError:
            known = ", ".join(EventType)
            raise InvalidRecord("type", f"is {self.type!r}; use one of {known}") from None
        if not self.id:
            object.__setattr__(self, "id", uuid.uuid4().hex)
        _trim(self, "id", "customer", "session", "product", "request_id")
        nobody = ""
        for name in ("customer", "session"):
            given = getattr(self, name)
            if isinstance(given, str) and is_nobody(given, session=name == "session"):
                object.__setattr__(self, name, "")
                nobody = nobody or given
        for name in ("id", "customer", "session", "product", "request_id"):
            check_text(name, getattr(self, name), MAX_ID)
        check_text("query", self.query, MAX_QUERY)
        check_time("time", self.time)
        check_number("quantity", self.quantity, low=1e-9, high=1e9)
        check_number("price", self.price, low=0, high=1e12)
        check_number("value", self.value, low=-1e6, high=1e6)
        if nobody and not self.customer and not self.session:
            raise InvalidRecord("customer", f"is {nobody!r}, which stands for nobody; leave it out and give a session")
        if not self.customer and not self.session:
            raise InvalidRecord("customer", "give a customer or a session: whose event is it?")
        if self.type is EventType.SEARCH:
            if not self.query.strip():
                raise InvalidRecord("query", "a search event needs its query")
        elif self.type is EventType.REFUND:
            if not self.product and not self.request_id:
                raise InvalidRecord("product", "a refund needs its product, or the order (request_id) given back whole")
        elif not self.product and self.type is not EventType.VIEW_ITEM_LIST:
            raise InvalidRecord("product", f"a {self.type} event needs its product")


def line_id(order: str, product: str, nth: int) -> str:
    """The id of a purchase that is the nth line with its product of an order: the same however often it is sent."""
    return hashlib.blake2b(f"order\x1f{order}\x1f{product}\x1f{nth}".encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Campaign:
    """A campaign: who was addressed (`customers`), with what (`products`), from `start` to `end`."""

    id: str
    title: str = ""
    start: datetime | None = None
    end: datetime | None = None
    customers: tuple[str, ...] = ()
    products: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_text("id", self.id, MAX_ID, required=True)
        check_text("title", self.title, MAX_TITLE)
        if self.start and self.end and self.end < self.start:
            raise InvalidRecord("end", "lies before start")


class RuleAction(StrEnum):
    """What a merchant's rule does with its products."""

    PIN = "pin"  # to a fixed place
    BOOST = "boost"
    BURY = "bury"
    HIDE = "hide"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A merchant's rule for a query, a category, or a query within a category. Raises InvalidRecord.

    query:    the whole query it holds for; letter case, width, spaces and Chinese script do not matter.
    category: a path as in `product_type`; it holds where the answer is narrowed to this category or one below.
    products: ids, in their order; an id the catalogue does not have does nothing.
    position: pin only: the place of the first product, from 1; the others follow it.
    amount:   boost and bury only: how far, in parts of the answer's span of scores (1 lifts the last to the first).
    start, end: holds from start, inclusive, to end, exclusive.
    """

    action: RuleAction
    products: tuple[str, ...]
    id: str = ""
    query: str = ""
    category: str = ""
    position: int = 1
    amount: float = 0.5
    start: datetime | None = None
    end: datetime | None = None
    note: str = ""

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "action", RuleAction(self.action))
        except ValueError:
            raise InvalidRecord("action", f"is {self.action!r}; use one of {', '.join(RuleAction)}") from None
        if not self.id:
            object.__setattr__(self, "id", uuid.uuid4().hex[:12])
        check_text("id", self.id, MAX_ID, required=True)
        check_text("query", self.query, MAX_QUERY)
        check_text("category", self.category, MAX_TITLE)
        check_text("note", self.note, MAX_TITLE)
        if not self.query.strip() and not self.category.strip():
            raise InvalidRecord("query", "give a query, a category or both: where does the rule hold?")
        if not self.products or len(self.products) > MAX_RULE_PRODUCTS:
            raise InvalidRecord("products", f"has {len(self.products)} ids; give 1 to {MAX_RULE_PRODUCTS}")
        for product in self.products:
            check_text("products", product, MAX_ID, required=True)
        if isinstance(self.position, bool) or not isinstance(self.position, int) or not 1 <= self.position <= 1_000:
            raise InvalidRecord("position", f"is {self.position!r}; it must be a whole number from 1 to 1,000")
        check_number("amount", self.amount, low=0, high=100)
        for name in ("start", "end"):
            if (time := getattr(self, name)) is not None:
                check_time(name, time, future=True)
        if self.start and self.end and self.end <= self.start:
            raise InvalidRecord("end", "must lie after start")


@dataclass(frozen=True, slots=True)
class Synonym:
    """Words that search takes for each other, or, with `means`, words that stand for others too. Raises InvalidRecord.

    terms: "sofa", "couch": each finds all (two-way). With means: each of `terms` also finds each of `means`, not the
    other way round: ("phone",) means ("smartphone", "mobile").
    """

    terms: tuple[str, ...]
    means: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("terms", "means"):
            words = tuple(dict.fromkeys(" ".join(word.split()) for word in getattr(self, name)))
            object.__setattr__(self, name, words)
            for word in words:
                check_text(name, word, MAX_ID, required=True)
                if any(mark in word for mark in (",", "=>", "，")):
                    raise InvalidRecord(name, f"{word!r} holds a comma or =>; give one word or phrase each")
        if len(self.terms) + len(self.means) > MAX_SYNONYMS:
            raise InvalidRecord("terms", f"are too many; at most {MAX_SYNONYMS} with their meanings")
        if not self.terms or (len(self.terms) < 2 and not self.means):
            raise InvalidRecord("terms", 'need two, "sofa, couch", or a meaning, "phone => smartphone"')

    @classmethod
    def parse(cls, line: str) -> Synonym:
        """From "sofa, couch" or "phone => smartphone, mobile"."""
        left, arrow, right = line.replace("，", ",").partition("=>")
        if arrow and not right.strip():
            raise InvalidRecord("means", f"{line!r} has nothing after =>")
        words = (tuple(word.strip() for word in side.split(",") if word.strip()) for side in (left, right))
        return cls(*words)

    def __str__(self) -> str:
        return ", ".join(self.terms) + (f" => {', '.join(self.means)}" if self.means else "")

    @property
    def id(self) -> str:
        """The same for the same words in any order and letter case."""
        sides = [",".join(sorted(word.casefold() for word in side)) for side in (self.terms, self.means)]
        return hashlib.sha256("=>".join(sides).encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One entry of the audit: who changed what, when. `before` and `after` are the record as JSON text, "" for none."""

    number: int
    time: datetime
    who: str
    kind: str  # rule or synonym
    id: str
    before: str
    after: str
