"""Search: from a query to a page of products.

    text → reading → words ∪ meaning ∪ clicks → one score → rules → groups → page, facets, highlights, reasons

Without a bundle words and meaning answer; with one, behaviour adds who asks and what sells.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from shelfwise.engine.arrange.rules import Rules, arranged
from shelfwise.models.recommender import Progress
from shelfwise.models.sequences import Floats, Ints
from shelfwise.schema import Product, Rule, Synonym
from shelfwise.search import paging
from shelfwise.search.columns import Mask
from shelfwise.search.documents import Documents, DocumentsView, frame_of
from shelfwise.search.highlights import Highlights
from shelfwise.search.query.codes import codes_in, joined_in, whole_code
from shelfwise.search.query.lexicon import Lexicon, Understood
from shelfwise.search.query.parse import Want
from shelfwise.search.query.text import Analyzer, normal
from shelfwise.search.rank import score as ranking
from shelfwise.search.rank.personal import Taste, liking
from shelfwise.search.rank.sold import Sold
from shelfwise.search.rank.titles import Titles
from shelfwise.search.reasons import REASONS, reason_of
from shelfwise.search.request import Hit, SearchAnswer, SearchRequest
from shelfwise.search.retrieve.clicks import Clicks
from shelfwise.search.retrieve.dense import Encoders, Meaning
from shelfwise.search.retrieve.lexical import KeyedRows, Keys, WordHits, WordIndex
from shelfwise.search.suggest import Entry, Suggestion

MOST = 5_000  # products a query finds at most
_TEXTED = 1_000  # products whose title and description are scored as one text
_RANKED = 500  # of those found, the best by words, whose titles and meaning are compared
_BEST = 10  # products the others are likened to
_NEAR = 150  # products proposed by meaning
_NEAR_FROM = 0.35  # cosine, beside what has the words
_FAR_FROM, _FAR = 0.14, 0.6  # cosine, and part of the highest, where no product has every word
_ALIKE = 500  # products proposed for a photo
_FEW = 100  # products with every word below which those with some are taken too
_WORDED = ("text", "brand", "category", "attributes")  # fields that together hold every word of a product
_PART = 0.8  # of an exact code: what is found by a part of its model number
_VARIANT = 0.9  # of its score: what is found by a synonym
log = logging.getLogger("shelfwise.search")


_NO_KEYS: Keys = np.empty(0, np.uint64)


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

    folder: where the word index is kept; None for memory only. encoders: of texts and photos; None for words alone.
    language: of reasons and chips, en or zh. patience: seconds to wait for the vectors of products; what is not encoded
    by then comes while words answer already. progress: told how many products are indexed and encoded; all of them when
    it is given.
    """

    def __init__(
        self,
        record: Record,
        folder: Path | None,
        encoders: Encoders | None = None,
        *,
        language: str = "en",
        patience: float = 30,
        progress: Progress | None = None,
    ) -> None:
        self._record = record
        self._language = language
        self.revision = record.product_revision()
        frame = record.products_frame()
        self.documents = Documents(frame)
        brands = frame["brand"].unique().to_list()
        categories = {level for path in frame["product_type"].unique().to_list() for level in path.split(" > ")}
        self.analyzer = Analyzer({*brands, *categories} - {""})
        self._highlights = Highlights(self.analyzer)
        self.words = WordIndex(folder, self.analyzer, source=record.url)
        self._keys = KeyedRows()
        self._learn_keys(frame["id"].to_list())
        self._index(frame, progress)
        self.lexicon = Lexicon(self.documents.view, self.analyzer, lambda term: self.words.frequency(term) > 0)
        self.titles = Titles(self.analyzer)
        self.titles.put(range(frame.height), frame["title"].to_list())
        self._rules = Rules()
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

    def complete(self) -> None:
        """Wait until every product has its vectors. Raises what kept them from it (EncodingError)."""
        self._encoding.join()
        if self._failure is not None:
            raise self._failure

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

    def _rows(self, ids: list[str]) -> Ints:
        rows = self.documents.view.rows
        return np.array([rows[name] for name in ids], np.int32)

    # Following the record

    @property
    def behind(self) -> bool:
        """Whether products wait for their vectors, or for the word index."""
        return bool(self._unencoded) or self._unindexed

    def follow(self, most: int | None = None) -> bool:
        """Bring documents and index to the record's revision; whether anything changed. Cheap when nothing did.

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

    def _follow(self) -> None:
        revision, changes = self._record.product_changes(self.revision)
        frame = frame_of([change.product for change in changes if change.product is not None])
        gone = [change.id for change in changes if change.product is None]
        self.documents.upsert(frame)
        self.documents.delete(gone)
        self._learn_keys(frame["id"].to_list())
        for change in changes:
            self._unencoded.pop(change.id, None)  # the newest stand last
            if change.product is not None:
                self._unencoded[change.id] = change.product
        self.revision, self._unindexed = revision, True
        try:
            self._index(None)
            self._unindexed = False
        finally:
            self.lexicon.learn(self.documents.view, frame, gone)
            self.titles.put(self._rows(frame["id"].to_list()).tolist(), frame["title"].to_list())

    def steer(self, rules: Sequence[Rule], synonyms: Sequence[Synonym]) -> None:
        """Merchants' rules and synonyms, all that there are now."""
        self._rules = Rules(rules, normal)
        self.lexicon.synonyms(synonyms)

    def learn(self, queries: Sequence[Entry], sold: Mapping[str, float]) -> None:
        """What shoppers did: popular queries (suggest.popular_queries), and how often each product was bought."""
        view = self.documents.view
        self.sold.put(view, sold, anew=True)
        self.lexicon.follow(view, queries, sold)

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

    def _learn_keys(self, ids: Sequence[str]) -> None:
        rows = self.documents.view.rows
        self._keys.put(ids, [rows[name] for name in ids])

    def rows_of(self, keys: Keys) -> Ints:
        """Rows by key, -1 for a product this process does not know (yet)."""
        return self._keys.rows(keys)

    # Answering

    def suggest(self, prefix: str, k: int = 8) -> list[Suggestion]:
        """Completions of what is being typed."""
        return self.lexicon.suggest(prefix, k)

    def search(self, request: SearchRequest, taste: Taste | None = None) -> SearchAnswer:
        """A page of products for the request. Raises InvalidRequest for a foreign page token.

        taste: what the asker turned to and would be recommended (`personal.py`); None for a stranger.
        """
        view = self.documents.view
        language = request.language or self._language
        known = len(self._coded(whole_code(request.query))) or len(self._coded(joined_in(request.query)))
        asked = replace(request, correct=False) if known else request  # what a code names exactly is no typing error
        understood = self.lexicon.understand(asked, language)
        found, masks, understood = self._sought(view, asked, understood, taste)
        return self._answer(view, request, understood, found, masks)

    def _coded(self, codes: Sequence[str]) -> Keys:
        """Products with one of these codes (codes.py)."""
        return self.words.any_of("sku", codes, MOST).keys if codes else _NO_KEYS

    def parts(self, query: str, products: Sequence[str]) -> dict[str, Floats]:
        """What each feature (ranking.FEATURES) adds to the scores of these products beside all that is found for a
        query, whether they would be found or not: float32 [m] each."""
        view = self.documents.view
        understood = self.lexicon.understand(SearchRequest(query=query), self._language)
        rows = np.array([view.rows[name] for name in products], np.int32)
        if not understood.text:
            return {}
        found = self._found(view, SearchRequest(query=query, k=200), understood, None, every=True, also=rows)
        at = np.searchsorted(found.rows, rows)
        return {name: part[at] for name, part in found.parts.items()}

    def rank(self, query: str, products: Sequence[str], *, without: frozenset[str] = frozenset()) -> Floats:
        """How well each of these products answers a query: float32 [m]. without: features left out of the score."""
        parts = self.parts(query, products)
        return ranking.score({name: part for name, part in parts.items() if name not in without}, len(products))

    def look(self, photo: bytes, request: SearchRequest) -> SearchAnswer:
        """Products whose photo looks like this one. Raises EncodingError for what is no photo."""
        view = self.documents.view
        vector = self.meaning.seen(photo)
        rows, cosine = np.empty(0, np.int32), np.empty(0, np.float32)
        if vector is not None:
            rows, cosine = self.meaning.photos.near(vector, _ALIKE, self._allowed(view, request))
            cosine = cosine[rows < view.n]
            rows = rows[rows < view.n]
        found = Found(rows, cosine, {"photo": cosine}, source="photo")
        masks = self._masks(view, request, (), (), found)
        return self._answer(view, replace(request, query=""), Understood(), found, masks)

    def _answer(
        self,
        view: DocumentsView,
        request: SearchRequest,
        understood: Understood,
        found: Found,
        masks: Mapping[str, Mask],
    ) -> SearchAnswer:
        """The page of what was found, with all that is said about it."""
        language = request.language or self._language
        kept = ranking.every(masks, len(found.rows))
        total = Found(
            found.rows[kept],
            found.words[kept],
            {name: values[kept] for name, values in found.parts.items()} if request.explain else {},
            found.relaxed,
            found.source,
        )
        sort = request.sort if request.sort != "relevance" else understood.reading.sort or "relevance"
        rows, scores, ruled = self._ordered(view, request, total, sort)
        page = paging.page(view, request, rows, scores)
        terms = self._highlights.terms((understood.text, *understood.variants))
        place = {row: at for at, row in enumerate(total.rows.tolist())} if request.explain else {}
        hits = []
        sold = self.sold.of(np.array([row for row, _, _ in page.items], np.int32)) > 0
        for (row, score, others), bought in zip(page.items, sold.tolist(), strict=True):
            parts = {n: float(v[place[row]]) for n, v in total.parts.items()} if row in place else {}
            source = "rules" if row in ruled and row not in place and request.explain else total.source
            hits.append(
                Hit(
                    product=view.ids[row],
                    score=score,
                    sources=(source, *(["rules"] if row in ruled else [])),
                    reason=REASONS[language][reason_of("rules" if row in ruled else source, total.relaxed, bought)],
                    title=view.titles[row],
                    highlights=self._highlights.of(view.titles[row], view.descriptions[row], terms),
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
        self, view: DocumentsView, request: SearchRequest, understood: Understood, taste: Taste | None
    ) -> tuple[Found, dict[str, Mask], Understood]:
        """What is found, and the filters' masks over it; less and less of the query is insisted on until there is
        something. What the caller filters by is always kept."""
        reading = understood.reading
        wants: tuple[Want, ...] = reading.filters
        relaxed: tuple[str, ...] = ()
        found = self._found(view, request, understood, taste, every=True)
        masks = self._masks(view, request, wants, reading.excluded, found)
        if not ranking.every(masks, len(found.rows)).any() and understood.guess:
            again = replace(request, query=understood.guess, correct=False)
            meant = self.lexicon.understand(again, request.language or self._language)
            tried = self._found(view, request, meant, taste, every=True)
            tried_masks = self._masks(view, request, meant.reading.filters, meant.reading.excluded, tried)
            if ranking.every(tried_masks, len(tried.rows)).any():
                return tried, tried_masks, replace(meant, corrected=understood.guess)
        for step in ("filters", "words", "popular"):  # "words" is words or meaning, whichever finds something
            if ranking.every(masks, len(found.rows)).any():
                break
            if step == "filters":
                if not wants:
                    continue
                wants = ()
            elif step == "words":
                found = self._found(view, request, understood, taste, every=False)
            else:
                found = self._browsed(view, view.live(), understood, taste, "popular")
            relaxed = (*relaxed, step)
            masks = self._masks(view, request, wants, reading.excluded if step != "popular" else (), found)
        found.relaxed = relaxed
        return found, masks, understood

    def _found(
        self,
        view: DocumentsView,
        request: SearchRequest,
        understood: Understood,
        taste: Taste | None,
        *,
        every: bool,
        also: Ints | None = None,
    ) -> Found:
        """Products by words and by meaning, and those asked for `also`, by row; all of the catalogue where there is
        nothing to look for."""
        if not understood.text:
            rows = view.live()
            return self._browsed(view, rows, understood, taste, "browse")
        keys: list[Keys] = []
        values: list[Floats] = []
        whole: list[Keys] = []
        texted: list[WordHits] = []
        named = self._coded(whole_code(request.query))
        joined = self._coded(joined_in(request.query))
        most = MOST if also is None else max(MOST, view.n)  # none of those asked for is cut off
        for text, worth in ((understood.text, 1.0), *((variant, _VARIANT) for variant in understood.variants)):
            wanted = self.analyzer.forms(text)
            hits = self.words.search(wanted, most, every=True)
            whole.append(hits.keys)
            found = [hits]
            if (
                len(wanted) > 1
                and not len(named)
                and (not every or also is not None or 0 < len(hits.keys) < max(request.k, _FEW))
            ):
                found.append(self.words.search(wanted, max(4 * request.k, _FEW) if every and also is None else most))
            texted.append(self.words.field("text", wanted, _TEXTED if also is None else most))
            keys += [one.keys for one in found]
            values += [one.score * worth for one in found]
        codes = codes_in(request.query)
        partly, coded = self._coded(codes), self._coded([code for code in codes if not code.startswith("part:")])
        if len(joined):
            whole.append(joined)
        for more_keys in (partly, named, joined):
            keys.append(more_keys)
            values.append(np.zeros(len(more_keys), np.float32))
        rows, words = ranking.strongest(self.rows_of(np.concatenate(keys)), np.concatenate(values), view.n)
        learned = self._learned(view, request)
        more = [np.fromiter(learned, np.int32, len(learned))]
        vector = self.meaning.of(understood.meant or understood.reading.said)
        if vector is not None and (len(rows) or not every) and not len(named):
            allowed = self._allowed(view, request) if request.filters.narrow else None
            near, cosine = self.meaning.texts.near(vector, _NEAR, allowed)
            least = _NEAR_FROM if every else max(_FAR_FROM, _FAR * float(cosine.max(initial=0)))
            more.append(near[(cosine >= least) & (near < view.n)])
        if also is not None:
            more.append(also)
        extra = np.concatenate(more)
        rows, words = ranking.strongest(
            np.concatenate((rows, extra)), np.concatenate((words, np.zeros(len(extra), np.float32))), view.n
        )
        known = self._known(view, understood)
        features = {
            "exact": np.maximum(
                np.isin(rows, self.rows_of(np.concatenate((coded, joined)))),
                _PART * np.isin(rows, self.rows_of(np.concatenate((partly, named)))),
            ),
            "every": np.isin(rows, self.rows_of(np.concatenate(whole))),
            "words": known * ranking.share(words),
            "text": known * self._text(view, rows, texted),
        }
        ahead = np.arange(len(rows))  # in whose order the page is decided
        if len(rows) > _RANKED:
            first = np.argpartition(-words, _RANKED)[:_RANKED]
            ahead = np.union1d(first, np.flatnonzero((words == 0) | np.isin(rows, more[-1])))
        features |= ranking.spread(self._titles(view, rows[ahead], understood), ahead, len(rows))
        if vector is not None:
            cosines = {"meaning": self.meaning.texts.cosines(vector, rows[ahead])}
            features |= ranking.spread(cosines, ahead, len(rows))
            told = ranking.score(
                ranking.parts_of({n: f[ahead].astype(np.float32) for n, f in features.items()}), len(ahead)
            )
            best = ahead[np.argsort(-told, kind="stable")[:_BEST]]
            mean = self.meaning.texts.mean(rows[best])
            if mean is not None:
                features |= ranking.spread(
                    {"alike": known * self.meaning.texts.cosines(mean, rows[ahead])}, ahead, len(rows)
                )
        features |= self._asker(view, request, rows, understood, taste)
        if learned:
            features["learned"] = np.fromiter((learned.get(row, 0.0) for row in rows.tolist()), np.float32, len(rows))
        parts = ranking.parts_of({name: values.astype(np.float32) for name, values in features.items()})
        return Found(rows, ranking.score(parts, len(rows)), parts)

    def _learned(self, view: DocumentsView, request: SearchRequest) -> dict[int, float]:
        """Row → evidence of what earlier searchers of this query turned to."""
        if not request.learned or not len(self.clicks):
            return {}
        found = self.clicks.of(normal(request.query))
        return {row: value for product, value in found.items() if (row := view.row(product)) is not None}

    def _browsed(
        self, view: DocumentsView, rows: Ints, understood: Understood, taste: Taste | None, source: str
    ) -> Found:
        """Products without a query to match: what sells, what is wished and liked."""
        features = self._asker(view, None, rows, understood, taste)
        parts = ranking.parts_of(features)
        return Found(rows, ranking.score(parts, len(rows)), parts, source=source)

    def _asker(
        self,
        view: DocumentsView,
        request: SearchRequest | None,
        rows: Ints,
        understood: Understood,
        taste: Taste | None,
    ) -> dict[str, Floats]:
        """Features that no word of the text makes: wishes read from it, who asks, what sells."""
        wish = np.zeros(len(rows), np.float32)
        for want in understood.reading.boosts:
            wish += self._mask(view, want, rows)
        found = {"wish": wish, "sold": ranking.share(np.log1p(self.sold.of(rows)))}
        if taste is not None and (request is None or request.personal):
            found["personal"] = liking(taste, view, self.meaning.texts, rows)
        return found

    def _known(self, view: DocumentsView, understood: Understood) -> float:
        """How much of the query products have words for, from 0 to 1; rare words weigh more (by their idf in BM25).
        Of "green tea" in a Chinese shop that reads colours in English, the tea is what is wanted."""
        n = max(1, len(view.ids))
        met, total = 0.0, 0.0
        for forms in self.analyzer.forms(understood.text):
            held = max(self.words.frequency(form, _WORDED) for form in forms)
            weight = math.log(1 + (n - min(held, n) + 0.5) / (held + 0.5))
            met += weight if held else 0.0
            total += weight
        return met / total if total else 1.0

    def _text(self, view: DocumentsView, rows: Ints, texted: Sequence[WordHits]) -> Floats:
        """BM25 of title and description as one text, in parts of the best."""
        table = np.zeros(view.n + 1, np.float32)
        for hits in texted:
            at = self.rows_of(hits.keys)
            at = np.where(at < view.n, at, -1)
            table[at] = np.maximum(table[at], hits.score)
        table[-1] = 0  # products of no row
        return ranking.share(table[rows])

    def _titles(self, view: DocumentsView, rows: Ints, understood: Understood) -> dict[str, Floats]:
        """Whose title is the query, or has its words one after another, or means another thing by its last word."""
        text = understood.text
        terms = self.analyzer.terms(text)
        phrase, head, qualifies = self.titles.look(rows, terms[:20], self.analyzer.forms(text))
        whole = np.zeros(len(rows), np.float32)
        for at in (np.flatnonzero(phrase) if len(terms) > 1 else np.arange(len(rows))).tolist():
            title = view.titles[rows[at]]
            if len(title) <= len(text) + 20 and normal(title) == text:
                whole[at] = 1
        return {"whole": whole, "phrase": phrase, "head": head, "qualifies": qualifies}

    def _allowed(self, view: DocumentsView, request: SearchRequest) -> Mask:
        return view.allowed(request.filters, np.arange(view.n, dtype=np.int32))

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
        order = paging.order(view, sort, found.rows, found.words, self.sold.values)
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
