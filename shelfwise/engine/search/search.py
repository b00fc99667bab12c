"""Search: from a query to a page of products.

    text → reading → words ∪ meaning ∪ clicks → one score → rules → groups → page, facets, highlights, reasons

Without a bundle words and meaning answer; with one, behaviour adds who asks and what sells.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
import polars as pl

from shelfwise.engine.search import paging
from shelfwise.engine.search.documents import Documents, DocumentsView, Mask
from shelfwise.engine.search.lexicon import Lexicon, Understood
from shelfwise.engine.search.reading import Want
from shelfwise.engine.search.request import Hit, SearchAnswer, SearchRequest
from shelfwise.engine.search.rules import Rules, arranged
from shelfwise.engine.search.suggest import Entry, Suggestion
from shelfwise.engine.search.text import Analyzer, Token, normal
from shelfwise.engine.search.words import Keys, WordIndex, codes_of, key_of
from shelfwise.model.sequences import Floats, Ints
from shelfwise.schema import PRODUCT_COLUMNS, Product, Rule, Synonym, to_micros

MOST = 5_000  # products a query finds at most
_BOOST = 0.15  # of the span of scores: what a wish read from the query adds
_EVERY = 0.5  # of the span of scores: what having every word adds
_VARIANT = 0.9  # of its score: what is found by a synonym
_REASONS = {
    "en": {
        "words": "Matches your search",
        "browse": "From the catalogue",
        "rules": "Chosen by the shop",
        "popular": "Popular here",
    },
    "zh": {"words": "符合您的搜索", "browse": "全部商品", "rules": "店家推荐", "popular": "热门商品"},
}


class Change(Protocol):
    """A product as it now is, None when it was deleted."""

    @property
    def id(self) -> str: ...
    @property
    def product(self) -> Product | None: ...


class Record(Protocol):
    """What search reads of the store."""

    @property
    def url(self) -> str: ...
    def product_revision(self) -> int: ...
    def products_frame(self) -> pl.DataFrame: ...
    def product_changes(self, since: int) -> tuple[int, Sequence[Any]]: ...


@dataclass(slots=True)
class Found:
    """Products found, in no order. rows: int32 [c]. words: float32 [c], how well the words match. parts: what else
    the score is made of, float32 [c] each."""

    rows: Ints
    words: Floats
    parts: dict[str, Floats]
    relaxed: tuple[str, ...] = ()
    source: str = "words"


class Search:
    """Search over a shop's products, following its record. Thread-safe.

    folder: where the word index is kept; None for memory only. language: of reasons and chips, en or zh.
    """

    def __init__(self, record: Record, folder: Path | None, *, language: str = "en") -> None:
        self._record = record
        self._language = language
        self.revision = record.product_revision()
        frame = record.products_frame()
        self.documents = Documents(frame)
        brands = frame["brand"].unique().to_list()
        categories = {level for path in frame["product_type"].unique().to_list() for level in path.split(" > ")}
        self.analyzer = Analyzer({*brands, *categories} - {""})
        self.words = WordIndex(folder, self.analyzer, source=record.url)
        self._keys: dict[int, int] = {}
        self._learn_keys(frame["id"].to_list())
        self._index(frame)
        self.lexicon = Lexicon(self.documents.view, self.analyzer, lambda term: self.words.frequency(term) > 0)
        self._rules = Rules()
        self._sold = np.empty(0, np.float32)

    # Following the record

    def follow(self) -> bool:
        """Bring documents and index to the record's revision; whether anything changed. Cheap when nothing did."""
        if self._record.product_revision() == self.revision:
            return False
        revision, changes = self._record.product_changes(self.revision)
        frame = _frame([change.product for change in changes if change.product is not None])
        gone = [change.id for change in changes if change.product is None]
        self.documents.upsert(frame)
        self.documents.delete(gone)
        self._learn_keys(frame["id"].to_list())
        self.revision = revision
        self._index(None)
        self.lexicon.learn(self.documents.view, frame, gone)
        return True

    def steer(self, rules: Sequence[Rule], synonyms: Sequence[Synonym]) -> None:
        """Merchants' rules and synonyms, all that there are now."""
        self._rules = Rules(rules, normal)
        self.lexicon.synonyms(synonyms)

    def learn(self, queries: Sequence[Entry], sold: Mapping[str, float]) -> None:
        """What shoppers did: popular queries (suggest.popular_queries), and how often each product was bought."""
        view = self.documents.view
        values = np.zeros(view.n, np.float32)
        for name, count in sold.items():
            row = view.rows.get(name)
            if row is not None and row < view.n:
                values[row] = count
        self._sold = values
        self.lexicon.follow(view, queries, sold)

    def _index(self, frame: pl.DataFrame | None) -> None:
        """The word index at this revision or a later one, brought there by this process or another."""
        with self.words.writing():
            have = self.words.revision
            sound = 0 <= have <= self._record.product_revision()
            if frame is not None and have == self.revision:
                sound = sound and len(self.words) == frame.height  # a record restored from elsewhere
            if not sound:
                revision = self._record.product_revision()
                self.words.rebuild(self._record.products_frame() if frame is None else frame, revision)
            elif have < self.revision:
                revision, changes = self._record.product_changes(have)
                there = _frame([change.product for change in changes if change.product is not None])
                self.words.apply(there, [change.id for change in changes if change.product is None], revision)

    def _learn_keys(self, ids: Sequence[str]) -> None:
        rows = self.documents.view.rows
        for name in ids:
            self._keys[key_of(name)] = rows[name]

    def rows_of(self, keys: Keys) -> Ints:
        """Rows by key, -1 for a product this process does not know (yet)."""
        known = self._keys
        return np.array([known.get(key, -1) for key in keys.tolist()], np.int32)

    # Answering

    def suggest(self, prefix: str, k: int = 8) -> list[Suggestion]:
        """Completions of what is being typed."""
        return self.lexicon.suggest(prefix, k)

    def search(self, request: SearchRequest) -> SearchAnswer:
        """A page of products for the request. Raises InvalidRequest for a foreign page token."""
        view = self.documents.view
        language = request.language or self._language
        understood = self.lexicon.understand(request, language)
        found, masks, understood = self._sought(view, request, understood)
        kept = _every(masks, len(found.rows))
        total = Found(
            found.rows[kept],
            found.words[kept],
            {name: values[kept] for name, values in found.parts.items()},
            found.relaxed,
            found.source,
        )
        sort = request.sort if request.sort != "relevance" else understood.reading.sort or "relevance"
        rows, scores, ruled = self._ordered(view, request, total, sort)
        page = paging.page(view, request, rows, scores)
        terms = self._terms(understood)
        place = {row: at for at, row in enumerate(total.rows.tolist())} if request.explain else {}
        hits = []
        for row, score, others in page.items:
            parts = {n: float(v[place[row]]) for n, v in total.parts.items()} if row in place else {}
            source = "rules" if row in ruled and row not in place and request.explain else total.source
            hits.append(
                Hit(
                    product=view.ids[row],
                    score=score,
                    sources=(source, *(["rules"] if row in ruled else [])),
                    reason=_REASONS[language]["rules" if row in ruled else source],
                    title=view.titles[row],
                    highlights=self._highlights(view, row, terms),
                    variants=tuple(view.ids[other] for other in others),
                    parts=parts,
                )
            )
        return SearchAnswer(
            request_id=uuid.uuid4().hex,
            query=request.query,
            items=tuple(hits),
            total=page.total,
            facets=tuple(view.facets(request.facets, masks, found.rows, group=request.group)),
            reading=understood.reading.chips,
            did_you_mean=understood.guess,
            corrected=understood.corrected,
            relaxed=total.relaxed,
            after=page.after,
        )

    def _sought(
        self, view: DocumentsView, request: SearchRequest, understood: Understood
    ) -> tuple[Found, dict[str, Mask], Understood]:
        """What is found, and the filters' masks over it; less and less of the query is insisted on until there is
        something. What the caller filters by is always kept."""
        reading = understood.reading
        wants: tuple[Want, ...] = reading.filters
        relaxed: tuple[str, ...] = ()
        found = self._found(view, request, understood, every=True)
        masks = self._masks(view, request, wants, reading.excluded, found)
        if not _every(masks, len(found.rows)).any() and understood.guess:
            again = replace(request, query=understood.guess, correct=False)
            meant = self.lexicon.understand(again, request.language or self._language)
            tried = self._found(view, request, meant, every=True)
            tried_masks = self._masks(view, request, meant.reading.filters, meant.reading.excluded, tried)
            if _every(tried_masks, len(tried.rows)).any():
                return tried, tried_masks, replace(meant, corrected=understood.guess)
        for step in ("filters", "words", "popular"):
            if _every(masks, len(found.rows)).any():
                break
            if step == "filters":
                if not wants:
                    continue
                wants = ()
            elif step == "words":
                found = self._found(view, request, understood, every=False)
            else:
                rows = view.live()
                sold = self._sold_of(rows)
                found = Found(rows, sold, {"sold": sold}, source="popular")
            relaxed = (*relaxed, step)
            masks = self._masks(view, request, wants, reading.excluded if step != "popular" else (), found)
        found.relaxed = relaxed
        return found, masks, understood

    def _found(self, view: DocumentsView, request: SearchRequest, understood: Understood, *, every: bool) -> Found:
        """Products by words; all of the catalogue where there are none to look for."""
        if not understood.text:
            rows = view.live()
            return Found(rows, self._sold_of(rows), {"sold": self._sold_of(rows)}, source="browse")
        scores: dict[int, float] = {}
        whole: set[int] = set()
        codes = _codes(request.query)
        for text, worth in ((understood.text, 1.0), *((variant, _VARIANT) for variant in understood.variants)):
            wanted = self.analyzer.forms(text)
            hits = self.words.search(wanted, MOST, every=True, codes=codes)
            whole.update(hits.keys.tolist())
            if not every or len(hits.keys) < request.k:
                some = self.words.search(wanted, 4 * request.k if every else MOST, codes=codes)
                if not every or len(hits.keys):
                    self._add(scores, some, worth)
            self._add(scores, hits, worth)
        keys = np.fromiter(scores, np.uint64, len(scores))
        values = np.fromiter(scores.values(), np.float32, len(scores))
        rows = self.rows_of(keys)
        there = (rows >= 0) & (rows < view.n)
        complete = np.fromiter((key in whole for key in scores), np.bool_, len(scores))[there]
        rows, values = rows[there], values[there]
        span = float(values.max(initial=0))
        parts = {"words": values, "every word": (complete * _EVERY * span).astype(np.float32)}
        boost = np.zeros(len(rows), np.float32)
        for want in understood.reading.boosts:
            boost += _BOOST * span * self._mask(view, want, rows)
        parts["wishes"] = boost
        return Found(rows, values + parts["every word"] + boost, parts)

    @staticmethod
    def _add(scores: dict[int, float], hits: Any, worth: float) -> None:
        for key, score in zip(hits.keys.tolist(), hits.score.tolist(), strict=True):
            if score * worth > scores.get(key, 0.0):
                scores[key] = score * worth

    def _masks(
        self,
        view: DocumentsView,
        request: SearchRequest,
        wants: Sequence[Want],
        excluded: Sequence[str],
        found: Found,
    ) -> dict[str, Mask]:
        """By facet, which of the products found pass what the caller and the query filter by."""
        masks = view.masks(request.filters, found.rows)
        for want in wants:
            mask = self._mask(view, want, found.rows)
            masks[want.field] = masks[want.field] & mask if want.field in masks else mask
        if excluded:
            keys = [
                self.words.any_of(field, [term for word in excluded for term in self.analyzer.terms(word)], MOST).keys
                for field in ("title", "category", "attributes")
            ]
            mask = ~np.isin(found.rows, self.rows_of(np.concatenate(keys)))
            masks[""] = masks[""] & mask if "" in masks else mask
        return masks

    def _mask(self, view: DocumentsView, want: Want, rows: Ints) -> Mask:
        """Which rows [m] are as the want says."""
        if want.field == "price":
            low, high = want.low, want.high
            price = view.price[rows]
            if want.share is not None and len(price) and not np.isnan(price).all():
                bound = float(np.nanquantile(price, want.share))
                low, high = (None, bound) if want.share < 0.5 else (bound, None)
            return (price >= (-np.inf if low is None else low)) & (price <= (np.inf if high is None else high))
        return view.having(want.field, want.values, rows)

    def _ordered(
        self, view: DocumentsView, request: SearchRequest, found: Found, sort: str
    ) -> tuple[Ints, Floats, Mapping[int, tuple[str, ...]]]:
        """Rows best first with their scores, and the rules that moved some."""
        order = paging.order(view, sort, found.rows, found.words, self._sold)
        rows, scores = found.rows[order], found.words[order]
        if sort != "relevance":
            return rows, scores, {}
        now = time.time() if request.now is None else request.now.timestamp()
        rules = self._rules.holding(request.query, request.filters.categories, now)
        if not rules:
            return rows, scores, {}

        def shown(row: int) -> bool:
            return bool(view.allowed(request.filters, np.array([row], np.int32))[0])

        made = arranged(rules, rows, scores, view.row, shown)
        return made.rows, made.scores, made.told

    def _sold_of(self, rows: Ints) -> Floats:
        sold = self._sold
        if not len(sold):
            return np.zeros(len(rows), np.float32)
        return np.where(rows < len(sold), sold[np.minimum(rows, len(sold) - 1)], 0).astype(np.float32)

    def _terms(self, understood: Understood) -> frozenset[str]:
        texts = (understood.text, *understood.variants)
        return frozenset(form for text in texts if text for forms in self.analyzer.forms(text) for form in forms)

    def _highlights(
        self, view: DocumentsView, row: int, terms: frozenset[str]
    ) -> dict[str, tuple[tuple[int, int], ...]]:
        found = {}
        for name, text in (("title", view.titles[row]), ("description", view.descriptions[row][:400])):
            spans = _spans([token for token in self._tokens(text) if token.text in terms]) if terms and text else ()
            if spans:
                found[name] = spans
        return found

    @lru_cache(maxsize=20_000)  # noqa: B019  (one Search lives as long as its process)
    def _tokens(self, text: str) -> tuple[Token, ...]:
        return tuple(self.analyzer.tokens(text))


def _codes(query: str) -> list[str]:
    """What of a query may be an SKU, a GTIN or a model number: it has a digit."""
    words = query.split()
    said = [*words, *(a + b for a, b in pairwise(words))][:40]
    found = dict.fromkeys(code for word in said for code in codes_of(word))
    return [code for code in found if len(code) > 3 and any(c.isdigit() for c in code)]


def _every(masks: Mapping[str, Mask], n: int) -> Mask:
    kept = np.ones(n, np.bool_)
    for mask in masks.values():
        kept &= mask
    return kept


def _spans(tokens: Sequence[Token]) -> tuple[tuple[int, int], ...]:
    """Where the tokens stand, overlapping ones joined."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted((token.start, token.end) for token in tokens):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return tuple(spans)


def _frame(products: Sequence[Product]) -> pl.DataFrame:
    """PRODUCT_COLUMNS of products."""
    made = [
        {
            name: getattr(product, name)
            for name in PRODUCT_COLUMNS
            if name not in ("attributes", "created", "availability")
        }
        | {
            "availability": str(product.availability),
            "created": None if product.created is None else to_micros(product.created),
            "attributes": orjson.dumps(dict(product.attributes)).decode(),
        }
        for product in products
    ]
    return pl.DataFrame(made, schema=PRODUCT_COLUMNS)
