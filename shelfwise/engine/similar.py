"""Products beside one: by content, by what is bought with it, by what the network learned of both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shelfwise.engine.catalogue import View
from shelfwise.engine.request import Filters
from shelfwise.models.alike import NEAR
from shelfwise.models.bundle import Bundle
from shelfwise.models.index import FEW_CELLS
from shelfwise.models.sequences import Floats, Ints

SCANNED = 30_000  # products inside a filter that are scored one by one rather than through the index
# How many are proposed by content, by the network and by co-occurrence; of the first two some more for a longer answer.
_ALIKE, _LEARNED, _TOGETHER = 30, 60, 60
_WITHIN, _POPULAR = 150, 40  # products inside a filter that are all taken; of more than these, the most popular
_LIKES_KEPT = 50_000
# What makes two products similar, by judgement: both kinds of evidence count, neither silences the other.
_WEIGHT_TOGETHER, _WEIGHT_CONTENT, _WEIGHT_BEHAVIOUR = 0.35, 0.4, 0.25
_NO_ROWS = np.empty(0, np.int32)


def similar(bundle: Bundle, view: View, row: int, filters: Filters, k: int) -> tuple[Ints, Floats, dict[str, Floats]]:
    """Products beside one: (rows int32 [c], scores float32 [c], what each source adds to the score).

    Content and the network are cosines, neighbours their share of the strongest; a new product has content only,
    and its twin's neighbours as far as it is like it.
    """
    proposals: list[Ints] = []
    if view.content is not None and view.content_index is not None:
        proposals.append(alike(view, row, _ALIKE + 2 * k))
    if view.behaviour is not None and view.behaviour_index is not None:
        found, _ = view.behaviour_index.search(view.behaviour[row][None], _LEARNED + k, cells=FEW_CELLS)
        proposals.append(found[0][found[0] >= 0].astype(np.int32))
    graph, twin = bundle.cooccurrence, int(view.twin[row])
    part = slice(int(graph.indptr[twin]), int(graph.indptr[twin + 1]))
    ids, weights = graph.ids[part], graph.weights[part] * view.likeness[row]
    proposals.append(ids[:_TOGETHER])
    proposals.append(view.scanned())
    rows = np.unique(np.concatenate(proposals))
    rows = rows[view.allowed(filters, rows) & (rows != row)]
    if len(rows) < k or filters.narrow:
        inside = view.matching(filters.shared())
        if len(inside) > _WITHIN:
            merit = bundle.popularity.weight[view.twin[inside]] * view.likeness[inside]
            picked = [inside[top(merit, _POPULAR + k)]]
            if len(inside) <= SCANNED:
                picked += [
                    inside[top(vectors[inside] @ vectors[row], _LEARNED)]
                    for vectors in (view.content, view.behaviour)
                    if vectors is not None
                ]
            inside = np.concatenate(picked)
        rows = np.unique(np.concatenate((rows, inside)))
        rows = rows[view.allowed(filters, rows) & (rows != row)]
    together = np.zeros(len(rows), np.float32)
    if len(ids):
        order = np.argsort(ids)
        known = view.twin[rows]
        at = order[np.minimum(np.searchsorted(ids, known, sorter=order), len(ids) - 1)]
        together = np.where(ids[at] == known, weights[at] / graph.weights[part].max() * view.likeness[rows], 0)
    worth = {"neighbours": _WEIGHT_TOGETHER * together}
    for name, vectors, weight in (
        ("content", view.content, _WEIGHT_CONTENT),
        ("behaviour", view.behaviour, _WEIGHT_BEHAVIOUR),
    ):
        worth[name] = np.zeros(len(rows), np.float32) if vectors is None else weight * _cosine(vectors, rows, row)
    return rows, np.asarray(sum(worth.values()), np.float32), worth


def alike(view: View, row: int, k: int) -> Ints:
    """Products most like this one by content, itself left out, best first: int32 [k or fewer]."""
    assert view.content is not None
    query = view.content[row]
    if not query.any():
        return _NO_ROWS
    ours = _found(view, row, k)
    found: Ints = ours[(ours >= 0) & (ours != row)]
    if view.n == view.indexed and not len(view.changed):
        return found[:k]
    late = view.scanned()
    rows = np.concatenate((found[~np.isin(found, view.changed)], late[late != row]))
    scores = view.content[rows] @ query
    best = top(scores, k)
    return np.asarray(rows[best[np.argsort(-scores[best], kind="stable")]], np.int32)


def _found(view: View, row: int, k: int) -> Ints:
    """What the index finds for a product's content: at least k + 1 rows, best first, -1 for no more."""
    assert view.content is not None
    assert view.content_index is not None
    if view.alike is not None and k < NEAR and not np.any(view.changed == row):
        found = view.alike.of(row)
        if found is not None:
            return found
    query = view.content[row]
    key = query.tobytes()  # products with the same text share an answer
    found = view.likes.get(key)
    if found is None or len(found) <= k:
        rows, _ = view.content_index.search(query[None], k + 1, cells=FEW_CELLS)
        found = rows[0].astype(np.int32)
        if len(view.likes) >= _LIKES_KEPT:
            view.likes.clear()
        view.likes[key] = found
    return found


def top(scores: Floats, k: int) -> npt.NDArray[np.intp]:
    """Positions of the k highest, in no order."""
    if len(scores) <= k:
        return np.arange(len(scores))
    return np.argpartition(scores, len(scores) - k)[len(scores) - k :]


def _cosine(vectors: Floats, rows: Ints, row: int) -> Floats:
    """Cosine of each of `rows` with `row`, float32 [m]; 0 for zero vectors."""
    asked, one = vectors[rows], vectors[row]
    length = np.linalg.norm(asked, axis=1) * np.linalg.norm(one)
    return np.asarray(asked @ one / np.where(length > 0, length, 1), np.float32)
