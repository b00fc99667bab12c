"""The campaigns of one shop as API and console use them: drafts, audiences, lists, effects, and what a customer is
offered.

One desk serves many threads of one process. The purchases it learns from stay in memory until the record has new
events.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl

from shelfwise.plan.campaigns.audience import Audience, Rules, audience
from shelfwise.plan.campaigns.draft import Draft, draft, every, put
from shelfwise.plan.campaigns.effect import measure
from shelfwise.plan.campaigns.loading import history
from shelfwise.plan.campaigns.offers import Invitation, Running
from shelfwise.plan.campaigns.response import History, read_purchases
from shelfwise.plan.campaigns.sending import export, listed
from shelfwise.schema import now
from shelfwise.store import Store


class Desk:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._purchases: tuple[int, pl.DataFrame] | None = None
        self._running = Running(store)
        self._running.refresh()

    def refresh(self) -> None:
        """See what was drafted or changed, by whichever process."""
        self._running.refresh()

    def drafts(self) -> list[Draft]:
        """Newest start first."""
        return every(self._store)

    def draft(self, id: str) -> Draft:
        """Raises InvalidRecord when there is none."""
        return draft(self._store, id)

    def put(self, given: Sequence[Draft]) -> int:
        for one in given:
            put(self._store, one)
        self._running.refresh()
        return len(given)

    def audience(self, id: str, rules: Rules, *, margin: float = 0.3, moment: datetime | None = None) -> Audience:
        """Raises InvalidRecord, NotEnoughData."""
        return audience(self._store, self._history(), self.draft(id), rules, moment or now(), margin=margin)

    def export(self, id: str, made: Audience, moment: datetime | None = None) -> str:
        """Record the audience; its list as CSV. Raises InvalidRecord, NotEnoughData."""
        text = export(self._store, self.draft(id), made, moment or now())
        self._running.refresh()
        return text

    def listed(self, id: str) -> str:
        """The recorded list as CSV. Raises InvalidRecord."""
        return listed(self._store, self.draft(id))

    def effect(self, id: str, moment: datetime | None = None) -> dict[str, Any]:
        """Raises InvalidRecord, NotEnoughData."""
        return measure(self._store, self._history(), self.draft(id), moment or now())

    def offers(self, customer: str, k: int = 5, moment: datetime | None = None) -> list[Invitation]:
        """Running campaigns that address the customer, the most profitable first."""
        return self._running.for_customer(customer, moment or now(), k)

    def _history(self) -> History:
        with self._lock:
            newest = self._store.newest_sequence()
            if self._purchases is None or self._purchases[0] != newest:
                self._purchases = (newest, read_purchases(self._store))
            return history(self._store, self._purchases[1])
