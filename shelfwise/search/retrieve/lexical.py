"""The word index: which products have these words, and how strongly each field says so (BM25, by tantivy).

    folder/index/   tantivy's files          folder/lock    held by the process that writes

One process writes at a time: whoever gets the lock brings the index to the store's revision, the others wait and
reload. The revision is a document of the index, so it is committed with the products it stands for; applying a change
twice is applying it once. An index that is lost, corrupt or made by another version is rebuilt from the store.

Terms are made by `text.Analyzer` and joined by spaces, so that tantivy only has to split at them. A product is known by
a number made from its id, the same in every process.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl
import tantivy
from tantivy import Document, Index, Occur, Query

from shelfwise.models.recommender import Progress
from shelfwise.models.sequences import Floats, Ints
from shelfwise.search.query.codes import codes_of_product
from shelfwise.search.query.text import Analyzer

#: Fields of a product, and how much a term in each weighs when candidates are sought.
WEIGHTS: dict[str, float] = {
    "title": 3.0,
    "brand": 2.0,
    "category": 1.5,
    "attributes": 0.5,
    "description": 1.0,
    "sku": 6.0,
}
FIELDS: tuple[str, ...] = tuple(WEIGHTS)
#: Changes when documents are made otherwise: an index of another number is rebuilt.
VERSION = 3
_SCHEMA_FIELDS = ("title", "brand", "category", "attributes", "description", "text")  # text: title and description
_HEAP = 50_000_000  # bytes of the writer
_META = "shelfwise"
_TIE = 0.3  # how much the weaker fields of a term add to the strongest
_MOST_TERMS = 400  # distinct attribute terms of a product
_WORDS = 20_000  # words of queries whose part of a query is kept
_MOST_WANTED = 40  # words of a query that are looked for
_TEXTS = 20_000  # texts whose terms are kept while products are indexed: brands, categories, variants' titles
_TOLD = 2_000  # products indexed between two words of progress

Keys = npt.NDArray[np.uint64]
Wanted = Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class WordHits:
    """Products with some of the words, best first: keys uint64 [c], score float32 [c]."""

    keys: Keys
    score: Floats


def key_of(product: str) -> int:
    """The number a product is known by in the index, the same everywhere; never 0."""
    return int.from_bytes(hashlib.blake2b(product.encode(), digest_size=8).digest(), "big") >> 1 or 1


class KeyedRows:
    """Rows of products by the index's keys. Any number of readers; one writer."""

    def __init__(self) -> None:
        self._known: tuple[Keys, Ints] = np.empty(0, np.uint64), np.empty(0, np.int32)  # keys ascending, their rows

    def put(self, ids: Sequence[str], rows: Sequence[int]) -> None:
        keys = np.concatenate((self._known[0], np.fromiter((key_of(name) for name in ids), np.uint64, len(ids))))
        there = np.concatenate((self._known[1], np.array(rows, np.int32)))
        keys, first = np.unique(keys, return_index=True)
        self._known = keys, there[first]

    def rows(self, keys: Keys) -> Ints:
        """int32 [k]; -1 for an unknown key."""
        known, rows = self._known
        if not len(known):
            return np.full(len(keys), -1, np.int32)
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return np.where(known[at] == keys, rows[at], -1).astype(np.int32)


class WordIndex:
    """Terms of all products. Any number of readers; `writing` gives one process at a time the right to change it.

    folder: where it is kept, None for memory only (then it begins empty at revision -1).
    source: names the record it stands for; an index of another record is rebuilt.
    """

    def __init__(self, folder: Path | None, analyzer: Analyzer, *, source: str = "") -> None:
        self._folder = folder
        self._analyzer = analyzer
        self._mark = {"version": VERSION, "tantivy": version("tantivy"), "source": source}
        self._writing = threading.Lock()
        self._schema = _schema()
        self._word = lru_cache(maxsize=_WORDS)(self._made_word)
        self._index = self._opened()

    # Reading

    @property
    def revision(self) -> int:
        """The store's revision the index stands for; -1 when it must be rebuilt."""
        try:
            searcher = self._index.searcher()
            hits = searcher.search(Query.term_query(self._schema, "meta", _META), 1).hits
            if not hits:
                return -1
            mark = orjson.loads(searcher.doc(hits[0][1]).get_first("told") or "{}")
        except (OSError, ValueError):
            return -1
        return int(mark["revision"]) if {k: mark.get(k) for k in self._mark} == self._mark else -1

    def __len__(self) -> int:
        """Products in it."""
        return int(self._index.searcher().num_docs) - (self.revision >= 0)

    def search(self, wanted: Wanted, limit: int, *, every: bool = False) -> WordHits:
        """Up to `limit` products with some of the words wanted (each given by its forms), or with every one of them."""
        occur = Occur.Must if every else Occur.Should
        clauses = [(occur, self._word(forms)) for forms in wanted[:_MOST_WANTED]]
        if not clauses:
            return WordHits(np.empty(0, np.uint64), np.empty(0, np.float32))
        return self._hits(Query.boolean_query(clauses), limit)

    def field(self, field: str, wanted: Wanted, limit: int) -> WordHits:
        """The BM25 score of one field alone, of the `limit` products it is highest for."""
        clauses = [(Occur.Should, self._term(field, form)) for forms in wanted[:_MOST_WANTED] for form in forms[:6]]
        return self._hits(Query.boolean_query(clauses), limit)

    def any_of(self, field: str, terms: Sequence[str], limit: int) -> WordHits:
        """Products with one of these terms in a field."""
        # Not a term_set_query: it walks an automaton over every term of the index.
        wanted = [(Occur.Should, self._term(field, term)) for term in terms]
        return self._hits(Query.const_score_query(Query.boolean_query(wanted), 1.0), limit)

    def frequency(self, term: str, fields: Iterable[str] = ("title", "brand", "category")) -> int:
        """In how many products a term stands, at most, in one of the fields."""
        searcher = self._index.searcher()
        return max((int(searcher.doc_freq(name, term)) for name in fields), default=0)

    def _made_word(self, forms: tuple[str, ...]) -> Query:
        """One thing wanted: the best of its forms in the best of the fields, the others a little."""
        return Query.disjunction_max_query(
            [
                Query.boost_query(self._term(field, form), weight * (1.0 if place == 0 else 0.8))
                for place, form in enumerate(forms[:6])
                for field, weight in WEIGHTS.items()
            ],
            _TIE,
        )

    def _term(self, field: str, term: str) -> Query:
        return Query.term_query(self._schema, field, term, "freq" if field != "sku" else "basic")

    def _hits(self, query: Query, limit: int) -> WordHits:
        searcher = self._index.searcher()
        hits = searcher.search(query, limit, count=False).hits
        if not hits:
            return WordHits(np.empty(0, np.uint64), np.empty(0, np.float32))
        scores, addresses = zip(*hits, strict=True)
        keys = searcher.fast_field_values("key", list(addresses))
        return WordHits(np.array(keys, np.uint64), np.array(scores, np.float32))

    # Writing

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One thread of one process at a time; waits. The index is reloaded first: another may just have written."""
        with self._writing:
            if self._folder is None:
                yield
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "lock").open("wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed, also by a crash
                self._index = self._opened()
                yield

    def rebuild(self, frame: pl.DataFrame, revision: int, progress: Progress | None = None) -> None:
        """The index of exactly these products (PRODUCT_COLUMNS). Inside `writing`."""
        if self._folder is not None:
            shutil.rmtree(self._folder / "index", ignore_errors=True)
            self._index = self._made()
        writer = self._index.writer(_HEAP, 1)
        writer.delete_all_documents()
        for done, document in enumerate(self._documents(frame)):
            writer.add_document(document)
            if progress is not None and done % _TOLD == 0:
                progress(done, frame.height, "products indexed for search")
        self._committed(writer, revision)

    def apply(self, frame: pl.DataFrame, gone: Iterable[str], revision: int) -> None:
        """Add or replace the products of the frame, take out those gone. Inside `writing`."""
        writer = self._index.writer(_HEAP, 1)
        for product in (*frame["id"].to_list(), *gone):
            self._drop(writer, key_of(product))
        for document in self._documents(frame):
            writer.add_document(document)
        self._committed(writer, revision)

    def _committed(self, writer: Any, revision: int) -> None:
        self._drop(writer, 0)
        mark = Document()
        mark.add_unsigned("key", 0)
        mark.add_text("meta", _META)
        mark.add_text("told", orjson.dumps(self._mark | {"revision": revision}).decode())
        writer.add_document(mark)
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()

    def _drop(self, writer: Any, key: int) -> None:
        # By a query: a term made from a Python int is a signed one, and finds nothing in an unsigned field.
        writer.delete_documents_by_query(Query.term_query(self._schema, "key", key))

    def _documents(self, frame: pl.DataFrame) -> Iterator[Document]:
        names = ("title", "brand", "product_type", "description", "attributes", "id", "gtin", "mpn")
        terms = lru_cache(_TEXTS)(lambda text: " ".join(self._analyzer.terms(text)))
        attribute_terms = lru_cache(_TEXTS)(self._attribute_terms)
        for title, brand, path, description, attributes, id, gtin, mpn in zip(
            *(frame[name].to_list() for name in names), strict=True
        ):
            titled, described = terms(title), terms(description)
            document = Document()
            document.add_unsigned("key", key_of(id))
            document.add_text("title", titled)
            document.add_text("text", f"{titled} {described}")
            if brand:
                document.add_text("brand", terms(brand))
            if path:
                document.add_text("category", terms(path))
            if len(attributes) > 2:
                document.add_text("attributes", attribute_terms(attributes))
            if described:
                document.add_text("description", described)
            for code in codes_of_product(id, title, gtin, mpn):
                document.add_text("sku", code)
            yield document

    def _attribute_terms(self, attributes: str) -> str:
        """Terms of attributes (JSON), each once: their values, and the names of those that are true."""
        once: dict[str, None] = {}
        terms = self._analyzer.terms
        for name, value in orjson.loads(attributes).items():
            if value is True:
                once.update(dict.fromkeys(terms(name.replace("_", " "))))
            elif isinstance(value, str):
                once.update(dict.fromkeys(terms(value)))
            if len(once) > _MOST_TERMS:
                break
        return " ".join(once)

    def _opened(self) -> Index:
        """The index there is, or an empty one where there is none that can be read."""
        if self._folder is None:
            return getattr(self, "_index", None) or Index(self._schema)
        path = self._folder / "index"
        try:
            if path.exists() and Index.exists(str(path)):
                index = Index(self._schema, path=str(path))
                index.config_reader("manual")
                index.reload()
                return index
        except (OSError, ValueError):
            pass  # corrupt, or of another schema: rebuilt from the store by whoever writes first
        return Index(self._schema)

    def _made(self) -> Index:
        assert self._folder is not None
        path = self._folder / "index"
        path.mkdir(parents=True, exist_ok=True)
        index = Index(self._schema, path=str(path))
        index.config_reader("manual")
        return index


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("key", indexed=True, fast=True)
    for name in _SCHEMA_FIELDS:
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field("sku", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("meta", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("told", stored=True, tokenizer_name="raw", index_option="basic")
    return builder.build()
