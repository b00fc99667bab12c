"""The stages of a search side by side: what words alone find, what meaning alone finds, the two together, the answer.

Orders of words and of both together are read from the parts of the answer's own scores (ranking.WEIGHTS), so that a
merchant sees the very numbers that decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shelfwise.engine.request import MAX_K
from shelfwise.search.rank.personal import Taste
from shelfwise.search.request import Hit, SearchAnswer, SearchRequest
from shelfwise.search.search import Search

#: Stage → parts of a score it does without.
WITHOUT = {
    "words": frozenset({"meaning", "alike", "learned", "sold", "personal"}),
    "fused": frozenset({"learned", "sold", "personal"}),
}
_NEAR = 5  # times as many products are looked at by meaning as shown: some are not for sale


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A product at its place. score: by this stage's numbers. parts: what it is the sum of. ruled: a merchant's rule
    put it here. was: its place (from 1) in the stage before the answer, 0 for none there."""

    product: str
    title: str
    score: float
    parts: Mapping[str, float] = field(default_factory=dict)
    ruled: bool = False
    was: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """words, meaning, fused or answer, with its best products."""

    name: str
    products: tuple[Placed, ...]


def stages(
    search: Search, request: SearchRequest, k: int = 10, taste: Taste | None = None
) -> tuple[SearchAnswer, tuple[Stage, ...]]:
    """The answer (its first 200 products, with parts) and the k best of each stage. words and fused order what the
    answer's first 200 hold; meaning asks the text vectors alone. taste: the asker's, see Search.search. Raises
    InvalidRequest."""
    answer = search.search(replace(request, k=MAX_K, after="", explain=True, sort="relevance"), taste)
    scored = [hit for hit in answer.items if hit.parts]
    ordered = {name: _without(scored, parts) for name, parts in WITHOUT.items()}
    places = {placed.product: at for at, placed in enumerate(ordered["fused"], 1)}
    shown = tuple(
        Placed(
            product=hit.product,
            title=hit.title,
            score=hit.score,
            parts=hit.parts,
            ruled="rules" in hit.sources,
            was=places.get(hit.product, 0),
        )
        for hit in answer.items[:k]
    )
    return answer, (
        Stage(name="words", products=ordered["words"][:k]),
        Stage(name="meaning", products=_meant(search, replace(request, query=answer.corrected or request.query), k)),
        Stage(name="fused", products=ordered["fused"][:k]),
        Stage(name="answer", products=shown),
    )


def _without(hits: list[Hit], left_out: frozenset[str]) -> tuple[Placed, ...]:
    """The products that these parts leave with a score, best first."""
    scored = []
    for hit in hits:
        parts = {name: value for name, value in hit.parts.items() if name not in left_out and value}
        if parts:
            score = sum(parts.values())
            scored.append(Placed(product=hit.product, title=hit.title, score=score, parts=parts))
    return tuple(sorted(scored, key=lambda placed: -placed.score))


def _meant(search: Search, request: SearchRequest, k: int) -> tuple[Placed, ...]:
    vector = search.indexes.meaning.of(request.query)
    if vector is None:
        return ()
    view = search.indexes.products.view
    rows, cosines = search.indexes.meaning.texts.near(vector, _NEAR * k)
    there = rows < view.n
    rows, cosines = rows[there], cosines[there]
    allowed = view.allowed(request.filters, rows)
    return tuple(
        Placed(product=view.ids[row], title=view.titles[row], score=cosine, parts={"meaning": cosine})
        for row, cosine in list(zip(rows[allowed].tolist(), cosines[allowed].tolist(), strict=True))[:k]
    )
