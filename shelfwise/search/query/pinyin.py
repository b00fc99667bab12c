"""Pinyin: what was typed in Latin letters, and mistyped Chinese, as the catalogue's own Chinese words.

Syllables come from pypinyin's phrase dictionary.
"""

from __future__ import annotations

import bisect
import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from shelfwise.search.query.chinese import REGIONAL, RUN

#: Readings that a word's characters do not tell and pypinyin's dictionary lacks.
_READINGS = {
    "长裙": ("chang", "qun"),
    "加长": ("jia", "chang"),
    "长筒": ("chang", "tong"),
    "长靴": ("chang", "xue"),
    "长毛": ("chang", "mao"),
    "长柄": ("chang", "bing"),
    "超长": ("chao", "chang"),
    "长绒": ("chang", "rong"),
    "长绒棉": ("chang", "rong", "mian"),
    "行车": ("xing", "che"),
    "重型": ("zhong", "xing"),
    "重磅": ("zhong", "bang"),
    "调料": ("tiao", "liao"),
    "调光": ("tiao", "guang"),
    "可调": ("ke", "tiao"),
    "轻薄": ("qing", "bao"),
    "薄款": ("bao", "kuan"),
    "单反": ("dan", "fan"),
}

_REGIONAL_WORD = re.compile(f"({'|'.join(sorted(REGIONAL, key=len, reverse=True))})")
_MOST_SLIPS = 2.0  # of a whole reading, as counted below
_LETTERS_TYPED, _LETTERS_MISTYPED = 5, 6  # fewer are as likely an English word (pen, men, mat, juice)
_LONGEST_READ = 48  # letters of pinyin read at once, a dozen words
#: How unsure a word is that was reached so; a word spelled out is 0, each further word costs 1.
_SLIPPED, _INITIALS, _COMPLETED, _MISTYPED = 0.5, 0.8, 0.9, 1.2


@functools.lru_cache(maxsize=1 << 16)
def syllables(word: str) -> tuple[str, ...]:
    """Pinyin of a Chinese word without tones, ü as v, a syllable a character: 蓝牙 is ("lan", "ya")."""
    if word in _READINGS:
        return _READINGS[word]
    if len(word) > 2:  # 加长款: known words inside keep their reading
        for size in (3, 2):
            if size < len(word) and word[:size] in _READINGS:
                return _READINGS[word[:size]] + syllables(word[size:])
    from pypinyin import Style, lazy_pinyin  # its dictionary takes most of a second

    return tuple(s for s in lazy_pinyin(word, style=Style.NORMAL, errors="ignore") if s.isascii())


@functools.lru_cache(maxsize=1 << 16)
def slipped(letters: str) -> str:
    """`letters` of pinyin with the usual slips made one: zh z, ch c, sh s, ng n, l n, v and ü u."""
    letters = letters.translate(_ONE_LETTER)
    return _SLIP.sub(r"\1", letters)


_ONE_LETTER = str.maketrans({"v": "u", "l": "n"})
_SLIP = re.compile(r"([zcs])h|(?<=n)g+")


@dataclass(frozen=True, slots=True)
class PinyinReading:
    """What Latin letters meant. text: the query with them in Chinese; slips: 0 exact, more the less certain;
    partial: the last word was completed from its beginning."""

    text: str
    slips: float
    partial: bool = False


class Pinyin:
    """The catalogue's Chinese words and phrases by their pinyin, initials, and what is easily mistyped for them."""

    #: Phrases kept, most frequent first; words of one segment always come before.
    LIMIT = 60_000

    def __init__(self, phrases: Mapping[tuple[str, ...], int] | None = None) -> None:
        """phrases: segments in order → how many titles have them, as `Analyzer.phrases` gives them."""
        self._full: dict[str, str] = {}
        self._slips: dict[str, str] = {}
        self._initials: dict[str, str] = {}
        self._missing: dict[str, list[tuple[str, str]]] = {}
        self._count: dict[str, int] = {}
        self._pairs: set[str] = set()
        self._shapes: dict[str, str] = {}
        self._sorted_full: list[str] = []
        self._sorted_initials: list[str] = []
        self._longest = 0
        self.add(phrases or {})

    def add(self, phrases: Mapping[tuple[str, ...], int]) -> None:
        """More of them, while others read. What titles no longer have stays known."""
        kept = sorted(phrases.items(), key=lambda item: (len(item[0]) > 1, -item[1]))
        for words, count in sorted(kept[: self.LIMIT], key=lambda item: -item[1]):  # the most frequent takes the key
            spoken = [s for word in words for s in syllables(word)]
            text = "".join(words)
            if not spoken or len(spoken) != len(text):
                continue
            known = self._count.get(text, 0)
            if not known and len(self._count) >= self.LIMIT:
                continue
            self._count[text] = known + count
            if not known:
                self._learn(text, spoken, short=len(words) <= 2)
        self._sorted_full = sorted(self._full)
        self._sorted_initials = sorted(self._initials)

    def _learn(self, text: str, spoken: list[str], short: bool) -> None:
        self._pairs.update(text[at : at + 2] for at in range(len(text) - 1))
        if 3 <= len(text) <= 8:
            for at in range(len(text)):
                self._shapes.setdefault(f"{text[:at]}?{text[at + 1 :]}", text)
        full = "".join(spoken)
        self._full.setdefault(full, text)
        self._longest = max(self._longest, len(full))
        key = slipped(full)
        if key not in self._slips:
            self._slips[key] = text
            if 5 <= len(key) <= 24 and short:
                for shorter in (key, *_without_one(key)):
                    self._missing.setdefault(shorter, []).append((key, text))
        if len(spoken) > 1:
            self._initials.setdefault("".join(s[0] for s in spoken), text)

    def __len__(self) -> int:
        return len(self._count)

    def mend(self, query: str, known: Callable[[str], bool] | None = None) -> str | None:
        """`query` (normalised) in the catalogue's own Chinese: its pinyin written out, its mistyped characters mended;
        None where there is nothing to change. known: as `read` has it."""
        read = self.read(query, known)
        return read.text if read else self.alike(query)

    def read(self, query: str, known: Callable[[str], bool] | None = None) -> PinyinReading | None:
        """`query` (normalised) with its pinyin in Chinese, or None where there is none or not all of it is read.

        known(word): a Latin word the catalogue has itself; it is left alone.
        """
        if not self._full or len(query) > 100:
            return None
        out: list[str] = []
        slips, partial, changed = 0.0, False, False
        pieces = list(_groups(query, known))
        for number, (text, pinyin) in enumerate(pieces):
            if not pinyin:
                out.append(text)
                continue
            read = self._group(text.split(), last=number == len(pieces) - 1)
            if read is None:
                return None
            out.append(read.text)
            slips, partial, changed = slips + read.slips, partial or read.partial, True
        return PinyinReading(" ".join(out), slips, partial) if changed else None

    def alike(self, query: str) -> str | None:
        """`query` (normalised) with Chinese words that no title has replaced by ones that sound the same or differ
        in one character (兰牙耳机, 保温怀); None where there is nothing to replace, or nothing like it."""
        if not self._full or len(query) > 100:
            return None
        changed = RUN.sub(
            lambda match: "".join(  # a word of another region is none mistyped
                piece if piece in REGIONAL else self._alike(piece) for piece in _REGIONAL_WORD.split(match[0])
            ),
            query,
        )
        return changed if changed != query else None

    def _alike(self, run: str) -> str:
        if len(run) < 2 or all(run[at : at + 2] in self._pairs for at in range(len(run) - 1)):
            return run
        for end in range(len(run), 1, -1):  # the longest beginning that is like something, then the rest
            text = self._one_alike(run[:end])
            if text is not None:
                return text + (self._alike(run[end:]) if end < len(run) else "")
        return run

    def _one_alike(self, word: str) -> str | None:
        if word in self._count:
            return word
        letters = "".join(syllables(word))
        heard = self._full.get(letters) or self._slips.get(slipped(letters))
        if heard is not None and len(heard) == len(word):
            return heard
        for at in range(len(word)):
            if len(word) > 2 and (text := self._shapes.get(f"{word[:at]}?{word[at + 1 :]}")):
                return text
        return None

    def complete(self, prefix: str, k: int = 10) -> list[str]:
        """Chinese words and phrases whose pinyin or initials begin with `prefix`, most frequent first."""
        letters = prefix.replace(" ", "").replace("'", "")
        if not letters.isascii() or not letters.isalpha():
            return []
        texts = {self._full[key] for key in _beginning(self._sorted_full, letters)}
        if len(letters) > 1:
            texts |= {self._initials[key] for key in _beginning(self._sorted_initials, letters)}
        return sorted(texts, key=lambda text: (-self._count[text], len(text), text))[:k]

    def _group(self, tokens: list[str], last: bool) -> PinyinReading | None:
        """Fewest and surest words that together spell all `tokens`; spaces between them are only a hint."""
        letters = "".join(tokens)
        if len(letters) > _LONGEST_READ:
            return None
        borders = {0}
        for token in tokens:
            borders.add(max(borders) + len(token))
        size = len(letters)
        best: list[tuple[float, float, tuple[str, ...], bool] | None] = [None] * (size + 1)
        best[0] = (0.0, 0.0, (), False)
        for start in range(size):
            here = best[start]
            if here is None:
                continue
            for end in range(start + 1, min(size, start + self._longest + 1) + 1):
                aligned = start in borders and end in borders
                word = self._word(letters[start:end], aligned, whole=start == 0 and end == size)
                partial = False
                if last and end == size and end - start >= _LETTERS_TYPED and (word is None or word[1] > _COMPLETED):
                    longer = self.complete(letters[start:end], 1)
                    if longer:
                        word, partial = (longer[0], _COMPLETED), True
                if word is None:
                    continue
                text, slips = word
                cost = here[0] + 1.0 + slips - 0.02 * math.log1p(self._count[text])
                old = best[end]
                if old is None or cost < old[0]:
                    best[end] = (cost, here[1] + slips, (*here[2], text), partial)
        end_state = best[size]
        if end_state is None or end_state[1] > _MOST_SLIPS:
            return None
        single = sum(len(text) == 1 for text in end_state[2])
        if single > 1 or single == len(end_state[2]):
            return None  # letters that happen to cut into syllables
        return PinyinReading(" ".join(end_state[2]), end_state[1], end_state[3])

    def _word(self, letters: str, aligned: bool, whole: bool) -> tuple[str, float] | None:
        text = self._full.get(letters)
        if text is not None and len(letters) > 1:
            return text, 0.0
        key = slipped(letters)
        text = self._slips.get(key)
        if text is not None and len(letters) > 2:
            return text, _SLIPPED
        if not aligned:
            return None
        if len(letters) > 2 or whole:
            text = self._initials.get(letters)
            if text is not None:
                return text, _INITIALS
        if len(key) < _LETTERS_MISTYPED:
            return None
        nearest: tuple[str, float] | None = None
        for shorter in (key, *_without_one(key)):
            for other, text in self._missing.get(shorter, ()):
                if abs(len(other) - len(key)) > 1 or not _one_edit(key, other):
                    continue
                if nearest is None or self._count[text] > self._count[nearest[0]]:
                    nearest = (text, _MISTYPED)
        return nearest


_SPOKEN = re.compile(r"[a-z]+(?:'[a-z]+)*")


def _groups(query: str, known: Callable[[str], bool] | None) -> Iterator[tuple[str, bool]]:
    """(text, is pinyin): neighbouring Latin words together, all else as it is."""
    waiting: list[str] = []
    for token in query.split():
        if _SPOKEN.fullmatch(token) and not (known and known(token)):
            waiting.append(token.replace("'", ""))
            continue
        if waiting:
            yield " ".join(waiting), True
            waiting = []
        yield token, False
    if waiting:
        yield " ".join(waiting), True


def _beginning(ordered: list[str], prefix: str, limit: int = 200) -> list[str]:
    start = bisect.bisect_left(ordered, prefix)
    end = bisect.bisect_right(ordered, prefix + "\x7f")
    return ordered[start : min(end, start + limit)]


def _without_one(key: str) -> set[str]:
    return {key[:at] + key[at + 1 :] for at in range(len(key))}


def _one_edit(a: str, b: str) -> bool:
    """Whether one letter added, left out, changed, or two neighbours swapped make `a` into `b`."""
    if len(a) > len(b):
        a, b = b, a
    at = 0
    while at < len(a) and a[at] == b[at]:
        at += 1
    if len(a) == len(b):
        return a[at + 1 :] == b[at + 1 :] or (a[at : at + 2] == b[at : at + 2][::-1] and a[at + 2 :] == b[at + 2 :])
    return a[at:] == b[at + 1 :]
