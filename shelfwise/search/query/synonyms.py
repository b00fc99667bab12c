"""Synonyms: other words for what a query says, written by a person or proposed from what shoppers did.

A file has a synonym a line: "sofa, couch" both ways, "trainers => running shoes, sneakers" one way; # starts a remark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import polars as pl

from shelfwise.schema import EventType, Synonym
from shelfwise.search.query.chinese import HAN
from shelfwise.search.query.spelling import edit_cost
from shelfwise.search.query.text import normal

MIN_CUSTOMERS = 5  # distinct customers behind whatever is mined or shown of other people's queries
MAX_PHRASE = 12  # units (words, Chinese characters) of the longest phrase looked for
REFORMULATED = 10 * 60 * 1_000_000  # microseconds within which a second query is the first one said differently
LOOKED_BACK = 60 * 60 * 1_000_000  # microseconds within which a product turned to belongs to the last query

T = TypeVar("T")

_UNIT = re.compile(rf"[{HAN}]|[^\W_{HAN}]+")
_IRREGULAR = {"men": "man", "women": "woman", "children": "child", "mice": "mouse", "kids": "kid", "grey": "gray"}
#: Events that say which product a search led to.
TURNED_TO = (EventType.SELECT_ITEM, EventType.ADD_TO_CART, EventType.PURCHASE, EventType.VIEW_ITEM)


def singular(word: str) -> str:
    """A normal English word's singular, by its ending; the same for the singular itself."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")) or not word.isalpha():
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("sses", "xes", "zes", "ches", "shes")) else word[:-1]


def units(text: str) -> list[tuple[str, int, int]]:
    """(unit, start, end) of a normal text: words in the singular, Chinese characters one by one."""
    return [(singular(m[0]), m.start(), m.end()) for m in _UNIT.finditer(text)]


class Phrases(Generic[T]):
    """Finds known phrases in a text, in whatever number or letter case; the longest first."""

    def __init__(self, phrases: Mapping[str, T] | None = None) -> None:
        self._values: dict[tuple[str, ...], T] = {}
        self._longest: dict[str, int] = {}
        for phrase, value in (phrases or {}).items():
            self.add(phrase, value)

    def __len__(self) -> int:
        return len(self._values)

    def add(self, phrase: str, value: T) -> None:
        key = self.key(phrase)
        if 0 < len(key) <= MAX_PHRASE:
            self._values[key] = value
            self._longest[key[0]] = max(len(key), self._longest.get(key[0], 0))

    def get(self, phrase: str) -> T | None:
        return self._values.get(self.key(phrase))

    def find(self, text: str) -> Iterator[tuple[int, int, T]]:
        """(start, end, value) of the phrases in a normal text, from left to right, none overlapping."""
        pieces = units(text)
        i = 0
        while i < len(pieces):
            for size in range(min(self._longest.get(pieces[i][0], 0), len(pieces) - i), 0, -1):
                value = self._values.get(tuple(u for u, _, _ in pieces[i : i + size]))
                if value is not None:
                    yield pieces[i][1], pieces[i + size - 1][2], value
                    i += size - 1
                    break
            i += 1

    @staticmethod
    def key(phrase: str) -> tuple[str, ...]:
        return tuple(unit for unit, _, _ in units(normal(phrase)))


class Synonyms:
    """The synonyms of a shop. Immutable: make a new one when records change."""

    def __init__(self, records: Iterable[Synonym] = ()) -> None:
        meant: dict[tuple[str, ...], tuple[str, list[str]]] = {}
        for record in records:
            for term in record.terms:
                others = record.means or [other for other in record.terms if other != term]
                known = meant.setdefault(Phrases.key(term), (term, []))[1]
                known += [n for n in map(normal, others) if n not in known and Phrases.key(n) != Phrases.key(term)]
        self._phrases: Phrases[tuple[str, ...]] = Phrases()
        for term, others in meant.values():
            if others:
                self._phrases.add(term, tuple(others))

    def __len__(self) -> int:
        return len(self._phrases)

    def find(self, query: str) -> list[tuple[int, int, tuple[str, ...]]]:
        """(start, end, other phrases) for each piece of `normal(query)` that has synonyms."""
        return list(self._phrases.find(normal(query))) if len(self._phrases) else []

    def variants(self, query: str, limit: int = 8) -> list[str]:
        """The query said otherwise: at most `limit` texts, one piece replaced in each, the query itself left out."""
        text = normal(query)
        said = [text[:a] + other + text[b:] for a, b, others in self.find(query) for other in others]
        return [variant for variant in dict.fromkeys(said) if variant != text][:limit]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A synonym for a person to accept. customers: how many distinct ones it rests on.

    evidence: "reformulated" (they asked the one, then the other, and turned to a product) or "same products" (both
    queries led to the same products). examples: up to three pairs of whole queries behind it.
    """

    synonym: Synonym
    customers: int
    evidence: str
    examples: tuple[tuple[str, str], ...]


def mined(events: pl.DataFrame, known: Iterable[Synonym] = (), limit: int = 100) -> list[Proposal]:
    """Synonyms that shoppers' behaviour proposes, best founded first.

    events: EVENT_COLUMNS. Each proposal rests on at least MIN_CUSTOMERS customers with an id: sessions without one may
    all be one person. Likely misspellings and queries that only narrow ("phone", "phone case") are left out.
    """
    searches = _queries(events)
    if searches.is_empty():
        return []
    pairs = [*_reformulated(searches), *_same_products(searches)]
    taken = {_pair(a, b) for record in known for a in record.terms for b in (record.means or record.terms)}
    gathered: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[str, set[str]]] = {}
    examples: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[tuple[str, str], None]] = {}
    spoken: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, str]] = {}
    for one, other, evidence, customers in pairs:
        rest = _difference(one, other)
        if rest is None:
            continue
        pair = _pair(*rest)
        if pair in taken:
            continue
        spoken.setdefault(pair, rest)
        gathered.setdefault(pair, {}).setdefault(evidence, set()).update(customers)
        examples.setdefault(pair, {})[(one, other)] = None
    out = []
    for pair, by_evidence in gathered.items():
        evidence, people = max(by_evidence.items(), key=lambda item: len(item[1]))
        if len(people) >= MIN_CUSTOMERS:
            out.append(Proposal(Synonym(terms=spoken[pair]), len(people), evidence, tuple(examples[pair])[:3]))
    out.sort(key=lambda p: (-p.customers, p.synonym.terms))
    return out[:limit]


def _pair(a: str, b: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    one, other = sorted((Phrases.key(a), Phrases.key(b)))
    return one, other


def _queries(events: pl.DataFrame) -> pl.DataFrame:
    """The searches of known customers with the product each led to: customer, time, said, product (null: none)."""
    columns = ["customer", "time", "type", "query", "product"]
    known = events.select(columns).filter(pl.col("customer") != "").sort("customer", "time", maintain_order=True)
    said = {query: normal(query) for query in known["query"].unique().to_list() if query}
    search = known.filter((pl.col("type") == str(EventType.SEARCH)) & (pl.col("query") != "")).select(
        "customer", "time", pl.col("query").replace_strict(said, default="", return_dtype=pl.String).alias("said")
    )
    turned = known.filter(pl.col("type").is_in([str(kind) for kind in TURNED_TO]) & (pl.col("product") != ""))
    led = turned.select("customer", pl.col("time").alias("turned"), "product").join_asof(
        search.with_columns(pl.col("time").alias("turned")),
        on="turned",
        by="customer",
        strategy="backward",
        tolerance=LOOKED_BACK,
        check_sortedness=False,
    )
    led = led.filter(pl.col("said").is_not_null()).select("customer", "time", "product").unique()
    return (
        search.unique(["customer", "time", "said"], maintain_order=True)
        .join(led, on=["customer", "time"], how="left")
        .sort("customer", "time", maintain_order=True)
    )


def _reformulated(searches: pl.DataFrame) -> Iterator[tuple[str, str, str, set[str]]]:
    """A query that led to nothing, then another within ten minutes that led to a product."""
    each = searches.group_by("customer", "time", "said", maintain_order=True).agg(pl.col("product").drop_nulls().len())
    then = each.with_columns(
        pl.col("said").shift(-1).over("customer").alias("then"),
        (pl.col("time").shift(-1).over("customer") - pl.col("time")).alias("gap"),
        pl.col("product").shift(-1).over("customer").alias("found"),
    ).filter(
        (pl.col("product") == 0)
        & (pl.col("found") > 0)
        & (pl.col("gap") <= REFORMULATED)
        & (pl.col("said") != pl.col("then"))
    )
    for one, other, customers in then.group_by("said", "then").agg(pl.col("customer").unique()).iter_rows():
        yield one, other, "reformulated", set(customers)


def _same_products(searches: pl.DataFrame, least: float = 0.5) -> Iterator[tuple[str, str, str, set[str]]]:
    """Two queries whose customers turned to the same products: cosine of their counts of customers at least `least`.

    Only what a query leads to more often than queries at large do counts: what everybody buys after whatever search
    makes no two queries alike. (With few queries these very two are the queries at large, and little is taken off.)
    """
    led = searches.drop_nulls("product").select("said", "product", "customer").unique()
    people = led.group_by("said").agg(pl.col("customer").unique())
    often = people.filter(pl.col("customer").list.len() >= MIN_CUSTOMERS)
    who = {said: set(customers) for said, customers in often.iter_rows()}
    counts = led.filter(pl.col("said").is_in(list(who))).group_by("said", "product").len("n")
    usual = pl.col("n").sum().over("product") / pl.col("n").sum() * (1 - 2 / max(2, len(who)))
    more = pl.col("n") - usual * pl.col("n").sum().over("said")
    counts = counts.with_columns(more.alias("n")).filter(pl.col("n") > 0)
    sizes = dict(counts.group_by("said").agg((pl.col("n") ** 2).sum().sqrt()).iter_rows())
    both = (
        counts.join(counts, on="product", suffix="_other")
        .filter(pl.col("said") < pl.col("said_other"))
        .group_by("said", "said_other")
        .agg((pl.col("n") * pl.col("n_other")).sum().alias("dot"))
    )
    for one, other, dot in both.iter_rows():
        if dot >= least * sizes[one] * sizes[other]:
            # the smaller side is what the proposal rests on
            yield one, other, "same products", min(who[one], who[other], key=len)


def _difference(one: str, other: str) -> tuple[str, str] | None:
    """What the two queries do not share, where that is a word or two on both sides and no misspelling."""
    a, b = units(one), units(other)
    shared = {unit for unit, _, _ in a} & {unit for unit, _, _ in b}
    left, right = _rest(one, a, shared), _rest(other, b, shared)
    if not left or not right or left == right or max(len(left), len(right)) > 40:
        return None
    if max(len(left.split()), len(right.split())) > 3 or (left + right).replace(" ", "").isdecimal():
        return None
    close = edit_cost(left, right, 2.0) <= (1.0 if len(left) < 6 else 2.0)
    return None if close else (left, right)


def _rest(text: str, pieces: Sequence[tuple[str, int, int]], shared: set[str]) -> str:
    chinese = any(len(unit) == 1 and not unit.isascii() for unit, _, _ in pieces)
    if chinese:  # characters are no words: only whole runs differ
        return text if not shared else " ".join(p for p in text.split() if not {u for u, _, _ in units(p)} <= shared)
    return " ".join(text[start:end] for unit, start, end in pieces if unit not in shared)
