"""A question to the engine and its answer, checked when made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shelfwise.catalogue.filters import Filters, texts
from shelfwise.errors import InvalidRecord, InvalidRequest
from shelfwise.schema import MAX_ID, check_text, check_time, is_nobody

SURFACES = ("home", "product", "similar", "cart", "category")
MAX_K = 200
MAX_SEEDS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Who asks, where, and for what. Raises InvalidRequest.

    customer, session: whose events answer; neither, or what stands for nobody (guest, undefined), is a first visit.
    surface: home; product (what goes with the product shown), similar (what could stand in its place) and cart,
             answered for `seeds`; category, answered within `filters.categories`.
    seeds:   product ids that count as the newest events; never part of the answer. Unknown ones are named in it.
    k:       how many products, 1 to 200.
    exclude_purchased: leave out what the customer has bought.
    variants: how many products of one item_group_id an answer may hold, 0 for any number.
    diversity: 0 to 1, how far products that differ go before relevant ones that are alike.
    now:     when the answer is asked for, None for this moment. language: of reasons, en or zh; "" the shop's.
    """

    customer: str = ""
    session: str = ""
    surface: str = "home"
    seeds: tuple[str, ...] = ()
    k: int = 12
    filters: Filters = field(default_factory=Filters)
    exclude_purchased: bool = False
    variants: int = 1
    diversity: float = 0.0
    now: datetime | None = None
    language: str = ""

    def __post_init__(self) -> None:
        try:
            check_text("customer", self.customer, MAX_ID)
            check_text("session", self.session, MAX_ID)
            if self.now is not None:
                check_time("now", self.now, future=True)
        except InvalidRecord as error:
            raise InvalidRequest(error.field, error.problem) from None
        for name in ("customer", "session"):
            if is_nobody(getattr(self, name), session=name == "session"):
                object.__setattr__(self, name, "")
        if self.surface not in SURFACES:
            raise InvalidRequest("surface", f"is {self.surface!r}; use one of {', '.join(SURFACES)}")
        object.__setattr__(self, "seeds", texts("seeds", self.seeds, MAX_ID))
        if len(self.seeds) > MAX_SEEDS:
            raise InvalidRequest("seeds", f"has {len(self.seeds)} entries; at most {MAX_SEEDS} are allowed")
        check_k(self.k)
        check_language(self.language)
        if isinstance(self.variants, bool) or not isinstance(self.variants, int) or not 0 <= self.variants <= MAX_K:
            raise InvalidRequest("variants", f"is {self.variants!r}; it must be a whole number from 0 to {MAX_K}")
        diversity: object = self.diversity
        if isinstance(diversity, bool) or not isinstance(diversity, int | float) or not 0 <= diversity <= 1:
            raise InvalidRequest("diversity", f"is {diversity!r}; it must be a number from 0 to 1")
        if self.surface in ("product", "similar") and not self.seeds:
            raise InvalidRequest("seeds", "a product page needs the product it shows")
        if self.surface == "category" and not self.filters.categories:
            raise InvalidRequest("filters", "a category page needs filters.categories")


@dataclass(frozen=True, kw_only=True, slots=True)
class Because:
    """What of the asker's own history a reason names: a product or a query, "" for none."""

    product: str = ""
    query: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One product of an answer: by which score, from which sources, and why, in words and by what they name."""

    product: str
    score: float
    sources: tuple[str, ...]
    reason: str
    because: Because = Because()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Products, best first. Fewer than `k` only where no more pass the filters. unknown: seeds not in the catalogue."""

    request_id: str
    items: tuple[Item, ...]
    unknown: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "request_id": self.request_id,
            "items": [
                {"product": item.product, "score": item.score, "sources": list(item.sources), "reason": item.reason}
                for item in self.items
            ],
            **({"unknown": list(self.unknown)} if self.unknown else {}),
        }


def check_language(language: str) -> None:
    if language not in ("", "en", "zh"):
        raise InvalidRequest("language", f"is {language!r}; use en or zh")


def check_k(k: object) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise InvalidRequest("k", f"is {k!r}; it must be a whole number from 1 to {MAX_K}")
