"""Correcting a query by the catalogue's own words: pinyin and mistyped Chinese first, else English spelling."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable

from shelfwise.search.query.pinyin import Pinyin
from shelfwise.search.query.spelling import Spelling
from shelfwise.search.query.text import Analyzer


class Corrector:
    """Made of a catalogue's texts; `add` takes what comes later. Thread-safe.

    has: is there a product with this index term?
    """

    def __init__(self, texts: Iterable[str], analyzer: Analyzer, has: Callable[[str], bool]) -> None:
        self._analyzer, self._has = analyzer, has
        texts = list(texts)
        self.spelling = Spelling(texts, known=self._known)
        self._pinyin = Pinyin()
        self._add_pinyin(texts)

    def add(self, texts: Iterable[str]) -> None:
        texts = list(texts)
        for text in texts:
            self.spelling.add(text)
        self._add_pinyin(texts)

    def correct(self, query: str, text: str) -> tuple[str, str]:
        """(the query corrected, a spelling only to be offered), "" for none; one of them at most.

        query: normal. text: what of it is to be looked for as words."""
        chinese = self._pinyin.mend(text, self._known) if len(self._pinyin) else None
        if chinese is not None and chinese != text:
            return replaced(query, text, chinese), ""
        correction = self.spelling.correct(text)
        # Two known words that may be one are looked for both ways (Analyzer.forms).
        mistyped = [pair for pair in correction.words if not self._apart(pair[0])]
        if not correction.changed or not (mistyped or not correction.words):
            return "", ""
        corrected = query
        for typed, word in mistyped:
            corrected = re.sub(rf"(?<!\w){re.escape(typed)}(?!\w)", word.replace("\\", r"\\"), corrected)
        if corrected == query and len(mistyped) == len(correction.words):
            corrected = replaced(query, text, correction.text)
        return (corrected, "") if correction.certain else ("", corrected)

    def _known(self, word: str) -> bool:
        return self._has(self._analyzer.stem(word))

    def _apart(self, typed: str) -> bool:
        """Whether it is several words that products have."""
        words = typed.split()
        return len(words) > 1 and all(map(self._known, words))

    def _add_pinyin(self, texts: Iterable[str]) -> None:
        phrases = Counter[tuple[str, ...]]()
        for text in texts:
            if not text.isascii():
                phrases.update(set(self._analyzer.phrases(text)))
        if phrases:
            self._pinyin.add(phrases)


def replaced(query: str, text: str, other: str) -> str:
    """The query with its text in other words; the rest of it as it was where that can be told."""
    return query.replace(text, other) if text in query else other
