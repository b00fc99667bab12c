"""What a shop's own words tell of a query: its plan (parsed, corrected, expanded) and its completions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from shelfwise.catalogue.products import LEVELS, SALE, ProductsView
from shelfwise.schema import SELLS, Synonym
from shelfwise.search.plan import QueryPlan
from shelfwise.search.query.correct import Corrector
from shelfwise.search.query.facts import MAX_VALUE, Facts
from shelfwise.search.query.parse import Parser
from shelfwise.search.query.synonyms import Synonyms
from shelfwise.search.query.text import Analyzer, normal
from shelfwise.search.request import SearchRequest
from shelfwise.search.suggest import Entry, Suggester, Suggestion

_STALE = 2_000  # changed products after which what was counted is counted anew
_SELLING = frozenset(SALE[str(kind)] for kind in SELLS)  # availability codes


class Lexicon:
    """Made of the catalogue's columns; `learn` takes what comes later. Thread-safe.

    has: is there a product with this index term?
    """

    def __init__(self, view: ProductsView, analyzer: Analyzer, has: Callable[[str], bool]) -> None:
        self._analyzer = analyzer
        self._has = has
        self._changed = 0
        self._queries: Sequence[Entry] = ()
        self._sold: Mapping[str, float] = {}
        self._synonyms = Synonyms()
        self._suggester: Suggester | None = None
        self._view = view
        self._count(view)

    def _count(self, view: ProductsView) -> None:
        rows = view.live()
        titles = [view.titles[row] for row in rows.tolist()]
        facts = facts_of(view)
        names = [*facts.brands, *(level for path in facts.categories for level in path.split(LEVELS))]
        self._corrector = Corrector([*titles, *names], self._analyzer, self._has)
        self._add_queries()
        self._corrector.spelling.correct("warmup")  # indexes the words now, not under the first shopper
        facts.titles = self._corrector.spelling.count
        self._parser = Parser(facts)
        self._facts = facts
        self._changed = 0

    def _complete(self, view: ProductsView) -> None:
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
            spelling=self._corrector.spelling,
        )

    def learn(self, view: ProductsView, frame: pl.DataFrame, gone: Sequence[str]) -> None:
        """Products new or changed (PRODUCT_COLUMNS) and gone."""
        self._view = view
        self._changed += frame.height + len(gone)
        if self._changed > max(_STALE, view.n // 20) or _last_of_its_kind(view, gone):
            self._count(view)
            self._complete(view)
            return
        titles = frame["title"].to_list()
        self._corrector.add((*titles, *frame["brand"].unique().to_list()))
        new = [
            Entry(title, self._sold.get(id, 0.0), id)
            for id, title in zip(frame["id"].to_list(), titles, strict=True)
            if title
        ]
        if self._suggester is not None:
            sold_out = [name for name in frame["id"].to_list() if view.sale[view.rows[name]] not in _SELLING]
            self._suggester = self._suggester.updated(new, [*gone, *sold_out])

    def follow(self, view: ProductsView, queries: Sequence[Entry], sold: Mapping[str, float]) -> None:
        """Popular queries and what was sold, by product id: they order completions."""
        self._queries, self._sold = queries, sold
        self._add_queries()
        self._complete(view)

    def synonyms(self, records: Iterable[Synonym]) -> None:
        self._synonyms = Synonyms(records)

    def plan(self, request: SearchRequest, language: str) -> QueryPlan:
        """What a request is read to want: parsed, corrected, expanded. language: of the chips' labels."""
        query = normal(request.query)
        if not query:
            return QueryPlan(source="browse")
        plan = self._parser.parse(query, request.undo, language)
        corrected = alternative = ""
        if request.correct and plan.text:
            corrected, alternative = self._corrector.correct(query, plan.text)
            if corrected:
                plan = self._parser.parse(corrected, request.undo, language)
        variants = tuple(self._synonyms.variants(plan.text)) if len(self._synonyms) and plan.text else ()
        spoken = plan.spoken
        if alternative:  # another model, or a rare word for a common one: beside what was typed
            other = self._parser.parse(alternative, request.undo, language)
            variants, spoken = (*variants, other.text), other.spoken or spoken
        return replace(
            plan,
            spoken=spoken,
            variants=variants,
            corrected=corrected,
            alternative=alternative,
            source="words" if plan.text else "browse",
        )

    def suggest(self, prefix: str, k: int) -> list[Suggestion]:
        if self._suggester is None:  # nobody said yet what sells (`follow`)
            self._complete(self._view)
        assert self._suggester is not None
        return self._suggester.suggest(prefix, k)

    def _add_queries(self) -> None:
        for entry in self._queries:
            self._corrector.spelling.add(entry.text, int(entry.weight))


def facts_of(view: ProductsView) -> Facts:
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


def _last_of_its_kind(view: ProductsView, gone: Sequence[str]) -> bool:
    """Was one of these the last of its brand or category? Then their names must be offered to nobody."""
    rows = np.array([row for name in gone if (row := view.rows.get(name)) is not None], np.int64)
    if not len(rows):
        return False
    live = view.live()
    return any(
        bool(np.setdiff1d(codes[rows][codes[rows] >= 0], codes[live]).size) for codes in (view.brand, view.category)
    )
