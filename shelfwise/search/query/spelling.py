"""Spelling: what a mistyped query most likely meant, by the words of the catalogue and of the query log.

Candidates come from a symmetric delete index (Garbe's SymSpell): two words within Damerau distance d share a form
that deleting at most d letters of each makes. The index is two sorted arrays (hash of a form, word), not a dictionary
of texts: 12 bytes an entry. Candidates are weighed by the edit's cost (neighbouring keys, swapped and double letters
are cheap), by the word's frequency and by how many titles hold it together with the query's other words.
Chinese is counted and left as it is: chinese.py mends it.
"""

from __future__ import annotations

import itertools
import math
import re
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import rjieba

from shelfwise.search.query.text import normal

MAX_WORDS = 500_000  # words indexed; at more, words seen once are left to exact search
MAX_TITLES = 200_000  # titles kept as context
MAX_TOKENS = 32  # words of a query that are looked at
FEW = 4_000  # new words from which the index is joined into one
_RARE = 5  # titles that have a word which may itself be mistyped, at most
MARGIN = 1.0  # by how much (nats) the best must lead for a correction to be certain

_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+")
_GAP = re.compile(r"[-/.']")
_IS_HAN = re.compile(rf"[{_HAN}]")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def words(text: str) -> list[str]:
    """The words of a normal text: runs of letters and digits; a run of Chinese is one."""
    return _WORD.findall(text)


def han(text: str) -> bool:
    return _IS_HAN.match(text) is not None


def _neighbours() -> frozenset[str]:
    """Pairs of letters whose keys touch on a QWERTY keyboard."""
    at = {letter: (x + y * 0.5, float(y)) for y, row in enumerate(_ROWS) for x, letter in enumerate(row)}
    return frozenset(a + b for a, p in at.items() for b, q in at.items() if 0 < math.dist(p, q) < 1.3)


NEAR = _neighbours()


def edit_cost(typed: str, word: str, limit: float = 3.0) -> float:
    """Damerau's optimal string alignment with weights; more than `limit` is given as infinity.

    Another letter 1 (a neighbouring key 0.7, a vowel for a vowel 0.8), a letter too many or too few 0.9
    (a double letter 0.5), two letters swapped 0.6; an edit of the first letter 0.3 more.
    """
    if abs(len(typed) - len(word)) * 0.5 > limit:
        return math.inf
    before: list[float] = []
    last = [0.0]
    for j in range(1, len(word) + 1):
        last.append(last[-1] + (0.5 if j > 1 and word[j - 1] == word[j - 2] else 0.9))
    for i, a in enumerate(typed, 1):
        extra = 0.5 if i > 1 and typed[i - 2] == a else 0.9
        row = [last[0] + extra]
        for j, b in enumerate(word, 1):
            swap = 0.0 if a == b else 0.7 if a + b in NEAR else 0.8 if a in "aeiou" and b in "aeiou" else 1.0
            missing = 0.5 if j > 1 and word[j - 2] == b else 0.9
            best = min(last[j - 1] + swap, last[j] + extra, row[j - 1] + missing)
            if a != b and i > 1 and j > 1 and a == word[j - 2] and b == typed[i - 2]:
                best = min(best, before[j - 2] + 0.6)
            row.append(best)
        if min(row) > limit and (not before or min(last) > limit):
            return math.inf
        before, last = last, row
    cost = last[-1] + (0.3 if typed[:1] != word[:1] else 0.0)
    return cost if cost <= limit else math.inf


def _deleted(word: str, depth: int) -> set[str]:
    """The word and what is left of it after deleting up to `depth` letters."""
    forms = {word}
    level = {word}
    for _ in range(depth):
        level = {w[:i] + w[i + 1 :] for w in level for i in range(len(w))}
        forms |= level
    return forms


def _depth(word: str) -> int:
    """How many edits are looked for: none in short words, one in words of up to five letters and in model numbers."""
    if len(word) < 3 or word.isdecimal():
        return 0
    return 1 if len(word) < 7 or any(c.isdecimal() for c in word) else 2


@dataclass(frozen=True, slots=True)
class Correction:
    """What a query may have meant.

    text: the query with its words mended (the query itself when nothing is to mend).
    certain: search for `text` outright and say so; else only ask "did you mean", and use it where nothing is found.
    words: each mended piece as (typed, meant), so that the meant can be searched beside the typed.
    """

    text: str
    changed: bool = False
    certain: bool = False
    words: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Segment:
    """Sorted hashes of deleted forms and the word each belongs to."""

    hashes: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int32]


@dataclass(slots=True)
class _Context:
    """For every word the titles that hold it: `titles[starts[w]:starts[w + 1]]`, ascending."""

    starts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    titles: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))

    def of(self, word: int) -> npt.NDArray[np.int32]:
        if word + 1 >= len(self.starts):
            return self.titles[:0]
        return self.titles[self.starts[word] : self.starts[word + 1]]


class Spelling:
    """Words with counts, learned from texts; `correct` mends a query.

    `add` and `remove` may be called at any time, from any thread; what they bring is indexed at the next `correct`.
    known: tells of a word unknown here whether the shop has it all the same (in descriptions, say).
    """

    def __init__(self, texts: Iterable[str] = (), *, known: Callable[[str], bool] | None = None) -> None:
        self._ids: dict[str, int] = {}
        self._words: list[str] = []
        self._counts: array[int] = array("q")
        self._flat: array[int] = array("i")  # word ids of all titles, one after the other
        self._ends: array[int] = array("q")
        self._segments: list[_Segment] = []
        self._indexed = 0  # words in segments
        self._context = _Context()
        self._context_titles = 0
        self._known = known
        self._lock = threading.Lock()
        learned: dict[str, tuple[int, ...]] = {}  # variants often share a title
        for text in texts:
            held = learned.get(text)
            if held is None:
                held = learned[text] = self._learned(text)
            self._add(held, 1)

    def __len__(self) -> int:
        return len(self._words)

    def add(self, text: str, weight: int = 1) -> None:
        """Learn the words of a title or, with the number of its customers as weight, of a query."""
        with self._lock:
            self._add(self._learned(text), weight)

    def count(self, word: str) -> int:
        """How many texts hold this (normal) word."""
        at = self._ids.get(word)
        return self._counts[at] if at is not None else 0

    def exists(self, word: str) -> bool:
        """Whether the shop has the word, in this or in its other number (plural, singular)."""
        return any(self.count(form) for form in _numbers(word)) or (self._known is not None and self._known(word))

    def correct(self, query: str) -> Correction:
        """The correction of a query. Numbers and words of one or two letters are never changed; words that exist only
        where they are rare and look mistyped themselves, and then never for certain."""
        self._settle()
        typed = normal(query)
        tokens = [(m.group(), m.start(), m.end()) for m in _WORD.finditer(typed)][:MAX_TOKENS]
        latin = [w for w, _, _ in tokens if not han(w)]
        given = [self._ids[w] for w in latin if self.count(w)]
        out: list[tuple[int, int, str, bool]] = []
        i = 0
        while i < len(tokens):
            word, start, end = tokens[i]
            if han(word):
                pass
            elif i + 1 < len(tokens) and (joined := self._joined(typed, tokens[i], tokens[i + 1])):
                out.append((start, tokens[i + 1][2], *joined))
                i += 1
            elif not self.exists(word):
                best = None if self._part_of_model(typed, start, end) else self._latin(word, given)
                if best:
                    out.append((start, end, *best))
            elif likelier := self._likelier(word, given):
                out.append((start, end, likelier, False))
            i += 1
        text = typed
        for start, end, mended, _ in reversed(out):
            text = text[:start] + mended + text[end:]
        pieces = tuple((typed[start:end], mended) for start, end, mended, _ in out)
        return Correction(text, bool(out), bool(out) and all(sure for *_, sure in out), pieces)

    def nearest(self, word: str, given: Iterable[str] = (), k: int = 5) -> list[tuple[str, float]]:
        """The k likeliest words for a mistyped (normal) one with their scores (nats, higher is better)."""
        self._settle()
        return self._candidates(word, [self._ids[g] for g in given if self.count(g)])[:k]

    def _add(self, held: Sequence[int], weight: int) -> None:
        for word in held:
            self._counts[word] += weight
        if len(self._ends) < MAX_TITLES:
            self._flat.extend(held)
            self._ends.append(len(self._flat))

    def _learned(self, text: str) -> tuple[int, ...]:
        """The distinct words of a text, by their numbers; new ones are given theirs."""
        held: dict[int, None] = {}
        for word in self._pieces(text):
            at = self._ids.get(word)
            if at is None:
                at = self._ids[word] = len(self._words)
                self._words.append(word)
                self._counts.append(0)
            held[at] = None
        return tuple(held)

    def _pieces(self, text: str) -> Iterator[str]:
        plain = normal(text)
        latin = plain.isascii()
        for word in _WORD.findall(plain):
            if latin or not han(word):
                if len(word) <= 40:
                    yield word
                continue
            parts = rjieba.cut(word)
            yield from parts
            yield from (a + b for a, b in itertools.pairwise(parts) if len(a) + len(b) <= 6)
        if "-" in plain:
            for whole in re.findall(r"[^\W_]+(?:-[^\W_]+)+", plain):
                if len(whole) <= 40 and not _IS_HAN.search(whole):
                    yield whole.replace("-", "")

    def _settle(self) -> None:
        """Index what came since the last time; join the parts when they have become many."""
        if self._indexed == len(self._words):
            return
        with self._lock:
            first, last = self._indexed, len(self._words)
            spare = last > MAX_WORDS
            hashes = array("q")
            owners = array("i")
            for at in range(first, last):
                word = self._words[at]
                depth = 0 if han(word) else _depth(word)
                if not depth or (spare and self._counts[at] < 2):
                    continue
                forms = _deleted(word[:10], depth)
                hashes.extend(map(hash, forms))
                owners.extend([at] * len(forms))
            parts = [*self._segments, _Segment(np.array(hashes, np.int64), np.array(owners, np.int32))]
            if len(parts) > 8 or (len(parts) > 1 and len(hashes) > FEW * 20) or len(parts) == 1:
                whole = np.concatenate([p.hashes for p in parts])
                owner = np.concatenate([p.owners for p in parts])
                order = np.argsort(whole, kind="stable")
                parts = [_Segment(whole[order], owner[order])]
            else:
                order = np.argsort(parts[-1].hashes, kind="stable")
                parts[-1] = _Segment(parts[-1].hashes[order], parts[-1].owners[order])
            self._segments = parts
            if len(self._ends) - self._context_titles > max(FEW, self._context_titles // 10) or not self._indexed:
                ids = np.array(self._flat, np.int32)
                lengths = np.diff(np.array([0, *self._ends], np.int64)).astype(np.int64)
                order = np.argsort(ids, kind="stable")
                titles = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)[order]
                starts = np.zeros(last + 1, np.int64)
                np.cumsum(np.bincount(ids, minlength=last), out=starts[1:])
                self._context = _Context(starts, titles)
                self._context_titles = len(self._ends)
            self._indexed = last

    def _together(self, word: int, others: list[int]) -> float:
        """How much likelier a title with this word holds the others, in nats, 0 to 3 for each."""
        mine = self._context.of(word)[:2_000]
        if not len(mine):
            return 0.0
        total = 0.0
        for other in others:
            theirs = self._context.of(other)
            if other == word or not len(theirs):
                continue
            at = np.minimum(np.searchsorted(theirs, mine), len(theirs) - 1)
            share = float(np.count_nonzero(theirs[at] == mine)) / len(mine)
            expected = len(theirs) / max(1, self._context_titles)
            total += min(3.0, max(0.0, math.log((share + 0.001) / (expected + 0.001))))
        return total

    def _candidates(self, word: str, given: list[int]) -> list[tuple[str, float]]:
        depth = _depth(word)
        if not depth:
            return []
        keys = np.array([hash(form) for form in _deleted(word[:10], depth)], np.int64)
        owners: set[int] = set()
        for part in self._segments:
            low = np.searchsorted(part.hashes, keys, "left")
            high = np.searchsorted(part.hashes, keys, "right")
            for a, b in zip(low.tolist(), high.tolist(), strict=True):
                owners.update(part.owners[a:b].tolist())
        limit = 1.3 if depth == 1 else 2.2
        close = []
        for at in owners:
            count = self._counts[at]
            if count and abs(len(self._words[at]) - len(word)) <= depth:
                cost = edit_cost(word, self._words[at], limit)
                if cost < math.inf and len(self._words[at]) > 2:
                    close.append((math.log1p(count) * 0.7 - 5.0 * cost, at))
        close.sort(reverse=True)
        scored = [(self._words[at], score + self._together(at, given)) for score, at in close[:24]]
        scored.sort(key=lambda pair: (-pair[1], pair[0]))
        return scored

    def _latin(self, word: str, given: list[int]) -> tuple[str, bool] | None:
        """(replacement, certain) of an unknown word."""
        split = self._split(word, given)
        near = self._candidates(word, given)
        if split and (not near or split[1] >= near[0][1]):
            return split[0], True
        if not near:
            return None
        best, score = near[0]
        rest = [s for other, s in near[1:] if other not in _numbers(best)]
        lead = score - rest[0] if rest else math.inf
        model = any(c.isdecimal() for c in word) or any(c.isdecimal() for c in best)
        if model:  # another model is another product: only asked, never assumed
            return best, False
        if len(word) == 3 and (self.count(best) < 20 or lead < MARGIN):
            return None
        return best, lead >= MARGIN or not rest

    def _likelier(self, word: str, given: list[int]) -> str:
        """What a rare word that exists may be mistyped for, as the catalogue's own titles are: "catridge" stands in one
        title, "cartridge" in a thousand. "" for none."""
        count = max(1, self.count(word))
        if count > _RARE or word.isdecimal():
            return ""
        near = self._candidates(word, [other for other in given if other != self._ids.get(word)])
        if not near or near[0][0] == word or near[0][0] in _numbers(word):
            return ""
        mine = dict(near).get(word, 0.7 * math.log1p(count))
        return near[0][0] if near[0][1] > mine else ""

    def _split(self, word: str, given: list[int]) -> tuple[str, float] | None:
        """Two known words written as one: "bluetoothspeaker"."""
        best: tuple[str, float] | None = None
        if len(word) < 6 or any(c.isdecimal() for c in word):
            return None
        for i in range(3, len(word) - 2):
            left, right = word[:i], word[i:]
            a, b = self._form(left), self._form(right)
            if a is None or b is None or min(self._counts[a], self._counts[b]) < 2:
                continue
            held = self._together(a, [b]) + self._together(a, given)
            score = 0.35 * (math.log1p(self._counts[a]) + math.log1p(self._counts[b])) - 3.0 + held
            if best is None or score > best[1]:
                best = (f"{left} {right}", score)
        return best

    def _form(self, word: str) -> int | None:
        """The commonest number (plural, singular) of a word that the texts hold."""
        held = [self._ids[form] for form in _numbers(word) if self.count(form)]
        return max(held, key=self._counts.__getitem__) if held else None

    def _joined(self, typed: str, one: tuple[str, int, int], two: tuple[str, int, int]) -> tuple[str, bool] | None:
        """One word written as two ("head phones"): where the parts are unknown or do not go together."""
        (a, _, end), (b, start, _) = one, two
        if han(b) or not typed[end:start].isspace() or a.isdecimal() or b.isdecimal() or len(a) + len(b) < 5:
            return None
        whole = self._form(a + b)
        if whole is None or self._counts[whole] < 2:
            return None
        left, right = self._form(a), self._form(b)
        if left is None or right is None:
            return a + b, not any(c.isdecimal() for c in a + b)
        shared = np.intersect1d(self._context.of(left), self._context.of(right), assume_unique=True).size
        return (a + b, True) if self._counts[whole] > 5 * shared else None

    def _part_of_model(self, typed: str, start: int, end: int) -> bool:
        """Whether the piece belongs to a written-together model number that exists ("tn-2110")."""
        while start and (typed[start - 1].isalnum() or _GAP.match(typed[start - 1])):
            start -= 1
        while end < len(typed) and (typed[end].isalnum() or _GAP.match(typed[end])):
            end += 1
        whole = _GAP.sub("", typed[start:end])
        return self.count(whole) > 0


def _numbers(word: str) -> tuple[str, ...]:
    """The word and its plural or singular forms, the word first."""
    forms = [word]
    if len(word) > 2 and word[-1].isalpha():
        if word.endswith("ies"):
            forms.append(word[:-3] + "y")
        if word.endswith("es"):
            forms.append(word[:-2])
        if word.endswith("s") and not word.endswith("ss"):
            forms.append(word[:-1])
        else:
            forms += [word + "s", word + "es"]
        if word.endswith("y"):
            forms.append(word[:-1] + "ies")
    return tuple(forms)
