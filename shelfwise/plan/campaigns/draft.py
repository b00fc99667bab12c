"""A campaign as a merchant plans it: offers, channel, costs, from when to when, who is left alone to measure it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import polars as pl

from shelfwise.errors import InvalidRecord
from shelfwise.schema import MAX_ID, MAX_TITLE, Rule, RuleAction, check_number, check_text, check_time, now
from shelfwise.store import Offers, Store

CHANNELS = ("email", "letter", "sms", "app", "site")
LEAST_HOLDOUT = 0.05
_GONE = ("out_of_stock",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """Products, or whole categories (a path as in `product_type`, and all below it), at a discount.

    discount: part of the price, 0 to 1. cost: of one redemption, beside the discount (printing, handling)."""

    code: str
    products: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    discount: float = 0.0
    cost: float = 0.0

    def __post_init__(self) -> None:
        check_text("offers.code", self.code, MAX_ID, required=True)
        for product in self.products:
            check_text("offers.products", product, MAX_ID, required=True)
        for category in self.categories:
            check_text("offers.categories", category, MAX_TITLE, required=True)
        check_number("offers.discount", self.discount, low=0, high=1)
        check_number("offers.cost", self.cost, low=0, high=1e9)
        if not self.products and not self.categories:
            raise InvalidRecord("offers", f"the offer {self.code!r} has no products; give it products or a category")


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """Raises InvalidRecord. contact_cost: of addressing one customer. holdout: part of the audience, drawn at random,
    that is left alone. cap: most campaigns one customer gets in 30 days. promised: what was expected when it was
    exported."""

    id: str
    title: str = ""
    channel: str = "email"
    contact_cost: float = 0.0
    offers: tuple[Offer, ...] = ()
    start: datetime
    end: datetime
    holdout: float = 0.1
    cap: int = 4
    promised: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_text("id", self.id, MAX_ID, required=True)
        check_text("title", self.title, MAX_TITLE)
        if self.channel not in CHANNELS:
            raise InvalidRecord("channel", f"is {self.channel!r}; use one of {', '.join(CHANNELS)}")
        check_number("contact_cost", self.contact_cost, low=0, high=1e9)
        for name in ("start", "end"):
            check_time(name, getattr(self, name), future=True)
        if self.end <= self.start:
            raise InvalidRecord("end", f"is {self.end:%Y-%m-%d}, not after the start {self.start:%Y-%m-%d}")
        check_number("holdout", self.holdout, low=LEAST_HOLDOUT, high=0.9)
        if isinstance(self.cap, bool) or not 1 <= self.cap <= 1_000:
            raise InvalidRecord("cap", f"is {self.cap!r}; it must lie between 1 and 1,000")
        if not self.offers:
            raise InvalidRecord("offers", "are missing; a campaign needs products or a category to offer")
        if len({offer.code for offer in self.offers}) < len(self.offers):
            raise InvalidRecord("offers", "have a code twice")

    @property
    def name(self) -> str:
        return self.title or self.id

    def runs(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def to_json(self) -> dict[str, Any]:
        values = asdict(self)
        return values | {"start": self.start.isoformat(), "end": self.end.isoformat()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Draft:
        """From `to_json`, or a body of the API. Raises InvalidRecord."""
        known = dict(values)
        offers = known.pop("offers", ())
        unknown = set(known) - set(cls.__dataclass_fields__)
        if unknown:
            raise InvalidRecord(sorted(unknown)[0], f"is no field; use {', '.join(cls.__dataclass_fields__)}")
        for name in ("start", "end"):
            known[name] = moment_of(name, known.get(name))
        if "id" not in known:
            raise InvalidRecord("id", "is required; give it a value")
        try:
            return cls(**known, offers=tuple(_offer(one, place) for place, one in enumerate(offers)))
        except TypeError:
            raise InvalidRecord("offers", "must be a list of objects with a code and products or categories") from None


def _offer(values: Any, place: int) -> Offer:
    if isinstance(values, Offer):
        return values
    if not isinstance(values, dict):
        raise InvalidRecord(f"offers[{place}]", "must be an object")
    given: dict[str, Any] = {"code": f"offer-{place + 1}"} | values
    unknown = set(given) - set(Offer.__dataclass_fields__)
    if unknown:
        fields = ", ".join(Offer.__dataclass_fields__)
        raise InvalidRecord(f"offers[{place}].{sorted(unknown)[0]}", f"is no field; use {fields}")
    for name in ("products", "categories"):
        if not isinstance(given.get(name, ()), list | tuple):
            raise InvalidRecord(f"offers[{place}].{name}", "must be a list of texts")
        given[name] = tuple(given.get(name, ()))
    return Offer(**given)


def moment_of(name: str, value: Any) -> datetime:
    """A time in UTC from ISO text, a date alone being its midnight. Raises InvalidRecord."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not value.strip():
        raise InvalidRecord(name, "is required; write for example 2024-05-01")
    try:
        time = datetime.fromisoformat(value.strip())
    except ValueError:
        raise InvalidRecord(name, f"is {value[:40]!r}; write for example 2024-05-01") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def put(store: Store, draft: Draft) -> None:
    store.campaign_record.put_plan(draft.id, orjson.dumps(draft.to_json()).decode())


def drafts(store: Store) -> list[Draft]:
    """Those drafted or loaded here, newest start first."""
    saved = [Draft.from_json(orjson.loads(text)) for text in store.campaign_record.plans().values()]
    return sorted(saved, key=lambda one: (one.start, one.id), reverse=True)


def recorded(store: Store, id: str | None = None) -> list[Draft]:
    """Campaigns that came with the record (a public data set's, with its side table `coupons`), or the one of this id.
    One without products or times is left out."""
    coupons: dict[str, dict[str, list[str]]] = {}
    if "coupons" in store.tables():
        table = store.table("coupons", ["campaign", "coupon", "product"])
        table = table if id is None else table.filter(pl.col("campaign") == id)
        for campaign, coupon, products in table.group_by("campaign", "coupon", maintain_order=True).all().iter_rows():
            coupons.setdefault(campaign, {})[coupon] = products
    whole = []
    for one in store.campaigns():
        offers = coupons.get(one.id) or ({"offer-1": list(one.products)} if one.products else {})
        if id in (None, one.id) and one.start and one.end and one.start < one.end and offers:
            parts = tuple(Offer(code=code, products=tuple(dict.fromkeys(part))) for code, part in offers.items())
            whole.append(Draft(id=one.id, title=one.title, start=one.start, end=one.end, offers=parts))
    return whole


def every(store: Store) -> list[Draft]:
    """Those drafted here and those that came with the record, newest start first."""
    planned = drafts(store)
    ids = {one.id for one in planned}
    whole = planned + [one for one in recorded(store) if one.id not in ids]
    return sorted(whole, key=lambda one: (one.start, one.id), reverse=True)


def draft(store: Store, id: str) -> Draft:
    """The one of `every` with this id. Raises InvalidRecord when there is none."""
    text = store.campaign_record.plan(id)
    if text is None:
        for one in recorded(store, id):
            return one
        raise InvalidRecord("campaign", f"there is no campaign {id[:60]!r}; load or draft it first")
    return Draft.from_json(orjson.loads(text))


def hidden(rules: Sequence[Rule]) -> frozenset[str]:
    """Products that merchants' rules hide now."""
    moment = now()
    return frozenset(
        product
        for rule in rules
        if rule.action is RuleAction.HIDE
        and (rule.start is None or rule.start <= moment)
        and (rule.end is None or rule.end > moment)
        for product in rule.products
    )


def sellable(store: Store, offers: Sequence[Offer]) -> dict[str, tuple[str, ...]]:
    """code -> products of the offer that can be sold now: categories spelled out, without what is out of stock, not
    shown, or hidden by a merchant's rule."""
    frame = Offers(store).products_frame().select("id", "product_type", "availability")
    free = frame.filter(~pl.col("availability").is_in(_GONE) & ~pl.col("id").is_in(list(hidden(store.rules()))))
    ids = set(free["id"])
    by_category: dict[str, tuple[str, ...]] = {}
    for offer in offers:
        products = [product for product in offer.products if product in ids]
        for category in offer.categories:
            inside = (pl.col("product_type") == category) | pl.col("product_type").str.starts_with(f"{category} > ")
            products += free.filter(inside)["id"].to_list()
        by_category[offer.code] = tuple(dict.fromkeys(products))
    return by_category
