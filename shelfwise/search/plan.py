"""The plan of a search: what a query was read to want, and how strictly. Made before anything is retrieved."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shelfwise.search.request import Chip

#: What is given up, one after the other, until something is found: the limits read from the query, that every word be
#: there, the query itself.
RELAXATIONS = ("filters", "words", "popular")


@dataclass(frozen=True, slots=True)
class Intent:
    """One intent of a query, as its chip shows it.

    field: price, brand, category, availability, the name of an attribute, or "" for any text of the product.
    values: any of which will do, in the catalogue's own spelling; of a category all paths.
    low, high: bounds of a price, inclusive, None for none. share: with "price" and no bounds, the quantile of the
    prices retrieved that it means (below a half: at most that; else at least that).
    """

    chip: Chip
    field: str
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    share: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryPlan:
    """How a query is answered. Immutable: a stage that changes it makes another.

    text: the words to look for (normal), the catalogue's own for a property said in another language; "" to browse.
    spoken: the same in the shopper's words, whose vector is compared.
    variants: other texts looked for beside it: said with synonyms, or in the other spelling.
    intents, excluded, sort, chips: what was read from the words: properties, words that no product may have (normal),
    an order of request.SORTS, and all of it as shown.
    corrected: the spelling looked for instead of the query's, "" when as typed. alternative: a spelling worth a link,
    looked for where nothing is found as typed.
    filtered: whether intents whose effect is a filter do filter. every: whether every word must be there.
    source: words, browse, popular or photo. relaxed: what was given up, in order.
    """

    text: str = ""
    spoken: str = ""
    variants: tuple[str, ...] = ()
    intents: tuple[Intent, ...] = ()
    excluded: tuple[str, ...] = ()
    sort: str = ""
    chips: tuple[Chip, ...] = ()
    corrected: str = ""
    alternative: str = ""
    filtered: bool = True
    every: bool = True
    source: str = "words"
    relaxed: tuple[str, ...] = ()

    @property
    def filters(self) -> tuple[Intent, ...]:
        """Intents that every product must fit."""
        return tuple(one for one in self.intents if one.chip.effect == "filter") if self.filtered else ()

    @property
    def boosts(self) -> tuple[Intent, ...]:
        """Intents that a product had better fit."""
        return tuple(one for one in self.intents if one.chip.effect == "boost")

    def without(self, relaxation: str) -> QueryPlan | None:
        """The plan with one of RELAXATIONS given up as well; None where that changes nothing."""
        relaxed = (*self.relaxed, relaxation)
        if relaxation == "filters":
            return replace(self, filtered=False, relaxed=relaxed) if self.filters else None
        if relaxation == "words":
            return replace(self, every=False, relaxed=relaxed)
        return replace(self, source="popular", excluded=(), relaxed=relaxed)
