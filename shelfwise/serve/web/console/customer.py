"""The customer view: one customer's or session's history, what the engine would show them, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import polars as pl

from shelfwise.errors import BundleError
from shelfwise.schema import MAX_ID, Event, from_micros
from shelfwise.shop import Shop

HISTORY = 200  # newest events shown
SHOWN = 12  # products the engine would show
RECENT = 30  # people to choose from
_LOOKED_AT = 5_000  # newest events among which they are found


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Somebody seen lately. kind: customer or session (nobody has signed in)."""

    kind: str
    id: str
    events: int
    last: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryRow:
    """title: "" for an event without a product, None for one the catalogue no longer has."""

    event: Event
    title: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A product the engine would show. bought: has this person bought it? sources: who proposed it, decisive first."""

    id: str
    title: str
    price: float | None
    currency: str
    score: float
    sources: tuple[str, ...]
    reason: str
    bought: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerPage:
    """Without an id: `recent` people to choose from. known: has the record any event of them? new: only what they have
    not bought. learned: is a bundle in use?"""

    template: ClassVar[str] = "console/customer.html"
    section: ClassVar[str] = "customers"
    kind: str
    id: str
    known: bool = False
    new: bool = False
    learned: bool = False
    history: tuple[HistoryRow, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()
    sessions: int = 0
    shown: tuple[Shown, ...] = ()
    recent: tuple[Person, ...] = ()
    done: str = ""
    wrong: str = ""


def customer_page(
    shop: Shop,
    *,
    id: str = "",
    kind: str = "customer",
    new: bool = False,
    done: str = "",
    wrong: str = "",
    language: str = "",
) -> CustomerPage:
    """The page of a customer, or of a session (kind "session") while nobody has signed in to it. language: of the
    reasons, "" the shop's."""
    id, kind = id.strip()[:MAX_ID], "session" if kind == "session" else "customer"
    if not id:
        return CustomerPage(kind=kind, id="", recent=recent(shop), done=done)
    customer, session = (id, "") if kind == "customer" else ("", id)
    events = shop.last_events(customer=customer, session=session, n=shop.settings.memory)
    products = shop.store.products(event.product for event in events)
    titles: dict[str, str | None] = {event.product: None for event in events}
    titles |= {id: product.title or id for id, product in products.items()} | {"": ""}
    bought = {event.product for event in events if event.type == "purchase"}
    shown = []
    try:
        answer = shop.recommend(customer=customer, session=session, k=SHOWN, exclude_purchased=new, language=language)
        products = shop.store.products(item.product for item in answer.items)
        for item in answer.items:
            product = products.get(item.product)
            shown.append(
                Shown(
                    id=item.product,
                    title=item.product if product is None else product.title or product.id,
                    price=None if product is None else product.price,
                    currency="" if product is None else product.currency,
                    score=item.score,
                    sources=item.sources,
                    reason=item.reason,
                    bought=item.product in bought,
                )
            )
    except BundleError:
        shown.clear()
    return CustomerPage(
        kind=kind,
        id=id,
        known=bool(events),
        new=new,
        learned=bool(shop.bundle_version),
        history=tuple(HistoryRow(event=event, title=titles[event.product]) for event in events[: -HISTORY - 1 : -1]),
        counts=tuple((str(type), count) for type, count in Counter(event.type for event in events).most_common()),
        sessions=len({event.session for event in events if event.session}),
        shown=tuple(shown),
        recent=() if events else recent(shop),
        done=done,
        wrong=wrong,
    )


def recent(shop: Shop, *, customers: bool = False, among: int = _LOOKED_AT) -> tuple[Person, ...]:
    """Who was seen last, the newest first; events count `among` the newest arrivals. customers: no mere sessions."""
    newest = shop.store.newest_sequence()
    _, frame = shop.store.events_since(max(0, newest - among), among)
    known = pl.col("customer") != ""
    if customers:
        frame = frame.filter(known)
    people = (
        frame.select(
            pl.when(known).then(pl.lit("customer")).otherwise(pl.lit("session")).alias("kind"),
            pl.when(known).then(pl.col("customer")).otherwise(pl.col("session")).alias("id"),
            "time",
        )
        .group_by("kind", "id")
        .agg(pl.len().alias("events"), pl.col("time").max().alias("last"))
        .sort(["last", "id"], descending=[True, False])
        .head(RECENT)
    )
    return tuple(
        Person(kind=kind, id=id, events=events, last=from_micros(last)) for kind, id, events, last in people.iter_rows()
    )
