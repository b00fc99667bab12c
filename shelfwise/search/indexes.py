"""What a search reads: columns, word index, vectors, titles, clicks and sales, following the record."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from shelfwise.catalogue.products import Products, frame_of
from shelfwise.models.recommender import Progress
from shelfwise.models.sequences import Ints
from shelfwise.schema import Product
from shelfwise.search.query.lexicon import Lexicon
from shelfwise.search.query.text import Analyzer
from shelfwise.search.rank.sold import Sold
from shelfwise.search.rank.titles import Titles
from shelfwise.search.retrieve.clicks import Clicks
from shelfwise.search.retrieve.dense import Encoders, Meaning
from shelfwise.search.retrieve.lexical import KeyedRows, Keys, WordIndex
from shelfwise.search.suggest import Entry

log = logging.getLogger("shelfwise.search")


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


class Indexes:
    """Any number of readers; `follow`, `encode` and `learn` by one thread at a time.

    folder: where the word index is kept; None for memory only. encoders: of texts and photos; None for words alone.
    products: held already, by the engine; None for search's own. patience: seconds to wait for the vectors of products;
    what is not encoded by then comes while words answer already. progress: called with how many products are indexed
    and encoded; all of them when it is given.
    """

    def __init__(
        self,
        record: Record,
        folder: Path | None,
        encoders: Encoders | None = None,
        *,
        products: Products | None = None,
        patience: float = 30,
        progress: Progress | None = None,
    ) -> None:
        self._record = record
        self.revision = record.product_revision()
        frame = record.products_frame()
        self.products = products or Products()
        if self.products.described:
            self.products.upsert(frame)
        else:
            self.products.describe(frame)
        brands = frame["brand"].unique().to_list()
        categories = {level for path in frame["product_type"].unique().to_list() for level in path.split(" > ")}
        self.analyzer = Analyzer({*brands, *categories} - {""})
        self.words = WordIndex(folder, self.analyzer, source=record.url)
        self._keys = KeyedRows()
        self._put_keys(frame["id"].to_list())
        self._index(frame, progress)
        self.lexicon = Lexicon(self.products.view, self.analyzer, lambda term: self.words.frequency(term) > 0)
        self.titles = Titles(self.analyzer)
        self.titles.put(self._rows(frame["id"].to_list()).tolist(), frame["title"].to_list())
        self.clicks = Clicks()
        self.sold = Sold()
        self.meaning = Meaning(encoders)
        self._unencoded: dict[str, Product] = {}  # products without their vectors, oldest first
        self._unindexed = False
        self._failure: Exception | None = None
        self._encoding = threading.Thread(
            target=self._encode, args=(frame, progress), name="shelfwise-encode", daemon=True
        )
        self._encoding.start()
        self._encoding.join(patience if progress is None else None)

    @property
    def behind(self) -> bool:
        """Whether products wait for their vectors, or for the word index."""
        return bool(self._unencoded) or self._unindexed

    def rows_of(self, keys: Keys) -> Ints:
        """Rows by the word index's keys, -1 for a product this process does not know (yet)."""
        return self._keys.rows(keys)

    def complete(self) -> None:
        """Wait until every product has its vectors. Raises what kept them from it (EncodingError)."""
        self._encoding.join()
        if self._failure is not None:
            raise self._failure

    def follow(self, most: int | None = None) -> bool:
        """Bring everything to the record's revision; whether anything changed. Cheap when nothing did.

        most: products to encode at most, the newest first; what waits, or failed, is gone on with by the next call.
        """
        changed = self._record.product_revision() != self.revision
        if changed:
            self._follow()
        elif self._unindexed:
            self._index(None)
            self._unindexed = False
        self.encode(list(reversed(self._unencoded))[:most])
        return changed

    def encode(self, ids: Sequence[str]) -> None:
        """Give these products their vectors, where they wait for them."""
        waiting = [id for id in ids if id in self._unencoded]
        if waiting:
            self.meaning.learn(frame_of([self._unencoded[id] for id in waiting]), self._rows)
            for id in waiting:
                del self._unencoded[id]
            if self.titles.stale:
                self._measure()

    def learn(self, queries: Sequence[Entry], sold: Mapping[str, float]) -> None:
        """What shoppers did: popular queries (suggest.popular_queries), and how often each product was bought."""
        view = self.products.view
        self.sold.put(view, sold, anew=True)
        self.lexicon.follow(view, queries, sold)

    def _follow(self) -> None:
        revision, changes = self._record.product_changes(self.revision)
        frame = frame_of([change.product for change in changes if change.product is not None])
        gone = [change.id for change in changes if change.product is None]
        self.products.upsert(frame)
        self.products.delete(gone)
        self._put_keys(frame["id"].to_list())
        for change in changes:
            self._unencoded.pop(change.id, None)  # the newest stand last
            if change.product is not None:
                self._unencoded[change.id] = change.product
        self.revision, self._unindexed = revision, True
        try:
            self._index(None)
            self._unindexed = False
        finally:
            self.lexicon.learn(self.products.view, frame, gone)
            self.titles.put(self._rows(frame["id"].to_list()).tolist(), frame["title"].to_list())

    def _index(self, frame: pl.DataFrame | None, progress: Progress | None = None) -> None:
        """The word index at this revision or a later one, brought there by this process or another."""
        with self.words.writing():
            have = self.words.revision
            sound = 0 <= have <= self._record.product_revision()
            if frame is not None and have == self.revision:
                sound = sound and len(self.words) == frame.height  # a record restored from elsewhere
            if not sound:
                revision = self._record.product_revision()
                self.words.rebuild(self._record.products_frame() if frame is None else frame, revision, progress)
            elif have < self.revision:
                revision, changes = self._record.product_changes(have)
                there = frame_of([change.product for change in changes if change.product is not None])
                self.words.apply(there, [change.id for change in changes if change.product is None], revision)

    def _encode(self, frame: pl.DataFrame, progress: Progress | None) -> None:
        try:
            self.meaning.ready(frame.height)  # loads the encoder now, not under the first shopper
            self.meaning.learn(frame, self._rows, progress)
            self._measure()
        except Exception as error:  # the thread's edge: words answer without vectors
            self._failure = error
            log.exception("products have no vectors, so words alone find them")

    def _measure(self) -> None:
        vectors = self.meaning.texts.vectors
        if vectors is not None:
            self.titles.measure(vectors)

    def _rows(self, ids: Sequence[str]) -> Ints:
        rows = self.products.view.rows
        return np.array([rows[name] for name in ids], np.int32)

    def _put_keys(self, ids: Sequence[str]) -> None:
        self._keys.put(ids, self._rows(ids).tolist())
