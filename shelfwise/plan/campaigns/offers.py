"""What a customer is offered now: the running campaigns that addressed them, the most profitable first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from shelfwise.plan.campaigns.draft import Draft, drafts
from shelfwise.store import Store
from shelfwise.store.campaigns import SENT


@dataclass(frozen=True, kw_only=True, slots=True)
class Invitation:
    """response: expected chance to take part; profit: expected gain after cost; None where no audience was planned."""

    campaign: str
    title: str
    offer: str
    discount: float
    products: tuple[str, ...]
    response: float | None
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
            "profit": self.profit,
            "reason": self.reason,
        }


class Running:
    """Campaigns in memory, as of the last `refresh`; contacts and consent are read with each question."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._drafts: dict[str, Draft] = {}

    def refresh(self) -> None:
        self._drafts = {one.id: one for one in drafts(self._store)}

    def for_customer(
        self, customer: str, moment: datetime, k: int, sellable: Callable[[str], bool]
    ) -> list[Invitation]:
        """Who was held out, did not consent or was not addressed gets none; so does who costs more than they bring."""
        offers = []
        for contact in self._store.campaign_record.contacts_of(customer):
            draft = self._drafts.get(contact["campaign"])
            if draft is None or contact["arm"] != SENT or not draft.runs(moment):
                continue
            if contact["profit"] is not None and contact["profit"] <= 0:
                continue
            offer = next((one for one in draft.offers if one.code == contact["offer"]), draft.offers[0])
            listed = orjson.loads(contact["products"]) or offer.products[:12]
            products = tuple(product for product in listed if sellable(product))
            if not products:
                continue
            offers.append(
                Invitation(
                    campaign=draft.id,
                    title=draft.name,
                    offer=offer.code,
                    discount=offer.discount,
                    products=products,
                    response=contact["response"],
                    profit=contact["profit"],
                    reason=contact["reason"],
                )
            )
        if offers and not self._store.campaign_record.willing(customer):
            return []
        return sorted(offers, key=lambda one: (-(one.profit or 0.0), one.campaign))[:k]
