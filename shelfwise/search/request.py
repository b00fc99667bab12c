"""A search and its answer, checked when made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shelfwise.catalogue.facets import Facet
from shelfwise.catalogue.filters import MAX_FACETS, SearchFilters
from shelfwise.engine.request import check_k
from shelfwise.errors import InvalidRecord, InvalidRequest
from shelfwise.schema import MAX_ID, MAX_QUERY, MAX_TITLE, check_text, check_time, is_nobody

SORTS = ("relevance", "price", "price_desc", "newest", "best_selling")
MAX_UNDO = 50
MAX_TOKEN = 100_000  # characters of a page token

SPELLING = "spelling"  # what `undo` takes for a mended query


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchRequest:
    """What is sought, by whom. Raises InvalidRequest.

    query:    as typed; empty to browse. customer, session: who asks; neither is a stranger.
    k:        products a page, 1 to 200. after: the `after` of the page before, "" for the first.
    sort:     one of SORTS. facets: names of FACETS or of attributes to count.
    group:    variants of one item_group_id count as one product, the best of them shown.
    personal: let the asker's state change the order. learned: let earlier searchers' clicks do so.
    explain:  give each part of each product's score.
    undo:     ids of chips of the reading that must not be applied; "spelling" looks for the query as it was typed.
    correct:  mend spelling.
    now:      when it is asked, None for this moment. language: of reasons and labels, en or zh; "" the shop's.
    """

    query: str = ""
    customer: str = ""
    session: str = ""
    k: int = 24
    after: str = ""
    filters: SearchFilters = field(default_factory=SearchFilters)
    sort: str = "relevance"
    facets: tuple[str, ...] = ()
    group: bool = True
    personal: bool = True
    learned: bool = True
    explain: bool = False
    undo: tuple[str, ...] = ()
    correct: bool = True
    now: datetime | None = None
    language: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.query, str):
            raise InvalidRequest("query", f"must be text, not {type(self.query).__name__}")
        # Whatever a shopper types is a query: what cannot be looked for is left out, not refused.
        kept = "".join(c if c.isprintable() else " " for c in self.query[: 10 * MAX_QUERY])
        object.__setattr__(self, "query", kept.strip()[:MAX_QUERY])
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
        check_k(self.k)
        if self.sort not in SORTS:
            raise InvalidRequest("sort", f"is {self.sort!r}; use one of {', '.join(SORTS)}")
        if not isinstance(self.after, str) or len(self.after) > MAX_TOKEN:
            raise InvalidRequest("after", "must be the `after` of the page before, or empty")
        if self.language not in ("", "en", "zh"):
            raise InvalidRequest("language", f"is {self.language!r}; use en or zh")
        for name, limit in (("facets", MAX_FACETS), ("undo", MAX_UNDO)):
            values = getattr(self, name)
            if isinstance(values, str) or not isinstance(values, list | tuple) or len(values) > limit:
                raise InvalidRequest(name, f"must be a list of at most {limit} texts")
            if not all(isinstance(value, str) and 0 < len(value) <= MAX_TITLE for value in values):
                raise InvalidRequest(name, f"must hold texts of 1 to {MAX_TITLE} characters")
            object.__setattr__(self, name, tuple(dict.fromkeys(values)))
        if SPELLING in self.undo:
            object.__setattr__(self, "correct", False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """One product found. highlights: field → (start, end) offsets into the product's text as it is stored.
    variants: ids of the other products of its group that were found. parts: what its score is made of."""

    product: str
    score: float
    sources: tuple[str, ...] = ()
    reason: str = ""
    title: str = ""
    highlights: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chip:
    """Something read from the query and applied: kind price, brand, category, attribute, without, audience, sort.
    effect: filter or boost. id: what `undo` takes."""

    id: str
    kind: str
    text: str
    effect: str = "filter"
    label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchAnswer:
    """A page of products. total: how many (groups of) products were found, at most `search.MOST`.

    reading: what was read from the query. did_you_mean: another spelling worth a link. corrected: the spelling that
    was looked for instead of the query's, "" when as typed. relaxed: what was given up to find anything, in order:
    stock (what it names cannot be bought now, and comes first), filters, words, popular. after: token of the next page,
    "" on the last.
    """

    request_id: str
    query: str
    items: tuple[Hit, ...] = ()
    total: int = 0
    facets: tuple[Facet, ...] = ()
    reading: tuple[Chip, ...] = ()
    did_you_mean: str = ""
    corrected: str = ""
    relaxed: tuple[str, ...] = ()
    after: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "request_id": self.request_id,
            "query": self.query,
            "items": [_hit(hit) for hit in self.items],
            "total": self.total,
            "facets": [_facet(facet) for facet in self.facets],
            "reading": [
                {"id": chip.id, "kind": chip.kind, "text": chip.text, "effect": chip.effect, "label": chip.label}
                for chip in self.reading
            ],
            "did_you_mean": self.did_you_mean,
            "corrected": self.corrected,
            "relaxed": list(self.relaxed),
            "after": self.after,
        }


def _hit(hit: Hit) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "product": hit.product,
        "score": hit.score,
        "sources": list(hit.sources),
        "reason": hit.reason,
        "title": hit.title,
        "highlights": {name: [list(span) for span in spans] for name, spans in hit.highlights.items()},
        "variants": list(hit.variants),
    }
    if hit.parts:
        fields["parts"] = dict(hit.parts)
    return fields


def _facet(facet: Facet) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": facet.name,
        "values": [{"value": value, "count": count} for value, count in facet.values],
    }
    if facet.low is not None:
        fields |= {"low": facet.low, "high": facet.high}
    return fields
