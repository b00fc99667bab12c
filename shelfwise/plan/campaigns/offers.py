"""What a customer is offered now: the running campaigns that addressed them, the most profitable first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from shelfwise.plan.campaigns.draft import Draft, Offer, drafts, hidden
from shelfwise.schema import Availability, Rule
from shelfwise.store import Offers, Store
from shelfwise.store.campaigns import SENT

_NAMED = 12  # products of an offer whose contact names none


@dataclass(frozen=True, kw_only=True, slots=True)
class Invitation:
    """response: expected chance to take part; uplift: how much a contact changes it, None where nobody was held out
    before; profit: expected gain after cost; None where no audience was planned."""

    campaign: str
    title: str
    offer: str
    discount: float
    products: tuple[str, ...]
    response: float | None
    uplift: float | None
    profit: float | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {
            "campaign": self.campaign,
            "title": self.title,
            "offer": self.offer,
            "discount": self.discount,
            "products": list(self.products),
            "response": self.response,
            "uplift": self.uplift,
            "profit": self.profit,
            "reason": self.reason,
        }


class Running:
    """Campaigns and what rules hide in memory, as of the last `refresh`; contacts, consent and products are read with
    each question."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._catalogue = Offers(store)
        self._drafts: dict[str, Draft] = {}
        self._rules: list[Rule] = []
        self._hidden: frozenset[str] = frozenset()
        self._stamp: int | None = None

    def refresh(self) -> None:
        """Where nobody has written since, only what time alone changes: which rules hold now."""
        stamp = self._store.stamp()
        if stamp is None or stamp != self._stamp:
            self._drafts = {one.id: one for one in drafts(self._store)}
            self._rules, self._stamp = self._store.rules(), stamp
        self._hidden = hidden(self._rules)

    def for_customer(self, customer: str, moment: datetime, k: int) -> list[Invitation]:
        """Who was held out, did not consent or was not addressed gets none; so does who costs more than they bring. Of
        the products are named those that shoppers may see and buy: one read for all."""
        running: list[tuple[dict[str, Any], Draft, Offer, list[str]]] = []
        for contact in self._store.campaign_record.contacts_of(customer):
            draft = self._drafts.get(contact["campaign"])
            if draft is None or contact["arm"] != SENT or not draft.runs(moment):
                continue
            if contact["profit"] is not None and contact["profit"] <= 0:
                continue
            offer = next((one for one in draft.offers if one.code == contact["offer"]), draft.offers[0])
            named = orjson.loads(contact["products"]) or offer.products[:_NAMED]
            running.append((contact, draft, offer, [id for id in named if id not in self._hidden]))
        if not running or not self._store.campaign_record.willing(customer):
            return []
        there = self._catalogue.products(id for *_, named in running for id in named)
        sold_out = Availability.OUT_OF_STOCK
        invitations = [
            Invitation(
                campaign=draft.id,
                title=draft.name,
                offer=offer.code,
                discount=offer.discount,
                products=products,
                response=contact["response"],
                uplift=contact["uplift"],
                profit=contact["profit"],
                reason=contact["reason"],
            )
            for contact, draft, offer, named in running
            if (products := tuple(id for id in named if id in there and there[id].availability is not sold_out))
        ]
        return sorted(invitations, key=lambda one: (-(one.profit or 0.0), one.campaign))[:k]
