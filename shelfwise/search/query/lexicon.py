"""What a shop's own words tell of a query: its reading, its spelling, its pinyin, its synonyms, its completions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from shelfwise.schema import SELLS, Synonym
from shelfwise.search.documents import LEVELS, SALE, DocumentsView
from shelfwise.search.query.chinese import Pinyin
from shelfwise.search.query.facts import MAX_VALUE, Facts
from shelfwise.search.query.parse import Reader, Reading
from shelfwise.search.query.spelling import Spelling
from shelfwise.search.query.synonyms import Synonyms
from shelfwise.search.query.text import Analyzer, normal
from shelfwise.search.request import SearchRequest
from shelfwise.search.suggest import Entry, Suggester, Suggestion

_STALE = 2_000  # changed products after which what was counted is counted anew
_SELLING = frozenset(SALE[str(kind)] for kind in SELLS)  # availability codes


@dataclass(frozen=True, slots=True)
class Understood:
    """A query as it is looked for.

    text: the words left to look for (normal). corrected: the whole query as mended, "" when as typed. guess: another
    spelling, asked for, and alone where nothing is found as typed. variants: the text said with synonyms or as guessed.
    meant: the guess in the shopper's words, "" for none.
    """

    text: str = ""
    reading: Reading = field(default_factory=lambda: Reading(""))
    corrected: str = ""
    guess: str = ""
    variants: tuple[str, ...] = ()
    meant: str = ""


class Lexicon:
    """Made of the catalogue's columns; `learn` takes what comes later. Thread-safe.

    has: is there a product with this index term?
    """

    def __init__(self, view: DocumentsView, analyzer: Analyzer, has: Callable[[str], bool]) -> None:
        self._analyzer = analyzer
        self._has = has
        self._changed = 0
        self._queries: Sequence[Entry] = ()
        self._sold: Mapping[str, float] = {}
        self._synonyms = Synonyms()
        self._suggester: Suggester | None = None
        self._view = view
        self._count(view)

    def _count(self, view: DocumentsView) -> None:
        rows = view.live()
        titles = [view.titles[row] for row in rows.tolist()]
        facts = facts_of(view)
        names = [*facts.brands, *(level for path in facts.categories for level in path.split(LEVELS))]
        self.spelling = Spelling([*titles, *names], known=self._known)
        for entry in self._queries:
            self.spelling.add(entry.text, int(entry.weight))
        self.spelling.correct("warmup")  # indexes the words now, not under the first shopper
        self.pinyin = Pinyin()
        self._hear([*titles, *names])
        facts.titles = self.spelling.count
        self.reader = Reader(facts)
        self._facts = facts
        self._changed = 0

    def _complete(self, view: DocumentsView) -> None:
        sold, facts = self._sold, self._facts
        paths: Counter[str] = Counter()
        for path, count in facts.categories.items():
            levels = path.split(LEVELS)
            for depth in range(len(levels)):
                paths[LEVELS.join(levels[: depth + 1])] += count
        self._suggester = Suggester(
            [
                Entry(view.titles[row], sold.get(view.ids[row], 0.0), view.ids[row])
                for row in view.live().tolist()
                if view.titles[row] and view.sale[row] in _SELLING  # what is sold out is not suggested
            ],
            brands=[Entry(name, float(count)) for name, count in facts.brands.items()],
            categories=[Entry(path, float(count)) for path, count in paths.items()],
            queries=self._queries,
            latin=self._analyzer.latin,
            spelling=self.spelling,
        )

    def learn(self, view: DocumentsView, frame: pl.DataFrame, gone: Sequence[str]) -> None:
        """Products new or changed (PRODUCT_COLUMNS) and gone."""
        self._view = view
        self._changed += frame.height + len(gone)
        if self._changed > max(_STALE, view.n // 20) or _last_of_its_kind(view, gone):
            self._count(view)
            self._complete(view)
            return
        titles = frame["title"].to_list()
        for text in (*titles, *frame["brand"].unique().to_list()):
            self.spelling.add(text)
        self._hear(titles)
        new = [
            Entry(title, self._sold.get(id, 0.0), id)
            for id, title in zip(frame["id"].to_list(), titles, strict=True)
            if title
        ]
        if self._suggester is not None:
            sold_out = [name for name in frame["id"].to_list() if view.sale[view.rows[name]] not in _SELLING]
            self._suggester = self._suggester.updated(new, [*gone, *sold_out])

    def follow(self, view: DocumentsView, queries: Sequence[Entry], sold: Mapping[str, float]) -> None:
        """Popular queries and what was sold, by product id: they order completions."""
        self._queries, self._sold = queries, sold
        for entry in queries:
            self.spelling.add(entry.text, int(entry.weight))
        self._complete(view)

    def synonyms(self, records: Iterable[Synonym]) -> None:
        self._synonyms = Synonyms(records)

    def understand(self, request: SearchRequest, language: str) -> Understood:
        """What a request asks for in so many words."""
        query = normal(request.query)
        if not query:
            return Understood()
        reading = self.reader.read(query, request.undo, language)
        corrected = guess = ""
        if request.correct and reading.text:
            mended = self.pinyin.mend(reading.text, self._known) if len(self.pinyin) else None
            if mended is not None and mended != reading.text:
                corrected = _instead(query, reading.text, mended)
            else:
                correction = self.spelling.correct(reading.text)
                # Two known words that may be one are looked for both ways (Analyzer.forms).
                typed_wrong = [pair for pair in correction.words if not self._apart(pair[0])]
                if correction.changed and (typed_wrong or not correction.words):
                    meant = query
                    for typed, word in typed_wrong:
                        meant = re.sub(rf"(?<!\w){re.escape(typed)}(?!\w)", word.replace("\\", r"\\"), meant)
                    if meant == query and len(typed_wrong) == len(correction.words):
                        meant = _instead(query, reading.text, correction.text)
                    corrected, guess = (meant, "") if correction.certain else ("", meant)
            if corrected:
                reading = self.reader.read(corrected, request.undo, language)
        variants = tuple(self._synonyms.variants(reading.text)) if len(self._synonyms) and reading.text else ()
        meant = ""
        if guess:  # another model, or a rare word for a common one: beside what was typed
            guessed = self.reader.read(guess, request.undo, language)
            variants, meant = (*variants, guessed.text), guessed.said
        return Understood(reading.text, reading, corrected, guess, variants, meant)

    def suggest(self, prefix: str, k: int) -> list[Suggestion]:
        if self._suggester is None:  # nobody told yet what sells (`follow`)
            self._complete(self._view)
        assert self._suggester is not None
        return self._suggester.suggest(prefix, k)

    def _known(self, word: str) -> bool:
        return self._has(self._analyzer.stem(word))

    def _apart(self, typed: str) -> bool:
        """Whether it is several words that products have."""
        words = typed.split()
        return len(words) > 1 and all(map(self._known, words))

    def _hear(self, texts: Iterable[str]) -> None:
        """Chinese words and phrases, so that they are found by pinyin."""
        heard = Counter[tuple[str, ...]]()
        for text in texts:
            if not text.isascii():
                heard.update(set(self._analyzer.phrases(text)))
        if heard:
            self.pinyin.add(heard)


def facts_of(view: DocumentsView) -> Facts:
    """What the reader wants to know of a catalogue, from its columns."""
    rows = view.live()
    facts = Facts(products=len(rows))
    for counter, names, codes in (
        (facts.brands, view.brands.names, view.brand[rows]),
        (facts.categories, view.categories.names, view.category[rows]),
    ):
        for code, count in zip(*(part.tolist() for part in np.unique(codes, return_counts=True)), strict=True):
            if code >= 0:
                counter[str(names[code])] = count
    for name, column in view.attributes.items():
        codes, counts = np.unique(column.at(rows), return_counts=True)
        values: Counter[str] = Counter()
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            if code >= 0 and isinstance(value := column.names.names[code], str) and len(value) <= MAX_VALUE:
                values[value] = count
        if values:
            facts.attributes[name] = values
    rows = rows[~np.isnan(view.price[rows])]
    price, category = view.price[rows].astype(np.float64), view.category[rows]
    facts.prices = {"": np.sort(price)}
    order = np.lexsort((price, category))
    ends = np.flatnonzero(np.diff(category[order], append=-2)) + 1
    start = 0
    for end in ends.tolist():
        code = int(category[order[start]])
        if code >= 0:
            facts.prices[str(view.categories.names[code])] = price[order[start:end]]
        start = end
    return facts


def _instead(query: str, text: str, other: str) -> str:
    """The query with its text said otherwise; the rest of it as it was where that can be told."""
    return query.replace(text, other) if text in query else other


def _last_of_its_kind(view: DocumentsView, gone: Sequence[str]) -> bool:
    """Was one of these the last of its brand or category? Then their names must be offered to nobody."""
    rows = np.array([row for name in gone if (row := view.rows.get(name)) is not None], np.int64)
    if not len(rows):
        return False
    live = view.live()
    return any(
        bool(np.setdiff1d(codes[rows][codes[rows] >= 0], codes[live]).size) for codes in (view.brand, view.category)
    )
