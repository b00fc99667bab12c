"""Suggestions while one types: popular queries, categories, brands, products.

Each kind has a prefix index: its words sorted, and for every word the entries that hold it, best first. The words that
begin with what is typed are neighbours, so their entries are one slice of one array. A typo in the word being typed is
mended by asking for every prefix one edit away.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from shelfwise.schema import EventType
from shelfwise.search.query.chinese import HAN
from shelfwise.search.query.spelling import NEAR, Spelling
from shelfwise.search.query.synonyms import MIN_CUSTOMERS
from shelfwise.search.query.text import normal

KINDS = ("query", "category", "brand", "product")
MAX_ENTRIES = 1_000_000  # products that can be completed, best first
MAX_WORDS = 12  # words of an entry by which it is found
MAX_PREFIX = 100  # characters of what is typed
MAX_QUERY = 60  # characters of a query that may be shown to others
WIDE = 20_000  # entries of a slice from which only the best of each word are looked at
LATE_PENALTY = 0.5  # what beginning in the middle of an entry costs, in its share of the weight

_WORD = re.compile(rf"[{HAN}]+|[^\W_{HAN}]+")
_HAN_RUN = re.compile(rf"[{HAN}]+")
_PRIVATE = re.compile(r"@|https?:|www\.|(?:\d[\s().+/-]*){7,}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One completion. kind: query, category, brand or product. id: the product's, else "".

    highlight: (start, end) of the typed pieces in `text`.
    """

    kind: str
    text: str
    id: str = ""
    highlight: tuple[tuple[int, int], ...] = ()

    def to_json(self) -> dict[str, object]:
        return {"kind": self.kind, "text": self.text, "id": self.id, "highlight": [list(h) for h in self.highlight]}


@dataclass(frozen=True, slots=True)
class Entry:
    """What can be suggested. weight: how wanted it is among its kind (customers, sales, products), 0 or more."""

    text: str
    weight: float = 0.0
    id: str = ""


def private(query: str) -> bool:
    """Whether a (normal) query may name a person: an address, a link, a telephone or card number, or very long."""
    return len(query) > MAX_QUERY or _PRIVATE.search(query) is not None


def popular_queries(events: pl.DataFrame) -> list[Entry]:
    """The queries of events (EVENT_COLUMNS) that at least MIN_CUSTOMERS customers asked, by how many did.

    Only customers with an id count: many sessions without one may be one person. Forms that `normal` makes one are one.
    """
    searches = events.filter(
        (pl.col("type") == str(EventType.SEARCH)) & (pl.col("query") != "") & (pl.col("customer") != "")
    ).select("query", "customer")
    said = {query: normal(query) for query in searches["query"].unique().to_list()}
    counted = (
        searches.with_columns(pl.col("query").replace_strict(said, default="", return_dtype=pl.String))
        .group_by("query")
        .agg(pl.col("customer").n_unique().alias("customers"))
        .filter((pl.col("customers") >= MIN_CUSTOMERS) & (pl.col("query").str.len_chars() > 1))
        .sort(["customers", "query"], descending=[True, False])
    )
    return [Entry(query, float(customers)) for query, customers in counted.iter_rows() if not private(query)]


class _Index:
    """Entries by the beginnings of their words. Entry numbers go by weight, the best is 0."""

    def __init__(self, entries: Iterable[Entry], latin: Callable[[str], Iterable[str]] | None) -> None:
        self.entries = heapq.nlargest(MAX_ENTRIES, entries, key=lambda e: e.weight)
        self.normal = [normal(entry.text) for entry in self.entries]
        of: dict[str, list[int]] = {}
        for at, text in enumerate(self.normal):
            for word in _keys(text, latin):
                of.setdefault(word, []).append(at)
        self._words = sorted(of)
        self._starts = np.zeros(len(self._words) + 1, np.int64)
        np.cumsum([len(of[word]) for word in self._words], out=self._starts[1:])
        flat = [at for word in self._words for at in of[word]]
        self._entries: npt.NDArray[np.int32] = np.array(flat, np.int32)

    def has(self, prefix: str) -> bool:
        at = bisect.bisect_left(self._words, prefix)
        return at < len(self._words) and self._words[at].startswith(prefix)

    def holding(self, prefix: str, whole: bool = False) -> npt.NDArray[np.int32]:
        """Entries with a word that begins with (or, whole, is) the prefix; not sorted, may repeat."""
        low = bisect.bisect_left(self._words, prefix)
        high = low + (low < len(self._words) and self._words[low] == prefix)
        if not whole:
            high = bisect.bisect_left(self._words, prefix + "\U0010ffff", lo=low)
        start, end = int(self._starts[low]), int(self._starts[high])
        if end - start > WIDE and high - low > 1:
            most = max(1, WIDE // (high - low))
            cut = [self._entries[a : min(a + most, b)] for a, b in _pairs(self._starts[low : high + 1])]
            return np.concatenate(cut)
        return self._entries[start:end]

    def find(self, before: Sequence[str], last: str, k: int) -> list[int]:
        """The k best entries that hold all words `before` and a word beginning with `last`."""
        entries = self.holding(last)
        for word in before:
            if not len(entries):
                return []
            theirs = self.holding(word, whole=True)
            if not len(theirs):
                theirs = self.holding(word)
            entries = np.intersect1d(entries, theirs)
        if len(entries) > 8 * k:
            entries = np.unique(np.partition(entries, 8 * k)[: 8 * k])
        else:
            entries = np.unique(entries)
        return [int(at) for at in entries[: 4 * k]]


class Suggester:
    """Completes what is typed. Immutable; `updated` gives one with other products, cheaply.

    latin: the pinyin and initials of a Chinese text (`Analyzer.latin`), by which it is also found.
    spelling: mends the words before the one being typed.
    """

    def __init__(
        self,
        products: Iterable[Entry] = (),
        *,
        brands: Iterable[Entry] = (),
        categories: Iterable[Entry] = (),
        queries: Iterable[Entry] = (),
        latin: Callable[[str], Iterable[str]] | None = None,
        spelling: Spelling | None = None,
    ) -> None:
        self._latin = latin
        self._spelling = spelling
        self._indexes = {
            "query": _Index((e for e in queries if not private(normal(e.text))), latin),
            "category": _Index(categories, latin),
            "brand": _Index(brands, latin),
            "product": _Index(products, latin),
        }
        self._fresh: dict[str, Entry] = {}
        self._recent = _Index((), latin)
        self._gone: frozenset[str] = frozenset()
        self._cached = lru_cache(maxsize=4_096)(self._suggest)

    def updated(self, products: Iterable[Entry] = (), gone: Iterable[str] = ()) -> Suggester:
        """This one with some products new or changed and others gone. Make a new one when there are thousands."""
        fresh = {**self._fresh, **{e.id: e for e in products}}
        left = frozenset(gone)
        new = object.__new__(Suggester)
        new._latin, new._spelling, new._indexes = self._latin, self._spelling, self._indexes
        new._fresh = {i: e for i, e in fresh.items() if i not in left}
        new._recent = _Index(new._fresh.values(), self._latin)
        new._gone = self._gone | left | frozenset(fresh)
        new._cached = lru_cache(maxsize=4_096)(new._suggest)
        return new

    def suggest(self, prefix: str, k: int = 8) -> list[Suggestion]:
        """Up to k completions of what is typed: queries and categories and brands first, then products; [] for "".

        Where fewer than k are found the word being typed may have one typo, the words before it those `spelling` mends.
        """
        typed = normal(prefix[: 2 * MAX_PREFIX])[:MAX_PREFIX]
        return list(self._cached(typed, k, prefix[-1:].isspace()))

    def _suggest(self, typed: str, k: int, ended: bool) -> tuple[Suggestion, ...]:
        pieces = _WORD.findall(typed)
        if not pieces or k < 1:
            return ()
        before, last = pieces[:-1], pieces[-1]
        out = self._complete(before, last, k)
        if len(out) < k and len(typed) > 2:
            seen = {(s.kind, s.text) for s in out}
            for words, ending in self._mended(before, last, ended):
                out += [s for s in self._complete(words, ending, k) if (s.kind, s.text) not in seen]
                seen |= {(s.kind, s.text) for s in out}
                if len(out) >= k:
                    break
        return tuple(out[:k])

    def _complete(self, before: list[str], last: str, k: int) -> list[Suggestion]:
        best: dict[str, list[tuple[float, Suggestion]]] = {kind: [] for kind in KINDS}
        start = " ".join((*before, last))
        for kind, index in (*self._indexes.items(), ("product", self._recent)):
            current = index is not self._recent
            top = index.entries[0].weight if index.entries else 0.0
            for at in index.find(before, last, k):
                entry = index.entries[at]
                if current and entry.id and entry.id in self._gone:
                    continue
                share = (entry.weight + 1.0) / (top + 1.0)
                begins = index.normal[at].startswith(start)
                score = share + (LATE_PENALTY if begins else 0.0)
                text = entry.text
                shown = Suggestion(kind, text, entry.id, _highlight(text, (*before, last)))
                best[kind].append((score, shown))
        for ranked in best.values():
            ranked.sort(key=lambda pair: (-pair[0], len(pair[1].text), pair[1].text))
        # Room for each kind; what one does not use goes to the products, then to the queries.
        room = {"query": max(1, k // 2), "category": max(1, k // 4), "brand": max(1, k // 4)}
        chosen: list[Suggestion] = []
        said: set[str] = set()
        for kind in KINDS:
            taken = 0
            for _, suggestion in best[kind]:
                key = normal(suggestion.text)
                if taken == room.get(kind, k) or (key in said and kind != "product"):
                    continue
                said.add(key)
                chosen.append(suggestion)
                taken += 1
        products = [s for s in chosen if s.kind == "product"]
        others = [s for s in chosen if s.kind != "product"]
        least = min(len(products), max(1, k // 4))
        chosen = others[: k - least] + products
        if len(chosen) < k:
            held = {(s.kind, s.text, s.id) for s in chosen}
            more = [s for kind in KINDS[:3] for _, s in best[kind] if (s.kind, s.text, s.id) not in held]
            chosen += [s for s in more if normal(s.text) not in said]
        return chosen[:k]

    def _mended(self, before: list[str], last: str, ended: bool) -> list[tuple[list[str], str]]:
        """What may have been meant: (words before, beginning of the last), likeliest first."""
        words = list(before)
        if self._spelling is not None and before:
            words = _WORD.findall(self._spelling.correct(" ".join(before)).text)
        out = [(words, last)] if words != before else []
        if self._spelling is not None and ended:
            whole = _WORD.findall(self._spelling.correct(" ".join((*words, last))).text)
            if whole and whole != [*words, last]:
                out.append((whole[:-1], whole[-1]))
        if len(last) >= 4 and last.isascii() and last.isalpha():
            for _, near in sorted(_one_edit(last)):
                if any(index.has(near) for index in self._indexes.values()):
                    out.append((words, near))
                    if len(out) == 6:
                        break
        return out


def _keys(text: str, latin: Callable[[str], Iterable[str]] | None) -> set[str]:
    """By what an entry is found: its first words, what follows in Chinese runs, pinyin and initials, TN-2110 whole."""
    keys: set[str] = set()
    pieces = _WORD.findall(text)[:MAX_WORDS]
    for one, piece in enumerate(pieces):
        if _HAN_RUN.match(piece):
            keys.update(piece[i : i + 12] for i in range(min(len(piece), 24)))
        else:
            keys.add(piece)
            if one and len(pieces[one - 1]) + len(piece) <= 12 and (piece.isdecimal() or pieces[one - 1].isdecimal()):
                keys.add(pieces[one - 1] + piece)
    if latin is not None and not text.isascii():
        keys.update(key for key in latin(text) if len(key) <= 40)
    return keys


def _pairs(starts: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    bounds = starts.tolist()
    return list(itertools.pairwise(bounds))


def _one_edit(word: str) -> set[tuple[float, str]]:
    """(cost, word) of all words one edit away that keep the first letter; swaps and neighbouring keys first."""
    out: dict[str, float] = {}

    def put(cost: float, other: str) -> None:
        if other != word:
            out[other] = min(cost, out.get(other, 9.0))

    for i in range(1, len(word)):
        put(0.6 if word[i] != word[i - 1] else 0.5, word[:i] + word[i + 1 :])
        if i + 1 < len(word):
            put(0.5, word[:i] + word[i + 1] + word[i] + word[i + 2 :])
        for letter in _LETTERS:
            put(0.7 if word[i] + letter in NEAR else 1.0, word[:i] + letter + word[i + 1 :])
            put(0.6 if word[i - 1] == letter else 0.9, word[:i] + letter + word[i:])
    return {(cost, other) for other, cost in out.items()}


def _highlight(text: str, typed: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Where the typed pieces begin words of the text as it is shown."""
    spans: list[tuple[int, int]] = []
    folded = text.casefold()
    if len(folded) != len(text):
        return ()
    for piece in dict.fromkeys(typed):
        for match in re.finditer(re.escape(piece), folded):
            at = match.start()
            if at == 0 or not folded[at - 1].isalnum() or not piece.isascii():
                spans.append((at, match.end()))
                break
    return tuple(sorted(set(spans)))
