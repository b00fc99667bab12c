"""What stands where in the titles: phrases, and words that only qualify another thing.

"Keyboard" in "keyboard cover" is no keyboard. A word is the head of a phrase when nothing that names a thing follows
it. Which words name a thing the catalogue tells: the products that "cover" stands in are alike, those that "black" or
"for" stands in are as different as any. So a term is as narrow as the mean cosine between the vectors of the products
whose titles have it, above that of any two products; measured on a sample.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shelfwise.models.sequences import Floats, Ints, Longs
from shelfwise.search.query.text import Analyzer

_SAMPLE = 20_000  # titles by which narrowness is measured
_LEAST = 4  # titles of them that must have a term
_NARROW = 0.4  # of the way from the mean cosine of any two products to 1, at which a term is wholly narrow
_NAMES = 0.2  # how narrow a word is that names a thing
_CHUNK = 1 << 16  # vectors added up at once
_MOST = 60  # terms kept of a title


class _Kept(NamedTuple):
    flat: Ints  # terms of all titles
    starts: Longs  # of each row in flat
    sizes: Ints  # of each row

    def of(self, rows: npt.NDArray[np.integer]) -> tuple[Longs, Ints]:
        """Terms of rows one after another, and the place of each one's row in `rows`."""
        sizes = self.sizes[rows]
        owner = np.repeat(np.arange(len(rows)), sizes)
        inside = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return owner, self.flat[self.starts[rows][owner] + inside]


class Titles:
    """Terms of titles by row. Any number of readers; writers take turns."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self._writing = threading.Lock()
        self._ids: dict[str, int] = {}
        self._terms: list[str] = []
        self._kept = _Kept(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int32))
        self._used = 0
        self._narrow: Floats = np.zeros(1, np.float32)
        self._measured = 0

    def __len__(self) -> int:
        return len(self._kept.starts)

    def put(self, rows: Sequence[int], titles: Sequence[str]) -> None:
        """Set the titles of rows."""
        of = {title: self._analyzer.terms(title)[:_MOST] for title in dict.fromkeys(titles)}
        terms = [of[title] for title in titles]
        if not terms:
            return
        with self._writing:
            ids = self._ids
            for term in {term for each in terms for term in each}:
                if term not in ids:
                    self._terms.append(term)
                    ids[term] = len(ids)
            flat = np.fromiter((ids[term] for each in terms for term in each), np.int32)
            sizes = np.fromiter(map(len, terms), np.int32, len(terms))
            at = np.asarray(rows, np.int64)
            old = self._kept
            n = max(len(old.starts), int(at.max()) + 1)
            starts, kept = np.zeros(n, np.int64), np.zeros(n, np.int32)
            starts[: len(old.starts)], kept[: len(old.sizes)] = old.starts, old.sizes
            starts[at] = self._used + np.cumsum(sizes) - sizes
            kept[at] = sizes
            room = old.flat
            if self._used + len(flat) > len(room):
                room = np.zeros(self._used + len(flat) + (self._used >> 2), np.int32)
                room[: self._used] = old.flat[: self._used]
            room[self._used : self._used + len(flat)] = flat  # beyond what readers of `old` look at
            self._kept, self._used = _Kept(room, starts, kept), self._used + len(flat)
            if self._used > 2 * int(kept.sum()) + 100_000:  # mostly titles that were changed
                _, terms_left = self._kept.of(np.arange(n))
                self._kept = _Kept(terms_left, (np.cumsum(kept) - kept).astype(np.int64), kept)
                self._used = len(terms_left)

    def measure(self, vectors: Floats) -> None:
        """How narrow each term is. vectors: float32 [rows, d], unit or zero rows."""
        n = min(len(self), len(vectors))
        rows = np.arange(n)
        if n > _SAMPLE:
            rows = np.sort(np.random.default_rng(0).choice(n, _SAMPLE, replace=False))
        rows = rows[vectors[rows].any(axis=1)]
        self._measured = len(self)
        if len(rows) < 2:
            return
        owner, terms = self._kept.of(rows)
        pairs = np.unique(terms.astype(np.int64) << 32 | rows[owner])  # each title once for a term
        terms, rows_of = (pairs >> 32).astype(np.int32), pairs & 0xFFFFFFFF
        counts = np.bincount(terms, minlength=len(self._ids))
        squares = np.zeros(len(counts))
        ends = np.cumsum(counts)
        term = 0
        while term < len(counts):  # sums of whole terms, as many as fit
            low = int(ends[term] - counts[term])
            last = max(term + 1, int(np.searchsorted(ends, low + _CHUNK, "right")))
            held = np.flatnonzero(counts[term:last]) + term
            if len(held):
                sums = np.add.reduceat(
                    vectors[rows_of[low : int(ends[last - 1])]], ends[held] - counts[held] - low, axis=0
                )
                squares[held] = (sums.astype(np.float64) ** 2).sum(axis=1)
            term = last
        total = vectors[rows].sum(axis=0, dtype=np.float64)
        any_two = (float(total @ total) - len(rows)) / (len(rows) * (len(rows) - 1))
        mean = (squares - counts) / np.maximum(counts * (counts - 1.0), 1)
        narrow = np.clip((mean - any_two) / max(1e-6, (1 - any_two) * _NARROW), 0, 1)
        worded = np.fromiter((term.isalpha() for term in self._terms[: len(counts)]), np.bool_, len(counts))
        narrow[(counts < _LEAST) | ~worded] = 0
        self._narrow = np.append(narrow, 0).astype(np.float32)  # the last: of terms that came later

    @property
    def stale(self) -> bool:
        """Whether a tenth of the titles came after the last measuring."""
        return len(self) > self._measured + max(_SAMPLE // 10, self._measured // 10)

    def narrow(self, term: str) -> float:
        """From 0, says nothing of what a product is, to 1."""
        return float(self._narrow[min(self._ids.get(term, len(self._narrow)), len(self._narrow) - 1)])

    def match(
        self, rows: Ints, phrase: Sequence[str], wanted: Sequence[tuple[str, ...]]
    ) -> tuple[Floats, Floats, Floats]:
        """Of the titles of rows [c], float32 [c] each: has it the terms of `phrase` one after another (0 or 1), has it
        the head of what is wanted (0 or 1), and does that only qualify another thing there (0 to 1: how narrow the word
        after it is)?"""
        has, named, qualifies = (np.zeros(len(rows), np.float32) for _ in range(3))
        kept = self._kept
        known = np.flatnonzero(rows < len(kept.starts))
        if not len(known) or not wanted:
            return has, named, qualifies
        owner, terms = kept.of(rows[known])
        owner = known[owner]
        ids = self._ids
        said = [ids.get(term, -1) for term in phrase]
        if len(said) > 1 and -1 not in said and len(terms) >= len(said):
            m = len(terms) - len(said) + 1
            met = owner[:m] == owner[len(said) - 1 :]
            for place, term in enumerate(said):
                met &= terms[place : place + m] == term
            has[owner[:m][met]] = 1
        own = np.array([ids[form] for forms in wanted for form in forms if form in ids], np.int32)
        head = np.array([ids[form] for form in self._head(wanted) if form in ids], np.int32)
        met_at = np.flatnonzero(np.isin(terms, head))
        if len(met_at):
            named[owner[met_at]] = 1
            after = np.minimum(met_at + 1, len(terms) - 1)
            follows = (after > met_at) & (owner[after] == owner[met_at]) & ~np.isin(terms[after], own)
            worth = np.where(follows, self._narrow[np.minimum(terms[after], len(self._narrow) - 1)], 0)
            least = np.full(len(rows), 2, np.float32)
            np.minimum.at(least, owner[met_at], worth)
            qualifies = np.where(least <= 1, least, 0).astype(np.float32)
        return has, named, qualifies

    def _head(self, wanted: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        """What names the thing wanted: the last word that is narrow, else the last ("notebook 15 inch black")."""
        for forms in reversed(wanted):
            if self.narrow(forms[0]) >= _NAMES:
                return forms
        return wanted[-1]
