"""Search: from a query to a page of products.

text → words ∪ meaning ∪ clicks → one score → rules → groups → page, facets, highlights
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import orjson
import polars as pl

from shelfwise.engine.search import paging
from shelfwise.engine.search.chinese import Pinyin
from shelfwise.engine.search.documents import Documents, DocumentsView
from shelfwise.engine.search.request import Hit, SearchAnswer, SearchRequest
from shelfwise.engine.search.rules import Rules, arranged
from shelfwise.engine.search.synonyms import Synonyms
from shelfwise.engine.search.text import Analyzer, Token, normal
from shelfwise.engine.search.words import Keys, Wanted, WordIndex, codes_of, key_of
from shelfwise.model.sequences import Floats, Ints
from shelfwise.schema import PRODUCT_COLUMNS, Product, Rule, Synonym, to_micros

MOST = 10_000  # products a query finds at most


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
    def product_changes(self, since: int) -> tuple[int, Sequence[Change]]: ...


@dataclass(frozen=True, slots=True)
class Found:
    """Products found, in no order: rows int32 [c] and the word score float32 [c]."""

    rows: Ints
    words: Floats


class Search:
    """Search over a shop's products, following its record. Thread-safe.

    folder: where the word index is kept; None for memory only.
    """

    def __init__(self, record: Record, folder: Path | None) -> None:
        self._record = record
        self.revision = record.product_revision()
        frame = record.products_frame()
        self.documents = Documents(frame)
        brands = frame["brand"].unique().to_list()
        categories = {level for path in frame["product_type"].unique().to_list() for level in path.split(" > ")}
        self.analyzer = Analyzer({*brands, *categories} - {""})
        self.words = WordIndex(folder, self.analyzer, source=record.url)
        self.pinyin = Pinyin()
        self._learn_pinyin(frame)
        self._keys: dict[int, int] = {}
        self._learn_keys(frame["id"].to_list())
        self._index(frame)
        self.rules, self.synonyms = Rules(), Synonyms()

    def steer(self, rules: Iterable[Rule], synonyms: Iterable[Synonym]) -> None:
        """Put merchants' rules and synonyms in the place of those before."""
        self.rules, self.synonyms = Rules(rules, normal), Synonyms(synonyms)

    # Following the record

    def follow(self) -> bool:
        """Bring documents and index to the record's revision; whether anything changed. Cheap when nothing did."""
        if self._record.product_revision() == self.revision:
            return False
        revision, changes = self._record.product_changes(self.revision)
        frame = _frame([change.product for change in changes if change.product is not None])
        self._learn_pinyin(frame)
        self.documents.upsert(frame)
        self._learn_keys(frame["id"].to_list())
        self.documents.delete([change.id for change in changes if change.product is None])
        self.revision = revision
        self._index(None)
        return True

    def _index(self, frame: pl.DataFrame | None) -> None:
        """The word index at this revision or a later one, brought there by this process or another."""
        with self.words.writing():
            have = self.words.revision
            sound = 0 <= have <= self._record.product_revision()
            if frame is not None and have >= self.revision:
                sound = sound and len(self.words) == frame.height  # a record restored from elsewhere
            if not sound:
                revision = self._record.product_revision()
                self.words.rebuild(self._record.products_frame() if frame is None else frame, revision)
            elif have < self.revision:
                revision, changes = self._record.product_changes(have)
                there = _frame([change.product for change in changes if change.product is not None])
                self.words.apply(there, [change.id for change in changes if change.product is None], revision)

    def _learn_pinyin(self, frame: pl.DataFrame) -> None:
        """Chinese words and phrases of titles, brands and categories, so that they are found by pinyin."""
        heard = Counter[tuple[str, ...]]()
        for texts in (frame["title"].to_list(), frame["brand"].unique().to_list(), frame["product_type"].unique()):
            for text in texts:
                if not text.isascii():
                    heard.update(set(self.analyzer.phrases(text)))
        if heard:
            self.pinyin.add(heard)

    def _known(self, word: str) -> bool:
        """Whether the catalogue has this Latin word."""
        return self.words.frequency(self.analyzer.stem(word)) > 0

    def _learn_keys(self, ids: Sequence[str]) -> None:
        rows = self.documents.view.rows
        for name in ids:
            if name in rows:
                self._keys[key_of(name)] = rows[name]

    def rows_of(self, keys: Keys) -> Ints:
        """Rows by key, -1 for a product this process does not know (yet)."""
        known = self._keys
        return np.fromiter((known.get(key, -1) for key in keys.tolist()), np.int32, len(keys))

    # Answering

    def search(self, request: SearchRequest) -> SearchAnswer:
        """A page of products for the request. Raises InvalidRequest for a foreign page token."""
        view = self.documents.view
        mended = (self.pinyin.mend(normal(request.query), self._known) or "") if request.correct else ""
        wanted = self.analyzer.forms(mended or request.query) if request.query else []
        found = self._found(view, request, wanted)
        kept = view.allowed(request.filters, found.rows)
        rows, scores = found.rows[kept], found.words[kept]
        rows, scores = self._ruled(view, request, rows, scores)
        page = paging.page(view, request, rows, scores)
        terms = frozenset(form for forms in wanted for form in forms)
        return SearchAnswer(
            request_id=uuid.uuid4().hex,
            query=request.query,
            corrected=mended,
            items=tuple(
                Hit(
                    product=view.ids[row],
                    score=float(score),
                    sources=("words",) if wanted else ("browse",),
                    title=view.titles[row],
                    highlights=self._highlights(view, row, terms),
                    variants=tuple(view.ids[other] for other in others),
                )
                for row, score, others in page.items
            ),
            total=page.total,
            facets=tuple(view.facets(request.facets, request.filters, found.rows, group=request.group)),
            after=page.after,
        )

    def _ruled(self, view: DocumentsView, request: SearchRequest, rows: Ints, scores: Floats) -> tuple[Ints, Floats]:
        """What the merchants' rules make of the products found."""
        now = time.time() if request.now is None else request.now.timestamp()
        rules = self.rules.holding(request.query, request.filters.categories, now)
        if not rules:
            return rows, scores

        def shown(row: int) -> bool:
            return bool(view.allowed(request.filters, np.array([row], np.int32))[0])

        found = arranged(rules, rows, scores, view.row, shown)
        return found.rows, found.scores

    def _found(self, view: DocumentsView, request: SearchRequest, wanted: Wanted) -> Found:
        if not request.query:
            rows = view.live()
            return Found(rows, np.zeros(len(rows), np.float32))
        codes = [code for word in (request.query, *request.query.split()) for code in codes_of(word)]
        hits = self.words.search(wanted, MOST, every=True, codes=codes)
        if len(hits.keys) < request.k:
            hits = self.words.search(wanted, MOST, codes=codes)
        rows = self.rows_of(hits.keys)
        there = (rows >= 0) & (rows < view.n)
        return Found(rows[there], hits.score[there])

    def _highlights(
        self, view: DocumentsView, row: int, terms: frozenset[str]
    ) -> dict[str, tuple[tuple[int, int], ...]]:
        found = {}
        for name, text in (("title", view.titles[row]), ("description", view.descriptions[row][:500])):
            spans = _spans([token for token in self._tokens(text) if token.text in terms]) if terms and text else ()
            if spans:
                found[name] = spans
        return found

    @lru_cache(maxsize=20_000)  # noqa: B019  (one Search lives as long as its process)
    def _tokens(self, text: str) -> tuple[Token, ...]:
        return tuple(self.analyzer.tokens(text))


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
