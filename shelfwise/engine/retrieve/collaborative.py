"""Products whose vectors lie where the network places the customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shelfwise.engine.context import Context
from shelfwise.engine.kernels import towards
from shelfwise.engine.retrieve.history import EVENTS, named, nearest
from shelfwise.engine.retrieve.source import NO_ROWS, SCANNED, Candidates, Reason, Source, top
from shelfwise.engine.state import SEARCH, VIEW
from shelfwise.models.index import FEW_CELLS
from shelfwise.models.sequences import Floats, Ints, Sequences

_MOST = 60
_MOST_EXTRA = 200  # further products sought where the bought ones will be left out
_RECIPROCALS = (1 / np.arange(1, 2_049)).astype(np.float32)


class Collaborative(Source):
    """Customer vector · item vector, of the network (`models/network.py`)."""

    name = "collaborative"
    artefact = "network"
    features = (
        "collaborative",  # customer vector · item vector
        "collaborative_below_best",  # that minus the best candidate's
        "collaborative_rank",  # 1 / rank among the candidates
        "collaborative_newest",  # cosine of the item vectors of the product and of the newest one
    )
    texts = EVENTS

    def prepare(self, contexts: Sequence[Context]) -> None:
        """Customers' vectors and their nearest products, for all questions at once."""
        network = self.bundle.network
        there = [each for each in contexts if len(each.items)]
        if network is None or not there or there[0].view.vectors is None:
            return
        view = there[0].view
        batch = _joined(there, network.reads)
        late = view.vectors if (batch.item >= view.known).any() else None
        vectors = network.encode(batch, np.array([each.now for each in there], np.int64), vectors=late)
        for place, each in enumerate(there):
            if each.question == "similar":  # the product itself is the question, not who looks at it
                assert view.vectors is not None
                vectors[place] = view.vectors[each.items[-1]]
        extra = max(len(each.excluded) for each in there)
        bought = [int(each.bought.sum()) for each in there if each.request.exclude_purchased]
        extra += min(max(bought, default=0), _MOST_EXTRA)
        hits = None
        if view.vector_index is not None:
            hits, _ = view.vector_index.search(vectors, _MOST + extra, cells=FEW_CELLS)
        for place, each in enumerate(there):
            each.keep(Collaborative, (vectors[place], NO_ROWS if hits is None else hits[place]))

    def retrieve(self, context: Context) -> Ints:
        _, hits = customer_vector(context)
        return context.visible(hits[hits >= 0])[:_MOST]

    def retrieve_within(self, context: Context, rows: Ints) -> Ints:
        view = context.view
        vector, _ = customer_vector(context)
        if vector is None or view.vectors is None:
            return NO_ROWS
        if len(rows) <= SCANNED or view.vector_index is None:
            return rows[top(view.vectors[rows] @ vector, _MOST)]
        allowed = np.zeros(view.n, np.bool_)
        allowed[rows] = True
        hits, _ = view.vector_index.search(vector[None], _MOST, allowed=allowed)
        near: Ints = hits[0][hits[0] >= 0].astype(np.int32)
        return near

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        vector, _ = customer_vector(context)
        view = context.view
        if vector is None or view.vectors is None:
            return
        scores, columns[3] = towards(view.vectors, candidates.rows, vector, view.vectors[context.items[-1]])
        columns[0] = scores
        columns[1] = scores - scores.max()
        order = np.argsort(-scores, kind="stable")
        columns[2, order] = (
            _RECIPROCALS[: len(order)] if len(order) <= len(_RECIPROCALS) else 1 / np.arange(1, len(order) + 1)
        )

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        return named(context, nearest(context, row, context.view.vectors))


def customer_vector(context: Context) -> tuple[Floats | None, Ints]:
    """The customer's vector float32 [d], None without network or known event; the rows nearest to it, -1 for none."""
    nothing: tuple[Floats | None, Ints] = (None, NO_ROWS)
    return context.once(Collaborative, lambda: nothing)


def _joined(contexts: Sequence[Context], newest: int) -> Sequences:
    """The newest events of each as rows of one; what a search found counts as looked at."""
    items = [each.items[-newest:] for each in contexts]
    rows = sum(map(len, items))
    kinds = np.concatenate([each.kinds[-newest:] for each in contexts])
    return Sequences(
        offsets=np.concatenate(([0], np.cumsum([len(each) for each in items]))).astype(np.int64),
        item=np.concatenate(items),
        kind=np.where(kinds == SEARCH, VIEW, kinds).astype(np.int8),
        time=np.concatenate([each.times[-newest:] for each in contexts]),
        price=np.full(rows, np.nan, np.float32),
    )
