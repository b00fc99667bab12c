"""Where the words of a query stand in what is shown of a product."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache

from shelfwise.search.query.text import Analyzer

_DESCRIPTION = 400  # characters of a description that are shown
_TEXTS = 100_000  # whose terms are kept

Spans = tuple[tuple[int, int], ...]


class Highlights:
    """Made once for a search, thread-safe: it remembers the terms of texts it was asked for."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self._tokens = lru_cache(maxsize=_TEXTS)(self._analysed)

    def terms(self, texts: Iterable[str]) -> frozenset[str]:
        """The index terms that these queries look for."""
        forms = (forms for text in texts if text for forms in self._analyzer.forms(text))
        return frozenset(term for terms in forms for term in terms)

    def of(self, title: str, description: str, terms: frozenset[str]) -> dict[str, Spans]:
        """Spans [start, end) of the terms by field: title, else description (its first 400 characters)."""
        for name, text in (("title", title), ("description", description[:_DESCRIPTION])):
            if not terms or not text:
                continue
            words, starts, ends = self._tokens(text)
            met = [(starts[at], ends[at]) for at, word in enumerate(words) if word in terms]
            if met:
                return {name: _joined(met)}  # a title that says why needs no description beside it
        return {}

    def _analysed(self, text: str) -> tuple[tuple[str, ...], array[int], array[int]]:
        """Terms, starts, ends: few objects, for the garbage collector looks at each it is shown (100 ms for a full
        cache of tokens)."""
        tokens = self._analyzer.tokens(text)
        starts: array[int] = array("i", [token.start for token in tokens])
        ends: array[int] = array("i", [token.end for token in tokens])
        return tuple(token.text for token in tokens), starts, ends


def _joined(met: Sequence[tuple[int, int]]) -> Spans:
    """Overlapping spans joined."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted(met):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return tuple(spans)
